"""Keeps what a real operator wrote, for the tests of what others make of it: tests/examples/statuses/README.md."""

from __future__ import annotations

import json
import os
import pathlib
import re
from typing import Any, Final

VARIABLE: Final = "FORESAIL_RECORD_STATUSES"
"""A folder; nothing is recorded where it is not set."""


def keep(found: dict[str, Any], name: str = "") -> None:
    """Keep a ModelDeployment in a file named by `name`, else by the reason of Ready.

    What Argo CD is to say of it stays as it was in the file; of a new one a person has to fill it in.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return
    ready = next(one for one in found["status"]["conditions"] if one["type"] == "Ready")
    name = name or re.sub(r"(?<!^)(?=[A-Z])", "-", ready["reason"]).lower()
    path = pathlib.Path(folder) / f"{name}.json"
    health = json.loads(path.read_text())["health"] if path.exists() else "?"
    resource = {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {key: found["metadata"][key] for key in ("name", "generation")},
        "status": found["status"],
    }
    path.write_text(json.dumps({"health": health, "object": resource}, indent=2) + "\n")
