"""The metrics API over real TLS sockets, asked as the aggregator asks and as strangers do."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from foresail_operator.scaling import certificates, metrics_api
from foresail_operator.scaling.front_proxy import FrontProxy
from foresail_operator.scaling.metrics_api import Described, MetricsApi
from foresail_operator.scaling.signal import Kind
from tests.bare_authority import BareAuthority, verify_strictly

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

NOW = "2026-11-23T08:00:00Z"
DNS = ("foresail-metrics.foresail.svc", "foresail-metrics.foresail.svc.cluster.local")
ROOT = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/modeldeployments.foresail.dev"
CONCURRENCY = frozenset({Kind.CONCURRENCY})
FRONT_PROXY = "front-proxy-client"


class Numbers:
    """Models in `shop`: one carries 23.5 requests, of one nothing is known, one scales on its queue."""

    def models(self, namespace: str) -> Iterable[Described]:
        if namespace != "shop":
            return []
        return [
            Described("shop", "shelf", {"team": "a"}, {"foresail.dev/model": "shelf"}, CONCURRENCY),
            Described("shop", "silent", {"team": "b"}, {"foresail.dev/model": "silent"}, CONCURRENCY),
            Described("shop", "late", {"team": "c"}, {"foresail.dev/model": "late"}, frozenset({Kind.QUEUE})),
        ]

    def number(self, namespace: str, name: str, kind: Kind) -> float | None:
        return 23.5 if (namespace, name, kind) == ("shop", "shelf", Kind.CONCURRENCY) else None


class Server:
    """A running API and everybody's certificates."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.folder = folder
        self.chain = certificates.renew(None, DNS, dt.datetime.now(dt.UTC))
        self.proxy = FrontProxy(self.authority.cert_pem.bytes().decode(), frozenset({FRONT_PROXY}))
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        (self.folder / "tls.crt").write_bytes(self.chain.certificate)
        (self.folder / "tls.key").write_bytes(self.chain.key)
        context = metrics_api.server_context(str(self.folder / "tls.crt"), str(self.folder / "tls.key"), self.proxy)
        api = MetricsApi(Numbers(), lambda: NOW, lambda: self.proxy)
        runner = web.AppRunner(api.application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def client(self, common_name: str | None, authority: trustme.CA | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.chain.ca_bundle.decode())
        if common_name:
            issued = (authority or self.authority).issue_cert(f"{common_name}.test", common_name=common_name)
            issued.configure_cert(context)
        return context

    async def ask(
        self, path: str, common_name: str | None = FRONT_PROXY, method: str = "GET", authority: trustme.CA | None = None
    ) -> tuple[int, Any]:
        context = self.client(common_name, authority)
        async with aiohttp.ClientSession() as session:
            url = f"https://127.0.0.1:{self.port}{path}"
            async with session.request(method, url, ssl=context, server_hostname=DNS[0]) as answer:
                return answer.status, json.loads(await answer.read())


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(tmp_path).running() as running:
        yield running


async def test_an_aggregator_whose_authority_has_no_key_identifiers_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_strictly(monkeypatch)
    bare = BareAuthority(tmp_path)
    context = bare.context(FRONT_PROXY, ssl.Purpose.SERVER_AUTH)
    one = Server(tmp_path)
    one.proxy = FrontProxy((tmp_path / "ca.crt").read_text(), frozenset({FRONT_PROXY}))
    context.load_verify_locations(cadata=one.chain.ca_bundle.decode())
    async with one.running(), aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{one.port}{ROOT}/shelf/concurrency"
        async with session.get(url, ssl=context, server_hostname=DNS[0]) as answer:
            assert answer.status == 200


async def test_the_aggregator_reads_a_models_number(server: Server) -> None:
    assert await server.ask(f"{ROOT}/shelf/concurrency") == (
        200,
        {
            "kind": "MetricValueList",
            "apiVersion": "custom.metrics.k8s.io/v1beta2",
            "metadata": {},
            "items": [
                {
                    "describedObject": {
                        "kind": "ModelDeployment",
                        "namespace": "shop",
                        "name": "shelf",
                        "apiVersion": "foresail.dev/v1alpha1",
                    },
                    "metric": {"name": "concurrency", "selector": None},
                    "timestamp": NOW,
                    "value": "23500m",
                }
            ],
        },
    )


async def test_the_older_version_names_the_metric_as_it_did(server: Server) -> None:
    status, answer = await server.ask(f"{ROOT.replace('v1beta2', 'v1beta1')}/shelf/concurrency")
    assert (status, answer["apiVersion"]) == (200, "custom.metrics.k8s.io/v1beta1")
    assert answer["items"][0]["metricName"] == "concurrency"


@pytest.mark.parametrize("common_name", [None, "somebody-else"])
async def test_without_the_aggregators_certificate_nobody_gets_in(server: Server, common_name: str | None) -> None:
    status, answer = await server.ask(f"{ROOT}/shelf/concurrency", common_name)
    assert (status, answer["kind"], answer["reason"], answer["code"]) == (401, "Status", "Unauthorized", 401)


async def test_a_certificate_of_another_authority_does_not_pass_the_handshake(server: Server) -> None:
    with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
        await server.ask(f"{ROOT}/shelf/concurrency", FRONT_PROXY, authority=trustme.CA())


@pytest.mark.parametrize(
    ("path", "status", "reason", "words"),
    [
        (f"{ROOT}/silent/concurrency", 503, "ServiceUnavailable", "is not known"),
        (f"{ROOT}/shelf/no_such_metric", 404, "NotFound", "could not find the metric no_such_metric"),
        (f"{ROOT}/late/concurrency", 404, "NotFound", "spec.scaling.metrics has queued_requests"),
        (f"{ROOT}/*/latency_p95_milliseconds", 404, "NotFound", "has concurrency, queued_requests"),
        (f"{ROOT}/nobody/concurrency", 404, "NotFound", '"nobody" not found'),
        (f"{ROOT}/shelf/concurrency?metricLabelSelector=a%3Db", 404, "NotFound", "has no labels"),
        (f"{ROOT}/*/concurrency?labelSelector=%3D%3D", 400, "BadRequest", "unable to parse"),
        (ROOT.replace("modeldeployments.foresail.dev", "pods") + "/x/cpu", 404, "NotFound", "could not find"),
        ("/openapi/v3", 404, "NotFound", "could not find"),
        ("/apis", 404, "NotFound", "could not find"),
    ],
)
async def test_failures_are_status_documents(server: Server, path: str, status: int, reason: str, words: str) -> None:
    code, answer = await server.ask(path)
    assert (code, answer["kind"], answer["reason"], answer["code"]) == (status, "Status", reason, status)
    assert words in answer["message"]


async def test_the_api_can_only_be_read(server: Server) -> None:
    status, answer = await server.ask(f"{ROOT}/shelf/concurrency", method="DELETE")
    assert (status, answer["reason"]) == (405, "MethodNotAllowed")


async def test_a_selector_selects_models_and_leaves_out_those_of_which_nothing_is_known(server: Server) -> None:
    status, answer = await server.ask(f"{ROOT}/*/concurrency?labelSelector=team+in+(a,b)")
    assert (status, [item["describedObject"]["name"] for item in answer["items"]]) == (200, ["shelf"])
    status, answer = await server.ask(f"{ROOT}/*/concurrency?labelSelector=team%3Db")
    assert (status, answer["items"]) == (200, [])


async def test_discovery_lists_every_metric(server: Server) -> None:
    status, answer = await server.ask("/apis/custom.metrics.k8s.io/v1beta2")
    assert (status, answer["groupVersion"]) == (200, "custom.metrics.k8s.io/v1beta2")
    assert [resource["name"].split("/")[1] for resource in answer["resources"]] == [
        "concurrency",
        "requests_per_second",
        "latency_p95_milliseconds",
        "queued_requests",
    ]
    status, answer = await server.ask("/apis/custom.metrics.k8s.io")
    assert answer["preferredVersion"]["version"] == "v1beta2"


async def test_the_same_number_is_an_external_metric_too(server: Server) -> None:
    root = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop"
    status, answer = await server.ask(f"{root}/foresail_concurrency?labelSelector=foresail.dev%2Fmodel%3Dshelf")
    assert (status, answer["kind"]) == (200, "ExternalMetricValueList")
    assert answer["items"] == [
        {
            "metricName": "foresail_concurrency",
            "metricLabels": {"foresail.dev/model": "shelf"},
            "timestamp": NOW,
            "value": "23500m",
        }
    ]
    assert (await server.ask(f"{root}/foresail_concurrency"))[0] == 503  # one of both is unknown: no wrong sum
    assert (await server.ask(f"{root}/foresail_concurrency?labelSelector=foresail.dev/model%3Dlate"))[0] == 404
    assert (await server.ask(f"{root}/foresail_concurrency?labelSelector=foresail.dev/model%3Dx"))[0] == 404
    assert (await server.ask(f"{root}/concurrency"))[0] == 404
