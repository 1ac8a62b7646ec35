"""Looks at one model, against an API over a real socket; what the watches would show is noted by hand."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from aiohttp.web import json_response

from foresail_operator import errors
from foresail_operator.api import kinds
from foresail_operator.apply import Applier
from foresail_operator.clocks import Clocks
from foresail_operator.desired import activator, contest, pace
from foresail_operator.desired.images import Images
from foresail_operator.events import Recorder
from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics
from foresail_operator.observe import Cache
from foresail_operator.reconcile import Reconciler
from foresail_operator.scaling.autoscaling import Autoscaling
from foresail_operator.standby import Place, Standby
from tests.operator import wire
from tests.operator.conftest import PROXIES, make_raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

KEY = ("team", "fraud")
MODEL = "/apis/foresail.dev/v1alpha1/namespaces/team/modeldeployments/fraud"
DEPLOYMENT = "/apis/apps/v1/namespaces/team/deployments/fraud"
SERVICE = "/api/v1/namespaces/team/services/fraud"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/team/endpointslices"
EVENTS = "/api/v1/namespaces/team/events"
AUTOSCALER = "/apis/autoscaling/v2/namespaces/team/horizontalpodautoscalers/fraud"
HPA_SECONDS = 15.0
PLURALS = {kind.plural: kind for kind in kinds.BY_NAME.values()}


class Scaling(Autoscaling):
    """Autoscaling of which a test says whether a model is idle, which takes minutes of load to know."""

    is_idle = False

    def idle(self, key: tuple[str, str]) -> bool:
        return self.is_idle


@dataclasses.dataclass
class Bench:
    """A reconciler, its API and its clock."""

    api: wire.Api
    kube: Kube
    seconds: float = 1000.0
    cache: Cache = dataclasses.field(default_factory=Cache)
    place: Place | None = None
    crowded: bool = False

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, cpu: str = "runtime:1") -> None:
        """Forget everything, as a new process does, and see what is there."""
        self.cache = Cache()
        self.scaling = Scaling(
            self.kube,
            self.cache,
            metrics=Metrics(),
            leads=lambda: True,
            changed=lambda _: None,
            endpoint=None,
            clock=lambda: self.seconds,
        )
        self.standby = Standby(self.kube, self.cache, self.place, lambda _: None, lambda: self.seconds)
        self.reconciler = Reconciler(
            self.kube,
            self.cache,
            Applier(self.kube, self.cache, lambda: self.seconds),
            scaling=self.scaling,
            standby=self.standby,
            recorder=Recorder(self.kube, "me"),
            images=Images(cpu=cpu, openvino="o", gpu="g"),
            proxies=PROXIES,
            clocks=Clocks(lambda: self.seconds, lambda: f"at {self.seconds:g}"),
            crowded=lambda: self.crowded,
        )
        self.watch()

    def watch(self) -> None:
        """Show the cache everything of ours that is there."""
        for path, manifest in self.api.objects.items():
            kind = PLURALS.get(path.rsplit("/", 2)[1])
            if kind is not None:
                self.cache.note(kind, manifest)

    def size(self, replicas: int) -> None:
        """Let the Deployment have a size, and no replica ready yet."""
        asked = self.api.objects[DEPLOYMENT] | {"status": {"observedGeneration": 99}}
        self.api.put(DEPLOYMENT, asked | {"spec": asked["spec"] | {"replicas": replicas}})
        self.api.put(SCALE, {"metadata": {"name": "fraud", "namespace": "team"}, "spec": {"replicas": replicas}})
        if (pod := self.api.objects.pop("/api/v1/namespaces/team/pods/p", None)) is not None:
            self.cache.forget(pod["metadata"]["uid"])
        self.watch()

    def model(self, **spec: Any) -> None:
        """Write the user's object."""
        before = self.api.objects.get(MODEL, {})
        raw = make_raw(**spec)
        raw["metadata"] |= {"generation": before.get("metadata", {}).get("generation", 0) + 1}
        self.api.put(MODEL, raw | ({"status": before["status"]} if "status" in before else {}))
        self.watch()

    def pod(self, *, ready: bool = True, name: str = "p") -> None:
        """Let a pod of the newest revision be there, and the Deployment say so."""
        template = self.api.objects[DEPLOYMENT]["spec"]["template"]
        metadata = {"name": name, "namespace": "team", "uid": f"pod-{name}", "labels": template["metadata"]["labels"]}
        metadata["ownerReferences"] = [{"kind": "ReplicaSet", "name": "fraud-1", "uid": "rs", "controller": True}]
        conditions = [{"type": "Ready", "status": str(ready)}]
        pod = {"metadata": metadata | {"annotations": template["metadata"]["annotations"]}, "spec": template["spec"]}
        self.api.put(f"/api/v1/namespaces/team/pods/{name}", pod | {"status": {"conditions": conditions}})
        count = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": int(ready), "observedGeneration": 99}
        self.api.put(DEPLOYMENT, self.api.objects[DEPLOYMENT] | {"status": count})
        self.watch()

    def waits(self, reason: str) -> None:
        """Let the pod's container wait for something."""
        self.pod(ready=False)
        pod = self.api.objects["/api/v1/namespaces/team/pods/p"]
        container = {"name": "runtime", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": reason}}}
        self.api.put(
            "/api/v1/namespaces/team/pods/p", pod | {"status": pod["status"] | {"containerStatuses": [container]}}
        )
        self.watch()

    def told(self) -> list[str]:
        """Return the reasons of all Events."""
        return [one["reason"] for path, one in self.api.objects.items() if "/events/" in path]

    def proxy(self, *, ready: bool) -> None:
        """Let a proxy's pod be there."""
        template = self.api.objects[PROXY]["spec"]["template"]
        metadata = template["metadata"] | {"name": "proxy", "namespace": "team", "uid": "pod-proxy"}
        status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
        path = "/api/v1/namespaces/team/pods/proxy"
        self.api.put(path, {"metadata": metadata, "spec": template["spec"], "status": status})
        counts = {"replicas": 1, "updatedReplicas": 2, "readyReplicas": 2, "observedGeneration": 99}
        self.api.put(PROXY, self.api.objects[PROXY] | {"status": counts})
        self.watch()

    async def look(self) -> float | None:
        return await self.reconciler.look(KEY)

    async def settle(self) -> None:
        """Look until nothing is left to do."""
        quiet = 0
        for _ in range(12):
            count = len(self.api.requests)
            self.seconds += 10
            self.watch()
            await self.look()
            quiet = quiet + 1 if len(self.api.requests) == count else 0
            if quiet == 2:
                return
        pytest.fail("it never settles")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.objects[MODEL]["status"]
        return found

    def condition(self, kind: str) -> tuple[str, str, str]:
        (one,) = (one for one in self.status()["conditions"] if one["type"] == kind)
        return one["status"], one["reason"], one["message"]


@contextlib.asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    api = wire.Api()
    async with TestServer(api.app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        yield Bench(api, Kube(session, Metrics(), lambda: None))


async def test_a_first_look_makes_everything_and_reads_nothing() -> None:
    async with bench() as b:
        b.model(scaling={"maxReplicas": 3})
        await b.look()
        assert [one.method for one in b.api.requests] == ["PATCH"] * 7
        assert b.status()["observedGeneration"] == 1
        assert b.condition("Ready")[:2] == ("False", "PodsStarting")


async def test_while_others_have_nothing_yet_a_first_look_says_nothing_and_the_next_one_does() -> None:
    async with bench() as b:
        b.model(scaling={"maxReplicas": 3})
        b.crowded = True
        assert b.reconciler.newcomer(KEY)
        assert await b.look() == 0.0
        assert not b.reconciler.newcomer(KEY)
        assert len(b.api.objects) == 7
        assert "status" not in b.api.objects[MODEL]
        b.watch()
        b.pod()
        await b.look()
        assert b.condition("Ready")[0] == "True"
        b.restart()
        count = len(b.api.requests)
        assert await b.look() is None
        assert len(b.api.requests) == count


async def test_a_second_look_writes_nothing() -> None:
    async with bench() as b:
        b.model(scaling={"maxReplicas": 3})
        await b.look()
        b.pod()
        await b.settle()
        count = len(b.api.requests)
        b.watch()
        await b.look()
        b.restart()
        await b.look()
        assert len(b.api.requests) == count
        assert b.condition("Ready")[0] == "True"


async def test_a_fresh_model_costs_at_most_eleven_writes() -> None:
    async with bench() as b:
        b.model(scaling={"maxReplicas": 3})
        await b.look()
        b.pod(ready=False)
        await b.look()
        b.pod()
        await b.settle()
        assert len(b.api.writes) <= 11
        assert b.condition("Ready")[0] == "True"


async def test_stopped_after_any_write_the_next_run_makes_the_same_objects() -> None:
    async def run(stop_after: int | None) -> tuple[set[str], int]:
        async with bench() as b:
            b.model(scaling={"maxReplicas": 3})
            left = iter(range(stop_after)) if stop_after is not None else None

            def stop(request: wire.Request) -> web.Response | None:
                if left is not None and request.method != "GET" and next(left, None) is None:
                    return wire.failure(503, "Stopped")
                return None

            b.api.answer = stop
            with contextlib.suppress(errors.Unavailable):
                await b.look()
            b.api.answer = lambda _: None
            b.restart()
            await b.settle()
            return {path for path in b.api.objects if "/events/" not in path}, len(b.api.writes)

    whole, count = await run(None)
    for number in range(count):
        assert (await run(number))[0] == whole


async def test_numbers_are_written_after_a_second_and_states_at_once() -> None:
    async with bench() as b:
        b.model(replicas=3)
        await b.look()
        count = len(b.api.writes)
        b.api.put(DEPLOYMENT, b.api.objects[DEPLOYMENT] | {"status": {"replicas": 1, "observedGeneration": 9}})
        b.watch()
        assert await b.look() == pytest.approx(1.0)
        b.seconds += 0.25
        assert await b.look() == pytest.approx(0.75)
        assert len(b.api.writes) == count
        b.seconds += 0.75
        await b.look()
        assert len(b.api.writes) == count + 1
        b.pod()
        await b.look()
        assert b.condition("Ready")[0] == "True"


async def test_what_only_flickers_is_never_said() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        b.pod()
        await b.settle()
        count = len(b.api.writes)
        settled = b.api.objects[DEPLOYMENT]
        metadata = settled["metadata"] | {"generation": 100}  # seen before the controller has looked at it
        b.api.put(DEPLOYMENT, settled | {"metadata": metadata})
        b.watch()
        assert await b.look() == pytest.approx(1.0)
        b.api.put(
            DEPLOYMENT, settled | {"metadata": metadata, "status": settled["status"] | {"observedGeneration": 100}}
        )
        b.watch()
        await b.settle()
        assert len(b.api.writes) == count


async def test_a_foreign_service_is_named_and_left_alone() -> None:
    async with bench() as b:
        foreign = b.api.put(
            SERVICE, {"metadata": {"name": "fraud", "managedFields": [{"manager": "helm"}]}, "spec": {}}
        )
        b.model()
        assert await b.look() == 30
        assert b.api.objects[SERVICE] == foreign
        assert b.condition("Stalled")[:2] == ("True", "NameConflict")
        assert "no controller (written by helm)" in b.condition("Stalled")[2]
        b.pod()
        b.seconds += 10
        await b.look()
        assert b.condition("Ready")[0] == "True"
        assert b.condition("Available")[:2] == ("False", "NameConflict")
        assert "no Service of this model leads to them" in b.condition("Available")[2]
        assert "url" not in b.api.objects[MODEL]["status"]
        owner = {"kind": "Application", "name": "shop", "uid": "z", "controller": True}
        b.api.put(SERVICE, {"metadata": {"name": "fraud", "ownerReferences": [owner]}, "spec": {}})
        await b.look()
        b.seconds += 10
        await b.look()
        assert "belongs to Application shop" in b.condition("Stalled")[2]


async def test_a_foreign_deployment_gets_no_autoscaler_of_ours() -> None:
    async with bench() as b:
        foreign = b.api.put(DEPLOYMENT, {"metadata": {"name": "fraud"}, "spec": {"replicas": 1}})
        b.model(scaling={"maxReplicas": 5})
        assert await b.look() == 30
        assert b.api.objects[DEPLOYMENT] == foreign
        assert AUTOSCALER not in b.api.objects


async def test_children_of_a_predecessor_are_waited_for() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        raw = make_raw()
        raw["metadata"] |= {"uid": "22222222-2222-4222-8222-222222222222"}
        b.api.put(MODEL, raw)
        b.restart()
        assert await b.look() == 1
        assert b.condition("Reconciling")[:2] == ("True", "WaitingForRemoval")
        for path in [path for path in b.api.objects if path != MODEL]:
            del b.api.objects[path]
        b.restart()
        await b.settle()
        assert b.api.objects[DEPLOYMENT]["metadata"]["ownerReferences"][0]["uid"] == raw["metadata"]["uid"]


async def test_children_that_were_orphaned_are_adopted_and_not_made_again() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        left = {path: value["metadata"]["uid"] for path, value in b.api.objects.items() if path != MODEL}
        for path, uid in left.items():
            metadata = {name: value for name, value in b.api.objects[path]["metadata"].items() if name != "uid"}
            b.api.put(path, b.api.objects[path] | {"metadata": metadata | {"uid": uid, "ownerReferences": []}})
        raw = make_raw()
        raw["metadata"] |= {"uid": "22222222-2222-4222-8222-222222222222"}
        b.api.put(MODEL, raw)
        b.restart()
        await b.settle()
        assert {path: value["metadata"]["uid"] for path, value in b.api.objects.items() if path != MODEL} == left
        owners = {
            value["metadata"]["ownerReferences"][0]["uid"] for path, value in b.api.objects.items() if path in left
        }
        assert owners == {raw["metadata"]["uid"]}


async def test_a_child_that_is_being_deleted_is_waited_for() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        metadata = b.api.objects[SERVICE]["metadata"] | {"deletionTimestamp": "now", "finalizers": ["example.com/keep"]}
        b.api.put(SERVICE, b.api.objects[SERVICE] | {"metadata": metadata})
        b.watch()
        assert await b.look() == 1
        assert "is being deleted once its finalizers are gone (example.com/keep)" in b.condition("Reconciling")[2]


async def test_a_child_whose_event_is_late_is_met_and_not_written_again() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        b.restart()
        b.cache.forget(b.api.objects[SERVICE]["metadata"]["uid"])
        count = len(b.api.requests)
        await b.look()
        assert [one.method for one in b.api.requests[count:]] == ["PATCH", "GET"]


async def test_a_child_whose_labels_were_taken_off_is_repaired() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        stripped = b.api.objects[SERVICE]["metadata"] | {"labels": {}}
        b.api.put(SERVICE, b.api.objects[SERVICE] | {"metadata": stripped})
        del b.api.objects[SERVICE]["metadata"]["labels"]
        b.restart()
        b.cache.forget(stripped["uid"])  # the selector no longer selects it
        await b.look()
        assert b.api.objects[SERVICE]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "foresail"


async def test_a_webhook_that_changes_what_we_write_starts_no_war() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        b.pod()
        await b.settle()

        def mutate() -> None:
            live = b.api.objects[SERVICE]
            b.api.put(SERVICE, live | {"spec": live["spec"] | {"type": "Mutated"}})

        mutate()
        b.watch()
        original = b.api._store

        def store(path: str, manifest: wire.Manifest, status: int) -> web.Response:
            answer = original(path, manifest, status)
            if path == SERVICE:
                mutate()
                return json_response(b.api.objects[SERVICE], status=status)
            return answer

        b.api._store = store  # type: ignore[method-assign]  # the webhook's place in the server
        await b.settle()
        writes = [path for method, path in b.api.writes if path == SERVICE]
        assert len(writes) == 2, "made once, repaired once"
        for number in range(2 * contest.MANY):  # each change beside it costs a write that changes nothing
            b.seconds += HPA_SECONDS
            live = b.api.objects[SERVICE]
            b.api.put(SERVICE, live | {"spec": live["spec"] | {"externalIPs": [str(number)]}})
            b.watch()
            await b.look()
            assert b.condition("Stalled")[0] == "False"


async def test_who_undoes_a_repair_again_and_again_is_named_and_answered_less_often() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        b.pod()
        await b.settle()
        by_policy = {"managedFields": [{"manager": "foresail", "time": "2"}, {"manager": "policy", "time": "1"}]}

        async def undone(times: int) -> int:
            """Return how many of so many changes are put right at once."""
            before = b.api.writes.count(("PATCH", SERVICE))
            for _ in range(times):
                live = b.api.objects[SERVICE]
                changed = live["spec"] | {"type": "NodePort"}
                b.api.put(SERVICE, live | {"spec": changed, "metadata": live["metadata"] | by_policy})
                b.watch()
                await b.look()
            return b.api.writes.count(("PATCH", SERVICE)) - before

        assert await undone(50) == 50
        assert b.condition("Stalled")[0] == "False", "a script may be in a hurry"
        b.seconds += contest.LASTING_SECONDS
        assert await undone(50) == 1
        assert b.condition("Stalled")[:2] == ("True", "Contested")
        assert "Service fraud: spec.type is changed again and again by policy" in b.condition("Stalled")[2]
        assert b.condition("Ready")[0] == b.condition("Available")[0] == "True"
        told = [path for _, path in b.api.writes].count(EVENTS)
        assert await b.look() == contest.PAUSE_SECONDS
        for _ in range(5):
            b.seconds += contest.PAUSE_SECONDS
            assert await undone(10) == 1
        assert [path for _, path in b.api.writes].count(EVENTS) == told, "it is one story"
        b.seconds += contest.PAUSE_SECONDS
        assert b.api.objects[SERVICE]["spec"]["type"] == "NodePort"
        await b.look()
        assert b.api.objects[SERVICE]["spec"]["type"] == "ClusterIP"
        b.seconds += contest.CALM_SECONDS
        await b.look()
        assert b.condition("Stalled")[0] == "False"
        assert await undone(1) == 1, "and may begin anew"


async def test_a_service_out_of_sight_leads_on_while_it_is_fought_over_and_one_that_is_missing_does_not() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        b.pod()
        await b.settle()

        async def fight(path: str, **field: Any) -> None:
            for _ in range(contest.MANY):
                b.seconds += contest.LASTING_SECONDS / (contest.MANY - 1)
                b.api.put(path, b.api.objects[path] | {"spec": b.api.objects[path]["spec"] | field})
                b.watch()
                await b.look()
            assert b.condition("Stalled")[1] == "Contested"

        await fight(SERVICE, type="NodePort")
        b.api.put(SERVICE, b.api.objects[SERVICE] | {"spec": {}})
        b.cache.forget(b.api.objects[SERVICE]["metadata"]["uid"])
        await b.look()
        assert b.condition("Available")[0] == "True"
        b.seconds += contest.CALM_SECONDS
        await b.look()
        await fight(DEPLOYMENT, revisionHistoryLimit=99)
        b.cache.forget(b.api.objects.pop(SERVICE)["metadata"]["uid"])
        b.api.answer = lambda request: wire.failure(403, "Forbidden", "no") if "/services" in request.path else None
        await b.look()
        assert b.condition("Stalled")[1] == "Contested"
        assert b.condition("Available")[0] == "False"


async def test_what_others_add_to_the_status_is_not_written_against() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        b.pod()
        await b.settle()
        foreign = {"type": "Audited", "status": "True", "reason": "Ok", "message": "", "lastTransitionTime": "now"}
        original = b.api._store

        def store(path: str, manifest: wire.Manifest, status: int) -> web.Response:
            if path == MODEL and foreign not in manifest["status"]["conditions"]:
                manifest["status"]["conditions"].append(foreign)  # a list that is merged by type
            return original(path, manifest, status)

        b.api._store = store  # type: ignore[method-assign]  # the place where the server merges
        b.api.put(MODEL, b.api.objects[MODEL] | {"status": b.status() | {"conditions": [foreign]}})
        await b.settle()
        before = len(b.api.writes)
        await b.settle()
        assert len(b.api.writes) == before
        assert b.condition("Ready")[0] == b.condition("Audited")[0] == "True"


async def test_what_others_put_beside_ours_stays_theirs_where_our_own_part_is_refused() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        owners = [
            {"manager": "foresail", "operation": "Apply"},
            {"manager": "kubectl", "fieldsV1": {"f:spec": {"a": {}}}},
        ]
        live = b.api.objects[DEPLOYMENT]
        b.api.put(DEPLOYMENT, live | {"metadata": live["metadata"] | {"managedFields": owners}})
        b.watch()
        b.api.answer = lambda request: (
            wire.failure(422, "Invalid", "no such term") if "/deployments" in request.path and request.body else None
        )
        b.model(serving={"maxQueueSize": 7})
        b.seconds += 10
        await b.look()
        assert b.condition("Stalled")[:2] == ("True", "Refused")
        sent = [one for one in b.api.requests if "/deployments" in one.path and one.body]
        assert [(one.method, one.query.get("dryRun")) for one in sent[-2:]] == [("PATCH", None), ("POST", "All")]
        assert b.api.objects[DEPLOYMENT]["metadata"]["managedFields"] == owners


async def test_the_size_is_held_by_another_manager_while_it_passes_to_the_autoscaler() -> None:
    async with bench() as b:
        b.model(replicas=3)
        await b.look()
        entry = {"manager": "foresail", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        metadata = b.api.objects[DEPLOYMENT]["metadata"] | {"managedFields": [entry]}
        b.api.put(DEPLOYMENT, b.api.objects[DEPLOYMENT] | {"metadata": metadata})
        b.model(scaling={"maxReplicas": 5})
        b.restart()
        count = len(b.api.requests)
        await b.look()
        sent = [one for one in b.api.requests[count:] if one.path == DEPLOYMENT]
        assert [one.query["fieldManager"] for one in sent] == ["foresail-size", "foresail"]
        assert sent[0].body["spec"] == {"replicas": 3}
        assert "replicas" not in sent[1].body["spec"]


async def test_an_autoscaler_goes_before_a_fixed_size_is_written() -> None:
    async with bench() as b:
        b.model(scaling={"maxReplicas": 5})
        await b.look()
        b.model(replicas=2)
        b.restart()
        count = len(b.api.requests)
        await b.look()
        sent = [(one.method, one.path) for one in b.api.requests[count:]]
        assert sent[0] == ("DELETE", AUTOSCALER)
        assert ("PATCH", DEPLOYMENT) in sent[1:]


async def test_a_description_goes_once_its_last_pod_has_gone() -> None:
    def names(b: Bench) -> list[str]:
        return [path for path in b.api.objects if "/configmaps/" in path]

    async with bench() as b:
        b.model()
        await b.look()
        b.pod(name="old")
        await b.settle()
        b.model(model={"uri": "https://models.example.com/other.onnx"})
        await b.settle()
        assert len(names(b)) == 2
        b.pod(name="new")
        await b.settle()
        assert len(names(b)) == 2, "the old pod still mounts its own"
        del b.api.objects["/api/v1/namespaces/team/pods/old"]
        b.cache.forget("pod-old")
        await b.settle()
        assert len(names(b)) == 1


async def test_a_second_edit_waits_and_the_newest_goes_out() -> None:
    async with bench() as b:
        b.model(serving={"maxQueueSize": 1})
        await b.look()
        b.model(serving={"maxQueueSize": 2})
        assert await b.look() == pytest.approx(pace.SETTLE_SECONDS)
        b.model(serving={"maxQueueSize": 3})
        b.seconds += pace.SETTLE_SECONDS
        await b.look()
        assert b.status()["observedGeneration"] == 3


@pytest.mark.parametrize(
    ("status", "words", "stalled", "reason", "again"),
    [
        (403, "namespace team because it is being terminated", "False", "NamespaceTerminating", None),
        (403, "exceeded quota: small", "False", "QuotaExceeded", 15),
        (403, "admission webhook said no", "True", "Refused", 30),
        (500, "failed to create typed patch object (a/b): .spec.foo: not in schema", "True", "Refused", 30),
        (
            500,
            "failed to convert new object (a/b; autoscaling/v2) to proper version: quantities",
            "True",
            "Refused",
            30,
        ),
        (500, 'Internal error occurred: failed calling webhook "x.y": away', "False", "WebhookUnavailable", 5),
    ],
    ids=["namespace ends", "quota", "webhook says no", "no field of the kind", "no such value", "webhook away"],
)
@pytest.mark.parametrize("refused", [SERVICE, DEPLOYMENT])
async def test_what_the_server_refuses_is_said_in_its_words_and_the_rest_is_done(
    *, refused: str, status: int, words: str, stalled: str, reason: str, again: float | None
) -> None:
    def refuse(request: wire.Request) -> web.Response | None:
        return wire.failure(status, "Reason", words) if request.path == refused else None

    async with bench() as b:
        b.api.answer = refuse
        b.model()
        assert await b.look() == again
        assert b.condition("Ready")[:2] == ("False", reason)
        assert words in b.condition("Ready")[2]
        assert b.condition("Stalled")[0] == stalled
        assert {SERVICE, DEPLOYMENT} - b.api.objects.keys() == {refused}


async def test_an_edit_that_comes_just_before_a_status_is_written_is_carried_out_too() -> None:
    """The answer to the write shows it already, so its own event is old news and asks for no look."""

    def edit(request: wire.Request) -> web.Response | None:
        if request.path == f"{MODEL}/status":
            b.api.answer = lambda _: None
            there = b.api.objects[MODEL]
            metadata, spec = there["metadata"] | {"generation": 2}, there["spec"] | {"replicas": 3}
            b.api.put(MODEL, there | {"metadata": metadata, "spec": spec})
        return None

    async with bench() as b:
        b.model()
        b.api.answer = edit
        assert await b.look() == 0.0
        await b.look()
        assert b.api.objects[DEPLOYMENT]["spec"]["replicas"] == 3


async def test_a_bug_that_ends_look_after_look_is_told_of_once_and_taken_back_at_the_next_good_one() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        b.pod()
        await b.settle()
        good, again = b.reconciler._scaling, b.status()["conditions"]
        b.reconciler._scaling = None  # type: ignore[assignment]  # stands for any bug
        count = len(b.api.writes)
        for number in range(5):
            with pytest.raises(AttributeError):
                await b.look()
            assert len(b.api.writes) - count == (number >= 2), "one bad look is no news, and a lasting bug is told once"
        assert b.condition("Stalled")[:2] == ("True", "InternalError")
        assert "failed at this model: AttributeError: 'NoneType'" in b.condition("Stalled")[2]
        assert b.condition("Ready")[0] == "True", "a replica answers all the same"
        b.reconciler._scaling = good
        b.watch()
        await b.look()
        assert [one["reason"] for one in b.status()["conditions"]] == [one["reason"] for one in again]


async def test_a_bug_at_an_edit_is_no_ready_model() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        b.pod()
        await b.settle()
        b.reconciler._scaling = None  # type: ignore[assignment]  # stands for any bug
        b.model(serving={"maxQueueSize": 5})
        for _ in range(3):
            with pytest.raises(AttributeError):
                await b.look()
        assert b.status()["observedGeneration"] == 2
        assert b.condition("Ready")[:2] == ("False", "InternalError")
        assert b.condition("Available")[0] == "True"


async def test_a_slice_of_the_other_address_family_is_made_again() -> None:
    """A model may be there before the activator is, and with it the family that its slice has to have."""
    path = f"{SLICES}/fraud-activator"
    async with bench() as b:
        b.place = Place("system", "foresail-activator", "foresail-wake")
        b.restart()
        b.model()
        await b.look()
        ready = {"addresses": ["fd00::1"], "conditions": {"ready": True}}
        b.standby.sink(kinds.ENDPOINT_SLICE, "ADDED", {"metadata": {"uid": "s"}, "endpoints": [ready]})
        before = b.api.objects[path]
        await b.look()
        assert ("DELETE", path) in b.api.writes
        after = b.api.objects[path]
        assert (before["addressType"], after["addressType"]) == ("IPv4", "IPv6")
        assert before["ports"] == after["ports"]
        b.watch()
        count = len(b.api.writes)
        b.standby.sink(kinds.ENDPOINT_SLICE, "DELETED", {"metadata": {"uid": "s"}})
        await b.look()
        assert [method for method, sent in b.api.writes[count:] if sent == path] == ["PATCH"], "of none it stays"


async def test_of_a_sleeping_model_both_slices_follow_the_activator_into_the_other_address_family() -> None:
    async with bench() as b:
        await fall_asleep(b)
        before = slices(b)
        move_activator(b, "fd00::1", "fd00::2")
        b.api.requests.clear()
        await b.look()
        moved = [b.api.objects[f"{SLICES}/{name}"] for name in before]
        assert {one["addressType"] for one in moved} == {"IPv6"}
        assert {one["addresses"][0] for each in moved for one in each["endpoints"]} == {"fd00::1", "fd00::2"}
        assert slices(b) == before
        assert sorted(b.api.writes) == sorted(
            (method, f"{SLICES}/{name}") for name in before for method in ("DELETE", "PATCH")
        )


async def test_a_model_for_which_the_activator_has_no_port_left_gets_everything_else() -> None:
    async with bench() as b:
        b.place = Place("system", "foresail-activator", "foresail-wake")
        b.restart()
        b.standby._ports.learn(lambda: {("other", str(pair)): pair for pair in range(activator.MODELS)})
        b.model()
        await b.look()
        assert {DEPLOYMENT, SERVICE} < b.api.objects.keys()
        assert b.condition("Ready")[1] == "Refused"
        assert "holdRequests" in b.condition("Ready")[2]


async def test_a_users_copy_of_a_description_is_left_alone() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        b.pod()
        (made,) = (path for path in b.api.objects if "/configmaps/" in path)
        for name in ("fraud-model-copy", "backup", "fraud-model-0123abcd"):
            metadata = b.api.objects[made]["metadata"] | {"name": name, "uid": f"uid-{name}", "ownerReferences": []}
            b.api.put(f"/api/v1/namespaces/team/configmaps/{name}", b.api.objects[made] | {"metadata": metadata})
        await b.settle()
        assert {path.rpartition("/")[2] for path in b.api.objects if "/configmaps/" in path} == {
            made.rpartition("/")[2],
            "fraud-model-copy",
            "backup",
        }


async def test_a_spec_that_contradicts_itself_makes_nothing() -> None:
    async with bench() as b:
        b.model(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})
        await b.look()
        assert b.condition("Stalled")[:2] == ("True", "InvalidSpec")
        assert DEPLOYMENT not in b.api.objects


async def test_an_edit_that_contradicts_itself_is_not_ready_though_the_revision_before_answers() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        b.pod()
        await b.settle()
        recorded = b.status()["revision"]
        b.model(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})
        await b.look()
        assert b.condition("Ready")[:2] == ("False", "InvalidSpec")
        assert b.condition("Stalled")[0] == "True"
        assert b.condition("Available")[0] == "True"
        assert b.status()["revision"] == recorded
        b.model()
        await b.settle()
        assert b.condition("Ready")[0] == "True"


SCALE = f"{DEPLOYMENT}/scale"
ZERO = {"minReplicas": 0, "maxReplicas": 3}
TORN = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}


async def fall_asleep(b: Bench) -> None:
    """Let the model be asleep, with two pods of the activator in its place."""
    b.place = Place("system", "foresail-activator", "foresail-wake")
    b.restart()
    move_activator(b, "10.0.0.7", "10.0.0.8")
    b.model(scaling=ZERO)
    await b.look()
    b.pod()
    await b.settle()
    b.size(0)
    await b.settle()
    assert b.condition("Ready")[:2] == ("True", "Asleep")


def move_activator(b: Bench, *addresses: str) -> None:
    endpoints = [{"addresses": [one], "conditions": {"ready": True}} for one in addresses]
    b.standby.sink(kinds.ENDPOINT_SLICE, "ADDED", {"metadata": {"uid": "s"}, "endpoints": endpoints})


def slices(b: Bench) -> set[str]:
    """Return the names of the activator's slices."""
    return {path.rpartition("/")[2] for path in b.api.objects if path.startswith(SLICES)}


async def test_who_goes_to_ready_endpoints_knows_the_activator_from_before_the_model_sleeps_until_after_it_woke() -> (
    None
):
    """And what kube-proxy reads is not written: it would take the activator out a second after the replica came."""
    ready = f"{SLICES}/fraud-activator-ready"
    async with bench() as b:
        b.place = Place("system", "foresail-activator", "foresail-wake")
        b.restart()
        move_activator(b, "10.0.0.7", "10.0.0.8")
        b.model(scaling=ZERO)
        await b.look()
        b.api.put(DEPLOYMENT, b.api.objects[DEPLOYMENT] | {"spec": b.api.objects[DEPLOYMENT]["spec"] | {"replicas": 1}})
        b.api.put(SCALE, {"metadata": {"name": "fraud", "namespace": "team"}, "spec": {"replicas": 1}})
        b.pod()
        await b.settle()
        assert slices(b) == {"fraud-activator"}

        b.api.requests.clear()
        b.scaling.is_idle = True
        await b.look()
        assert [one for one in b.api.writes if "events" not in one[1]] == [("PATCH", ready), ("PUT", SCALE)]
        b.scaling.is_idle = False
        for size in (0, 1):
            b.size(size)
            await b.settle()
        b.pod()
        await b.look()
        assert slices(b) == {"fraud-activator", "fraud-activator-ready"}, "Kubernetes may have yet to write the replica"
        b.seconds += 0.5
        await b.look()
        assert [one for one in b.api.writes if "slices" in one[1]] == [("PATCH", ready), ("DELETE", ready)]
        await b.settle()


async def test_a_model_stays_awake_while_the_activator_can_not_be_made_a_ready_endpoint() -> None:
    def refuse(request: wire.Request) -> web.Response | None:
        return wire.failure(403, "Forbidden") if request.path.endswith("-ready") else None

    async with bench() as b:
        b.place = Place("system", "foresail-activator", "foresail-wake")
        b.restart()
        move_activator(b, "10.0.0.7", "10.0.0.8")
        b.model(scaling=ZERO)
        await b.look()
        b.size(1)
        b.pod()
        await b.settle()
        b.api.answer = refuse
        b.scaling.is_idle = True
        await b.look()
        assert b.api.objects[SCALE]["spec"]["replicas"] == 1
        assert b.condition("Stalled")[:2] == ("True", "Refused")
        b.api.answer = lambda _: None
        await b.look()
        assert b.api.objects[SCALE]["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    "spec", [{"scaling": ZERO, "holdRequests": False}, {"replicas": 1}], ids=["switched off", "fixed"]
)
async def test_a_model_that_may_not_sleep_any_more_keeps_no_ready_endpoint(spec: dict[str, Any]) -> None:
    async with bench() as b:
        await fall_asleep(b)
        b.model(**spec)
        b.size(1)
        b.pod()
        for _ in range(3):
            b.seconds += 1
            await b.look()
        assert "fraud-activator-ready" not in slices(b)


async def test_behind_proxies_no_ready_endpoint_of_the_activator_is_beside_them() -> None:
    async with bench() as b:
        await fall_asleep(b)
        assert slices(b) == {"fraud-activator", "fraud-activator-ready"}
        b.model(scaling=ZERO, loadBalancing="request")
        await b.settle()
        b.proxy(ready=True)
        await b.settle()
        assert slices(b) == {"fraud-direct-activator"}
        b.proxy(ready=False)
        await b.settle()
        assert slices(b) == {"fraud-activator", "fraud-activator-ready"}


async def test_a_ready_endpoint_goes_too_where_the_model_woke_as_it_was_before_an_edit_that_was_refused() -> None:
    async with bench() as b:
        await fall_asleep(b)
        b.model(scaling=ZERO, resources=TORN)
        b.size(1)
        b.pod()
        for _ in range(2):
            b.seconds += 1
            await b.look()
        assert slices(b) == {"fraud-activator"}


def wish(b: Bench) -> None:
    wishes = {"metadata": {"name": "foresail-wake", "namespace": "system"}, "data": {"team.fraud": "now"}}
    b.standby.sink(kinds.CONFIG_MAP, "MODIFIED", wishes)


@pytest.mark.parametrize(
    "spec",
    [
        {"scaling": ZERO, "resources": TORN},
        {"scaling": {"minReplicas": 0}},
    ],
    ids=["contradicts itself", "unreadable"],
)
async def test_a_sleeping_model_whose_edit_is_refused_is_woken_as_it_was(spec: dict[str, Any]) -> None:
    async with bench() as b:
        await fall_asleep(b)
        b.model(**spec)
        await b.look()
        assert b.condition("Ready")[:2] == ("False", "InvalidSpec")
        assert b.api.objects[SCALE]["spec"]["replicas"] == 0
        wish(b)
        await b.look()
        assert b.api.objects[SCALE]["spec"]["replicas"] == 1


@pytest.mark.parametrize("hold", [True, False], ids=["as before", "switched off by that edit"])
async def test_the_activator_of_a_model_whose_edit_is_refused_is_followed(hold: bool) -> None:
    async with bench() as b:
        await fall_asleep(b)
        b.model(scaling=ZERO, holdRequests=hold, resources=TORN)
        move_activator(b, "10.0.0.99")
        await b.look()
        assert b.condition("Ready")[:2] == ("False", "InvalidSpec")
        slice_ = b.api.objects[f"{SLICES}/fraud-activator"]
        assert [one["addresses"] for one in slice_["endpoints"]] == [["10.0.0.99"]]
        count = len(b.api.requests)
        b.watch()
        await b.look()
        assert len(b.api.requests) == count


async def test_a_refused_edit_is_told_of_where_the_activator_has_no_port_left() -> None:
    async with bench() as b:
        await fall_asleep(b)
        b.standby.begin()
        b.standby._ports.learn(lambda: {("other", str(pair)): pair for pair in range(activator.MODELS)})
        b.model(scaling=ZERO, resources=TORN)
        await b.look()
        assert b.condition("Ready")[:2] == ("False", "InvalidSpec")


async def test_a_spec_that_only_an_older_definition_lets_in_is_told_of_and_what_runs_stays() -> None:
    async with bench() as b:
        b.model(scaling={"maxReplicas": 3})
        await b.look()
        b.pod()
        await b.settle()
        before = {path: one for path, one in b.api.objects.items() if path != MODEL}
        recorded = b.status()["revision"]
        b.model(scaling={})
        assert await b.look() is None
        assert b.condition("Stalled")[:2] == ("True", "InvalidSpec")
        assert "spec.scaling.maxReplicas" in b.condition("Ready")[2]
        assert b.condition("Available")[0] == "True"
        assert b.condition("ScalingActive")[1] != "FixedSize"
        assert b.status()["observedGeneration"] == 2
        assert b.status()["revision"] == recorded
        assert {path: one for path, one in b.api.objects.items() if path != MODEL} == before
        count = len(b.api.requests)
        b.seconds += 10
        b.watch()
        await b.look()
        assert len(b.api.requests) == count
        b.model(scaling={"maxReplicas": 3})
        await b.settle()
        assert b.condition("Ready")[0] == "True"


async def test_what_is_not_there_or_being_deleted_is_left_alone() -> None:
    async with bench() as b:
        assert await b.look() is None
        raw = make_raw()
        b.api.put(MODEL, raw | {"metadata": raw["metadata"] | {"deletionTimestamp": "now"}})
        b.watch()
        assert await b.look() is None
        assert b.api.requests == []


async def test_an_upgraded_operator_keeps_the_recorded_image() -> None:
    def image(b: Bench) -> str:
        found: str = b.api.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][0]["image"]
        return found

    async with bench() as b:
        b.model()
        await b.look()
        b.restart(cpu="runtime:2")
        await b.settle()
        assert image(b) == "runtime:1"
        b.model(serving={"maxQueueSize": 5})
        await b.settle()
        assert image(b) == "runtime:2"


async def test_a_trouble_that_comes_and_goes_is_told_once_until_the_model_is_ready() -> None:
    async with bench() as b:
        b.model()
        await b.look()
        for times in (1, 2):
            for _ in range(3):
                b.seconds += 8
                b.waits("ImagePullBackOff")
                await b.look()
                b.waits("ContainerCreating")
                await b.look()
            assert b.told().count("ImagePullFailed") == times
            b.pod()
            await b.look()


async def test_an_event_that_can_not_be_written_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(request: wire.Request) -> web.Response | None:
        return wire.failure(403, "Forbidden") if request.path.endswith("/events") else None

    async with bench() as b:
        b.api.answer = refuse
        b.model(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})
        await b.look()
    assert "an Event was not written" in caplog.text


PROXY = "/apis/apps/v1/namespaces/team/deployments/fraud-proxy"
SERVICES = "/api/v1/namespaces/team/services"


async def test_the_service_leads_to_proxies_once_one_is_ready_and_to_replicas_while_none_is() -> None:
    async with bench() as b:

        def led_to() -> dict[str, str]:
            found: dict[str, str] = b.api.objects[f"{SERVICES}/fraud"]["spec"]["selector"]
            return found

        b.model(loadBalancing="request")
        await b.settle()
        assert led_to() == {"foresail.dev/model": "fraud"}
        b.proxy(ready=True)
        await b.settle()
        assert led_to() == {"foresail.dev/proxy": "fraud"}
        assert b.api.objects[f"{SERVICES}/fraud-direct"]["spec"]["selector"] == {"foresail.dev/model": "fraud"}
        assert b.condition("Ready")[0] == "False", "a proxy is no replica"
        b.proxy(ready=False)
        await b.settle()
        assert led_to() == {"foresail.dev/model": "fraud"}


async def test_the_activator_moves_past_the_proxies_before_the_service_leads_to_them_and_back_after_it() -> None:
    async with bench() as b:
        b.place = Place("system", "foresail-activator", "foresail-wake")
        b.restart()
        b.model(loadBalancing="request")
        await b.settle()
        here, past = f"{SLICES}/fraud-activator", f"{SLICES}/fraud-direct-activator"
        for ready, moves in (
            (True, [("PATCH", past), ("PATCH", f"{SERVICES}/fraud"), ("DELETE", here)]),
            (False, [("PATCH", f"{SERVICES}/fraud"), ("PATCH", here), ("DELETE", past)]),
        ):
            b.proxy(ready=ready)
            b.api.requests.clear()
            await b.look()
            assert [one for one in b.api.writes if "slices" in one[1] or one[1] == f"{SERVICES}/fraud"] == moves
            b.watch()
        assert {path for path in b.api.objects if path.startswith(SLICES)} == {here}


async def test_proxies_go_after_the_service_was_led_back_and_restart_no_replica() -> None:
    async with bench() as b:
        b.model()
        await b.settle()
        template = b.api.objects[DEPLOYMENT]["spec"]["template"]
        before = {path for path in b.api.objects if "/events/" not in path}
        b.model(loadBalancing="request")
        await b.settle()
        b.proxy(ready=True)
        b.pod()
        await b.settle()
        assert {"Deployment", "PodDisruptionBudget", "ConfigMap", "Service"} == {
            b.api.objects[path]["kind"] for path in b.api.objects.keys() - before if b.api.objects[path].get("kind")
        } - {"Event"}
        assert b.api.objects[DEPLOYMENT]["spec"]["template"] == template
        b.api.requests.clear()
        b.model()
        await b.look()
        writes = [path for _, path in b.api.writes]
        assert writes.index(f"{SERVICES}/fraud") < writes.index(PROXY)
        del b.api.objects["/api/v1/namespaces/team/pods/proxy"]
        b.restart()
        await b.settle()
        left = {path for path in b.api.objects if "/events/" not in path and "/pods/" not in path}
        assert left == before
