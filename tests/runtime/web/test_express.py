"""The short way's counts, where a client leaves in the turn of the loop in which its request ends."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from foresail_runtime import contract
from foresail_runtime.web.express import MAX_PATHS

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

PATH = "/v2/models/m/infer"
HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
MESSAGE = RawRequestMessage("POST", PATH, HttpVersion11, HEADERS, (), False, None, False, False, URL(PATH))


def body(rows: int) -> bytes:
    return orjson.dumps(
        {"inputs": [{"name": "input", "shape": [rows, 32], "datatype": "FP32", "data": [0] * 32 * rows}]}
    )


@pytest.mark.parametrize("ends_well", [True, False], ids=["an answer", "an error"])
async def test_who_leaves_as_the_last_piece_ends_is_counted_out_once(
    serve: Callable[..., Any], mlp: pathlib.Path, caplog: pytest.LogCaptureFixture, ends_well: bool
) -> None:
    """The task was done and its callback waited for the next turn, which counted out whom `abandon` had already."""
    server = await serve(mlp, {"batching": contract.Batching(max_size=64)})
    express, model = server.app._http._dispatcher.express, server.app.serving.model("m")
    if not ends_well:
        model.batcher.feeder.engine = None  # every run is an AttributeError now
    answered: list[bytes] = []
    trip = express.begin(MESSAGE, body(200), model, answered.append, client=None, at_once=False)
    assert server.app.serving.in_flight == 1
    while not trip.task.done():
        await asyncio.sleep(0)
    express.abandon(trip)
    await asyncio.sleep(0)
    assert (server.app.serving.in_flight, model.in_flight, answered) == (0, 0, [])
    assert dict(model.metrics.outcomes) == {("infer", 499): 1}
    del trip
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_paths_that_strangers_make_up_leave_room_for_those_that_there_are(
    serve: Callable[..., Any], mlp: pathlib.Path
) -> None:
    name = "strawberries"
    server = await serve(mlp, {"name": name})
    express, model = server.app._http._dispatcher.express, server.app.serving.model(name)
    path = f"/v2/models/{name}/infer"
    for number in range(3000):
        for strange in (f"/v2/models/{number}/infer", f"/v2/models/{name}/versions/{number}/infer", f"{path}?{number}"):
            assert express.model(MESSAGE._replace(path=strange), 10) is None or number == 1
        quoted = "".join(f"%{ord(letter):x}" if number >> bit & 1 else letter for bit, letter in enumerate(name))
        assert express.model(MESSAGE._replace(path=f"/v2/models/{quoted}/infer"), 10) is model
    assert express.model(MESSAGE._replace(path=path), 10) is model
    assert path in express._paths
    assert len(express._paths) <= MAX_PATHS
