"""The reference page, made from the schema and the tables of conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from foresail_operator.api import conditions, schema, v1alpha1
from foresail_operator.api.base import CEL

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTRODUCTION: Final = f"""# Reference

Made by `make generate` from the types in `operator/foresail_operator/api`; do not edit.

`{v1alpha1.KIND}` is `{v1alpha1.API_VERSION}`, namespaced, short name `{v1alpha1.SHORT_NAME}`. The smallest one:

```yaml
apiVersion: {v1alpha1.API_VERSION}
kind: {v1alpha1.KIND}
metadata:
  name: fraud
spec:
  model:
    uri: https://models.example.com/fraud.onnx
```
"""


def render() -> str:
    """Return the page as Markdown."""
    parts = [
        _INTRODUCTION,
        "## spec\n",
        _table(("Field", "Type", "Default", "Meaning"), _fields("spec", schema.spec_schema())),
        "## Rules\n\nThe API server refuses what breaks one of these, with the text given here.\n",
        _table(("Field", "Rule"), _rules("spec", schema.spec_schema())),
        "## status\n",
        _table(("Field", "Type", "Default", "Meaning"), _fields("status", schema.status_schema())),
        "## Conditions\n",
        _table(("Condition", "True means"), ((f"`{kind}`", kind.meaning) for kind in conditions.Type)),
        "## Reasons\n",
        _table(
            ("Reason", "What it means", "What to do"),
            ((f"`{reason}`", reason.meaning, reason.remedy) for reason in conditions.Reason),
        ),
    ]
    return "\n".join(parts)


def _fields(path: str, node: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    required = set(node.get("required", ()))
    for name, child in node.get("properties", {}).items():
        default = "required" if name in required else _default(child)
        yield f"`{path}.{name}`", _type(child), default, child.get("description", "")
        inner = child.get("items", child)
        yield from _fields(f"{path}.{name}{'[]' if 'items' in child else ''}", inner)


def _default(node: dict[str, Any]) -> str:
    return (
        f"`{str(node['default']).lower() if node['type'] == 'boolean' else node['default']}`"
        if "default" in node
        else ""
    )


def _type(node: dict[str, Any]) -> str:
    if "enum" in node:
        return " \\| ".join(f"`{value}`" for value in node["enum"])
    if "x-kubernetes-int-or-string" in node:
        return "quantity"
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}"
    bounds = _bounds(node)
    return f"{node['type']}{f' {bounds}' if bounds else ''}"


def _bounds(node: dict[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is None and high is None:
        return ""
    opening = "(" if node.get("exclusiveMinimum") else "["
    return f"{opening}{low if low is not None else ''}, {high if high is not None else ''}]"


def _rules(path: str, node: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for rule in node.get(CEL, ()):
        yield f"`{path}`", rule["message"]
    for name, child in node.get("properties", {}).items():
        yield from _rules(f"{path}.{name}", child)
    if "items" in node:
        yield from _rules(f"{path}[]", node["items"])


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines) + "\n"
