"""A watch against a server that streams over a real socket what the test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from foresail_operator.api import kinds
from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics
from foresail_operator.watch import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from foresail_operator.api.kinds import Kind

GONE = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}


def service(name: str, version: int, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}, **more}


def event(kind: str, obj: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


@dataclasses.dataclass
class Server:
    """Lists and streams to give, one after the other; the last stream stays open."""

    lists: list[tuple[str, list[dict[str, Any]]]]
    streams: list[list[bytes] | int]
    """Chunks to send, or a status to refuse with."""
    asked: list[dict[str, str]] = dataclasses.field(default_factory=list)
    retry_after: str | None = None
    """Header of a refusal."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        if "watch" not in request.query:
            version, items = self.lists.pop(0)
            return web.json_response({"metadata": {"resourceVersion": version}, "items": items})
        chunks = self.streams.pop(0)
        if isinstance(chunks, int):
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.json_response(GONE | {"code": chunks}, status=chunks, headers=headers)
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if not self.streams:
            await asyncio.Event().wait()
        return response


@dataclasses.dataclass
class Seen:
    """What a watch has shown."""

    uids: list[str] = dataclasses.field(default_factory=list)
    indigestible: str = ""
    """Uid of an object that can't be taken in."""
    shown: asyncio.Queue[tuple[str | None, str]] = dataclasses.field(default_factory=asyncio.Queue)

    def sink(self, _: Kind, event: str | None, raw: dict[str, Any]) -> None:
        if raw["metadata"]["uid"] == self.indigestible:
            raise KeyError("values")
        self.shown.put_nowait((event, raw["metadata"]["uid"]))

    def known(self, _: Kind, __: str | None) -> list[str]:
        return self.uids

    async def next(self, count: int) -> list[tuple[str | None, str]]:
        async with asyncio.timeout(10):
            return [await self.shown.get() for _ in range(count)]


@contextlib.asynccontextmanager
async def watching(server: Server, indigestible: str = "") -> AsyncIterator[Seen]:
    app = web.Application()
    app.router.add_get("/{tail:.*}", server.serve)
    seen = Seen(indigestible=indigestible)
    async with TestServer(app) as running, aiohttp.ClientSession(base_url=str(running.make_url("/"))) as session:
        kube = Kube(session, Metrics(), lambda: None)
        watch = Watch(kube, kinds.SERVICE, "team", "a=b", sink=seen, jitter=lambda: 0.0)
        task = asyncio.create_task(watch.run())
        try:
            yield seen
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_what_is_there_is_shown_first_and_then_every_change() -> None:
    server = Server([("7", [service("a", 3)])], [[event("ADDED", service("b", 8)), event("DELETED", service("a", 9))]])
    async with watching(server) as seen:
        assert await seen.next(3) == [(None, "uid-a"), ("ADDED", "uid-b"), ("DELETED", "uid-a")]
    assert [one.get("resourceVersion") for one in server.asked] == [None, "7"]
    assert all(one["labelSelector"] == "a=b" for one in server.asked)


async def test_a_stream_that_ended_goes_on_from_the_last_version_or_bookmark() -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "20"}})
    server = Server(
        [("7", [])],
        [[event("ADDED", service("b", 8))], [bookmark], [event("ADDED", service("c", 21))]],
    )
    async with watching(server) as seen:
        assert await seen.next(2) == [("ADDED", "uid-b"), ("ADDED", "uid-c")]
    assert [one["resourceVersion"] for one in server.asked[1:]] == ["7", "8", "20"]


@pytest.mark.parametrize("refusal", [410, [event("ERROR", GONE)]], ids=["at its start", "within it"])
async def test_a_version_that_is_too_old_is_made_up_for_by_a_list_that_tells_what_is_gone(
    refusal: list[bytes] | int,
) -> None:
    server = Server(
        [("7", [service("a", 3)]), ("30", [service("b", 25)])], [refusal, [event("ADDED", service("c", 31))]]
    )
    async with watching(server) as seen:
        assert await seen.next(1) == [(None, "uid-a")]
        seen.uids.append("uid-a")
        assert await seen.next(3) == [(None, "uid-b"), ("DELETED", "uid-a"), ("ADDED", "uid-c")]
    assert [one.get("resourceVersion") for one in server.asked] == [None, "7", None, "30"]


async def test_an_event_is_read_whole_however_long_and_however_it_is_cut() -> None:
    text = event("ADDED", service("long", 8, data="x" * 300_000)) + event("ADDED", service("b", 9))
    server = Server([("7", [])], [[text[:10], text[10:200_000], text[200_000:300_200], text[300_200:]]])
    async with watching(server) as seen:
        assert await seen.next(2) == [("ADDED", "uid-long"), ("ADDED", "uid-b")]


async def test_a_server_that_says_when_to_come_back_is_not_asked_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds:  # aiohttp yields to the loop with 0
            pauses.append(seconds)

    monkeypatch.setattr("foresail_operator.watch.asyncio.sleep", sleep)
    server = Server([("7", [])], [429, [event("ADDED", service("b", 8))]], retry_after="30")
    async with watching(server) as seen:
        assert await seen.next(1) == [("ADDED", "uid-b")]
    assert pauses == [30.0]


@pytest.mark.parametrize("trouble", [500, [b'{"type": "ADDED", "ob\n']], ids=["an error", "half an event"])
async def test_a_watch_goes_on_after_trouble(trouble: list[bytes] | int) -> None:
    server = Server([("7", [])], [trouble, [event("ADDED", service("b", 8))]])
    async with watching(server) as seen:
        assert await seen.next(1) == [("ADDED", "uid-b")]
    assert [one.get("resourceVersion") for one in server.asked] == [None, "7", "7"]


async def test_an_object_that_can_not_be_taken_in_costs_its_own_events_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd, gone = service("odd", 8), {"metadata": {"uid": "uid-odd", "resourceVersion": "9"}}
    server = Server(
        [("7", [service("a", 3), service("odd", 4), service("b", 5)])],
        [[event("MODIFIED", odd), event("DELETED", gone), event("ADDED", service("c", 10))]],
    )
    async with watching(server, indigestible="uid-odd") as seen:
        assert await seen.next(3) == [(None, "uid-a"), (None, "uid-b"), ("ADDED", "uid-c")]
    assert [one.get("resourceVersion") for one in server.asked] == [None, "7"]
    lines = [line for line in caplog.records if line.name == "foresail_operator.watch"]
    assert [(vars(line)["kind"], vars(line)["uid"], vars(line)["event"]) for line in lines] == [
        ("Service", "uid-odd", None),
        ("Service", "uid-odd", "MODIFIED"),
        ("Service", "uid-odd", "DELETED"),
    ]
    assert all(line.exc_info for line in lines)


async def test_an_object_that_a_list_no_longer_has_and_that_can_not_be_forgotten_ends_no_watch() -> None:
    server = Server([("7", [service("odd", 3)]), ("30", [service("b", 25)])], [410, [event("ADDED", service("c", 31))]])
    async with watching(server, indigestible="uid-odd") as seen:
        seen.uids.append("uid-odd")
        assert await seen.next(2) == [(None, "uid-b"), ("ADDED", "uid-c")]
