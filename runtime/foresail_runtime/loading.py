"""From a description to a model that answers: fetch, open, warm, measure, and say on the way how far it is."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foresail_runtime import health, logs, repository, serving
from foresail_runtime.batching import batcher, plan
from foresail_runtime.engine import cores, session, warmup
from foresail_runtime.repository import external, fetch
from foresail_runtime.tasks import choose, pictures, tabular
from foresail_runtime.tensors import ModelInfo

if TYPE_CHECKING:
    from foresail_runtime.contract import ModelDescription
    from foresail_runtime.engine.session import Engine
    from foresail_runtime.engine.warmup import Profile
    from foresail_runtime.settings import Settings
    from foresail_runtime.tasks import classification, detection

log = logging.getLogger(__name__)

SMALL_FILE_BYTES: Final = 2**20
"""Models in files smaller than this are tried with one thread first: most run in microseconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, warm; not served yet."""

    path: Path
    engine: Engine
    profile: Profile
    task: str
    picture: detection.Detector | classification.Classifier | None
    table: tabular.Table | None


async def load(description: ModelDescription, settings: Settings, door: serving.Serving) -> serving.Model:
    """Return the model, ready to be served; moves the health from state to state.

    Raises:
        ModelUnusable: It can't be fetched, opened or warmed; the message says why.
    """
    state = door.health
    state.move(health.State.FETCHING, f"fetching {repository.public_address(description.uri)}")
    path = await fetch.fetch(description, Path(settings.download_folder), state.progress)
    state.move(health.State.LOADING, f"loading {path.name}")
    loop = asyncio.get_running_loop()
    threads = min(settings.threads or cores.available(), cores.available())
    engine = await loop.run_in_executor(door.workers, _open, path, description, settings, threads)
    state.move(health.State.WARMING, "running the model for the first time")
    loaded = await loop.run_in_executor(door.workers, _warm, path, engine, description, settings, threads)
    model = serve(loaded, description, settings, door)
    _log(loaded, model)
    return model


def serve(loaded: Loaded, description: ModelDescription, settings: Settings, door: serving.Serving) -> serving.Model:
    """Put a batcher before a loaded model; on the loop's thread."""
    profile, engine = loaded.profile, loaded.engine
    counts = door.metrics.model(description.name, description.version, engine.providers)
    wished = description.batching.max_size
    rows = batcher.Batcher(
        engine,
        plan.Limits(
            merge_rows=wished or profile.max_rows,
            split_rows=wished or profile.split_rows,
            queue_count=description.max_queue_size,
            queue_bytes=settings.max_queue_bytes,
        ),
        counts,
        batched=profile.batchable,
        inline=profile.run_seconds is not None and profile.run_seconds <= batcher.INLINE_SECONDS,
        executor=concurrent.futures.ThreadPoolExecutor(1, f"engine {description.name}"),
        delay_seconds=description.batching.max_delay_milliseconds / 1000,
    )
    properties = {"execution_provider": engine.providers[0], "task": loaded.task}
    if description.digest is not None:
        properties["digest"] = description.digest
    info = ModelInfo(description.name, (description.version,), engine.signature, properties=properties)
    largest = (wished or profile.max_rows) if profile.batchable else 0
    return serving.Model(
        info,
        rows,
        counts,
        description.timeout_seconds,
        picture=loaded.picture,
        max_batch_size=largest,
        table=loaded.table,
        best_rows=profile.best_rows,
        best_seconds=profile.best_seconds,
    )


def _open(path: Path, description: ModelDescription, settings: Settings, threads: int) -> Engine:
    external.check(path)
    small = path.stat().st_size < SMALL_FILE_BYTES
    options = session.Options(1 if small else threads, description.execution_providers, settings.allow_fallback)
    return session.open_engine(path, options)


def _warm(path: Path, engine: Engine, description: ModelDescription, settings: Settings, threads: int) -> Loaded:
    task = description.task if description.task != "auto" else choose.task(engine.signature)
    picture = pictures.describe(task, engine.signature, path.parent)
    table = tabular.Table(engine.signature) if task == choose.TABULAR else None
    if not description.warmup:
        return Loaded(path, engine, warmup.unmeasured(engine.signature), task, picture, table)
    profile = warmup.warm(engine, time.perf_counter)
    slow = profile.run_seconds is None or profile.run_seconds > batcher.INLINE_SECONDS
    if slow and threads > 1 and path.stat().st_size < SMALL_FILE_BYTES:
        options = session.Options(threads, description.execution_providers, settings.allow_fallback)
        engine = session.open_engine(path, options)
        profile = warmup.warm(engine, time.perf_counter)
    return Loaded(path, engine, profile, task, picture, table)


def _log(loaded: Loaded, model: serving.Model) -> None:
    seconds = loaded.profile.run_seconds
    log.info(
        "model ready",
        extra=logs.fields(
            model=model.name,
            version=model.version,
            provider=loaded.engine.providers[0],
            task=loaded.task,
            run_milliseconds=None if seconds is None else round(seconds * 1000, 3),
            batch_rows=loaded.profile.max_rows if loaded.profile.batchable else 1,
            note=loaded.profile.note or None,
        ),
    )
