"""Every manifest and every ModelDeployment on a page, as a real API server sees it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster import kit
from tests.examples import examples

if TYPE_CHECKING:
    import pathlib

    from foresail_testbed import access

pytestmark = pytest.mark.cluster
DEFINITION = examples.ROOT / "crds" / "foresail.dev_modeldeployments.yaml"
STRICT = ("apply", "--dry-run=server", "--validate=strict")


@pytest.fixture(scope="module")
def plane(control_plane: access.Access) -> access.Access:
    """A control plane that knows ModelDeployments."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEFINITION))
    control_plane.wait_for_definition(kit.DEFINITION)
    return control_plane


@pytest.mark.parametrize("path", examples.manifests(), ids=lambda path: str(path.relative_to(examples.EXAMPLES)))
def test_manifest_is_accepted(plane: access.Access, control_plane: access.Access, path: pathlib.Path) -> None:
    plane.kubectl(*STRICT, "-n", "default", "-f", str(path))


@pytest.mark.parametrize(("name", "manifest"), examples.snippets(), ids=[name for name, _ in examples.snippets()])
def test_snippet_is_accepted(
    plane: access.Access, control_plane: access.Access, name: str, manifest: dict[str, Any]
) -> None:
    plane.kubectl(*STRICT, "-n", "default", "-f", "-", stdin=json.dumps(manifest))


def test_scaling_an_autoscaled_model_by_hand_is_refused_in_the_words_of_the_page(
    plane: access.Access, control_plane: access.Access, namespace: str
) -> None:
    plane.kubectl("apply", "-n", namespace, "-f", str(examples.EXAMPLES / "04-autoscaling-cpu" / "busy-shelf.yaml"))
    done = plane.execute(["kubectl", "scale", "mdep/busy-shelf", "-n", namespace, "--replicas=2"])
    assert done.returncode != 0
    assert "spec.replicas fixes the size and spec.scaling moves it" in done.stderr


def test_misspelt_field_is_refused_by_kubectls_default(plane: access.Access, control_plane: access.Access) -> None:
    manifest = {
        "apiVersion": "foresail.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "typo"},
        "spec": {"model": {"url": "https://models.example.com/m.onnx", "uri": "https://models.example.com/m.onnx"}},
    }
    done = plane.execute(["kubectl", "apply", "-n", "default", "-f", "-"], stdin=json.dumps(manifest))
    assert 'unknown field "spec.model.url"' in done.stderr
