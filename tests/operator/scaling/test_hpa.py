from foresail_operator.scaling import hpa
from foresail_operator.scaling.mode import Mode
from foresail_operator.scaling.model import Goal
from foresail_operator.scaling.signal import Kind

GOALS = (Goal(Kind.CONCURRENCY, 16.0), Goal(Kind.LATENCY, 250.0))
LABELS = {"foresail.dev/model": "shelf"}


def test_the_custom_way_is_an_object_metric_of_the_model() -> None:
    first, second = hpa.metrics(GOALS, Mode.CUSTOM, "shelf", LABELS)
    assert first == {
        "type": "Object",
        "object": {
            "describedObject": {"apiVersion": "foresail.dev/v1alpha1", "kind": "ModelDeployment", "name": "shelf"},
            "metric": {"name": "concurrency"},
            "target": {"type": "AverageValue", "averageValue": "16"},
        },
    }
    assert second["object"]["metric"] == {"name": "latency_p95_milliseconds"}


def test_the_external_way_selects_the_model_by_its_label() -> None:
    (metric,) = hpa.metrics(GOALS[:1], Mode.EXTERNAL, "shelf", LABELS)
    assert metric == {
        "type": "External",
        "external": {
            "metric": {"name": "foresail_concurrency", "selector": {"matchLabels": LABELS}},
            "target": {"type": "AverageValue", "averageValue": "16"},
        },
    }


def test_the_target_in_use_is_that_of_our_own_metric_and_of_no_namesake() -> None:
    found = [hpa.metrics(GOALS, mode, "shelf", LABELS) for mode in (Mode.CUSTOM, Mode.EXTERNAL)]
    assert [hpa.target_in_use({"spec": {"metrics": metrics}}) for metrics in found] == [16.0, 16.0]
    target = {"type": "AverageValue", "averageValue": "3"}
    named = {"metric": {"name": "concurrency"}, "target": target}
    theirs = [
        {"type": "External", "external": named},
        {"type": "Object", "object": named | {"describedObject": {"kind": "Ingress", "name": "x"}}},
    ]
    assert hpa.target_in_use({"spec": {"metrics": theirs}}) is None
    assert hpa.target_in_use(None) is None


def test_without_a_way_the_bounds_are_the_size_itself_within_what_the_owner_allows() -> None:
    assert hpa.metrics(GOALS, Mode.BOUNDS, "shelf", LABELS) == []
    assert hpa.bounds(Mode.BOUNDS, 0, 10, 4) == (4, 4)
    assert hpa.bounds(Mode.BOUNDS, 0, 10, 0) == (1, 1)
    assert hpa.bounds(Mode.BOUNDS, 2, 10, 40) == (10, 10)


def test_with_a_way_the_bounds_are_the_owners_and_never_zero() -> None:
    assert hpa.bounds(Mode.CUSTOM, 0, 10, 4) == (1, 10)
    assert hpa.bounds(Mode.EXTERNAL, 2, 10, 4) == (2, 10)
