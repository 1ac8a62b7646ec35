"""What the kubelet's probe is answered while a server starts."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import make_mocked_request

from foresail_runtime import contract, health, metrics, serving
from foresail_runtime.web import status

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 10.0


@pytest.fixture
def handlers() -> Iterator[status.StatusHandlers]:
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        yield status.StatusHandlers(serving.Serving(health.Health(), metrics.Metrics(), executor))


async def test_a_probe_is_answered_the_moment_the_server_is_ready(
    handlers: status.StatusHandlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "HOLD_SECONDS", 3600.0)
    probe = make_mocked_request("GET", contract.READY_PATH, headers={"User-Agent": "kube-probe/1.37"})
    asked = asyncio.create_task(handlers.ready(probe, {}))
    for step in (health.State.LOADING, health.State.WARMING):
        handlers._serving.health.move(step)
        await asyncio.sleep(0)
        assert not asked.done()
    handlers._serving.health.move(health.State.READY)
    assert (await asyncio.wait_for(asked, PATIENCE)).status == 200


async def test_others_are_told_at_once_how_far_the_start_is(handlers: status.StatusHandlers) -> None:
    asked = asyncio.create_task(handlers.ready(make_mocked_request("GET", contract.READY_PATH), {}))
    await asyncio.sleep(0)
    assert asked.done()
    assert asked.result().status == 503
