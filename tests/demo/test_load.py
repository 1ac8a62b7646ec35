"""The demo's load on a server of the test's own, and what is made of the counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from demo import load, plot, record

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator


class Server:
    """Answers pictures; counts connections, and how many requests it had at once."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.at_once = 0
        self.most_at_once = 0
        self.peers: set[object] = set()
        self.enough = 0
        self.stop = asyncio.Event()

    async def detect(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        await request.read()
        self.at_once -= 1
        self.enough -= 1
        if self.enough == 0:
            self.stop.set()
        return web.Response(status=self.status)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    app = web.Application()
    app.router.add_post("/detect", found.detect)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/detect"
    yield found
    await runner.cleanup()


def wish(server: Server, rate: float = 500.0, most_seconds: float = 5.0) -> load.Wish:
    return load.Wish(server.url, b"picture", "image/png", lambda _: rate, most_seconds)


async def drive(server: Server, counts: load.Counts, answers: int, rate: float = 500.0) -> None:
    """Send until the server has seen that many requests."""
    server.enough = answers
    async with asyncio.timeout(10):
        await load.drive(wish(server, rate), counts, server.stop)


async def test_every_request_sent_is_counted_once_it_is_stopped(server: Server) -> None:
    counts = load.Counts()
    await drive(server, counts, 30)
    assert counts.answered == counts.sent == len(counts.latencies)
    assert counts.failures == {}


async def test_connections_are_given_up_so_that_new_replicas_see_some(server: Server) -> None:
    counts = load.Counts()
    await drive(server, counts, 30)
    assert len(server.peers) >= 30 // load.REQUESTS_A_CONNECTION - 1


async def test_load_never_has_more_than_its_bound_in_flight(server: Server) -> None:
    counts = load.Counts()
    await drive(server, counts, 100, rate=100_000.0)
    assert server.most_at_once <= load.MOST_IN_FLIGHT


async def test_refusals_are_counted_by_their_word(server: Server) -> None:
    server.status = 429
    counts = load.Counts()
    await drive(server, counts, 5)
    assert counts.answered == 0
    assert counts.failures == {"HTTP 429": counts.sent}


async def test_load_ends_by_itself_when_its_time_is_over(server: Server) -> None:
    counts = load.Counts()
    async with asyncio.timeout(10):
        await load.drive(wish(server, most_seconds=0.05), counts, asyncio.Event())
    assert counts.answered == counts.sent


SAMPLES = [
    record.Sample(0.0, 1, 1, 0, 0),
    record.Sample(2.0, 1, 1, 20, 10),
    record.Sample(3.0, 3, 1, 34, 20),
    record.Sample(4.0, 3, 3, 48, 34),
]


def test_counts_become_rates_between_looks() -> None:
    assert [(m.sent_a_second, m.answered_a_second) for m in record.moments(SAMPLES)] == [(10, 5), (14, 10), (14, 14)]


def test_time_of_the_first_look_with_so_many_replicas_asked_for_and_ready() -> None:
    assert record.first_asked(SAMPLES, 3) == 3.0
    assert record.first_asked(SAMPLES, 4) is None
    assert record.first_reached(SAMPLES, 3) == 4.0
    assert record.first_reached(SAMPLES, 4) is None


def test_percentile_of_few_latencies_is_among_them() -> None:
    assert record.percentile([], 95) == 0.0
    assert record.percentile([0.2], 95) == 0.2
    assert record.percentile([0.1, 0.2, 0.3], 50) == pytest.approx(0.2)


def test_plot_is_a_picture(tmp_path: pathlib.Path) -> None:
    plot.draw(record.moments(SAMPLES), "load", tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_sizes_of_a_deployment_without_status_are_those_of_a_new_one() -> None:
    assert record.sizes({"spec": {"replicas": 3}}) == (3, 0)
    assert record.sizes({"spec": {"replicas": 3}, "status": {"readyReplicas": 2}}) == (3, 2)
