"""Intervals of a mean from few values. Pure."""

import math

import numpy as np
from scipy import special

CONFIDENCE = 0.95
POINTS = 100.0
"""No difference of F1 is of more points."""


def interval(values: np.ndarray, least: float, most: float, new: bool = False) -> tuple[float, float, float]:
    """Mean of ``values`` (n,) and its 95 % interval by Student's t, or that of a ``new`` value; held to the limits.

    The limits are NaN for fewer than two values. What the values share (seeds: the test sentences; targets: their
    sources) is not in it.
    """
    n = len(values)
    if not n:
        return math.nan, math.nan, math.nan
    mean = min(most, max(least, float(values.mean())))
    if n < 2:
        return mean, math.nan, math.nan
    reach = special.stdtrit(n - 1, (1 + CONFIDENCE) / 2) * values.std(ddof=1) * math.sqrt(1 / n + (1 if new else 0))
    return mean, max(least, mean - reach), min(most, mean + reach)
