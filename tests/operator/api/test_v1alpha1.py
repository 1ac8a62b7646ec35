"""Reading a ModelDeployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydantic
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.v1alpha1 import ModelDeployment


def test_smallest_spec_has_defaults_for_everything_else(make_model: Callable[..., ModelDeployment]) -> None:
    spec = make_model().spec
    assert spec.model.version == "1"
    assert spec.serving.timeout_seconds == 60
    assert spec.scaling is None
    assert spec.replicas is None


def test_fields_are_read_in_camel_case_and_unknown_ones_are_not_read(
    make_model: Callable[..., ModelDeployment],
) -> None:
    model = make_model(serving={"maxQueueSize": 7, "batching": {"maxDelayMilliseconds": 2}, "hostPath": "/"})
    assert model.spec.serving.max_queue_size == 7
    assert not hasattr(model.spec.serving, "host_path")


def test_what_breaks_the_schema_is_refused(make_model: Callable[..., ModelDeployment]) -> None:
    with pytest.raises(pydantic.ValidationError, match="maxReplicas"):
        make_model(scaling={"minReplicas": 1})


def test_quantities_may_be_numbers(make_model: Callable[..., ModelDeployment]) -> None:
    assert make_model(resources={"limits": {"cpu": 2}}).spec.resources.limits.cpu == "2"


def test_a_model_is_known_by_namespace_and_name(make_model: Callable[..., ModelDeployment]) -> None:
    assert make_model("shelf").key == ("team", "shelf")
