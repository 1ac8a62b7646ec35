"""What is watched, as metrics and as a document.

Counters of the same model, version and feature add up over replicas, since their bins are the reference's; so
    sum by (feature, bin) (increase(foresail_drift_bin_total{model="m"}[1h]))
and `foresail_drift_reference_rows` make the whole deployment's index. The gauges are one replica's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foresail_runtime.drift import compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client import core

    from foresail_runtime.drift.reference import Feature
    from foresail_runtime.drift.watch import Watch

_LABELS = ("model", "version", "side", "feature")


def families(watched: Iterable[tuple[str, str, Watch]]) -> Iterator[core.Metric]:
    """Yield the metric families of models: name, version and what watches each."""
    from prometheus_client import core  # noqa: PLC0415  # as `exposition` says, which calls this

    bins = core.CounterMetricFamily("foresail_drift_bin", "Sampled rows by feature and bin.", labels=[*_LABELS, "bin"])
    reference = core.GaugeMetricFamily(
        "foresail_drift_reference_rows", "The reference's rows by feature and bin.", labels=[*_LABELS, "bin"]
    )
    psi = core.GaugeMetricFamily(
        "foresail_drift_psi", "Population stability index of this replica's window.", labels=_LABELS
    )
    chi_square = core.GaugeMetricFamily(
        "foresail_drift_chi_square", "Chi-square statistic of this replica's window.", labels=_LABELS
    )
    degrees = core.GaugeMetricFamily("foresail_drift_degrees_of_freedom", "Of the statistic.", labels=_LABELS)
    rows = core.CounterMetricFamily("foresail_drift_rows", "Rows that were sampled.", labels=_LABELS[:2])
    cost = core.CounterMetricFamily("foresail_drift_seconds", "What sampling has cost.", labels=_LABELS[:2])
    for model, version, watch in watched:
        now = watch.snapshot()
        rows.add_metric([model, version], now.rows)
        cost.add_metric([model, version], now.seconds)
        for feature, total, recent in zip(watch.reference.features, now.total, now.recent, strict=True):
            labels = [model, version, feature.side, feature.name]
            for name, count, known in zip(feature.bins, total, feature.counts, strict=True):
                bins.add_metric([*labels, name], count)
                reference.add_metric([*labels, name], known)
            if sum(recent):
                statistic, freedom = compare.chi_square(feature.counts, recent)
                psi.add_metric(labels, compare.psi(feature.counts, recent))
                chi_square.add_metric(labels, statistic)
                degrees.add_metric(labels, freedom)
    yield from (bins, reference, psi, chi_square, degrees, rows, cost)


def document(model: str, version: str, watch: Watch) -> dict[str, Any]:
    """Return one model's drift in this replica's window."""
    now = watch.snapshot()
    features = [_feature(one, recent) for one, recent in zip(watch.reference.features, now.recent, strict=True)]
    return {
        "model_name": model,
        "model_version": version,
        "window_seconds": watch.window_seconds,
        "reference_rows": watch.reference.rows,
        "sampled_rows": now.rows,
        "sampled_runs": f"1 of {now.stride}",
        "sampling_seconds": round(now.seconds, 6),
        "features": sorted(features, key=lambda feature: -feature["psi"]),
    }


def _feature(feature: Feature, recent: Sequence[int]) -> dict[str, Any]:
    rows = sum(recent)
    psi = compare.psi(feature.counts, recent) if rows else 0.0
    expected = compare.expected_psi(len(feature.counts), sum(feature.counts), rows)
    statistic, degrees = compare.chi_square(feature.counts, recent)
    return {
        "side": feature.side,
        "name": feature.name,
        "rows": rows,
        "verdict": compare.verdict(psi, expected, rows),
        "psi": round(psi, 6),
        "psi_by_chance": round(expected, 6) if rows else None,
        "chi_square": round(statistic, 4),
        "degrees_of_freedom": degrees,
        "p_value": compare.p_value(statistic, degrees),
        "bins": [
            {"bin": name, "reference": known, "rows": count}
            for name, known, count in zip(feature.bins, feature.counts, recent, strict=True)
        ],
    }
