"""JSON schemas of the bodies that one loaded model takes and gives, as its OpenAPI document has them.

They say what can be said: that each input is there once, and data flat or nested just as the shape is. That data has as
many elements as the shape, where a dimension is open, no schema can say.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime.codec import check
from foresail_runtime.tasks import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foresail_runtime.model import Model
    from foresail_runtime.tasks.tabular import Table
    from foresail_runtime.tensors import TensorSpec

OBJECT: Final = {"type": "object"}
TEXT: Final = {"type": "string"}
FILE: Final = {"type": "string", "format": "binary"}
_COUNT: Final = {"type": "integer", "minimum": 0, "maximum": 2**64 - 1}
"""What a JSON number larger than that becomes is no whole number any more."""
_SIZE: Final = {"type": "integer", "minimum": 0, "maximum": check.MAX_ELEMENTS}
_TRUTH: Final = {"type": "boolean"}
_TOO_LARGE: Final = {"FP16": 65520.0, "BF16": 2.0**128 * (1 - 2.0**-9), "FP32": 2.0**128 * (1 - 2.0**-25)}
"""From here on the nearest number of a datatype is infinity."""
_ORDERS: Final = 3
"""Every order of so many inputs is listed: 6; of more, that each is there."""


def request(model: Model) -> dict[str, Any]:
    """Return the schema of an infer request in JSON."""
    wanted = {
        **OBJECT,
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "enum": [spec.name for spec in model.signature.outputs]},
            "parameters": _parameters(binary_data=_TRUTH, classification=False, shared_memory_region=False),
        },
    }
    return {
        **OBJECT,
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": _parameters(timeout=_COUNT, priority=_COUNT, binary_data_output=_TRUTH),
            "inputs": _inputs(model.signature.inputs),
            "outputs": {"type": ["array", "null"], "items": wanted},
        },
    }


def answer(model: Model) -> dict[str, Any]:
    """Return the schema of an answer in JSON; an output that was asked for as binary data has no `data` there."""
    outputs = [_tensor(spec, {"type": "array", "items": _element(spec)}) for spec in model.signature.outputs]
    for output in outputs:
        output["properties"]["parameters"] = _parameters(binary_data_size=_COUNT)
        output["required"].remove("data")
    return {
        **OBJECT,
        "required": ["model_name", "outputs"],
        "properties": {
            "model_name": {"const": model.name},
            "model_version": {"const": model.version},
            "id": TEXT,
            "outputs": {"type": "array", "items": {"anyOf": outputs}},
        },
    }


def rows(table: Table) -> dict[str, Any]:
    """Return the schema of a table, in each of the forms that it is taken in."""
    values = [_value(spec) for spec in table.specs]
    alike = {"items": values[0]} if values.count(values[0]) == len(values) else {"prefixItems": values}
    lists = _rows({"type": "array", "minItems": table.width, "maxItems": table.width, **alike})
    if not table.columns:
        return {**OBJECT, "required": ["rows"], "properties": {"rows": lists}}
    row = {
        **OBJECT,
        "required": list(table.columns),
        "properties": dict(zip(table.columns, values, strict=True)),
        "additionalProperties": False,
    }
    names = {
        "type": "array",
        "items": {"enum": list(table.columns)},
        "uniqueItems": True,
        "minItems": table.width,
        "maxItems": table.width,
    }
    reordered = _rows({"type": "array", "minItems": table.width, "maxItems": table.width, "items": {"anyOf": values}})
    return {
        "anyOf": [
            {**OBJECT, "required": ["rows"], "properties": {"rows": {"anyOf": [_rows(row), lists]}}},
            {**OBJECT, "required": ["columns", "data"], "properties": {"columns": names, "data": reordered}},
        ],
    }


def _rows(row: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": row}


def _value(spec: TensorSpec) -> dict[str, Any]:
    """Return the schema of a column's value: null is a missing number."""
    element = _element(spec)
    return element if element["type"] != "number" else element | {"type": ["number", "null"]}


def change(verb: str) -> dict[str, Any]:
    """Return the schema of a request that loads or unloads a model."""
    known = {"unload_dependents": _TRUTH} if verb == "unload" else {}
    parameters = {"type": ["object", "null"], "properties": known, "additionalProperties": False}
    return {**OBJECT, "properties": {"parameters": parameters}}


def picture_options(way: str, *, has_masks: bool) -> dict[str, Any]:
    """Return the schemas of what a picture's request may ask for, by name."""
    fraction = {"type": "number", "minimum": 0, "maximum": 1}
    known = {
        "confidence": fraction,
        "top_k": {"type": "integer", "minimum": 1, "maximum": options.MAX_TOP_K},
        "classes": {**TEXT, "description": "Names or ids, with commas between."},
    }
    if way == "detect":
        known |= {"iou": fraction, "format": {"type": "string", "enum": ["json", "png"]}}
    if has_masks:
        known["masks"] = {"type": "string", "enum": ["rle", "none"]}
    return known


def _parameters(**known: dict[str, Any] | bool) -> dict[str, Any]:
    """Return the schema of parameters; False says that one is refused."""
    scalar = {"type": ["string", "number", "boolean"]}
    return {"type": ["object", "null"], "properties": known, "additionalProperties": scalar}


def _inputs(specs: Sequence[TensorSpec]) -> dict[str, Any]:
    made = [_input(spec) for spec in specs]
    whole: dict[str, Any] = {"type": "array", "minItems": len(made), "maxItems": len(made)}
    if len(made) <= 1:
        return whole | {"items": made[0] if made else False}
    if len(made) <= _ORDERS:
        return {"anyOf": [whole | {"prefixItems": list(order)} for order in itertools.permutations(made)]}
    named = [{"contains": {"properties": {"name": {"const": spec.name}}}} for spec in specs]
    return whole | {"items": {"anyOf": made}, "allOf": named}


def _input(spec: TensorSpec) -> dict[str, Any]:
    made = _tensor(spec, _data(spec))
    # `binary_data_size` belongs to the binary form, whose header is no JSON body by itself.
    made["properties"]["parameters"] = _parameters(binary_data_size=False, shared_memory_region=False)
    if spec.shape:
        sizes = [_SIZE if size == -1 else {"const": size} for size in spec.shape]
        made["properties"]["shape"] = {**made["properties"]["shape"], "prefixItems": sizes}
    return made


def _tensor(spec: TensorSpec, data: dict[str, Any]) -> dict[str, Any]:
    rank = len(spec.shape)
    return {
        **OBJECT,
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": spec.name},
            "shape": {"type": "array", "minItems": rank, "maxItems": rank, "items": _SIZE},
            "datatype": {"const": spec.datatype.name},
            "data": data,
        },
    }


def _data(spec: TensorSpec) -> dict[str, Any]:
    """Return the schema of an input's data: flat, or nested as the shape is."""
    flat = _list(_element(spec), -1 if -1 in spec.shape else math.prod(spec.shape))
    if len(spec.shape) <= 1:
        return flat
    nested = _element(spec)
    for size in reversed(spec.shape):
        nested = _list(nested, size)
    return {"anyOf": [flat, nested]}


def _list(items: dict[str, Any], size: int) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "array", "items": items}
    return made if size == -1 else made | {"minItems": size, "maxItems": size}


def _element(spec: TensorSpec) -> dict[str, Any]:
    name = spec.datatype.name
    if name == "BOOL":
        return _TRUTH
    if name == "BYTES":
        return TEXT
    if name.startswith("INT"):
        half = 2 ** (int(name[3:]) - 1)
        return {"type": "integer", "minimum": -half, "maximum": half - 1}
    if name.startswith("UINT"):
        return {"type": "integer", "minimum": 0, "maximum": 2 ** int(name[4:]) - 1}
    end = _TOO_LARGE.get(name)
    return {"type": "number"} if end is None else {"type": "number", "exclusiveMinimum": -end, "exclusiveMaximum": end}
