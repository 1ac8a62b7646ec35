"""The measures, against numbers worked out by hand and tables in print."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foresail_runtime.drift import compare

counts = st.lists(st.integers(0, 10_000), min_size=2, max_size=12)


def pairs() -> st.SearchStrategy[tuple[list[int], list[int]]]:
    return st.integers(2, 12).flatmap(
        lambda size: st.tuples(*[st.lists(st.integers(0, 10_000), min_size=size, max_size=size)] * 2)
    )


def test_psi_is_the_sum_over_the_bins_worked_out_by_hand() -> None:
    # With half a count more in each bin: 49.5 and 150.5 of 200, then 99.5 and 100.5 of 200.
    p, q = (49.5 / 200, 150.5 / 200), (99.5 / 200, 100.5 / 200)
    by_hand = (q[0] - p[0]) * math.log(q[0] / p[0]) + (q[1] - p[1]) * math.log(q[1] / p[1])
    assert compare.psi([49, 150], [99, 100]) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.27550, abs=1e-5)


def test_psi_of_a_tenth_that_moved_is_the_textbook_s() -> None:
    # Ten even bins; the last lost all but a half of its share to the first: (.15-.1)ln 1.5 + (.05-.1)ln .5 = .05493.
    reference = [100_000] * 10
    current = [150_000, *[100_000] * 8, 50_000]
    assert compare.psi(reference, current) == pytest.approx(0.05493, abs=1e-4)


@given(counts)
def test_the_same_counts_have_neither_psi_nor_chi_square(same: list[int]) -> None:
    assert compare.psi(same, same) == pytest.approx(0, abs=1e-12)
    assert compare.chi_square(same, same)[0] == pytest.approx(0, abs=1e-9)


@given(pairs())
def test_psi_is_never_negative_and_the_same_both_ways(pair: tuple[list[int], list[int]]) -> None:
    assert compare.psi(*pair) >= 0
    assert compare.psi(*pair) == pytest.approx(compare.psi(*reversed(pair)))
    assert math.isfinite(compare.psi(*pair))


def test_chi_square_for_equal_totals_is_the_sum_of_squares_over_sums() -> None:
    # (20-30)^2/50 + (30-20)^2/50 + (50-50)^2/100 = 2 + 2 + 0
    statistic, degrees = compare.chi_square([20, 30, 50, 0], [30, 20, 50, 0])
    assert statistic == pytest.approx(4.0)
    assert degrees == 2


def test_chi_square_takes_unequal_totals_into_account() -> None:
    # The contingency table [[10, 20], [30, 20]]: 80 (10*20 - 20*30)^2 / (30*50*40*40) = 5.3333
    statistic, degrees = compare.chi_square([10, 20], [30, 20])
    assert statistic == pytest.approx(80 * 400**2 / (30 * 50 * 40 * 40))
    assert degrees == 1


@given(pairs())
def test_a_multiple_of_the_same_shares_has_no_chi_square(pair: tuple[list[int], list[int]]) -> None:
    reference, _ = pair
    assert compare.chi_square(reference, [3 * count for count in reference])[0] == pytest.approx(0, abs=1e-6)


def test_without_rows_there_is_nothing_to_tell() -> None:
    assert compare.chi_square([1, 2], [0, 0]) == (0.0, 0)
    assert compare.p_value(0.0, 0) == 1.0
    assert compare.verdict(0.0, compare.expected_psi(10, 1000, 0), 0) == "unknown"


@pytest.mark.parametrize(
    ("degrees", "at_5_percent", "at_1_percent", "at_a_thousandth"),
    [
        (1, 3.841, 6.635, 10.828),
        (2, 5.991, 9.210, 13.816),
        (5, 11.070, 15.086, 20.515),
        (10, 18.307, 23.209, 29.588),
        (30, 43.773, 50.892, 59.703),
        (100, 124.342, 135.807, 149.449),
    ],
)
def test_p_values_are_those_of_the_printed_tables(
    degrees: int, at_5_percent: float, at_1_percent: float, at_a_thousandth: float
) -> None:
    assert compare.p_value(at_5_percent, degrees) == pytest.approx(0.05, rel=2e-3)
    assert compare.p_value(at_1_percent, degrees) == pytest.approx(0.01, rel=2e-3)
    assert compare.p_value(at_a_thousandth, degrees) == pytest.approx(0.001, rel=4e-3)


def test_two_degrees_of_freedom_are_an_exponential() -> None:
    for statistic in (0.01, 0.5, 2.0, 3.9, 4.1, 20.0, 300.0):
        assert compare.p_value(statistic, 2) == pytest.approx(math.exp(-statistic / 2), rel=1e-9)


def test_samples_of_one_distribution_have_the_psi_that_is_expected_of_chance() -> None:
    random = np.random.default_rng(3)
    shares = np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    found = [
        compare.psi(random.multinomial(4000, shares).tolist(), random.multinomial(1000, shares).tolist())
        for _ in range(400)
    ]
    assert np.mean(found) == pytest.approx(compare.expected_psi(5, 4000, 1000), rel=0.15)


@pytest.mark.parametrize(
    ("psi", "rows", "word"),
    [(0.05, 5000, "stable"), (0.15, 5000, "moderate"), (0.4, 5000, "major"), (0.4, 50, "unknown")],
)
def test_a_verdict_takes_off_what_chance_explains(psi: float, rows: int, word: str) -> None:
    assert compare.verdict(psi, compare.expected_psi(11, 10_000, rows), rows) == word
