"""From the typed resource to the CustomResourceDefinition that the API server is given.

Pydantic writes JSON Schema with references, titles and `anyOf` null; a structural schema has none of them. The
turn is a pure function of the models, so the CRD can't say anything that the reader of the resource does not.
"""

from __future__ import annotations

from typing import Any, Final

from foresail_operator.api import status, v1alpha1
from foresail_operator.api.base import CEL, LIST_KEYS, LIST_TYPE, PRESERVE, keyed

_KEPT: Final = (
    "type", "format", "description", "default", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum",
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "required", CEL, PRESERVE,
    LIST_TYPE, LIST_KEYS, "x-kubernetes-int-or-string",
)  # fmt: skip

PRINTER_COLUMNS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Replicas", "type": "integer", "jsonPath": ".status.replicas"},
    {"name": "Min", "type": "integer", "jsonPath": ".spec.scaling.minReplicas"},
    {"name": "Max", "type": "integer", "jsonPath": ".spec.scaling.maxReplicas"},
    {"name": "Version", "type": "string", "jsonPath": ".spec.model.version"},
    {"name": "GPU", "type": "integer", "jsonPath": ".spec.gpu.count"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].reason',
        "priority": 1,
    },
)


def structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the structural form of one JSON Schema node: references inlined, nulls and titles gone."""
    node = _resolve(node, definitions)
    result: dict[str, Any] = {key: node[key] for key in _KEPT if key in node}
    if isinstance(result.get("default"), dict | list) or result.get("default", 0) is None:
        del result["default"]  # an object's defaults are those of its fields; an empty list is an absent one
    if "exclusiveMinimum" in result:
        result |= {"minimum": result["exclusiveMinimum"], "exclusiveMinimum": True}
    if "properties" in node:
        result["properties"] = {name: structural(child, definitions) for name, child in node["properties"].items()}
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = structural(node["additionalProperties"], definitions)
    if "items" in node:
        result["items"] = _unsaid(structural(node["items"], definitions), result.get("description"))
    if "x-kubernetes-int-or-string" in node:
        result["anyOf"] = node["anyOf"]
    return result


def _unsaid(node: dict[str, Any], said: str | None) -> dict[str, Any]:
    """Return a node without the description that its list has already said, which `kubectl explain` prints twice."""
    return {key: value for key, value in node.items() if key != "description" or value != said}


def _resolve(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Follow `$ref` and take `null` out of `anyOf`; what stands beside them (a description) wins."""
    beside = {key: value for key, value in node.items() if key not in {"$ref", "anyOf"}}
    if "$ref" in node:
        target = _resolve(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions)
        return target | beside | _joined_rules(target, beside)
    if "anyOf" in node and "x-kubernetes-int-or-string" not in node:
        (only,) = (choice for choice in node["anyOf"] if choice != {"type": "null"})
        return _resolve(only, definitions) | beside
    return node


def _joined_rules(target: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    rules = [*target.get(CEL, ()), *beside.get(CEL, ())]
    return {CEL: rules} if rules else {}


def spec_schema() -> dict[str, Any]:
    """Return the structural schema of `spec`."""
    schema = v1alpha1.Spec.model_json_schema(by_alias=True)
    return structural(schema, schema.get("$defs", {}))


def status_schema() -> dict[str, Any]:
    """Return the structural schema of `status`."""
    schema = status.Status.model_json_schema(by_alias=True)
    result = structural(schema, schema.get("$defs", {}))
    result["properties"]["conditions"] |= keyed("type")
    return result


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    root = {
        "type": "object",
        "description": "ModelDeployment serves one ONNX model: a Deployment of replicas behind a Service, "
        "autoscaled, with its state in the conditions.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec_schema() | {"description": "What is wanted."},
            # Whoever waits by observedGeneration (Flux, Argo CD) takes a resource without one for current.
            "status": status_schema()
            | {"description": "What is there; written by the operator only.", "default": {"observedGeneration": -1}},
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{v1alpha1.PLURAL}.{v1alpha1.GROUP}"},
        "spec": {
            "group": v1alpha1.GROUP,
            "names": {
                "kind": v1alpha1.KIND,
                "listKind": f"{v1alpha1.KIND}List",
                "plural": v1alpha1.PLURAL,
                "singular": v1alpha1.SINGULAR,
                "shortNames": [v1alpha1.SHORT_NAME],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [_version(root)],
        },
    }


def _version(root: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": v1alpha1.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [dict(column) for column in PRINTER_COLUMNS],
    }
