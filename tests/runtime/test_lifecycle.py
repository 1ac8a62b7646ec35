"""`foresail serve` as a process: from its first line to its last, and no request lost in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc
import onnx
import pytest

from foresail_runtime import contract
from foresail_runtime.grpc import oip_pb2
from foresail_runtime.web import status
from tests.runtime.conftest import MODELS, save_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Start = Callable[..., Any]

PATIENCE = 60.0
BODY = {"inputs": [{"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [0.5] * 32}]}


class Process:
    """A `foresail` command that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    @property
    def output(self) -> str:
        return "".join(self.lines)

    async def line(self, words: str) -> str:
        """Return the first line that has these words."""
        async with asyncio.timeout(PATIENCE):
            while text := (await self.stdout.readline()).decode():
                self.lines.append(text)
                if words in text:
                    return text
        raise AssertionError(f"it ended and never said {words!r}:\n{self.output}")

    @property
    def stdout(self) -> asyncio.StreamReader:
        assert self.process.stdout is not None
        return self.process.stdout

    async def code(self) -> int:
        async with asyncio.timeout(PATIENCE):
            self.lines.append((await self.stdout.read()).decode())
            return await self.process.wait()


@pytest.fixture
async def start(tmp_path: pathlib.Path) -> AsyncIterator[Start]:
    running: list[asyncio.subprocess.Process] = []

    async def run(*arguments: str, **environment: str) -> Process:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FORESAIL_")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "foresail_runtime", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**kept, "FORESAIL_DOWNLOAD_FOLDER": str(tmp_path / "downloads"), **environment},
        )
        running.append(process)
        return Process(process)

    yield run
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def ports(line: str) -> tuple[int, int | None]:
    """Return the HTTP and gRPC ports of the log's `listening` line."""
    fields = dict(pair.split("=", 1) for pair in line.split() if "=" in pair)
    return int(fields["http"]), int(fields["grpc"]) if "grpc" in fields else None


LAPTOP = ("--http-port", "0", "--grpc-port", "off")


@pytest.mark.parametrize(("name", "path"), [("mlp", "mlp"), ("team/it's é", "team%2Fit%27s%20%C3%A9")])
async def test_a_laptop_is_told_where_it_listens_and_what_to_try(
    start: Start, mlp: pathlib.Path, name: str, path: str
) -> None:
    process = await start("serve", str(mlp), "--name", name, "--http-port", "0", "--grpc-port", "0")
    http, grpc = ports(await process.line("listening"))
    assert grpc is not None
    await process.line(f"serving {name} at http://127.0.0.1:{http}/v2/models/{path}")
    curl = await process.line("curl")
    shell = await asyncio.create_subprocess_shell(f"{curl.strip()} --silent --fail", stdout=asyncio.subprocess.PIPE)
    output, _ = await shell.communicate()
    assert shell.returncode == 0
    assert json.loads(output)["model_name"] == name
    process.process.send_signal(signal.SIGINT)
    assert await process.code() == 0


async def test_no_line_of_the_access_log_is_lost_at_the_end(start: Start, mlp: pathlib.Path) -> None:
    process = await start("serve", str(mlp), *LAPTOP, FORESAIL_ACCESS_LOG="1", FORESAIL_LOG_FORMAT="json")
    http = json.loads(await process.line("listening"))["http"]
    async with aiohttp.ClientSession() as client:
        await process.line("curl")
        for _ in range(300):
            async with client.post(f"http://127.0.0.1:{http}/v2/models/mlp/infer", json=BODY) as response:
                assert response.status == 200
        process.process.send_signal(signal.SIGTERM)
        assert await process.code() == 0
    answered = [json.loads(line) for line in process.output.splitlines() if '"answered"' in line]
    assert [line["status"] for line in answered] == [200] * 300


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "no such file": (("serve", "nothing.onnx"), "there is no file nothing.onnx"),
    "no model at all": (("serve",), "which model?"),
    "no ONNX": (("serve", str(pathlib.Path(__file__)), *LAPTOP), "can't load test_lifecycle.py"),
    "no task": (
        ("serve", str(MODELS / "mlp.onnx"), "--task", "guess", *LAPTOP),
        "task is 'guess': it has to be one of",
    ),
    "no batch": (
        ("serve", str(MODELS / "mlp.onnx"), "--max-batch", "0", *LAPTOP),
        "batching is {'maxSize': 0}: it has to",
    ),
    "no provider": (
        ("serve", str(MODELS / "mlp.onnx"), "--providers", "GPU", *LAPTOP),
        "execution provider GPU is not in",
    ),
    "a task without a model": (("serve", "--task", "tabular"), "task: a model's settings stand in"),
    "a port that is none": (("serve", "x.onnx", "--http-port", "70000"), "FORESAIL_HTTP_PORT='70000'"),
    "an address of another machine": (
        ("serve", str(pathlib.Path(__file__)), "--host", "192.0.2.1", *LAPTOP),
        "192.0.2.1 is no address of this machine",
    ),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES.keys())
async def test_a_mistake_is_answered_with_a_sentence(start: Start, case: tuple[tuple[str, ...], str]) -> None:
    arguments, words = case
    process = await start(*arguments)
    assert await process.code() == 1
    assert words in process.output
    assert "Traceback" not in process.output


async def test_a_port_in_use_says_which(start: Start, mlp: pathlib.Path) -> None:
    first = await start("serve", str(mlp), *LAPTOP)
    port, _ = ports(await first.line("listening"))
    second = await start("serve", str(mlp), "--http-port", str(port), "--grpc-port", "off")
    assert await second.code() == 1
    assert f"port {port} of 127.0.0.1 is in use: choose another with --http-port" in second.output


def describe(folder: pathlib.Path, **fields: Any) -> dict[str, str]:
    """Write a description as the operator does, and return the environment of its pod."""
    path = folder / contract.DESCRIPTION_KEY
    path.write_text(contract.ModelDescription(**{"name": "m", "uri": "file:///m.onnx", **fields}).encode())
    return {
        contract.ENV_DESCRIPTION: str(path),
        "FORESAIL_HOST": "127.0.0.1",
        "FORESAIL_HTTP_PORT": "0",
        "FORESAIL_GRPC_PORT": "off",
        "FORESAIL_LOG_FORMAT": "text",
        "FORESAIL_TERMINATION_PATH": str(folder / "termination"),
    }


def spoiled(folder: pathlib.Path) -> dict[str, str]:
    environment = describe(folder)
    pathlib.Path(environment[contract.ENV_DESCRIPTION]).write_text("{")
    return environment


async def test_a_pod_that_can_not_start_leaves_the_reason(start: Start, tmp_path: pathlib.Path) -> None:
    process = await start("serve", **describe(tmp_path, path=str(tmp_path / "gone.onnx")))
    assert await process.code() == 1
    left = contract.Termination.decode((tmp_path / "termination").read_text())
    assert left is not None
    assert (left.reason, left.model) == ("ModelNotFound", "m")
    assert "gone.onnx" in left.message


async def test_a_model_that_can_not_be_read_is_no_crash(start: Start, tmp_path: pathlib.Path) -> None:
    (tmp_path / "m.onnx").symlink_to("/proc/self/mem")  # a plain file that even root can't read from its beginning
    process = await start("serve", **describe(tmp_path, path=str(tmp_path / "m.onnx")))
    assert await process.code() == 1
    left = contract.Termination.decode((tmp_path / "termination").read_text())
    assert left is not None
    assert (left.reason, left.model) == ("ModelUnreadable", "m")


async def test_a_description_that_is_none_leaves_the_reason(start: Start, tmp_path: pathlib.Path) -> None:
    process = await start("serve", **spoiled(tmp_path))
    assert await process.code() == 1
    left = contract.Termination.decode((tmp_path / "termination").read_text())
    assert left is not None
    assert left.reason == "DescriptionInvalid"


async def test_a_crash_in_native_code_names_the_model(start: Start, tmp_path: pathlib.Path, mlp: pathlib.Path) -> None:
    process = await start("serve", **describe(tmp_path, path=str(mlp)))
    await process.line("model ready")
    process.process.send_signal(signal.SIGSEGV)
    assert await process.code() == -signal.SIGSEGV
    left = contract.Termination.decode((tmp_path / "termination").read_text())
    assert left is not None
    assert (left.reason, left.model) == ("ModelCrashed", "m")


async def test_an_ordinary_end_leaves_no_reason(start: Start, tmp_path: pathlib.Path, mlp: pathlib.Path) -> None:
    process = await start("serve", **describe(tmp_path, path=str(mlp)))
    await process.line("model ready")
    process.process.send_signal(signal.SIGTERM)
    assert await process.code() == 0
    assert (tmp_path / "termination").read_text() == ""


def endless(folder: pathlib.Path) -> pathlib.Path:
    """Save a model that counts up to its input: a small number is quick, a large one never ends."""
    helper, kinds = onnx.helper, onnx.TensorProto
    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["going"]), helper.make_node("Add", ["sum", "one"], ["next"])],
        "step",
        [
            helper.make_tensor_value_info("i", kinds.INT64, []),
            helper.make_tensor_value_info("go", kinds.BOOL, []),
            helper.make_tensor_value_info("sum", kinds.INT64, []),
        ],
        [
            helper.make_tensor_value_info("going", kinds.BOOL, []),
            helper.make_tensor_value_info("next", kinds.INT64, []),
        ],
    )
    nodes = [
        helper.make_node("Constant", [], ["one"], value=helper.make_tensor("c", kinds.INT64, [], [1])),
        helper.make_node("Constant", [], ["true"], value=helper.make_tensor("c", kinds.BOOL, [], [True])),
        helper.make_node("Loop", ["x", "true", "one"], ["y"], body=step),
    ]
    return save_model(folder / "endless.onnx", nodes, {"x": (kinds.INT64, [])}, {"y": (kinds.INT64, [])})


async def test_a_run_that_hangs_ends_the_process_and_names_the_model(start: Start, tmp_path: pathlib.Path) -> None:
    environment = describe(tmp_path, path=str(endless(tmp_path)), warmup=False)
    process = await start("serve", **environment, FORESAIL_HANG_SECONDS="0.3")
    port, _ = ports(await process.line("listening"))
    await process.line("model ready")
    tensor = {"name": "x", "shape": [], "datatype": "INT64", "data": [5]}
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/v2/models/m/infer"
        async with session.post(url, json={"inputs": [tensor]}) as response:
            assert (await response.json())["outputs"][0]["data"] == [6]
        with pytest.raises(aiohttp.ClientError):
            await session.post(url, json={"inputs": [tensor | {"data": [2**62]}]})
    assert await process.code() == 1
    left = contract.Termination.decode((tmp_path / "termination").read_text())
    assert left is not None
    assert (left.reason, left.model) == ("ModelHung", "m")


async def test_a_run_that_hangs_on_the_event_loop_ends_the_process_and_names_the_model(
    start: Start, tmp_path: pathlib.Path
) -> None:
    """Warmed with a small number the model is quick, and so runs where it holds up everything else."""
    process = await start("serve", **describe(tmp_path, path=str(endless(tmp_path))), FORESAIL_HANG_SECONDS="0.5")
    port, _ = ports(await process.line("listening"))
    await process.line("model ready")
    tensor = {"name": "x", "shape": [], "datatype": "INT64", "data": [2**62]}
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"http://127.0.0.1:{port}/v2/models/m/infer", json={"inputs": [tensor]})
    assert await process.code() == 1
    left = contract.Termination.decode((tmp_path / "termination").read_text())
    assert left is not None
    assert (left.reason, left.model) == ("ModelHung", "m")
    assert "a run of model 'm' has not ended" in process.output


async def test_a_crash_names_the_model_that_ran_among_several(
    start: Start, tmp_path: pathlib.Path, mlp: pathlib.Path
) -> None:
    for name, path in (("good", mlp), ("bad", endless(tmp_path))):
        (tmp_path / "models" / name / "1").mkdir(parents=True)
        shutil.copy(path, tmp_path / "models" / name / "1" / "model.onnx")
    (tmp_path / "models" / "bad" / "foresail.json").write_text('{"warmup": false}')
    environment = describe(tmp_path) | {"FORESAIL_MODEL_REPOSITORY": str(tmp_path / "models")}
    process = await start("serve", **environment)
    port, _ = ports(await process.line("listening"))
    for _ in range(2):
        await process.line("model ready")
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/v2/models"
        tensor = {"name": "x", "shape": [], "datatype": "INT64", "data": [2**62]}
        hanging = asyncio.create_task(session.post(f"{url}/bad/infer", json={"inputs": [tensor]}))
        async with asyncio.timeout(PATIENCE):
            model = None
            while model != "bad":  # once its run has begun, each end of the other's leaves it alone there
                async with session.post(f"{url}/good/infer", json=BODY) as response:
                    assert response.status == 200
                left = contract.Termination.decode((tmp_path / "termination").read_text())
                model = left and left.model
        process.process.send_signal(signal.SIGSEGV)
        with pytest.raises(aiohttp.ClientError):
            await hanging
    assert await process.code() == -signal.SIGSEGV
    left = contract.Termination.decode((tmp_path / "termination").read_text())
    assert left is not None
    assert (left.reason, left.model) == ("ModelCrashed", "bad")


class Clients:
    """Keep-alive clients that ask until nobody listens any more."""

    def __init__(self, port: int, count: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answered = 0
        self.lost: list[str] = []
        self.enough = asyncio.Event()
        self.tasks = [asyncio.create_task(self._ask()) for _ in range(count)]

    async def _ask(self) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            while True:
                try:
                    async with session.post(f"{self.url}/v2/models/m/infer", json=BODY) as response:
                        await response.read()
                except aiohttp.ClientConnectorError:
                    return  # a new connection that is refused is no lost request
                except aiohttp.ClientError as error:
                    self.lost.append(repr(error))
                    continue
                if response.status != 200:
                    self.lost.append(str(response.status))
                self.answered += 1
                if self.answered > 500:
                    self.enough.set()


@pytest.mark.parametrize("drain", ["0", "3600"], ids=["no drain", "time to look while it drains"])
async def test_sigterm_under_load_loses_no_request(
    start: Start, tmp_path: pathlib.Path, mlp: pathlib.Path, drain: str
) -> None:
    environment = {**describe(tmp_path, path=str(mlp)), contract.ENV_DRAIN_SECONDS: drain}
    process = await start("serve", **environment)
    port, _ = ports(await process.line("listening"))
    await process.line("model ready")
    clients = Clients(port, 16)
    await asyncio.wait_for(clients.enough.wait(), PATIENCE)
    process.process.send_signal(signal.SIGTERM)
    await process.line("draining")
    if drain != "0":
        async with aiohttp.ClientSession() as session, session.get(f"{clients.url}{contract.READY_PATH}") as response:
            assert (response.status, (await response.json())["state"]) == (503, "draining")
            assert response.headers["Connection"] == "close"
        process.process.send_signal(signal.SIGTERM)
    assert await process.code() == 0
    await asyncio.wait_for(asyncio.gather(*clients.tasks), PATIENCE)
    assert clients.lost == []


class Pipeline:
    """A client that sends many requests at a time and reads their answers, until nobody listens any more."""

    MANY = 16

    def __init__(self, port: int, text: bytes) -> None:
        self.port = port
        head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n"
        self.wire = (head.encode() + text) * self.MANY
        self.answered = 0
        self.unanswered = 0
        self.enough = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                return  # a new connection that is refused is no lost request
            try:
                while await self._ask(reader, writer):
                    pass
            finally:
                writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send all requests, read their answers, and tell whether the connection goes on."""
        writer.write(self.wire)
        for number in range(self.MANY):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            except (OSError, asyncio.IncompleteReadError):
                self.unanswered += self.MANY - number
                return False
            assert head.startswith(b"http/1.1 200 ")
            self.answered += 1
            if self.answered > 500:
                self.enough.set()
        return b"connection: close" not in head


@pytest.mark.parametrize("rows", [1, 200], ids=["small", "large"])
@pytest.mark.parametrize("drain", ["0", "1"], ids=["a laptop", "a pod"])
async def test_sigterm_loses_no_pipelined_request(
    start: Start, tmp_path: pathlib.Path, mlp: pathlib.Path, drain: str, rows: int
) -> None:
    environment = {**describe(tmp_path, path=str(mlp)), contract.ENV_DRAIN_SECONDS: drain}
    process = await start("serve", **environment, FORESAIL_CONNECTION_SECONDS="0.2")
    port, _ = ports(await process.line("listening"))
    await process.line("model ready")
    tensor = {"name": "input", "shape": [rows, 32], "datatype": "FP32", "data": [0.5] * 32 * rows}
    clients = [Pipeline(port, json.dumps({"inputs": [tensor]}).encode()) for _ in range(4)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    await asyncio.wait_for(asyncio.gather(*[client.enough.wait() for client in clients]), PATIENCE)
    process.process.send_signal(signal.SIGTERM)
    assert await process.code() == 0
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
    assert [client.unanswered for client in clients] == [0] * 4


@pytest.mark.parametrize("drain", ["0", "1"], ids=["a laptop", "a pod"])
async def test_sigterm_ends_an_open_stream_well_once_what_it_read_is_answered(
    start: Start, tmp_path: pathlib.Path, mlp: pathlib.Path, drain: str
) -> None:
    environment = describe(tmp_path, path=str(mlp)) | {"FORESAIL_GRPC_PORT": "0", contract.ENV_DRAIN_SECONDS: drain}
    process = await start("serve", **environment, FORESAIL_CONNECTION_SECONDS="0.2")
    _, port = ports(await process.line("listening"))
    await process.line("model ready")
    tensor = oip_pb2.ModelInferRequest.InferInputTensor(name="input", datatype="FP32", shape=[1, 32])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            oip_pb2.ModelInferRequest.SerializeToString,
            oip_pb2.ModelStreamInferResponse.FromString,
        )()
        for number in range(20):
            await call.write(
                oip_pb2.ModelInferRequest(
                    model_name="m", id=str(number), inputs=[tensor], raw_input_contents=[bytes(128)]
                )
            )
        answers = [await call.read()]
        process.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            while (answer := await call.read()) is not grpc.aio.EOF:
                answers.append(answer)
            assert await call.code() is grpc.StatusCode.OK
    assert [answer.infer_response.id for answer in answers] == [str(number) for number in range(len(answers))]
    assert await process.code() == 0


async def test_a_second_signal_ends_the_drain(start: Start, tmp_path: pathlib.Path, mlp: pathlib.Path) -> None:
    environment = {**describe(tmp_path, path=str(mlp)), contract.ENV_DRAIN_SECONDS: "3600"}
    process = await start("serve", **environment)
    await process.line("model ready")
    process.process.send_signal(signal.SIGTERM)
    await process.line("draining")
    process.process.send_signal(signal.SIGTERM)
    assert await process.code() == 0


async def test_a_stop_before_the_model_is_there_ends_at_once(start: Start, tmp_path: pathlib.Path) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections, and never says a word
    port = silent.getsockname()[1]
    process = await start("serve", **describe(tmp_path, uri=f"http://127.0.0.1:{port}/m.onnx"))
    http, _ = ports(await process.line("listening"))
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{http}{contract.READY_PATH}") as response:
            document = await response.json()
            assert (response.status, document["live"], document["ready"]) == (503, True, False)
            assert document["state"] in ("starting", "fetching")
        async with session.post(f"http://127.0.0.1:{http}/v2/models/m/infer", json=BODY) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
    process.process.send_signal(signal.SIGTERM)
    assert await process.code() == 0
    silent.close()


async def test_a_probe_that_comes_while_the_server_starts_is_held(start: Start, tmp_path: pathlib.Path) -> None:
    pod, port = in_a_pod(tmp_path)
    await start("serve", **pod)
    await listens(port)
    probe = {"User-Agent": "kube-probe/1.37"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        asked = time.monotonic()
        answer = await session.get(contract.READY_PATH, headers=probe)
        while answer.status != 200:  # a slow machine: the next probe is held as well
            assert time.monotonic() - asked > status.HOLD_SECONDS / 2
            assert (await answer.json())["state"] in {"starting", "loading", "warming"}
            asked = time.monotonic()
            answer = await session.get(contract.READY_PATH, headers=probe)
        load = contract.Load.decode(await (await session.get(contract.LOAD_PATH)).read())
    assert set(load.phases) == set(contract.START_PHASES)
    assert load.age_seconds is not None


async def test_who_comes_to_a_container_started_again_waits_until_it_is_ready(
    start: Start, tmp_path: pathlib.Path
) -> None:
    """The node still takes the one that was killed for ready: what it sends here must not be refused."""
    pod, port = in_a_pod(tmp_path)
    statuses = []
    for _ in range(3):
        process = await start("serve", **pod)
        await listens(port)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.post("/v2/models/mlp/infer", json=BODY) as response:
                statuses.append(response.status)
            probe = {"User-Agent": "kube-probe/1.37"}
            async with asyncio.timeout(PATIENCE):
                while (await session.get(contract.READY_PATH, headers=probe)).status != 200:
                    pass  # each is held for most of a second
        process.process.kill()
        await process.code()
    assert statuses[1:] == [200, 200], "in a pod's first start nobody is sent there"


def in_a_pod(folder: pathlib.Path) -> tuple[dict[str, str], int]:
    """Return what the operator sets for a mounted model, and the HTTP port."""
    description = contract.ModelDescription(name="mlp", uri="file:///mlp.onnx", path=str(MODELS / "mlp.onnx"))
    (folder / "model.json").write_text(description.encode())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {
        "FORESAIL_MODEL_DESCRIPTION": str(folder / "model.json"),
        "FORESAIL_HOST": "127.0.0.1",
        "FORESAIL_HTTP_PORT": str(port),
        "FORESAIL_GRPC_PORT": "off",
        "FORESAIL_TERMINATION_PATH": str(folder / "termination"),
    }, port


async def listens(port: int) -> None:
    """Wait for the socket, which is there long before the server."""
    async with asyncio.timeout(PATIENCE):
        while not await connects(port):
            await asyncio.sleep(0)


async def connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True
