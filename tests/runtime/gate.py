"""A gate before a model's engine, so that requests wait as long as a test needs them to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.runtime.conftest import Server

PATIENCE_SECONDS: Final = 10.0


class Gate:
    """Stands before the engine of a server's one model: notes each run's first number; runs wait until it is opened."""

    def __init__(self, server: Server) -> None:
        (model,) = server.app.serving.models()
        self.batcher = model.batcher
        self.engine: Any = self.batcher.feeder.engine
        self.batcher.feeder.engine = self
        self.batcher.feeder.inline = False
        self.output_names = self.engine.output_names
        self.gate = threading.Event()
        self.seen: list[float] = []

    @property
    def runs(self) -> int:
        """How many have begun."""
        return len(self.seen)

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        """Run once the gate is open."""
        self.seen.append(float(inputs["input"][0, 0]))
        assert self.gate.wait(PATIENCE_SECONDS)
        arrays: list[Any] = self.engine.run(inputs, outputs)
        return arrays
