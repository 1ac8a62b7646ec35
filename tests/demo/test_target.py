"""Where the demo runs, and the sentence it ends with where it can't."""

from __future__ import annotations

import dataclasses

import pytest

from demo.target import Machine, NowhereError, Target, choose

BARE = Machine(docker_answers=False, system="Darwin", is_root=False)
LINUX_ROOT = dataclasses.replace(BARE, system="Linux", is_root=True)
DOCKER = dataclasses.replace(BARE, docker_answers=True)


@pytest.mark.parametrize(
    ("machine", "target"),
    [
        (DOCKER, Target.KIND),
        (dataclasses.replace(LINUX_ROOT, docker_answers=True), Target.KIND),
        (LINUX_ROOT, Target.TESTBED),
    ],
    ids=["docker", "kind before the testbed", "root on Linux"],
)
def test_first_target_that_can_run_is_taken(machine: Machine, target: Target) -> None:
    assert choose(machine) is target


def test_wish_is_followed_where_it_can_be() -> None:
    both = dataclasses.replace(LINUX_ROOT, docker_answers=True)
    assert choose(both, Target.TESTBED) is Target.TESTBED


@pytest.mark.parametrize(
    ("machine", "wish", "sentence"),
    [
        (
            BARE,
            None,
            (
                "The demo needs a cluster: start Docker (its daemon does not answer); "
                "or use Linux, where the project can start a cluster of its own."
            ),
        ),
        (
            dataclasses.replace(BARE, system="Linux"),
            None,
            (
                "The demo needs a cluster: start Docker (its daemon does not answer); "
                "or run it as root on Linux, where the project can start a cluster of its own."
            ),
        ),
        (
            LINUX_ROOT,
            Target.KIND,
            "The demo can't run on kind here: start Docker (its daemon does not answer).",
        ),
    ],
    ids=["neither", "Linux without root", "a wish that can't be"],
)
def test_what_is_missing_is_one_sentence(machine: Machine, wish: Target | None, sentence: str) -> None:
    with pytest.raises(NowhereError) as error:
        choose(machine, wish)
    assert str(error.value) == sentence
