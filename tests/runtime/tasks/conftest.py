"""The two trained models of the examples, run as they are, and the pictures they are tried on."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import onnxruntime
import pytest

from foresail_runtime import tensors
from foresail_runtime.tasks import classification, detection

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = pathlib.Path(__file__).parents[3]


class Model:
    """An ONNX model and its signature, run in this process."""

    def __init__(self, path: pathlib.Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.folder = path.parent
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.signature = tensors.Signature(
            _specs(self.session.get_inputs()),
            _specs(self.session.get_outputs()),
            self.session.get_modelmeta().custom_metadata_map,
        )

    def run(self, inputs: tuple[tensors.Tensor, ...]) -> tuple[tensors.Tensor, ...]:
        arrays = self.session.run(None, {tensor.name: tensor.array for tensor in inputs})
        return tuple(
            tensors.Tensor(spec.name, spec.datatype, array)
            for spec, array in zip(self.signature.outputs, arrays, strict=True)
        )


def _specs(arguments: list[Any]) -> tuple[tensors.TensorSpec, ...]:
    return tuple(
        tensors.TensorSpec(
            argument.name,
            tensors.BY_ONNX[argument.type],
            tuple(side if isinstance(side, int) else -1 for side in argument.shape),
        )
        for argument in arguments
    )


@pytest.fixture(scope="session")
def nanodet() -> Model:
    return Model(ROOT / "examples/03-retail-shelf/models/nanodet_g_416.onnx")


@pytest.fixture(scope="session")
def efficientnet() -> Model:
    return Model(ROOT / "examples/02-quality-assurance/models/efficientnet_lite0.onnx")


@pytest.fixture(scope="session")
def picture() -> Callable[[str], bytes]:
    return lambda name: (ROOT / "tests/pictures" / f"{name}.png").read_bytes()


@pytest.fixture(scope="session")
def detect(nanodet: Model) -> Callable[..., list[dict[str, Any]]]:
    detector = detection.Detector(nanodet.signature)

    def run(data: bytes, **query: str) -> list[dict[str, Any]]:
        prepared = detector.prepare(data)
        answer = detector.answer(prepared, nanodet.run(prepared.inputs), detector.read_options(query))
        found: list[dict[str, Any]] = answer["detections"]
        return found

    return run


@pytest.fixture(scope="session")
def classify(efficientnet: Model) -> Callable[..., list[dict[str, Any]]]:
    classifier = classification.Classifier(efficientnet.signature)

    def run(data: bytes, **query: str) -> list[dict[str, Any]]:
        prepared = classifier.prepare(data)
        answer = classifier.answer(prepared, efficientnet.run(prepared.inputs), classifier.read_options(query))
        found: list[dict[str, Any]] = answer["classes"]
        return found

    return run
