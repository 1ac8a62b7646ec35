"""What a request may ask of a picture task: `?confidence=0.5&iou=0.5&top_k=10&classes=person,cat&format=png`."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foresail_runtime.tasks import labels

MAX_TOP_K: Final = 10_000
MAX_MASKS: Final = 300
"""A mask costs up to a million runs of pixels where a box costs four numbers."""
NAMES: Final = ("confidence", "iou", "top_k", "classes", "format", "masks")
"""Every option that a picture task can have."""
_FORMATS: Final = ("json", "png")
_MASKS: Final = ("rle", "none")


@dataclasses.dataclass(frozen=True, slots=True)
class DetectionOptions:
    """Which boxes are wanted, and whether as JSON or drawn into the picture."""

    confidence: float = 0.35
    iou: float = 0.5
    top_k: int = 300
    classes: frozenset[int] | None = None
    """None: all of them."""
    format: str = "json"
    masks: str = "rle"
    """Of a segmentation: rle, or none."""


@dataclasses.dataclass(frozen=True, slots=True)
class ClassificationOptions:
    """Which classes are wanted."""

    confidence: float = 0.0
    top_k: int = 5
    classes: frozenset[int] | None = None


def detection(query: Mapping[str, str], names: labels.Labels, *, has_masks: bool = False) -> DetectionOptions:
    """Read a detection request's options; `masks` is one where the model has them.

    Raises:
        InvalidRequest: An option is unknown, or its value makes no sense.
    """
    _refuse_unknown(query, ("confidence", "iou", "top_k", "classes", "format", *(["masks"] if has_masks else [])))
    default = DetectionOptions()
    wanted = DetectionOptions(
        confidence=_fraction(query, "confidence", default.confidence),
        iou=_fraction(query, "iou", default.iou),
        top_k=_count(query, "top_k", default.top_k),
        classes=_classes(query, names),
        format=_one_of(query, "format", default.format, _FORMATS),
        masks=_one_of(query, "masks", default.masks, _MASKS),
    )
    if has_masks and wanted.masks == "rle" and wanted.top_k > MAX_MASKS:
        raise errors.InvalidRequest(
            f"the option top_k is {wanted.top_k}, and masks come with at most {MAX_MASKS} boxes: "
            "lower it, or add masks=none"
        )
    return wanted


def classification(query: Mapping[str, str], names: labels.Labels) -> ClassificationOptions:
    """Read a classification request's options.

    Raises:
        InvalidRequest: An option is unknown, or its value makes no sense.
    """
    _refuse_unknown(query, ("confidence", "top_k", "classes"))
    default = ClassificationOptions()
    return ClassificationOptions(
        confidence=_fraction(query, "confidence", default.confidence),
        top_k=_count(query, "top_k", default.top_k),
        classes=_classes(query, names),
    )


def _refuse_unknown(query: Mapping[str, str], known: tuple[str, ...]) -> None:
    for name in query:
        if name not in known:
            raise errors.InvalidRequest(f"the option {name!r} is unknown here: the options are {', '.join(known)}")


def _fraction(query: Mapping[str, str], name: str, default: float) -> float:
    text = query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise errors.InvalidRequest(f"the option {name} is {text!r}: write a number from 0 to 1")
    return value


def _count(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= value <= MAX_TOP_K:
        raise errors.InvalidRequest(f"the option {name} is {text!r}: write a whole number from 1 to {MAX_TOP_K}")
    return value


def _one_of(query: Mapping[str, str], name: str, default: str, known: tuple[str, ...]) -> str:
    value = query.get(name, default)
    if value not in known:
        raise errors.InvalidRequest(f"the option {name} is {value!r}: it is one of {', '.join(known)}")
    return value


def _classes(query: Mapping[str, str], names: labels.Labels) -> frozenset[int] | None:
    text = query.get("classes")
    if text is None:
        return None
    whole = names.find(text)  # ImageNet's names hold commas
    if whole:
        return whole
    return frozenset().union(*(_class(part.strip(), names) for part in text.split(",")))


def _class(text: str, names: labels.Labels) -> frozenset[int]:
    found = names.find(text)
    if found:
        return found
    if text.isascii() and text.isdigit() and len(text) < 10:
        if names.count is not None and int(text) >= names.count:
            raise errors.InvalidRequest(
                f"the option classes holds {text}, and this model's classes go from 0 to {names.count - 1}"
            )
        return frozenset({int(text)})
    known = f"it has {len(names)} names, among them {names.sample()}" if len(names) else "it names none, use ids"
    raise errors.InvalidRequest(f"the option classes holds {text!r}, which is no class of this model: {known}")
