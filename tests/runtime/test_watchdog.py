"""What is taken for a run that hangs."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from foresail_runtime import errors, watchdog
from foresail_runtime.engine import session

if TYPE_CHECKING:
    import pathlib
    from types import FrameType


@pytest.mark.parametrize(
    ("seconds", "usual", "hangs"),
    [
        (29.0, 0.01, False),
        (31.0, 0.01, True),
        (31.0, 5.0, False),
        (51.0, 5.0, True),
        (31.0, None, False),
        (601.0, None, True),
    ],
    ids=["short", "long", "long as usual", "far longer than usual", "a first run", "a first run beyond all bounds"],
)
def test_a_run_hangs_when_it_is_long_and_unusually_so(
    mlp: pathlib.Path, seconds: float, usual: float | None, hangs: bool
) -> None:
    engine = session.open_engine(mlp, session.Options(name="m"))
    run = watchdog.Run(sys._getframe(), engine, seconds)
    failure = watchdog.judge(run, 30.0, usual, 600.0)
    assert (failure is not None) is hangs
    if failure is not None:
        assert failure.reason == "ModelHung"
        assert "a run of model 'm' has not ended" in failure.message


class Held:
    """An engine's run that is held where it is, on a thread of its own."""

    def __init__(self, path: pathlib.Path) -> None:
        self.engine = session.open_engine(path, session.Options(name="m"))
        self.engine._run = self._wait
        self.entered = threading.Event()
        self.go = threading.Event()
        self.thread = threading.Thread(target=self.engine.run, args=({}, ()))
        self.thread.start()
        assert self.entered.wait(10)

    def _wait(self, *_: Any) -> list[Any]:
        self.entered.set()
        assert self.go.wait(10)
        return []

    def stacks(self) -> dict[int, FrameType]:
        return {self.thread.ident or 0: sys._current_frames()[self.thread.ident or 0]}

    def end(self) -> None:
        self.go.set()
        self.thread.join(10)


def test_a_run_is_timed_for_as_long_as_it_is_the_same(mlp: pathlib.Path) -> None:
    runs = watchdog.Runs()
    first = Held(mlp)
    assert [(run.engine, run.seconds) for run in runs.look(first.stacks(), 1.0)] == [(first.engine, 0.0)]
    assert [run.seconds for run in runs.look(first.stacks(), 1.0)] == [1.0]
    assert [run.seconds for run in runs.look(first.stacks(), 1.0)] == [2.0]
    second = Held(mlp)
    # The same thread as far as the watchdog can tell, and another run in it.
    other = {first.thread.ident or 0: next(iter(second.stacks().values()))}
    assert [(run.engine, run.seconds) for run in runs.look(other, 1.0)] == [(second.engine, 0.0)]
    first.end()
    second.end()
    assert runs.look({0: sys._getframe()}, 1.0) == []


def test_who_finds_a_run_that_hangs_says_so_and_then_ends_it_all(
    mlp: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "LAST_WORDS_SECONDS", 0.01)
    held = Held(mlp)
    told: list[tuple[str, errors.ModelUnusable]] = []
    bitten = threading.Event()
    dog = watchdog.Watchdog(0.02, lambda _: 0.0, 600.0, lambda *words: told.append(words), bitten.set)
    dog.start()
    assert bitten.wait(10)
    held.end()
    assert [(name, failure.reason) for name, failure in told] == [("m", "ModelHung")]


class Document:
    """Stands for what a request made."""


def test_a_look_keeps_nothing_of_what_threads_have_in_hand() -> None:
    dog = watchdog.Watchdog(30.0, lambda _: 0.0, 600.0, lambda *_: None, lambda: None)

    def work() -> weakref.ref[Document]:
        document = Document()
        assert not dog.look(1.0)  # while the document is in hand
        return weakref.ref(document)

    assert work()() is None
