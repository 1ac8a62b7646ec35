"""What flows through the runtime: datatypes, tensors, what a model takes and gives, requests and answers.

These types know nothing of JSON, protobuf or ONNX Runtime; the codecs, the batcher and the engine share them.
They are named tuples where one is made per request (three times cheaper to make than a frozen dataclass).

Arrays are row-major. BF16, which numpy lacks, travels as the uint16 of its bits; BYTES as an object array of
`bytes`. Arrays may be read-only views of a request's body: copy before writing.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Datatype:
    """One row of the protocol's table of datatypes; compared by identity, since there is one object a type."""

    name: str
    """As the protocol spells it: `FP32`."""
    dtype: np.dtype[Any]
    """How numpy holds it, little-endian."""
    onnx: str
    """As ONNX Runtime spells it: `tensor(float)`."""
    onnx_number: int
    """`TensorProto.DataType` of ONNX."""
    size: int
    """Bytes an element; 0 where elements differ in size (BYTES)."""


def _table() -> dict[str, Datatype]:
    rows = (
        ("BOOL", "?", "bool", 9),
        ("UINT8", "u1", "uint8", 2),
        ("UINT16", "<u2", "uint16", 4),
        ("UINT32", "<u4", "uint32", 12),
        ("UINT64", "<u8", "uint64", 13),
        ("INT8", "i1", "int8", 3),
        ("INT16", "<i2", "int16", 5),
        ("INT32", "<i4", "int32", 6),
        ("INT64", "<i8", "int64", 7),
        ("FP16", "<f2", "float16", 10),
        ("FP32", "<f4", "float", 1),
        ("FP64", "<f8", "double", 11),
        ("BF16", "<u2", "bfloat16", 16),
        ("BYTES", "O", "string", 8),
    )
    return {
        name: Datatype(name, np.dtype(code), f"tensor({onnx})", number, 0 if code == "O" else np.dtype(code).itemsize)
        for name, code, onnx, number in rows
    }


DATATYPES: Final = _table()
"""Every datatype of the protocol by its name."""
BY_ONNX: Final = {datatype.onnx: datatype for datatype in DATATYPES.values()}
"""The same by ONNX Runtime's name of the tensor type."""
BOOL: Final = DATATYPES["BOOL"]
BYTES: Final = DATATYPES["BYTES"]
FP16: Final = DATATYPES["FP16"]
FP32: Final = DATATYPES["FP32"]
BF16: Final = DATATYPES["BF16"]


class Tensor(NamedTuple):
    """A named array; `array.shape` is the tensor's shape, batch dimension included."""

    name: str
    datatype: Datatype
    array: npt.NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.array.shape


class TensorSpec(NamedTuple):
    """One input or output of a model: -1 in the shape is a dimension that may vary."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]

    def fits(self, shape: Sequence[int]) -> bool:
        """Tell whether a concrete shape is one of those this tensor may have."""
        return len(shape) == len(self.shape) and all(
            want in (-1, got) for want, got in zip(self.shape, shape, strict=True)
        )


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a model takes and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The model's own ONNX metadata (`names` of an Ultralytics export, for one)."""

    @functools.cached_property
    def _inputs(self) -> dict[str, TensorSpec]:
        return {spec.name: spec for spec in self.inputs}

    @functools.cached_property
    def _outputs(self) -> dict[str, TensorSpec]:
        return {spec.name: spec for spec in self.outputs}

    @functools.cached_property
    def known_inputs(self) -> dict[Any, Any]:
        """Memory of the codec: what it found to fit this signature. Nobody else reads or writes it."""
        return {}

    @functools.cached_property
    def known_heads(self) -> dict[bytes, Any]:
        """The same of whole headers of binary requests."""
        return {}

    def of_rows(self, shown: Sequence[Sequence[int]] = ()) -> Signature:
        """Return this signature with a first dimension that varies, of every input and output.

        A row of an output that declares another number of dimensions than was `shown`, as that of CatBoost's
        regressors does, has the shape that was.
        """

        def opened(spec: TensorSpec, row: Sequence[int]) -> TensorSpec:
            return spec._replace(shape=(-1, *(row if len(row) != len(spec.shape) - 1 else spec.shape[1:])))

        declared = [spec.shape[1:] for spec in self.outputs]
        inputs = tuple(opened(spec, spec.shape[1:]) for spec in self.inputs)
        outputs = tuple(map(opened, self.outputs, shown or declared))
        return Signature(inputs, outputs, self.metadata)

    def input(self, name: str) -> TensorSpec | None:
        """Return the input of that name, None if there is none."""
        return self._inputs.get(name)

    def output(self, name: str) -> TensorSpec | None:
        """Return the output of that name, None if there is none."""
        return self._outputs.get(name)


@dataclasses.dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the metadata endpoints say about a loaded model."""

    name: str
    versions: tuple[str, ...]
    signature: Signature
    platform: str = "onnx_onnxv1"
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Strings only (the protocol's wish): execution providers, task, digest."""


class InferRequest(NamedTuple):
    """One request, decoded and checked against the signature: every input is there, once, and fits."""

    inputs: tuple[Tensor, ...]
    """In the order of the model's signature."""
    outputs: tuple[str, ...] = ()
    """Names of the outputs wanted, in the order wanted; empty: all of them."""
    id: str | None = None
    timeout_seconds: float | None = None
    """How long the request may wait; None: the server's own limit."""
    priority: int = 0

    @property
    def nbytes(self) -> int:
        """How many bytes its tensors hold."""
        size = 0
        for tensor in self.inputs:  # half the time of a sum, and every request that waits is asked
            size += tensor.array.nbytes
        return size


class InferResponse(NamedTuple):
    """The answer to one request, outputs in the order that was asked for."""

    model_name: str
    model_version: str
    outputs: tuple[Tensor, ...]
    id: str | None = None


class Runner(Protocol):
    """What is run: an Engine, or whatever answers like one."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of all outputs."""

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Run once, and return the outputs in the order of their names."""
