"""Counts become the text that Prometheus reads."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from foresail_runtime import contract, errors, exposition, metrics, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def samples(made: metrics.Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition.Exposition(made).render().decode())
        for sample in family.samples
    }


def test_a_histogram_counts_up_to_and_including_its_bounds() -> None:
    histogram = metrics.Histogram((1, 2, 4))
    for value in (0.5, 1, 2, 3, 9):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 2), ("2.0", 3), ("4.0", 4), ("+Inf", 5)]
    assert (histogram.count, histogram.total) == (5, 15.5)


def test_fine_counts_add_up_to_those_of_either_reader() -> None:
    model = metrics.Metrics().model("m", "1")
    values = [10**-exponent * factor for exponent in range(6) for factor in (1, 2.5, 7)] + [99.0]
    for value in values:
        model.answered("infer", 200, value)
    for bounds in (metrics.SECONDS, contract.LATENCY_BUCKETS_SECONDS):
        coarse = metrics.Histogram(bounds)
        for value in values:
            coarse.observe(value)
        assert model.total.counts_within(bounds) == coarse.counts


def test_everything_counted_is_in_the_text() -> None:
    made = metrics.Metrics()
    model = made.model("m", "1", ["CPUExecutionProvider"])
    model.ran(8, 3, 0.002)
    model.waited(0.001)
    model.decoded(0.00001)
    model.encoded(0.5)
    model.answered("infer", 200, 0.004)
    model.answered("infer", 400, 0.004)
    made.rejected["invalid"] += 1
    made.received_bytes = 10
    made.gauges["foresail_queued_requests"] = ("Waiting.", lambda: 7)
    made.state = lambda: "ready"
    found = samples(made)
    labels = (("model", "m"), ("version", "1"))
    assert found["foresail_batch_rows_sum", labels] == 8
    assert found["foresail_compute_duration_seconds_count", labels] == 1
    assert found["foresail_request_duration_seconds_sum", labels] == pytest.approx(0.008)
    assert found["foresail_preprocess_duration_seconds_bucket", (("le", "1e-05"), *labels)] == 1
    assert found["foresail_postprocess_duration_seconds_sum", labels] == 0.5
    assert found["foresail_queue_duration_seconds_bucket", (("le", "0.001"), *labels)] == 1
    assert found["foresail_requests_total", (("code", "400"), *labels, ("way", "infer"))] == 1
    assert found["foresail_rejected_requests_total", (("reason", "invalid"),)] == 1
    assert found["foresail_received_bytes_total", ()] == 10
    assert found["foresail_queued_requests", ()] == 7
    assert found["foresail_ready", ()] == 1
    assert found["process_resident_memory_bytes", ()] > 0


REASONS = ("REJECTED", "CANCELED", "BACKEND", "OTHER")


def test_tritons_names_are_there_if_asked_for() -> None:
    made = metrics.Metrics(triton_names=True)
    model = made.model("m", "1")
    model.ran(8, 3, 0.002)
    model.waited(0.003)
    model.decoded(0.00001)
    model.encoded(0.00002)
    for status in (200, 200, 429):
        model.answered("grpc", status, 0.001)
    model.answered("infer", 400, 2.0)  # no success, and its time is none of theirs
    model.pending = lambda: 5
    labels = (("model", "m"), ("version", "1"))
    found = samples(made)
    # The parser puts `_total` behind the name of every counter.
    reasons = {
        reason: found["nv_inference_request_failure_total", (labels[0], ("reason", reason), labels[1])]
        for reason in REASONS
    }
    assert reasons == {"REJECTED": 1, "CANCELED": 0, "BACKEND": 0, "OTHER": 1}
    told = {
        name.removesuffix("_total"): value
        for (name, of), value in found.items()
        if name.startswith("nv_") and of == labels
    }
    assert told == pytest.approx(
        {
            "nv_inference_request_success": 2,
            "nv_inference_count": 8,
            "nv_inference_exec_count": 1,
            "nv_inference_request_duration_us": 2000,
            "nv_inference_queue_duration_us": 3000,
            "nv_inference_compute_input_duration_us": 10,
            "nv_inference_compute_infer_duration_us": 2000,
            "nv_inference_compute_output_duration_us": 20,
            "nv_inference_pending_request_count": 5,
        }
    )
    assert not [name for name, _ in samples(metrics.Metrics()) if name.startswith("nv_")]


async def test_a_server_that_is_asked_for_tritons_names_tells_them_with_their_types(
    serve: Callable[..., Any], mlp: pathlib.Path
) -> None:
    server = await serve(mlp, triton_metrics=settings.read({"FORESAIL_TRITON_METRICS": "1"}).triton_metrics)
    async with server.client.get(f"{server.address}{contract.METRICS_PATH}") as response:
        text = await response.text()
    types = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE nv_"))
    counters = (
        "request_success",
        "request_failure",
        "count",
        "exec_count",
        "request_duration_us",
        "queue_duration_us",
        "compute_input_duration_us",
        "compute_infer_duration_us",
        "compute_output_duration_us",
    )
    gauges = {"nv_inference_pending_request_count": "gauge"}
    assert types == {f"nv_inference_{name}": "counter" for name in counters} | gauges
    told = {line.split("{")[0] for line in text.splitlines() if line.startswith("nv_")}
    assert told == set(types)


def test_a_models_counts_are_made_once() -> None:
    made = metrics.Metrics()
    assert made.model("m", "1") is made.model("m", "1")
    assert made.model("m", "2") is not made.model("m", "1")


async def test_pages_have_every_metric_of_a_server(serve: Callable[..., Any], mlp: pathlib.Path) -> None:
    server = await serve(mlp)
    families = text_string_to_metric_families(exposition.Exposition(server.app.metrics).render().decode())
    names = [f"{family.name}_total" if family.type == "counter" else family.name for family in families]
    ours = [name for name in names if name.startswith("foresail_")]
    pages = (DOCS / "runtime.md").read_text() + (DOCS / "drift.md").read_text()
    assert len(ours) > 10
    assert [name for name in ours if f"`{name}`" not in pages] == []


def kinds(error: type[errors.ForesailError]) -> Iterator[type[errors.ForesailError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)


def test_page_has_every_reason_by_which_errors_are_counted() -> None:
    (line,) = (
        line for line in (DOCS / "runtime.md").read_text().splitlines() if "foresail_rejected_requests_total" in line
    )
    assert {kind.reason for kind in kinds(errors.ForesailError)} <= {word.strip("`") for word in line.split("`")}
