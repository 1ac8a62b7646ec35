"""How far a run is, on a terminal and where there is none."""

from __future__ import annotations

import io

import pytest

from foresail_runtime.offline import progress
from tests.runtime.timing import Clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_one_line_that_is_written_over() -> None:
    stream, clock = Terminal(), Clock()
    bar = progress.Bar(stream, clock)
    for second in range(1, 4):
        clock.now = float(second)
        bar.update(second * 100, second / 4, second - 1)
        bar.update(second * 100, second / 4, second - 1)
    bar.end(400, 2, "out.csv")
    shown = stream.getvalue().split("\r\x1b[K")
    assert shown[1] == "[######..................]  25% 100 rows, 100 rows/s, 3 s left"
    assert shown[3].startswith("[##################......]  75% 300 rows, 2 with errors, 100 rows/s, 1 s left"[:70])
    assert shown[4] == "out.csv: 400 rows, 2 with errors, 133 rows/s, 3 s\n"


def test_without_a_terminal_there_is_a_plain_line_each_ten_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    bar = progress.Bar(stream, clock)
    for second in range(1, 25):
        clock.now = float(second)
        bar.update(second * 10, second / 100, 0)
    bar.end(240, 0, "out.csv")
    lines = stream.getvalue().splitlines()
    assert lines == [
        "[##......................]  10% 100 rows, 10 rows/s, 1:30 left",
        "[####....................]  20% 200 rows, 10 rows/s, 1:20 left",
        "out.csv: 240 rows, 0 with errors, 10 rows/s, 24 s",
    ]


def test_what_an_earlier_run_did_counts_neither_for_the_rate_nor_for_the_time_left() -> None:
    stream, clock = io.StringIO(), Clock()
    bar = progress.Bar(stream, clock, rows=900, portion=0.5)
    clock.now = 10.0
    bar.update(1000, 0.6, 0)
    assert stream.getvalue().endswith("1,000 rows, 10 rows/s, 40 s left\n")


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (61, "1:01"), (7384, "2:03:04")])
def test_times_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert progress.span(seconds) == text
