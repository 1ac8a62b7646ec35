"""Requests that come to a container started again: they wait for the model, and nobody else does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from foresail_runtime import health, lobby

if TYPE_CHECKING:
    import pathlib

PATIENCE = 10.0


@pytest.fixture
def again(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return the folder of a pod one of whose containers has been ready."""
    state = health.Health()
    assert not lobby.Lobby(state, tmp_path).open
    state.move(health.State.READY)
    return tmp_path


async def test_who_comes_to_a_container_started_again_waits_until_it_is_ready(again: pathlib.Path) -> None:
    state = health.Health()
    room = lobby.Lobby(state, again)
    waiting = asyncio.create_task(room.wait())
    await asyncio.sleep(0)
    for step in (health.State.FETCHING, health.State.LOADING, health.State.WARMING):
        state.move(step)
        await asyncio.sleep(0)
        assert not waiting.done()
    state.move(health.State.READY)
    await asyncio.wait_for(waiting, PATIENCE)
    assert not room.open


@pytest.mark.parametrize("state", [health.State.FAILED, health.State.DRAINING])
async def test_a_start_that_comes_to_nothing_lets_them_go(again: pathlib.Path, state: health.State) -> None:
    status = health.Health()
    waiting = asyncio.create_task(lobby.Lobby(status, again).wait())
    await asyncio.sleep(0)
    if state is health.State.FAILED:
        status.fail("ModelMissing", "there is no such file")
    else:
        status.move(state)
    await asyncio.wait_for(waiting, PATIENCE)


async def test_nobody_waits_for_ever(again: pathlib.Path) -> None:
    await asyncio.wait_for(lobby.Lobby(health.Health(), again, seconds=0.01).wait(), PATIENCE)


async def test_nobody_waits_for_a_pods_first_start(tmp_path: pathlib.Path) -> None:
    first = lobby.Lobby(health.Health(), tmp_path, seconds=PATIENCE)
    failed = health.Health()
    second = lobby.Lobby(failed, tmp_path, seconds=PATIENCE)
    failed.fail("ModelMissing", "there is no such file")
    for room in (first, second, lobby.Lobby(health.Health(), tmp_path), lobby.Lobby(health.Health(), None)):
        waiting = asyncio.create_task(room.wait())
        await asyncio.sleep(0)
        assert waiting.done()


async def test_a_folder_that_can_not_be_written_is_a_line_in_the_log(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    state = health.Health()
    lobby.Lobby(state, tmp_path / "file")
    state.move(health.State.READY)
    assert "can't note that this pod has served" in caplog.text
