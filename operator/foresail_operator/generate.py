"""Writes what is made from the types: the CRD and its copy in the chart, the reference page, the golden manifests.

    python -m foresail_operator.generate [--check] [--root FOLDER]

`--check` writes nothing and fails when a file is not what it would be made to.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import TYPE_CHECKING, Any, Final

import yaml

from foresail_operator.api import reference, schema, v1alpha1
from foresail_operator.desired import autoscaler, meta, plan, proxy
from foresail_operator.desired.images import Images
from foresail_operator.scaling import asked, hpa
from foresail_operator.scaling.mode import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

_CRD_FILE: Final = f"{v1alpha1.GROUP}_{v1alpha1.PLURAL}.yaml"
_GENERATED: Final = "# Made by `make generate` from operator/foresail_operator/api; do not edit.\n"
GOLDEN_FOLDER: Final = "tests/operator/golden"
GOLDEN_IMAGES: Final = Images(
    cpu="foresail-runtime:golden", openvino="foresail-runtime:golden-openvino", gpu="foresail-runtime:golden-gpu"
)
GOLDEN_PROXIES: Final = proxy.Setup("foresail-proxy:golden", "IfNotPresent", "cluster.local", hold_seconds=120)
_GOLDEN_UID: Final = "00000000-0000-4000-8000-000000000000"


def files(root: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yield each generated file's path under the root, and its text."""
    definition = _GENERATED + dense(schema.definition())
    yield f"crds/{_CRD_FILE}", definition
    yield f"charts/foresail/crds/{_CRD_FILE}", definition
    yield "docs/reference.md", reference.render()
    for given in sorted((root / GOLDEN_FOLDER).glob("*/modeldeployment.yaml")):
        yield str(given.with_name("children.yaml").relative_to(root)), golden(given.read_text())


def golden(text: str) -> str:
    """Return the children of a ModelDeployment's YAML, as one YAML stream."""
    raw = yaml.safe_load(text)
    metadata = {"namespace": "default", "uid": _GOLDEN_UID} | raw["metadata"]
    model = v1alpha1.parse(raw | {"metadata": metadata})
    load, proxied = _load(model), proxy.wanted(model)
    children = plan.build(model, None, GOLDEN_IMAGES, load, GOLDEN_PROXIES, proxied=proxied).children
    return _GENERATED + "---\n".join(dump(child) for child in children)


def _load(model: v1alpha1.ModelDeployment) -> autoscaler.Load | None:
    """Return what the autoscaler reads of the load in an install for the whole cluster, before a replica measured."""
    scaling = model.spec.scaling
    asked_for = asked.plan(scaling) if scaling else None
    if asked_for is None:
        return None
    metrics = hpa.metrics(asked_for.goals, Mode.CUSTOM, model.metadata.name, meta.selector(model.metadata.name))
    bounds = asked_for.bounds
    return autoscaler.Load(tuple(metrics), *hpa.bounds(Mode.CUSTOM, bounds.minimum, bounds.maximum, 0))


def dump(value: Any) -> str:
    """Return a value as block YAML, in its own order."""
    return yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, width=120)


def dense(value: Any) -> str:
    """Return a value as YAML with a line for each map or list of words: half of a definition were indentation else."""
    return yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, default_flow_style=None, width=10_000)


class _PlainDumper(yaml.SafeDumper):
    """Writes a value as often as it occurs, not as an anchor and references to it, and lines as lines."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the base class's signature
        return True


def _text(dumper: _PlainDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_PlainDumper.add_representer(str, _text)


def main() -> None:
    """Write or check the files; exit 1 when a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a file would change, write nothing")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path.cwd(), help="the repository's root")
    arguments = parser.parse_args()
    stale = [(path, text) for path, text in files(arguments.root) if _current(arguments.root / path) != text]
    for path, text in stale:
        if not arguments.check:
            (arguments.root / path).parent.mkdir(parents=True, exist_ok=True)
            (arguments.root / path).write_text(text)
        sys.stderr.write(f"{'stale' if arguments.check else 'written'}: {path}\n")
    if stale and arguments.check:
        sys.exit("run `make generate` and read the difference")


def _current(path: pathlib.Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    main()
