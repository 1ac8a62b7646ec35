"""A folder of models over real sockets: versions in paths, and what is served follows the folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
import onnx
import pytest

from foresail_runtime import app, contract, library, settings
from tests.runtime.conftest import FLOAT, Server, running, save_model

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Callable

    from foresail_runtime.model import Model

    Begin = Callable[..., Any]

TOKEN = "let-me-change-it"
KEY = {"Authorization": f"Bearer {TOKEN}"}
PATIENCE = 30.0
NO_BYTES = "/proc/self/mem"
"""A plain file that even root can't read from its beginning."""


def put(root: pathlib.Path, name: str, version: str, value: float = 0.0) -> pathlib.Path:
    """Save a model that adds its value to `x`; in one step, as a careful publisher does."""
    number = onnx.helper.make_tensor("value", FLOAT, [], [value])
    nodes = [
        onnx.helper.make_node("Constant", [], ["value"], value=number),
        onnx.helper.make_node("Add", ["x", "value"], ["y"]),
    ]
    path = root / name / version / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = ("N", 1)
    save_model(path.with_suffix(".part"), nodes, {"x": (FLOAT, shape)}, {"y": (FLOAT, shape)})
    return path.with_suffix(".part").replace(path)


def say(root: pathlib.Path, name: str, **found: Any) -> None:
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / "foresail.json").write_text(json.dumps(found))


def unreadable(path: pathlib.Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(NO_BYTES)


def request(rows: int = 1) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [rows, 1], "datatype": "FP32", "data": [0.0] * rows}]}


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    made = tmp_path / "models"
    made.mkdir()
    return made


@pytest.fixture
async def begin(root: pathlib.Path, tmp_path: pathlib.Path) -> AsyncIterator[Begin]:
    """Start a server of the folder; it ends with the test."""
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    async with contextlib.AsyncExitStack() as stack:

        async def start(**chosen: Any) -> Server:
            wanted: dict[str, Any] = {"host": "127.0.0.1", "http_port": 0, "grpc_port": None, "shutdown_seconds": 2.0}
            wanted |= {"repository_tokens": str(tmp_path / "tokens"), **chosen}
            return await stack.enter_async_context(running(settings.Settings(**wanted), root))

        yield start


def kept(server: Server) -> library.Library:
    found = server.app.serving.library
    assert isinstance(found, library.Library)
    return found


async def answer(server: Server, name: str, version: str | None = None) -> tuple[int, Any]:
    """Return 200, the version that answered and its number; or the status and the error."""
    path = f"/v2/models/{name}" + ("" if version is None else f"/versions/{version}")
    status, document, _ = await server.call("POST", f"{path}/infer", json=request())
    if status != 200:
        return status, document["error"]
    return status, (document["model_version"], document["outputs"][0]["data"][0])


async def index(server: Server) -> dict[tuple[str, str], tuple[str, str]]:
    _, found, _ = await server.call("POST", "/v2/repository/index")
    return {(entry["name"], entry.get("version", "")): (entry["state"], entry.get("reason", "")) for entry in found}


async def change(server: Server, name: str, verb: str, **headers: str) -> tuple[int, Any]:
    path = f"/v2/repository/models/{name}/{verb}"
    status, document, _ = await server.call("POST", path, headers=headers or KEY)
    return status, document


async def test_models_and_versions_are_served_side_by_side(root: pathlib.Path, begin: Begin) -> None:
    for version in ("1", "2", "10"):
        put(root, "a", version, float(version))
    say(root, "a", versions="all", labels={"stable": 2, "canary": 10}, default="stable")
    put(root, "b", "7", 70.0)
    server = await begin()
    assert await answer(server, "a", "1") == (200, ("1", 1.0))
    assert await answer(server, "a", "10") == (200, ("10", 10.0))
    assert await answer(server, "a", "canary") == (200, ("10", 10.0))
    assert await answer(server, "a") == (200, ("2", 2.0))
    assert await answer(server, "b") == (200, ("7", 70.0))
    _, document, _ = await server.call("GET", "/v2/models/a/versions/1")
    assert document["versions"] == ["1", "2", "10"]
    assert (await server.call("GET", "/v2/models/a/versions/canary/ready"))[0] == 200
    counts = (await server.call("GET", "/v2/models/stats"))[1]["model_stats"]
    assert {(entry["name"], entry["version"]): entry["inference_count"] for entry in counts} == {
        ("a", "1"): 1, ("a", "2"): 1, ("a", "10"): 2, ("b", "7"): 1,
    }  # fmt: skip
    for path, versions in (("a", ["1", "2", "10"]), ("a/versions/canary", ["10"])):
        counts = (await server.call("GET", f"/v2/models/{path}/stats"))[1]["model_stats"]
        assert [entry["version"] for entry in counts] == versions, path
    paths = (await server.call("GET", "/openapi.json"))[1]["paths"]
    answers = paths["/v2/models/a/infer"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answers["properties"]["model_version"] == {"const": "2"}, "the default is not the newest"


async def test_what_is_not_there_is_404_and_says_what_is(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1")
    put(root, "a", "2")
    say(root, "a", labels={"stable": "1", "canary": "2"})
    server = await begin()
    words = "model 'a' has no version '3'; it has '2' and the labels 'canary', 'stable'"
    assert await answer(server, "a", "3") == (404, words)
    words = "label 'stable' of model 'a' is version '1', which is not loaded; loaded: '2'"
    assert await answer(server, "a", "stable") == (404, words)
    assert await answer(server, "z") == (404, "there is no model 'z'; this server has 'a'")


async def test_one_bad_model_does_not_keep_the_others_from_being_served(root: pathlib.Path, begin: Begin) -> None:
    put(root, "good", "1")
    put(root, "bad", "1").write_bytes(b"no model at all")
    say(root, "odd", versions=0)
    say(root, "empty")
    server = await begin()
    assert (await answer(server, "good"))[0] == 200
    found = await index(server)
    assert found["good", "1"] == ("READY", "")
    assert found["bad", "1"][0] == found["odd", ""][0] == found["empty", ""][0] == "UNAVAILABLE"
    assert "can't load model.onnx" in found["bad", "1"][1]
    assert "how many of the newest" in found["odd", ""][1]
    assert "it has no version" in found["empty", ""][1]
    status, document, _ = await server.call("GET", "/v2/models/bad/ready")
    assert (status, document["ready"], document["state"]) == (503, False, "failed")
    assert "can't load model.onnx" in document["message"]
    assert "can't load model.onnx" in (await answer(server, "bad"))[1]
    _, ready, _ = await server.call("POST", "/v2/repository/index", json={"ready": True})
    assert [entry["name"] for entry in ready] == ["good"]


async def test_a_file_that_can_not_be_read_is_the_matter_of_its_model_alone(root: pathlib.Path, begin: Begin) -> None:
    put(root, "good", "1", 1.0)
    unreadable(put(root, "bytes", "1"))
    put(root, "name", "1")
    say(root, "name", file="x" * 300)
    put(root, "settings", "1")
    unreadable(root / "settings" / "foresail.json")
    (root / "folder").symlink_to("x" * 300)
    server = await begin()
    found = await index(server)
    assert await answer(server, "good") == (200, ("1", 1.0))
    for key in (("bytes", "1"), ("name", "1"), ("settings", ""), ("folder", "")):
        assert found[key][0] == "UNAVAILABLE", key
    for key in (("bytes", "1"), ("settings", ""), ("folder", "")):
        assert "can't be read: " in found[key][1], key
    put(root, "good", "2", 2.0)
    for _ in range(2):
        await kept(server).look()
    assert await answer(server, "good") == (200, ("2", 2.0)), "it comes behind the others in the alphabet"


async def test_what_a_new_volume_has_in_it_is_no_model(root: pathlib.Path, begin: Begin) -> None:
    put(root, "good", "1")
    (root / "lost+found").symlink_to("x" * 300)
    server = await begin()
    assert await index(server) == {("good", "1"): ("READY", "")}


async def test_a_folder_of_bad_models_only_is_no_start(root: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    put(root, "bad", "1").write_bytes(b"no model at all")
    made = app.App(settings.Settings(host="127.0.0.1", http_port=0, grpc_port=None), root)
    assert await made.run() == app.EXIT_FAILED
    assert f"no model of {root} can be served: bad: ONNX Runtime" in caplog.text


async def test_a_version_is_swapped_under_load_without_a_lost_request(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1", 1.0)
    server = await begin()
    seen: set[str] = set()
    lost: list[str] = []
    end = asyncio.Event()

    async def ask(session: aiohttp.ClientSession, large: bool) -> None:
        # Small requests take the short way, large ones that may be answered packed the long one.
        headers = {"Accept-Encoding": "gzip"} if large else {}
        body = request(300 if large else 1)
        while not end.is_set():
            try:
                async with session.post(f"{server.address}/v2/models/a/infer", json=body, headers=headers) as response:
                    document = await response.json()
                if response.status == 200 and set(document["outputs"][0]["data"]) == {float(document["model_version"])}:
                    seen.add(document["model_version"])
                else:
                    lost.append(f"{response.status}: {document}")
            except aiohttp.ClientError as error:
                lost.append(repr(error))

    async with aiohttp.ClientSession() as session:
        asking = [asyncio.create_task(ask(session, number % 2 == 0)) for number in range(8)]
        for version in ("2", "3", "4", "5"):
            put(root, "a", version, float(version))
            assert await change(server, "a", "load") == (200, {})
            async with asyncio.timeout(PATIENCE):
                while version not in seen:
                    await asyncio.sleep(0.01)
        end.set()
        await asyncio.gather(*asking)
    assert lost == []
    assert seen == {"1", "2", "3", "4", "5"}
    assert await index(server) == {("a", "5"): ("READY", "")}
    load = server.app.serving.load(latency=True)
    assert load.requests == sum(load.latency) > 8


async def test_the_same_version_is_swapped_when_its_file_changed(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1", 1.0)
    server = await begin()
    first = server.app.serving.model("a")
    assert await change(server, "a", "load") == (200, {})
    assert server.app.serving.model("a") is first
    put(root, "a", "1", 2.0)
    assert await answer(server, "a") == (200, ("1", 1.0))
    assert await change(server, "a", "load") == (200, {})
    assert await answer(server, "a") == (200, ("1", 2.0))
    assert server.app.serving.load().requests == 2


async def test_a_version_leaves_once_its_last_request_is_answered(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1", 1.0)
    server = await begin()
    old = server.app.serving.model("a")
    server.app.serving.begin(old)
    put(root, "a", "2", 2.0)
    loading = asyncio.create_task(change(server, "a", "load"))
    async with asyncio.timeout(PATIENCE):
        while (await answer(server, "a")) != (200, ("2", 2.0)):
            await asyncio.sleep(0.01)
    assert not loading.done()
    assert (await index(server))["a", "1"] == ("UNLOADING", "")
    inputs = {"x": np.ones((1, 1), np.float32)}
    assert old.batcher.feeder.engine.run(inputs, ("y",))[0] == [[2.0]]
    server.app.serving.end(old)
    assert await loading == (200, {})
    assert old.batcher.feeder.closed
    assert server.app.serving.in_flight == 0


async def test_a_load_that_fails_keeps_what_is_served_and_says_why(
    root: pathlib.Path, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    put(root, "a", "1", 1.0)
    server = await begin()
    put(root, "a", "2").write_bytes(b"no model at all")
    status, document = await change(server, "a", "load")
    assert status == 400
    assert "model 'a' version '2' was not loaded: ONNX Runtime" in document["error"]
    assert await answer(server, "a") == (200, ("1", 1.0))
    found = await index(server)
    assert found["a", "1"] == ("READY", "")
    assert found["a", "2"][0] == "UNAVAILABLE"
    assert "can't load model.onnx" in found["a", "2"][1]
    assert "a model was not loaded" in caplog.text
    put(root, "a", "1").write_bytes(b"spoiled as well")
    shutil.rmtree(root / "a" / "2")
    assert (await change(server, "a", "load"))[0] == 400
    assert await answer(server, "a") == (200, ("1", 1.0))
    state, reason = (await index(server))["a", "1"]
    assert state == "READY"
    assert "can't load" in reason


async def test_a_model_is_unloaded_and_loaded_again(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1", 1.0)
    put(root, "b", "1", 2.0)
    server = await begin()
    await answer(server, "a")
    assert await change(server, "a", "unload") == (200, {})
    assert await answer(server, "a") == (503, "model 'a' is not ready: it was unloaded; to use it, load it again")
    assert await index(server) == {("a", "1"): ("UNAVAILABLE", "unloaded"), ("b", "1"): ("READY", "")}
    status, told, _ = await server.call("GET", "/v2/models/a/ready")
    assert (status, told["ready"], told["state"]) == (503, False, "unloaded")
    assert told["message"] == "it was unloaded; to use it, load it again"
    status, _, refused = await server.call("POST", "/v2/models/a/infer", json=request())
    assert (status, "Retry-After" in refused.headers) == (503, False), "nobody said that it comes back"
    assert (await server.call("GET", "/v2/health/ready"))[0] == 200
    await kept(server).look()
    await kept(server).look()
    assert (await index(server))["a", "1"] == ("UNAVAILABLE", "unloaded"), "a poll undid what a call had asked for"
    assert await change(server, "a", "load") == (200, {})
    assert await answer(server, "a") == (200, ("1", 1.0))
    assert server.app.serving.load().requests == 2
    assert await change(server, "z", "unload") == (404, {"error": "there is no model 'z' to unload"})
    assert await change(server, "z", "load") == (404, {"error": "the repository has no model 'z'; it has 'a', 'b'"})


async def test_only_who_has_a_token_may_change_what_is_served(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1")
    server = await begin()
    for headers in ({"Authorization": "Bearer wrong"}, {"Foresail-Repository-Token": "wrong", **KEY}, {"X": "y"}):
        assert (await change(server, "a", "unload", **headers))[0] == 401
    assert (await answer(server, "a"))[0] == 200
    assert (await change(server, "a", "load", **{"Foresail-Repository-Token": TOKEN}))[0] == 200
    status, document, _ = await server.call(
        "POST", "/v2/repository/models/a/load", headers=KEY, json={"parameters": {"config": "{}"}}
    )
    assert (status, "parameters of a load are not offered" in document["error"]) == (400, True)


@pytest.mark.parametrize(
    ("verb", "body", "words"),
    [
        ("load", {"parameters": ""}, "parameters is not an object"),
        ("load", {"parameters": []}, "parameters is not an object"),
        ("unload", {"parameters": ""}, "parameters is not an object"),
        ("unload", {"parameters": {"unload_dependents": "no"}}, "unload_dependents is 'no', not true or false"),
        ("unload", {"parameters": {"force": True}}, "'force' is no parameter of an unload"),
    ],
)
async def test_parameters_that_are_none_are_refused_and_change_nothing(
    root: pathlib.Path, begin: Begin, verb: str, body: dict[str, Any], words: str
) -> None:
    put(root, "a", "1")
    server = await begin()
    path = f"/v2/repository/models/a/{verb}"
    status, document, _ = await server.call("POST", path, headers=KEY, json=body)
    assert (status, words in document["error"]) == (400, True)
    assert (await answer(server, "a"))[0] == 200


@pytest.mark.parametrize("parameters", [None, {}, {"unload_dependents": False}, {"unload_dependents": True}])
async def test_what_tritons_clients_send_with_an_unload_is_taken(
    root: pathlib.Path, begin: Begin, parameters: Any
) -> None:
    put(root, "a", "1")
    put(root, "b", "1")
    server = await begin()
    path, body = "/v2/repository/models/a/unload", {"parameters": parameters}
    assert (await server.call("POST", path, headers=KEY, json=body))[0] == 200
    assert (await answer(server, "b"))[0] == 200


async def test_changing_what_is_served_is_off_unless_enabled(
    root: pathlib.Path, begin: Begin, serve: Callable[..., Any]
) -> None:
    path = put(root, "a", "1")
    closed = await begin(repository_tokens=None)
    status, document = await change(closed, "a", "unload")
    assert (status, "FORESAIL_REPOSITORY_TOKENS" in document["error"]) == (403, True)
    single = await serve(path)
    status, document = await change(single, "m", "load")
    assert (status, "start it with a folder of models" in document["error"]) == (403, True)
    assert await index(single) == {("m", "1"): ("READY", "")}


async def test_the_description_has_what_may_be_called(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1")
    for tokens, expected in ((str(root.parent / "tokens"), {"load", "unload"}), (None, set())):
        server = await begin(repository_tokens=tokens)
        _, found, _ = await server.call("GET", "/openapi.json")
        assert "/v2/repository/index" in found["paths"]
        base = "/v2/repository/models/{name}/"
        assert {path.removeprefix(base) for path in found["paths"] if path.startswith(base)} == expected


async def test_a_poll_takes_up_what_has_settled_and_lets_go_of_what_is_gone(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1", 1.0)
    server = await begin()
    put(root, "a", "2", 2.0)
    put(root, "b", "1", 3.0)
    await kept(server).look()
    assert await answer(server, "a") == (200, ("1", 1.0)), "it may still be being written"
    await kept(server).look()
    assert await answer(server, "a") == (200, ("2", 2.0))
    assert await answer(server, "b") == (200, ("1", 3.0))
    shutil.rmtree(root / "b")
    await kept(server).look()
    await kept(server).look()
    assert await answer(server, "b") == (404, "there is no model 'b'; this server has 'a'")
    assert await index(server) == {("a", "2"): ("READY", "")}


async def test_a_poll_does_not_try_again_what_failed_until_it_changes(
    root: pathlib.Path, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    put(root, "a", "1", 1.0)
    server = await begin()
    put(root, "a", "2").write_bytes(b"half of a mod")
    for _ in range(4):
        await kept(server).look()
    assert caplog.text.count("a model was not loaded") == 1
    put(root, "a", "2", 2.0)
    for _ in range(2):
        await kept(server).look()
    assert await answer(server, "a") == (200, ("2", 2.0))


async def test_the_folder_is_followed_while_the_server_runs(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1", 1.0)
    server = await begin(poll_seconds=0.1)
    put(root, "a", "2", 2.0)
    async with asyncio.timeout(PATIENCE):
        while (await answer(server, "a")) != (200, ("2", 2.0)):
            await asyncio.sleep(0.02)


async def test_a_look_that_fails_by_our_own_fault_is_not_the_last(
    root: pathlib.Path, begin: Begin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(root, "a", "1")
    server = await begin()
    turns = asyncio.Queue[None]()
    looks = iter([RuntimeError("a fault"), None])
    looked = asyncio.Event()

    async def look() -> None:
        if fault := next(looks):
            raise fault
        looked.set()

    monkeypatch.setattr(kept(server), "look", look)
    watching = asyncio.create_task(kept(server).watch(turns.get))
    for _ in range(2):
        turns.put_nowait(None)
    async with asyncio.timeout(PATIENCE):
        await looked.wait()
    watching.cancel()
    assert "looking at the folder failed" in caplog.text


async def test_labels_move_without_a_load(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1", 1.0)
    put(root, "a", "2", 2.0)
    say(root, "a", versions="all", labels={"stable": 1}, default="stable")
    server = await begin()
    assert await answer(server, "a") == (200, ("1", 1.0))
    say(root, "a", versions="all", labels={"stable": 2}, default="stable")
    assert await change(server, "a", "load") == (200, {})
    assert await answer(server, "a") == (200, ("2", 2.0))


async def test_words_move_to_a_new_version_once_it_answers(
    root: pathlib.Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1", "2"):
        put(root, "a", version, float(version))
    say(root, "a", versions=2, labels={"stable": 1, "canary": 2}, default="canary")
    server = await begin()
    put(root, "a", "3", 3.0)
    say(root, "a", versions=2, labels={"stable": 2, "canary": 3}, default="canary")
    load, seen = kept(server)._load, []

    async def look_and_load(description: contract.ModelDescription) -> Model:
        seen.append([await answer(server, "a", word) for word in (None, "canary", "stable")])
        return await load(description)

    monkeypatch.setattr(kept(server), "_load", look_and_load)
    assert await change(server, "a", "load") == (200, {})
    two, three = (200, ("2", 2.0)), (200, ("3", 3.0))
    assert seen == [[two, two, two]] * 2, "a word moved to a version that was still being loaded"
    assert [await answer(server, "a", word) for word in (None, "canary", "stable")] == [three, three, two]
    assert await index(server) == {("a", "2"): ("READY", ""), ("a", "3"): ("READY", "")}


@pytest.mark.parametrize("broken", [True, False], ids=["that fails", "that is not there"])
async def test_words_of_a_version_stay_where_they_were(
    root: pathlib.Path, begin: Begin, caplog: pytest.LogCaptureFixture, broken: bool
) -> None:
    for version in ("1", "2"):
        put(root, "a", version, float(version))
    say(root, "a", versions=2, labels={"stable": 1, "canary": 2}, default="stable")
    server = await begin()
    if broken:
        put(root, "a", "3").write_bytes(b"no model at all")
    say(root, "a", versions=2, labels={"stable": 3, "canary": 2, "new": 3}, default="new")
    status, document = await change(server, "a", "load")
    assert status == 400
    words = (
        "version '3' was not loaded" if broken else "label 'stable' still means version '1', the default still means"
    )
    assert words in document["error"]
    for _ in range(3):
        await kept(server).look()
    assert [await answer(server, "a", word) for word in (None, "stable")] == [(200, ("1", 1.0))] * 2
    assert await answer(server, "a", "canary") == (200, ("2", 2.0))
    assert (await answer(server, "a", "new"))[0] == 404
    assert caplog.text.count("words of a model did not move") == 1
    put(root, "a", "3", 3.0)
    for _ in range(2):
        await kept(server).look()
    assert [await answer(server, "a", word) for word in (None, "stable", "new")] == [(200, ("3", 3.0))] * 3
    assert await index(server) == {("a", "2"): ("READY", ""), ("a", "3"): ("READY", "")}
    assert caplog.text.count("words of a model did not move") == 1


async def test_words_of_a_model_that_was_unloaded_are_those_of_its_settings(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1")
    put(root, "a", "2")
    say(root, "a", versions="all", labels={"stable": 1})
    server = await begin()
    assert await change(server, "a", "unload") == (200, {})
    say(root, "a", versions="all", labels={"stable": 9})
    assert await change(server, "a", "load") == (200, {})
    assert (await answer(server, "a", "stable"))[0] == 404


@pytest.mark.parametrize("data", ["zeros", "warmup.json"])
async def test_a_model_is_warmed_with_what_its_settings_say(root: pathlib.Path, begin: Begin, data: str) -> None:
    path = put(root, "a", "1", 1.0)
    rows = {"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1.0, 2.0]}
    (path.parent / "warmup.json").write_text(json.dumps({"inputs": [rows]}))
    say(root, "a", warmupData=data)
    server = await begin()
    assert await answer(server, "a") == (200, ("1", 1.0))
    # Rows that were shown to be independent may share a run; zeros show nothing.
    assert (server.app.serving.model("a").max_batch_size > 0) is (data == "warmup.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "can't be read"), ("{", "is no request of this model"), ('{"inputs": []}', "is no request of this model")],
)
async def test_a_warm_up_that_is_none_says_so(root: pathlib.Path, begin: Begin, text: str | None, words: str) -> None:
    put(root, "b", "1")
    path = put(root, "a", "1", 1.0)
    if text is not None:
        (path.parent / "warmup.json").write_text(text)
    say(root, "a", warmupData="warmup.json")
    server = await begin()
    state, reason = (await index(server))["a", "1"]
    assert state == "UNAVAILABLE"
    assert words in reason


async def test_threads_of_unloaded_versions_end(root: pathlib.Path, begin: Begin) -> None:
    put(root, "a", "1", 1.0)
    server = await begin()
    for number in range(5):
        put(root, "a", "1", float(number))
        assert await change(server, "a", "load") == (200, {})
        server.app.serving.model("a").batcher.feeder.inline = False  # as if it took long: it gets a thread
        assert await answer(server, "a") == (200, ("1", float(number)))
    async with asyncio.timeout(PATIENCE):
        while sum(thread.name.startswith("engine") for thread in threading.enumerate()) != 1:
            await asyncio.sleep(0.01)
