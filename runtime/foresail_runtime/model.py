"""One loaded version of a model: what the door to the models hands to those who answer requests."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from foresail_runtime.tensors import InferResponse, ModelInfo, Tensor

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    import numpy.typing as npt

    from foresail_runtime.batching.batcher import Batcher
    from foresail_runtime.drift.watch import Watch
    from foresail_runtime.engine.session import Engine
    from foresail_runtime.metrics import ModelMetrics
    from foresail_runtime.tasks import classification, detection, tabular
    from foresail_runtime.tensors import InferRequest, Signature


def _nothing() -> None:
    """Release what holds nothing."""


@dataclasses.dataclass(eq=False, slots=True)
class Model:
    """One loaded version of a model, ready to answer."""

    info: ModelInfo
    batcher: Batcher
    metrics: ModelMetrics
    timeout_seconds: float
    picture: detection.Detector | classification.Classifier | None = None
    """How pictures become its input and its output an answer; None: it takes tensors only."""
    max_batch_size: int = 0
    """Rows that share a run at most; 0: the model has no batch dimension."""
    table: tabular.Table | None = None
    """How rows of a table become its inputs; None: its task is another."""

    best_rows: int | None = None
    """Rows of the batch that warm-up found to have the best throughput; None: not measured."""
    best_seconds: float | None = None
    """How long that batch takes."""
    drift: Watch | None = None
    """What compares its rows with a reference; None: it has none."""
    engine: Engine | None = None
    """What runs it, for those who find that at work."""
    release: Callable[[], None] = _nothing
    """Ends its thread, once nothing runs on it any more."""
    in_flight: int = 0
    """Requests that found this version and are not answered yet; counted by the door."""
    preparing: int = 0
    """Pictures for it that are being decoded, or wait for a worker to decode them; counted by who answers them."""
    answers_large: bool = False
    """Whether a small request got an answer that is better packed on another thread than on the loop's."""
    drained: asyncio.Event | None = None
    """Set once the last of them is answered; None: it does not leave."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.info.name

    @property
    def version(self) -> str:
        """This version's name."""
        return self.info.versions[0]

    @property
    def signature(self) -> Signature:
        """What the model takes and gives."""
        return self.info.signature

    def respond(self, request: InferRequest, arrays: list[npt.NDArray[Any]]) -> InferResponse:
        """Name the arrays that the engine gave for a request."""
        outputs = self.info.signature.outputs
        if len(arrays) == 1 == len(outputs):  # most models, and every microsecond of a small one counts
            spec = outputs[0]
            only = Tensor(spec.name, spec.datatype, arrays[0])
            return InferResponse(self.info.name, self.info.versions[0], (only,), request.id)
        if request.outputs:
            by_name = {spec.name: spec for spec in outputs}
            outputs = tuple(by_name[name] for name in request.outputs)
        named = tuple(Tensor(spec.name, spec.datatype, array) for spec, array in zip(outputs, arrays, strict=True))
        return InferResponse(self.info.name, self.info.versions[0], named, request.id)

    def timeout(self, request: InferRequest) -> float:
        """Return the seconds a request may take: its own wish, if that is less than the model's limit."""
        wish = request.timeout_seconds
        return self.timeout_seconds if wish is None else min(self.timeout_seconds, wish)

    async def infer(self, request: InferRequest, size: int) -> InferResponse:
        """Queue a request and return its answer; `size` is the bytes it holds while it waits."""
        return self.respond(request, await self.batcher.infer(request, size, self.timeout(request)))
