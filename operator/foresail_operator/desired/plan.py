"""All that a ModelDeployment asks for, as one value."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from foresail_operator.api.kinds import CONFIG_MAP
from foresail_operator.desired import (
    autoscaler,
    deployment,
    description,
    digests,
    disruption,
    meta,
    proxy,
    service,
    template,
)
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
    configurations: frozenset[str]
    """Names of the ConfigMaps that this revision's pods and the proxies mount."""
    pin: Pin


def build(
    model: ModelDeployment,
    recorded: Pin | None,
    images: Images,
    load: Load | None,
    proxies: proxy.Setup,
    *,
    proxied: bool = False,
) -> Plan:
    """Return the plan.

    Args:
        model: What is wanted.
        recorded: The image that status remembers.
        images: The runtime images of this release.
        load: See `autoscaler.build`.
        proxies: How this install has its proxies.
        proxied: Whether a proxy is ready to take what comes to the model's Service.
    """
    pin = choose(model, recorded, images)
    said = description.build(model)
    mounted: str = said["metadata"]["name"]
    pod = template.build(model, pin.image, pin.pull_policy, mounted)
    revision = digests.short(pod)
    children = (
        said,
        deployment.build(model, template.mirrored(_labelled(pod, revision))),
        *((service.build_direct(model), *proxy.build(model, proxies)) if proxy.wanted(model) else ()),
        service.build(model, proxied=proxied),
        service.build_headless(model),
        autoscaler.build(model, load),
        disruption.build(model),
    )
    written = tuple(child for child in children if child is not None)
    configurations = frozenset(child["metadata"]["name"] for child in written if child["kind"] == CONFIG_MAP.name)
    return Plan(written, revision, configurations, pin)


def _labelled(pod: Manifest, revision: str) -> Manifest:
    metadata = pod["metadata"]
    return pod | {"metadata": metadata | {"labels": metadata["labels"] | {meta.REVISION_LABEL: revision}}}
