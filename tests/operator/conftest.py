"""Builders that the operator's tests share."""

from __future__ import annotations

import copy
from typing import Any, Protocol

import pytest

from foresail_operator.api import v1alpha1
from foresail_operator.desired import plan, proxy
from foresail_operator.desired.images import Images

UID = "11111111-1111-4111-8111-111111111111"
IMAGES = Images(cpu="runtime:1", openvino="runtime:1-openvino", gpu="runtime:1-gpu")
PROXIES = proxy.Setup("proxy:1", "IfNotPresent", "cluster.local")


class MakeModel(Protocol):
    def __call__(self, name: str = "fraud", **spec: Any) -> v1alpha1.ModelDeployment: ...


def make_raw(name: str = "fraud", **spec: Any) -> dict[str, Any]:
    """Return a ModelDeployment as the API server sends it."""
    return {
        "apiVersion": v1alpha1.API_VERSION,
        "kind": v1alpha1.KIND,
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": UID,
            "generation": 1,
            "resourceVersion": "10",
        },
        "spec": {"model": {"uri": "https://models.example.com/fraud.onnx"}} | copy.deepcopy(spec),
    }


@pytest.fixture
def make_model() -> MakeModel:
    def make(name: str = "fraud", **spec: Any) -> v1alpha1.ModelDeployment:
        return v1alpha1.parse(make_raw(name, **spec))

    return make


class MakePlan(Protocol):
    def __call__(self, model: v1alpha1.ModelDeployment) -> plan.Plan: ...


@pytest.fixture
def make_plan() -> MakePlan:
    return lambda model: plan.build(model, None, IMAGES, None, PROXIES)
