"""Probes, logs, and the way to the API server."""

from __future__ import annotations

import json
import logging
import ssl
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from foresail_operator import access, logs, probes
from foresail_operator.errors import SettingsError
from foresail_operator.metrics import Metrics
from tests.bare_authority import BareAuthority, verify_strictly

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator


async def test_probes_say_what_is_wrong_and_metrics_are_served() -> None:
    trouble: list[str | None] = [None, "the watches have not shown everything yet"]
    app = probes.app(lambda: trouble[0], lambda: trouble[1], Metrics())
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/healthz")).status == 200
        answer = await client.get("/readyz")
        assert (answer.status, await answer.text()) == (503, f"{trouble[1]}\n")
        measured = await client.get("/metrics")
        assert "foresail_operator_queue_depth 0.0" in await measured.text()


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)


def test_a_line_is_json_and_names_its_object(root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logs.begin("INFO")
    with logs.about(("team", "fraud")):
        logging.getLogger("foresail_operator.x").info("changing a child", extra={"child": "Service fraud"})
    try:
        int("broken")
    except ValueError:
        root_logger.exception("a look failed")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["message"], first["level"]) == ("changing a child", "info")
    assert (first["namespace"], first["name"], first["child"]) == ("team", "fraud", "Service fraud")
    assert "name" not in second
    assert "ValueError: invalid literal" in second["trace"]


async def test_a_service_accounts_token_is_read_again_when_it_may_have_been_renewed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    path = tmp_path / "token"
    path.write_text("one\n")
    async with TestServer(app) as server:
        found = access.Access(str(server.make_url("/")), None, access.Token(path))
        async with found.session() as session:
            await (await session.get("/")).read()
            path.write_text("two\n")
            await (await session.get("/")).read()
            monkeypatch.setattr(access, "_TOKEN_SECONDS", -1.0)
            await (await session.get("/")).read()
    assert seen == ["Bearer one", "Bearer one", "Bearer two"]


async def test_no_way_to_the_api_server_says_what_to_set(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SettingsError, match="set KUBECONFIG or run in a pod"):
        await access.find({"KUBECONFIG": str(tmp_path / "none")})


async def test_a_kubeconfig_with_a_token_signs_in(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "config"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": {"server": "https://h:1", "insecure-skip-tls-verify": True}}],
                "users": [{"name": "u", "user": {"token": "secret"}}],
            }
        )
    )
    found = await access.find({"KUBECONFIG": str(path)})
    assert found.server == "https://h:1"
    async with found.session() as session:
        assert session.headers["Authorization"] == "Bearer secret"


async def test_an_api_server_whose_authority_has_no_key_identifiers_is_trusted(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_strictly(monkeypatch)
    server = TestServer(web.Application(), scheme="https")
    await server.start_server(ssl=BareAuthority(tmp_path).context("localhost"))
    (tmp_path / "token").write_text("secret")
    monkeypatch.setattr(access, "_ACCOUNT", tmp_path)
    found = await access.find({"KUBERNETES_SERVICE_HOST": "localhost", "KUBERNETES_SERVICE_PORT": str(server.port)})
    async with server, found.session() as session, session.get("/nothing") as answer:
        assert answer.status == 404


async def test_a_pod_uses_its_service_account(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_ACCOUNT", tmp_path)
    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    given = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    found = await access.find(given)
    assert found.server == "https://[fd00::1]:6443"
    session = found.session()
    assert isinstance(session, aiohttp.ClientSession)
    await session.close()
