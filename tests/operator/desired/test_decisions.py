"""Small decisions: images, pace, removal, sources, autoscalers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from foresail_operator.desired import autoscaler, images, pace, removal, source
from foresail_operator.desired.images import Images, Pin, Variant

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.v1alpha1 import ModelDeployment

OLD = Images(cpu="reg/runtime:1", openvino="reg/runtime:1-openvino", gpu="reg/runtime:1-gpu")
NEW = Images(cpu="reg/runtime:2", openvino="reg/runtime:2-openvino", gpu="reg/runtime:2-gpu")


def test_an_upgraded_operator_keeps_the_image_of_an_unchanged_model(make_model: Callable[..., ModelDeployment]) -> None:
    pin = images.choose(make_model(), None, OLD)
    assert pin.image == "reg/runtime:1"
    assert images.choose(make_model(), pin, NEW) == pin
    assert images.choose(make_model(replicas=7), pin, NEW) == pin
    assert images.choose(make_model(scaling={"maxReplicas": 9}), pin, NEW) == pin
    assert images.choose(make_model(loadBalancing="request"), pin, NEW) == pin
    assert images.choose(make_model(holdRequests=False), pin, NEW) == pin


@pytest.mark.parametrize("runtime", [{}, {"image": "mine:1"}], ids=["of the release", "of the user"])
def test_another_pull_policy_of_the_install_restarts_nothing(
    make_model: Callable[..., ModelDeployment], runtime: dict[str, str]
) -> None:
    always = dataclasses.replace(OLD, pull_policy="Always")
    model = make_model(runtime=runtime)
    pin = images.choose(model, None, OLD)
    assert images.choose(model, pin, always) == pin
    changed = make_model(runtime=runtime, serving={"maxQueueSize": 1})
    assert images.choose(changed, pin, always).pull_policy == "Always"


def test_a_changed_spec_takes_the_new_image(make_model: Callable[..., ModelDeployment]) -> None:
    pin = images.choose(make_model(), None, OLD)
    assert images.choose(make_model(serving={"maxQueueSize": 1}), pin, NEW).image == "reg/runtime:2"


def test_a_default_that_is_written_out_is_no_change(make_model: Callable[..., ModelDeployment]) -> None:
    written = make_model(serving={"timeoutSeconds": 60, "batching": {"maxDelayMilliseconds": 0}}, pod={"env": []})
    assert images.inputs(written) == images.inputs(make_model())


@pytest.mark.parametrize(
    ("image", "gpu", "result"),
    [
        ("reg.example.com:5000/a/runtime:1", False, "reg.example.com:5000/a/runtime:7"),
        ("runtime", False, "runtime:7"),
        ("a/runtime@sha256:abc", False, "a/runtime:7"),
        ("a/runtime:1-gpu@sha256:abc", True, "a/runtime:7-gpu"),
        ("reg:5000/a/runtime@sha256:abc", True, "reg:5000/a/runtime:7-gpu"),
        ("a/runtime:1@sha256:abc", True, "a/runtime:7"),
    ],
)
def test_a_wished_release_becomes_the_tag(
    make_model: Callable[..., ModelDeployment], image: str, gpu: bool, result: str
) -> None:
    model = make_model(runtime={"version": "7"}, **({"gpu": {}} if gpu else {}))
    assert images.choose(model, None, Images(cpu=image, openvino=image, gpu=image)).image == result


def test_an_image_of_the_users_own_wins(make_model: Callable[..., ModelDeployment]) -> None:
    model = make_model(runtime={"image": "mine:1"})
    assert images.choose(model, Pin("other", images.inputs(model)), NEW).image == "mine:1"


@pytest.mark.parametrize(
    ("spec", "variant"),
    [
        ({}, Variant.CPU),
        ({"gpu": {}}, Variant.GPU),
        ({"serving": {"executionProviders": ["OpenVINOExecutionProvider"]}}, Variant.OPENVINO),
        ({"serving": {"executionProviders": ["CPUExecutionProvider"]}}, Variant.CPU),
    ],
)
def test_variant_has_what_the_spec_asks_for(
    make_model: Callable[..., ModelDeployment], spec: dict[str, Any], variant: Variant
) -> None:
    assert images.variant(make_model(**spec)) is variant
    assert OLD.of(variant).startswith("reg/runtime:1")


@pytest.mark.parametrize(
    ("last", "available", "now", "wait"),
    [
        (None, False, 100.0, None),
        (pace.Pace("b", 99.0), False, 100.0, None),
        (pace.Pace("a", 99.0), False, 100.0, 4.0),
        (pace.Pace("a", 99.0), True, 100.0, None),
        (pace.Pace("a", 95.0), False, 100.0, None),
    ],
    ids=["first edit", "same revision", "too soon", "the last one answers", "settled"],
)
def test_an_edit_waits_only_while_the_one_before_is_young(
    last: pace.Pace | None, available: bool, now: float, wait: float | None
) -> None:
    assert pace.wait(last, "b", available=available, now=now) == wait


def test_descriptions_go_once_no_pod_of_their_revision_can_start_again() -> None:
    there = ("a", "b", "c")
    assert removal.descriptions(there, {"c"}, {"b"}, complete=True) == ("a",)
    assert removal.descriptions(there, {"c"}, set(), complete=False) == ()


@pytest.mark.parametrize(
    ("uri", "path", "volume"),
    [
        ("configmap://models/a.onnx", "/mnt/foresail/source/a.onnx", "configMap"),
        ("pvc://claim/x/y.onnx", "/mnt/foresail/source/x/y.onnx", "persistentVolumeClaim"),
        ("file:///models/a.onnx", "/models/a.onnx", None),
        ("https://host/a.onnx", None, None),
    ],
)
def test_an_address_becomes_a_path_and_a_volume(uri: str, path: str | None, volume: str | None) -> None:
    found = source.build(uri)
    assert found.path == path
    assert (next(iter(found.volume)) if found.volume else None) == volume


def test_delay_and_behavior_become_one_behavior(make_model: Callable[..., ModelDeployment]) -> None:
    scaling = {
        "maxReplicas": 4,
        "scaleDownDelaySeconds": 30,
        "behavior": {"scaleDown": {"selectPolicy": "Min"}, "scaleUp": {"selectPolicy": "Disabled"}},
    }
    built = autoscaler.build(make_model(scaling=scaling), None)
    assert built is not None
    assert built["spec"]["behavior"] == {
        "scaleDown": {"selectPolicy": "Min", "stabilizationWindowSeconds": 30},
        "scaleUp": {"selectPolicy": "Disabled"},
    }


def test_metrics_are_written_as_asked_and_passed_on_as_they_are(make_model: Callable[..., ModelDeployment]) -> None:
    own = {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "3"}}}
    scaling = {"maxReplicas": 4, "metrics": [{"type": "memory"}, {"type": "hpa", "hpa": own}]}
    built = autoscaler.build(make_model(scaling=scaling), None)
    assert built is not None
    memory, passed = built["spec"]["metrics"]
    assert memory["resource"] == {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}}
    assert passed == own
