"""Where requests wait that come to a container started again before anybody knows that the one before it ended.

A container that ends is started again at once, in the same pod and at the same address. Until the kubelet has seen it
and each node has heard of it (a second or two: kube-proxy gathers changes), requests are sent here as if the model
were ready. They would be refused for no fault of theirs, so they wait until it is. In a pod's first start nobody is
sent here, and whoever comes all the same is told at once how far the start is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from foresail_runtime import logs

if TYPE_CHECKING:
    from pathlib import Path

    from foresail_runtime.health import Health

log = logging.getLogger(__name__)

WAIT_SECONDS: Final = 10.0
"""Far longer than an endpoint takes to be withdrawn; who asks later was told where to go."""
MARK: Final = ".served"
"""The file, beside what was fetched, that says that a container of this pod has been ready; it ends with the pod."""


class Lobby:
    """Closed at a first start and once the start is over: then nobody waits."""

    def __init__(self, health: Health, folder: Path | None, seconds: float = WAIT_SECONDS) -> None:
        """Open if a container of this pod was ready before; no `folder`: this is no pod."""
        self._mark = None if folder is None else folder / MARK
        self._health = health
        self._seconds = seconds
        self._settled = asyncio.Event()
        self.open = self._mark is not None and self._mark.exists()
        """Whether `wait` may take time."""
        health.when_settled(self._settle)

    async def wait(self) -> None:
        """Wait until the start is over, well or not, but not for long."""
        if self.open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), self._seconds)

    def _settle(self) -> None:
        self.open = False
        self._settled.set()
        if self._mark is None or not self._health.ready:
            return
        try:
            self._mark.parent.mkdir(parents=True, exist_ok=True)
            self._mark.touch()
        except OSError as error:
            log.warning("can't note that this pod has served", extra=logs.fields(path=self._mark, error=error))
