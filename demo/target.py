"""Where the demo can run on this machine: kind where Docker answers, else the testbed, else nowhere."""

from __future__ import annotations

import dataclasses
import enum


class Target(enum.StrEnum):
    """A kind of cluster that the demo can make."""

    KIND = "kind"
    TESTBED = "testbed"


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """What matters of the machine."""

    docker_answers: bool
    system: str
    """As platform.system() says it: Linux, Darwin, Windows."""
    is_root: bool


class NowhereError(Exception):
    """The demo can't run here; the message is a sentence that says what is missing."""


def choose(machine: Machine, wish: Target | None = None) -> Target:
    """Return where to run.

    Raises:
        NowhereError: Neither kind nor the testbed can run here, or the one that was asked for can't.
    """
    lacking = {target: missing(machine, target) for target in Target}
    for target in (wish,) if wish else Target:
        if lacking[target] is None:
            return target
    if wish:
        raise NowhereError(f"The demo can't run on {wish} here: {lacking[wish]}.")
    raise NowhereError(f"The demo needs a cluster: {lacking[Target.KIND]}; or {lacking[Target.TESTBED]}.")


def missing(machine: Machine, target: Target) -> str | None:
    """Return what is missing for a target, None if nothing is."""
    match target:
        case Target.KIND if not machine.docker_answers:
            return "start Docker (its daemon does not answer)"
        case Target.TESTBED if machine.system != "Linux":
            return "use Linux, where the project can start a cluster of its own"
        case Target.TESTBED if not machine.is_root:
            return "run it as root on Linux, where the project can start a cluster of its own"
        case _:
            return None
