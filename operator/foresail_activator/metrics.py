"""What the activator measures of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from foresail_activator.limits import Held

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 5, 10, 30, 60, 120)


class Metrics:
    """The activator's metrics, in a registry of their own."""

    def __init__(self, held: Held) -> None:
        self.registry = CollectorRegistry()
        self.outcomes = Counter(
            "foresail_activator_connections",
            "Connections that sent something, by how they went on: forwarded, refused, gone.",
            ["outcome"],
            registry=self.registry,
        )
        self.hold_seconds = Histogram(
            "foresail_activator_hold_seconds",
            "Time from a connection's first byte until a replica took it.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.wakes = Counter(
            "foresail_activator_wakes", "Models that the operator was asked to wake.", registry=self.registry
        )
        for name, text, read in (
            ("open_connections", "Open connections.", lambda: held.connections),
            ("held_requests", "Connections that wait for a replica.", lambda: held.requests),
            ("held_bytes", "Bytes kept of them.", lambda: held.bytes),
        ):
            Gauge(f"foresail_activator_{name}", text, registry=self.registry).set_function(read)
