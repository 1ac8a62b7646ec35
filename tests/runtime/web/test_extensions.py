"""Triton's extensions that are not here: 404 with a sentence, not a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v2/logging", "FORESAIL_LOG_LEVEL"),
        ("/v2/trace/setting", "traces are set when the server starts"),
        ("/v2/models/m/trace/setting", "traces are set when the server starts"),
        ("/v2/systemsharedmemory/status", "shared memory is not offered"),
        ("/v2/systemsharedmemory/region/a/register", "shared memory is not offered"),
        ("/v2/cudasharedmemory/unregister", "shared memory is not offered"),
    ],
)
async def test_what_is_not_offered_says_so_and_what_is_instead(
    serve: Callable[..., Any], mlp: pathlib.Path, method: str, path: str, words: str
) -> None:
    server = await serve(mlp)
    status, document, _ = await server.call(method, path)
    assert (status, set(document)) == (404, {"error"})
    assert words in document["error"]


@pytest.mark.parametrize("body", ["[]", "{", '{"ready": 1}'])
async def test_a_wish_for_the_index_that_is_none_is_refused(
    serve: Callable[..., Any], mlp: pathlib.Path, body: str
) -> None:
    server = await serve(mlp)
    status, document, _ = await server.call("POST", "/v2/repository/index", data=body)
    assert (status, set(document)) == (400, {"error"})


async def test_a_model_that_is_not_there_yet_is_503_and_one_that_nobody_knows_404(
    serve: Callable[..., Any], mlp: pathlib.Path
) -> None:
    server = await serve(mlp)
    server.app.serving.expect("later")
    status, document, _ = await server.call("GET", "/v2/models/later/ready")
    assert (status, document["name"], document["ready"]) == (503, "later", False)
    assert (await server.call("GET", "/v2/models/later"))[0] == 503
    assert (await server.call("GET", "/v2/models/never/ready"))[0] == 404
