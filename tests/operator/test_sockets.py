"""Listening on one address or on all, of a cluster with IPv4, IPv6 or both."""

from __future__ import annotations

import socket

import pytest

from foresail_operator import sockets
from foresail_runtime import early


def reached(family: socket.AddressFamily, address: str, port: int) -> bool:
    with socket.socket(family) as client:
        client.settimeout(5)
        return client.connect_ex((address, port)) == 0


@pytest.mark.parametrize("opened", [sockets.listen, early.listen], ids=["the operator", "a replica"])
@pytest.mark.parametrize(("host", "ipv4", "ipv6"), [("", True, True), ("127.0.0.1", True, False), ("::1", False, True)])
def test_every_address_is_of_both_families(opened: object, host: str, ipv4: bool, ipv6: bool) -> None:
    assert callable(opened)
    with opened(host, 0) as listener:
        port = listener.getsockname()[1]
        assert reached(socket.AF_INET, "127.0.0.1", port) is ipv4
        assert reached(socket.AF_INET6, "::1", port) is ipv6


def test_a_kernel_without_ipv6_is_listened_on_by_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    made = socket.create_server

    def without(address: tuple[str, int], *, family: int = socket.AF_INET, **more: object) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return made(address, **more)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(socket, "create_server", without)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    for opened in (sockets.listen, early.listen):
        listener = opened("", 0)
        assert listener is not None
        with listener:
            assert listener.family == socket.AF_INET


def test_a_port_that_is_taken_is_an_error() -> None:
    with sockets.listen("", 0) as taken, pytest.raises(OSError, match="in use"):
        sockets.listen("", taken.getsockname()[1])
