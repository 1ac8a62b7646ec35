"""The provider that is wished for, and the one that was got."""

from __future__ import annotations

import pytest

from foresail_runtime import errors
from foresail_runtime.engine import providers

CUDA = "CUDAExecutionProvider"
AZURE = "AzureExecutionProvider"


@pytest.mark.parametrize(
    ("wished", "available", "expected"),
    [
        ((), (AZURE, providers.CPU), (providers.CPU,)),
        ((), (CUDA, providers.CPU), (CUDA, providers.CPU)),
        ((providers.CPU,), (CUDA, providers.CPU), (providers.CPU,)),
        (
            ("TensorrtExecutionProvider", CUDA),
            ("TensorrtExecutionProvider", CUDA, providers.CPU),
            ("TensorrtExecutionProvider", CUDA),
        ),
    ],
    ids=["never the cloud", "the device first", "as wished", "in the order wished"],
)
def test_the_providers_to_open_with(
    wished: tuple[str, ...], available: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert providers.choose(wished, available) == expected


def test_a_provider_this_image_lacks_is_an_error_with_what_it_has() -> None:
    with pytest.raises(errors.ModelUnusable, match=f"{CUDA} is not in this image, which has {providers.CPU}") as caught:
        providers.choose((CUDA,), (providers.CPU,))
    assert caught.value.reason == "ProviderMissing"


def test_falling_back_is_an_error_unless_allowed() -> None:
    def nothing(_: str) -> str:
        return ""

    with pytest.raises(errors.ModelUnusable, match="fell back to CPUExecutionProvider: is there a device"):
        providers.check((CUDA, providers.CPU), (providers.CPU,), nothing, allow_fallback=False)
    providers.check((CUDA, providers.CPU), (providers.CPU,), nothing, allow_fallback=True)
    providers.check((CUDA,), (CUDA, providers.CPU), nothing, allow_fallback=False)


def test_what_is_missing_is_said() -> None:
    with pytest.raises(errors.ModelUnusable, match="CPUExecutionProvider: CUDAExecutionProvider lacks its driver "):
        providers.check((CUDA,), (providers.CPU,), lambda name: f"{name} lacks its driver", allow_fallback=False)
