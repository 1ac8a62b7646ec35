"""Paths to handlers."""

from __future__ import annotations

from typing import Any

import pytest

from foresail_runtime import errors
from foresail_runtime.web import routes


async def infer(*_: Any) -> Any: ...


async def about(*_: Any) -> Any: ...


@pytest.fixture
def table() -> routes.Routes:
    made = routes.Routes()
    made.add("/v2/models/stats", GET=about)
    made.add("/v2/models/{name}/infer", POST=infer)
    made.add("/v2/models/{name}", GET=about)
    made.add("/v2", GET=about)
    return made


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v2/models/m/infer", routes.Match(infer, {"name": "m"})),
        ("POST", "/v2/models/a%2Fb%20c/infer", routes.Match(infer, {"name": "a/b c"})),
        ("GET", "/v2/models/m", routes.Match(about, {"name": "m"})),
        ("HEAD", "/v2/models/m", routes.Match(about, {"name": "m"})),
        ("GET", "/v2/models/stats", routes.Match(about, {})),
        ("GET", "/v2/", routes.Match(about, {})),
    ],
)
def test_a_path_finds_its_handler_and_its_values(
    table: routes.Routes, method: str, path: str, expected: routes.Match
) -> None:
    assert table.find(method, path) == expected


@pytest.mark.parametrize("path", ["/", "/v3", "/v2/models", "/v2/models/m/infer/more", "/v2/models/a/b/infer"])
def test_a_path_that_nobody_has_is_not_found(table: routes.Routes, path: str) -> None:
    with pytest.raises(errors.NotFound, match="there is nothing at"):
        table.find("GET", path)


def test_a_method_that_is_not_taken_says_which_are(table: routes.Routes) -> None:
    with pytest.raises(errors.MethodNotAllowed) as caught:
        table.find("DELETE", "/v2/models/m")
    assert caught.value.allowed == ("GET", "HEAD", "OPTIONS")
