"""Kubernetes label selectors, as they come in a query: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY: Final = r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_REQUIREMENT: Final = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<no>{_KEY})"
    rf"|(?P<key>{_KEY})(?:\s*(?P<operator>==|=|!=)\s*(?P<value>{_VALUE})"
    rf"|\s*(?P<order>[<>])\s*(?P<bound>-?[0-9]{{1,19}})"
    rf"|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*"
)


class SelectorError(ValueError):
    """A selector that can't be read; the message quotes it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label: `values` None asks only whether the label is there."""

    key: str
    values: frozenset[str] | None
    wanted: bool = True
    above: int | None = None
    below: int | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels meet it; an absent label meets every unwanted value, as in Kubernetes."""
        value = labels.get(self.key)
        found = value is not None and (self.values is None or value in self.values) and self._within(value)
        return found is self.wanted

    def _within(self, value: str) -> bool:
        """Return whether a value lies between the bounds, where there are any; one that is no integer does not."""
        if self.above is None and self.below is None:
            return True
        if not _INTEGER.fullmatch(value):
            return False
        number = int(value)
        return (self.above is None or number > self.above) and (self.below is None or number < self.below)


@dataclasses.dataclass(frozen=True, slots=True)
class Selector:
    """All of its requirements must be met; an empty one matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels meet every requirement."""
        return all(requirement.matches(labels) for requirement in self.requirements)


def parse(text: str) -> Selector:
    """Read a selector.

    Raises:
        SelectorError: It is not one.
    """
    requirements, at = [], 0
    while text.strip() and at <= len(text):
        found = _REQUIREMENT.match(text, at)
        if not found or (found.end() < len(text) and text[found.end()] != ","):
            raise SelectorError(f"unable to parse selector {text!r} from {text[at:]!r} on")
        requirements.append(_requirement(found, text))
        at = found.end() + 1
    return Selector(tuple(requirements))


def _requirement(found: re.Match[str], text: str) -> Requirement:
    if found["absent"]:
        return Requirement(found["no"], None, wanted=False)
    if found["operator"]:
        return Requirement(found["key"], frozenset({found["value"]}), wanted=found["operator"] != "!=")
    if found["order"]:
        bound = int(found["bound"])
        above, below = (bound, None) if found["order"] == ">" else (None, bound)
        return Requirement(found["key"], None, above=above, below=below)
    if found["set"]:
        values = [value.strip() for value in found["values"].split(",")]
        if not all(re.fullmatch(_VALUE, value) for value in values):
            raise SelectorError(f"unable to parse selector {text!r}: values {found['values']!r}")
        return Requirement(found["key"], frozenset(values), wanted=found["set"] == "in")
    return Requirement(found["key"], None)
