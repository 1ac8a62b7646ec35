"""What a provider's library needs beside ONNX Runtime, and which of it is missing.

CUDA and cuDNN come with the gpu image as NVIDIA's own packages, in folders where no linker looks, or with a base image.
The driver (libcuda) is the node's: NVIDIA's container runtime brings it into a container that has a GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import onnxruntime as ort

from foresail_runtime import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LOG: Final = logging.getLogger(__name__)
_ON_NVIDIA: Final = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
_LIBRARIES: Final = {
    "CUDAExecutionProvider": "libonnxruntime_providers_cuda.so",
    "TensorrtExecutionProvider": "libonnxruntime_providers_tensorrt.so",
    "OpenVINOExecutionProvider": "libonnxruntime_providers_openvino.so",
}
_DRIVER: Final = "libcuda.so.1"


def may_be_used() -> bool:
    """Tell whether this build of ONNX Runtime has providers that are not the CPU's own."""
    return not _LIBRARIES.keys().isdisjoint(ort.get_available_providers())


def load_libraries(chosen: Sequence[str]) -> None:
    """Load CUDA's libraries if one of these providers needs them; what is not there is told by `missing`, later."""
    if not _ON_NVIDIA.isdisjoint(chosen):
        _load_cuda()


@functools.cache
def _load_cuda() -> None:
    words = io.StringIO()
    with contextlib.redirect_stdout(words):  # where ONNX Runtime prints what it does not find
        ort.preload_dlls()
    if said := words.getvalue().strip():
        _LOG.warning("not all of CUDA could be loaded", extra=logs.fields(because=said))


def missing(provider: str, load: Callable[[str], Any] = ctypes.CDLL) -> str:
    """Return why a provider that ONNX Runtime gave up can't be had; "" if nothing is found.

    `load` opens a shared library by path or name, and raises OSError with the name of the one that is missing.
    """
    if provider not in _LIBRARIES:
        return ""
    try:
        load(str(Path(ort.__file__).parent / "capi" / _LIBRARIES[provider]))
        return _driver_words(load(_DRIVER)) if provider in _ON_NVIDIA else ""
    except OSError as error:
        if str(error).startswith(_DRIVER):
            return (
                f"there is no NVIDIA driver in the container ({_DRIVER}): does the pod ask for a GPU, and has the node "
                "NVIDIA's container runtime, or the driver where LD_LIBRARY_PATH says?"
            )
        return str(error)


def _driver_words(driver: Any) -> str:
    """Return what the driver says when it is asked to begin, or that it is too old; "" when all is well."""
    code = driver.cuInit(0)
    if code == 0:
        return _too_old(driver)
    text = ctypes.c_char_p()
    driver.cuGetErrorString(code, ctypes.byref(text))
    return f"the NVIDIA driver says: {(text.value or b'').decode(errors='replace') or f'error {code}'}"


def _too_old(driver: Any) -> str:
    """Return that a driver is for an older CUDA than ONNX Runtime was built with; a newer one will do."""
    number = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(number))
    has, needs = (number.value // 1000, number.value % 1000 // 10), str(getattr(ort, "cuda_version", None) or "")
    major = needs.partition(".")[0]
    if not major.isdecimal() or has[0] >= int(major):
        return ""
    return f"the node's NVIDIA driver is made for CUDA {has[0]}.{has[1]} and this image for {needs}: update the driver"
