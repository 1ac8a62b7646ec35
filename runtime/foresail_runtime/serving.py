"""The one door to the models: what REST and gRPC call once a request is decoded.

Used on the event loop's thread only. A model is added when it is loaded and warm; its name is known before, so
that "not ready yet" and "no such model" are told apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime import contract, errors
from foresail_runtime.health import State
from foresail_runtime.tensors import InferResponse, ModelInfo, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    import numpy.typing as npt

    from foresail_runtime.batching.batcher import Batcher
    from foresail_runtime.health import Health
    from foresail_runtime.metrics import Metrics, ModelMetrics
    from foresail_runtime.tasks import classification, detection, tabular
    from foresail_runtime.tensors import InferRequest, Signature

_LOAD_STATES: Final = {State.READY: "ready", State.DRAINING: "draining", State.STOPPED: "draining"}
CLIENT_GONE: Final = 499
"""Counted for a request whose client did not wait for the answer; the number that nginx has for it."""


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


class Serving:
    """The models, and how many requests are under way."""

    def __init__(
        self, health: Health, metrics: Metrics, workers: Executor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.health: Final = health
        self.metrics: Final = metrics
        self.workers: Final = workers
        """Threads for decoding pictures and unpacking large bodies."""
        self.clock: Final = clock
        self._in_flight = 0
        self._changed = clock()
        self._load_seconds = 0.0
        self._models: dict[str, Model] = {}
        self._expected: set[str] = set()

    @property
    def in_flight(self) -> int:
        """Inference requests begun and not answered, queued ones among them; counted by those who answer them."""
        return self._in_flight

    @in_flight.setter
    def in_flight(self, count: int) -> None:
        now = self.clock()
        self._load_seconds += (now - self._changed) * self._in_flight
        self._changed = now
        self._in_flight = count

    def load(self, *, latency: bool = False) -> contract.Load:
        """Return what this process carries, and has carried; with counts by latency if asked for."""
        self.in_flight = self._in_flight  # brings the integral up to now
        queued = min(self.queued, self._in_flight)
        models = self.models()
        counts = [model.metrics.total.counts_within(contract.LATENCY_BUCKETS_SECONDS) for model in models]
        return contract.Load(
            state=_LOAD_STATES.get(self.health.status.state, "starting"),
            in_flight=self._in_flight - queued,
            queued=queued,
            requests=sum(model.metrics.total.count for model in models),
            load_seconds=self._load_seconds,
            batch_size=models[0].best_rows if models else None,
            batch_seconds=models[0].best_seconds if models else None,
            latency=tuple(map(sum, zip(*counts, strict=True))) if latency else (),
        )

    def expect(self, name: str) -> None:
        """Say that a model of that name is on its way."""
        self._expected.add(name)

    def add(self, model: Model) -> None:
        """Serve a model from now on."""
        self._expected.add(model.name)
        self._models[model.name] = model

    def models(self) -> tuple[Model, ...]:
        """Return every loaded model."""
        return tuple(self._models.values())

    @property
    def queued(self) -> int:
        """Requests that wait for an engine."""
        return sum(model.batcher.queued for model in self._models.values())

    @property
    def queued_bytes(self) -> int:
        """Bytes of the requests that wait."""
        return sum(model.batcher.queued_bytes for model in self._models.values())

    def live(self) -> bool:
        """Whether the process can answer at all: it can, or nobody would hear this."""
        return True

    def ready(self) -> bool:
        """Whether every model is loaded and warm, and the server is not on its way out."""
        return self.health.ready

    def model(self, name: str, version: str = "") -> Model:
        """Return a loaded model; "" is its default version.

        Raises:
            NotFound: There is no such model, or no such version of it.
            NotReady: It is not loaded yet, or could not be.
        """
        model = self._models.get(name)
        if model is None:
            if name in self._expected:
                status = self.health.status
                raise errors.NotReady(f"model {name!r} is not ready: {status.message or status.reason}")
            known = ", ".join(repr(known) for known in sorted(self._expected)) or "none"
            raise errors.NotFound(f"there is no model {name!r}; this server has {known}")
        if version and version not in model.info.versions:
            has = ", ".join(repr(known) for known in model.info.versions)
            raise errors.NotFound(f"model {name!r} has no version {version!r}; it has {has}")
        return model

    def model_ready(self, name: str, version: str = "") -> bool:
        """Tell whether a model answers requests.

        Raises:
            NotFound: There is no such model or version.
        """
        try:
            self.model(name, version)
        except errors.NotReady:
            return False
        return self.health.ready

    def model_info(self, name: str, version: str = "") -> ModelInfo:
        """Return what the metadata endpoints say; raises as `model` does."""
        return self.model(name, version).info

    @contextlib.contextmanager
    def counted(self, model: Model, way: str) -> Iterator[None]:
        """Count what is done within as one request of a model, with its time and how it ended."""
        start = self.clock()
        self.in_flight += 1
        status = 500
        try:
            yield
            status = 200
        except errors.ForesailError as failure:
            status = failure.http_status
            raise
        except (asyncio.CancelledError, ConnectionError):
            status = CLIENT_GONE
            raise
        finally:
            self.in_flight -= 1
            model.metrics.answered(way, status, self.clock() - start)

    async def infer(self, name: str, version: str, request: InferRequest, size: int = 0) -> InferResponse:
        """Answer a decoded request and count it; `size` is the bytes it holds while it waits.

        Raises:
            ForesailError: As `model`, the batcher and the engine do.
        """
        model = self.model(name, version)
        self.in_flight += 1
        try:
            return await model.infer(request, size or sum(tensor.array.nbytes for tensor in request.inputs))
        finally:
            self.in_flight -= 1
