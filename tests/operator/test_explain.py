"""What Events tell of a pod that says nothing itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from aiohttp.web import Response, json_response

from foresail_operator import explain
from foresail_operator.api.conditions import Reason
from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics
from foresail_operator.status.pods import Pod, Trouble
from tests.operator import wire

KEY = ("team", "fraud")
MOUNT = {
    "reason": "FailedMount",
    "message": 'MountVolume.SetUp failed for volume "source" :\n configmap "models" not found',
    "lastTimestamp": "2026-01-01T00:00:02Z",
}
WORDS = Trouble(Reason.VOLUME, 'MountVolume.SetUp failed for volume "source" : configmap "models" not found')


def pod(uid: str = "u") -> Pod:
    return Pod(name="p", uid=uid, version=1, revision="r", ready=False, ending=False)


async def nobody(address: str, tls: bool) -> dict[str, Any]:
    raise AssertionError(f"{address} is asked")


async def test_a_runtime_that_listens_is_asked_before_events_are_read() -> None:
    asked: list[tuple[str, bool]] = []
    words = "https://a.example/m.onnx: the server answered 503 Unavailable (attempt 2 of 8)"
    said: dict[str, Any] = {"ready": False, "state": "fetching", "reason": "DownloadFailed", "message": words}
    documents = iter((said | {"received_bytes": 1234567, "total_bytes": None}, {}))

    async def ask(address: str, tls: bool) -> dict[str, Any]:
        asked.append((address, tls))
        return next(documents)

    api = wire.Api(answer=lambda _: json_response({"items": [MOUNT]}))
    async with TestServer(api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        one = explain.Explainer(Kube(session, Metrics(), lambda: None), ask)
        running = dataclasses.replace(pod(), address="10.0.0.1")
        await one.explain(KEY, running, 100.0, tls=True)
        found, _ = await one.explain(KEY, running, 104.0, tls=True)
        assert found == Trouble(Reason.DOWNLOAD_FAILED, f"{words}; 1,234,567 bytes are here")
        assert api.requests == []
        assert await one.explain(KEY, running, 108.0) == (WORDS, 8.0)
    assert asked == [("10.0.0.1", True), ("10.0.0.1", False)]


async def test_a_runtime_that_starts_slowly_is_asked_often_enough_to_be_heard_within_ten_seconds() -> None:
    async def ask(address: str, tls: bool) -> dict[str, Any]:
        return {"ready": False, "reason": "FetchingModel", "message": "fetching m", "received_bytes": 1}

    async with TestServer(wire.Api().app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        one = explain.Explainer(Kube(session, Metrics(), lambda: None), ask)
        running, now, pauses = dataclasses.replace(pod(), address="10.0.0.1"), 100.0, []
        for _ in range(10):
            _, again = await one.explain(KEY, running, now)
            pauses.append(again)
            now += again
    assert pauses == [4.0, 4.0, *[8.0] * 8]


async def test_events_that_can_not_be_read_hold_nothing_up() -> None:
    api = wire.Api(answer=lambda _: wire.failure(429, "TooManyRequests"))
    async with TestServer(api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        one = explain.Explainer(Kube(session, Metrics(), lambda: None), nobody)
        await one.explain(KEY, pod(), 100.0)
        assert await one.explain(KEY, pod(), 104.0) == (None, 4.0)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, None),
        ({"ready": True, "message": "m"}, None),
        ({"ready": False, "message": ""}, None),
        (
            {"ready": False, "reason": "FetchingModel", "message": "fetching m", "received_bytes": 1, "total_bytes": 2},
            Trouble(Reason.LOADING, "fetching m; 1 bytes of 2 are here"),
        ),
        ({"ready": False, "reason": "WarmingUp", "message": "warming"}, Trouble(Reason.LOADING, "warming")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_runtime_says_of_itself_becomes_words(document: dict[str, Any], expected: Trouble | None) -> None:
    assert explain.read(document) == expected


async def test_events_are_read_only_after_a_while_and_with_growing_pauses() -> None:
    def answer(_: wire.Request) -> Response | None:
        return json_response({"items": [MOUNT]})

    api = wire.Api(answer=answer)
    async with TestServer(api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        one = explain.Explainer(Kube(session, Metrics(), lambda: None), nobody)
        assert await one.explain(KEY, pod(), 100.0) == (None, 4.0)
        assert await one.explain(KEY, pod(), 103.0) == (None, 1.0)
        assert api.requests == []
        assert await one.explain(KEY, pod(), 104.0) == (WORDS, 4.0)
        assert await one.explain(KEY, pod(), 105.0) == (WORDS, 3.0)
        assert len(api.requests) == 1
        assert api.requests[0].query["fieldSelector"] == "involvedObject.uid=u,type=Warning"
        now = 108.0
        for _ in range(6):
            _, again = await one.explain(KEY, pod(), now)
            now += again
        assert again == 60.0
        assert await one.explain(KEY, pod("another"), now) == (None, 4.0)
        one.forget(KEY)
        assert await one.explain(KEY, pod(), now) == (None, 4.0)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([{"reason": "Pulled", "message": "m"}], None),
        ([{"reason": "Unhealthy", "message": "Readiness probe failed: HTTP probe failed with statuscode: 503"}], None),
        ([{"reason": "FailedMount"}], None),
        (
            [{"reason": "Unhealthy", "message": "Readiness probe failed: HTTP probe failed with statuscode: 404"}],
            Trouble(Reason.PROBE, "Readiness probe failed: HTTP probe failed with statuscode: 404"),
        ),
        ([MOUNT, {"reason": "FailedCreatePodSandBox", "message": "old", "eventTime": "2026-01-01T00:00:01Z"}], WORDS),
        ([{"reason": "FailedCreatePodSandBox", "message": "no network"}], Trouble(Reason.CONFIG, "no network")),
    ],
)
def test_the_newest_event_that_says_what_holds_a_pod_up_is_chosen(events: list[dict[str, Any]], expected: Any) -> None:
    assert explain.choose(events) == expected


@pytest.mark.parametrize("reason", [["DownloadFailed"], {"a": 1}, 7, None, "NoSuchReason"])
def test_a_reason_that_is_none_of_ours_leaves_the_words(reason: object) -> None:
    document = {"ready": False, "reason": reason, "message": "so it is"}
    assert explain.read(document) == Trouble(Reason.LOADING, "so it is")
