"""The operator's side of the activator, against an API over a real socket."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from foresail_operator.api import kinds
from foresail_operator.desired import activator
from foresail_operator.desired.zero import Turn
from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics
from foresail_operator.observe import Cache
from foresail_operator.standby import Place, Standby, wishes
from tests.operator import wire
from tests.operator.conftest import UID, make_raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from foresail_operator.api.v1alpha1 import ModelDeployment
    from foresail_operator.live import Key
    from tests.operator.conftest import MakeModel

KEY, CATS = ("team", "fraud"), ("team", "cats")
OURS = {"foresail.dev/model": "fraud"}
READY = "fraud-activator-ready"
"""The slice in which the activator is a ready endpoint."""
SCALE = "/apis/apps/v1/namespaces/team/deployments/fraud/scale"
WISHES = "/api/v1/namespaces/system/configmaps/foresail-wake"
ZERO = {"minReplicas": 0, "maxReplicas": 3}
STEADY = {"minReplicas": 1, "maxReplicas": 3}
NAMED = {"name": "fraud", "namespace": "team"}
NAMED_WISHES = {"metadata": {"name": "foresail-wake", "namespace": "system"}}
WISH = NAMED_WISHES | {"data": {"team.fraud": "now", "team.cats": "now"}}


@dataclasses.dataclass
class Time:
    """What the clock says."""

    seconds: float = 100.0


@dataclasses.dataclass
class Bench:
    """A standby with one model in its cache."""

    api: wire.Api
    cache: Cache
    standby: Standby
    asked: list[Key]
    time: Time
    versions: Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(30))

    def size(self, replicas: int) -> None:
        """Let the Deployment have a size, all of it ready."""
        counts = {"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas}
        spec = {"replicas": replicas}
        self.cache.note(kinds.DEPLOYMENT, child(next(self.versions), "fraud") | {"spec": spec, "status": counts})
        self.api.put(SCALE, {"metadata": NAMED, "spec": {"replicas": replicas}})

    async def act(self, model: ModelDeployment, *, idle: bool = False, proved: bool = True) -> int:
        """Act once, as a look does around its writes; return the size after it."""
        turn = self.standby.turn(model, self.cache.observe(KEY), idle=idle, proved=proved)
        if turn is Turn.WAKE:
            await self.standby.wake(KEY)
        if turn is Turn.SLEEP:
            self.stand_in(model, sleeps=True)
            await self.standby.sleep(KEY, self.cache.observe(KEY), proxied=False)
        size: int = self.api.objects[SCALE]["spec"]["replicas"]
        return size

    def stand_in(self, model: ModelDeployment, *, sleeps: bool = False) -> set[str]:
        """Let the activator's slices be as they shall; return their names."""
        wanted = {one["metadata"]["name"]: one for one in self.slices(model, sleeps=sleeps)}
        for name in {"fraud-activator", READY} - wanted.keys():
            self.cache.forget(f"uid-{name}", next(self.versions))
        for name, one in wanted.items():
            self.cache.note(kinds.ENDPOINT_SLICE, one | child(next(self.versions), name))
        return set(wanted)

    def slices(self, model: ModelDeployment, **how: bool) -> tuple[dict[str, Any], ...]:
        """Return the activator's slices."""
        return self.standby.slices_of(model, self.cache.observe(KEY), **how)


def child(version: int, name: str) -> dict[str, Any]:
    owner = {"apiVersion": "foresail.dev/v1alpha1", "kind": "ModelDeployment", "name": "fraud", "controller": True}
    metadata: dict[str, Any] = {"name": name, "namespace": "team", "uid": f"uid-{name}"}
    metadata |= {"resourceVersion": str(version), "ownerReferences": [owner | {"uid": "u"}]}
    return {"metadata": metadata | {"labels": OURS, "annotations": OURS}}


def endpoints(*addresses: str) -> dict[str, Any]:
    ready = [{"addresses": [one], "conditions": {"ready": True}} for one in addresses]
    return {"metadata": {"uid": "slice"}, "endpoints": [*ready, {"addresses": ["10.0.0.1"], "conditions": {}}]}


@contextlib.asynccontextmanager
async def bench(place: Place | None = Place("system", "foresail-activator", "foresail-wake")) -> AsyncIterator[Bench]:  # noqa: B008  # a frozen value
    api, cache, asked = wire.Api(), Cache(), list[Any]()
    async with TestServer(api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        time = Time()
        standby = Standby(Kube(session, Metrics(), lambda: None), cache, place, asked.append, lambda: time.seconds)
        cache.note(kinds.MODEL_DEPLOYMENT, make_raw(scaling=ZERO))
        yield Bench(api, cache, standby, asked, time)


async def test_a_wish_asks_for_a_look_and_wakes_the_model(make_model: MakeModel) -> None:
    async with bench() as b:
        b.size(0)
        assert await b.act(make_model(scaling=ZERO)) == 0
        b.standby.sink(kinds.CONFIG_MAP, "MODIFIED", WISH)
        assert KEY in b.asked
        assert await b.act(make_model(scaling=ZERO)) == 1


async def test_a_wish_that_is_written_again_or_is_gone_asks_for_a_look_and_one_that_stays_does_not() -> None:
    """Who still waits writes it again, as what was done for the wish before may have been undone."""
    async with bench() as b:
        asked = []
        b.cache.note(
            kinds.MODEL_DEPLOYMENT, make_raw("cats") | {"metadata": make_raw("cats")["metadata"] | {"uid": "c"}}
        )
        for wish in ({"team.fraud": "1"}, {"team.fraud": "1", "team.cats": "1"}, {"team.fraud": "2"}, {}, {}):
            b.asked.clear()
            b.standby.sink(kinds.CONFIG_MAP, "MODIFIED", NAMED_WISHES | {"data": wish})
            asked.append(list(b.asked))
        assert asked == [[KEY], [CATS], [KEY, CATS], [KEY], []]


async def test_wishes_of_another_release_in_the_namespace_change_nothing() -> None:
    async with bench() as b:
        b.standby.sink(kinds.CONFIG_MAP, "ADDED", WISH)
        b.asked.clear()
        for event in ("MODIFIED", "DELETED"):
            b.standby.sink(kinds.CONFIG_MAP, event, {"metadata": {"name": "other-wake"}, "data": {"team.fraud": "x"}})
        assert (b.asked, b.standby.wished_for(KEY)) == ([], True)


async def test_a_wish_for_a_model_that_is_gone_is_taken_back_and_no_other() -> None:
    """The activator reminds of who still waits until it hears that the model is gone; and a write may meet another."""
    long_name = "x" * 80
    async with bench() as b:
        b.cache.note(
            kinds.MODEL_DEPLOYMENT, make_raw(long_name) | {"metadata": make_raw(long_name)["metadata"] | {"uid": "y"}}
        )
        (of_long, _) = sorted(wishes(("team", long_name)))
        wish = NAMED_WISHES | {"data": {"team.cats": "1", "team.fraud": "1", of_long: "1"}}
        b.api.put(WISHES, wish)
        b.standby.sink(kinds.CONFIG_MAP, "ADDED", wish)
        assert set(b.asked) == {KEY, CATS, ("team", long_name)}
        b.asked.clear()
        b.standby.sink(kinds.CONFIG_MAP, "MODIFIED", wish | {"data": wish["data"] | {"team.fraud": "2"}})
        assert set(b.asked) == {KEY, CATS}
        for key in (CATS, ("team", of_long.removeprefix("team."))):
            await b.standby.take_back(key, b.cache.observe(key))
        assert b.api.objects[WISHES]["data"].keys() == {"team.fraud", of_long}


@pytest.mark.parametrize("gone", ["fraud-x", "fraud.v1", "1st", "x" * 80, "fraud-1a2b3c4d"])
async def test_wishes_at_both_services_of_a_gone_model_are_taken_back_whatever_it_was_called(gone: str) -> None:
    """All that is known by then is the Service's name, from which a key is made that is no model's."""
    for late in wishes(("team", gone)):
        async with bench() as b:
            wish = NAMED_WISHES | {"data": {late: "1", "team.fraud": "1"}}
            b.api.put(WISHES, wish)
            b.standby.sink(kinds.CONFIG_MAP, "ADDED", wish)
            for key in list(b.asked):
                await b.standby.take_back(key, b.cache.observe(key))
            assert b.api.objects[WISHES]["data"].keys() == {"team.fraud"}


async def test_a_model_called_as_another_ones_direct_service_takes_back_no_wish_there_but_one_of_nobody() -> None:
    key, namesake = ("team", "fraud-direct"), make_raw("fraud-direct")
    namesake["metadata"]["uid"] = "namesake"
    ready = child(60, "p")
    ready["metadata"]["ownerReferences"][0]["name"] = "fraud-direct"
    async with bench() as b:
        b.cache.note(kinds.MODEL_DEPLOYMENT, namesake)
        b.cache.note(kinds.POD, ready | {"spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
        wish = NAMED_WISHES | {"data": {"team.fraud-direct": "1"}}
        b.api.put(WISHES, wish)
        b.standby.sink(kinds.CONFIG_MAP, "ADDED", wish)
        found = []
        for gone in ("nobody", UID):
            b.cache.forget(gone)
            await b.standby.take_back(key, b.cache.observe(key))
            found.append(set(b.api.objects[WISHES]["data"]))
        assert found == [{"team.fraud-direct"}, set()]


async def test_an_idle_model_sleeps_once_the_activator_stands_by(make_model: MakeModel) -> None:
    async with bench() as b:
        b.size(1)
        model = make_model(scaling=ZERO)
        assert await b.act(model, idle=True) == 1
        b.standby.sink(kinds.ENDPOINT_SLICE, "ADDED", endpoints("10.0.0.8"))
        (slice_,) = b.slices(model)
        assert [one["addresses"] for one in slice_["endpoints"]] == [["10.0.0.8"]]
        b.cache.note(kinds.ENDPOINT_SLICE, slice_ | child(next(b.versions), "fraud-activator"))
        assert await b.act(model, idle=True) == 0


async def test_a_model_whose_turn_it_is_does_not_sleep_before_the_activator_is_a_ready_endpoint(
    make_model: MakeModel,
) -> None:
    model = make_model(scaling=ZERO)
    async with bench() as b:
        b.size(1)
        b.standby.sink(kinds.ENDPOINT_SLICE, "ADDED", endpoints("10.0.0.8", "10.0.0.9"))
        assert b.stand_in(model) == {"fraud-activator"}
        assert b.standby.turn(model, b.cache.observe(KEY), idle=True, proved=True) is Turn.SLEEP
        sizes = []
        for step in (
            lambda: None,  # that slice could not be written
            lambda: b.stand_in(model, sleeps=True),
            lambda: b.standby.sink(kinds.CONFIG_MAP, "MODIFIED", WISH),
        ):
            b.api.put(SCALE, {"metadata": NAMED, "spec": {"replicas": 1}})
            step()
            await b.standby.sleep(KEY, b.cache.observe(KEY), proxied=False)
            sizes.append(b.api.objects[SCALE]["spec"]["replicas"])
        assert sizes == [1, 0, 1]


async def test_behind_proxies_a_model_sleeps_with_the_fallback_alone_as_they_are_its_ready_endpoints(
    make_model: MakeModel,
) -> None:
    model = make_model(scaling=ZERO, loadBalancing="request")
    async with bench() as b:
        b.size(1)
        b.standby.sink(kinds.ENDPOINT_SLICE, "ADDED", endpoints("10.0.0.8"))
        (slice_,) = b.slices(model, proxied=True, sleeps=True)
        b.cache.note(kinds.ENDPOINT_SLICE, slice_ | child(next(b.versions), "fraud-direct-activator"))
        assert b.standby.turn(model, b.cache.observe(KEY), idle=True, proved=True) is Turn.SLEEP
        await b.standby.sleep(KEY, b.cache.observe(KEY), proxied=True)
        assert b.api.objects[SCALE]["spec"]["replicas"] == 0


async def test_someone_elses_newer_size_is_left_alone(make_model: MakeModel) -> None:
    async with bench() as b:
        b.size(0)
        b.api.put(SCALE, {"metadata": NAMED, "spec": {"replicas": 5}})
        b.standby.sink(kinds.CONFIG_MAP, "MODIFIED", WISH)
        assert await b.act(make_model(scaling=ZERO)) == 5
        del b.api.objects[SCALE]
        await b.standby.wake(KEY)


async def test_where_the_activator_is_asks_for_a_look_only_when_it_changes() -> None:
    async with bench() as b:
        b.standby.sink(kinds.ENDPOINT_SLICE, "ADDED", endpoints("10.0.0.8"))
        b.standby.sink(kinds.ENDPOINT_SLICE, "MODIFIED", endpoints("10.0.0.8"))
        assert b.asked == [KEY]
        assert b.standby.known(kinds.ENDPOINT_SLICE, None) == ["slice"]
        b.standby.sink(kinds.ENDPOINT_SLICE, "DELETED", {"metadata": {"uid": "slice"}})
        assert b.standby.addresses() == ()


async def test_a_wish_is_taken_back_once_a_replica_is_ready_and_others_stay() -> None:
    async with bench() as b:
        b.api.put(WISHES, WISH)
        b.standby.sink(kinds.CONFIG_MAP, "ADDED", WISH)
        await b.standby.take_back(KEY, b.cache.observe(KEY))
        assert len(b.api.objects[WISHES]["data"]) == 2
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        b.cache.note(kinds.POD, child(60, "p") | {"spec": {}, "status": status})
        await b.standby.take_back(KEY, b.cache.observe(KEY))
        assert b.api.objects[WISHES]["data"] == {"team.cats": "now"}


async def test_the_ports_of_a_slice_are_kept_by_the_next_process(make_model: MakeModel) -> None:
    async with bench() as b:
        recorded = activator.build(make_model(), activator.Roles((), ()), 77)
        b.cache.note(kinds.ENDPOINT_SLICE, recorded | child(50, "fraud-activator"))
        (slice_,) = b.slices(make_model())
        assert activator.pair_of(slice_) == 77
        assert b.slices(make_model(holdRequests=False)) == ()


async def test_the_ports_that_another_leader_gave_are_given_to_nobody_else(make_model: MakeModel) -> None:
    """A replica that led before and leads again knew the ports of its first time only, and gave those twice."""
    cats = make_raw("cats")
    cats["metadata"]["uid"] = "cats"
    async with bench() as b:
        (first,) = b.slices(make_model())
        theirs = child(50, "cats-activator")
        theirs["metadata"]["ownerReferences"][0]["name"] = "cats"
        b.cache.note(kinds.MODEL_DEPLOYMENT, cats)
        b.cache.note(kinds.ENDPOINT_SLICE, {"ports": first["ports"]} | theirs)
        b.standby.begin()
        (second,) = b.slices(make_model())
        assert activator.pair_of(second) not in {None, activator.pair_of(first)}


async def test_an_install_without_activator_holds_nothing_and_lets_nothing_stay_at_zero(make_model: MakeModel) -> None:
    async with bench(place=None) as b:
        b.size(0)
        assert not b.standby.installed
        assert b.slices(make_model()) == ()
        assert await b.act(make_model(scaling={"minReplicas": 1, "maxReplicas": 3})) == 1


async def test_a_wish_at_the_service_past_the_proxies_wakes_the_model_and_is_taken_back(make_model: MakeModel) -> None:
    async with bench() as b:
        b.size(0)
        wish = NAMED_WISHES | {"data": {"team.fraud-direct": "now", "team.cats": "now"}}
        b.api.put(WISHES, wish)
        b.standby.sink(kinds.CONFIG_MAP, "MODIFIED", wish)
        assert KEY in b.asked
        assert await b.act(make_model(scaling=ZERO)) == 1
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        b.cache.note(kinds.POD, child(60, "p") | {"spec": {}, "status": status})
        await b.standby.take_back(KEY, b.cache.observe(KEY))
        assert b.api.objects[WISHES]["data"] == {"team.cats": "now"}


async def test_the_activator_keeps_its_ports_when_proxies_come_between(make_model: MakeModel) -> None:
    async with bench() as b:
        before = activator.build(make_model(), activator.Roles((), ()), 77)
        b.cache.note(kinds.ENDPOINT_SLICE, before | child(50, "fraud-activator"))
        (after,) = b.slices(make_model(), proxied=True)
        assert after["metadata"]["labels"][activator.SERVICE_NAME_LABEL] == "fraud-direct"
        assert activator.pair_of(after) == 77


async def test_a_ready_proxy_takes_no_wish_back() -> None:
    async with bench() as b:
        b.api.put(WISHES, WISH)
        b.standby.sink(kinds.CONFIG_MAP, "ADDED", WISH)
        proxy = child(60, "p")
        proxy["metadata"]["labels"] = {"foresail.dev/proxy": "fraud"}
        b.cache.note(kinds.POD, proxy | {"spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
        await b.standby.take_back(KEY, b.cache.observe(KEY))
        assert "team.fraud" in b.api.objects[WISHES]["data"]


async def test_of_a_model_at_zero_the_activator_is_a_ready_endpoint_until_a_replica_is(make_model: MakeModel) -> None:
    model = make_model(scaling=ZERO)
    async with bench() as b:
        b.standby.sink(kinds.ENDPOINT_SLICE, "ADDED", endpoints("10.0.0.8", "10.0.0.9"))

        def is_ready(size: int, *, pod_ready: bool) -> bool:
            b.size(size)
            status = {"conditions": [{"type": "Ready", "status": str(pod_ready)}]}
            b.cache.note(kinds.POD, child(next(b.versions), "p") | {"spec": {}, "status": status})
            return READY in b.stand_in(model)

        assert not is_ready(1, pod_ready=False)  # a first start: kube-proxy falls back by itself
        assert not is_ready(1, pod_ready=True)
        assert is_ready(0, pod_ready=True)  # its end is on the way
        assert is_ready(0, pod_ready=False)
        assert is_ready(1, pod_ready=False)  # it wakes
        assert is_ready(1, pod_ready=True)  # Kubernetes has yet to write the replica's endpoint
        b.time.seconds += 0.5
        assert not is_ready(1, pod_ready=True)
        assert not is_ready(1, pod_ready=False)
        assert is_ready(0, pod_ready=False)
        b.size(1)
        assert READY in b.stand_in(make_model(scaling=STEADY))  # it may not sleep any more, and wakes as another does


async def test_a_model_that_never_sleeps_has_its_activator_as_kube_proxys_fallback_only(make_model: MakeModel) -> None:
    async with bench() as b:
        b.standby.sink(kinds.ENDPOINT_SLICE, "ADDED", endpoints("10.0.0.8", "10.0.0.9"))
        b.size(0)
        assert b.stand_in(make_model(scaling=STEADY)) == {"fraud-activator"}


async def test_what_kube_proxy_reads_of_the_activator_is_written_once_whether_the_model_sleeps_or_not(
    make_model: MakeModel,
) -> None:
    """It leaves with the very sync in which kube-proxy learns of the first replica: a write would wait for the next."""
    model = make_model(scaling=ZERO)
    async with bench() as b:
        b.standby.sink(kinds.ENDPOINT_SLICE, "ADDED", endpoints("10.0.0.8", "10.0.0.9"))
        read = []
        for size in (1, 0, 1):
            b.size(size)
            b.stand_in(model)
            read += [one for one in b.slices(model) if activator.HEADLESS_LABEL not in one["metadata"]["labels"]]
        assert read == [read[0]] * 3
        assert {tuple(one["conditions"].values()) for one in read[0]["endpoints"]} == {(False, True, True)}


async def test_the_one_pod_of_an_activator_is_ready_endpoint_and_fallback_by_turns(make_model: MakeModel) -> None:
    model = make_model(scaling=ZERO)
    async with bench() as b:
        b.standby.sink(kinds.ENDPOINT_SLICE, "ADDED", endpoints("10.0.0.8"))
        b.size(1)
        assert b.stand_in(model) == {"fraud-activator"}
        assert not activator.is_ready(b.slices(model)[0])
        assert await b.act(model, idle=True) == 0
        assert activator.is_ready(b.slices(model)[0])
        b.standby.sink(kinds.ENDPOINT_SLICE, "MODIFIED", endpoints("10.0.0.8", "10.0.0.9"))
        b.size(0)
        assert b.stand_in(model) == {"fraud-activator", READY}
        b.size(1)
        b.standby.sink(kinds.ENDPOINT_SLICE, "MODIFIED", endpoints("10.0.0.9"))
        assert b.stand_in(model) == {"fraud-activator"}
        assert activator.is_ready(b.slices(model)[0]), "it wakes"
