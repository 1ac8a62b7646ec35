"""What pages name is there: fields, the chart's values, variables, metrics, targets of make, and headings."""

from __future__ import annotations

import functools
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.examples import examples

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

PAGES: Final = [*examples.PAGES, examples.ROOT / "CONTRIBUTING.md"]
CODE: Final = ("operator", "runtime", "testbed", "charts", "scripts", "tests", "bench")
FOREIGN: Final = frozenset({"spec.predictor"})
"""Fields of others, in the page that sets them beside ours."""
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(examples.ROOT)))


def paths(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield every field of a schema; a list's items are under its own name."""
    for name, field in schema.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from paths(field.get("items", field), f"{prefix}{name}.")


@functools.cache
def fields() -> frozenset[str]:
    definition = yaml.safe_load((examples.ROOT / "crds/foresail.dev_modeldeployments.yaml").read_text())
    return frozenset(paths(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))


def keys(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield every key of a document, those of a list's items under its own name."""
    for one in value if isinstance(value, list) else [value]:
        for name, inner in one.items() if isinstance(one, dict) else ():
            yield f"{prefix}{name}"
            yield from keys(inner, f"{prefix}{name}.")


@functools.cache
def values() -> frozenset[str]:
    return frozenset(keys(yaml.safe_load((examples.ROOT / "charts/foresail/values.yaml").read_text())))


@functools.cache
def code() -> str:
    """Return all text that is no page."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *CODE, ":!*.md", ":!*.png", ":!*.onnx"],
        cwd=examples.ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    there = (examples.ROOT / name for name in listed.stdout.split())
    return "\n".join(path.read_text(errors="ignore") for path in there if path.exists())


def ticked(page: pathlib.Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", page.read_text())


@each_page
def test_field_is_in_the_definition(page: pathlib.Path) -> None:
    named = {
        word.replace("[]", "").rstrip(".")
        for text in ticked(page)
        for word in re.findall(r"(?<![\w/.])(?:spec|status)(?:\.[a-z][A-Za-z-]*(?:\[\])?)+", text)
    }
    assert named - fields() - FOREIGN == set()


@each_page
def test_fragment_of_a_model_has_fields_of_the_definition(page: pathlib.Path) -> None:
    for text in examples.blocks(page, "yaml"):
        for item in yaml.safe_load_all(text):
            if isinstance(item, dict) and item.keys() in ({"spec"}, {"scaling"}):
                whole = item if "spec" in item else {"spec": item}
                assert set(keys(whole)) - fields() == set()


@each_page
def test_value_is_in_the_chart(page: pathlib.Path) -> None:
    sections = {value for value in values() if any(other.startswith(f"{value}.") for other in values())}
    dotted = [word for text in ticked(page) for word in re.findall(r"^([a-z]\w+(?:\.[a-z]\w+)+)(?:=.*)?$", text)]
    dotted += re.findall(r"--set '?([\w.]+)=", page.read_text())
    ours = {word for word in dotted if word.partition(".")[0] in sections or word in values()}
    named = {word for word in ours if not any(field.endswith(f".{word}") for field in fields())}
    assert named - values() == set()


@each_page
def test_variable_is_one_that_the_code_knows(page: pathlib.Path) -> None:
    named = set(re.findall(r"\bFORESAIL_[A-Z_]+[A-Z]\b", page.read_text()))
    assert {name for name in named if name not in code()} == set()


@each_page
def test_metric_is_one_that_the_code_counts(page: pathlib.Path) -> None:
    named = set(re.findall(r"(?<![\w/.-])(?:foresail|nv)_[a-z_]+[a-z]\b(?!…)", page.read_text()))
    bare = {re.sub(r"_(?:total|bucket|sum|count)$", "", name): name for name in named}
    made = {"foresail_concurrency", "foresail_operator", "foresail_runtime", "foresail_activator", "foresail_testbed"}
    lost = {name for short, name in bare.items() if name not in made and not re.search(rf"{short}\b", code())}
    # gauges of the activator are named by their ends
    assert {name for name in lost if f'"{name.removeprefix("foresail_activator_")}"' not in code()} == set()


@each_page
def test_target_is_one_of_make(page: pathlib.Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (examples.ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [*ticked(page), *"\n".join(examples.blocks(page, "sh")).splitlines()]
    named = {word for text in commands for word in re.findall(r"^\s*make ([a-z0-9-]+)", text)}
    assert named - targets == set()


def anchors(page: pathlib.Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@each_page
def test_link_leads_to_a_heading_that_is_there(page: pathlib.Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text())
    assert [
        f"{file}#{place}" for file, place in links if place not in anchors(page.parent / file if file else page)
    ] == []
