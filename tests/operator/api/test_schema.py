"""The CustomResourceDefinition: structural, small, and the same as the types."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import Field

from foresail_operator.api import conditions, reference, schema
from foresail_operator.api.base import CEL, Quantity, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = pathlib.Path(__file__).parents[3] / "crds" / "foresail.dev_modeldeployments.yaml"


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if inner in node:
            yield from nodes(node[inner], f"{path}[]")


SPEC = dict(nodes(schema.spec_schema(), "spec"))
STATUS = dict(nodes(schema.status_schema(), "status"))


def test_definition_fits_a_client_side_apply() -> None:
    assert len(json.dumps(schema.definition())) < 40_000
    assert len(FILE.read_bytes()) < 40_000


@pytest.mark.parametrize("word", ["$ref", "null", "title", "propertyNames", "const", "oneOf", "allOf"])
def test_schema_has_no_word_that_a_structural_schema_may_not_have(word: str) -> None:
    assert f'"{word}"' not in json.dumps(schema.definition())


def test_every_node_has_a_type_or_is_int_or_string() -> None:
    untyped = [path for path, node in (SPEC | STATUS).items() if "type" not in node]
    assert all("x-kubernetes-int-or-string" in (SPEC | STATUS)[path] for path in untyped)


def test_any_of_is_only_used_for_quantities() -> None:
    assert all(("anyOf" in node) == ("x-kubernetes-int-or-string" in node) for node in SPEC.values())


def test_every_field_has_a_description() -> None:
    bare = [path for path, node in (SPEC | STATUS).items() if not path.endswith("[]") and "description" not in node]
    assert bare == []


def test_leaves_keep_their_defaults_and_objects_have_none() -> None:
    assert SPEC["spec.scaling.minReplicas"]["default"] == 1
    assert SPEC["spec.serving.warmup"]["default"] is True
    assert all("default" not in node for node in SPEC.values() if node.get("type") in {"object", "array"})


def test_bounds_and_patterns_of_the_types_are_in_the_schema() -> None:
    assert SPEC["spec.serving.timeoutSeconds"]["minimum"] == 0
    assert SPEC["spec.serving.timeoutSeconds"]["exclusiveMinimum"] is True
    assert SPEC["spec.serving.timeoutSeconds"]["maximum"] == 3600
    assert "pattern" in SPEC["spec.resources.limits.memory"]
    assert SPEC["spec.scaling.metrics[].type"]["enum"] == [
        "concurrency",
        "requestsPerSecond",
        "latency",
        "queue",
        "cpu",
        "memory",
        "hpa",
    ]


def test_every_rule_has_a_message() -> None:
    rules = [rule for node in SPEC.values() for rule in node.get(CEL, ())]
    assert len(rules) >= 15
    assert all(len(rule["message"]) > 20 for rule in rules)


def test_conditions_are_a_map_by_type_for_server_side_apply() -> None:
    assert STATUS["status.conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_printer_columns_show_size_bounds_and_reason() -> None:
    columns = {column["name"]: column for column in schema.PRINTER_COLUMNS}
    assert list(columns) == ["Ready", "Replicas", "Min", "Max", "Version", "GPU", "Age", "Reason"]
    assert columns["Reason"]["priority"] == 1


class Inner(Resource):
    """An inner part."""

    amount: Quantity | None = Field(default=None, description="an amount")


class Outer(Resource):
    """An outer part."""

    inner: Inner | None = Field(default=None, description="wins over the class's own words")


def test_description_of_a_field_wins_over_that_of_its_type() -> None:
    raw = Outer.model_json_schema(by_alias=True)
    result = schema.structural(raw, raw["$defs"])
    assert result["properties"]["inner"]["description"] == "wins over the class's own words"
    assert result["properties"]["inner"]["properties"]["amount"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]


def test_every_reason_and_condition_is_explained() -> None:
    assert all(reason.meaning and reason.remedy for reason in conditions.Reason)
    assert all(kind.meaning for kind in conditions.Type)
    assert len({str(reason) for reason in conditions.Reason}) == len(conditions.Reason)


def test_reference_page_names_every_field_condition_and_reason() -> None:
    page = reference.render()
    assert all(f"`{path}`" in page for path in SPEC if path != "spec" and not path.endswith("[]"))
    assert all(f"| `{reason}` |" in page for reason in (*conditions.Reason, *conditions.Type))
    assert "take the name and password out of the address" in page
