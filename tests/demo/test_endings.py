"""How the demo ends: with its last words, with a sentence about what failed, and with the cluster gone or left."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import urllib.error
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from demo import __main__ as program
from demo import places
from demo.screen import Screen
from demo.story import Demo
from foresail_testbed.cluster import Cluster
from foresail_testbed.errors import TestbedError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Sequence

    from foresail_testbed import options
    from foresail_testbed.cluster import Listener


class Place:
    """A cluster that is only spoken of; knows how it ended."""

    title = "nowhere"

    def __init__(self) -> None:
        self.end = ""
        self.is_up = True
        self.stays: Exception | None = None

    def build_images(self) -> list[str]:
        return []

    def up(self, tell: Listener) -> None:
        """Start nothing."""

    def load_images(self) -> None:
        """Load nothing."""

    def run(self, words: Sequence[str], seconds: float = 180.0, stdin: str | None = None) -> str:
        return f"what {words[1]} says"

    def reach(self, namespace: str, service: str, port: int) -> contextlib.AbstractContextManager[str]:
        return contextlib.nullcontext("http://127.0.0.1:1")

    def down(self) -> None:
        if self.stays is not None:
            raise self.stays
        self.end = "down"

    def keep(self) -> None:
        self.end = "kept"

    def access(self) -> list[str]:
        return ["export KUBECONFIG=somewhere", "end it"] if self.is_up else []


@pytest.fixture
def demo(tmp_path: pathlib.Path) -> Demo:
    return Demo(Place(), Screen(Console(file=io.StringIO(), width=200)), tmp_path)


def tell(demo: Demo, error: BaseException | None = None, *, keep: bool = False) -> tuple[int, str, str]:
    """Tell a story of one step; returns the status, what was printed, and how the cluster ended."""

    def step(_: Demo) -> None:
        if error is not None:
            raise error

    status = program.tell(demo, [step], keep=keep)
    assert isinstance(demo.place, Place)
    assert isinstance(demo.screen.console.file, io.StringIO)
    return status, demo.screen.console.file.getvalue(), demo.place.end


HTTP = urllib.error.HTTPError("http://m/detect", 503, "Service Unavailable", None, None)  # type: ignore[arg-type]  # as urllib


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (places.CommandError("`helm` failed: no"), "`helm` failed: no"),
        (TestbedError("use Linux"), "use Linux"),
        (TimeoutError("retail-shelf was not ready within 180 s"), "retail-shelf was not ready within 180 s"),
        (HTTP, "http://m/detect answered 503 Service Unavailable"),
        (urllib.error.URLError("no route"), "a request to the model got no answer: no route"),
        (subprocess.CalledProcessError(2, ["scripts/helm", "version"]), "`scripts/helm version` failed with status 2"),
        (subprocess.CalledProcessError(-signal.SIGKILL, "kind"), "`kind` failed with status -9"),
        (subprocess.TimeoutExpired(["kubectl", "get"], 30.0), "`kubectl get` took more than 30 s"),
        (FileNotFoundError(2, "No such file", "kubectl"), "[Errno 2] No such file: 'kubectl'"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_fails_is_a_sentence_and_leaves_a_file_to_read(demo: Demo, error: Exception, sentence: str) -> None:
    status, printed, end = tell(demo, error)
    assert (status, end) == (1, "down")
    assert printed.splitlines()[:2] == ["The demo stopped:", sentence]
    assert "The cluster is still there" not in printed
    assert "what logs says" in (demo.output / "failure.txt").read_text()


def test_a_mistake_of_the_demos_own_stays_one_and_the_cluster_ends(demo: Demo) -> None:
    with pytest.raises(KeyError):
        tell(demo, KeyError("spec"))
    assert isinstance(demo.place, Place)
    assert demo.place.end == "down"


LEFT = ["The cluster is still there:", "  export KUBECONFIG=somewhere", "  end it"]


def test_a_kept_cluster_is_told_how_to_be_reached_and_ended(demo: Demo) -> None:
    status, printed, end = tell(demo, keep=True)
    assert (status, end) == (0, "kept")
    assert printed.splitlines()[-3:] == LEFT


def test_a_cluster_kept_by_a_failed_run_is_told_the_same(demo: Demo) -> None:
    status, printed, end = tell(demo, TimeoutError("too late"), keep=True)
    assert (status, end) == (1, "kept")
    assert printed.splitlines()[-3:] == LEFT


def test_a_cluster_that_could_not_be_ended_is_told_of_and_how_to_end_it(demo: Demo) -> None:
    assert isinstance(demo.place, Place)
    demo.place.stays = places.CommandError("`kind delete` failed: no daemon")
    status, printed, _ = tell(demo)
    assert status == 1
    assert printed.splitlines() == ["The cluster could not be ended:", "`kind delete` failed: no daemon", *LEFT]


def test_a_step_that_failed_is_told_before_the_cluster_that_could_not_be_ended(demo: Demo) -> None:
    assert isinstance(demo.place, Place)
    demo.place.stays = subprocess.TimeoutExpired(["kind", "delete"], 120.0)
    status, printed, _ = tell(demo, TimeoutError("too late"))
    assert status == 1
    assert printed.splitlines()[:2] == ["The demo stopped:", "too late"]
    assert printed.splitlines()[-5:] == ["The cluster could not be ended:", "`kind delete` took more than 120 s", *LEFT]


@pytest.mark.parametrize(("keep", "end", "last"), [(False, "down", []), (True, "kept", LEFT)])
def test_ctrl_c_ends_the_cluster_or_tells_how_to_end_the_one_that_is_kept(
    demo: Demo, keep: bool, end: str, last: list[str]
) -> None:
    status, printed, ended = tell(demo, KeyboardInterrupt(), keep=keep)
    assert (status, ended, printed.splitlines()) == (130, end, last)


def test_a_cluster_that_never_was_up_is_not_told_of(demo: Demo) -> None:
    assert isinstance(demo.place, Place)
    demo.place.is_up = False
    status, printed, _ = tell(demo, TimeoutError("too late"), keep=True)
    assert status == 1
    assert "The cluster is still there" not in printed


def test_without_a_cluster_the_last_words_say_how_to_keep_one(demo: Demo) -> None:
    status, printed, end = tell(demo)
    assert (status, end) == (0, "down")
    assert "make demo KEEP=1" in printed


def test_no_place_tells_of_a_cluster_that_it_has_not_made(tmp_path: pathlib.Path) -> None:
    for place in (places.Kind(tmp_path, "1"), places.Testbed("1")):
        place.keep()
        assert place.access() == []


def put(folder: pathlib.Path, name: str, script: str) -> None:
    """Write a program that stands in for another's."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_kind_cluster_of_another_demo_stays_and_is_told_how_to_be_ended(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "kind", f'echo "$@" >>{tmp_path}/told; [ "$1" != get ] || echo foresail-demo')
    put(tmp_path, "helm", "echo v4.0.0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    place = places.Kind(tmp_path, "1")
    with pytest.raises(places.CommandError, match="end it with `scripts/kind delete cluster --name foresail-demo`"):
        place.up(lambda _: None)
    place.down()
    assert place.access() == []
    assert (tmp_path / "told").read_text() == "version\nget clusters\n"


def test_cluster_of_another_demo_stays_on_the_testbed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(wish: options.Options, listener: Listener) -> Cluster:
        raise TestbedError(f"a cluster named {wish.name} runs already")

    def attach(name: str) -> Cluster:
        raise AssertionError(f"{name} is looked for")

    put(tmp_path, "helm", "echo v4.0.0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(Cluster, "start", start)
    monkeypatch.setattr(Cluster, "attach", attach)
    place = places.Testbed("1")
    with pytest.raises(TestbedError, match="a cluster named demo runs already"):
        place.up(lambda _: None)
    place.down()


def test_images_are_those_that_the_demo_loads_whatever_the_environment_says(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "builder", f'echo "$@" >>{tmp_path}/told')
    for name, value in {"BUILDER": f"{tmp_path}/builder", "REGISTRY": "r", "TAG": "t", "VARIANT": "gpu"}.items():
        monkeypatch.setenv(name, value)
    wanted = places.Kind(tmp_path, "1").build_images()
    assert [name for name in wanted if f"-t {name} " not in (tmp_path / "told").read_text()] == []


def test_kind_cluster_goes_on_without_a_metrics_server_that_can_not_be_had(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Sequence[str]] = []
    told: list[str] = []

    def execute(words: Sequence[str], seconds: float) -> str:
        ran.append(words)
        if "rollout" in words:
            raise places.CommandError(f"`rollout` took more than {seconds:.0f} s")
        return ""

    put(tmp_path, "kind", "")
    put(tmp_path, "helm", "echo v4.0.0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(places, "execute", execute)
    places.Kind(tmp_path, "1").up(told.append)
    assert ran[-1][-4:] == ["delete", "apiservice", "v1beta1.metrics.k8s.io", "--ignore-not-found"]
    assert told[-1].startswith("metrics-server is left out")
    assert told[-1].endswith("`rollout` took more than 300 s")


def test_kind_cluster_that_failed_half_way_is_reached_by_its_kubeconfig_and_ended_by_its_name(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "kind", "")
    put(tmp_path, "helm", "echo v4.0.0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    place = places.Kind(tmp_path, "1")
    with pytest.raises(places.CommandError, match="kubectl"):  # this kind writes no kubeconfig
        place.up(lambda _: None)
    place.keep()
    assert place.access() == [
        f"export KUBECONFIG={tmp_path}/kubeconfig",
        "kubectl get mdep,pods,hpa        # .venv/bin/kubectl, if you have none",
        "scripts/kind delete cluster --name foresail-demo",
    ]
