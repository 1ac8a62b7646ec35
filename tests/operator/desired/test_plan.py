"""The children as a whole."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from foresail_operator import generate
from foresail_operator.desired import compare, deployment, meta, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.v1alpha1 import ModelDeployment
    from foresail_operator.desired.plan import Plan

GOLDEN = sorted((pathlib.Path(__file__).parents[1] / "golden").glob("*/modeldeployment.yaml"))


@pytest.mark.parametrize("given", GOLDEN, ids=lambda path: path.parent.name)
def test_children_are_the_golden_ones(given: pathlib.Path) -> None:
    assert generate.golden(given.read_text()) == given.with_name("children.yaml").read_text()


REVISIONS = {
    "claim": "65970e4f1b",
    "everything": "b49a4659c5",
    "fixed-size": "ca1cdf7bfc",
    "gpu": "f3f4d2bda3",
    "long-name": "202bd37331",
    "proxied": "e93adaee85",
    "scaled": "03a1cd28c3",
    "smallest": "541aea5a17",
}
"""What release 0.1.0 makes of them. `make generate` does not write these: another number here restarts every model
like it when the operator is upgraded, so what a template newly says belongs where only a changed spec has it."""


@pytest.mark.parametrize("given", GOLDEN, ids=lambda path: path.parent.name)
def test_an_upgrade_of_the_operator_restarts_no_model(given: pathlib.Path) -> None:
    children = yaml.safe_load_all(generate.golden(given.read_text()))
    found = [one["spec"]["template"]["metadata"]["labels"] for one in children if one["kind"] == "Deployment"]
    assert found[0][meta.REVISION_LABEL] == REVISIONS[given.parent.name]


@pytest.mark.parametrize("given", GOLDEN, ids=lambda path: path.parent.name)
def test_children_are_json_values_and_as_wanted_as_they_are(given: pathlib.Path) -> None:
    text = generate.golden(given.read_text())
    for child in yaml.safe_load_all(text):
        assert compare.difference(json.loads(json.dumps(child)), child) is None


def by_kind(plan: Plan) -> dict[str, dict[str, Any]]:
    return {f"{child['kind']}/{child['metadata']['name']}": child for child in plan.children}


def test_what_a_pod_needs_is_written_first(
    make_model: Callable[..., ModelDeployment], make_plan: Callable[..., Plan]
) -> None:
    kinds = [child["kind"] for child in make_plan(make_model(scaling={"maxReplicas": 2})).children]
    assert kinds == [
        "ConfigMap",
        "Deployment",
        "Service",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
    ]


def test_every_child_goes_with_its_model_and_says_whose_it_is(
    make_model: Callable[..., ModelDeployment], make_plan: Callable[..., Plan]
) -> None:
    model = make_model(scaling={"maxReplicas": 2})
    for child in make_plan(model).children:
        (owner,) = child["metadata"]["ownerReferences"]
        assert owner["uid"] == model.metadata.uid
        assert owner["controller"] is owner["blockOwnerDeletion"] is True
        assert child["metadata"]["labels"][meta.MANAGED_BY_LABEL] == meta.MANAGED_BY
        assert child["metadata"]["annotations"][meta.MODEL_ANNOTATION] == "fraud"


def test_size_is_written_while_no_autoscaler_has_it(
    make_model: Callable[..., ModelDeployment], make_plan: Callable[..., Plan]
) -> None:
    fixed = by_kind(make_plan(make_model(replicas=0)))
    scaled = by_kind(make_plan(make_model(scaling={"maxReplicas": 2})))
    assert fixed["Deployment/fraud"]["spec"]["replicas"] == 0
    assert "HorizontalPodAutoscaler/fraud" not in fixed
    assert "replicas" not in scaled["Deployment/fraud"]["spec"]
    assert deployment.replicas(make_model()) == 1


def test_revision_names_the_pod_template_and_nothing_else(
    make_model: Callable[..., ModelDeployment], make_plan: Callable[..., Plan]
) -> None:
    one, more = make_plan(make_model()), make_plan(make_model(replicas=5))
    other = make_plan(make_model(serving={"maxQueueSize": 5}))
    assert one.revision == more.revision != other.revision
    labels = by_kind(one)["Deployment/fraud"]["spec"]["template"]["metadata"]["labels"]
    assert labels[meta.REVISION_LABEL] == one.revision


def test_an_accounts_older_field_is_stated_too_so_that_it_goes_with_it_and_is_no_new_revision(
    make_model: Callable[..., ModelDeployment], make_plan: Callable[..., Plan]
) -> None:
    """The API server fills it in, and would fill the account in from there once the spec names none."""
    named = make_plan(make_model(pod={"serviceAccountName": "mighty"}))
    template = by_kind(named)["Deployment/fraud"]["spec"]["template"]
    assert (template["spec"]["serviceAccountName"], template["spec"]["serviceAccount"]) == ("mighty", "mighty")
    assert named.revision == "2cd697cccf", "what release 0.1.0 makes of it"
    assert "serviceAccount" not in by_kind(make_plan(make_model()))["Deployment/fraud"]["spec"]["template"]["spec"]


def test_selector_never_changes_while_labels_do(
    make_model: Callable[..., ModelDeployment], make_plan: Callable[..., Plan]
) -> None:
    before = by_kind(make_plan(make_model()))
    uri = {"uri": "https://x.example.com/a.onnx", "version": "2"}
    after = by_kind(make_plan(make_model(model=uri, pod={"labels": {"team": "risk"}})))
    for name in ("Deployment/fraud", "Service/fraud", "PodDisruptionBudget/fraud"):
        assert before[name]["spec"]["selector"] == after[name]["spec"]["selector"]


def test_a_change_of_what_is_wanted_changes_the_applied_digest(
    make_model: Callable[..., ModelDeployment], make_plan: Callable[..., Plan]
) -> None:
    def digest(model: ModelDeployment) -> str:
        found: str = by_kind(make_plan(model))["Deployment/fraud"]["metadata"]["annotations"][meta.APPLIED_ANNOTATION]
        return found

    assert digest(make_model(pod={"nodeSelector": {"a": "b"}})) != digest(make_model())
    assert digest(make_model(replicas=2)) != digest(make_model(replicas=3))


def test_a_gpu_model_is_replaced_in_place_as_no_spare_card_can_be_counted_on(
    make_model: Callable[..., ModelDeployment], make_plan: Callable[..., Plan]
) -> None:
    def steps(model: ModelDeployment) -> Any:
        return by_kind(make_plan(model))["Deployment/fraud"]["spec"]["strategy"]["rollingUpdate"]

    assert steps(make_model(gpu={})) == {"maxSurge": 0, "maxUnavailable": 1}
    assert steps(make_model()) == {"maxSurge": "25%", "maxUnavailable": 0}


def test_url_needs_no_port(make_model: Callable[..., ModelDeployment]) -> None:
    assert service.url(make_model()) == "http://fraud.team"
