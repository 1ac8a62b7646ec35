"""Checks that the API server can't make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic
import pytest

from foresail_operator import checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.v1alpha1 import ModelDeployment


def test_an_ordinary_spec_has_nothing_to_change(make_model: Callable[..., ModelDeployment]) -> None:
    assert checks.check(make_model(gpu={"memory": "16Gi"})) == ()


def test_a_request_over_its_limit_is_named_with_both(make_model: Callable[..., ModelDeployment]) -> None:
    model = make_model(resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi", "cpu": "1"}})
    assert checks.check(model) == (
        "spec.resources.requests.memory is 2Gi, more than its limit of 1Gi: lower the one or raise the other",
    )


@pytest.mark.parametrize(("amount", "said"), [("512m", True), ("512", True), ("1Mi", False), ("0", False)])
def test_memory_without_its_unit_is_refused(
    make_model: Callable[..., ModelDeployment], amount: str, *, said: bool
) -> None:
    model = make_model(resources={"requests": {"cpu": "512m", "memory": "0"}, "limits": {"memory": amount}})
    sentence = f"spec.resources.limits.memory is {amount}, less than 1Mi: write the unit, e.g. 512Mi"
    assert checks.check(model) == ((sentence,) if said else ())


def test_a_card_without_memory_is_refused(make_model: Callable[..., ModelDeployment]) -> None:
    (found,) = checks.check(make_model(gpu={"memory": "0"}))
    assert "spec.gpu.memory" in found


BOTH = {"maxReplicas": 4, "metrics": [{"type": "cpu"}, {"type": "memory"}]}


def no_request(name: str, example: str) -> str:
    return (
        f"spec.scaling.metrics has {name}, a percentage of the request, but spec.resources asks for no {name}: set "
        f"spec.resources.requests.{name}, e.g. {example}, or take the metric away"
    )


@pytest.mark.parametrize(
    ("resources", "refused"),
    [
        ({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}, [no_request("cpu", "250m")]),
        ({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}, [no_request("memory", "256Mi")]),
        ({"requests": {"cpu": "0", "memory": "1Gi"}}, [no_request("cpu", "250m")]),
        (
            {"requests": {"ephemeral-storage": "1Gi"}, "limits": {"ephemeral-storage": "1Gi"}},
            [no_request("cpu", "250m"), no_request("memory", "256Mi")],
        ),
        ({}, []),
        ({"requests": {"memory": "1Gi"}}, []),
        ({"limits": {"memory": "1Gi"}}, []),
        ({"requests": {"memory": "1Gi"}, "limits": {"cpu": "1"}}, []),
    ],
    ids=[
        "memory in both",
        "cpu in both",
        "a request of nothing",
        "neither in both",
        "defaults",
        "the default limit becomes the request",
        "default requests",
        "the limit becomes the request",
    ],
)
def test_a_percentage_of_no_request_is_refused(
    make_model: Callable[..., ModelDeployment], resources: dict[str, Any], refused: list[str]
) -> None:
    assert list(checks.check(make_model(scaling=BOTH, resources=resources))) == refused


def test_what_is_not_scaled_on_needs_no_request(make_model: Callable[..., ModelDeployment]) -> None:
    resources = {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    assert checks.check(make_model(resources=resources)) == ()
    assert checks.check(make_model(resources=resources, scaling={"maxReplicas": 4})) == ()


def test_a_broken_type_is_explained_by_its_place(make_model: Callable[..., ModelDeployment]) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        make_model(scaling={})
    assert checks.explain(caught.value) == "spec.scaling.maxReplicas: Field required"
