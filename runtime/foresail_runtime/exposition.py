"""What is counted, as the text that Prometheus scrapes.

prometheus-client brings a server and an HTTP client of its own, which take long to import: so nobody imports this
module until the server is ready, or is asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import prometheus_client
from prometheus_client import core

from foresail_runtime import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_UNTYPED: Final = re.compile(rb"^(# TYPE nv_\w+) untyped$", re.MULTILINE)


class Exposition:
    """A process's counts as metric families, with what the system counts of the process."""

    content_type: Final = prometheus_client.CONTENT_TYPE_LATEST

    def __init__(self, counted: metrics.Metrics) -> None:
        self._metrics: Final = counted
        self._process: Final = prometheus_client.ProcessCollector(registry=None)

    def render(self) -> bytes:
        """Return the text."""
        text = prometheus_client.generate_latest(self)
        return _UNTYPED.sub(rb"\1 counter", text) if self._metrics.triton_names else text

    def collect(self) -> Iterator[core.Metric]:
        """Yield every metric family."""
        yield from self._histograms()
        yield from self._counters()
        for name, (text, read) in self._metrics.gauges.items():
            yield core.GaugeMetricFamily(name, text, value=read())
        info = core.GaugeMetricFamily(
            "foresail_model_info",
            "Always 1; the execution provider a model runs on.",
            labels=["model", "version", "provider"],
        )
        for model in self._metrics.models.values():
            info.add_metric([model.name, model.version, model.providers[0] if model.providers else ""], 1)
        yield info
        for families in self._metrics.families:
            yield from families()
        if self._metrics.triton_names:
            yield from self._triton()
        ready = self._metrics.state() == "ready"
        yield core.GaugeMetricFamily("foresail_ready", "1 if the server is ready.", value=ready)
        yield from self._process.collect()

    def _triton(self) -> Iterator[core.Metric]:
        """Yield the counters that Triton has, so that its dashboards show this server."""
        for name, value in _TRITON.items():
            # Untyped until `render`: the library writes `_total` behind a counter's name, and Triton does not.
            family = core.UnknownMetricFamily(name, "As Triton has it.", labels=["model", "version"])
            for model in self._metrics.models.values():
                family.add_metric([model.name, model.version], value(model))
            yield family
        failures = core.UnknownMetricFamily(
            "nv_inference_request_failure", "As Triton has it.", labels=["model", "version", "reason"]
        )
        pending = core.GaugeMetricFamily(
            "nv_inference_pending_request_count", "As Triton has it.", labels=["model", "version"]
        )
        for model in self._metrics.models.values():
            for reason, count in _failures(model).items():
                failures.add_metric([model.name, model.version, reason], count)
            pending.add_metric([model.name, model.version], model.pending())
        yield failures
        yield pending

    def _histograms(self) -> Iterator[core.Metric]:
        for field, name, text in (
            ("total", "foresail_request_duration_seconds", "From a request's headers to its answer."),
            ("queue", "foresail_queue_duration_seconds", "From the queue to the engine, a request."),
            ("pre", "foresail_preprocess_duration_seconds", "From a request's body to the model's inputs."),
            ("post", "foresail_postprocess_duration_seconds", "From the model's outputs to the answer's body."),
            ("compute", "foresail_compute_duration_seconds", "In the engine, a run."),
            ("rows", "foresail_batch_rows", "Rows in a run."),
        ):
            family = core.HistogramMetricFamily(name, text, labels=["model", "version"])
            for model in self._metrics.models.values():
                histogram: metrics.Histogram = getattr(model, field)
                bounds = metrics.SECONDS if field == "total" else None
                family.add_metric([model.name, model.version], histogram.buckets(bounds), histogram.total)
            yield family

    def _counters(self) -> Iterator[core.Metric]:
        answered = core.CounterMetricFamily(
            "foresail_requests", "Answered requests.", labels=["model", "version", "way", "code"]
        )
        for model in self._metrics.models.values():
            for (way, status), count in model.outcomes.items():
                answered.add_metric([model.name, model.version, way, str(status)], count)
        yield answered
        rejected = core.CounterMetricFamily(
            "foresail_rejected_requests", "Requests answered with an error, by reason.", labels=["reason"]
        )
        for reason, count in self._metrics.rejected.items():
            rejected.add_metric([reason], count)
        yield rejected
        yield core.CounterMetricFamily(
            "foresail_received_bytes", "Bodies of inference requests.", value=self._metrics.received_bytes
        )
        yield core.CounterMetricFamily(
            "foresail_sent_bytes", "Bodies of inference answers.", value=self._metrics.sent_bytes
        )


def _good(model: metrics.ModelMetrics) -> int:
    return sum(count for (_, status), count in model.outcomes.items() if status < 400)


_TRITON_REASONS: Final = {429: "REJECTED", 503: "REJECTED", 499: "CANCELED", 500: "BACKEND"}


def _failures(model: metrics.ModelMetrics) -> dict[str, int]:
    """Return how many requests failed for each of Triton's reasons."""
    found = dict.fromkeys(("REJECTED", "CANCELED", "BACKEND", "OTHER"), 0)
    for (_, status), count in model.outcomes.items():
        if status >= 400:
            found[_TRITON_REASONS.get(status, "OTHER")] += count
    return found


_TRITON: Final[dict[str, Callable[[metrics.ModelMetrics], float]]] = {
    "nv_inference_request_success": _good,
    "nv_inference_count": lambda model: model.rows.total - model.failed_rows,
    "nv_inference_exec_count": lambda model: model.rows.count,
    "nv_inference_request_duration_us": lambda model: model.good_seconds * 1e6,
    "nv_inference_queue_duration_us": lambda model: model.queue.total * 1e6,
    "nv_inference_compute_input_duration_us": lambda model: model.pre.total * 1e6,
    "nv_inference_compute_infer_duration_us": lambda model: model.compute.total * 1e6,
    "nv_inference_compute_output_duration_us": lambda model: model.post.total * 1e6,
}
