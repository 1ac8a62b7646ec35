"""The folder of all runs: what is the testbed's own in it, and what it leaves alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from foresail_testbed import errors, layout, runs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all runs, not made yet."""
    place = tmp_path / "runs"
    monkeypatch.setenv(layout.RUNS_VARIABLE, str(place))
    return place


def test_folder_of_runs_is_made_for_its_owner_alone(folder: Path) -> None:
    with runs.exclusively():
        assert folder.stat().st_mode & 0o777 == 0o700


def test_dead_run_is_removed_and_a_folder_that_was_never_one_stays(folder: Path) -> None:
    with runs.exclusively():
        for name in ("precious", "empty", "alive", "dead"):
            (folder / name / "sub").mkdir(parents=True)
        (folder / "empty" / "sub").rmdir()
        (folder / "dead" / "keeper.lock").touch()
        (folder / "alive" / "sub").rmdir()
        (folder / "alive").rmdir()
        with runs.claim(layout.Run.named("alive")):
            runs.remove_stale()
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["alive", "empty", "precious"]


def test_run_takes_the_empty_folder_of_a_start_that_was_killed_but_no_other(folder: Path) -> None:
    with runs.exclusively():
        (folder / "begun").mkdir()
        runs.claim(layout.Run.named("begun")).close()
        (folder / "precious" / "sub").mkdir(parents=True)
        with pytest.raises(errors.TestbedError, match="precious is there and is no cluster's: remove it or choose"):
            runs.claim(layout.Run.named("precious"))


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_folder_that_others_can_write_to_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    refuse(folder)


@pytest.mark.parametrize("there", [True, False])
def test_link_in_the_place_of_the_folder_is_refused_and_what_it_leads_to_stays(folder: Path, there: bool) -> None:
    home = folder.with_name("home")
    folder.symlink_to(home)
    if there:
        (home / "user").mkdir(parents=True)
    refuse(folder)
    assert home.exists() == there


def test_file_in_the_place_of_the_folder_is_refused(folder: Path) -> None:
    folder.touch()
    refuse(folder)


def refuse(folder: Path) -> None:
    words = f"{re.escape(str(folder))} is no folder of this user's alone: remove it or set FORESAIL_TESTBED_RUNS"
    with pytest.raises(errors.TestbedError, match=words), runs.exclusively():
        pass
