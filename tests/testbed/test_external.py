"""A cluster of somebody else's: how its Services are reached, how images get to kind's nodes, and
what is said where they can't."""

import os
import select
from pathlib import Path

import pytest

from foresail_testbed import errors, external, layout

ARCHIVE = Path("runtime.tar")


def write_kubeconfig(folder: Path, context: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(f"apiVersion: v1\nkind: Config\ncurrent-context: {context}\n")
    return path


def write_kind(folder: Path) -> Path:
    """Write a kind that notes what it is told; returns the note's place."""
    told = folder / "told"
    (folder / "kind").write_text(f'#!/bin/sh\necho "$@" >{told}\n')
    (folder / "kind").chmod(0o755)
    return told


@pytest.mark.parametrize("variable", ["PATH", layout.ASSETS_VARIABLE])
def test_images_go_to_a_kind_cluster_by_the_kind_on_path_or_else_by_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    told = write_kind(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv(layout.ASSETS_VARIABLE, raising=False)
    monkeypatch.delenv(external.LOADED_VARIABLE, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    external.External(write_kubeconfig(tmp_path, "kind-mine")).load_image(ARCHIVE)
    assert told.read_text() == "load image-archive runtime.tar --name mine\n"


def test_images_of_another_cluster_are_the_users_to_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(external.LOADED_VARIABLE, raising=False)
    foreign = external.External(write_kubeconfig(tmp_path, "production"))
    with pytest.raises(errors.TestbedError, match=r"push runtime.tar where .* FORESAIL_E2E_IMAGES_LOADED=1"):
        foreign.load_image(ARCHIVE)
    monkeypatch.setenv(external.LOADED_VARIABLE, "1")
    foreign.load_image(ARCHIVE)


def test_port_is_the_one_that_kubectl_has_chosen_and_nothing_it_says_afterwards_stops_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "end")
    opened = os.open(tmp_path / "end", os.O_RDONLY | os.O_NONBLOCK)
    chatter = "echo 'Forwarding from 127.0.0.1:34567 -> 8080'; head -c 1000000 /dev/zero | tr '\\0' '\\n'"
    with external.forwarded(["sh", "-c", f"{chatter}; echo said >{tmp_path}/end"]) as port:
        assert port == 34567
        assert select.select([opened], [], [], 10)[0]
    os.close(opened)


def test_what_kubectl_warns_of_before_it_forwards_stops_nothing() -> None:
    """As it does while an aggregated API is not there yet, which the demo registers."""
    warning = "echo 'E1126 memcache.go:265] could not get resource list for custom.metrics.k8s.io/v1beta2' >&2"
    with external.forwarded(["sh", "-c", f"{warning}; echo 'Forwarding from 127.0.0.1:34567 -> 8080'"]) as port:
        assert port == 34567


@pytest.mark.parametrize("first", ["true", "echo E1126 a warning >&2"], ids=["at once", "after a warning"])
def test_forward_that_fails_is_told_in_kubectls_words(first: str) -> None:
    words = "kubectl port-forward: error: no such service"
    with (
        pytest.raises(errors.TestbedError, match=words),
        external.forwarded(["sh", "-c", f"{first}; echo error: no such service >&2"]),
    ):
        pass
