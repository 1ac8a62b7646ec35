"""The protocol over real sockets: endpoints, and the acceptance table of what is answered to what."""

from __future__ import annotations

import asyncio
import gzip
import io
import struct
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any

import onnx
import orjson
import pytest

import foresail_runtime
from foresail_runtime import contract
from foresail_runtime.codec import rest
from foresail_runtime.web import bodies
from tests.runtime.conftest import save_model

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from tests.runtime.conftest import Server

    Start = Callable[..., Any]

ROW = [round(number / 7, 4) for number in range(32)]


def tensor(**changes: Any) -> dict[str, Any]:
    made = {"name": "input", "shape": [1, 32], "datatype": "FP32", "data": ROW, **changes}
    return {key: value for key, value in made.items() if value is not ...}


def request(*inputs: Any, **more: Any) -> dict[str, Any]:
    return {"inputs": list(inputs or [tensor()]), **more}


@pytest.fixture
async def server(serve: Start, mlp: pathlib.Path) -> Server:
    made: Server = await serve(mlp, max_body_bytes=100_000)
    return made


@pytest.fixture
async def cutting(serve: Start, mlp: pathlib.Path) -> Server:
    """A server that runs no more than 8 rows at once."""
    made: Server = await serve(mlp, {"batching": contract.Batching(max_size=8)})
    return made


async def test_the_server_says_what_it_is(server: Server) -> None:
    for path in ("/v2", "/v2/"):
        status, document, _ = await server.call("GET", path)
        assert status == 200
        assert (document["name"], document["version"]) == ("foresail", foresail_runtime.__version__)
        # Clients take them at their word: what is named works, and what is not offered is not named.
        assert document["extensions"] == [
            "binary_tensor_data",
            "model_repository",
            "model_configuration",
            "parameters",
            "statistics",
        ]


async def test_health_satisfies_every_client(server: Server) -> None:
    assert (await server.call("GET", "/v2/health/live"))[:2] == (200, {"live": True})
    status, document, _ = await server.call("GET", "/v2/health/ready")
    assert status == 200
    assert (document["live"], document["ready"], document["state"]) == (True, True, "ready")
    assert (await server.call("GET", "/v2/models/m/ready"))[:2] == (200, {"name": "m", "ready": True})
    assert (await server.call("GET", "/v2/models/m/versions/1/ready"))[0] == 200


async def test_metadata_is_the_models_own(server: Server) -> None:
    for path in ("/v2/models/m", "/v2/models/m/versions/1"):
        status, document, _ = await server.call("GET", path)
        assert status == 200
        assert document["name"] == "m"
        assert document["versions"] == ["1"]
        assert document["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 32]}]
        assert document["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1, 8]}]
        assert document["properties"]["execution_provider"] == "CPUExecutionProvider"


async def test_an_answer_names_model_version_and_id(server: Server) -> None:
    status, document = await server.infer(request(id="42"))
    assert status == 200
    assert {key: document[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "m",
        "model_version": "1",
        "id": "42",
    }
    (output,) = document["outputs"]
    assert (output["name"], output["shape"], output["datatype"], len(output["data"])) == ("output", [1, 8], "FP32", 8)
    assert "id" not in (await server.infer(request()))[1]


async def test_many_rows_give_what_each_gives_alone(cutting: Server) -> None:
    server = cutting
    rows = [[value * factor for value in ROW] for factor in range(1, 101)]  # more than one run takes
    alone = [(await server.infer(request(tensor(data=row))))[1]["outputs"][0]["data"] for row in rows[::33]]
    status, document = await server.infer(request(tensor(shape=[100, 32], data=rows)))
    assert status == 200
    together = document["outputs"][0]
    assert together["shape"] == [100, 8]
    for index, expected in zip(range(0, 100, 33), alone, strict=True):
        assert together["data"][index * 8 : index * 8 + 8] == pytest.approx(expected, rel=1e-4)


async def test_requests_at_once_get_each_their_own_answer(server: Server) -> None:
    async def one(factor: int) -> None:
        _, document = await server.infer(request(tensor(data=[factor] * 32), id=str(factor)))
        assert document["id"] == str(factor)
        _, again = await server.infer(request(tensor(data=[factor] * 32)))
        assert document["outputs"][0]["data"] == pytest.approx(again["outputs"][0]["data"], rel=1e-4)

    await asyncio.gather(*[one(factor) for factor in range(50)])


ACCEPTANCE: dict[str, tuple[Any, int, str]] = {
    "malformed JSON": (b'{"inputs": [', 400, "not JSON"),
    "inputs missing": ({}, 400, "inputs is missing"),
    "inputs empty": ({"inputs": []}, 400, "inputs is missing or empty"),
    "shape missing": (request(tensor(shape=...)), 400, "shape"),
    "datatype missing": (request(tensor(datatype=...)), 400, "datatype"),
    "data count is not that of the shape": (request(tensor(data=ROW[:-1])), 400, "31 elements"),
    "wrong datatype": (request(tensor(datatype="INT32", data=[1] * 32)), 400, "INT32, the model takes FP32"),
    "unknown datatype": (request(tensor(datatype="FLOAT")), 400, "'FLOAT'"),
    "wrong dimension": (request(tensor(shape=[1, 31], data=ROW[:-1])), 400, "[1, 31], the model takes [-1, 32]"),
    "wrong rank": (request(tensor(shape=[32])), 400, "[32], the model takes"),
    "unknown output": (request(outputs=[{"name": "nope"}]), 400, "'nope'"),
    "text in FP32": (request(tensor(data=["a", *ROW[1:]])), 400, "element 0 is a string"),
    "an empty body": (b"", 400, "not JSON"),
}


@pytest.mark.parametrize("case", ACCEPTANCE.values(), ids=ACCEPTANCE.keys())
async def test_a_bad_request_is_answered_with_an_error_in_words(server: Server, case: tuple[Any, int, str]) -> None:
    body, expected, words = case
    status, document = await server.infer(body)
    assert (status, set(document)) == (expected, {"error"})
    assert words in document["error"]
    assert (await server.infer(request()))[0] == 200


async def test_unknown_names_are_404(server: Server) -> None:
    for path in (
        "/v2/models/x",
        "/v2/models/x/ready",
        "/v2/models/m/versions/2",
        "/v2/nothing",
        "/",
        "/v2/models/m/infer/x",
    ):
        status, document, _ = await server.call("GET", path)
        assert (status, set(document)) == (404, {"error"})
    for path in ("/v2/models/x/infer", "/v2/models/m/versions/2/infer", "/v2/models/%6D%6D/infer"):
        status, document, _ = await server.call("POST", path, json=request())
        assert (status, set(document)) == (404, {"error"})


async def test_a_quoted_name_is_the_name(server: Server) -> None:
    assert (await server.call("POST", "/v2/models/%6D/infer", data=orjson.dumps(request())))[0] == 200


async def test_a_version_in_the_path_is_served(server: Server) -> None:
    status, document, _ = await server.call("POST", "/v2/models/m/versions/1/infer", json=request())
    assert (status, document["model_version"]) == (200, "1")


async def test_a_wrong_method_is_405_with_what_is_allowed(server: Server) -> None:
    status, document, response = await server.call("GET", "/v2/models/m/infer")
    assert (status, set(document)) == (405, {"error"})
    assert response.headers["Allow"] == "OPTIONS, POST"
    status, _, response = await server.call("POST", "/v2/health/live")
    assert (status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_head_and_options_are_sane(server: Server) -> None:
    status, _, response = await server.call("HEAD", "/v2/health/ready")
    assert status == 200
    assert int(response.headers["Content-Length"]) > 0
    status, _, response = await server.call("OPTIONS", "/v2/models/m/infer")
    assert (status, response.headers["Allow"]) == (204, "OPTIONS, POST")
    assert (await server.call("OPTIONS", "/nothing"))[0] == 404


async def test_no_content_type_is_needed(server: Server) -> None:
    status, _, _ = await server.call(
        "POST", "/v2/models/m/infer", data=orjson.dumps(request()), skip_auto_headers=["Content-Type"]
    )
    assert status == 200


def binary(head: dict[str, Any], *parts: bytes) -> tuple[bytes, dict[str, str]]:
    text = orjson.dumps(head)
    return b"".join((text, *parts)), {"Inference-Header-Content-Length": str(len(text))}


def sized() -> dict[str, Any]:
    return tensor(data=..., parameters={"binary_data_size": 128})


DATA = struct.pack("<32f", *ROW)


async def binary_call(server: Server, data: bytes, headers: dict[str, str]) -> tuple[dict[str, Any], bytes]:
    path = f"{server.address}/v2/models/m/infer"
    async with server.client.post(path, data=data, headers=headers) as response:
        body = await response.read()
        assert response.status == 200, body
        length = response.headers.get("Inference-Header-Content-Length")
        assert response.content_type == ("application/json" if length is None else "application/octet-stream")
        size = len(body) if length is None else int(length)
        return orjson.loads(body[:size]), body[size:]


async def test_binary_and_json_mix_in_both_directions(server: Server) -> None:
    _, document = await server.infer(request())
    expected = document["outputs"][0]["data"]
    head, tail = await binary_call(server, *binary(request(sized()), DATA))
    assert (head["outputs"][0]["data"], tail) == (pytest.approx(expected), b"")
    head, tail = await binary_call(server, *binary(request(sized(), parameters={"binary_data_output": True}), DATA))
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 32}
    assert struct.unpack("<8f", tail) == pytest.approx(expected)
    wish = [{"name": "output", "parameters": {"binary_data": True}}]
    head, tail = await binary_call(server, orjson.dumps(request(outputs=wish)), {})
    assert struct.unpack("<8f", tail) == pytest.approx(expected)
    head, tail = await binary_call(server, DATA, {"Inference-Header-Content-Length": "0"})
    assert struct.unpack("<8f", tail) == pytest.approx(expected)
    head, tail = await binary_call(server, DATA * 3, {"Inference-Header-Content-Length": "0"})  # three rows
    assert head["outputs"][0]["shape"] == [3, 8]
    assert struct.unpack("<24f", tail) == pytest.approx(expected * 3)


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "99999", "", "0x10", "9" * 40])
async def test_a_header_length_that_makes_no_sense_is_400(server: Server, length: str) -> None:
    data, _ = binary(request(sized()), DATA)
    status, document = await server.infer(data, headers={"Inference-Header-Content-Length": length})
    assert (status, set(document)) == (400, {"error"})


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate as the standard has it": ("deflate", zlib.compress),
    "deflate without its frame": ("deflate", lambda data: zlib.compress(data)[2:-4]),
    "two members of gzip": ("gzip", lambda data: gzip.compress(data[:20]) + gzip.compress(data[20:])),
    "twice": ("gzip, deflate", lambda data: zlib.compress(gzip.compress(data))),
    "identity": ("identity", lambda data: data),
}


@pytest.mark.parametrize("case", PACKED.values(), ids=PACKED.keys())
async def test_a_packed_request_is_unpacked(server: Server, case: tuple[str, Callable[[bytes], bytes]]) -> None:
    encoding, pack = case
    data, headers = binary(request(sized()), DATA)
    head, _ = await binary_call(server, pack(data), {**headers, "Content-Encoding": encoding})
    assert head["outputs"][0]["shape"] == [1, 8]


@pytest.mark.parametrize(
    ("encoding", "data", "expected"),
    [
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(orjson.dumps(request()))[:-20], 400),
        ("deflate", zlib.compress(b"{}") + b"more", 400),
        ("br", b"x", 415),
        ("gzip", gzip.compress(bytes(10_000_000)), 413),
    ],
    ids=["not packed", "cut off", "bytes left", "an encoding we don't know", "a bomb"],
)
async def test_a_badly_packed_request_is_refused(server: Server, encoding: str, data: bytes, expected: int) -> None:
    status, document = await server.infer(data, headers={"Content-Encoding": encoding})
    assert (status, set(document)) == (expected, {"error"})


def test_a_body_of_many_members_is_unpacked_in_no_time() -> None:
    """What was left behind each of them was copied: four megabytes of empty ones took over a minute of a core."""
    body = gzip.compress(b"") * 100_000 + gzip.compress(b"{}")
    begun = time.thread_time()
    assert bodies.inflate(body, "gzip", 100) == b"{}"
    assert time.thread_time() - begun < 3


async def test_a_body_over_the_limit_is_413(server: Server) -> None:
    status, document = await server.infer(b" " * 100_001)
    assert status == 413
    assert "limit of 100000 bytes" in document["error"]

    async def parts() -> Any:  # chunked: no Content-Length tells it beforehand
        for _ in range(200):
            yield b" " * 1000

    status, document, _ = await server.call("POST", "/v2/models/m/infer", data=parts())
    assert status == 413


async def test_a_chunked_request_is_read(server: Server) -> None:
    async def parts() -> Any:
        text = orjson.dumps(request())
        yield text[:50]
        yield text[50:]

    assert (await server.call("POST", "/v2/models/m/infer", data=parts()))[0] == 200


@pytest.mark.parametrize("accepted", ["gzip", "deflate", "gzip, deflate, br"])
async def test_a_large_answer_is_packed_if_the_client_takes_it(server: Server, accepted: str) -> None:
    rows = request(tensor(shape=[50, 32], data=ROW * 50), parameters={"binary_data_output": True})
    path = f"{server.address}/v2/models/m/infer"
    async with server.client.post(path, json=rows, headers={"Accept-Encoding": accepted}) as response:
        packed = await response.read()
        encoding = response.headers["Content-Encoding"]
        assert encoding == accepted.split(",", 1)[0]
        body = zlib.decompress(packed, 47)
        size = int(response.headers["Inference-Header-Content-Length"])  # of the unpacked body
        assert len(body) - size == 50 * 8 * 4
        assert orjson.loads(body[:size])["outputs"][0]["shape"] == [50, 8]


@pytest.fixture
async def wide(serve: Start, tmp_path: pathlib.Path) -> Server:
    """A server of a model that answers one number with as many as it says."""
    kind = onnx.TensorProto.INT64
    nodes = [
        onnx.helper.make_node("Range", ["zero", "x", "one"], ["y"]),
        onnx.helper.make_node("Constant", [], ["zero"], value_int=0),
        onnx.helper.make_node("Constant", [], ["one"], value_int=1),
    ]
    path = save_model(tmp_path / "wide.onnx", nodes[::-1], {"x": (kind, [])}, {"y": (kind, ["N"])})
    made: Server = await serve(path)
    return made


@pytest.mark.parametrize("accepted", ["gzip", "deflate", None])
@pytest.mark.parametrize("binary", [False, True])
async def test_a_small_request_has_its_large_answer_packed_too(
    wide: Server, accepted: str | None, binary: bool
) -> None:
    path = f"{wide.address}/v2/models/m/infer"
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    for count in (100_000, 500, 40, 500):  # what is large once has the model's later requests go the long way
        given = {"name": "x", "shape": [], "datatype": "INT64", "data": [count]}
        body = {"inputs": [given], "parameters": {"binary_data_output": binary}}
        async with wide.client.post(path, json=body, headers=headers) as response:
            data = await response.read()
        is_packed = accepted is not None and count > 40
        assert response.headers.get("Content-Encoding") == (accepted if is_packed else None)
        if is_packed:
            assert response.headers["Vary"] == "Accept-Encoding"
            data = zlib.decompress(data, 47)
        if binary:
            size = int(response.headers["Inference-Header-Content-Length"])
            assert data[size:] == b"".join(number.to_bytes(8, "little") for number in range(count))
        else:
            assert orjson.loads(data)["outputs"][0]["data"] == list(range(count))


@pytest.mark.parametrize("path", ["/openapi.json", "/metrics"])
async def test_documents_are_packed_if_the_client_takes_it(server: Server, path: str) -> None:
    async with server.client.get(server.address + path) as response:
        plain, kind = await response.read(), response.headers["Content-Type"]
        assert response.headers["Vary"] == "Accept-Encoding"
    async with server.client.get(server.address + path, headers={"Accept-Encoding": "gzip"}) as response:
        packed = await response.read()
    assert (response.headers["Content-Encoding"], response.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert response.headers["Content-Type"] == kind
    assert zlib.decompress(packed, 47)[:500] == plain[:500]
    assert len(packed) < len(plain) / 2
    async with server.client.head(server.address + path, headers={"Accept-Encoding": "gzip"}) as response:
        assert (response.status, response.headers["Content-Encoding"]) == (200, "gzip")


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("deflate, gzip", "deflate"),
        ("gzip;q=0.1, deflate;q=0.9", "deflate"),
        ("gzip ; q=0.5,deflate;q=0.5", "gzip"),
        ("br, zstd;q=1, gzip;q=0.001", "gzip"),
        *[(text, None) for text in ("", "br", "*", "gzip;q=0", "gzip;q=0.000", "gzip;q=nan", "gzip;q=2", "gzip;x=1")],
    ],
)
def test_an_answer_is_packed_as_the_client_likes_it_best(accepted: str, chosen: str | None) -> None:
    assert bodies.choose(accepted) == chosen


async def test_errors_and_answers_are_counted(server: Server) -> None:
    await server.infer(request())
    await server.infer({})
    await server.call("GET", "/nothing")
    path = f"{server.address}/metrics"
    async with server.client.get(path) as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        text = await response.text()
    for line in (
        'foresail_requests_total{code="200",model="m",version="1",way="infer"} 1.0',
        'foresail_requests_total{code="400",model="m",version="1",way="infer"} 1.0',
        'foresail_rejected_requests_total{reason="invalid"} 1.0',
        'foresail_rejected_requests_total{reason="not_found"} 1.0',
        'foresail_request_duration_seconds_count{model="m",version="1"} 2.0',
        'foresail_compute_duration_seconds_count{model="m",version="1"} 1.0',
        'foresail_preprocess_duration_seconds_count{model="m",version="1"} 1.0',
        'foresail_postprocess_duration_seconds_count{model="m",version="1"} 1.0',
        'foresail_model_info{model="m",provider="CPUExecutionProvider",version="1"} 1.0',
        "foresail_in_flight_requests 0.0",
        "foresail_ready 1.0",
    ):
        assert line in text


async def test_the_load_is_told_as_the_operator_reads_it(server: Server) -> None:
    await server.infer(request())
    await server.infer({})
    path = server.address + contract.LOAD_PATH
    async with server.client.get(path) as response:
        plain = contract.Load.decode(await response.read())
    assert (plain.state, plain.in_flight, plain.queued, plain.requests, plain.latency) == ("ready", 0, 0, 2, ())
    assert 0 < plain.load_seconds < 10
    assert plain.batch_size
    assert plain.batch_seconds
    async with server.client.get(path + "?latency=1") as response:
        full = contract.Load.decode(await response.read())
    assert len(full.latency) == contract.LATENCY_COUNTS
    assert sum(full.latency) == 2


async def test_what_triton_adds_is_answered(server: Server) -> None:
    assert (await server.call("GET", "/v2/models/m/config"))[1]["name"] == "m"
    assert (await server.call("GET", "/v2/models/m/stats"))[1]["model_stats"][0]["name"] == "m"
    assert (await server.call("GET", "/v2/models/stats"))[1]["model_stats"][0]["name"] == "m"
    status, document, _ = await server.call("POST", "/v2/repository/index")
    assert (status, document[0]["name"], document[0]["state"]) == (200, "m", "READY")


ORIGIN = "https://page.test"
ASKED = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


async def test_no_page_may_call_from_a_browser_unless_told(server: Server) -> None:
    for method, headers in (("POST", {"Origin": ORIGIN}), ("OPTIONS", ASKED)):
        _, _, response = await server.call(method, "/v2/models/m/infer", data=orjson.dumps(request()), headers=headers)
        assert not [name for name in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("allowed", [(ORIGIN,), ("https://other.test", ORIGIN), ("*",)], ids=["one", "several", "any"])
async def test_a_page_that_is_allowed_may_call_from_a_browser(
    serve: Start, mlp: pathlib.Path, allowed: tuple[str, ...]
) -> None:
    server = await serve(mlp, allowed_origins=allowed)
    named = "*" if allowed == ("*",) else ORIGIN
    status, _, response = await server.call("OPTIONS", "/v2/models/m/infer", headers=ASKED)
    assert status == 204
    assert response.headers["Access-Control-Allow-Origin"] == named
    assert response.headers["Access-Control-Allow-Methods"] == "OPTIONS, POST"
    assert response.headers["Access-Control-Allow-Headers"] == "content-type"
    for body, expected in ((request(), 200), ({}, 400)):
        status, _, response = await server.call("POST", "/v2/models/m/infer", json=body, headers={"Origin": ORIGIN})
        assert (status, response.headers["Access-Control-Allow-Origin"]) == (expected, named)
    if named != "*":
        other = {"Origin": "https://evil.test"}
        _, _, response = await server.call("POST", "/v2/models/m/infer", json=request(), headers=other)
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_the_server_does_not_tell_what_it_is_made_of(server: Server) -> None:
    for path in ("/v2", "/v2/nothing"):
        assert (await server.call("GET", path))[2].headers["Server"] == "foresail"


@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "packed"])
async def test_a_large_document_is_read_and_answered_away_from_the_loop(
    serve: Start, identity: Callable[..., pathlib.Path], monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    server = await serve(identity())
    threads: list[str] = []
    for name in ("decode", "encode"):
        inner = getattr(rest, name)

        def noted(*words: Any, inner: Callable[..., Any] = inner) -> Any:
            threads.append(threading.current_thread().name.partition("_")[0])
            return inner(*words)

        monkeypatch.setattr(rest, name, noted)
    rows = 300_000
    data = orjson.dumps({"inputs": [{"name": "x", "shape": [rows, 2], "datatype": "FP32", "data": [0.5] * (2 * rows)}]})
    headers = {"Content-Encoding": "gzip"} if packed else {}
    body = io.BytesIO(gzip.compress(data) if packed else data)
    status, document, _ = await server.call("POST", "/v2/models/m/infer", data=body, headers=headers)
    assert (status, document["outputs"][0]["shape"]) == (200, [rows, 2])
    assert threads == ["large", "large"]


async def test_a_body_that_unpacks_to_more_than_there_is_room_for_beside_others_is_refused(
    serve: Start, identity: Callable[..., pathlib.Path]
) -> None:
    server = await serve(identity(), max_held_bytes=200_000)
    data = orjson.dumps({"inputs": [{"name": "x", "shape": [50_000, 2], "datatype": "FP32", "data": [0.5] * 100_000}]})
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: m\r\nContent-Length: 1000\r\n\r\n{")
    await writer.drain()
    async with asyncio.timeout(10):
        while not server.app.serving.in_flight:
            await asyncio.sleep(0.01)
    status, document = await server.infer(gzip.compress(data), headers={"Content-Encoding": "gzip"})
    assert (status, "memory" in document["error"]) == (429, True)
    writer.close()
