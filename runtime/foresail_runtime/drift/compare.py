"""How far apart two sets of counts over the same bins are. Pure arithmetic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PSEUDO_COUNT: Final = 0.5
"""Added to every bin before shares are taken, so that an empty bin has no infinite logarithm (Krichevsky-Trofimov)."""
MODERATE_PSI: Final = 0.1
MAJOR_PSI: Final = 0.25
_PRECISION: Final = 1e-12
_MOST_TERMS: Final = 1000


def psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """Return the population stability index: the sum of (q - p) ln(q / p) over the bins' shares.

    0 is the same distribution; by custom 0.1 is a moderate shift and 0.25 a major one. It is Jeffreys' divergence,
    both Kullback-Leibler divergences added up (H. Jeffreys, An invariant form for the prior probability in
    estimation problems, Proc. R. Soc. A 186, 1946); the name and the custom are those of credit scoring
    (N. Siddiqi, Credit Risk Scorecards, 2006).
    """
    bins = len(reference)
    p_total = sum(reference) + PSEUDO_COUNT * bins
    q_total = sum(current) + PSEUDO_COUNT * bins
    shares = [
        ((one + PSEUDO_COUNT) / p_total, (other + PSEUDO_COUNT) / q_total)
        for one, other in zip(reference, current, strict=True)
    ]
    return sum((q - p) * math.log(q / p) for p, q in shares)


def expected_psi(bins: int, reference_rows: int, rows: int) -> float:
    """Return the index that so few rows have by chance, where nothing has shifted: (B - 1)(1/n + 1/m).

    For large samples of one distribution the index is (1/n + 1/m) times a chi-square variable of B - 1 degrees of
    freedom, whose mean is B - 1 (B. Yurdakul and J. Naranjo, Statistical properties of the population stability
    index, Journal of Risk Model Validation 14(4), 2020).
    """
    return (bins - 1) * (1 / max(1, reference_rows) + 1 / max(1, rows))


def chi_square(reference: Sequence[int], current: Sequence[int]) -> tuple[float, int]:
    """Return the two-sample chi-square statistic for unequal totals, and its degrees of freedom.

    The sum of (sqrt(S/R) R_i - sqrt(R/S) S_i)^2 / (R_i + S_i) over the bins that are not empty in both, where R and S
    are the totals; a degree of freedom less than such bins (Press et al., Numerical Recipes, 3rd ed., 14.3.3).
    """
    r_total, s_total = sum(reference), sum(current)
    if not r_total or not s_total:
        return 0.0, 0
    r_factor, s_factor = math.sqrt(s_total / r_total), math.sqrt(r_total / s_total)
    pairs = [(r, s) for r, s in zip(reference, current, strict=True) if r + s]
    statistic = sum((r_factor * r - s_factor * s) ** 2 / (r + s) for r, s in pairs)
    return statistic, len(pairs) - 1


def p_value(statistic: float, degrees: int) -> float:
    """Return how often chance alone gives a chi-square statistic as large: Q(degrees / 2, statistic / 2).

    Q is the regularised upper incomplete gamma function, as a series where its argument is small and as a continued
    fraction where it is not (Press et al., Numerical Recipes, 3rd ed., 6.2).
    """
    if degrees < 1 or statistic <= 0:
        return 1.0
    a, x = degrees / 2, statistic / 2
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1.0 - scale * _series(a, x) if x < a + 1 else scale * _fraction(a, x)


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, _MOST_TERMS):
        term *= x / (a + n)
        total += term
        if term < total * _PRECISION:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """Evaluate the continued fraction from its front (Lentz's method)."""
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    value = d
    for n in range(1, _MOST_TERMS):
        step = -n * (n - a)
        b += 2
        d = 1 / _nonzero(step * d + b, tiny)
        c = _nonzero(b + step / c, tiny)
        value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _nonzero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


def verdict(index: float, expected: float, rows: int) -> str:
    """Return `unknown` where there are too few rows to tell, else `stable`, `moderate` or `major`.

    Too few are those whose index would be moderate by chance; what chance explains is taken off before judging.
    """
    if not rows or expected >= MODERATE_PSI:
        return "unknown"
    excess = index - expected
    return "major" if excess >= MAJOR_PSI else "moderate" if excess >= MODERATE_PSI else "stable"
