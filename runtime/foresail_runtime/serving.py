"""The one door to the models: what REST and gRPC call once a request is decoded.

Used on the event loop's thread only. A model's version is added when it is loaded and warm; the model's name is known
before, so that "not ready yet" and "no such model" are told apart. A version that leaves is no longer found, and is
released once the last request that found it is answered.

```
 add ──> found by its version, its labels, and "" if it is the default ──> retire ──> answers what it has ──> released
```
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from foresail_runtime import contract, errors
from foresail_runtime.health import State
from foresail_runtime.heavy import Heavy
from foresail_runtime.repository import layout
from foresail_runtime.repository.layout import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from foresail_runtime.auth import Guard
    from foresail_runtime.health import Health
    from foresail_runtime.lobby import Lobby
    from foresail_runtime.metrics import Metrics, ModelMetrics
    from foresail_runtime.model import Model
    from foresail_runtime.repository.layout import Names
    from foresail_runtime.tensors import InferRequest, InferResponse, ModelInfo

_LOAD_STATES: Final = {State.READY: "ready", State.DRAINING: "draining", State.STOPPED: "draining"}
_PHASES: Final = (State.STARTING, State.FETCHING, State.VERIFYING, State.LOADING, State.WARMING)
_ON_CPU: Final = (("CPUExecutionProvider",), ("OpenVINOExecutionProvider",))
UNLOADED: Final = "it was unloaded; to use it, load it again"
"""What keeps a model from being there that a call unloaded."""
CLIENT_GONE: Final = 499
"""Counted for a request whose client did not wait for the answer; the number that nginx has for it."""


class Library(Protocol):
    """Where models come from while the server runs: what `repository/…` calls ask."""

    def index(self) -> list[Entry]:
        """Return every version that is known, and how it is."""

    async def load(self, name: str) -> None:
        """Serve what the model's folder holds now; raises why it can't be."""

    async def unload(self, name: str) -> None:
        """Serve a model no more, once its requests are answered."""


class Serving:
    """The models, and how many requests are under way."""

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        workers: Executor,
        clock: Callable[[], float] = time.monotonic,
        *,
        heavy: Heavy | None = None,
        overload_status: int = errors.QueueFull.http_status,
        cores: float | None = None,
    ) -> None:
        self.health: Final = health
        self.metrics: Final = metrics
        self.workers: Final = workers
        """Threads for decoding pictures."""
        self.heavy: Final = Heavy(workers) if heavy is None else heavy
        """Reads documents so large that they would hold the loop up."""
        self.clock: Final = clock
        self._overload_status: Final = overload_status
        self._cores: Final = cores
        self._in_flight = 0
        self._changed = clock()
        self._load_seconds = 0.0
        self._models: dict[tuple[str, str], Model] = {}
        """By name and version."""
        self._found: dict[tuple[str, str], Model] = {}
        """The same, and by labels and "" for the default: all that a request can ask for."""
        self._names: dict[str, Names] = {}
        self._expected: dict[str, str] = {}
        """Names that are known; what keeps one from being ready, if it is more than the server's own state."""
        self._leaving: set[Model] = set()
        self._past_requests = 0
        self._past_refused = 0
        self._past_latency = [0] * contract.LATENCY_COUNTS
        self.library: Library | None = None
        """Loads and unloads; None: this server serves what it was started with."""
        self.board: Any = None
        """Told what runs, in case that it crashes (a `termination.Board`); None: there is but one model to blame."""
        self.lobby: Lobby | None = None
        """Where requests wait while a container is started again; None: nowhere."""
        self.keys: Guard | None = None
        """Who may have it load and unload; None: nobody."""

    @property
    def in_flight(self) -> int:
        """Inference requests begun and not answered, queued ones among them; counted by `begin` and `end`."""
        return self._in_flight

    def begin(self, model: Model, since: float | None = None) -> None:
        """Count a request in that has found its model, now or at an earlier time; `end` counts it out."""
        self._integrate()
        if since is not None:
            self._load_seconds += self._changed - since
        self._in_flight += 1
        model.in_flight += 1

    def passed(self, seconds: float) -> None:
        """Count a request that came and went in one piece: nobody could look, so only the integral shows it."""
        self._load_seconds += seconds

    def end(self, model: Model) -> None:
        """Count a request out."""
        self._integrate()
        self._in_flight -= 1
        model.in_flight -= 1
        if model.drained is not None and not model.in_flight:
            model.drained.set()

    def _integrate(self) -> None:
        """Bring the integral of what is in flight up to now, before that changes or is read."""
        now = self.clock()
        self._load_seconds += (now - self._changed) * self._in_flight
        self._changed = now

    def load(self, *, latency: bool = False) -> contract.Load:
        """Return what this process carries, and has carried; with counts by latency if asked for."""
        self._integrate()
        queued = min(self.queued, self._in_flight)
        models = self.models()
        now, ready_at = self._changed, self.health.ready_at
        told = ready_at is not None and now - ready_at < contract.START_TOLD_SECONDS
        counts = [_begun(model.metrics) for model in self._counted()] if latency else []
        refused = self.metrics.rejected[errors.QueueFull.reason]
        early = refused - self._past_refused - sum(model.metrics.refused.count for model in self._counted())
        return contract.Load(
            state=_LOAD_STATES.get(self.health.status.state, "starting"),
            in_flight=self._in_flight - queued,
            queued=queued,
            requests=self._past_requests + sum(model.metrics.total.count for model in self._counted()) + early,
            load_seconds=self._load_seconds,
            batch_size=models[0].best_rows if models else None,
            batch_seconds=models[0].best_seconds if models else None,
            age_seconds=now - self.health.began if told else None,
            phases=_phases(self.health) if told else {},
            latency=tuple(map(sum, zip(self._past_latency, *counts, strict=True))) if counts else (),
            refused=refused,
            cores=self._cores if models and models[0].metrics.providers[:1] in _ON_CPU else None,
        )

    def expect(self, name: str, problem: str = "") -> None:
        """Say that a model of that name is on its way, or what keeps it from being there."""
        self._expected[name] = problem

    def problem(self, name: str) -> str:
        """Return what keeps a model from being there; "" if it is, or is on its way."""
        return self._expected.get(name, "")

    def forget(self, name: str) -> None:
        """Say that there is no model of that name any more; its versions have been retired."""
        self._expected.pop(name, None)
        self._names.pop(name, None)

    def add(self, model: Model, names: Names | None = None) -> Model | None:
        """Serve a version from now on and return the one whose place it takes; `names` are its model's from now on."""
        key = (model.name, model.version)
        before = self._models.get(key)
        self._expected[model.name] = ""
        self._models[key] = model
        if names is not None:
            self._names[model.name] = names
        self._find_again()
        return before

    def rename(self, name: str, names: Names) -> None:
        """Give a model's versions other labels, or another default."""
        self._names[name] = names
        self._find_again()

    async def retire(self, model: Model, seconds: float) -> None:
        """Serve a version no more: let it answer what it has, for that long at most, and release it."""
        if self._models.get((model.name, model.version)) is model:
            del self._models[model.name, model.version]
            self._find_again()
        model.drained = asyncio.Event()
        self._leaving.add(model)
        try:
            if model.in_flight:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(model.drained.wait(), seconds)
        finally:
            self._leaving.discard(model)
            model.batcher.close(errors.NotReady(f"version {model.version!r} of model {model.name!r} was unloaded"))
            model.release()
            if (model.name, model.version) not in self._models:
                self._past_requests += model.metrics.total.count
                self._past_refused += model.metrics.refused.count
                past = _begun(model.metrics)
                self._past_latency = [sum(pair) for pair in zip(self._past_latency, past, strict=True)]
                self.metrics.models.pop((model.name, model.version), None)

    def index(self, *, ready: bool = False) -> list[Entry]:
        """Return every version that is known and how it is, or those only that are ready."""
        if self.library is None:
            return [Entry(model.name, model.version, "READY") for model in self.models()]
        return [entry for entry in self.library.index() if not ready or entry.state == "READY"]

    def library_for(self, authorization: str | None) -> Library:
        """Return what loads and unloads, to a caller who may.

        Raises:
            Forbidden: Nobody may.
            Unauthorized: This caller may not.
        """
        if self.library is None:
            raise errors.Forbidden(
                "this server serves the one model it was started with; start it with a folder of models"
            )
        if self.keys is None:
            raise errors.Forbidden(
                "loading and unloading by a call is off: start the server with FORESAIL_REPOSITORY_TOKENS, a file with "
                "the tokens of those who may"
            )
        self.keys.check(authorization, certified=False)
        return self.library

    def models(self) -> tuple[Model, ...]:
        """Return every version that is served."""
        return tuple(self._models.values())

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the versions of a model that are served, in the order of their numbers."""
        return tuple(sorted((version for known, version in self._models if known == name), key=layout.order))

    def _counted(self) -> list[Model]:
        """Return one model for each set of counts: a version that takes another's place goes on with its counts."""
        return list({id(model.metrics): model for model in (*self._models.values(), *self._leaving)}.values())

    def _find_again(self) -> None:
        found: dict[tuple[str, str], Model] = {}
        for name in {name for name, _ in self._models}:
            versions = self.versions(name)
            for word, version in layout.aliases(versions, self._names.get(name)).items():
                found[name, word] = self._models[name, version]
        self._found = found

    def usual_seconds(self, engine: object) -> float | None:
        """Return how long a run of an engine takes in the mean; None: it never ran. Called from any thread."""
        for model in (*self._models.values(), *self._leaving):
            if model.engine is engine:
                seen = model.metrics.compute
                return seen.mean if seen.count else model.best_seconds  # else of its warm-up, if it had one
        return None

    @property
    def queued(self) -> int:
        """Requests that wait for an engine."""
        return sum(model.batcher.queued for model in (*self._models.values(), *self._leaving))

    @property
    def queued_bytes(self) -> int:
        """Bytes of the requests that wait."""
        return sum(model.batcher.queued_bytes for model in (*self._models.values(), *self._leaving))

    def missed(self, name: str) -> bool:
        """Tell whether a request for a model is to `wait`: it is not served, and was until a moment ago."""
        return self.lobby is not None and self.lobby.open and self._expected.get(name) == "" and not self.versions(name)

    async def wait(self) -> None:
        """Wait for what was served until a moment ago; who is not `missed` need not."""
        if self.lobby is not None:
            await self.lobby.wait()

    def live(self) -> bool:
        """Whether the process can be of use: it can answer, or nobody would hear this, but perhaps no device works."""
        return not self.broken

    @property
    def broken(self) -> str:
        """What a device said when it failed, which only another process can mend; "" while all work."""
        return next((words for model in self._models.values() if model.engine and (words := model.engine.broken)), "")

    def ready(self) -> bool:
        """Whether every model is loaded and warm, and the server is not on its way out."""
        return self.health.ready

    def model(self, name: str, version: str = "") -> Model:
        """Return a loaded model; "" is its default version.

        Raises:
            NotFound: There is no such model, or no such version of it.
            NotReady: It is not loaded yet, or could not be.
        """
        model = self._found.get((name, version))
        if model is None:
            raise self._missing(name, version)
        return model

    def asked(self, name: str, version: str = "") -> list[Model]:
        """Return the version asked for, or without one every version of the model, the oldest first.

        Raises:
            NotFound: There is no such model, or no such version of it.
            NotReady: It is not loaded yet, or could not be.
        """
        if version:
            return [self.model(name, version)]
        versions = self.versions(name)
        if not versions:
            raise self._missing(name, version)
        return [self.model(name, each) for each in versions]

    def _missing(self, name: str, version: str) -> errors.ForesailError:
        versions = self.versions(name)
        if not versions:
            if name in self._expected:
                status = self.health.status
                words = self._expected[name] or status.message or status.reason
                kind = errors.Unloaded if words == UNLOADED else errors.NotReady
                return kind(f"model {name!r} is not ready: {words}")
            known = ", ".join(repr(known) for known in sorted(self._expected)) or "none"
            return errors.NotFound(f"there is no model {name!r}; this server has {known}")
        has = ", ".join(repr(known) for known in versions)
        names = self._names.get(name)
        meant = (names.labels.get(version) if version else names.default) if names is not None else None
        if meant is not None:
            word = f"label {version!r}" if version else "the default"
            return errors.NotFound(f"{word} of model {name!r} is version {meant!r}, which is not loaded; loaded: {has}")
        labels = f" and the labels {', '.join(map(repr, sorted(names.labels)))}" if names and names.labels else ""
        return errors.NotFound(f"model {name!r} has no version {version!r}; it has {has}{labels}")

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
        """Return what the metadata endpoints say, with all versions there are; raises as `model` does."""
        return dataclasses.replace(self.model(name, version).info, versions=self.versions(name))

    def status_of(self, failure: errors.ForesailError) -> int:
        """Return the HTTP status that a failure is answered with, and counted as."""
        return self._overload_status if isinstance(failure, errors.QueueFull) else failure.http_status

    @contextlib.contextmanager
    def counted(self, model: Model, way: str) -> Iterator[None]:
        """Count what is done within as one request of a model, with its time and how it ended."""
        start = self.clock()
        self.begin(model)
        status, refused = 500, False
        try:
            yield
            status = 200
        except errors.ForesailError as failure:
            status, refused = self.status_of(failure), isinstance(failure, errors.QueueFull)
            raise
        except (asyncio.CancelledError, ConnectionError):
            status = CLIENT_GONE
            raise
        finally:
            self.end(model)
            model.metrics.answered(way, status, self.clock() - start, refused=refused)

    async def infer(self, name: str, version: str, request: InferRequest, size: int = 0) -> InferResponse:
        """Answer a decoded request and count it; `size` is the bytes it holds while it waits.

        Raises:
            ForesailError: As `model`, the batcher and the engine do.
        """
        model = self.model(name, version)
        self.begin(model)
        try:
            return await model.infer(request, size or request.nbytes)
        finally:
            self.end(model)


def _begun(counts: ModelMetrics) -> list[int]:
    """Return how many requests were begun, by latency in the contract's buckets: a refusal takes no time."""
    bounds = contract.LATENCY_BUCKETS_SECONDS
    both = zip(counts.total.counts_within(bounds), counts.refused.counts_within(bounds), strict=True)
    return [total - refused for total, refused in both]


def _phases(health: Health) -> dict[str, float]:
    """Return how long the process took until it was ready, in the contract's words, in milliseconds' precision."""
    seconds = health.phases
    return {name: round(seconds.get(state, 0.0), 3) for name, state in zip(contract.START_PHASES, _PHASES, strict=True)}
