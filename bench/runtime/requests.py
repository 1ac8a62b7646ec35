"""The requests that are sent, as bytes."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class Request:
    """A POST."""

    path: str
    body: bytes
    headers: Mapping[str, str]

    def wire(self) -> bytes:
        """Return it as it goes over the wire, with keep-alive."""
        headers = {"Host": "127.0.0.1", "Content-Length": str(len(self.body)), **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + self.body


def rows(count: int, width: int = 32) -> npt.NDArray[np.float32]:
    """Return the same numbers each time."""
    return np.random.default_rng(1).uniform(-2, 2, (count, width)).astype(np.float32)


def as_json(array: npt.NDArray[np.float32], *, model: str = "mlp") -> Request:
    """Return an infer request in JSON, its numbers with 6 digits as clients write them."""
    data = [round(float(value), 6) for value in array.ravel()]
    entry = {"name": "input", "shape": list(array.shape), "datatype": "FP32", "data": data}
    body = json.dumps({"inputs": [entry]}).encode()
    return Request(f"/v2/models/{model}/infer", body, {"Content-Type": "application/json"})


def as_binary(array: npt.NDArray[np.float32], *, model: str = "mlp") -> Request:
    """Return an infer request in the binary form, whose answer is wanted in it, too."""
    parameters = {"binary_data_size": array.nbytes}
    entry = {"name": "input", "shape": list(array.shape), "datatype": "FP32", "parameters": parameters}
    head = json.dumps({"parameters": {"binary_data_output": True}, "inputs": [entry]}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return Request(f"/v2/models/{model}/infer", head + array.tobytes(), headers)
