"""How each protocol is recognized and refused."""

from __future__ import annotations

import pytest

from foresail_activator import h2
from foresail_activator.greeting import Protocols, recognize

HEADERS = h2.frame(1, 5, 3, b"\x82")
WHOLE = h2.PREFACE + h2.frame(4, 0, 0) + h2.frame(6, 0, 0, b"12345678") + HEADERS + h2.frame(0, 1, 3, b"data")


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (b"GET / HTTP/1.1", Protocols.HTTP1),
        (b"P", Protocols.HTTP1),
        (b"PRI * HTTP/2.0", Protocols.HTTP2),
        (h2.PREFACE + b"more", Protocols.HTTP2),
        (b"\x16\x03\x01", Protocols.TLS),
        (b"\x00", Protocols.OTHER),
        (b"get / HTTP/1.1", Protocols.OTHER),
    ],
)
def test_first_bytes_tell_the_protocol(data: bytes, protocol: Protocols) -> None:
    assert recognize(data) is protocol


@pytest.mark.parametrize("size", [1, 2, 7, 9, 64, len(WHOLE)])
def test_each_stream_of_http2_is_refused_however_its_bytes_arrive(size: int) -> None:
    refuser = h2.Refuser("try again", 5)
    answer = b"".join(refuser.receive(WHOLE[at : at + size]) for at in range(0, len(WHOLE), size))
    settings, acknowledged, pong = h2.frame(4, 0, 0), h2.frame(4, 1, 0), h2.frame(6, 1, 0, b"12345678")
    begin = settings + acknowledged + pong
    assert answer[: len(begin)] == begin
    refusal = answer[len(begin) :]
    assert (refusal[3], refusal[4], refusal[5:9]) == (1, 5, (3).to_bytes(4))
    assert len(refusal) == 9 + int.from_bytes(refusal[:3])
    assert b"\x0bgrpc-status\x0214" in refusal
    assert b"try again" in refusal
