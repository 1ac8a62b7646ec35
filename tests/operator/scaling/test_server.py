"""The metrics server's certificates change under way; asked over real TLS."""

from __future__ import annotations

import datetime as dt
import ssl

import aiohttp
import pytest
import trustme
from aiohttp import web

from foresail_operator.scaling import certificates
from foresail_operator.scaling.front_proxy import FrontProxy
from foresail_operator.scaling.server import MetricsServer

NAMES = ("foresail-metrics.foresail.svc",)


def application() -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        return web.Response(text="known" if certificate else "unknown")

    app = web.Application()
    app.router.add_get("/", answer)
    return app


async def ask(port: int | None, bundle: bytes, authority: trustme.CA | None) -> str:
    context = ssl.create_default_context(cadata=bundle.decode())
    if authority is not None:
        authority.issue_cert("aggregator.test", common_name="aggregator").configure_cert(context)
    async with aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{port}/"
        async with session.get(url, ssl=context, server_hostname=NAMES[0]) as response:
            return await response.text()


def proxy(authority: trustme.CA) -> FrontProxy:
    return FrontProxy(authority.cert_pem.bytes().decode(), frozenset({"aggregator"}))


async def test_new_certificates_are_taken_up_without_a_restart() -> None:
    now = dt.datetime.now(dt.UTC)
    first = certificates.renew(None, NAMES, now - dt.timedelta(days=3400))
    second = certificates.renew(first, NAMES, now)
    one, two = trustme.CA(), trustme.CA()
    server = MetricsServer(application(), "127.0.0.1", 0)
    assert server.port is None
    await server.serve(certificates.renew(None, NAMES, now), proxy(one))
    await server.serve(second, proxy(one))
    port = server.port
    assert await ask(port, second.ca_bundle, one) == "known"
    assert await ask(port, second.ca_bundle, None) == "unknown"
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await ask(port, first.ca_bundle, one)  # the old authority did not sign it
    with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
        await ask(port, second.ca_bundle, two)
    await server.serve(second, proxy(two))
    assert await ask(server.port, second.ca_bundle, two) == "known"
    await server.stop()
    assert server.port is None
