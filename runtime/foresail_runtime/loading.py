"""From a description to a model that answers: fetch, open, warm, measure, and say on the way how far it is."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import functools
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors, health, logs, repository, termination
from foresail_runtime.batching import batcher, plan
from foresail_runtime.codec import rest
from foresail_runtime.drift import attach, watch
from foresail_runtime.engine import cores, fixed, session, warmup
from foresail_runtime.model import Model
from foresail_runtime.repository import divisors, external, fetch, graph
from foresail_runtime.tasks import fit, tabular
from foresail_runtime.tensors import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_runtime.contract import ModelDescription
    from foresail_runtime.engine.session import Engine
    from foresail_runtime.engine.warmup import Profile, Warmable
    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings
    from foresail_runtime.tasks import classification, detection
    from foresail_runtime.tensors import Signature

log = logging.getLogger(__name__)

SMALL_FILE_BYTES: Final = 2**20
"""Models in files smaller than this are tried with one thread first: most run in microseconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """What a model is for, by its description and what it takes and gives."""

    task: str
    picture: detection.Detector | classification.Classifier | None
    table: tabular.Table | None
    drift: watch.Watch | None


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, warm; not served yet."""

    path: Path
    engine: Engine
    runner: Warmable
    """The engine, or what fills its batches up."""
    profile: Profile
    use: Use


def unseen(_state: health.State, _message: str) -> None:
    """Say nothing of how far a load is: the server is ready with what it has."""


async def load(
    description: ModelDescription,
    settings: Settings,
    door: Serving,
    say: Callable[[health.State, str], None] = unseen,
) -> Model:
    """Return the model, ready to be served; `say` is told how far it is.

    Raises:
        ModelUnusable: It can't be fetched, read, opened or warmed; the message says why.
    """
    with repository.reading():
        return await _load(description, settings, door, say)


async def _load(
    description: ModelDescription, settings: Settings, door: Serving, say: Callable[[health.State, str], None]
) -> Model:
    say(health.State.FETCHING, f"fetching {repository.public_address(description.uri)}")
    checking = functools.partial(say, health.State.VERIFYING, "comparing the file with its digest")
    path = await fetch.fetch(
        description, Path(settings.download_folder), door.health.progress, say=door.health.say, checking=checking
    )
    say(health.State.LOADING, f"loading {path.name}")
    loop = asyncio.get_running_loop()
    threads = max(1, min(settings.threads or cores.available(), cores.available()) // description.instances)
    executor = _executor(description, door)
    try:
        engine = await loop.run_in_executor(executor, _open, path, description, settings, threads)
        say(health.State.WARMING, "running the model for the first time")
        loaded = await loop.run_in_executor(executor, _warm, path, engine, description, settings, threads)
        model = serve(loaded, description, settings, door, executor)
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    _log(loaded, model)
    return model


def _executor(description: ModelDescription, door: Serving) -> concurrent.futures.ThreadPoolExecutor:
    """Return the thread that a model is opened on and runs on; as many threads as it has instances.

    ONNX Runtime's own threads are started by it, and are as polite as it is. With neighbours, politeness keeps a model
    that uses every core from holding up those that run on the event loop; a model alone holds up nobody.
    """
    name = f"engine {description.name}"
    polite = cores.be_polite if door.library is not None else None
    return concurrent.futures.ThreadPoolExecutor(description.instances, name, polite)


def serve(
    loaded: Loaded,
    description: ModelDescription,
    settings: Settings,
    door: Serving,
    executor: concurrent.futures.ThreadPoolExecutor,
) -> Model:
    """Put a batcher before a loaded model; on the loop's thread."""
    profile, engine = loaded.profile, loaded.engine
    counts = door.metrics.model(description.name, description.version, engine.providers)
    limits = _limits(profile, description, settings)
    watched = loaded.runner if loaded.use.drift is None else watch.Watched(loaded.runner, loaded.use.drift)
    rows = batcher.Batcher(
        watched if door.board is None else termination.Watched(watched, door.board, description.name),
        limits,
        counts,
        batched=profile.batchable,
        inline=profile.run_seconds is not None and profile.run_seconds <= batcher.INLINE_SECONDS,
        executor=executor,
        instances=description.instances,
        delay_seconds=description.batching.max_delay_milliseconds / 1000,
    )
    counts.pending = lambda: rows.queued
    properties = {"execution_provider": engine.providers[0], "task": loaded.use.task}
    properties |= {f"classes.{name}": json.dumps(names) for name, names in engine.classes.items()}
    if description.digest is not None:
        properties["digest"] = description.digest
    declared = loaded.runner.signature
    taken = declared.of_rows(profile.row_shapes) if profile.batchable else declared
    info = ModelInfo(description.name, (description.version,), taken, properties=properties)
    return Model(
        info,
        rows,
        counts,
        description.timeout_seconds,
        picture=loaded.use.picture,
        max_batch_size=limits.merge_rows if profile.batchable else 0,
        table=loaded.use.table,
        best_rows=profile.best_rows,
        best_seconds=profile.best_seconds,
        drift=loaded.use.drift,
        engine=engine,
        release=functools.partial(executor.shutdown, wait=False, cancel_futures=True),
    )


def _limits(profile: Profile, description: ModelDescription, settings: Settings) -> plan.Limits:
    """Return how many rows share a run, and how much may wait: what is wished, else what the warm-up found.

    No wish puts requests together that would change each other's answers.
    """
    wished, fixed_rows = description.batching.max_size, profile.fixed_rows
    most = (wished or profile.max_rows) if profile.batchable else 1
    return plan.Limits(
        merge_rows=min(most, fixed_rows) if fixed_rows else most,
        # A smaller piece of a batch that is filled up would cost as much as the whole.
        split_rows=profile.split_rows if fixed_rows else wished or profile.split_rows,
        queue_count=description.max_queue_size,
        queue_bytes=settings.max_queue_bytes,
    )


def _open(path: Path, description: ModelDescription, settings: Settings, threads: int) -> Engine:
    external.check(path)
    small = path.stat().st_size < SMALL_FILE_BYTES
    return session.open_engine(path, _options(path, description, settings, 1 if small else threads))


def _options(path: Path, description: ModelDescription, settings: Settings, threads: int) -> session.Options:
    operators = graph.operators(path)
    return session.Options(
        threads,
        description.execution_providers,
        settings.allow_fallback,
        name=description.name,
        operators=operators,
        open_divisors=divisors.are_open(path, operators),
    )


def _warm(path: Path, engine: Engine, description: ModelDescription, settings: Settings, threads: int) -> Loaded:
    use = _use(path, engine.signature, description, settings)  # what is wrong with it is told before the model is run
    if not description.warmup:
        return Loaded(path, engine, engine, _allowed(warmup.unmeasured(), use), use)

    def warm_up(runner: Warmable, together: int) -> Profile:
        sample = _sample(description, runner.signature, path)
        with engine.quietly():  # it tries what the model may refuse
            return warmup.warm(runner, time.perf_counter, sample, together=together)

    runner, profile = fixed.warm(engine, warm_up)
    slow = profile.run_seconds is None or profile.run_seconds > batcher.INLINE_SECONDS
    if slow and threads > 1 and path.stat().st_size < SMALL_FILE_BYTES:
        engine = session.open_engine(path, _options(path, description, settings, threads))
        runner, profile = fixed.warm(engine, warm_up)
    if runner is not engine:
        use = _use(path, runner.signature, description, settings)
    if use.picture is not None and (trial := use.picture.trial()) is not None:
        use = _use(path, warmup.shown(runner, trial), description, settings)
    return Loaded(path, engine, runner, _allowed(profile, use), use)


def _allowed(profile: Profile, use: Use) -> Profile:
    """Return the profile, of a detector whose outputs have a row a box, and not a picture, one that shares no run.

    The warm-up can't tell: its pictures may have had one box each, or it was not run.
    """
    if use.picture is None or use.picture.a_row_a_picture:
        return profile
    return warmup.alone(profile.run_seconds, profile.note)


def _use(path: Path, signature: Signature, description: ModelDescription, settings: Settings) -> Use:
    task, picture, table = fit.find(description.task, signature, path.parent)
    outputs = tuple(spec.name for spec in signature.outputs) if picture is None else picture.outputs
    drift = attach.attach(path.parent, signature, outputs, tabular.named(signature), settings)
    return Use(task, picture, table, drift)


def _sample(description: ModelDescription, signature: Signature, path: Path) -> warmup.Feed | None:
    """Return what the model is to be warmed with; None: anything that fits."""
    match description.warmup_data:
        case "random":
            return None
        case "zeros":
            return warmup.zeros(signature)
    file = path.parent / description.warmup_data
    try:
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise errors.ModelUnusable("WarmupFailed", f"the warm-up's file {description.warmup_data!r} lies outside")
        wanted, _ = rest.decode(signature, file.read_bytes(), None)
    except OSError as error:
        message = f"the warm-up's file {description.warmup_data!r} can't be read: {error.strerror}"
        raise errors.ModelUnusable("WarmupFailed", message) from error
    except errors.ForesailError as error:
        message = f"the warm-up's file {description.warmup_data!r} is no request of this model: {error.message}"
        raise errors.ModelUnusable("WarmupFailed", message) from error
    return {tensor.name: tensor.array for tensor in wanted.inputs}


def _log(loaded: Loaded, model: Model) -> None:
    seconds = loaded.profile.run_seconds
    log.info(
        "model ready",
        extra=logs.fields(
            model=model.name,
            version=model.version,
            provider=loaded.engine.providers[0],
            task=loaded.use.task,
            run_milliseconds=None if seconds is None else round(seconds * 1000, 3),
            batch_rows=loaded.profile.max_rows if loaded.profile.batchable else 1,
            note=loaded.profile.note or None,
        ),
    )
