"""Sleep and wake against the real API server: the operator and an activator as processes, replicas by kwok."""

from __future__ import annotations

import errno
import itertools
import json
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from foresail_operator.desired import activator
from tests.cluster import kit

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from foresail_testbed.access import Access

pytestmark = [pytest.mark.cluster, pytest.mark.windows]
PORTS = itertools.count(18700)


class Activator:
    """An activator as a process, started again after it was killed."""

    def __init__(self, plane: Access, namespace: str, folder: pathlib.Path) -> None:
        self._plane, self._folder = plane, folder
        self._environment = {
            "FORESAIL_NAMESPACES": namespace,
            "FORESAIL_POD_NAMESPACE": namespace,
            "FORESAIL_HTTP_HOST": "127.0.0.1",
            "FORESAIL_DRAIN_SECONDS": "0",
            "FORESAIL_GRACE_SECONDS": "1",
        }
        self.start()

    def start(self) -> None:
        port = next(PORTS)
        command = [sys.executable, "-m", "foresail_activator"]
        environment = self._environment | {"FORESAIL_HTTP_PORT": str(port)}
        self.process = self._plane.popen(command, environment=environment, log=self._folder / f"activator-{port}.log")


@pytest.fixture
def activating(plane: Access, namespace: str, tmp_path: pathlib.Path) -> Iterator[Activator]:
    activator = Activator(plane, namespace, tmp_path)
    yield activator
    activator.process.stop()


def slice_ports(models: kit.Models, name: str = "fraud-activator") -> dict[str, int]:
    found = models.get("endpointslice", name) or {}
    return {one["name"]: one["port"] for one in found.get("ports") or ()}


def endpoints(models: kit.Models, selector: str = "") -> dict[str, bool]:
    """Return which of the activator's pods are in the model's Service, and whether as ready endpoints.

    Read are the slices with the Service's label that `selector` selects too.
    """
    labels = f"{activator.SERVICE_NAME_LABEL}=fraud{selector}"
    found = json.loads(models.kubectl("get", "endpointslices", "-l", labels, "-o", "json"))["items"]
    each = [one for slice_ in found for one in slice_.get("endpoints") or ()]
    named = [(address, one["conditions"]["ready"]) for one in each for address in one["addresses"]]
    assert len({address for address, _ in named}) == len(named), "no address is there twice"
    return {address: ready for address, ready in named if address in kit.ADDRESSES}


def of_kube_proxy(models: kit.Models) -> dict[str, bool]:
    """Return those of them that kube-proxy reads."""
    return endpoints(models, ",!service.kubernetes.io/headless")


def size(models: kit.Models) -> int | None:
    found = models.get("deployment")
    return found["spec"].get("replicas") if found else None


def reach(port: int) -> socket.socket | None:
    """Connect and ask; None while nothing listens."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    except ConnectionRefusedError:
        return None
    connection.sendall(b"GET / HTTP/1.1\r\nHost: fraud\r\n\r\n")
    return connection


def refuses(port: int) -> bool:
    """Tell whether nothing listens any more."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


@pytest.mark.usefixtures("place", "activating")
def test_a_request_wakes_a_sleeping_model(models: kit.Models, operators: kit.Operators) -> None:
    operator = operators.start(**kit.ACTIVATOR).wait_until_leading()
    models.apply(scaling={"minReplicas": 0, "maxReplicas": 3})
    models.wait_settled(operator)
    awake = endpoints(models)
    assert list(awake.values()) == [False], "one is kept for when it sleeps"
    assert models.state("Asleep") == ("False", "Awake")

    models.kubectl("scale", "deployment/fraud", "--replicas=0")
    kit.eventually(lambda: models.state("Asleep") == ("True", "Asleep"), "it is asleep")
    assert models.state("Ready") == ("True", "Asleep")
    kept = {one: True for one in kit.ADDRESSES if one not in awake}
    kit.eventually(lambda: endpoints(models) == awake | kept, "who goes to ready endpoints only finds the activator")
    assert of_kube_proxy(models) == awake
    autoscaler = models.get("hpa") or {}
    assert autoscaler["spec"]["minReplicas"] == 1

    ports = slice_ports(models, "fraud-activator-ready")
    connection = kit.eventually(lambda: reach(ports["http"]), "the activator listens there as well")
    kit.eventually(lambda: size(models) == 1, "it is woken")
    kit.eventually(lambda: models.state("Ready") == ("True", "Ready"), "it answers again")
    kit.eventually(lambda: endpoints(models) == awake, "replicas are the ready endpoints again")
    kit.eventually(lambda: not (models.get("configmap", "foresail-wake") or {}).get("data"), "the wish is taken back")
    connection.close()


def over_a_sleeping_model(models: kit.Models, operators: kit.Operators) -> kit.Operator:
    """Start an operator, have a model that sleeps, and return the operator."""
    operator = operators.start(**kit.ACTIVATOR).wait_until_leading()
    models.apply(scaling={"minReplicas": 0, "maxReplicas": 3})
    models.wait_settled(operator)
    models.kubectl("scale", "deployment/fraud", "--replicas=0")
    kit.eventually(lambda: models.state("Asleep") == ("True", "Asleep"), "it is asleep")
    return operator


def wishes(models: kit.Models) -> dict[str, str]:
    """Return what the activator has asked for."""
    return (models.get("configmap", "foresail-wake") or {}).get("data") or {}


def waits(connection: socket.socket) -> bool:
    """Return whether a request still waits for its answer."""
    connection.settimeout(0.3)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    return False


@pytest.mark.faults
@pytest.mark.usefixtures("place", "activating")
def test_the_operator_dies_while_a_request_waits_and_the_next_one_wakes_the_model(
    models: kit.Models, operators: kit.Operators
) -> None:
    operator = over_a_sleeping_model(models, operators)
    operator.kill()
    connection = kit.eventually(lambda: reach(slice_ports(models)["http"]), "the activator listens")
    kit.eventually(lambda: wishes(models), "the wish is written, though nobody is there to read it")
    assert waits(connection)
    assert size(models) == 0
    operators.start(**kit.ACTIVATOR)
    kit.eventually(lambda: size(models) == 1, "the next operator wakes it")
    kit.eventually(lambda: not wishes(models), "the wish is taken back")
    connection.close()


@pytest.mark.faults
@pytest.mark.usefixtures("place")
def test_an_activator_dies_with_the_connections_that_it_held_and_the_next_one_holds_new_ones(
    models: kit.Models, operators: kit.Operators, activating: Activator
) -> None:
    operator = over_a_sleeping_model(models, operators)
    operator.signal(signal.SIGSTOP)  # or the request would be answered before the activator dies
    connection = kit.eventually(lambda: reach(slice_ports(models)["http"]), "the activator listens")
    assert waits(connection)
    activating.process.kill()
    kit.eventually(lambda: not waits(connection), "the connection is lost")
    connection.close()
    activating.start()
    again = kit.eventually(lambda: reach(slice_ports(models)["http"]), "the next one listens")
    assert waits(again)
    operator.signal(signal.SIGCONT)
    kit.eventually(lambda: size(models) == 1, "it is woken")
    again.close()


@pytest.mark.usefixtures("place")
def test_an_activator_that_is_stopped_refuses_who_still_waits_when_its_grace_is_over(
    models: kit.Models, operators: kit.Operators, activating: Activator
) -> None:
    operator = over_a_sleeping_model(models, operators)
    operator.signal(signal.SIGSTOP)  # nobody wakes the model
    port = kit.eventually(lambda: slice_ports(models).get("http"), "it has a port")
    connection = kit.eventually(lambda: reach(port), "the activator listens")
    assert waits(connection)
    activating.process.signal(signal.SIGTERM)
    kit.eventually(lambda: refuses(port), "it takes no new ones")
    connection.settimeout(10)
    answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in answer
    assert b"the activator is being replaced; try again" in answer
    assert activating.process.wait(10) == 0
    operator.signal(signal.SIGCONT)
    connection.close()


@pytest.mark.faults
@pytest.mark.usefixtures("place")
def test_both_die_while_a_request_waits_and_the_wish_still_wakes_the_model(
    models: kit.Models, operators: kit.Operators, activating: Activator
) -> None:
    operator = over_a_sleeping_model(models, operators)
    operator.kill()
    connection = kit.eventually(lambda: reach(slice_ports(models)["http"]), "the activator listens")
    kit.eventually(lambda: wishes(models), "the wish is written")
    activating.process.kill()
    kit.eventually(lambda: not waits(connection), "the connection is lost")
    connection.close()
    operators.start(**kit.ACTIVATOR)
    kit.eventually(lambda: size(models) == 1, "it is woken for who asks again")
    kit.eventually(lambda: not wishes(models), "the wish is taken back")


@pytest.mark.usefixtures("place")
def test_a_new_revision_wakes_a_sleeping_model_and_switching_off_takes_the_activator_out(
    models: kit.Models, operators: kit.Operators
) -> None:
    over_a_sleeping_model(models, operators)
    models.apply(scaling={"minReplicas": 0, "maxReplicas": 3}, serving={"maxQueueSize": 7})
    kit.eventually(lambda: size(models) == 1, "it is woken to prove the new revision")
    models.apply(holdRequests=False)
    gone = ("fraud-activator", "fraud-activator-ready")
    kit.eventually(lambda: not any(models.get("endpointslice", one) for one in gone), "its slices are gone")


def test_a_model_that_would_sleep_is_refused_where_nothing_can_wake_it(
    models: kit.Models, operator: kit.Operator
) -> None:
    models.apply(scaling={"minReplicas": 0, "maxReplicas": 3})
    kit.eventually(lambda: models.state("Ready") == ("False", "InvalidSpec"), "it is refused")
    assert "activator" in models.conditions()["Ready"]["message"]
    assert operator.leads()
