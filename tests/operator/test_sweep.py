"""Sweeps against an API over a real socket: what a watch does not show, whose fault it is, and how often is asked."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from foresail_operator import observe, sweep
from foresail_operator.api import kinds
from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics
from tests.operator import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from foresail_operator.live import Key

OWNER = {"apiVersion": "foresail.dev/v1alpha1", "kind": "ModelDeployment", "name": "fraud", "controller": True}


def child(name: str, owners: list[dict[str, Any]]) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "team", "ownerReferences": owners}}


class Place:
    """A cluster, what the watches have shown of it, and what the sweeps have asked to look at."""

    def __init__(self) -> None:
        self.api = wire.Api()
        self.cache = observe.Cache()
        self.found: list[Key] = []

    @contextlib.asynccontextmanager
    async def sweeps(self) -> AsyncIterator[sweep.Sweeps]:
        async with TestServer(self.api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
            kube = Kube(session, Metrics(), lambda: None)
            yield sweep.Sweeps(
                kube, self.cache, ("team",), metrics=Metrics(), found=self.found.append, grace_seconds=0.0
            )


@pytest.fixture
def place() -> Place:
    return Place()


async def test_a_watch_that_shows_too_little_is_told_whichever_it_is(place: Place) -> None:
    path = "/apis/apps/v1/namespaces/team/deployments/fraud"
    raw = place.api.put(path, child("fraud", [OWNER]))
    async with place.sweeps() as sweeps:
        await sweeps.sweep(sweep.KINDS)
        assert sweeps.behind() == "the watch of deployments did not show 1 changes"
        place.cache.note(kinds.DEPLOYMENT, raw)
        await sweeps.sweep(sweep.KINDS)
        assert sweeps.behind() is None


async def test_what_bears_our_label_and_is_none_of_ours_is_no_watchs_fault(place: Place) -> None:
    place.api.put("/api/v1/namespaces/team/pods/stranger", child("stranger", []))
    async with place.sweeps() as sweeps:
        await sweeps.sweep(sweep.KINDS)
        assert sweeps.behind() is None


async def test_what_went_unseen_is_looked_at(place: Place) -> None:
    raw = place.api.put("/api/v1/namespaces/team/services/fraud", child("fraud", [OWNER]))
    place.cache.note(kinds.SERVICE, raw)
    place.api.objects.clear()
    async with place.sweeps() as sweeps:
        await sweeps.sweep((kinds.SERVICE,))
    assert place.found == [("team", "fraud")]


async def test_a_kind_that_can_not_be_listed_is_asked_for_again_when_the_server_says_and_the_others_are_not(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds:  # aiohttp yields to the loop with 0
            pauses.append(seconds)

    refusals = [
        wire.failure(429, "TooManyRequests", Retry_After="30"),
        wire.failure(500, "InternalError"),
        wire.failure(500, "InternalError"),
    ]
    place.api.answer = lambda came: refusals.pop(0) if came.path.endswith("/pods") and refusals else None
    monkeypatch.setattr("foresail_operator.sweep.asyncio.sleep", sleep)
    async with place.sweeps() as sweeps:
        await sweeps.sweep(sweep.KINDS)
    assert pauses == [30.0, 2.0, 4.0]
    asked = [one.path.rpartition("/")[2] for one in place.api.requests]
    assert asked.count("pods") == 4
    assert asked.count("deployments") == 1
