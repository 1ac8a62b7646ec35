"""What Events tell of a pod that says nothing itself."""

from __future__ import annotations

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


async def test_events_are_read_only_after_a_while_and_with_growing_pauses() -> None:
    def answer(_: wire.Request) -> Response | None:
        return json_response({"items": [MOUNT]})

    api = wire.Api(answer=answer)
    async with TestServer(api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        one = explain.Explainer(Kube(session, Metrics(), lambda: None))
        assert await one.explain(KEY, pod(), 100.0) == (None, 6.0)
        assert await one.explain(KEY, pod(), 103.0) == (None, 3.0)
        assert api.requests == []
        assert await one.explain(KEY, pod(), 106.0) == (WORDS, 12.0)
        assert await one.explain(KEY, pod(), 107.0) == (WORDS, 11.0)
        assert len(api.requests) == 1
        assert api.requests[0].query["fieldSelector"] == "involvedObject.uid=u,type=Warning"
        now = 118.0
        for _ in range(6):
            _, again = await one.explain(KEY, pod(), now)
            now += again
        assert again == 60.0
        assert await one.explain(KEY, pod("another"), now) == (None, 6.0)
        one.forget(KEY)
        assert await one.explain(KEY, pod(), now) == (None, 6.0)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([{"reason": "Unhealthy", "message": "m"}], None),
        ([MOUNT, {"reason": "FailedCreatePodSandBox", "message": "old", "eventTime": "2026-01-01T00:00:01Z"}], WORDS),
        ([{"reason": "FailedCreatePodSandBox", "message": "no network"}], Trouble(Reason.CONFIG, "no network")),
    ],
)
def test_the_newest_event_that_says_what_holds_a_pod_up_is_chosen(events: list[dict[str, Any]], expected: Any) -> None:
    assert explain.choose(events) == expected
