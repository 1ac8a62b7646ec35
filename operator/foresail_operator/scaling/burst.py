"""Raises a Deployment at once, through its scale subresource: only up, and never over what someone else wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from foresail_operator import errors
from foresail_operator.api.kinds import DEPLOYMENT, Kind, Manifest

if TYPE_CHECKING:
    from foresail_operator.scaling.decide import Advice


class Scales(Protocol):
    """The two requests of the API client that this needs."""

    async def get(self, kind: Kind, namespace: str | None, name: str, subresource: str | None = None) -> Manifest:
        """Return an object."""

    async def replace(self, kind: Kind, manifest: Manifest, subresource: str | None = None) -> Manifest:
        """Replace the version that the manifest carries; Conflict when there is a newer one."""


async def raise_to(kube: Scales, namespace: str, deployment: str, advice: Advice) -> int | None:
    """Raise a Deployment to the advised size.

    Returns:
        The size before; None when nothing was written: it is that large already, sleeps at zero (who wakes it does
        that), is gone, or was written by someone else meanwhile. The next look, half a second later, decides anew.

    Raises:
        ApiError: The API server refused, or did not answer.
        NotLeading: Another replica leads.
    """
    try:
        scale = await kube.get(DEPLOYMENT, namespace, deployment, "scale")
        before = int(scale["spec"].get("replicas", 0))
        if not 0 < before < advice.replicas:
            return None
        await kube.replace(DEPLOYMENT, scale | {"spec": {"replicas": advice.replicas}}, "scale")
    except (errors.Conflict, errors.NotFound):
        return None
    return before
