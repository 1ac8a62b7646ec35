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
