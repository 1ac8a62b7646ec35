"""Listens for the aggregator, and takes up new certificates without missing a request."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from aiohttp import web

from foresail_operator import sockets
from foresail_operator.scaling import metrics_api

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from foresail_operator.scaling.certificates import Chain
    from foresail_operator.scaling.front_proxy import FrontProxy

_CLOSING_SECONDS: Final = 2.0


class MetricsServer:
    """The metrics API's socket. Nothing listens until both certificates and the aggregator are known."""

    def __init__(self, application: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_CLOSING_SECONDS)
        self._host = host
        self._port = port
        self._context: ssl.SSLContext | None = None
        self._site: web.SockSite | None = None
        self._chain: Chain | None = None
        self._proxy: FrontProxy | None = None

    @property
    def port(self) -> int | None:
        """The port it listens on; None while it does not."""
        return int(self._runner.addresses[0][1]) if self._site else None

    async def serve(self, chain: Chain, proxy: FrontProxy) -> None:
        """Serve with these from now on; open connections go on with what they began with."""
        if proxy == self._proxy and self._context is not None:
            if chain != self._chain:
                with _files(chain) as (certificate, key):
                    self._context.load_cert_chain(certificate, key)
        else:
            await self._listen(chain, proxy)
        self._chain, self._proxy = chain, proxy

    async def stop(self) -> None:
        """Finish what is being answered, and stop."""
        await self._runner.cleanup()
        self._site = None

    async def _listen(self, chain: Chain, proxy: FrontProxy) -> None:
        with _files(chain) as (certificate, key):
            context = metrics_api.server_context(certificate, key, proxy)
        if self._runner.server is None:
            await self._runner.setup()
        if self._site is not None:  # a context can't be told to distrust: a new authority needs a new one
            await self._site.stop()
        self._site = web.SockSite(self._runner, sockets.listen(self._host, self._port), ssl_context=context)
        await self._site.start()
        self._context = context


@contextlib.contextmanager
def _files(chain: Chain) -> Iterator[tuple[str, str]]:
    """Lend the PEMs as files, which is all that `ssl` reads, without a disk: the key stays in memory."""
    with contextlib.ExitStack() as stack:
        paths = []
        for content in (chain.certificate, chain.key):
            descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
            file = stack.enter_context(os.fdopen(descriptor, "wb"))
            file.write(content)
            file.flush()
            paths.append(f"/proc/self/fd/{descriptor}")
        yield paths[0], paths[1]
