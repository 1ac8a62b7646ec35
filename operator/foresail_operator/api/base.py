"""What the resource's models share: their base class, quantities, and CEL rules with a message."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

_QUANTITY_PATTERN: Final = r"^[+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$"
CEL: Final = "x-kubernetes-validations"
LIST_TYPE: Final = "x-kubernetes-list-type"
LIST_KEYS: Final = "x-kubernetes-list-map-keys"
PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"


class Rules(dict[str, Any]):
    """JSON Schema extras that hold CEL rules; `+` joins two lists of them."""

    def __add__(self, other: Rules) -> Rules:
        return Rules({CEL: [*self[CEL], *other[CEL]]})


def rule(expression: str, message: str) -> Rules:
    """Return a CEL rule for the API server; the message says what to write instead."""
    return Rules({CEL: [{"rule": expression, "message": message}]})


def label_keys(flags: str = "") -> Rules:
    """Return the rule that each key of a map is one that Kubernetes takes as a label's, with these flags of RE2's."""
    return rule(
        f"self.all(k, k.matches('{flags}^{LABEL_KEY}$'))",
        "write a key as up to 63 letters, digits, '-', '_' and '.', after a domain and '/' or without, "
        "e.g. example.com/team",
    )


def keyed(name: str) -> dict[str, Any]:
    """Return what makes a list one of items that a field of theirs tells apart."""
    return {LIST_TYPE: "map", LIST_KEYS: [name]}


class Resource(BaseModel):
    """A part of the resource: frozen, camelCase on the wire, deaf to fields it does not know."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def plain(self) -> dict[str, Any]:
        """Return what was written, as JSON values; what was left out is not there."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


Quantity = Annotated[
    str,
    BeforeValidator(str),
    Field(pattern=_QUANTITY_PATTERN),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "pattern": _QUANTITY_PATTERN,
            "minimum": 0,
            "maxLength": 32,
        }
    ),
]
"""A Kubernetes quantity as it was written: 500m, 2, 1.5Gi. None that we read may be negative."""

_PART: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
ObjectName = Annotated[str, Field(max_length=253, pattern=f"^{_PART}([.]{_PART})*$")]
"""The name of another object of the Kubernetes API."""

LABEL_KEY: Final = f"({_PART}([.]{_PART})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
"""What Kubernetes takes as key of a label, a taint or an annotation, as a regular expression without its ends."""
LabelValue = Annotated[str, Field(max_length=63, pattern="^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]

Open = Annotated[dict[str, Any], WithJsonSchema({"type": "object", PRESERVE: True})]
"""An object of the Kubernetes API that is passed on as it is; the API server checks it where it lands."""


def text(model: type[BaseModel]) -> str:
    """Return the class's docstring: the description of the fields that hold it."""
    return " ".join((inspect.getdoc(model) or "").split())
