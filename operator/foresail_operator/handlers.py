"""The only place that knows kopf: it watches ModelDeployments; what it sees goes to the cache and the queue.

Handlers of events only: kopf then writes nothing on any object, neither annotation nor finalizer. What else it
would keep per object (its copy of the last state, its progress) is switched off, as nobody reads it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, cast

import kopf

from foresail_operator.api import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from foresail_operator.access import Access
    from foresail_operator.api.kinds import Kind


_WATCH_SECONDS: Final = 240
"""The server ends a watch after this, with a bookmark just before, so that the next one goes on where it ended."""
_LONGEST_PAUSE_SECONDS: Final = 4.0
_SILENCE_SECONDS: Final = 25.0
"""A watch without any event or bookmark for this long is opened again; it costs one request."""


class _Backoffs:
    """Pauses between the tries of a failing request: they have no end, as kopf would take itself for broken at
    theirs, and stay short, as they also pass after the API server is back.
    """

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.5, 1.0, 2.0), itertools.repeat(_LONGEST_PAUSE_SECONDS))


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last-handled state: kopf would copy every object at every event to compare it."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """Keep nothing."""


class _NoProgress(kopf.ProgressStorage):
    """Keeps no progress of handlers: those of events have none."""

    def fetch(self, **_: Any) -> kopf.ProgressRecord | None:
        return None

    def store(self, **_: Any) -> None:
        """Keep nothing."""

    def purge(self, **_: Any) -> None:
        """Keep nothing."""

    def touch(self, **_: Any) -> None:
        """Keep nothing."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings for us."""
    result = kopf.OperatorSettings()
    result.peering.standalone = True
    result.posting.enabled = False
    result.scanning.disabled = True  # needs no rights on CRDs and namespaces; `app` waits for the CRD
    result.persistence.diffbase_storage = _NoDiffBase()
    result.persistence.progress_storage = _NoProgress()
    result.process.ultimate_exiting_timeout = 30
    result.watching.server_timeout = _WATCH_SECONDS
    result.watching.inactivity_timeout = _SILENCE_SECONDS
    result.watching.chunk_size = 500
    result.networking.request_timeout = 15
    result.networking.connect_timeout = 5
    result.networking.error_backoffs = _Backoffs()
    return result


def register(sink: Callable[[Kind, str | None, dict[str, Any]], None], access: Access) -> kopf.OperatorRegistry:
    """Return a registry whose handlers feed the sink."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=access.server, aiohttp_session=access.session())

    kind = kinds.MODEL_DEPLOYMENT

    @kopf.on.event(kind.group, kind.version, kind.plural, id=kind.plural, registry=registry)
    async def seen(*, event: kopf.RawEvent, **_: Any) -> None:
        sink(kind, event["type"], cast("dict[str, Any]", event["object"]))

    return registry
