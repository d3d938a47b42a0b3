"""Differences of two configurations: intervals, tests, Holm's correction. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special, stats

from analysis.statistics.means import Means, only_defined
from nertransfer.scoring.intervals import CONFIDENCE


@dataclass(frozen=True)
class Differences:
    """Differences of mean F1 as fractions with their intervals and two-sided p: arrays (pairs,)."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def differences(
    means: Means, first: Sequence[int] | np.ndarray, second: Sequence[int] | np.ndarray, confidence: float = CONFIDENCE
) -> Differences:
    """Mean F1 of configurations ``first`` minus that of ``second``: (pairs,) places in ``means``.

    Sentences are paired, seeds are independent: the variance is that between the seeds of either side, over their
    number, plus the variance over resamples of the difference of means that all seeds share. Student t with the
    degrees of freedom of Satterthwaite (1946); without variance over sentences this is Welch's t test (1947). Where a
    variance has more degrees of freedom than its seeds give, as moderated ones do, those of Satterthwaite are too many
    (levels of 7 % in simulations): the limits are then as in `mean_intervals` (Banerjee 1960), and p is of the t
    distribution that has these limits.

    Where a side has a single seed nothing is known about seeds: interval and p are then over sentences only, and
    speak of these very models. A side that has no seeds (`Means.fixed`) varies over sentences alone. Where neither
    seeds nor sentences vary nothing is known of others: NaN, for no finite sample shows that p is 0 (Davison and
    Hinkley 1997). Only resamples in which both sides have a score count; NaN where those are fewer than `DEFINED` of
    all.
    """
    first, second = np.asarray(first, int), np.asarray(second, int)
    sides = np.stack([first, second])
    several = means.known[sides].all(axis=0)
    between = np.where(several, means.seed_variance[sides] / means.seeds[sides], 0)
    own = np.where(several, means.own_variance[sides] / means.seeds[sides], 0)
    apart = means.resampled[:, first] - means.resampled[:, second]
    sentences = apart.var(axis=0, ddof=1)
    some = np.flatnonzero(np.isnan(sentences) & only_defined(apart))
    sentences[some] = np.nanvar(apart[:, some], axis=0, ddof=1)
    variance = between.sum(axis=0) + np.maximum(sentences - own.sum(axis=0), 0)
    # what rounding leaves of equal scores is no variance, and no difference
    error = np.where(variance < 1e-24, np.nan, np.sqrt(variance))
    estimate = means.mean[first] - means.mean[second]
    estimate = np.where(np.abs(estimate) < 1e-12, 0, estimate)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = variance**2 / (between**2 / means.freedom[sides]).sum(axis=0)
        freedom = np.where((between > 0).any(axis=0), freedom, np.inf)
        level = (1 + confidence) / 2
        more = (means.freedom > np.maximum(means.seeds - 1, 1))[sides].any(axis=0)
        moderated = np.flatnonzero(more & several & (variance >= 1e-24))
        squares = (special.stdtrit(means.freedom[sides], level) ** 2 * between).sum(axis=0)
        squares += special.ndtri(level) ** 2 * (variance - between.sum(axis=0))
        bound = np.sqrt(squares[moderated] / variance[moderated])
        freedom[moderated] = special.stdtridf(level, np.maximum(bound, special.ndtri(level) + 1e-4))
        t = np.abs(estimate) / error
    half = special.stdtrit(freedom, (1 + confidence) / 2) * error
    p = 2 * special.stdtr(freedom, -t)
    return Differences(estimate, np.clip(estimate - half, -1, 1), np.clip(estimate + half, -1, 1), p)


def mann_whitney(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Two-sided p-value of the Mann-Whitney U test of two samples of seeds; NaN where a side is empty.

    As the published study: scipy's own choice, exact for few seeds without ties, where it is never below 2 / 252 with 5
    seeds on either side; approximate with ties. It looks at seeds only.
    """
    if not len(a) or not len(b):
        return math.nan
    return float(stats.mannwhitneyu(a, b, alternative="two-sided").pvalue)


def holm(p: Sequence[float] | np.ndarray | pd.Series) -> np.ndarray:
    """P-values adjusted by Holm's method (1979), in the order given; NaN stays NaN and is no test of the family."""
    values = np.asarray(p, float)
    adjusted = np.full(values.shape, np.nan)
    order = np.argsort(values)[: np.sum(~np.isnan(values))]  # NaN are last
    stepped = (len(order) - np.arange(len(order))) * values[order]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return adjusted


def holm_by(table: pd.DataFrame, by: str | list[str]) -> pd.Series:
    """`holm` of the column ``p``, with the index of the table; rows that are alike in ``by`` are a family of tests.

    A family is a whole table. ``by`` is for tables that put one question to the same scores in several ways (methods of
    correlation, attributes or categories of entities): each way is a family; no question counts once for each way.
    """
    return table.groupby(by)["p"].transform(lambda p: pd.Series(holm(p), p.index))
