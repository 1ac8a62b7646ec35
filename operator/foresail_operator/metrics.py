"""What the operator measures of itself, in Prometheus' words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from foresail_operator.api.conditions import Type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from foresail_operator.live import Key

_TOLD: Final = frozenset({Type.READY, Type.AVAILABLE, Type.STALLED, Type.SCALING_ACTIVE})
"""The conditions that somebody may want to be woken for."""

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_START_SECONDS: Final = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    1.5,
    2,
    2.5,
    3,
    4,
    5,
    7.5,
    10,
    20,
    30,
    60,
    120,
    300,
)


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "foresail_operator_requests",
            "Requests to the API server, watches left out; status 0 is no answer.",
            ["method", "kind", "status"],
            registry=self.registry,
        )
        self.looks = Counter(
            "foresail_operator_looks", "Looks at a ModelDeployment, by outcome.", ["outcome"], registry=self.registry
        )
        self.look_seconds = Histogram(
            "foresail_operator_look_seconds", "Duration of a look.", buckets=_SECONDS, registry=self.registry
        )
        self.wait_seconds = Histogram(
            "foresail_operator_queue_wait_seconds",
            "Time from an event to the look that it asked for.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "foresail_operator_queue_depth", "Keys that wait to be looked at.", registry=self.registry
        )
        self.queue_age = Gauge(
            "foresail_operator_queue_oldest_seconds", "How long the oldest of them waits.", registry=self.registry
        )
        self.events = Counter(
            "foresail_operator_watch_events", "Watch events, by kind.", ["kind"], registry=self.registry
        )
        self.models = Gauge("foresail_operator_models", "ModelDeployments that are known.", registry=self.registry)
        self.leading = Gauge("foresail_operator_leading", "1 while this replica leads.", registry=self.registry)
        self.raises = Counter(
            "foresail_operator_raises",
            "Deployments raised at once, ahead of the HorizontalPodAutoscaler.",
            registry=self.registry,
        )
        self.start_seconds = Histogram(
            "foresail_operator_cold_start_seconds",
            "How long pods of models that scale on their load took until they were ready, by phase; all is the whole.",
            ["phase"],
            buckets=_START_SECONDS,
            registry=self.registry,
        )
        self.missed = Counter(
            "foresail_operator_missed_events",
            "Objects that a comparison with the API server found changed without a watch event.",
            ["kind"],
            registry=self.registry,
        )


class ModelConditions(Collector):
    """What the leader says of each model, read when asked for: the pods of one that can't start measure nothing."""

    def __init__(self, said: Callable[[], Iterable[tuple[Key, dict[str, Any]]]], leads: Callable[[], bool]) -> None:
        """`said` returns each condition with its model."""
        self._said = said
        self._leads = leads

    def describe(self) -> Iterable[Metric]:
        """Return the metric without a number."""
        return (self._family(),)

    def collect(self) -> Iterable[Metric]:
        """Return the conditions as they are now."""
        family = self._family()
        for key, one in self._said() if self._leads() else ():
            if one["type"] in _TOLD:
                family.add_metric((*key, one["type"], one["reason"]), one["status"] == "True")
        return (family,)

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "foresail_operator_model_condition",
            "1 if a condition of a model is True.",
            labels=("namespace", "model", "condition", "reason"),
        )
