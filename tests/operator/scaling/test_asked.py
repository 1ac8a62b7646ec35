from __future__ import annotations

from typing import Any

import pytest

from foresail_operator.api.scaling import Scaling
from foresail_operator.scaling import asked, target
from foresail_operator.scaling.decide import Bounds
from foresail_operator.scaling.growth import DEFAULT, Pace, Policy
from foresail_operator.scaling.model import Goal, Plan
from foresail_operator.scaling.signal import Kind


def scaling(**fields: Any) -> Scaling:
    return Scaling.model_validate({"maxReplicas": 8} | fields)


def test_without_metrics_it_is_concurrency_with_the_replicas_own_target() -> None:
    found = scaling(scaleDownDelaySeconds=20)
    assert asked.plan(found) == Plan((Goal(Kind.CONCURRENCY, target.UNKNOWN),), Bounds(1, 8), 20.0)
    assert asked.measured(found)
    assert asked.alone(found)
    assert asked.with_target((Goal(Kind.CONCURRENCY, 4.0), Goal(Kind.QUEUE, 2.0)), 9.0) == (
        Goal(Kind.CONCURRENCY, 9.0),
        Goal(Kind.QUEUE, 2.0),
    )


def test_metrics_that_the_hpa_reads_elsewhere_are_no_goals() -> None:
    found = scaling(metrics=[{"type": "cpu"}, {"type": "latency", "target": 250}])
    plan = asked.plan(found)
    assert plan is not None
    assert plan.goals == (Goal(Kind.LATENCY, 250.0),)
    assert not asked.alone(found)
    assert not asked.measured(found)
    assert asked.plan(scaling(metrics=[{"type": "memory"}])) is None


@pytest.mark.parametrize(
    ("up", "expected"),
    [
        (None, DEFAULT),
        ({}, DEFAULT),
        ({"selectPolicy": "Disabled"}, Pace(())),
        ({"stabilizationWindowSeconds": 60}, Pace(DEFAULT.policies, wait_seconds=60.0)),
        (
            {
                "selectPolicy": "Min",
                "policies": [
                    {"type": "Pods", "value": 2, "periodSeconds": 30},
                    {"type": "Percent", "value": 50, "periodSeconds": 60},
                ],
            },
            Pace((Policy(30.0, pods=2), Policy(60.0, percent=50.0)), strictest=True),
        ),
    ],
)
def test_the_burst_path_grows_as_the_hpa_may_and_not_where_it_is_to_wait(
    up: dict[str, Any] | None, expected: Pace
) -> None:
    behavior = scaling(behavior={"scaleUp": up} if up is not None else {}).behavior
    assert asked.growth(behavior) == expected
