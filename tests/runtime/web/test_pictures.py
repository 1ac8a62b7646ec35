"""Pictures over HTTP with the real detector: the reference's boxes, forms, options, and what is no picture."""

from __future__ import annotations

import asyncio
import pathlib
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import onnx
import pytest

from foresail_runtime import settings
from foresail_runtime.web import infer, multipart
from tests.runtime.conftest import FLOAT, running, save_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.runtime.conftest import Server

PICTURES = pathlib.Path(__file__).parents[2] / "pictures"
CHELSEA = PICTURES / "chelsea.png"
PATIENCE = 10.0


@pytest.fixture
async def server(serve: Callable[..., Any], nanodet: pathlib.Path) -> Server:
    made: Server = await serve(nanodet, max_body_bytes=1_000_000)
    return made


async def detect(server: Server, data: Any, query: str = "", way: str = "detect") -> tuple[int, Any]:
    status, document, _ = await server.call("POST", f"/v2/models/m/{way}{query}", data=data)
    return status, document


async def test_a_photograph_comes_back_as_boxes(server: Server) -> None:
    status, document = await detect(server, CHELSEA.read_bytes())
    assert status == 200
    assert (document["model_name"], document["model_version"]) == ("m", "1")
    assert document["image"] == {"width": 451, "height": 300}
    (cat,) = document["detections"]
    assert cat["class_name"] == "cat"
    assert cat["confidence"] == pytest.approx(0.60, abs=0.015)
    assert cat["box"] == pytest.approx([2, 0, 438, 298], abs=2)
    form = aiohttp.FormData()
    form.add_field("note", "ignored")
    form.add_field("image", CHELSEA.read_bytes(), filename="chelsea.png", content_type="image/png")
    assert (await detect(server, form))[1] == document
    assert (await detect(server, CHELSEA.read_bytes(), "?confidence=0.9"))[1]["detections"] == []


async def test_the_options_may_be_fields_of_the_form(server: Server) -> None:
    def form(**fields: str) -> aiohttp.FormData:
        made = aiohttp.FormData(fields)
        made.add_field("image", CHELSEA.read_bytes(), filename="chelsea.png", content_type="image/png")
        return made

    assert (await detect(server, form(confidence="0.9")))[1]["detections"] == []
    status, document = await detect(server, form(confidence="0.9"), "?confidence=0.9")
    assert (status, document) == (400, {"error": "the option confidence is in the query and in the form: send it once"})
    status, document = await detect(server, form(confidence="much"))
    assert (status, "write a number from 0 to 1" in document["error"]) == (400, True)


@pytest.mark.parametrize(("more", "expected"), [(0, "MainThread"), (infer.LARGE, "large")], ids=["small", "large"])
async def test_a_large_form_is_taken_apart_away_from_the_loop(
    serve: Callable[..., Any], nanodet: pathlib.Path, monkeypatch: pytest.MonkeyPatch, more: int, expected: str
) -> None:
    server = await serve(nanodet)
    threads: list[str] = []
    inner = multipart.read

    def noted(*words: Any) -> multipart.Form:
        threads.append(threading.current_thread().name.partition("_")[0])
        return inner(*words)

    monkeypatch.setattr(multipart, "read", noted)
    form = aiohttp.FormData({"note": "x" * more})
    form.add_field("image", CHELSEA.read_bytes(), filename="chelsea.png", content_type="image/png")
    assert (await detect(server, form))[0] == 200
    assert threads == [expected]


async def test_the_picture_comes_back_with_its_boxes_drawn(server: Server) -> None:
    path = f"{server.address}/v2/models/m/detect?format=png"
    async with server.client.post(path, data=CHELSEA.read_bytes()) as response:
        assert (response.status, response.content_type) == (200, "image/png")
        assert (await response.read()).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("data", "query", "way", "expected"),
    [
        (b"", "", "detect", 400),
        (b"no picture", "", "detect", 400),
        (CHELSEA.read_bytes()[:5000], "", "detect", 400),
        (CHELSEA.read_bytes(), "?confidence=2", "detect", 400),
        (CHELSEA.read_bytes(), "?nonsense=1", "detect", 400),
        (CHELSEA.read_bytes(), "", "classify", 400),
        (bytes(1_000_001), "", "detect", 413),
    ],
    ids=["empty", "rubbish", "cut off", "a wrong option", "an unknown option", "another task", "too large"],
)
async def test_what_can_not_be_answered_is_refused_in_words(
    server: Server, data: bytes, query: str, way: str, expected: int
) -> None:
    status, document = await detect(server, data, query, way)
    assert (status, set(document)) == (expected, {"error"})


def classifier(path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True)
    nodes = [
        onnx.helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        onnx.helper.make_node("Flatten", ["pooled"], ["y"]),
    ]
    save_model(path, nodes, {"x": (FLOAT, (1, 3, 8, 8))}, {"y": (FLOAT, (1, 3))})


async def test_pictures_of_one_model_leave_the_others_queue_alone(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "models"
    for name in ("busy", "calm"):
        classifier(root / name / "1" / "model.onnx")
        (root / name / "foresail.json").write_text('{"task": "image-classification", "maxQueueSize": 1}')
    chosen = settings.Settings(host="127.0.0.1", http_port=0, grpc_port=None, shutdown_seconds=2.0)
    async with running(chosen, root) as server:
        gate, entered = threading.Event(), threading.Event()
        task: Any = server.app.serving.model("busy").picture
        inner = task.prepare

        def held(*arguments: Any, **options: Any) -> Any:
            entered.set()
            assert gate.wait(PATIENCE)
            return inner(*arguments, **options)

        monkeypatch.setattr(task, "prepare", held)

        async def classify(name: str) -> int:
            data = CHELSEA.read_bytes()
            return (await server.call("POST", f"/v2/models/{name}/classify", data=data))[0]

        first = asyncio.create_task(classify("busy"))
        assert await asyncio.to_thread(entered.wait, PATIENCE)
        assert (await classify("busy"), await classify("calm")) == (429, 200)
        assert server.app.serving.load().refused == 1
        gate.set()
        assert (await first, await classify("busy")) == (200, 200)
