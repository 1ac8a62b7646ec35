"""What a provider's library lacks, told by what the linker and the driver say."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import onnxruntime as ort
import pytest

from foresail_runtime.engine import devices

CUDA = "CUDAExecutionProvider"


class Driver:
    """The functions of libcuda that are called."""

    def __init__(self, code: int, version: int = 13000) -> None:
        self._code = code
        self._version = version

    def cuDriverGetVersion(self, number: Any) -> int:  # noqa: N802  # libcuda's name
        ctypes.cast(number, ctypes.POINTER(ctypes.c_int))[0] = self._version
        return 0

    def cuInit(self, _: int) -> int:  # noqa: N802  # libcuda's name
        return self._code

    def cuGetErrorString(self, code: int, text: Any) -> int:  # noqa: N802  # libcuda's name
        assert code == self._code
        ctypes.cast(text, ctypes.POINTER(ctypes.c_char_p))[0] = b"no CUDA-capable device is detected"
        return 0


def linker(words: str | None = None, driver: Driver | None = None) -> Any:
    def load(name: str) -> Any:
        if words is not None and name.endswith(".so"):
            raise OSError(words)
        if name == "libcuda.so.1" and driver is None:
            raise OSError("libcuda.so.1: cannot open shared object file: No such file or directory")
        return driver

    return load


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (linker("libcublasLt.so.13: cannot open shared object file"), "libcublasLt.so.13: cannot open"),
        (linker("libcuda.so.1: cannot open shared object file"), "no NVIDIA driver in the container (libcuda.so.1)"),
        (linker(), "no NVIDIA driver in the container (libcuda.so.1)"),
        (linker(driver=Driver(100)), "the NVIDIA driver says: no CUDA-capable device is detected"),
    ],
    ids=["a library of CUDA's", "the driver, for the provider", "the driver", "a device"],
)
def test_what_keeps_a_model_from_the_gpu_is_said(load: Any, words: str) -> None:
    assert words in devices.missing(CUDA, load)


def test_nothing_is_missing_where_all_of_it_loads() -> None:
    assert devices.missing(CUDA, linker(driver=Driver(0))) == ""
    assert devices.missing("OpenVINOExecutionProvider", linker()) == ""
    assert devices.missing("CPUExecutionProvider", linker("never asked")) == ""


def test_a_driver_for_an_older_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "cuda_version", "13.0", raising=False)
    words = devices.missing(CUDA, linker(driver=Driver(0, 12040)))
    assert words == "the node's NVIDIA driver is made for CUDA 12.4 and this image for 13.0: update the driver"
    assert devices.missing(CUDA, linker(driver=Driver(0, 13010))) == ""


def test_what_onnx_runtime_does_not_find_of_cuda_is_logged_with_its_words(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ort, "preload_dlls", lambda: sys.stdout.write("Failed to load libcufft.so.12\n"), raising=False)
    devices.load_libraries(["CPUExecutionProvider"])
    assert not caplog.records
    devices._load_cuda.cache_clear()
    devices.load_libraries([CUDA, "CPUExecutionProvider"])
    devices.load_libraries([CUDA])  # once a process
    devices._load_cuda.cache_clear()
    (record,) = caplog.records
    assert record.__dict__["fields"] == {"because": "Failed to load libcufft.so.12"}


@pytest.mark.parametrize(
    ("available", "expected"),
    [(["CPUExecutionProvider"], False), (["CUDAExecutionProvider", "CPUExecutionProvider"], True)],
)
def test_a_build_says_whether_it_is_for_devices(
    monkeypatch: pytest.MonkeyPatch, available: list[str], expected: bool
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: available)
    assert devices.may_be_used() is expected
