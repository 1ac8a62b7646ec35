from hypothesis import given
from hypothesis import strategies as st

from foresail_operator.scaling.window import Peak, Window


def test_a_window_forgets_what_is_older_than_its_span() -> None:
    window = Window(2.0)
    for now in range(10):
        window.add(now, now)
    assert (window.mean(-1), window.highest(-1), window.lowest(-1), window.latest()) == (8.0, 9, 7, 9)


def test_an_empty_stretch_has_no_mean() -> None:
    window = Window(10.0)
    assert (window.latest(), window.mean(0), window.highest(0), window.lowest(0)) == (None, None, None, None)
    window.add(1.0, 5.0)
    assert window.mean(1.0) is None


@given(st.lists(st.tuples(st.floats(0.1, 3), st.floats(-100, 100)), min_size=1, max_size=60), st.floats(0.5, 20))
def test_a_peak_is_the_maximum_of_its_span_whatever_comes(steps: list[tuple[float, float]], span: float) -> None:
    peak, seen, now = Peak(span), list[tuple[float, float]](), 0.0
    for passed, value in steps:
        now += passed
        peak.add(now, value)
        seen.append((now, value))
        assert peak.highest(now) == max(value for at, value in seen if at > now - span)
    assert peak.highest(now + span + 0.1) is None
