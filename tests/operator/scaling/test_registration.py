"""The metrics API's certificates and APIServices, as the API server sees them written."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics
from foresail_operator.scaling import certificates
from foresail_operator.scaling.mode import Mode, Service
from foresail_operator.scaling.registration import API_SERVICES, Registration
from tests.operator import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OURS: Final = Service("foresail", "foresail-metrics-api")
SECRET: Final = "/api/v1/namespaces/foresail/secrets/foresail-metrics-api-tls"
AUTHENTICATION: Final = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
START: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Place:
    """A cluster with APIServices of ours and of others, and a clock."""

    def __init__(self) -> None:
        self.api = wire.Api()
        self.now = START
        self.leads = True
        pem = certificates.renew(None, ("aggregator",), START).ca_bundle.decode()
        authority = {"requestheader-client-ca-file": pem, "requestheader-allowed-names": "[]"}
        self.api.put(AUTHENTICATION, {"kind": "ConfigMap", "data": authority})

    def served(self, name: str, by: str = OURS.name) -> None:
        """Register an API version."""
        version, _, group = name.partition(".")
        spec = {"group": group, "version": version, "service": {"namespace": OURS.namespace, "name": by}}
        self.api.put(path(name), {"kind": "APIService", "metadata": {"name": name}, "spec": spec})

    def bundle(self, name: str) -> bytes:
        """Return the certificate authority that the aggregator would trust."""
        return base64.b64decode(self.api.objects[path(name)]["spec"]["caBundle"])

    def chain(self) -> dict[str, str]:
        """Return what the Secret holds."""
        data: dict[str, str] = self.api.objects[SECRET]["data"]
        return data

    @contextlib.asynccontextmanager
    async def registration(self) -> AsyncIterator[Registration]:
        async with TestServer(self.api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
            yield Registration(
                Kube(session, Metrics(), lambda: None),
                OURS,
                "foresail-metrics-api-tls",
                leads=lambda: self.leads,
                now=lambda: self.now,
            )


def path(name: str) -> str:
    return f"/apis/apiregistration.k8s.io/v1/apiservices/{name}"


@pytest.fixture
def place() -> Place:
    return Place()


async def test_the_leader_makes_certificates_tells_the_aggregator_and_then_writes_nothing(place: Place) -> None:
    for name in API_SERVICES:
        place.served(name)
    async with place.registration() as registration:
        state = await registration.look()
        assert state.choice.mode is Mode.CUSTOM
        assert state.chain is not None
        assert {place.bundle(name) for name in API_SERVICES} == {state.chain.ca_bundle}
        written = list(place.api.writes)
        assert written == [("POST", SECRET.rpartition("/")[0]), *(("PUT", path(name)) for name in API_SERVICES)]
        assert (await registration.look()).chain == state.chain
        assert place.api.writes == written


async def test_who_does_not_lead_reads_and_writes_nothing(place: Place) -> None:
    place.served(API_SERVICES[0])
    place.leads = False
    async with place.registration() as registration:
        assert (await registration.look()).chain is None
        assert place.api.writes == []
        place.leads = True
        made = (await registration.look()).chain
        place.leads = False
        written = list(place.api.writes)
        assert (await registration.look()).chain == made
        assert place.api.writes == written


async def test_certificates_are_renewed_in_time_and_the_old_authority_is_trusted_meanwhile(place: Place) -> None:
    place.served(API_SERVICES[0])
    async with place.registration() as registration:
        first = (await registration.look()).chain
        assert first is not None
        changes = []
        for _ in range(150):
            place.now += dt.timedelta(days=30)
            chain = (await registration.look()).chain
            assert chain is not None
            assert place.bundle(API_SERVICES[0]) == chain.ca_bundle
            if chain != first:
                changes.append((chain.ca_bundle.count(b"BEGIN"), chain.ca_key != first.ca_key))
            first = chain
    assert (1, False) in changes, "the serving certificate alone"
    assert (2, True) in changes, "the authority, the old one beside it"


async def test_what_belongs_to_others_is_left_as_it_is_and_the_bounds_are_used(place: Place) -> None:
    for name in API_SERVICES:
        place.served(name, by="prometheus-adapter")
    before = {name: dict(place.api.objects[path(name)]) for name in API_SERVICES}
    async with place.registration() as registration:
        choice = (await registration.look()).choice
    assert choice.mode is Mode.BOUNDS
    assert "prometheus-adapter" in choice.reason
    assert {name: place.api.objects[path(name)] for name in API_SERVICES} == before
    assert [verb for verb, where in place.api.writes if "apiservices" in where] == []


async def test_without_the_right_to_read_them_the_bounds_are_used(place: Place) -> None:
    place.api.answer = lambda came: wire.failure(403, "Forbidden") if "apiservices" in came.path else None
    async with place.registration() as registration:
        assert (await registration.look()).choice.mode is Mode.BOUNDS


async def test_an_apiservice_that_somebody_writes_meanwhile_is_told_at_the_next_look(place: Place) -> None:
    place.served(API_SERVICES[0])
    conflicts = [wire.failure(409, "Conflict")]

    def answer(came: wire.Request) -> Any:
        return conflicts.pop() if came.method == "PUT" and conflicts else None

    place.api.answer = answer
    async with place.registration() as registration:
        state = await registration.look()
        assert state.chain is not None
        await registration.look()
        assert place.bundle(API_SERVICES[0]) == state.chain.ca_bundle


async def test_a_cluster_that_does_not_say_who_its_aggregator_is_is_trusted_with_nothing_and_it_is_said_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.served(API_SERVICES[0])
    authority = place.api.objects.pop(AUTHENTICATION)
    async with place.registration() as registration:
        for _ in range(3):
            state = await registration.look()
            assert state.proxy is None
            assert state.choice.mode is Mode.BOUNDS
            assert "--requestheader-client-ca-file" in state.choice.reason
        assert caplog.text.count("can trust nobody") == 1
        place.api.put(AUTHENTICATION, authority)
        state = await registration.look()
        assert state.proxy is not None
        assert state.choice.mode is Mode.CUSTOM
        del place.api.objects[AUTHENTICATION]
        await registration.look()
        assert caplog.text.count("can trust nobody") == 2


async def test_a_secret_that_was_spoilt_is_made_anew(place: Place) -> None:
    place.served(API_SERVICES[0])
    async with place.registration() as registration:
        await registration.look()
        place.api.put(SECRET, place.api.objects[SECRET] | {"data": dict.fromkeys(place.chain(), "!")})
        state = await registration.look()
        assert state.chain is not None
        assert base64.b64decode(place.chain()["ca.crt"]) == state.chain.ca_bundle == place.bundle(API_SERVICES[0])


def test_the_paths_are_those_of_every_version_that_the_chart_registers() -> None:
    assert set(API_SERVICES) == {
        "v1beta2.custom.metrics.k8s.io",
        "v1beta1.custom.metrics.k8s.io",
        "v1beta1.external.metrics.k8s.io",
    }
