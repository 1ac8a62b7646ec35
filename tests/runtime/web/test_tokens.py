"""Bearer tokens over HTTP: who is let in on the short way and the long way, what stays open, and a replaced file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from foresail_runtime import auth, errors

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    Start = Callable[..., Any]

BODY = {"inputs": [{"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [0.5] * 32}]}


@pytest.fixture
def tokens(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "token"
    path.write_text("first\n\n  second  \n")
    return path


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer realm="foresail"'),
        (bearer("firs"), 'Bearer realm="foresail", error="invalid_token"'),
        (bearer(""), 'Bearer realm="foresail", error="invalid_token"'),
        ({"Authorization": "Basic first"}, 'Bearer realm="foresail", error="invalid_token"'),
        ({"Authorization": "Bearer \u00fc\u00e9"}, 'Bearer realm="foresail", error="invalid_token"'),
    ],
)
async def test_a_stranger_is_answered_401_on_every_way(
    serve: Start, mlp: pathlib.Path, tokens: pathlib.Path, headers: dict[str, str], challenge: str
) -> None:
    server = await serve(mlp, tokens=str(tokens))
    for more in ({}, {"Origin": "https://page.test"}):  # the latter goes the long way
        status, document, response = await server.call("POST", "/v2/models/m/infer", json=BODY, headers=headers | more)
        assert (status, set(document)) == (401, {"error"})
        assert response.headers["WWW-Authenticate"] == challenge
    for path in ("/v2", "/v2/models/m", "/metrics", "/nothing"):
        assert (await server.call("GET", path, headers=headers))[0] == 401
    assert server.app.metrics.rejected["unauthorized"] == 6


async def test_any_token_of_the_file_opens(serve: Start, mlp: pathlib.Path, tokens: pathlib.Path) -> None:
    server = await serve(mlp, tokens=str(tokens))
    for token in ("first", "second"):
        for more in ({}, {"Origin": "https://page.test"}):
            status, _ = await server.infer(BODY, headers=bearer(token) | more)
            assert status == 200
    assert (await server.infer(BODY, headers={"Authorization": "bearer first"}))[0] == 200


def test_a_remark_in_the_file_is_no_token(tokens: pathlib.Path) -> None:
    tokens.write_text("# of the batch job\nfirst\n")
    guard = auth.Guard(str(tokens), certificates=False)
    guard.check("Bearer first", certified=False)
    with pytest.raises(errors.Unauthorized):
        guard.check("Bearer # of the batch job", certified=False)


async def test_probes_and_the_operators_look_need_no_token(
    serve: Start, mlp: pathlib.Path, tokens: pathlib.Path
) -> None:
    server = await serve(mlp, tokens=str(tokens))
    for path in ("/v2/health/live", "/v2/health/ready", "/load", "/load?latency=1"):
        assert (await server.call("GET", path))[0] == 200
    assert (await server.call("OPTIONS", "/v2/models/m/infer"))[0] == 204


async def test_a_replaced_file_counts_without_a_restart(serve: Start, mlp: pathlib.Path, tokens: pathlib.Path) -> None:
    server = await serve(mlp, tokens=str(tokens), reload_seconds=0.02)
    tokens.write_text("third")
    async with asyncio.timeout(10):
        while (await server.infer(BODY, headers=bearer("third")))[0] != 200:
            await asyncio.sleep(0.01)
    assert (await server.infer(BODY, headers=bearer("first")))[0] == 401


@pytest.mark.parametrize("text", [None, "", " \n\n", "# none yet\n", "a\n" * 101])
def test_a_file_without_tokens_is_refused_at_the_start_and_ignored_later(
    tokens: pathlib.Path, text: str | None
) -> None:
    guard = auth.Guard(str(tokens), certificates=False)
    if text is None:
        tokens.unlink()
    else:
        tokens.write_text(text)
    guard.refresh()
    guard.check("Bearer first", certified=False)
    with pytest.raises(errors.ModelUnusable) as failure:
        auth.Guard(str(tokens), certificates=False)
    assert failure.value.reason == "TokensUnreadable"
