"""Words for a pod that starts, of which its status has none: its runtime has them, or they stand in Events only.

A runtime that listens is asked how far it is, for a fetch that is slow or tried again and again ends nothing. A volume
that can't be mounted, and a probe that fails, leave no trace but Events. Those are not watched (a cluster has far more
of them than models), so those of one pod are read, and only once it has been starting for longer than a pod does.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import aiohttp
import orjson

from foresail_operator import errors, sockets
from foresail_operator.api import kinds
from foresail_operator.api.conditions import FROM_RUNTIME, Reason
from foresail_operator.status.pods import Trouble
from foresail_runtime import contract

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from foresail_operator.kube import Kube
    from foresail_operator.live import Key
    from foresail_operator.status.pods import Pod

_LOG: Final = logging.getLogger(__name__)
_FIRST_SECONDS: Final = 4.0
"""A second look comes as soon again: whoever starts slowly is to be heard within ten seconds as well."""
_LONGEST_SECONDS: Final = 8.0
"""Of a runtime that says how far it is: what happens to it later is to be heard within ten seconds too."""
_LONGEST_OF_EVENTS_SECONDS: Final = 60.0
_ASK_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
_LONGEST_ANSWER_BYTES: Final = 16384
_REASONS: Final = {
    "FailedMount": Reason.VOLUME,
    "FailedAttachVolume": Reason.VOLUME,
    "FailedCreatePodSandBox": Reason.CONFIG,
    "Unhealthy": Reason.PROBE,
}
_NOT_READY: Final = re.compile(r"^Readiness probe failed: .*statuscode: 503$")
"""How a runtime says that it fetches or loads its model: that is no trouble."""

Ask: TypeAlias = "Callable[[str, bool], Awaitable[dict[str, Any]]]"
"""Asks the runtime at an address, with TLS or without, for its readiness."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    """When to ask about a pod next, after which pause, and what was answered last."""

    pod: str
    next_at: float
    pause: float
    words: Trouble | None = None


class Explainer:
    """Asks why pods that start don't get further, with growing pauses."""

    def __init__(self, kube: Kube, ask: Ask) -> None:
        self._kube = kube
        self._ask = ask
        self._asked: dict[Key, _Asked] = {}

    def forget(self, key: Key) -> None:
        """Drop what is known of a model whose pods have got further."""
        self._asked.pop(key, None)

    async def explain(self, key: Key, pod: Pod, now: float, *, tls: bool = False) -> tuple[Trouble | None, float]:
        """Return what holds a starting pod up, if anything, and the seconds after which to ask again.

        `tls` tells how the pod speaks.
        """
        asked = self._asked.get(key)
        if asked is None or asked.pod != pod.uid:
            asked = self._asked[key] = _Asked(pod.uid, now + _FIRST_SECONDS, _FIRST_SECONDS)
        if now >= asked.next_at:
            found, limit = read(await self._ask(pod.address, tls)) if pod.address else None, _LONGEST_SECONDS
            if found is None:
                found, limit = await self._events(key[0], pod.uid), _LONGEST_OF_EVENTS_SECONDS
            longer = min(asked.pause * 2, limit)
            asked = self._asked[key] = _Asked(pod.uid, now + asked.pause, longer, found)
        return asked.words, asked.next_at - now

    async def _events(self, namespace: str, uid: str) -> Trouble | None:
        """Return what a pod's Events say; nothing where they can't be read, for the rest of the status has its say."""
        query = {"fieldSelector": f"involvedObject.uid={uid},type=Warning", "limit": "50"}
        try:
            return choose(await self._kube.list(kinds.EVENT, namespace, query))
        except errors.ApiError as error:
            _LOG.warning("a pod's Events could not be read", extra={"error": str(error)})
            return None


async def ask(address: str, tls: bool) -> dict[str, Any]:
    """Return what a pod's runtime says of its readiness; empty when it says nothing.

    Who answers at a pod's address is as certain without verifying TLS as the address is, and nothing secret is said.
    """
    url = f"{'https' if tls else 'http'}://{sockets.bracketed(address)}:{contract.HTTP_PORT}{contract.READY_PATH}"
    try:
        async with aiohttp.ClientSession(timeout=_ASK_TIMEOUT) as session, session.get(url, ssl=False) as response:
            found = orjson.loads(await response.content.read(_LONGEST_ANSWER_BYTES))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read(document: dict[str, Any]) -> Trouble | None:
    """Return what a runtime that is not ready says; None when it says nothing that is known."""
    words = str(document.get("message") or "")
    if document.get("ready") is not False or not words:
        return None
    received, total = document.get("received_bytes"), document.get("total_bytes")
    if isinstance(received, int):
        words += f"; {received:,} bytes{f' of {total:,}' if isinstance(total, int) else ''} are here"
    reason = str(document.get("reason"))
    return Trouble(Reason(reason) if reason in FROM_RUNTIME else Reason.LOADING, words[:1000])


def choose(events: list[dict[str, Any]]) -> Trouble | None:
    """Return the newest of a pod's Events that says what holds it up."""
    known = [
        one
        for one in events
        if one.get("reason") in _REASONS and one.get("message") and not _NOT_READY.match(one["message"].strip())
    ]
    newest = max(known, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""), default=None)
    return Trouble(_REASONS[newest["reason"]], " ".join(newest["message"].split())[:1000]) if newest else None
