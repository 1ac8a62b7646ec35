"""Who may write. The clock is an argument, so leases end without anyone waiting."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from foresail_operator import errors, leader
from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics
from tests.operator import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATH = "/apis/coordination.k8s.io/v1/namespaces/home/leases/chosen"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@contextlib.asynccontextmanager
async def lease(api: wire.Api) -> AsyncIterator[Kube]:
    async with TestServer(api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        yield Kube(session, Metrics(), lambda: None)


def make(kube: Kube, me: str, clock: Clock) -> leader.Leader:
    return leader.Leader(
        kube, "home", me, lease="chosen", metrics=Metrics(), clock=clock, now=lambda: "2026-01-02T03:04:05Z"
    )


def leads(one: leader.Leader) -> bool:
    return one.leading


def holder(api: wire.Api) -> Any:
    return api.objects[PATH]["spec"]["holderIdentity"]


async def test_the_first_one_takes_the_lease_and_renews_it_without_reading() -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        me = make(kube, "a", clock)
        assert not leads(me)
        await me._turn()
        assert leads(me)
        assert holder(api) == "a"
        count = len(api.requests)
        clock.seconds += 2
        await me._turn()
    assert [one.method for one in api.requests[count:]] == ["PUT"]
    assert api.objects[PATH]["spec"]["renewTime"] == "2026-01-02T03:04:05.000000Z"


async def test_a_leader_whose_deadline_has_passed_may_not_write() -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        me = make(kube, "a", clock)
        await me._turn()
        me.fence()
        clock.seconds += leader.RENEW_SECONDS
        assert not leads(me)
        with pytest.raises(errors.NotLeading):
            me.fence()


async def test_a_standby_waits_until_the_lease_was_silent_for_its_length_by_its_own_clock() -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        one, other = make(kube, "a", clock), make(kube, "b", clock)
        await one._turn()
        await other._turn()
        clock.seconds += leader.LEASE_SECONDS
        await other._turn()
        assert not leads(other)
        clock.seconds += 1
        await other._turn()
        assert leads(other)
        assert holder(api) == "b"
        assert api.objects[PATH]["spec"]["leaseTransitions"] == 2
        await one._turn()  # it woke up: its version is old
        assert not leads(one)


async def test_a_renewed_lease_is_never_taken() -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        one, other = make(kube, "a", clock), make(kube, "b", clock)
        for _ in range(20):
            await one._turn()
            await other._turn()
            clock.seconds += leader.RETRY_SECONDS
            assert leads(one)
            assert not leads(other)


async def test_a_lease_that_was_given_back_is_taken_at_once() -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        one, other = make(kube, "a", clock), make(kube, "b", clock)
        await one._turn()
        await other._turn()
        await one.give_back()
        assert not leads(one)
        await one.give_back()  # a second time does nothing
        await other._turn()
        assert leads(other)


async def test_a_restarted_process_of_the_same_pod_takes_its_lease_back_at_once() -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        await make(kube, "a", clock)._turn()
        again = make(kube, "a", clock)
        await again._turn()
        assert leads(again)


async def test_a_lease_that_someone_else_has_taken_ends_leading_at_once() -> None:
    """As after `kubectl delete lease`: a standby makes a new one while the old leader's deadline is seconds away."""
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        one, other = make(kube, "a", clock), make(kube, "b", clock)
        await one._turn()
        del api.objects[PATH]
        await other._turn()
        await one._turn()
        assert not leads(one)
        with pytest.raises(errors.NotLeading):
            one.fence()
        await one._turn()
        assert (leads(one), leads(other)) == (False, True)
        assert holder(api) == "b"


async def test_a_lease_that_is_gone_is_made_again_by_its_leader() -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        me = make(kube, "a", clock)
        await me._turn()
        del api.objects[PATH]
        await me._turn()
        assert leads(me)
        assert holder(api) == "a"


async def test_a_renewal_whose_answer_was_lost_does_not_end_leading() -> None:
    """The version that is known is an old one then, as if someone else had written; but the name in it is ours."""
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        me = make(kube, "a", clock)
        await me._turn()
        api.put(PATH, api.objects[PATH])
        clock.seconds += leader.RETRY_SECONDS
        await me._turn()
        assert leads(me)
        assert api.objects[PATH]["spec"]["leaseTransitions"] == 1


async def test_whose_lease_it_is_must_be_known_to_go_on_leading() -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        me = make(kube, "a", clock)
        await me._turn()
        api.put(PATH, api.objects[PATH])
        api.answer = lambda came: wire.failure(503, "Unavailable") if came.method == "GET" else None
        await me._turn()
        assert not leads(me)
        api.answer = lambda _: None
        await me._turn()
        assert leads(me)


async def test_an_api_server_that_is_away_costs_the_lead_after_its_deadline_only() -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        me = make(kube, "a", clock)
        await me._turn()
        api.answer = lambda _: wire.failure(503, "Unavailable")
        clock.seconds += 5
        await me._turn()
        assert leads(me)
        clock.seconds += 5
        assert not leads(me)
        await me.give_back()
        api.answer = lambda _: None
        await me._turn()
        assert leads(me)


async def test_its_owner_is_told_when_leading_begins_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    api, clock = wire.Api(), Clock()
    told: asyncio.Queue[str] = asyncio.Queue()
    monkeypatch.setattr(leader, "RETRY_SECONDS", 0.0)
    async with lease(api) as kube, asyncio.timeout(5):
        me = make(kube, "a", clock)
        task = asyncio.create_task(me.run(lambda: told.put_nowait("start"), lambda: told.put_nowait("stop")))
        assert await told.get() == "start"
        api.answer = lambda _: wire.failure(503, "Unavailable")
        clock.seconds += 60
        assert await told.get() == "stop"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_lease_that_can_not_be_given_back_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        me = make(kube, "a", clock)
        await me._turn()
        api.answer = lambda _: wire.failure(503, "Unavailable")
        await me.give_back()
    assert not leads(me)
    assert "was not given back" in caplog.text


async def test_clocks_on_the_wall_may_jump_and_differ_as_they_like() -> None:
    """The times in a Lease are for people; who leads is reckoned by each process's monotonic clock."""
    api, clock = wire.Api(), Clock()
    times = iter(("2026-01-02T03:04:05Z", "2031-01-01T00:00:00Z", "1999-12-31T23:59:59Z"))
    async with lease(api) as kube:
        one = leader.Leader(kube, "home", "a", lease="chosen", metrics=Metrics(), clock=clock, now=lambda: next(times))
        other = make(kube, "b", clock)
        for _ in range(3):
            await one._turn()
            await other._turn()
            assert (leads(one), leads(other)) == (True, False)
            clock.seconds += leader.RETRY_SECONDS
        assert api.objects[PATH]["spec"]["renewTime"] == "1999-12-31T23:59:59.000000Z"
        clock.seconds += leader.LEASE_SECONDS - leader.RETRY_SECONDS
        await other._turn()
        assert not leads(other), "an old time in it makes no Lease older"
        clock.seconds += 1
        await other._turn()
        assert leads(other)


@pytest.mark.parametrize("deleted", [False, True], ids=["as it was in the backup", "made after the backup"])
@pytest.mark.parametrize("name", ["a", "b"], ids=["the leader", "the standby"])
async def test_a_lease_that_is_older_than_it_was_tells_that_etcd_was_restored(name: str, *, deleted: bool) -> None:
    api, clock = wire.Api(), Clock()
    async with lease(api) as kube:
        each = {one: make(kube, one, clock) for one in ("a", "b")}
        for one in each.values():
            await one._turn()
        backup = copy.deepcopy(api.objects[PATH])
        for one in each.values():
            clock.seconds += leader.RETRY_SECONDS
            await one._turn()
        api.objects[PATH], api._versions = backup, itertools.count(1)
        if deleted:
            del api.objects[PATH]
        with pytest.raises(errors.HistoryLost, match="went back"):
            await each[name]._turn()
        assert not leads(each[name])
        with pytest.raises(errors.NotLeading):
            each[name].fence()
