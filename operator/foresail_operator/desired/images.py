"""Which runtime image a model runs, and until when it keeps it.

The choice is recorded in status.revision together with a digest of the spec's parts that change what runs. While
they are the same the image stays, whatever this operator's own default has become, and so does its pull policy: an
upgrade, or another setting of the chart, restarts nothing.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Final

from foresail_operator.desired import digests

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment


DEFAULT_PULL_POLICY: Final = "IfNotPresent"


class Variant(enum.StrEnum):
    """Which build of ONNX Runtime is in the image."""

    CPU = "cpu"
    OPENVINO = "openvino"
    GPU = "gpu"


@dataclasses.dataclass(frozen=True, slots=True)
class Images:
    """The runtime images of this release."""

    cpu: str
    openvino: str
    gpu: str
    pull_policy: str = DEFAULT_PULL_POLICY

    def of(self, variant: Variant) -> str:
        """Return the image of a variant."""
        return {Variant.CPU: self.cpu, Variant.OPENVINO: self.openvino, Variant.GPU: self.gpu}[variant]


@dataclasses.dataclass(frozen=True, slots=True)
class Pin:
    """A chosen image, and the digest of the inputs it was chosen for."""

    image: str
    inputs: str
    pull_policy: str = DEFAULT_PULL_POLICY


def variant(model: ModelDeployment) -> Variant:
    """Return the variant that has what the spec asks for."""
    if model.spec.gpu is not None:
        return Variant.GPU
    wants_openvino = "OpenVINOExecutionProvider" in model.spec.serving.execution_providers
    return Variant.OPENVINO if wants_openvino else Variant.CPU


def inputs(model: ModelDeployment) -> str:
    """Return the digest of what changes the pod template; defaults do not count, so a new field changes nothing."""
    elsewhere = {"replicas", "scaling", "load_balancing", "hold_requests"}
    return digests.short(model.spec.model_dump(by_alias=True, exclude_defaults=True, exclude=elsewhere), 16)


def choose(model: ModelDeployment, recorded: Pin | None, images: Images) -> Pin:
    """Return the image to run: the user's, else the recorded one of the same inputs, else this release's."""
    now = inputs(model)
    image = model.spec.runtime.image
    if recorded is not None and recorded.inputs == now and image in {None, recorded.image}:
        return recorded
    if image is None:
        image = images.of(variant(model))
        image = image if model.spec.runtime.version is None else _release(image, model)
    return Pin(image, now, images.pull_policy)


def _release(image: str, model: ModelDeployment) -> str:
    """Return the image under another release's tag; a variant's suffix (`0.1.0-gpu`) stays.

    A digest alone says nothing of the variant, so there it is the suffix that our own images have.
    """
    named, _, digest = image.partition("@")
    registry, slash, last = named.rpartition("/")
    name, _, tag = last.partition(":")
    suffix = next((f"-{kind}" for kind in Variant if tag.endswith(f"-{kind}")), "")
    if digest and not tag and (kind := variant(model)) is not Variant.CPU:
        suffix = f"-{kind}"
    return f"{registry}{slash}{name}:{model.spec.runtime.version}{suffix}"
