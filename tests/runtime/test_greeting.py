"""The lines that `foresail serve` prints: addresses that can be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from foresail_runtime import greeting

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("10.0.0.7", "10.0.0.7"),
        ("models.example.com", "models.example.com"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("fd00::7", "[fd00::7]"),
    ],
)
async def test_address_is_one_that_a_client_can_use(
    serve: Callable[..., Any], mlp: pathlib.Path, host: str, shown: str
) -> None:
    server = await serve(mlp)
    serving, grpc, _, curl = greeting.text(server.app.serving, host, 8080, 9090).splitlines()
    assert serving == f"serving m at http://{shown}:8080/v2/models/m"
    assert grpc == f"gRPC at {shown}:9090"
    assert f" http://{shown}:8080/v2/models/m/" in curl
