"""Every name and label value that is made from a ModelDeployment's name.

A ModelDeployment's name may have 253 characters and dots, a Service's 63 and none, and it begins with a letter. A
name that does not fit, or that could be mistaken for one made here, gets a hash of the whole name: two
ModelDeployments of one namespace never ask for the same child.
"""

from __future__ import annotations

import re
from typing import Final

from foresail_operator.desired import digests

LONGEST: Final = 48
"""Of a base: 63, the most a Service may have, less the longest suffix."""
_HEADLESS: Final = "-pods"
_DIRECT: Final = "-direct"
_PROXY: Final = "-proxy"
_DESCRIPTION: Final = "-model-"
_PLAIN: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_RESERVED: Final = re.compile(rf".*({_HEADLESS}|{_DIRECT}|{_PROXY}|{_DESCRIPTION}[0-9a-f]{{8}}|-[0-9a-f]{{8}})")


def base(name: str) -> str:
    """Return what all children's names begin with, which is also the value of the model's label."""
    if len(name) <= LONGEST and _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name):
        return name
    readable = re.sub(r"[^-a-z0-9]", "-", name)
    readable = readable if readable[0].isalpha() else f"m-{readable}"
    return f"{readable[: LONGEST - 9].rstrip('-')}-{digests.short(name, 8)}"


def deployment(name: str) -> str:
    """Return the Deployment's name."""
    return base(name)


def service(name: str) -> str:
    """Return the name of the Service that clients call."""
    return base(name)


def headless_service(name: str) -> str:
    """Return the name of the Service whose DNS answer is every pod's address."""
    return base(name) + _HEADLESS


def direct_service(name: str) -> str:
    """Return the name of the Service that goes past the proxy, to the replicas or who stands in for them."""
    return base(name) + _DIRECT


def proxy(name: str) -> str:
    """Return the name of the proxy's Deployment and of its PodDisruptionBudget."""
    return base(name) + _PROXY


def proxy_configuration(name: str, content: str) -> str:
    """Return the name of the ConfigMap that holds this content for the proxy."""
    return f"{proxy(name)}-{digests.short(content, 8)}"


def is_configuration(name: str, found: str) -> bool:
    """Tell whether a ConfigMap's name is of those made here for a model: a copy that a user keeps has another."""
    return re.fullmatch(rf"{re.escape(base(name))}({_DESCRIPTION}|{_PROXY}-)[0-9a-f]{{8}}", found) is not None


def autoscaler(name: str) -> str:
    """Return the HorizontalPodAutoscaler's name."""
    return base(name)


def disruption_budget(name: str) -> str:
    """Return the PodDisruptionBudget's name."""
    return base(name)


def activator_slice(name: str, *, proxied: bool = False) -> str:
    """Return the name of the EndpointSlice through which the activator stands in, behind the proxy or without one."""
    return f"{direct_service(name) if proxied else base(name)}-activator"


def ready_slice(name: str) -> str:
    """Return the name of the EndpointSlice in which the activator is a ready endpoint."""
    return f"{activator_slice(name)}-ready"


def description(name: str, content: str) -> str:
    """Return the name of the ConfigMap that holds this content; other content has another name."""
    return f"{base(name)}{_DESCRIPTION}{digests.short(content, 8)}"
