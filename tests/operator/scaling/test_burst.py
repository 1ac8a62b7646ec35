from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from foresail_operator import errors
from foresail_operator.scaling import burst
from foresail_operator.scaling.decide import Advice

if TYPE_CHECKING:
    from foresail_operator.api.kinds import Kind, Manifest

FOUR = Advice(4, "4 of 10: 52 requests in flight, 16 a replica wanted")


class ApiServer:
    """The scale subresource of one Deployment, with its version."""

    def __init__(self, replicas: int | None) -> None:
        self.replicas = replicas
        self.version = 7
        self.written_meanwhile = False

    async def get(self, kind: Kind, namespace: str | None, name: str, subresource: str | None = None) -> Manifest:
        assert (kind.name, namespace, name, subresource) == ("Deployment", "shop", "shelf", "scale")
        if self.replicas is None:
            raise errors.NotFound(404, "NotFound", "gone")
        version, self.version = self.version, self.version + self.written_meanwhile
        metadata = {"namespace": "shop", "name": "shelf", "resourceVersion": str(version)}
        return {"kind": "Scale", "metadata": metadata, "spec": {"replicas": self.replicas} if self.replicas else {}}

    async def replace(self, kind: Kind, manifest: Manifest, subresource: str | None = None) -> Manifest:
        if manifest["metadata"]["resourceVersion"] != str(self.version):
            raise errors.Conflict(409, "Conflict", "newer")
        self.replicas = manifest["spec"]["replicas"]
        return manifest


async def test_a_deployment_is_raised_to_the_advised_size() -> None:
    server = ApiServer(1)
    assert await burst.raise_to(server, "shop", "shelf", FOUR) == 1
    assert server.replicas == 4


@pytest.mark.parametrize("replicas", [4, 6, 0, None])
async def test_what_is_larger_already_sleeps_or_is_gone_is_left_alone(replicas: int | None) -> None:
    server = ApiServer(replicas)
    assert await burst.raise_to(server, "shop", "shelf", FOUR) is None
    assert server.replicas == replicas


async def test_what_someone_else_wrote_meanwhile_is_never_overwritten() -> None:
    server = ApiServer(1)
    server.written_meanwhile = True
    assert await burst.raise_to(server, "shop", "shelf", FOUR) is None
    assert server.replicas == 1
