"""TLS over real sockets: a certificate that is rotated, callers with and without one of their own, broken files."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from foresail_runtime import errors, tls
from tests.runtime.authorities import Authority

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from tests.runtime.conftest import Server

    Start = Callable[..., Any]

BODY = {"inputs": [{"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [0.5] * 32}]}


@pytest.fixture
def authority(tmp_path: pathlib.Path) -> Authority:
    made = Authority(tmp_path)
    made.issue()
    return made


def files(authority: Authority) -> dict[str, Any]:
    return {"tls_cert": str(authority.cert), "tls_key": str(authority.key), "reload_seconds": 0.02}


def url(server: Server, path: str) -> str:
    return f"https://127.0.0.1:{server.port}{path}"


async def shown(server: Server, context: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    found: ssl.SSLObject = writer.get_extra_info("ssl_object")
    certificate = found.getpeercert(binary_form=True)
    writer.close()
    return certificate


async def test_requests_are_answered_over_tls_and_not_without(
    serve: Start, mlp: pathlib.Path, authority: Authority
) -> None:
    server = await serve(mlp, **files(authority))
    async with server.client.post(url(server, "/v2/models/m/infer"), json=BODY, ssl=authority.client()) as answer:
        assert answer.status == 200
    with pytest.raises(aiohttp.ClientError):
        await server.client.get(f"http://127.0.0.1:{server.port}/v2")


async def test_a_rotated_certificate_is_served_while_running_connections_go_on(
    serve: Start, mlp: pathlib.Path, authority: Authority
) -> None:
    server = await serve(mlp, **files(authority))
    context = authority.client()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    before = await shown(server, context)
    authority.issue()
    async with asyncio.timeout(10):
        while await shown(server, context) == before:
            await asyncio.sleep(0.01)
    writer.write(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_files_that_do_not_fit_together_change_nothing(authority: Authority, tmp_path: pathlib.Path) -> None:
    identity = tls.Identity(str(authority.cert), str(authority.key))
    good = identity.material
    authority.key.write_text("no key at all")
    identity.refresh()
    assert identity.material is good
    authority.key.unlink()
    identity.refresh()
    assert identity.material is good
    authority.issue()
    identity.refresh()
    assert identity.material.cert == authority.cert.read_bytes()


@pytest.mark.parametrize("broken", ["cert", "key", "root"])
def test_a_server_does_not_begin_with_files_that_make_no_sense(authority: Authority, broken: str) -> None:
    getattr(authority, broken).write_text("nonsense")
    with pytest.raises(errors.ModelUnusable, match=r"tls\.crt") as failure:
        tls.Identity(str(authority.cert), str(authority.key), str(authority.root))
    assert failure.value.reason == "TlsUnreadable"


def test_a_file_that_is_not_there_is_named(authority: Authority) -> None:
    authority.key.unlink()
    with pytest.raises(errors.ModelUnusable, match=r"tls\.key can't be read: No such file"):
        tls.Identity(str(authority.cert), str(authority.key))


async def test_only_callers_with_a_certificate_reach_the_model_and_probes_need_none(
    serve: Start, mlp: pathlib.Path, authority: Authority
) -> None:
    server = await serve(mlp, **files(authority), tls_ca=str(authority.root))
    stranger, friend = authority.client(), authority.client(certified=True)
    for context, expected in ((stranger, 401), (friend, 200)):
        async with server.client.post(url(server, "/v2/models/m/infer"), json=BODY, ssl=context) as answer:
            assert answer.status == expected
            assert "WWW-Authenticate" not in answer.headers
        for path in ("/v2/health/live", "/v2/health/ready", "/load"):
            async with server.client.get(url(server, path), ssl=context) as answer:
                assert answer.status == 200


async def test_a_certificate_of_another_authority_is_refused_in_the_handshake(
    serve: Start, mlp: pathlib.Path, authority: Authority, tmp_path: pathlib.Path
) -> None:
    server = await serve(mlp, **files(authority), tls_ca=str(authority.root))
    other = Authority(tmp_path)
    context = authority.client()
    other.ca.issue_cert("client.example").configure_cert(context)
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await server.client.get(url(server, "/v2/health/live"), ssl=context)


async def test_authorities_of_clients_are_rotated_with_the_file(
    serve: Start, mlp: pathlib.Path, authority: Authority, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "clients").mkdir()
    newer = Authority(tmp_path / "clients")
    trusted = tmp_path / "clients.crt"
    trusted.write_bytes(authority.ca.cert_pem.bytes())
    server = await serve(mlp, **files(authority), tls_ca=str(trusted))
    old, new = authority.client(certified=True), authority.client()
    newer.ca.issue_cert("client.example").configure_cert(new)

    async def status(context: ssl.SSLContext) -> int | None:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(url(server, "/v2/models/m/infer"), json=BODY, ssl=context) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, ssl.SSLError):
            return None

    assert [await status(context) for context in (old, new, authority.client())] == [200, None, 401]
    trusted.write_bytes(newer.ca.cert_pem.bytes())
    async with asyncio.timeout(10):
        while await status(new) is None:
            await asyncio.sleep(0.01)
    assert [await status(context) for context in (old, new, authority.client())] == [None, 200, 401]


async def test_a_client_that_does_not_finish_its_handshake_is_closed(
    serve: Start, mlp: pathlib.Path, authority: Authority
) -> None:
    server = await serve(mlp, **files(authority), header_timeout_seconds=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\x16\x03\x01")
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_tls_before_1_2_is_not_spoken(authority: Authority) -> None:
    assert tls.Identity(str(authority.cert), str(authority.key)).listener_context().minimum_version == (
        ssl.TLSVersion.TLSv1_2
    )
