"""What a start, an order or an end says where something is missing, refused or late."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from foresail_testbed import __main__ as program
from foresail_testbed import cluster, control, errors, host, layout, options

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path


def put(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program before that of its name."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_machine_that_makes_no_namespaces_is_told_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "unshare", "echo unshare failed: not permitted >&2; exit 1", monkeypatch)
    words = r"namespaces can't be made here \(unshare failed: not permitted\): a container needs --privileged"
    with pytest.raises(errors.TestbedError, match=words):
        host.require_namespaces()


def test_inside_that_never_began_is_told_with_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "setpriv", "echo setpriv: this can not be >&2; exit 1", monkeypatch)
    monkeypatch.setenv(layout.RUNS_VARIABLE, str(tmp_path / "runs"))
    words = r"did not start: its namespaces could not be made\n--- machine\nsetpriv: this can not be"
    keeper = cluster.launch_keeper(options.Options(name="lost", nodes=0), {}, detached=False)
    with keeper, pytest.raises(errors.TestbedError, match=words):
        cluster.follow(keeper, lambda _: None)
    assert list((tmp_path / "runs").glob("*")) == [tmp_path / "runs" / ".lock"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (subprocess.CalledProcessError(2, ["ip", "link"], stderr="no bridge\n"), "exit status 2.: no bridge"),
        (subprocess.CalledProcessError(2, ["mount"], stderr=b"no overlay"), "exit status 2.: no overlay"),
        (subprocess.CalledProcessError(2, ["mount"]), r"exit status 2\.$"),
        (subprocess.TimeoutExpired(["ctr"], 30, stderr=b"importing"), "timed out after 30 seconds: importing"),
        (OSError(28, "No space left"), "No space left"),
    ],
)
def test_error_of_a_command_is_told_with_what_the_command_said(error: Exception, words: str) -> None:
    assert re.search(words, errors.explain(error))


def test_order_that_takes_too_long_is_answered_and_ends_nothing() -> None:
    def late() -> None:
        raise subprocess.TimeoutExpired("ctr", 30)

    assert "timed out after 30 seconds" in control.answer('{"order": "late", "with": {}}', {"late": late})


def unreached(folder: Path) -> pytest.RaisesExc[errors.TestbedError]:
    words = (
        f"cluster {folder.name} gives no answer .*: it is still starting, or has ended; its logs are in {folder}/log"
    )
    return pytest.raises(errors.TestbedError, match=words)


def test_order_to_a_cluster_that_does_not_listen_yet_is_refused_with_where_to_look(tmp_path: Path) -> None:
    with unreached(tmp_path):
        control.send(tmp_path / "control.sock", "states")


def test_order_to_a_cluster_that_has_ended_is_refused_with_where_to_look(tmp_path: Path) -> None:
    control.listen(tmp_path / "control.sock").close()
    with unreached(tmp_path):
        control.send(tmp_path / "control.sock", "states")


@pytest.fixture
def breaking(tmp_path: Path) -> Iterator[Path]:
    """The socket of a supervisor that ends while it carries out an order."""
    place = tmp_path / "control.sock"
    with control.listen(place) as server:
        thread = threading.Thread(target=take_and_end, args=[server])
        thread.start()
        yield place
        thread.join()


def take_and_end(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.makefile().readline()


def test_order_during_which_the_cluster_ends_is_refused_with_where_to_look(breaking: Path) -> None:
    with unreached(breaking.parent):
        control.send(breaking, "states")


def test_down_removes_what_a_cluster_has_left_whose_keeper_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(layout.RUNS_VARIABLE, str(tmp_path / "runs"))
    run = layout.Run.named("killed")
    run.folder.mkdir(parents=True)
    run.lock.touch()
    assert program.down(argparse.Namespace(name="killed")) == 0
    assert not run.folder.exists()
