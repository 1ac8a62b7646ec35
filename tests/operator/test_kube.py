"""Requests to the API server, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from foresail_operator import errors
from foresail_operator.api import kinds
from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics
from tests.operator import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONFIG_MAP: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "x", "namespace": "team"},
    "data": {"a": "b"},
}
PATH = "/api/v1/namespaces/team/configmaps/x"


@contextlib.asynccontextmanager
async def connected(api: wire.Api) -> AsyncIterator[Kube]:
    async with TestServer(api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        yield Kube(session, Metrics(), lambda: None)


async def test_a_write_is_given_up_at_the_leases_deadline() -> None:
    reached, leads = asyncio.Event(), [0.05]

    async def answer(_: web.Request) -> web.Response:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    def fence() -> float:
        if not leads:
            raise errors.NotLeading("over")
        return leads.pop()

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        kube = Kube(session, Metrics(), fence)
        with pytest.raises(errors.NotLeading):
            await kube.create(kinds.CONFIG_MAP, CONFIG_MAP)
        assert reached.is_set()
        leads.extend([60.0, 0.05])
        with pytest.raises(errors.Unavailable, match="within the Lease's deadline"):  # it leads on
            await kube.create(kinds.CONFIG_MAP, CONFIG_MAP)


async def test_a_write_that_still_waits_for_its_connection_at_the_deadline_is_not_sent() -> None:
    api, slow = wire.Api(), asyncio.Event()

    class Late(aiohttp.TCPConnector):
        async def connect(self, *words: Any, **more: Any) -> Any:
            await slow.wait()
            return await super().connect(*words, **more)

    async with (
        TestServer(api.app()) as server,
        aiohttp.ClientSession(server.make_url("/"), connector=Late()) as session,
    ):
        kube = Kube(session, Metrics(), lambda: 0.05)
        with pytest.raises(errors.Unavailable):
            await kube.create(kinds.CONFIG_MAP, CONFIG_MAP)
        slow.set()
        assert await kube.list(kinds.CONFIG_MAP, "team", {}) == []
    assert api.writes == []


async def test_an_apply_that_creates_conflicts_where_something_is_already() -> None:
    api = wire.Api()
    async with connected(api) as kube:
        made = await kube.create_by_apply(kinds.CONFIG_MAP, CONFIG_MAP)
        assert made["metadata"]["uid"]
        with pytest.raises(errors.Conflict):
            await kube.create_by_apply(kinds.CONFIG_MAP, CONFIG_MAP)
    sent = api.requests[0]
    assert (sent.method, sent.path) == ("PATCH", PATH)
    assert sent.query == {"fieldManager": "foresail", "force": "true"}
    assert sent.headers["Content-Type"] == "application/apply-patch+yaml"
    assert "resourceVersion" not in CONFIG_MAP["metadata"], "the argument is not changed"


async def test_an_apply_to_an_object_is_bound_to_its_uid() -> None:
    api = wire.Api()
    async with connected(api) as kube:
        uid = (await kube.create_by_apply(kinds.CONFIG_MAP, CONFIG_MAP))["metadata"]["uid"]
        changed = await kube.apply(kinds.CONFIG_MAP, CONFIG_MAP | {"data": {"a": "c"}}, uid)
        assert changed["data"] == {"a": "c"}
        with pytest.raises(errors.Conflict):
            await kube.apply(kinds.CONFIG_MAP, CONFIG_MAP, "another")
        del api.objects[PATH]
        with pytest.raises(errors.Conflict):
            await kube.apply(kinds.CONFIG_MAP, CONFIG_MAP, uid)


async def test_annotations_are_set_and_taken_away_on_the_object_that_was_meant() -> None:
    api = wire.Api(answer=lambda _: web.json_response({}))
    async with connected(api) as kube:
        await kube.annotate(kinds.CONFIG_MAP, "team", "x", "uid-7", {"a": "1", "b": None})
    (sent,) = api.requests
    assert (sent.method, sent.path, sent.query) == ("PATCH", PATH, {"fieldManager": "foresail"})
    assert sent.headers["Content-Type"] == "application/merge-patch+json"
    assert sent.body == {"metadata": {"uid": "uid-7", "annotations": {"a": "1", "b": None}}}


async def test_deleting_what_is_gone_or_another_is_as_good() -> None:
    api = wire.Api()
    async with connected(api) as kube:
        uid = (await kube.create_by_apply(kinds.CONFIG_MAP, CONFIG_MAP))["metadata"]["uid"]
        await kube.delete(kinds.CONFIG_MAP, "team", "x", uid)
        await kube.delete(kinds.CONFIG_MAP, "team", "x", uid)
    assert api.requests[1].body["preconditions"] == {"uid": uid}
    assert api.objects == {}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, errors.NotFound),
        (409, errors.Conflict),
        (403, errors.Refused),
        (422, errors.Refused),
        (401, errors.Unavailable),
        (429, errors.Unavailable),
        (503, errors.Unavailable),
    ],
)
async def test_an_answer_becomes_an_error_that_says_whether_to_try_again(
    status: int, expected: type[errors.ApiError]
) -> None:
    api = wire.Api(answer=lambda _: wire.failure(status, "Word", "a sentence", Retry_After="7"))
    async with connected(api) as kube:
        with pytest.raises(errors.ApiError, match="GET /api/v1/namespaces/team/configmaps/x: a sentence") as caught:
            await kube.get(kinds.CONFIG_MAP, "team", "x")
    assert type(caught.value) is expected
    assert (caught.value.status, caught.value.reason) == (status, "Word")
    if expected is errors.Unavailable:
        assert caught.value.retry_after_seconds == 7


async def test_plain_text_of_a_proxy_is_an_error_with_its_words() -> None:
    api = wire.Api(answer=lambda _: web.Response(status=502, text="bad gateway\n"))
    async with connected(api) as kube:
        with pytest.raises(errors.Unavailable, match="bad gateway"):
            await kube.get(kinds.CONFIG_MAP, "team", "x")


async def test_no_answer_is_an_error_too_and_every_request_is_counted() -> None:
    metrics = Metrics()
    async with aiohttp.ClientSession("http://127.0.0.1:1") as session:
        kube = Kube(session, metrics, lambda: None)
        with pytest.raises(errors.Unavailable):
            await kube.get(kinds.CONFIG_MAP, "team", "x")
    labels = {"method": "GET", "kind": "ConfigMap", "status": "0"}
    assert metrics.registry.get_sample_value("foresail_operator_requests_total", labels) == 1


async def test_no_write_passes_a_closed_fence_and_reads_do() -> None:
    def closed() -> None:
        raise errors.NotLeading("x")

    api = wire.Api()
    async with TestServer(api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        kube = Kube(session, Metrics(), closed)
        with pytest.raises(errors.NotLeading):
            await kube.create(kinds.CONFIG_MAP, CONFIG_MAP)
        assert await kube.list(kinds.CONFIG_MAP, "team", {}) == []
    assert api.writes == []


async def test_metadata_is_listed_in_pages() -> None:
    def pages(request: wire.Request) -> web.Response:
        first = "continue" not in request.query
        name = "a" if first else "b"
        return web.json_response(
            {"metadata": {"continue": "more"} if first else {}, "items": [{"metadata": {"name": name}}]}
        )

    api = wire.Api(answer=pages)
    async with connected(api) as kube:
        names = [one["name"] async for one in kube.metadata(kinds.SERVICE, None, "a=b")]
    assert names == ["a", "b"]
    assert [one.path for one in api.requests] == ["/api/v1/services"] * 2
    assert "PartialObjectMetadataList" in api.requests[0].headers["Accept"]
    assert api.requests[1].query["labelSelector"] == "a=b"
