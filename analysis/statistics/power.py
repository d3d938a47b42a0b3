"""How many seeds a comparison needs, and what more seeds cannot do for want of sentences. Pure."""

import numpy as np
from scipy import special, stats

_MOST_SEEDS = 2**30


def seeds_needed(
    sd: float | np.ndarray, difference: float | np.ndarray, alpha: float = 0.05, power: float = 0.8
) -> np.ndarray:
    """Seeds per configuration for a two-sided two-sample t test to find ``difference`` with probability ``power``.

    ``sd`` between seeds, equal in both configurations, and ``difference`` of the means in one unit, of any shapes
    that broadcast; a float array of that shape. Noncentral t (Cohen 1988). At least 2, and 2 where ``sd`` is 0; inf
    where ``difference`` is 0 or more than 2^30 would be needed; NaN stays NaN. The test split is taken as given: more
    seeds do not make up for few sentences (`power`).
    """
    sd, difference = np.broadcast_arrays(np.asarray(sd, float), np.abs(np.asarray(difference, float)))
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.where((sd == 0) & (difference > 0), np.inf, np.where(difference == 0, 0 * sd, difference / sd))

    def enough(n: np.ndarray) -> np.ndarray:
        shift, freedom = np.minimum(effect * np.sqrt(n / 2), 1e6), 2 * n - 2
        bound = special.stdtrit(freedom, 1 - alpha / 2)
        # the far tail underflows to NaN where it is 0
        found = stats.nct.sf(bound, freedom, shift) + np.nan_to_num(stats.nct.cdf(-bound, freedom, shift))
        return found >= power

    high = np.full(effect.shape, 2.0)
    while np.any(short := ~enough(high) & (high < _MOST_SEEDS) & (effect > 0)):
        high = np.where(short, 2 * high, high)
    found = enough(high)
    low = np.where(high > 2, high / 2, high)  # not enough, or the least
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        inside = enough(middle)
        low, high = np.where(inside, low, middle), np.where(inside, middle, high)
    return np.where(np.isnan(effect), np.nan, np.where(found, high, np.inf))


def power(
    sd: float | np.ndarray,
    sentence_sd: float | np.ndarray,
    difference: float | np.ndarray,
    seeds: float | np.ndarray,
    alpha: float = 0.05,
) -> np.ndarray:
    """Probability that a two-sided test of two configurations finds ``difference``, other seeds and sentences varying.

    ``sd`` between seeds, as in `seeds_needed`; ``sentence_sd``: of the difference of the two means over test sets of
    this size, with as many seeds as one likes. ``seeds`` of each configuration, at least 2, or inf: then the test set
    alone is left. Noncentral t with the degrees of freedom that `comparison.differences` has on average; with 3 seeds
    it says 0.04 too much. All of any shapes that broadcast, in one unit; NaN stays NaN.
    """
    sd, sentence_sd, difference, seeds = np.broadcast_arrays(
        *(np.asarray(x, float) for x in (sd, sentence_sd, np.abs(difference), seeds))
    )
    between, shared = sd**2 / seeds, sentence_sd**2
    error = np.sqrt(2 * between + shared)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(between > 0, error**4 * (seeds - 1) / (2 * between**2), 1e9)
        shift = np.where((error == 0) & (difference > 0), 1e6, np.minimum(difference / error, 1e6))
    freedom = np.minimum(freedom, 1e9)
    bound = special.stdtrit(freedom, 1 - alpha / 2)
    # the far tail underflows to NaN where it is 0
    found = stats.nct.sf(bound, freedom, shift) + np.nan_to_num(stats.nct.cdf(-bound, freedom, shift))
    return np.where(np.isnan(sd + sentence_sd + difference + seeds), np.nan, found)


def smallest_difference(sentence_sd: float | np.ndarray, alpha: float = 0.05, power: float = 0.8) -> np.ndarray:
    """The difference that a test set shows with probability ``power`` however many seeds there are.

    ``sentence_sd`` as in `power`; the tail on the other side is left out, which is below 1e-5.
    """
    return (special.ndtri(1 - alpha / 2) + special.ndtri(power)) * np.asarray(sentence_sd, float)
