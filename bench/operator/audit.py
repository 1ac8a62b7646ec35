"""What the API server's audit log says the operator asked for."""

from __future__ import annotations

import collections
import dataclasses
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from pathlib import Path

_WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_READS: Final = frozenset({"get", "list"})


@dataclasses.dataclass(frozen=True)
class Requests:
    """How many requests there were of each verb and resource, those about the Lease apart."""

    by: collections.Counter[str]
    errors: collections.Counter[str]

    @property
    def writes(self) -> int:
        """What changes something."""
        return self._sum(_WRITES)

    @property
    def reads(self) -> int:
        """What reads once; watches are apart."""
        return self._sum(_READS)

    @property
    def watches(self) -> int:
        """Streams opened."""
        return self._sum(frozenset({"watch"}))

    def _sum(self, verbs: frozenset[str]) -> int:
        return sum(n for name, n in self.by.items() if name.split()[0] in verbs and not name.endswith(" leases"))

    def __add__(self, other: Requests) -> Requests:
        return Requests(self.by + other.by, self.errors + other.errors)

    def report(self) -> dict[str, Any]:
        """Return it for a JSON file."""
        counts = {"writes": self.writes, "reads": self.reads, "watches": self.watches}
        return counts | {"by": dict(self.by.most_common()), "errors": dict(self.errors)}


class Log:
    """The log, read on from where it was read last; the policy logs the operator only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def take(self) -> Requests:
        """Return what was logged since the last call."""
        found = Requests(collections.Counter(), collections.Counter())
        with self._path.open("rb") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._position += len(line)
                _count(orjson.loads(line), found)
        return found


def _count(event: dict[str, Any], found: Requests) -> None:
    if event["verb"] == "watch" and event["stage"] != "ResponseStarted":
        return
    about = event.get("objectRef") or {}
    parts = [about.get("resource") or event["requestURI"].partition("?")[0], about.get("subresource")]
    name = f"{event['verb']} {'/'.join(part for part in parts if part)}"
    found.by[name] += 1
    if (code := event.get("responseStatus", {}).get("code", 0)) >= 400:
        found.errors[f"{name} {code}"] += 1
