"""Fixtures of real clusters for pytest.

`control_plane` and `cluster` live as long as the test session and end with it, however it ends. A test that uses one
runs inside its private network, and so do the module and session fixtures set up for that test: addresses of Services
and pods work, the Internet does not. With FORESAIL_E2E_KUBECONFIG both are the cluster of that file
instead, with FORESAIL_TESTBED_CLUSTER the testbed's own cluster of that name, which stays.
"""

import contextlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from foresail_testbed import access, assets, diagnostics, errors, external, options, programs
from foresail_testbed import cluster as testbed

KUBECONFIG_VARIABLE = "FORESAIL_E2E_KUBECONFIG"
CLUSTER_VARIABLE = "FORESAIL_TESTBED_CLUSTER"
VARIABLES = (KUBECONFIG_VARIABLE, CLUSTER_VARIABLE)
"""With one of them a test run uses a cluster that is there."""
FIXTURES = ("cluster", "control_plane")
RUNNING = pytest.StashKey[dict[str, access.Access]]()
NAMESPACES = pytest.StashKey[list[tuple[access.Access, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no cluster."""
    config.stash[RUNNING] = {}


@pytest.fixture(scope="session")
def control_plane_options() -> options.Options:
    """Shape of `control_plane`; a conftest may define it anew."""
    return options.Options(name=testbed.unique_name("plane"), nodes=0)


@pytest.fixture(scope="session")
def cluster_options() -> options.Options:
    """Shape of `cluster`; a conftest may define it anew."""
    return options.Options(name=testbed.unique_name("test"))


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest, control_plane_options: options.Options) -> Iterator[access.Access]:
    """A real API server with controllers and scheduler, and no kubelet: pods stay Pending."""
    with opened(request, "control_plane", control_plane_options) as found:
        yield found


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, cluster_options: options.Options) -> Iterator[access.Access]:
    """A real cluster with a kubelet and containerd, in which pods run."""
    with opened(request, "cluster", cluster_options) as found:
        yield found


@pytest.fixture(scope="session")
def helm() -> Path:
    """The helm command, built now if it isn't in the cache; use it as `cluster.execute([str(helm), …])`."""
    return Path(assets.locate(programs.HELM, print)["helm"])


@contextlib.contextmanager
def opened(request: pytest.FixtureRequest, name: str, wish: options.Options) -> Iterator[access.Access]:
    """Start (or find) the cluster of a fixture, join it, and end it with the session if it was started here."""
    running = request.config.stash[RUNNING]
    leave_all(running)
    try:
        found = find() or start_visibly(request.config, wish)
    except errors.TestbedError as error:
        pytest.fail(str(error), pytrace=False)
    running[name] = found
    found.join()
    try:
        yield found
    finally:
        del running[name]
        found.leave()
        if isinstance(found, testbed.Cluster) and found.run.name == wish.name:
            found.stop()


def find() -> access.Access | None:
    """Return the cluster that the user wants used, if any."""
    if given := os.environ.get(KUBECONFIG_VARIABLE):
        return external.External(Path(given))
    if name := os.environ.get(CLUSTER_VARIABLE):
        return testbed.Cluster.attach(name)
    return None


def start_visibly(config: pytest.Config, wish: options.Options) -> testbed.Cluster:
    """Start a cluster with its progress on the terminal, for a first run builds the programs."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        return testbed.Cluster.start(wish)


def leave_all(running: dict[str, access.Access]) -> None:
    """Go back to the host's own network."""
    for other in running.values():
        other.leave()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Put the test, and the fixtures that are set up for it, into the network of the cluster it uses."""
    running = item.config.stash[RUNNING]
    names = [name for name in FIXTURES if name in getattr(item, "fixturenames", ())]
    leave_all(running)
    if names and names[0] in running:
        running[names[0]].join()


def make_namespace(request: pytest.FixtureRequest, where: access.Access) -> Iterator[str]:
    """Make a namespace for one test and take it away afterwards.

    It stays where the cluster ends with the tests and no pod of it runs: for one that goes, every kind is listed.
    """
    name = testbed.unique_name("test")
    ours = where if isinstance(where, testbed.Cluster) and find() is None else None
    if ours:
        with contextlib.closing(ours.api()) as client:  # a kubectl takes a sixth of a second of the processor
            client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    else:
        where.kubectl("create", "namespace", name)
    request.node.stash.setdefault(NAMESPACES, []).append((where, name))
    try:
        yield name
    finally:
        if ours is None or ours.nodes():
            where.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, in the cluster that the test uses (`cluster` before `control_plane`)."""
    names = [name for name in FIXTURES if name in request.fixturenames]
    yield from make_namespace(request, request.getfixturevalue(names[0] if names else "control_plane"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failed test what its namespaces look like."""
    report = yield
    if report.failed and call.when != "teardown":
        for where, name in item.stash.get(NAMESPACES, []):
            report.sections.append((f"namespace {name}", diagnostics.describe(where, name)))
    return report
