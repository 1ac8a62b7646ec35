"""What is fuzzed: bytes in, and nothing out but an answer or a failure that is the client's.

The first byte says which way the rest comes in. Whatever is raised that is no ForesailError, or is one that would be
answered with 500, is a finding, and so is what takes longer than the fuzzer's limit.
"""

from __future__ import annotations

import functools
import pathlib
import struct
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson
from google.protobuf.message import DecodeError

from foresail_runtime import errors, tensors
from foresail_runtime.codec import check, rest, weight
from foresail_runtime.engine import session
from foresail_runtime.grpc import messages, oip_pb2
from foresail_runtime.grpc import weight as grpc_weight
from foresail_runtime.tasks import detection, images, options, tabular
from foresail_runtime.web import bodies, multipart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MODELS: Final = pathlib.Path(__file__).parents[1] / "models"
UNPACKED_LIMIT: Final = 1_000_000
PARSED_LIMIT: Final = 10_000_000
PIXELS_LIMIT: Final = 250_000
BOUNDARY: Final = "multipart/form-data; boundary=b"


class Target:
    """Every way in, over one small real model and one signature with every datatype."""

    def __init__(self) -> None:
        self._engine = session.open_engine(MODELS / "mlp.onnx", session.Options(1, (), allow_fallback=True))
        kinds = tensors.DATATYPES.values()
        specs = tuple(tensors.TensorSpec(kind.name.lower(), kind, (-1, -1)) for kind in kinds)
        self._every = {spec.name: tensors.Signature((spec,), (spec,)) for spec in specs}
        columns = tuple(
            tensors.TensorSpec(name, kind, (-1, 1)) for name, kind in (("a", tensors.FP32), ("b", tensors.BYTES))
        )
        self._table = tabular.Table(tensors.Signature(columns, columns))
        self._columns = tensors.Signature(columns, columns)
        self.ways: tuple[Callable[[bytes], object], ...] = (
            self.json,
            self.binary,
            self.headless,
            self.any_datatype,
            self.protobuf,
            self.rows,
            self.gzip,
            self.deflate,
            self.picture,
            self.form,
            self.boxes,
        )

    def __call__(self, data: bytes) -> int | None:
        """Take one input; return the status it was refused with, None if it was not."""
        if not data:
            return None
        try:
            self.ways[data[0] % len(self.ways)](data[1:])
        except errors.ForesailError as failure:
            if failure.http_status >= 500 and not isinstance(failure, errors.Unsupported):
                raise AssertionError(f"{failure.http_status}: {failure.message}") from failure
            return failure.http_status
        return None

    def json(self, data: bytes) -> None:
        self._infer(data, None)

    def binary(self, data: bytes) -> None:
        if len(data) > 2:
            self._infer(data[2:], struct.unpack("<H", data[:2])[0])

    def headless(self, data: bytes) -> None:
        self._infer(data, 0)

    def _infer(self, data: bytes, header_length: int | None) -> None:
        request, form = rest.decode(self._engine.signature, data, header_length)
        names = request.outputs or tuple(self._engine.output_names)
        arrays = self._engine.run({tensor.name: tensor.array for tensor in request.inputs}, names)
        specs = {spec.name: spec for spec in self._engine.signature.outputs}
        made = (tensors.Tensor(name, specs[name].datatype, array) for name, array in zip(names, arrays, strict=True))
        rest.encode(tensors.InferResponse("m", "1", tuple(made), request.id), form)

    def any_datatype(self, data: bytes) -> None:
        """Decode as one of the datatypes, and encode what came as it was asked for."""
        if not data:
            return
        signature = list(self._every.values())[data[0] % len(self._every)]
        cut = data.find(b"\n\n")
        body = data[1:] if cut < 0 else data[1:cut] + data[cut + 2 :]
        request, form = rest.decode(signature, body, None if cut < 0 else cut - 1)
        rest.encode(tensors.InferResponse("m", "1", request.inputs, request.id), form)

    def protobuf(self, data: bytes) -> None:
        try:
            message = oip_pb2.ModelInferRequest.FromString(data)
        except DecodeError:
            return
        finally:
            weighed = grpc_weight.weigh(data, PARSED_LIMIT)
        if len(data) < 4096:
            assert oip_pb2.ModelInferRequest.FromString(weighed.head).model_name == message.model_name
        signature = self._every.get(message.inputs[0].name if message.inputs else "") or self._engine.signature
        request, is_raw = messages.decode(signature, message)
        response = tensors.InferResponse("m", "1", request.inputs, request.id)
        messages.encode(response, is_raw=is_raw).SerializeToString()

    def rows(self, data: bytes) -> None:
        weight.check(data, PARSED_LIMIT, "send less")
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        self._table.answer(check.arrange_inputs(self._columns, self._table.read(document)))

    def gzip(self, data: bytes) -> None:
        assert len(bodies.inflate(data, "gzip", UNPACKED_LIMIT)) <= UNPACKED_LIMIT

    def deflate(self, data: bytes) -> None:
        assert len(bodies.inflate(data, "deflate", UNPACKED_LIMIT)) <= UNPACKED_LIMIT

    def picture(self, data: bytes) -> None:
        with images.decoded(data, PIXELS_LIMIT) as image:
            assert image.mode == "RGB"
            assert image.width * image.height <= PIXELS_LIMIT

    def form(self, data: bytes) -> None:
        multipart.read(BOUNDARY, data, options.NAMES)

    def boxes(self, data: bytes) -> None:
        self._detector.prepare(data, max_pixels=PIXELS_LIMIT)

    @functools.cached_property
    def _detector(self) -> detection.Detector:
        """A detector for pictures of 32 pixels, laid out like YOLOv8's."""
        image = tensors.TensorSpec("images", tensors.FP32, (1, 3, 32, 32))
        found = tensors.TensorSpec("output0", tensors.FP32, (1, 84, 21))
        return detection.Detector(tensors.Signature((image,), (found,)))

    def seeds(self) -> Iterable[bytes]:
        """Return good input of every way, for a fuzzer to change."""
        number = {way.__name__: bytes([index]) for index, way in enumerate(self.ways)}
        values = np.linspace(-1, 1, 32, dtype=np.float32)
        tensor = {"name": "input", "shape": [1, 32], "datatype": "FP32"}
        wanted = [{"name": self._engine.output_names[0], "parameters": {"binary_data": True}}]
        yield number["json"] + orjson.dumps({"id": "1", "inputs": [{**tensor, "data": values.tolist()}]})
        nested = {**tensor, "data": [values.tolist()]}
        yield number["json"] + orjson.dumps({"inputs": [nested], "outputs": wanted, "parameters": {"timeout": 1000}})
        head = orjson.dumps(
            {
                "inputs": [{**tensor, "parameters": {"binary_data_size": 128}}],
                "parameters": {"binary_data_output": True},
            }
        )
        yield number["binary"] + struct.pack("<H", len(head)) + head + values.tobytes()
        yield number["headless"] + values.tobytes()
        for index, (name, signature) in enumerate(self._every.items()):
            kind = signature.inputs[0].datatype
            data = ["a", "é"] if kind.name == "BYTES" else [True, False] if kind.name == "BOOL" else [1, 2]
            entry = {"name": name, "shape": [1, 2], "datatype": kind.name}
            yield number["any_datatype"] + bytes([index]) + orjson.dumps({"inputs": [{**entry, "data": data}]})
            raw = b"\1\0\0\0a\2\0\0\0\xc3\xa9" if kind.name == "BYTES" else bytes(2 * (kind.size or 0))
            head = orjson.dumps(
                {
                    "inputs": [{**entry, "parameters": {"binary_data_size": len(raw)}}],
                    "parameters": {"binary_data_output": True},
                }
            )
            yield number["any_datatype"] + bytes([index]) + head + b"\n\n" + raw
            message = oip_pb2.ModelInferRequest(model_name="m", raw_input_contents=[raw])
            message.inputs.add(name=name, datatype=kind.name, shape=[1, 2])
            yield number["protobuf"] + message.SerializeToString()
        yield number["rows"] + b'{"columns":["a","b"],"rows":[[1,"x"],[2.5,"y"]]}'
        yield number["rows"] + b'{"rows":[{"a":1,"b":"x"}]}'
        yield number["gzip"] + bodies.deflate(b"a" * 300, "gzip") * 2
        yield number["deflate"] + bodies.deflate(b"{}" * 100, "deflate")
        yield (
            number["form"] + b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\nxx\r\n--b--\r\n'
        )
        for picture in _pictures():
            yield number["picture"] + picture
            yield number["boxes"] + picture


def _pictures() -> Iterable[bytes]:
    import io  # noqa: PLC0415

    from PIL import Image  # noqa: PLC0415

    made = Image.fromarray(np.arange(12 * 9 * 3, dtype=np.uint8).reshape(12, 9, 3))
    for name, mode in (
        ("PNG", "RGB"),
        ("PNG", "P"),
        ("PNG", "I;16"),
        ("JPEG", "L"),
        ("JPEG", "RGB"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
        ("BMP", "RGB"),
    ):
        buffer = io.BytesIO()
        made.convert(mode).save(buffer, name)
        yield buffer.getvalue()
