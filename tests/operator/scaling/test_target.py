import pytest

from foresail_operator.scaling import target


@pytest.mark.parametrize(
    ("size", "seconds", "wanted"),
    [
        (None, None, target.UNKNOWN),
        (1, 0.0, target.UNKNOWN),
        (1, 0.1, 1.0),  # a detector: one picture at a time
        (8, 0.2, 6.0),  # one run of a slow batch, less the headroom
        (64, 0.004, 267.0),  # a small table: what is answered within a tenth of a second
        (64, 0.00006, 348.0),  # a run of microseconds: a request's own cost is what bounds it
        (1, 2.0, 1.0),
        (8, 5e-324, target.UNKNOWN),  # no clock measures that
        (2**53 - 1, 1e-9, 350.0),
    ],
)
def test_the_target_is_what_a_pod_answers_soon(size: int | None, seconds: float | None, wanted: float) -> None:
    assert target.concurrency(size, seconds, 1000) == wanted


@pytest.mark.parametrize(("size", "seconds", "wanted"), [(64, 0.004, 7.0), (1, 0.1, 1.0), (None, None, target.UNKNOWN)])
def test_a_target_is_met_before_the_queue_is_full(size: int | None, seconds: float | None, wanted: float) -> None:
    assert target.concurrency(size, seconds, 10) == wanted


@pytest.mark.parametrize(
    ("size", "seconds", "cores", "wanted"),
    [
        (64, 0.00006, None, 348.0),
        (64, 0.00006, 4.0, 348.0),
        (64, 0.00006, 0.25, 87.0),  # a quarter of a core answers a quarter of that
        (1, 0.005, 0.25, 3.0),  # 48 a second; by its fastest run it would be 13
        (4, 0.004, 1.5, 46.0),  # two threads, let run for three quarters of the time
        (1, 0.030, 0.25, 1.0),
        (4, 0.160, 0.25, 3.0),  # held up when it was measured already
        (8, 0.2, 2.0, 6.0),
        (8, 0.2, 0.0, 6.0),  # a limit of nothing is none
        (8, 0.2, 1e-300, 1.0),
    ],
)
def test_a_cpu_limit_that_holds_runs_up_is_reckoned_with(
    size: int, seconds: float, cores: float | None, wanted: float
) -> None:
    assert target.concurrency(size, seconds, 1000, cores) == wanted
