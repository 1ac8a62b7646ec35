"""A listening port for each door, opened and closed as the directory says."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from foresail_activator.waiting import WaitingRoom
from foresail_operator import sockets

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_activator.directory import Directory, Door, Service
    from foresail_activator.hold import House

_LOG: Final = logging.getLogger(__name__)
BACKLOG: Final = 1024


class Listeners:
    """Keeps sockets and waiting rooms as the directory has them; it is a watch's sink."""

    def __init__(
        self, directory: Directory, house: House, wake: Callable[[Door], None], host: str = sockets.EVERYWHERE
    ) -> None:
        self._directory = directory
        self._house = house
        self._wake = wake
        self._host = host
        self._open: dict[int, tuple[asyncio.Server, WaitingRoom]] = {}
        self._changed = asyncio.Event()

    def sink(self, kind: object, event: str | None, raw: dict[str, Any]) -> None:  # noqa: ARG002  # one kind is watched
        """Take in a slice: replicas at once, ports as soon as the loop gets to it."""
        uid = raw["metadata"]["uid"]
        service = self._directory.forget(uid) if event == "DELETED" else self._directory.note(raw)
        if service is not None:
            self._refresh(service)
            self._changed.set()

    def known(self, kind: object, namespace: str | None) -> list[str]:  # noqa: ARG002  # one kind is watched
        """Return the uids of what is known of a namespace that has a watch of its own; of all for None."""
        return self._directory.uids(namespace)

    async def run(self) -> None:
        """Open and close ports until cancelled."""
        while True:
            self._changed.clear()
            await self.settle()
            await self._changed.wait()

    async def settle(self) -> None:
        """Listen on exactly the ports that the directory names; who waits for a model waits on where it moves to."""
        wanted = self._directory.doors()
        for port, (_, room) in list(self._open.items()):
            door = wanted.get(port)
            if door is None or not door.replaces(room.door):
                self._close(port)
            elif door != room.door:
                room.door = door
                room.update(self._directory.pods(door))
        for port, door in wanted.items():
            if port not in self._open:
                await self._listen(port, door)

    def remind(self) -> None:
        """Ask again for replicas where someone still waits for one."""
        for _, room in self._open.values():
            room.remind()

    def stop_listening(self) -> None:
        """Take no more connections."""
        for server, _ in self._open.values():
            server.close()

    def refuse_all(self, message: str) -> None:
        """Refuse everyone who waits."""
        for _, room in self._open.values():
            room.refuse_all(message)

    async def _listen(self, port: int, door: Door) -> None:
        room = WaitingRoom(self._house, door, self._wake)
        loop = asyncio.get_running_loop()
        try:
            opened = sockets.listen(self._host, port, BACKLOG)
            server = await loop.create_server(room.client, sock=opened, backlog=BACKLOG)
        except OSError as error:
            _LOG.error("can't listen", extra={"port": port, "service": "/".join(door.service), "error": str(error)})
            return
        self._open[port] = (server, room)
        room.update(self._directory.pods(door))

    def _close(self, port: int) -> None:
        server, room = self._open.pop(port)
        server.close()
        room.refuse_all("this model is being removed, or has switched waiting off")

    def _refresh(self, service: Service) -> None:
        for _, room in self._open.values():
            if room.door.service == service:
                room.update(self._directory.pods(room.door))
