"""What a folder of models means: which versions of each are served, and under which words they are found.

Decides only; `folder` reads the disk.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALL: Final = "all"


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """Under which words the versions of a model are found, besides their own."""

    default: str | None = None
    """The version that is meant where none is said, or a label; None: the newest that is served."""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Word → version: `stable`, `canary`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """Which of a model's versions are served."""

    latest: int | None = 1
    """So many, the newest first; None: all, or those named."""
    named: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One version in the repository's index."""

    name: str
    version: str
    state: str
    """READY, UNAVAILABLE, LOADING or UNLOADING."""
    reason: str = ""

    def document(self) -> dict[str, str]:
        """Return it as the index has it: without a reason where there is none."""
        made = {"name": self.name, "version": self.version, "state": self.state, "reason": self.reason}
        return {key: value for key, value in made.items() if value or key == "name"}


def is_version(name: str) -> bool:
    """Tell whether a folder's name is a version's: a number without leading zeros, as Triton has it."""
    return name.isascii() and name.isdigit() and (name == "0" or name[0] != "0") and len(name) < 19


def order(version: str) -> tuple[int, int, str]:
    """Return a version's place: numbers by their value, other words after them."""
    return (0, int(version), "") if is_version(version) else (1, 0, version)


def choose(policy: Policy, there: Sequence[str]) -> tuple[str, ...]:
    """Return the versions of those there that are to be served, oldest first."""
    ordered = sorted(there, key=order)
    if policy.named:
        return tuple(version for version in ordered if version in policy.named)
    return tuple(ordered if policy.latest is None else ordered[-policy.latest :])


def aliases(served: Sequence[str], names: Names | None) -> dict[str, str]:
    """Return word → version for all that a request may say; "" is the default.

    A word for a version that is not served is left out: another version in its place would be a wrong answer.
    """
    found = {version: version for version in served}
    names = names or Names()
    found |= {label: version for label, version in names.labels.items() if version in served}
    newest = max(served, key=order, default=None)
    default = newest if names.default is None else found.get(names.default)
    return found if default is None else {**found, "": default}


def move(before: Names | None, wanted: Names, served: Sequence[str]) -> Names:
    """Return the names that a model goes by now: a word moves once the version that it is to mean is served.

    Until then, or for good if that fails, it means what it did, if that is still served. None: it had no names before.
    """
    if before is None:
        return wanted
    old = aliases(served, before)
    labels = {
        label: version if version in served else old.get(label, version) for label, version in wanted.labels.items()
    }
    found = Names(wanted.default, labels)
    if "" in aliases(served, found) or "" not in old:
        return found
    return Names(old[""], labels)


def behind(names: Names, wanted: Names) -> dict[str, str]:
    """Return the words that have not moved to what is wanted, with the version that each means; "" is the default."""
    found = {label: version for label, version in names.labels.items() if version != wanted.labels[label]}
    if names.default is None or names.default == wanted.default:
        return found
    return {**found, "": names.default}
