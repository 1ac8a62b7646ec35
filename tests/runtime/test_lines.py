"""Lines that are gathered: written together, all of them, in order, and never more than a bound held back."""

from __future__ import annotations

import threading

from foresail_runtime import lines

FOREVER = 3600.0


class Sink:
    """Where lines go; can be told to fail."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.written = threading.Event()
        self.failure: Exception | None = None

    def write(self, data: bytes) -> None:
        self.written.set()
        if self.failure is not None:
            raise self.failure
        self.pieces.append(data)


def test_lines_are_written_soon_by_themselves() -> None:
    sink = Sink()
    gathered = lines.Lines(sink.write, pause_seconds=0.001)
    gathered.add("one\n")
    assert sink.written.wait(10)
    gathered.close()
    assert sink.pieces == [b"one\n"]


def test_a_close_writes_what_has_gathered_in_one_piece() -> None:
    sink = Sink()
    gathered = lines.Lines(sink.write, pause_seconds=FOREVER)
    for number in range(100):
        gathered.add(f"{number}\n")
    gathered.close()
    assert sink.pieces == [b"".join(b"%d\n" % number for number in range(100))]


def test_lines_added_while_others_are_written_stay_in_order() -> None:
    sink = Sink()
    gathered = lines.Lines(sink.write, pause_seconds=0.0)
    for number in range(50_000):
        gathered.add(f"{number}\n")
    gathered.close()
    assert b"".join(sink.pieces).split() == [b"%d" % number for number in range(50_000)]


def test_what_is_held_back_is_bounded() -> None:
    sink = Sink()
    gathered = lines.Lines(sink.write, pause_seconds=FOREVER)
    for _ in range(lines.MOST_LINES + 1):
        gathered.add("x\n")
    assert b"".join(sink.pieces).count(b"x") == lines.MOST_LINES + 1


def test_a_log_that_nobody_reads_loses_lines_and_nothing_else() -> None:
    sink = Sink()
    sink.failure = BrokenPipeError()
    gathered = lines.Lines(sink.write, pause_seconds=0.001)
    gathered.add("one\n")
    gathered.flush()
    sink.failure = None
    gathered.add("\udcff two\n")
    gathered.close()
    assert sink.pieces == [b"? two\n"]
