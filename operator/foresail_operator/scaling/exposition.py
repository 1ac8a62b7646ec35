"""What autoscaling tells Prometheus: read when asked for, so that it costs nothing meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from foresail_operator.scaling.control import Control
    from foresail_operator.scaling.scrape import Scraper

_MODEL = ("namespace", "model")


class Exposition(Collector):
    """Counts of questions to pods; and, from the leader alone, what each model carries and should have."""

    def __init__(self, scraper: Scraper, control: Control, leads: Callable[[], bool]) -> None:
        self._scraper = scraper
        self._control = control
        self._leads = leads

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without a number."""
        return (*self._questions(), *self._models())

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        questions, (carried, desired) = self._questions(), self._models()
        for key in self._control.known() if self._leads() else ():
            outlook = self._control.outlook(key)
            if outlook is not None and outlook.load is not None:
                carried.add_metric(key, outlook.load)
                desired.add_metric(key, outlook.desired)
        return (*questions, carried, desired)

    def _questions(self) -> tuple[Metric, ...]:
        name, scraper = "foresail_operator_load_questions", self._scraper
        family = CounterMetricFamily(name, "Looks at what a pod carries, by outcome.", labels=("outcome",))
        for outcome, count in (("answered", scraper.answers), ("failed", scraper.failures), ("late", scraper.late)):
            family.add_metric((outcome,), count)
        return (family,)

    @staticmethod
    def _models() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily("foresail_operator_model_concurrency", "Requests that a model holds.", labels=_MODEL),
            GaugeMetricFamily("foresail_operator_model_desired_replicas", "Replicas its load asks for.", labels=_MODEL),
        )
