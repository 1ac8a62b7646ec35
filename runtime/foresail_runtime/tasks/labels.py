"""The names of a model's classes: out of its metadata, out of a file beside it, or the two lists everyone knows."""

from __future__ import annotations

import ast
import functools
import importlib.resources
import json
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

FILES: Final = ("labels.json", "labels.txt", "classes.txt", "imagenet-labels.json")
"""Looked for beside the model, in this order: a JSON list or object, or a name a line."""
KEYS: Final = ("names", "labels")
"""Metadata keys, in this order."""

UNREADABLE: Final = "LabelsUnreadable"
"""The reason of a model whose names can't be read."""

_MAX_BYTES: Final = 4 * 2**20
_WELL_KNOWN: Final[Mapping[int, str]] = {80: "coco-80.json", 1000: "imagenet-1k.json"}


class Labels:
    """Names by class id; a class without one is called by its id."""

    def __init__(self, names: Mapping[int, str], count: int | None = None) -> None:
        """`count` is how many classes there are; None where the model does not say."""
        self._names = dict(names)
        self._ids: dict[str, set[int]] = {}
        for number, name in self._names.items():
            self._ids.setdefault(name.casefold(), set()).add(number)
        self.count: Final = count if count and count > 0 else None

    def __len__(self) -> int:
        """How many classes have a name."""
        return len(self._names)

    def has(self, names: Mapping[int, str]) -> bool:
        """Tell whether these are the names."""
        return self._names == dict(names)

    def name(self, class_id: int) -> str:
        """Return the class's name."""
        return self._names.get(class_id) or str(class_id)

    def find(self, name: str) -> frozenset[int]:
        """Return the ids of the classes of this name, whatever its case: ImageNet has two cranes."""
        return frozenset(self._ids.get(name.strip().casefold(), ()))

    def sample(self) -> str:
        """Return a few names, to show in an error."""
        return ", ".join(list(self._names.values())[:5])


def from_metadata(metadata: Mapping[str, str]) -> dict[int, str]:
    """Return the names that the model's own metadata holds; empty where it holds none.

    Raises:
        ModelUnusable: They are written in a way that is not understood.
    """
    for key in KEYS:
        text = metadata.get(key, "").strip()
        if text:
            return parse(text, f"the model's metadata {key}")
    return {}


def file(folder: pathlib.Path | None) -> pathlib.Path | None:
    """Return the labels file in the model's folder; None where there is none."""
    places = [folder / name for name in FILES] if folder is not None else []
    return next((path for path in places if path.is_file() and path.stat().st_size <= _MAX_BYTES), None)


def beside(folder: pathlib.Path | None) -> dict[int, str]:
    """Read the names from a labels file in the model's folder; empty where there is none.

    Raises:
        ModelUnusable: The file is there and can't be read as names.
    """
    path = file(folder)
    if path is None:
        return {}
    return parse(path.read_text(encoding="utf-8-sig", errors="replace"), f"the labels file {path.name}")


def counts(names: Mapping[int, str]) -> tuple[int | None, ...]:
    """Return how many classes names may be of: as many as the largest id says, or as there are; None for none."""
    found = dict.fromkeys((max(names) + 1, len(names))) if names else {}
    return tuple(count for count in found if count > 0) or (None,)


def well_known(class_count: int | None) -> dict[int, str]:
    """Return COCO's names for 80 classes and ImageNet's for 1000, empty for any other number."""
    file = _WELL_KNOWN.get(class_count or 0)
    return dict(_packaged(file)) if file else {}


def parse(text: str, place: str) -> dict[int, str]:
    """Read a dict or a list, in Python's or JSON's spelling, a name a line, or on one line names between commas.

    Raises:
        ModelUnusable: The text begins like a dict or a list and is none; the message names `place`.
    """
    if text.lstrip()[:1] not in ("{", "["):
        lines = text.strip().splitlines()
        return dict(enumerate(clean(name.strip()) for name in (lines[0].split(",") if len(lines) == 1 else lines)))
    try:
        value = _literal(text)
        pairs = (
            value.items() if isinstance(value, dict) else enumerate(value[:])
        )  # a set, which has no order, has no [:]
        return {int(number): clean(str(name)) for number, name in pairs}
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise errors.ModelUnusable(
            UNREADABLE, f"{place} can't be read: write {{0: 'name', 1: 'name'}}, a list, or a name a line"
        ) from error


def clean(text: str) -> str:
    """Return text that can be UTF-8: half a surrogate pair, which JSON can spell, becomes a question mark."""
    return text.encode(errors="replace").decode()


def _literal(text: str) -> Any:  # whatever the model's author wrote
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text)  # literals only: nothing is evaluated


@functools.cache
def _packaged(file: str) -> Mapping[int, str]:
    text = importlib.resources.files(__package__ or "").joinpath(file).read_text(encoding="utf-8")
    return dict(enumerate(json.loads(text)))
