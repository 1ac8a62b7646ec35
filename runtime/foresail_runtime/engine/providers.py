"""Which execution provider a session is to have, and whether it got it.

ONNX Runtime falls back to the CPU with a line on stderr when a GPU's driver or library is missing, and its CPU
wheel lists a cloud provider first; so the list is made here, and what the session says afterwards is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CPU: Final = "CPUExecutionProvider"
PREFERRED: Final = ("CUDAExecutionProvider", "OpenVINOExecutionProvider", CPU)
"""What `auto` means, best first: the wheel of an image's variant has one of the first two, or neither."""


def choose(wished: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """Return the providers to open a session with, in order.

    Raises:
        ModelUnusable: One that is wished for is not in this build of ONNX Runtime.
    """
    if not wished:
        return tuple(name for name in PREFERRED if name in available)
    for name in wished:
        if name not in available:
            raise errors.ModelUnusable(
                "ProviderMissing",
                f"execution provider {name} is not in this image, which has {', '.join(available)}: "
                "choose one of these, or the image variant that has it",
            )
    return tuple(wished)


def check(chosen: Sequence[str], got: Sequence[str], missing: Callable[[str], str], *, allow_fallback: bool) -> None:
    """Compare what a session got with what was chosen; `missing` returns what a provider lacks.

    Raises:
        ModelUnusable: The first choice is not there and falling back is not allowed.
    """
    if chosen and chosen[0] not in got and not allow_fallback:
        why = missing(chosen[0]) or "is there a device, and does its driver match?"
        raise errors.ModelUnusable(
            "ProviderFellBack",
            f"the model was to run on {chosen[0]} and ONNX Runtime fell back to {', '.join(got)}: {why} "
            "(FORESAIL_ALLOW_FALLBACK=1 accepts it; in a cluster it is set in an image of your own)",
        )
