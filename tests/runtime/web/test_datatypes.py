"""Every datatype of the protocol there and back, as JSON and as binary, at its limits and just over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import orjson
import pytest

from foresail_runtime import tensors
from tests.runtime.web.test_hostile import answer, binary, post

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    Start = Callable[..., Any]

FP32_MAX = float(np.finfo(np.float32).max)
GOOD: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 2**16 - 1],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "INT8": [-(2**7), 2**7 - 1],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "FP16": [-65504.0, 0.5],
    "FP32": [FP32_MAX, 1e-45],
    "FP64": [1.7976931348623157e308, 5e-324],
    "BF16": [3.3895313892515355e38, -2.0],
    "BYTES": ["", "é\U0001f600\0"],
}
OVER: dict[str, list[str]] = {
    "BOOL": ["1", '"true"', "null"],
    "UINT8": ["256", "-1", "0.5", "true"],
    "UINT16": ["65536", "-1"],
    "UINT32": ["4294967296", "-1"],
    "UINT64": ["18446744073709551616", "-1"],
    "INT8": ["128", "-129"],
    "INT16": ["32768", "-32769"],
    "INT32": ["2147483648", "1.0"],
    "INT64": ["9223372036854775808", "-9223372036854775809"],
    "FP16": ["65520", "1e300", "true"],
    "FP32": ["1e39", "-1e39", '"1"', "NaN"],
    "FP64": ["1e309", "-1e309", "null"],
    "BF16": ["3.4e38", "-3.4e38", "1e39", "true"],
    "BYTES": ["1", "null", '["a"]', '"\\ud800"'],
}
NOT_FINITE = {"FP16": b"\x00\x7e", "FP32": b"\x00\x00\xc0\x7f", "FP64": b"\0\0\0\0\0\0\xf8\x7f", "BF16": b"\x80\x7f"}
KINDS = {name: tensors.DATATYPES[name].onnx_number for name in GOOD}
SHAPES: list[tuple[tuple[int | str, ...], list[int]]] = [
    (("N", 2), [1, 2]),
    (("N",), [2]),
    (("A", "B", "C"), [1, 1, 2]),
    ((2,), [2]),
    ((), []),
]


def entry(name: str, shape: list[int], **more: Any) -> dict[str, Any]:
    return {"name": "x", "shape": shape, "datatype": name, **more}


def sized(name: str, shape: list[int], size: int, **parameters: Any) -> dict[str, Any]:
    return {"inputs": [entry(name, shape, parameters={"binary_data_size": size})], "parameters": parameters}


def test_the_tables_know_every_datatype() -> None:
    assert set(GOOD) == set(OVER) == set(tensors.DATATYPES)


@pytest.mark.parametrize(("declared", "shape"), SHAPES, ids=[str(declared) for declared, _ in SHAPES])
@pytest.mark.parametrize("name", GOOD)
async def test_values_come_back_as_they_were_sent(
    serve: Start, identity: Callable[..., pathlib.Path], name: str, declared: tuple[int | str, ...], shape: list[int]
) -> None:
    server = await serve(identity(KINDS[name], declared))
    data = GOOD[name] if shape else GOOD[name][1:]
    status, body = await answer(server.port, post({"inputs": [entry(name, shape, data=data)]}))
    assert status == 200, body
    (output,) = orjson.loads(body)["outputs"]
    assert (output["shape"], output["datatype"]) == (shape, name)
    assert [np.float32(one) if name in ("FP32", "BF16") else one for one in output["data"]] == data
    wish = {"inputs": [entry(name, shape, data=data)], "parameters": {"binary_data_output": True}}
    status, whole = await answer(server.port, post(wish))
    assert status == 200
    size = orjson.loads(whole[: whole.rindex(b"}") + 1])["outputs"][0]["parameters"]["binary_data_size"]
    raw = whole[len(whole) - size :]
    assert await answer(server.port, binary(sized(name, shape, size, binary_data_output=True), raw)) == (200, whole)
    for bad in (raw + b"\0", raw[:-1]):
        assert (await answer(server.port, binary(sized(name, shape, len(bad)), bad)))[0] == 400


@pytest.mark.parametrize("name", GOOD)
async def test_what_a_datatype_can_not_hold_is_refused_by_its_place(
    serve: Start, identity: Callable[..., pathlib.Path], name: str
) -> None:
    server = await serve(identity(KINDS[name], ("N",)))
    good = orjson.dumps(GOOD[name][0])
    for text in OVER[name]:
        body = orjson.dumps({"inputs": [entry(name, [2], data="@")]}).replace(
            b'"@"', b"[%b,%b]" % (good, text.encode())
        )
        status, answered = await answer(server.port, post(body))
        assert status == 400, text
        assert b"element 1" in answered or b"true" in answered or b"not JSON" in answered, answered
    if name in NOT_FINITE:
        raw = NOT_FINITE[name] * 2
        status, answered = await answer(server.port, binary(sized(name, [2], len(raw)), raw))
        assert (status, b"ask for it as binary" in answered) == (400, True)
        status, answered = await answer(server.port, binary(sized(name, [2], len(raw), binary_data_output=True), raw))
        assert (status, answered[-len(raw) :]) == (200, raw)


@pytest.mark.parametrize("name", GOOD)
async def test_no_rows_give_no_rows(serve: Start, identity: Callable[..., pathlib.Path], name: str) -> None:
    server = await serve(identity(KINDS[name], ("N", 2)))
    for data in (post({"inputs": [entry(name, [0, 2], data=[])]}), binary(sized(name, [0, 2], 0))):
        status, body = await answer(server.port, data)
        assert status == 200, body
        (output,) = orjson.loads(body)["outputs"]
        assert (output["shape"], output["data"]) == ([0, 2], [])


async def test_lengths_of_strings_that_lie_are_refused(serve: Start, identity: Callable[..., pathlib.Path]) -> None:
    server = await serve(identity(onnx.TensorProto.STRING, ("N",)))
    for raw in (
        b"\xff\xff\xff\xffab",
        b"\x01\0\0\0a\x05\0\0\0b",
        b"\x01\0\0\0a",
        b"\x01\0\0\0a\x01\0\0\0bc",
        b"\x01\0\0\0\xff" * 2,
    ):
        assert (await answer(server.port, binary(sized("BYTES", [2], len(raw)), raw)))[0] == 400
