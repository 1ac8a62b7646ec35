"""Makes the metrics API known: its certificates in a Secret, its authority in the APIServices, and whose they are.

Every replica looks; only the leader writes. A steady state writes nothing.
"""

from __future__ import annotations

import base64
import dataclasses
import logging
from typing import TYPE_CHECKING, Any, Final

from foresail_operator import errors
from foresail_operator.api.kinds import CONFIG_MAP, Kind, Manifest
from foresail_operator.scaling import certificates, documents, front_proxy, mode
from foresail_operator.scaling.certificates import Chain

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from foresail_operator.kube import Kube
    from foresail_operator.scaling.front_proxy import FrontProxy
    from foresail_operator.scaling.mode import Choice, Service

_LOG: Final = logging.getLogger(__name__)
SECRET: Final = Kind("", "v1", "Secret", "secrets")
API_SERVICE: Final = Kind("apiregistration.k8s.io", "v1", "APIService", "apiservices")
FIELD_MANAGER: Final = "foresail-metrics"
API_SERVICES: Final = tuple(
    f"{version}.{group}" for group, versions in documents.VERSIONS.items() for version in versions
)


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What a look found: how to serve, whom to trust and which way the numbers take."""

    chain: Chain | None
    """None while there is no Secret yet."""
    proxy: FrontProxy | None
    """None when the cluster does not say who its aggregator is."""
    choice: Choice


class Registration:
    """Looks after the Secret and the APIServices. `kube` is fenced: its writes fail where another replica leads."""

    def __init__(
        self,
        kube: Kube,
        service: Service,
        secret: str,
        *,
        leads: Callable[[], bool],
        now: Callable[[], dt.datetime],
    ) -> None:
        self._kube = kube
        self._service = service
        self._secret = secret
        self._leads = leads
        self._now = now
        self._since: dt.datetime | None = None
        """When it looked for the first time."""
        self._distrust: str | None = None
        """Why the aggregator was not known at the last look; None when it was."""

    async def look(self) -> State:
        """Read what is there and, as the leader, repair it.

        Raises:
            ApiError: The API server did not answer.
        """
        self._since = self._since or self._now()
        chain = await self._chain()
        items = await self._api_services()
        if chain is not None and self._leads():
            for item in items or ():
                await self._trust(item, chain)
        proxy = await self._front_proxy()
        choice = mode.choose(items, self._service, self._now(), self._since, distrust=self._distrust)
        return State(chain, proxy, choice)

    async def _chain(self) -> Chain | None:
        found = await self._find(SECRET, self._service.namespace, self._secret)
        chain = Chain.of(_decoded(found.get("data") or {})) if found else None
        if not self._leads():
            return chain
        name, namespace = self._service.name, self._service.namespace
        renewed = certificates.renew(
            chain, (f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"), self._now()
        )
        if renewed is not chain:
            await self._keep(renewed, found)
        return renewed

    async def _keep(self, chain: Chain, found: Manifest | None) -> None:
        data = {key: base64.b64encode(value).decode() for key, value in chain.data().items()}
        if found is not None:
            await self._kube.replace(SECRET, found | {"data": data})
        else:
            metadata = {"name": self._secret, "namespace": self._service.namespace}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
            await self._kube.create(SECRET, secret)
        _LOG.info("made certificates for the metrics API", extra={"secret": self._secret})

    async def _api_services(self) -> list[Manifest] | None:
        """Return those that exist; None without the right to read them."""
        try:
            found = [await self._find(API_SERVICE, None, name) for name in API_SERVICES]
        except errors.Refused:
            return None
        return [item for item in found if item is not None]

    async def _trust(self, item: Manifest, chain: Chain) -> None:
        """Let an APIService of ours trust our authority; another's is left alone."""
        if item["spec"].get("service") is None or not mode.belongs(item, self._service):
            return
        bundle = base64.b64encode(chain.ca_bundle).decode()
        if item["spec"].get("caBundle") == bundle:
            return
        try:
            await self._kube.replace(API_SERVICE, item | {"spec": item["spec"] | {"caBundle": bundle}})
        except errors.Conflict:
            return  # somebody wrote meanwhile; the next look sees what
        _LOG.info("told the aggregator our certificate authority", extra={"apiservice": item["metadata"]["name"]})

    async def _front_proxy(self) -> FrontProxy | None:
        try:
            found = await self._find(CONFIG_MAP, front_proxy.NAMESPACE, front_proxy.CONFIG_MAP)
            proxy = front_proxy.read(found or {})
        except (errors.Refused, front_proxy.FrontProxyError) as error:
            before, self._distrust = self._distrust, str(error)
            if self._distrust != before:
                _LOG.warning("the metrics API can trust nobody", extra={"error": self._distrust})
            return None
        self._distrust = None
        return proxy

    async def _find(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        try:
            return await self._kube.get(kind, namespace, name)
        except errors.NotFound:
            return None


def _decoded(data: dict[str, Any]) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in data.items()}
    except (ValueError, TypeError):
        return {}
