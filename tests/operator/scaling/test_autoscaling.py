"""The whole of autoscaling in one process: the cache is filled by hand, no pod answers."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import generate_latest

from foresail_operator.api import kinds, v1alpha1
from foresail_operator.desired import haproxy, template
from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics
from foresail_operator.observe import Cache
from foresail_operator.scaling import autoscaling
from foresail_operator.scaling.autoscaling import Autoscaling
from foresail_operator.scaling.census import read
from foresail_operator.scaling.mode import Service
from foresail_operator.scaling.registration import Registration
from foresail_operator.scaling.server import MetricsServer
from foresail_runtime import contract
from tests.operator import wire
from tests.operator.conftest import make_raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from foresail_operator.scaling.autoscaling import View
    from tests.operator.conftest import MakeModel

KEY = ("team", "fraud")


class Stage:
    """A model with one pod, and the autoscaling of an install without a metrics API."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.seconds = 0.0
        self.changed = asyncio.Event()
        self.metrics = Metrics()
        self.scaling = Autoscaling(
            Kube(None, self.metrics, lambda: None),  # type: ignore[arg-type]  # nothing is raised: nobody leads
            self.cache,
            metrics=self.metrics,
            leads=lambda: True,
            changed=lambda _: self.changed.set(),
            endpoint=None,
            clock=lambda: self.seconds,
        )

    def model(self, **scaling: Any) -> v1alpha1.ModelDeployment:
        raw = make_raw(scaling={"maxReplicas": 10} | scaling)
        self.cache.note(kinds.MODEL_DEPLOYMENT, raw)
        return v1alpha1.parse(raw)

    def child(self, kind: kinds.Kind, spec: dict[str, Any], **rest: Any) -> None:
        owner = {"kind": "ModelDeployment", "name": "fraud", "apiVersion": v1alpha1.API_VERSION, "controller": True}
        said = {"foresail.dev/model": "fraud"}
        metadata: dict[str, Any] = {"name": "fraud", "namespace": "team", "uid": kind.name, "resourceVersion": "5"}
        metadata |= {"labels": said, "annotations": said, "ownerReferences": [owner]}
        self.cache.note(kind, {"metadata": metadata, "spec": spec} | rest)

    def view(self) -> View:
        seen = self.cache.observe(KEY)
        assert seen.model is not None
        view = self.scaling.view(v1alpha1.parse(seen.model.read()))
        assert view is not None
        return view


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    task = asyncio.create_task(stage.scaling.run())
    await stage.scaling.wait_known()
    yield stage
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_model_on_cpu_is_none_of_its_business(stage: Stage) -> None:
    assert stage.scaling.view(stage.model(metrics=[{"type": "cpu"}])) is None
    assert read(stage.cache.observe(KEY)) is None


async def test_bounds_stay_at_the_size_that_is_there_while_nothing_is_known(stage: Stage) -> None:
    stage.model(minReplicas=2)
    assert (stage.view().load.minimum, stage.view().load.maximum) == (2, 2)
    stage.child(kinds.DEPLOYMENT, {"replicas": 5})
    assert (stage.view().load.minimum, stage.view().load.maximum) == (5, 5)
    assert stage.view().scaling.advice is None


async def test_the_target_that_the_autoscaler_was_given_outlives_the_process(stage: Stage) -> None:
    stage.model()
    metric = {"metric": {"name": "concurrency"}, "target": {"type": "AverageValue", "averageValue": "12"}}
    described = {"describedObject": {"kind": "ModelDeployment", "name": "fraud"}}
    stage.child(kinds.AUTOSCALER, {"metrics": [{"type": "Object", "object": metric | described}]})
    found = read(stage.cache.observe(KEY))
    assert found is not None
    assert (found.target, found.measured, found.queue_size) == (12.0, True, 1000)


async def test_a_bug_at_one_models_children_lets_that_stand_still_and_ends_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.model()
    stage.child(kinds.DEPLOYMENT, {"replicas": {}})
    odd = {"metric": {"name": "concurrency"}, "describedObject": {"kind": "ModelDeployment"}}  # without a target
    stage.child(kinds.AUTOSCALER, {"metrics": [{"type": "Object", "object": odd}]})
    for _ in range(3):
        assert list(stage.scaling._census.scaled()) == []
    (line,) = caplog.records
    assert (line.levelname, vars(line)["namespace"], vars(line)["model"]) == ("ERROR", *KEY)


@pytest.mark.parametrize("tls", [True, False])
async def test_pods_are_asked_in_tls_that_serve_it_whatever_the_spec_says_by_now(
    stage: Stage, make_model: MakeModel, tls: bool
) -> None:
    """A rollout that switches it over takes a while, and one whose new replicas never get ready does not end."""
    stage.cache.note(kinds.MODEL_DEPLOYMENT, make_raw(scaling={"maxReplicas": 10}))
    serving: dict[str, Any] = {"serving": {"tls": {"secretName": "fraud-tls"}}} if tls else {}
    pod = template.build(make_model(**serving), "image", "IfNotPresent", "described")
    status = {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
    stage.child(kinds.POD, pod["spec"], status=status)
    found = read(stage.cache.observe(KEY))
    assert found is not None
    assert [pod.tls for pod in found.pods] == [tls]


async def test_pods_that_answer_nothing_are_said_so_after_a_while_and_change_no_size(stage: Stage) -> None:
    stage.model()
    stage.child(kinds.DEPLOYMENT, {"replicas": 3})
    status = {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
    stage.child(kinds.POD, {}, status=status)
    async with asyncio.timeout(20):
        await stage.changed.wait()
    assert stage.view().scaling.advice is None
    stage.seconds += 60
    advice = stage.view().scaling.advice
    assert advice is not None
    assert (advice.desired, advice.signal) == (3, None)
    assert "none of 1 replicas says what it carries" in advice.reason
    assert (
        'foresail_operator_load_questions_total{outcome="failed"}' in generate_latest(stage.metrics.registry).decode()
    )


async def test_proxies_are_asked_for_what_waits_and_are_no_replicas(stage: Stage) -> None:
    stage.model()
    stage.child(kinds.DEPLOYMENT, {"replicas": 1})
    for name, label in (("a", "foresail.dev/model"), ("b", "foresail.dev/proxy")):
        metadata = {"name": name, "namespace": "team", "uid": name, "resourceVersion": "6", "labels": {label: "fraud"}}
        metadata |= {"annotations": {"foresail.dev/model": "fraud"}}
        status = {"podIP": f"10.0.0.{name}", "conditions": [{"type": "Ready", "status": "True"}]}
        stage.cache.note(kinds.POD, {"metadata": metadata, "spec": {}, "status": status})
    scaled = read(stage.cache.observe(KEY))
    assert scaled is not None
    assert [(pod.key, pod.port) for pod in scaled.pods] == [("a", contract.HTTP_PORT)]
    assert [(pod.key, pod.port) for pod in scaled.proxies] == [("b", haproxy.STATUS_PORT)]


@pytest.mark.parametrize(("metrics", "by_bounds"), [(["concurrency"], True), (["concurrency", "cpu"], False)])
async def test_bounds_do_not_hide_what_the_autoscaler_says_of_a_metric_of_its_own(
    stage: Stage, metrics: list[str], by_bounds: bool
) -> None:
    stage.model(metrics=[{"type": one} for one in metrics])
    assert stage.view().scaling.by_bounds is by_bounds


async def test_a_model_asleep_wants_no_replica_in_status_and_metrics(stage: Stage) -> None:
    stage.model(minReplicas=0)
    stage.child(kinds.DEPLOYMENT, {"replicas": 0})
    async with asyncio.timeout(5):
        while stage.view().scaling.advice is None:
            await stage.changed.wait()
            stage.changed.clear()
    advice = stage.view().scaling.advice
    assert advice is not None
    assert (advice.desired, advice.reason) == (0, "0 of 10: asleep, the first request wakes it")
    assert stage.view().load.minimum == 1
    labels = {"namespace": "team", "model": "fraud"}
    assert stage.metrics.registry.get_sample_value("foresail_operator_model_desired_replicas", labels) == 0


async def test_certificates_are_waited_for_each_second_and_an_aggregator_each_minute(stage: Stage) -> None:
    api, service, leads = wire.Api(), Service("foresail", "foresail-metrics-api"), [False]
    server = MetricsServer(web.Application(), "127.0.0.1", 0)
    async with TestServer(api.app()) as cluster, aiohttp.ClientSession(cluster.make_url("/")) as session:
        kube = Kube(session, Metrics(), lambda: None)
        registration = Registration(kube, service, "tls", leads=lambda: leads[0], now=lambda: dt.datetime.now(dt.UTC))
        assert await stage.scaling._look(registration, server) == autoscaling.SOON_SECONDS
        leads[0] = True
        assert await stage.scaling._look(registration, server) == autoscaling.LOOK_SECONDS
    assert server.port is None
