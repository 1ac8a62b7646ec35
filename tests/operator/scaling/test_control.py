"""The half-second look with real sockets to stub pods; time is the loop's own, so only what takes no time is told."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING

import pytest

from foresail_operator import errors
from foresail_operator.scaling import decide, growth
from foresail_operator.scaling.control import Control, Scaled
from foresail_operator.scaling.leaving import HIGHEST, LOWEST, Candidate
from foresail_operator.scaling.metrics_api import Described
from foresail_operator.scaling.model import Goal, Plan
from foresail_operator.scaling.scrape import Pod, Scraper
from foresail_operator.scaling.signal import Kind
from tests.operator.scaling.stubs import StubPod

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from foresail_operator.scaling.control import Outlook
    from foresail_operator.scaling.decide import Advice

KEY = ("shop", "shelf")
PLAN = Plan((Goal(Kind.CONCURRENCY, 16.0),), decide.Bounds(1, 10), scale_down_delay_seconds=0.0)


class Stage:
    """A control, its models, and what it asked to be raised."""

    def __init__(self) -> None:
        self.pod = StubPod(in_flight=46)
        self.pod.batch_size, self.pod.batch_seconds = 8, 0.2
        self.models: list[Scaled] = []
        self.raised: list[tuple[tuple[str, str], int]] = []
        self.marked: list[tuple[tuple[str, str], str, int | None]] = []
        self.refusal: errors.ApiError | None = None
        self.leads = True
        self.turned = asyncio.Event()
        self.control = Control(Scraper(self.turned.set), lambda: self.models, self.rise, lambda: self.leads, self.mark)

    async def rise(self, key: tuple[str, str], advice: Advice) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.raised.append((key, advice.replicas))

    async def mark(self, key: tuple[str, str], candidate: Candidate, cost: int | None) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.marked.append((key, candidate.name, cost))

    def add(self, port: int) -> None:
        described = Described(*KEY, {}, {"foresail.dev/model": "shelf"}, frozenset({Kind.CONCURRENCY}))
        pods = (Pod("uid", "127.0.0.1", port),)
        self.models.append(Scaled(KEY, PLAN, replicas=1, pods=pods, queue_size=1000, described=described))

    async def until(self, what: object) -> None:
        assert callable(what)
        async with asyncio.timeout(20):
            while not what():
                self.turned.clear()
                await self.turned.wait()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    stage.add(await stage.pod.start())
    task = asyncio.create_task(stage.control.run(interval_seconds=0.05))
    yield stage
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await stage.pod.stop()


async def test_what_a_pod_carries_is_raised_for_and_served(stage: Stage) -> None:
    await stage.until(lambda: stage.raised)
    assert stage.raised[0] == (KEY, 3)
    assert stage.control.number("shop", "shelf", Kind.CONCURRENCY) == pytest.approx(46.0, rel=0.1)
    assert [model.name for model in stage.control.models("shop")] == ["shelf"]
    assert list(stage.control.models("other")) == []
    outlook = stage.control.outlook(KEY)
    assert outlook is not None
    assert outlook.desired == 3
    assert outlook.reason.startswith("3 of 10: 4")


async def test_a_size_that_is_held_is_told_of_in_the_words_of_the_load_that_asked_for_it(stage: Stage) -> None:
    def outlook() -> Outlook | None:
        return stage.control.outlook(KEY)

    patient = dataclasses.replace(PLAN, scale_down_delay_seconds=300.0)
    stage.models = [dataclasses.replace(stage.models[0], plan=patient)]
    await stage.until(lambda: (seen := outlook()) and seen.desired == 3)
    first = outlook()
    stage.models, stage.pod.in_flight = [dataclasses.replace(stage.models[0], replicas=3)], 0
    await stage.until(lambda: (seen := outlook()) and seen.load is not None and seen.load < 1)
    now = outlook()
    assert first is not None
    assert now is not None
    assert (now.desired, now.reason) == (3, first.reason)
    another = dataclasses.replace(patient, bounds=decide.Bounds(1, 9))
    stage.models = [dataclasses.replace(stage.models[0], plan=another)]
    await stage.until(lambda: (seen := outlook()) and seen.reason.startswith("3 of 9: "))


async def test_an_outlook_tells_the_size_that_is_wanted_from_the_size_that_the_owner_allows_now(stage: Stage) -> None:
    stage.models = [dataclasses.replace(stage.models[0], plan=dataclasses.replace(PLAN, growth=growth.Pace(())))]
    await stage.until(lambda: stage.control.number("shop", "shelf", Kind.CONCURRENCY) is not None)
    outlook = stage.control.outlook(KEY)
    assert outlook is not None
    assert (outlook.desired, outlook.size) == (3, 1)


async def test_a_standby_serves_and_raises_nothing(stage: Stage) -> None:
    stage.leads = False
    await stage.until(lambda: stage.control.number("shop", "shelf", Kind.CONCURRENCY) is not None)
    assert stage.raised == []


async def test_a_refused_rise_is_tried_again(stage: Stage) -> None:
    stage.refusal = errors.Unavailable(503, "ServiceUnavailable", "overloaded")
    await stage.until(lambda: stage.control.number("shop", "shelf", Kind.CONCURRENCY) is not None)
    stage.refusal = None
    await stage.until(lambda: stage.raised)


async def test_a_model_that_sleeps_is_not_raised_and_one_that_is_gone_is_forgotten(stage: Stage) -> None:
    sleepy = dataclasses.replace(PLAN, bounds=decide.Bounds(1, 10, sleeps=True), idle_seconds=60.0)
    stage.models = [dataclasses.replace(stage.models[0], plan=sleepy, replicas=0)]
    await stage.until(lambda: stage.control.number("shop", "shelf", Kind.CONCURRENCY) is not None)
    assert stage.raised == []
    outlook = stage.control.outlook(KEY)
    assert outlook is not None
    assert (outlook.desired, outlook.kind) == (0, None)
    assert outlook.reason == "0 of 10: asleep, the first request wakes it"
    stage.models = []
    await stage.until(lambda: stage.control.outlook(KEY) is None)
    assert stage.control.number("shop", "shelf", Kind.CONCURRENCY) is None


async def test_the_measured_target_is_used_where_the_owner_gave_none(stage: Stage) -> None:
    stage.models = [dataclasses.replace(stage.models[0], measured=True)]
    # it is a guess until the pod has been heard
    await stage.until(lambda: stage.control.concurrency_target(KEY) == 6.0)  # eight rows in 0.2 s, less the headroom
    stage.models = [dataclasses.replace(stage.models[0], queue_size=3)]
    await stage.until(lambda: stage.control.concurrency_target(KEY) == 2.0)  # two of the three that may wait


async def test_a_model_whose_pods_all_start_is_unknown_and_not_idle(stage: Stage) -> None:
    stage.models = [dataclasses.replace(stage.models[0], pods=())]
    await stage.until(lambda: stage.control.outlook(KEY) is not None)
    outlook = stage.control.outlook(KEY)
    assert outlook is not None
    assert (outlook.load, outlook.idle) == (None, False)


async def test_what_waits_at_a_proxy_counts_as_load(stage: Stage) -> None:
    proxy = StubPod()
    proxy.queued = 34
    proxies = (Pod("proxy", "127.0.0.1", await proxy.start()),)
    stage.models = [dataclasses.replace(stage.models[0], proxies=proxies)]
    await stage.until(lambda: stage.raised and stage.raised[-1][1] == 5)  # 80 requests, 16 a replica
    assert stage.control.number("shop", "shelf", Kind.CONCURRENCY) == pytest.approx(80.0, rel=0.1)
    await proxy.stop()


async def test_what_a_proxy_refuses_asks_for_replicas(stage: Stage) -> None:
    stage.pod.in_flight = 2
    proxy = StubPod()
    proxy.refused_per_second = 400.0
    proxies = (Pod("proxy", "127.0.0.1", await proxy.start()),)
    stage.models = [dataclasses.replace(stage.models[0], proxies=proxies)]
    await stage.until(lambda: stage.raised)
    assert stage.raised[-1][1] == 2 * len(stage.models[0].pods)
    outlook = stage.control.outlook(KEY)
    assert outlook is not None
    assert outlook.reason.endswith(" a second refused")
    await proxy.stop()


async def test_while_no_proxy_answers_nobody_moves(stage: Stage) -> None:
    silent = StubPod()
    silent.silent = True
    port = await silent.start()
    stage.models = [dataclasses.replace(stage.models[0], proxies=(Pod("proxy", "127.0.0.1", port),))]
    await stage.until(lambda: silent.questions)
    assert stage.control.number("shop", "shelf", Kind.CONCURRENCY) is None
    assert stage.raised == []
    await silent.stop()


async def test_before_a_scale_in_the_least_loaded_pod_is_marked_and_only_by_the_leader(stage: Stage) -> None:
    busy = StubPod(in_flight=12)
    (model,) = stage.models
    stage.leads = False
    stage.pod.in_flight = 2
    pods = (*model.pods, Pod("busy", "127.0.0.1", await busy.start()))
    candidates = (Candidate("uid", "idle-one"), Candidate("busy", "busy-one"))
    stage.models[:] = [dataclasses.replace(model, replicas=2, pods=pods, candidates=candidates)]
    await stage.until(lambda: stage.control.number("shop", "shelf", Kind.CONCURRENCY) is not None)
    assert stage.marked == []
    stage.leads = True
    await stage.until(lambda: stage.marked)
    key, name, cost = stage.marked[0]
    assert (key, name) == (KEY, "idle-one")
    assert cost is not None
    assert LOWEST <= cost < HIGHEST
    await busy.stop()


async def test_a_bug_at_one_model_lets_it_stand_still_and_is_no_matter_of_the_others(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    odd, pod = ("shop", "odd"), StubPod(in_flight=46)
    pods = (Pod("odd", "127.0.0.1", await pod.start()),)
    divided_by_zero = dataclasses.replace(PLAN, goals=(Goal(Kind.CONCURRENCY, 0.0),))
    broken = Scaled(odd, divided_by_zero, replicas=1, pods=pods, queue_size=1000)
    stage.models.insert(0, broken)
    await stage.until(lambda: stage.raised and len(pod.questions) > 3)
    assert {key for key, _ in stage.raised} == {KEY}
    outlook = stage.control.outlook(odd)
    assert outlook is not None
    assert (outlook.desired, outlook.kind, outlook.load, outlook.idle) == (1, None, None, False)
    assert stage.control.number("shop", "odd", Kind.CONCURRENCY) is None
    (line,) = caplog.records  # of dozens of looks
    assert (line.levelname, vars(line)["namespace"], vars(line)["model"]) == ("ERROR", "shop", "odd")
    assert line.exc_info is not None
    stage.models[0] = dataclasses.replace(broken, plan=PLAN)
    await stage.until(lambda: (odd, 3) in stage.raised)
    await pod.stop()


async def test_a_bug_that_only_an_outlook_meets_ends_nothing(stage: Stage) -> None:
    divided_by_zero = dataclasses.replace(PLAN, goals=(Goal(Kind.CONCURRENCY, 0.0),))
    stage.leads = False  # so that no look reckons a size
    stage.models = [dataclasses.replace(stage.models[0], plan=divided_by_zero)]
    await stage.until(lambda: stage.control.number("shop", "shelf", Kind.CONCURRENCY) is not None)
    outlook = stage.control.outlook(KEY)
    assert outlook is not None
    assert (outlook.desired, outlook.kind, outlook.load, outlook.idle) == (1, None, None, False)
