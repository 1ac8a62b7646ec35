"""Watches one kind of what we own: lists it, then follows the server's stream of changes while the operator runs.

    list --> follow --the server ended it in time, or it broke or went silent--> follow from the last version
      ^        |
      +--410---+   that version is too old: the list tells what changed, and what is gone

kopf watches ModelDeployments. Children and pods are nine tenths of all events, and per event kopf keeps a task, a
queue and a record for features that nobody uses here; this costs a tenth of it (docs/decisions/0012).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from foresail_operator import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from foresail_operator.api.kinds import Kind
    from foresail_operator.kube import Kube

_LOG: Final = logging.getLogger(__name__)
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 5.0
"""Short: a model whose children can't be seen can't be looked after."""
SHORT_SECONDS: Final = 1.0
"""A stream that the server ended sooner than this counts as a failure, or we would ask again without a pause."""


class Sink(Protocol):
    """Takes in what a watch shows."""

    def sink(self, kind: Kind, event: str | None, raw: dict[str, Any]) -> None:
        """Take in an event, or an object of a list as one without a name."""

    def known(self, kind: Kind, namespace: str | None) -> Iterable[str]:
        """Return the uids of the objects that are known, in one namespace or all."""


class Watch:
    """One kind in one namespace, or in all."""

    def __init__(
        self,
        kube: Kube,
        kind: Kind,
        namespace: str | None,
        selector: str,
        *,
        sink: Sink,
        jitter: Callable[[], float],
    ) -> None:
        self._kube = kube
        self._kind = kind
        self._namespace = namespace
        self._selector = selector
        self._sink = sink
        self._jitter = jitter
        self._version: str | None = None
        """Where the next stream goes on; None when only a list can tell."""
        self.listed = asyncio.Event()
        """Set once all there was at the start has been shown."""

    async def run(self) -> None:
        """Show every change until cancelled."""
        failures = 0
        while True:
            asked_seconds = 0.0
            begun = time.monotonic()
            try:
                await self._once()
                failures = 0 if time.monotonic() - begun > SHORT_SECONDS else failures + 1
            except errors.ApiError as error:
                failures += 1
                asked_seconds = error.retry_after_seconds or 0.0
                if error.status == 410:
                    self._version = None
                _LOG.warning("a watch broke off", extra={"kind": self._kind.name, "error": str(error)})
            if failures:
                await asyncio.sleep(max(asked_seconds, self._pause(failures)))

    def _pause(self, failures: int) -> float:
        grown = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16))
        return grown * (0.5 + self._jitter() / 2)

    async def _once(self) -> None:
        """List if need be, and follow one stream to its end."""
        if self._version is None:
            self._version = await self._list()
            self.listed.set()
        changes = self._kube.changes(self._kind, self._namespace, self._selector, self._version)
        async with contextlib.aclosing(changes):
            async for event in changes:
                self._show(event["type"], event["object"])

    def _show(self, event: str, raw: dict[str, Any]) -> None:
        if event == "ERROR":
            raise errors.from_answer(int(raw.get("code") or 500), raw, None, f"watching {self._kind.plural}")
        self._version = raw["metadata"]["resourceVersion"]
        if event != "BOOKMARK":
            self._take_in(event, raw)

    async def _list(self) -> str:
        """Show all there is and what no longer is; return the version of the list."""
        before = frozenset(self._sink.known(self._kind, self._namespace))
        there: set[str] = set()
        version = ""
        async for page in self._kube.pages(self._kind, self._namespace, self._selector):
            for raw in page["items"] or ():
                there.add(raw["metadata"]["uid"])
                self._take_in(None, raw)
            version = page["metadata"]["resourceVersion"]
        for uid in before - there:
            self._take_in("DELETED", {"metadata": {"uid": uid}})
        return version

    def _take_in(self, event: str | None, raw: dict[str, Any]) -> None:
        """Hand an object on; a bug of ours at one must not end the watch of all, in every replica, again and again.

        Such an object stays as it was last known, so the next sweep finds that it went unseen, and says so.
        """
        try:
            self._sink.sink(self._kind, event, raw)
        except Exception:  # noqa: BLE001  # see above: the trace is in the log
            metadata = raw["metadata"]
            fields = {"namespace": metadata.get("namespace"), "object": metadata.get("name"), "uid": metadata["uid"]}
            _LOG.exception("an object could not be taken in", extra={"kind": self._kind.name, "event": event, **fields})
