"""grpcio's asyncio server, asking its core for several calls at a time.

grpcio asks for one call, and for the next once it has begun that: each time the core's thread has to tell the loop's,
which has little else to do in that turn. So calls that came together are begun in turns of the loop of their own, and
such turns cost more than all that is done for a small model's call. Asked for several, those that are there come in one
piece. grpcio does not offer this: a few of its inner names are used, and the server's tests fail where they change.
"""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Any, Final

from grpc._cython import cygrpc
from grpc.aio import _server

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc

CALLS: Final = 16
"""How many are asked for at a time."""
MOST_WAITING: Final = 256
"""While so many came and are not begun, no more are asked for: they wait in the core, which refuses too many."""


class _Ahead(cygrpc.AioServer):  # type: ignore[misc]  # grpcio has no types
    """Hands calls on one by one, as the inherited one would, while several are looked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *arguments: Any) -> None:
        super().__init__(loop, *arguments)
        self._own_loop = loop
        self._came: collections.deque[Any] = collections.deque()
        self._next: asyncio.Future[Any] | None = None
        """Who waits for a call."""
        self._looking: set[asyncio.Task[None]] = set()

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:
        """Return what will be the next call; None asks for one of any method that is not registered."""
        if method is not None:
            return super()._make_request_call_future(method)  # type: ignore[no-any-return]
        self._next = future = self._own_loop.create_future()
        if self._came:
            future.set_result(self._came.popleft())
        if len(self._came) < MOST_WAITING:
            for _ in range(CALLS - len(self._looking)):
                self._looking.add(self._own_loop.create_task(self._look(), name="grpc calls"))
        return future

    async def shutdown(self, grace: float | None) -> None:
        """Stop; calls that are not begun never will be, and the stop would wait for them."""
        self._came.clear()
        await super().shutdown(grace)

    async def _look(self) -> None:
        try:
            more = True  # even if the server stops already: it is the core's refusal that ends who waits for a call
            while more:
                call = await super()._request_call()
                if self._next is not None and not self._next.done():
                    self._next.set_result(call)
                elif self.is_running():  # else it is let go, as those that came before
                    self._came.append(call)
                more = self.is_running() and len(self._came) < MOST_WAITING
        except Exception as error:  # noqa: BLE001  # most likely the server stops: who waits for a call is to know
            if self._next is not None and not self._next.done():
                self._next.set_exception(error)
        finally:
            self._looking.discard(asyncio.current_task())


class _Server(_server.Server):  # type: ignore[misc]
    """As `grpc.aio.server` makes it, around that."""

    def __init__(
        self,
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        options: Sequence[tuple[str, Any]],
        compression: grpc.Compression,
        maximum_concurrent_rpcs: int | None,
    ) -> None:
        self._loop = cygrpc.get_working_loop()
        arguments = _server._augment_channel_arguments(options, compression)  # noqa: SLF001  # what it does itself
        self._server = _Ahead(self._loop, None, (), interceptors, arguments, maximum_concurrent_rpcs)


def server(
    *,
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    options: Sequence[tuple[str, Any]],
    compression: grpc.Compression,
    maximum_concurrent_rpcs: int | None,
) -> grpc.aio.Server:
    """Return what `grpc.aio.server` returns."""
    return _Server(interceptors, options, compression, maximum_concurrent_rpcs)
