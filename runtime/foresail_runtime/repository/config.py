"""The settings of one model in a folder of models: our own `foresail.json`, and what maps of Triton's `config.pbtxt`.

Pure: text in, settings out. Of Triton's configuration `name`, `max_batch_size`, `dynamic_batching`'s delay,
`version_policy`, the counts of `instance_group` and `default_model_filename` are read; `platform` and `backend` have to
be ONNX's; the rest (inputs, outputs, …) is what the model itself or this server's measurements say, and is left out.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime import errors
from foresail_runtime.contract import Batching, ModelDescription
from foresail_runtime.repository import layout, prototext
from foresail_runtime.repository.layout import Names, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OWN_FILE: Final = "foresail.json"
TRITON_FILE: Final = "config.pbtxt"
_BACKENDS: Final = ("", "onnxruntime", "onnxruntime_onnx", "onnx_onnxv1")
_MOST_VERSIONS: Final = 1000
MOST_INSTANCES: Final = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """How a model of the folder is served."""

    policy: Policy = dataclasses.field(default_factory=Policy)
    names: Names = dataclasses.field(default_factory=Names)
    file: str | None = None
    """The name of the model's file in a version's folder; None: model.onnx, or the only .onnx file."""
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of the ModelDescription that are not their defaults."""

    def describe(self, name: str, version: str, path: str) -> ModelDescription:
        """Return what is to be loaded for a version."""
        return ModelDescription(name=name, version=version, uri=f"file://{path}", path=path, **self.fields)


def read(name: str, own: str | None, triton: str | None) -> Config:
    """Return the settings that the two texts make; our own file has the last word.

    Raises:
        ModelUnusable: One of them has no sense; the message says where.
    """
    config = Config()
    if triton is not None:
        config = _from_triton(name, triton)
    return config if own is None else _from_own(config, own)


def _wrong(message: str) -> errors.ModelUnusable:
    return errors.ModelUnusable("DescriptionInvalid", message)


def _from_triton(name: str, text: str) -> Config:
    try:
        found = prototext.parse(text)
    except prototext.SyntaxProblemError as error:
        raise _wrong(f"{TRITON_FILE}: {error}") from error
    if found.get("name", name) != name:
        raise _wrong(f"{TRITON_FILE} is for model {found['name']!r}, and lies in the folder of {name!r}")
    for key in ("platform", "backend"):
        if found.get(key, "") not in _BACKENDS:
            raise _wrong(f"{TRITON_FILE} asks for {key} {found[key]!r}: this server runs ONNX models")
    fields: dict[str, Any] = {}
    size = found.get("max_batch_size", 0)
    if not isinstance(size, int) or size < 0:
        raise _wrong(f"{TRITON_FILE}: max_batch_size is {size!r}, not a whole number from 0 up")
    batching = found.get("dynamic_batching")
    delay = batching.get("max_queue_delay_microseconds", 0) if isinstance(batching, dict) else 0
    if not isinstance(delay, int) or delay < 0:
        raise _wrong(f"{TRITON_FILE}: max_queue_delay_microseconds is {delay!r}, not a whole number from 0 up")
    if size or delay:
        fields["batching"] = Batching(size or None, delay / 1000)
    instances = _triton_instances(found.get("instance_group"))
    if instances > 1:
        fields["instances"] = instances
    file = found.get("default_model_filename")
    if not _names_file(file):
        raise _wrong(f"{TRITON_FILE}: default_model_filename is {file!r}, not the name of a file in a version's folder")
    return Config(_triton_policy(found.get("version_policy")), Names(), file, fields)


def _names_file(found: Any) -> bool:
    """Tell whether it is the name of a file in the version's own folder, or left out."""
    return found is None or (isinstance(found, str) and bool(found) and "/" not in found and "\\" not in found)


def _triton_instances(found: Any) -> int:
    """Return how many runs at a time the groups ask for together; where they run is not theirs to say here."""
    groups = found if isinstance(found, list) else [] if found is None else [found]
    counts: list[Any] = [group.get("count", 1) if isinstance(group, dict) else None for group in groups]
    if any(not isinstance(count, int) or count < 1 for count in counts):
        raise _wrong(f"{TRITON_FILE}: instance_group is {found!r}, and each of its counts a whole number from 1 up")
    return min(MOST_INSTANCES, sum(counts) or 1)


def _triton_policy(found: Any) -> Policy:
    match found:
        case None:
            return Policy()
        case {"all": _}:
            return Policy(None)
        case {"latest": {"num_versions": int(count)}} if count > 0:
            return Policy(count)
        case {"latest": _}:
            return Policy()
        case {"specific": {"versions": [*versions]}}:
            return Policy(None, tuple(str(version) for version in versions))
        case {"specific": {"versions": version}}:
            return Policy(None, (str(version),))
        case _:
            raise _wrong(f"{TRITON_FILE}: version_policy is neither latest, all nor specific")


def _from_own(config: Config, text: str) -> Config:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _wrong(f"{OWN_FILE} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise _wrong(f"{OWN_FILE} is not a JSON object")
    if unknown := sorted(set(found) - {*_FIELDS, "versions", "default", "labels", "file"}):
        raise _wrong(f"{OWN_FILE} has {unknown[0]!r}, which is no setting of a model; see docs/runtime.md")
    fields = config.fields | describe(found, f"{OWN_FILE}: ")
    policy = _own_policy(found["versions"]) if "versions" in found else config.policy
    file = found.get("file", config.file)
    if not _names_file(file):
        raise _wrong(f"{OWN_FILE}: file is {file!r}, not the name of a file in the version's folder")
    return Config(policy, _names(found), file, fields)


def describe(found: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return the description's fields that a model's settings make, named as in a ModelDeployment; others are left out.

    Raises:
        ModelUnusable: One has no sense; the message begins with `where`.
    """
    fields = {}
    for key, (field, check) in _FIELDS.items():
        if key in found:
            try:
                fields[field] = check(found[key])
            except (ValueError, TypeError) as error:
                raise _wrong(f"{where}{key} is {found[key]!r}: {error}") from error
    return fields


def _own_policy(found: Any) -> Policy:
    match found:
        case layout.ALL:
            return Policy(None)
        case bool():
            pass
        case int() if 1 <= found <= _MOST_VERSIONS:
            return Policy(found)
        case [*versions] if versions and all(layout.is_version(str(version)) for version in versions):
            return Policy(None, tuple(str(version) for version in versions))
    raise _wrong(f'{OWN_FILE}: versions is {found!r}: how many of the newest (2), "all", or a list of them ([1, 3])')


def _names(found: dict[str, Any]) -> Names:
    labels = found.get("labels", {})
    if not isinstance(labels, dict) or not all(
        label and not layout.is_version(label) and "/" not in label and layout.is_version(str(version))
        for label, version in labels.items()
    ):
        raise _wrong(f'{OWN_FILE}: labels is {labels!r}: words to versions, as {{"stable": "1"}}; a word is no number')
    labels = {label: str(version) for label, version in labels.items()}
    default = found.get("default")
    default = None if default is None else str(default)
    if default is not None and not layout.is_version(default) and default not in labels:
        raise _wrong(f"{OWN_FILE}: default is {default!r}, neither a version nor one of the labels")
    return Names(default, labels)


def _text(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"it has to be one of {', '.join(words)}")
        return str(value)

    return check


def _number(least: float, most: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ValueError(f"it has to be a number from {least:g} to {most:g}")
        return value

    return check


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"it has to be a whole number from {least} to {most}")
        return value

    return check


def _batching(value: Any) -> Batching:
    if not isinstance(value, dict) or set(value) - {"maxSize", "maxDelayMilliseconds"}:
        raise ValueError("it has maxSize and maxDelayMilliseconds, and nothing else")
    size = value.get("maxSize")
    delay = _number(0, 10_000)(value.get("maxDelayMilliseconds", 0))
    return Batching(None if size is None else _whole(1, 65536)(size), delay)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("it has to be true or false")
    return value


def _warmup_data(value: Any) -> str:
    if not isinstance(value, str) or not value or value.startswith("/") or ".." in value.split("/"):
        raise ValueError("it has to be random, zeros, or a file in the version's folder")
    return value


def _providers(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("it has to be a list of ONNX Runtime's provider names")
    return tuple(value)


_FIELDS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "task": ("task", _text("auto", "tensors", "image-classification", "object-detection", "tabular")),
    "batching": ("batching", _batching),
    "maxQueueSize": ("max_queue_size", _whole(1, 1_000_000)),
    "timeoutSeconds": ("timeout_seconds", _number(0.001, 86_400)),
    "warmup": ("warmup", _boolean),
    "warmupData": ("warmup_data", _warmup_data),
    "instances": ("instances", _whole(1, MOST_INSTANCES)),
    "executionProviders": ("execution_providers", _providers),
}
"""Our own file's keys, named as in a ModelDeployment → the description's field and what reads its value."""
