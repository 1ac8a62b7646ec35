"""What the operator does when it, the API server or the way between them fails; a relay makes the failures."""

from __future__ import annotations

import collections
import functools
import itertools
import json
import re
import signal
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from foresail_operator.desired import activator
from foresail_operator.leader import RENEW_SECONDS
from foresail_testbed.cluster import Cluster
from tests.cluster.kit import ACTIVATOR, SOON_SECONDS, Models, Operator, Operators, Still, eventually, wait_quiet
from tests.cluster.relay import Answer, Exchange, Relay

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from foresail_testbed.access import Access

pytestmark = [pytest.mark.cluster, pytest.mark.faults]

SCALING = {"minReplicas": 2, "maxReplicas": 4}
AWAY_SECONDS = 30.0
REFUSING_SECONDS = 6.0
OWNED = "deployments,replicasets,services,hpa,pdb,configmaps"
SLEEPY = {"minReplicas": 0, "maxReplicas": 3}
PROXIED = {"replicas": 2, "loadBalancing": "request"}


@pytest.fixture
def relay(plane: Access, tmp_path: pathlib.Path) -> Iterator[Relay]:
    with Relay(plane.kubeconfig, tmp_path) as started:
        yield started


class Restarted:
    """One operator pod, whose container is killed and started again."""

    def __init__(self, operators: Operators, relay: Relay) -> None:
        self._operators = operators
        self._environment = ACTIVATOR | {"KUBECONFIG": str(relay.kubeconfig), "FORESAIL_POD_NAME": "the-pod"}
        self.now = self.start()

    def start(self) -> Operator:
        """Start it; it leads at once, as the Lease bears its name."""
        self.now = self._operators.start(**self._environment)
        return self.now


def about(exchange: Exchange, name: str) -> bool:
    """Tell whether a write is for a model: its own, its children's or its Events'."""
    return exchange.write and re.search(rf"\b{name}\b", f"{exchange.path} {exchange.body.decode()}") is not None


def children(models: Models, name: str) -> list[tuple[str, str]]:
    """Return kind and name of everything that a model has, names without what differs between models."""
    items = json.loads(models.kubectl("get", OWNED, "-l", f"foresail.dev/model={name}", "-o", "json"))["items"]
    slices = f"{activator.OUR_SLICES},foresail.dev/model={name}"
    items += json.loads(models.kubectl("get", "endpointslices", "-l", slices, "-o", "json"))["items"]
    return sorted((one["kind"], re.sub(r"-[0-9a-f]{8,10}$", "", one["metadata"]["name"])[len(name) :]) for one in items)


def applied(exchanges: list[Exchange]) -> dict[tuple[str, str], set[str]]:
    """Return what was applied to each child, by its path and the field manager, without the preconditions."""
    found: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for one in exchanges:
        if one.method == "PATCH" and not one.path.endswith("/status"):
            manifest = one.manifest()
            metadata = {key: manifest["metadata"][key] for key in manifest["metadata"] if key != "uid"}
            metadata.pop("resourceVersion", None)
            found[one.path, one.query["fieldManager"]].add(json.dumps(manifest | {"metadata": metadata}))
    return found


def applies(**spec: Any) -> Callable[[Models, str], None]:
    """Return what applies a model."""
    return lambda models, name: models.apply(name, **spec)


def put_to_sleep(models: Models, name: str) -> None:
    """Set a model's size to 0, as whoever lets it sleep does."""
    models.kubectl("scale", f"deployment/{name}", "--replicas=0")


def sleeps(models: Models, name: str) -> None:
    """Have a model that sleeps."""
    models.apply(name, scaling=SLEEPY)
    eventually(functools.partial(models.is_settled, name), f"{name} settles")
    put_to_sleep(models, name)
    eventually(lambda: models.state("Asleep", name) == ("True", "Asleep"), f"{name} sleeps")


def wish(models: Models, name: str) -> None:
    """Ask for a replica of a model, as the activator does."""
    data = {f"{models.namespace}.{name}": "2026-01-01T00:00:00Z"}
    models.kubectl("patch", "configmap/foresail-wake", "--type=merge", "-p", json.dumps({"data": data}))


class Change(NamedTuple):
    """What makes a model as it was (None: it was not), what changes it, and the least number of writes that takes."""

    before: Callable[[Models, str], None] | None
    after: Callable[[Models, str], None]
    writes: int


CHANGES = {
    "a new model": Change(None, applies(scaling=SCALING), 8),
    "another model, of a fixed size": Change(
        applies(scaling=SCALING), applies(replicas=1, model={"uri": "https://models.example.com/fraud-2.onnx"}), 5
    ),
    "proxies": Change(applies(replicas=2), applies(**PROXIED), 6),
    "no proxies": Change(applies(**PROXIED), applies(replicas=2), 5),
    "sleep": Change(applies(scaling=SLEEPY), put_to_sleep, 2),
    "a wish": Change(sleeps, wish, 3),
}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_an_operator_killed_after_any_of_its_writes_is_carried_on_by_the_next(
    operators: Operators, models: Models, relay: Relay, change: Change
) -> None:
    operator = Restarted(operators, relay)
    operator.now.wait_until_leading()
    count = record(operator, relay, models, change)
    assert count >= change.writes
    names = [f"m{number}" for number in range(count + 1)]
    if change.before is not None:
        for name in names[1:]:
            change.before(models, name)
        settle(models, operator.now, names[1:])
    mark = len(relay.exchanges)
    killed = [kill_at_write(operator, relay, models, number, change) for number in range(1, count + 1)]
    assert all(killed[: change.writes]), "the last words of a status may be fewer than they were, nothing else"
    settle(models, operator.now, names)
    assert {name: children(models, name) for name in names} == dict.fromkeys(names, children(models, "m0"))
    contents = applied(relay.exchanges[mark:])
    assert {place: bodies for place, bodies in contents.items() if len(bodies) > 1} == {}


def settle(models: Models, operator: Operator, names: list[str]) -> None:
    """Wait until all of them are ready and nothing is under way."""
    for name in names:
        eventually(functools.partial(models.is_settled, name), f"{name} settles")
    wait_quiet(operator)


def record(operator: Restarted, relay: Relay, models: Models, change: Change) -> int:
    """Let a model become what the others shall become, and return how many writes that took."""
    if change.before is not None:
        change.before(models, "m0")
        models.wait_settled(operator.now, "m0")
    mark = len(relay.exchanges)
    change.after(models, "m0")
    models.wait_settled(operator.now, "m0")
    return sum(about(one, "m0") for one in relay.exchanges[mark:])


def kill_at_write(operator: Restarted, relay: Relay, models: Models, number: int, change: Change) -> bool:
    """Change a model; the operator dies with its number-th write for it on the way, and another one begins.

    Returns False, and it lives, where fewer writes than the recorded ones were enough.
    """
    name = f"m{number}"
    seen: list[Exchange] = []
    killed: list[bool] = []

    def lost(exchange: Exchange) -> bool:
        if about(exchange, name) and not killed:
            seen.append(exchange)
            if len(seen) == number:
                killed.append(True)
                operator.now.kill()
        return bool(killed)

    relay.lost = lost
    change.after(models, name)
    still = Still(lambda: len(seen))
    eventually(lambda: killed or (still() and models.is_settled(name)), f"write {number} of {name}, or its end")
    relay.lost = lambda _: False
    if killed:
        operator.start()
    return bool(killed)


def test_an_operator_works_again_soon_after_the_api_server_was_away(
    operators: Operators, models: Models, relay: Relay
) -> None:
    operator = operators.start(KUBECONFIG=str(relay.kubeconfig)).wait_until_leading()
    models.apply()
    models.wait_settled(operator)
    with relay.away():
        begun = time.monotonic()
        models.apply(replicas=2)
        eventually(lambda: not operator.leads(), "it knows that it may not write any more", seconds=15)
        tried = len(relay.refused)
        models.apply("other")
        eventually(lambda: len(relay.refused) > tried + 3, "it tries again and again", seconds=15)
        eventually(lambda: time.monotonic() - begun > AWAY_SECONDS, "it is away for long")
    assert relay.most_refused_in_a_second() < 40, "but without haste"
    models.wait_ready("other", 30)
    eventually(lambda: (models.get("deployment") or {})["spec"]["replicas"] == 2, "the change is made", SOON_SECONDS)


def test_a_watch_that_says_nothing_any_more_is_left(operators: Operators, models: Models, relay: Relay) -> None:
    operator = operators.start(KUBECONFIG=str(relay.kubeconfig)).wait_until_leading()
    models.apply()
    models.wait_settled(operator)
    relay.hush()
    models.apply("other")
    models.kubectl("delete", "deployment/fraud")
    models.wait_ready("other", 35)
    eventually(lambda: models.get("deployment"), "what was deleted unseen is back", seconds=15)
    assert operator.get("/healthz") == "ok\n"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(409, "Conflict"),
        Answer(429, "TooManyRequests", {"Retry-After": "1"}),
        Answer(500, "InternalError"),
    ],
    ids=lambda answer: str(answer.status),
)
def test_requests_that_fail_for_a_while_are_tried_again_without_haste(
    operators: Operators, models: Models, relay: Relay, answer: Answer
) -> None:
    operator = operators.start(KUBECONFIG=str(relay.kubeconfig)).wait_until_leading()
    failed: list[Exchange] = []

    def instead(exchange: Exchange) -> Answer | None:
        if not exchange.write or len(failed) >= 5:
            return None
        failed.append(exchange)
        return answer

    relay.instead = instead
    models.apply(scaling=SCALING)
    models.wait_ready()
    assert operator.leads()
    assert len(failed) == 5
    if pause := float(answer.headers.get("Retry-After", 0)):
        gaps = [later.at - one.at for one, later in itertools.pairwise(failed)]
        assert min(gaps) >= pause, "it waits for as long as it was asked to"


def all_but_the_lease(answer: Answer) -> Callable[[Exchange], Answer | None]:
    """Return what answers everything in the API server's place, the Lease apart."""
    return lambda exchange: None if "/leases" in exchange.path else answer


def let_pass(seconds: float) -> None:
    """Let time pass that the operator's own clock measures, in a process of its own."""
    begun = time.monotonic()
    eventually(lambda: time.monotonic() - begun > seconds, "time passes", seconds + 1)


def test_an_api_server_that_refuses_everything_for_a_while_is_not_pressed(
    operators: Operators, models: Models, relay: Relay
) -> None:
    operator = operators.start(KUBECONFIG=str(relay.kubeconfig)).wait_until_leading()
    models.apply()
    models.wait_settled(operator)
    rates = {}
    for answer in (Answer(500, "InternalError"), Answer(429, "TooManyRequests", {"Retry-After": "1"})):
        relay.instead = all_but_the_lease(answer)
        relay.break_off()  # watches, too, have to ask again
        models.apply(replicas=2 if answer.status == 500 else 3)
        models.apply(f"other-{answer.status}")
        mark = len(relay.exchanges)
        let_pass(REFUSING_SECONDS)
        asked = [one for one in relay.exchanges[mark:] if "/leases" not in one.path]
        rates[answer.status] = len(asked) / REFUSING_SECONDS
        assert any(one.watch or one.method == "GET" for one in asked)
    assert max(rates.values()) < 10, f"requests a second: {rates}"
    relay.instead = lambda _: None
    models.wait_ready("other-429", 30)
    models.wait_ready("other-500", 5)
    eventually(lambda: (models.get("deployment") or {})["spec"]["replicas"] == 3, "the change is made", SOON_SECONDS)
    assert operator.get("/healthz") == "ok\n"


def test_a_leader_frozen_past_its_deadline_sends_no_write_before_it_has_renewed_its_lease(
    operators: Operators, models: Models, relay: Relay
) -> None:
    operator = operators.start(KUBECONFIG=str(relay.kubeconfig)).wait_until_leading()
    for name in ("begun", "changed"):
        models.apply(name)
    settle(models, operator, ["begun", "changed"])
    mark = len(relay.writes())
    relay.held = lambda exchange: exchange.write
    models.apply("begun", scaling=SCALING)
    eventually(lambda: len(relay.writes()) > mark, "a write is sent, of several, and its answer kept back", pause=0.01)
    operator.signal(signal.SIGSTOP)
    models.apply("changed", replicas=2)
    let_pass(RENEW_SECONDS + 0.5)
    relay.held = lambda exchange: exchange.renewal
    mark, written = len(relay.exchanges), len(relay.writes())
    operator.signal(signal.SIGCONT)
    eventually(lambda: any(one.renewal for one in relay.exchanges[mark:]), "it asks for the Lease again")
    let_pass(1)  # the answer takes a while
    assert [(one.method, one.path) for one in relay.writes()[written:]] == []
    relay.held = lambda _: False
    settle(models, operator, ["begun", "changed"])
    assert models.get("hpa", "begun")
    assert (models.get("deployment", "changed") or {})["spec"]["replicas"] == 2


def test_etcd_may_end_and_come_back(operators: Operators, models: Models, plane: Access) -> None:
    assert isinstance(plane, Cluster)
    operator = operators.start().wait_until_leading()
    models.apply()
    models.wait_settled(operator)
    plane.stop_component("etcd", kill=True)
    plane.start_component("etcd")
    eventually(lambda: plane.execute(["kubectl", "get", "--raw", "/readyz"]).returncode == 0, "the API server is back")
    models.apply(replicas=2)
    models.apply("other")
    models.wait_ready("other", 30)
    eventually(lambda: (models.get("deployment") or {})["spec"]["replicas"] == 2, "the change is carried out", 30)
    assert operator.get("/healthz") == "ok\n"


def test_a_leader_cut_off_from_the_api_server_gives_way_and_comes_back_as_a_standby(
    operators: Operators, models: Models, relay: Relay
) -> None:
    leader = operators.start(KUBECONFIG=str(relay.kubeconfig), FORESAIL_POD_NAME="cut-off").wait_until_leading()
    standby = operators.start(FORESAIL_POD_NAME="standby")
    eventually(lambda: standby.get("/readyz") == "ok\n", "the standby is in sync")
    models.apply()
    models.wait_settled(leader)
    with relay.swallowing():
        models.apply(replicas=2)
        eventually(lambda: standby.leads() or not leader.leads(), "the leader gives way", seconds=15)
        assert not standby.leads(), "nobody leads before the old leader's deadline has passed for certain"
        eventually(standby.leads, "the standby leads once the lease is over", seconds=15)
        assert not leader.leads()
        eventually(lambda: (models.get("deployment") or {})["spec"]["replicas"] == 2, "it does the work")
        models.wait_settled(standby)
        written = len(relay.writes())
    eventually(lambda: leader.get("/readyz") == "ok\n", "the old leader is in sync again")
    models.apply(replicas=3)
    eventually(lambda: (models.get("deployment") or {})["spec"]["replicas"] == 3, "the new leader goes on")
    models.wait_settled(standby)
    assert (leader.leads(), standby.leads()) == (False, True)
    assert len(relay.writes()) == written, "the one that was cut off writes nothing, and nothing of it arrives late"
    standby.stop()
    eventually(leader.leads, "it leads again when its turn comes", seconds=10)
