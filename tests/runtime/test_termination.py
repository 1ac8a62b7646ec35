"""Last words that are left beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foresail_runtime import contract, termination

if TYPE_CHECKING:
    import pathlib

MIB = 2**20


def held(path: pathlib.Path) -> int | None:
    found = contract.Termination.decode(path.read_text())
    assert found is not None
    assert found.reason == "ModelCrashed"
    return found.memory_bytes


def test_what_is_foretold_has_the_memory_of_the_last_look_once_it_has_moved(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "termination"
    foretold = termination.Foretold(str(path), "fraud")
    assert held(path) is None
    foretold.look(100 * MIB)
    assert held(path) == 100 * MIB
    foretold.look(104 * MIB)
    assert held(path) == 100 * MIB
    foretold.look(106 * MIB)
    assert held(path) == 106 * MIB


def test_a_reason_that_came_later_is_not_written_over(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "termination"
    foretold = termination.Foretold(str(path), "fraud")
    foretold.close()
    path.write_text("the reason")
    foretold.look(100 * MIB)
    assert path.read_text() == "the reason"


def test_this_process_holds_memory() -> None:
    assert MIB < termination.resident_bytes() < 2**40
