"""All that a ModelDeployment asks for, as one value."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from foresail_operator.desired import autoscaler, deployment, description, digests, disruption, meta, service, template
from foresail_operator.desired.images import Images, Pin, choose

if TYPE_CHECKING:
    from foresail_operator.api.kinds import Manifest
    from foresail_operator.api.v1alpha1 import ModelDeployment
    from foresail_operator.desired.autoscaler import Load


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The children in the order of writing (what a pod needs comes first), and the revision they make."""

    children: tuple[Manifest, ...]
    revision: str
    description: str
    """Name of the ConfigMap that this revision's pods mount."""
    pin: Pin


def build(model: ModelDeployment, recorded: Pin | None, images: Images, load: Load | None) -> Plan:
    """Return the plan; `recorded` is the image that status remembers, `load` see `autoscaler.build`."""
    pin = choose(model, recorded, images)
    said = description.build(model)
    mounted: str = said["metadata"]["name"]
    pod = template.build(model, pin.image, images.pull_policy, mounted)
    revision = digests.short(pod)
    children = (
        said,
        deployment.build(model, _labelled(pod, revision)),
        service.build(model),
        service.build_headless(model),
        autoscaler.build(model, load),
        disruption.build(model),
    )
    return Plan(tuple(child for child in children if child is not None), revision, mounted, pin)


def _labelled(pod: Manifest, revision: str) -> Manifest:
    metadata = pod["metadata"]
    return pod | {"metadata": metadata | {"labels": metadata["labels"] | {meta.REVISION_LABEL: revision}}}
