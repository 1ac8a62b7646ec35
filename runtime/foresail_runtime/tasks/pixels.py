"""The input a picture model takes: its size, its layout, and how pixels become the numbers it was trained on."""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np

from foresail_runtime import errors, tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from PIL import Image

_FILTERS: Final = ("nearest", "bilinear", "bicubic", "lanczos")
"""Those that resize, as Pillow calls them."""
_DATATYPES: Final = ("FP32", "FP16", "UINT8")
_REASON: Final = "TaskMismatch"
_MAX_SIDE: Final = 8192
_COLOURS: Final = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Scaling:
    """(pixel - mean) / std, a number or one a channel, in units of 0 to 255; and the filter that resizes."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str

    def overridden(self, metadata: Mapping[str, str]) -> Scaling:
        """Return this with what the model's metadata says instead.

        Raises:
            ModelUnusable: The metadata has the key and a value that makes no sense.
        """
        name = metadata.get("foresail.interpolation", "").strip().lower()
        if name and name not in _FILTERS:
            raise errors.ModelUnusable(
                _REASON, f"the model's metadata foresail.interpolation is {name!r}: one of {', '.join(_FILTERS)}"
            )
        return Scaling(
            numbers(metadata, "foresail.mean") or self.mean,
            _nonzero(numbers(metadata, "foresail.std")) or self.std,
            name or self.interpolation,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class PictureInput:
    """The one input of a picture model."""

    name: str
    datatype: tensors.Datatype
    width: int
    height: int
    channels: int
    channels_first: bool
    scaling: Scaling
    batch: int = 1
    """Rows that the model insists on: its first dimension where that is fixed."""

    def tensor(self, picture: Image.Image) -> tensors.Tensor:
        """Return a batch from a picture that already has the input's size: of one, or of the same where it needs more.

        Its answer is the first row's.
        """
        pixels = np.asarray(picture if self.channels == 3 else picture.convert("L"))
        pixels = pixels.reshape(self.height, self.width, self.channels)
        if self.channels_first:
            pixels = pixels.transpose(2, 0, 1)
        array = self._scaled(np.ascontiguousarray(pixels))[np.newaxis]
        return tensors.Tensor(self.name, self.datatype, array if self.batch == 1 else np.repeat(array, self.batch, 0))

    def _scaled(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.generic]:
        if self.datatype.name == "UINT8":
            return pixels  # a model that takes bytes scales them itself
        mean, std = self._by_channel(self.scaling.mean), self._by_channel(self.scaling.std)
        scaled = pixels.astype(np.float32)
        if np.any(mean):
            scaled -= mean
        scaled /= std
        return scaled.astype(self.datatype.dtype, copy=False)

    def _by_channel(self, values: tuple[float, ...]) -> npt.NDArray[np.float32]:
        shape = (-1, 1, 1) if self.channels_first else (1, 1, -1)
        return np.asarray(values, dtype=np.float32).reshape(shape)


def describe(signature: tensors.Signature, default_side: int, scaling: Scaling) -> PictureInput:
    """Return the input of a picture model; sizes left open by the model come from its `imgsz`, else `default_side`.

    Raises:
        ModelUnusable: The model does not take one picture.
    """
    spec = picture_spec(signature) or _all_open(signature)
    beside = tuple(spec for spec in signature.inputs if not _fits(spec))
    if spec is None and len(beside) == len(signature.inputs) - 1 > 0:
        raise errors.ModelUnusable(
            _REASON,
            f"the task needs a model with one input, a picture; this one takes {_words(beside)} as well: "
            "make that a constant in it (where it is a picture's size: the input's own), or set the task to tensors",
        )
    if spec is None:
        raise errors.ModelUnusable(
            _REASON,
            "the task needs a model with one input, a picture: FP32, FP16 or UINT8 of shape [N, 3, H, W] or "
            f"[N, H, W, 3]; this one takes {_words(signature.inputs)}: set the task to tensors",
        )
    channels_first = _channels_first(spec.shape)
    channels = spec.shape[1 if channels_first else 3]
    channels = _COLOURS if channels < 0 else channels
    height, width = sides(spec)
    wish = _sides(signature.metadata) or (default_side,)
    scaling = scaling.overridden(signature.metadata)
    if {len(scaling.mean), len(scaling.std)} - {1, channels}:
        raise errors.ModelUnusable(
            _REASON, f"the model's metadata foresail.mean and foresail.std need one number or {channels}, one a channel"
        )
    return PictureInput(
        name=spec.name,
        datatype=spec.datatype,
        width=width if width > 0 else wish[-1],
        height=height if height > 0 else wish[0],
        channels=channels,
        channels_first=channels_first,
        scaling=scaling,
        batch=max(1, spec.shape[0]),
    )


def picture_spec(signature: tensors.Signature) -> tensors.TensorSpec | None:
    """Return the model's only input if a picture fits it, else None."""
    if len(signature.inputs) != 1:
        return None
    (spec,) = signature.inputs
    return spec if _fits(spec) else None


def _fits(spec: tensors.TensorSpec) -> bool:
    if spec.datatype.name not in _DATATYPES or len(spec.shape) != 4:
        return False
    return spec.shape[1] in (1, 3) or spec.shape[3] in (1, 3)


def sides(spec: tensors.TensorSpec) -> tuple[int, int]:
    """Return height and width of a picture's input; -1 where the model leaves them open."""
    height, width = spec.shape[2:] if _channels_first(spec.shape) else spec.shape[1:3]
    return height, width


def _all_open(signature: tensors.Signature) -> tensors.TensorSpec | None:
    """Return the only input if nothing contradicts a picture; Hugging Face's exports leave every side open.

    A picture fits it, as much else does: so only where someone says that it is one.
    """
    if len(signature.inputs) != 1:
        return None
    (spec,) = signature.inputs
    return spec if spec.datatype.name in _DATATYPES and spec.shape[1:] == (-1, -1, -1) else None


def numbers(metadata: Mapping[str, str], key: str) -> tuple[float, ...]:
    """Read one number or a list of them out of the metadata; empty where the key is absent.

    Raises:
        ModelUnusable: The value is neither.
    """
    text = metadata.get(key, "").strip()
    if not text:
        return ()
    try:
        value = ast.literal_eval(text)
        found = tuple(float(item) for item in (value if isinstance(value, (list, tuple)) else (value,)))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise errors.ModelUnusable(
            _REASON, f"the model's metadata {key} is {text[:80]!r}: write a number or a list of numbers"
        ) from error
    if not found or not np.isfinite(found).all():
        raise errors.ModelUnusable(_REASON, f"the model's metadata {key} is {text[:80]!r}: every number must be finite")
    return found


def _sides(metadata: Mapping[str, str]) -> tuple[int, ...]:
    sides = tuple(int(side) for side in numbers(metadata, "imgsz"))
    if not all(1 <= side <= _MAX_SIDE for side in sides):
        raise errors.ModelUnusable(_REASON, f"the model's metadata imgsz is {sides}: sides go from 1 to {_MAX_SIDE}")
    return sides


def _nonzero(values: tuple[float, ...]) -> tuple[float, ...]:
    if 0.0 in values:
        raise errors.ModelUnusable(_REASON, "the model's metadata foresail.std holds 0: pixels are divided by it")
    return values


def _channels_first(shape: tuple[int, ...]) -> bool:
    return shape[1] in (1, 3) or shape[1:] == (-1, -1, -1)


def _words(specs: tuple[tensors.TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.datatype.name} {list(spec.shape)}" for spec in specs) or "nothing"
