"""The examples as the tests see them: folders in the order in which a newcomer reads them."""

from __future__ import annotations

import json
import pathlib
import re
import textwrap
from typing import Any, Final

import yaml

ROOT: Final = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES: Final = ROOT / "examples"
BLOCK: Final = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
PAGES: Final = sorted(
    path for path in [ROOT / "README.md", *EXAMPLES.rglob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.is_file()
)


def manifests() -> list[pathlib.Path]:
    """Return every YAML file of the examples."""
    return sorted(EXAMPLES.rglob("*.yaml"))


def blocks(page: pathlib.Path, language: str) -> list[str]:
    """Return the fenced blocks of a language in a page."""
    return [textwrap.dedent(text) for _, found, text in BLOCK.findall(page.read_text()) if found == language]


def snippets() -> list[tuple[str, dict[str, Any]]]:
    """Return each ModelDeployment written out in a page, with a name that says where."""
    return [
        (f"{page.relative_to(ROOT)}: {item['metadata']['name']}", item)
        for page in PAGES
        for text in blocks(page, "yaml")
        for item in yaml.safe_load_all(text)
        if isinstance(item, dict) and item.get("kind") == "ModelDeployment"
    ]


def answer(page: pathlib.Path) -> Any:
    """Return the first answer that a page promises."""
    return json.loads(blocks(page, "json")[0])
