import pytest

from foresail_operator.scaling import target


@pytest.mark.parametrize(
    ("size", "seconds", "wanted"),
    [
        (None, None, target.UNKNOWN),
        (1, 0.0, target.UNKNOWN),
        (1, 0.1, 1.0),  # a detector: one picture at a time
        (8, 0.2, 6.0),  # one run of a slow batch, less the headroom
        (64, 0.004, 1120.0),  # a small table: what is answered within a tenth of a second
        (1, 2.0, 1.0),
        (8, 5e-324, target.UNKNOWN),  # no clock measures that
        (2**53 - 1, 1e-9, pytest.approx(6.3e23, rel=0.01)),
    ],
)
def test_the_target_is_what_a_pod_answers_soon(size: int | None, seconds: float | None, wanted: float) -> None:
    assert target.concurrency(size, seconds) == wanted
