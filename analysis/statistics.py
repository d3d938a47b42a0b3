"""How sure the numbers of a study are: intervals, tests, associations, the number of seeds needed. Pure.

F1 is a fraction here, except in `mixed_model`. Two things vary: the seed of fine-tuning, and the sentences that
happened to be in the test split. A configuration is a (start, source) with one cell for every seed. All cells of
a target are scored on the same sentences, so their scores move together when other sentences are drawn; every
function keeps them together by giving all cells the same weights. Randomness comes from the generator passed in.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import linalg, optimize, special, stats

from nertransfer.intervals import CONFIDENCE

Method = Literal["pearson", "spearman"]
DEFINED = 0.5
"""The share of resamples that must have a score; a single sentence is in 0.63 of them."""


# --- F1 on other sentences -------------------------------------------------------------------------------


def sentence_weights(sentences: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each sentence is drawn in each resample: (resamples, sentences), float32, rows sum to ``sentences``.

    The bootstrap of Efron and Tibshirani (1993). Raises ValueError when there is no sentence.
    """
    if sentences < 1:
        raise ValueError("no sentences to draw from")
    drawn = rng.integers(sentences, size=(resamples, sentences))
    drawn += sentences * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * sentences)
    return counts.reshape(resamples, sentences).astype(np.float32)


def resampled_f1(gold: np.ndarray, predicted: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Micro F1 of every cell in every resample: (resamples, cells), float64; 0 where nothing can be divided by.

    Entities counted by sentence: ``gold`` (sentences,), ``predicted`` and ``correct`` (cells, sentences);
    ``weights`` (resamples, sentences). The sums are whole numbers and exact below 16 million entities.
    """
    counts = np.concatenate([[gold], predicted, correct]).astype(np.float32)
    sums = weights.astype(np.float32, copy=False) @ counts.T
    cells = len(predicted)
    return _f1(sums[:, :1], sums[:, 1 : cells + 1], sums[:, cells + 1 :])


def _f1(gold: np.ndarray, predicted: np.ndarray, correct: np.ndarray) -> np.ndarray:
    entities = np.asarray(gold, float) + predicted
    return np.divide(2.0 * correct, entities, out=np.zeros(entities.shape), where=entities > 0)


# --- means over seeds and their differences --------------------------------------------------------------


@dataclass(frozen=True)
class Means:
    """Mean F1 over seeds of configurations scored on one test split, and what its variance is made of.

    ``mean``, ``seeds`` and the variances are (configurations,), ``resampled`` is (resamples, configurations): the
    mean over the same seeds on other sentences. ``seed_variance`` is the variance of F1 between seeds (ddof=1);
    ``own_variance`` is how much of it comes from sentences: the variance over resamples of a seed's F1 that the
    other seeds do not share. Both are 0 for one seed. A resample in which a configuration has no score is NaN.
    """

    mean: np.ndarray
    seeds: np.ndarray
    resampled: np.ndarray
    seed_variance: np.ndarray
    own_variance: np.ndarray


def means_over_seeds(f1: np.ndarray, resampled: np.ndarray, configuration: np.ndarray) -> Means:
    """What the intervals and differences of all configurations of a test split are computed from.

    ``f1`` (cells,) and ``resampled`` (resamples, cells) are fractions, ``configuration`` (cells,) says which
    configuration, 0, 1, ..., a cell is a seed of. A resample that leaves nothing to score is NaN for all cells of a
    configuration. Raises ValueError on other units, a configuration without a cell, a resample that only some of its
    cells have, or fewer than two resamples.
    """
    f1, configuration = np.asarray(f1, float), np.asarray(configuration, int)
    if np.any((f1 < 0) | (f1 > 1)):
        raise ValueError("F1 must be fractions from 0 to 1")
    seeds = np.bincount(configuration)
    if not len(seeds) or not seeds.all():
        raise ValueError("every configuration needs a cell")
    if len(resampled) < 2:
        raise ValueError("fewer than two resamples")
    member = (configuration[:, None] == np.arange(len(seeds))).astype(float)
    undefined = np.isnan(resampled)
    without = undefined @ member if undefined.any() else np.zeros((1, len(seeds)))
    if np.any((without > 0) & (without < seeds)):
        raise ValueError("a resample is NaN for some cells of a configuration only")
    mean, drawn = f1 @ member / seeds, np.where(undefined, 0, resampled) @ member / seeds
    others = np.maximum(seeds - 1, 1)  # 0 / 1 for one seed
    defined = len(resampled) - (without > 0).sum(axis=0)
    own = np.where(undefined, 0, resampled - drawn[:, configuration])
    own -= own.sum(axis=0) / np.maximum(defined, 1)[configuration]
    own[undefined] = 0
    return Means(
        mean,
        seeds,
        np.where(without > 0, np.nan, drawn),
        (f1 - mean[configuration]) ** 2 @ member / others,
        np.einsum("rc,rc->c", own, own) @ member / (others * np.maximum(defined - 1, 1)),
    )


def mean_intervals(means: Means, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits, each (configurations,), of the mean F1 over all seeds and all sentences.

    Seeds and sentences are crossed random effects. The distance of a limit from the mean is the root of the sum of
    squares of two distances (Banerjee 1960; Zou and Donner 2008): for seeds, that of Student's t interval of the mean
    of n seeds; for sentences, that of the percentile limit over resamples on the same side, which keeps the skewness
    near 0 and 1, less what ``own_variance`` already has in the first. It covers at least as often as it says where
    scores are near normal, with 2 seeds, too; a bootstrap of few seeds does not (Hesterberg 2015), and degrees of
    freedom by Satterthwaite lack up to 4 of 95 percent with 3 seeds. With few entities it covers less: in simulations
    with 40 sentences and F1 near 0 or 1, 0.91 to 0.95.

    With one seed it is the percentile interval over sentences, for that very model. Where all seeds score the same
    on all resamples (say, always 0) the interval is that point. It is over the resamples with a score; NaN where those
    are fewer than `DEFINED` of all.
    """
    level = (1 + confidence) / 2
    low, high = _quantiles(means.resampled, [1 - level, level])
    seeds = special.stdtrit(np.maximum(means.seeds - 1, 1), level) ** 2 * means.seed_variance / means.seeds
    own = special.ndtri(level) ** 2 * means.own_variance / means.seeds
    below, above = (
        np.sqrt(seeds + np.maximum(np.maximum(distance, 0) ** 2 - own, 0))
        for distance in (means.mean - low, high - means.mean)
    )
    return np.clip(means.mean - below, 0, 1), np.clip(means.mean + above, 0, 1)


def _quantiles(resampled: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(levels, columns) over the resamples with a number; NaN where they are fewer than `DEFINED` of all."""
    found = np.quantile(resampled, levels, axis=0)  # NaN where any is: slow to leave out, so only where needed
    some = np.flatnonzero(np.isnan(resampled).any(axis=0) & only_defined(resampled))
    found[:, some] = np.nanquantile(resampled[:, some], levels, axis=0)
    return found


def only_defined(resampled: np.ndarray) -> np.ndarray:
    """(columns,) whether enough of the resamples have a number."""
    return np.mean(~np.isnan(resampled), axis=0) >= DEFINED


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
    degrees of freedom of Satterthwaite (1946); without variance over sentences this is Welch's t test (1947).

    Where a side has a single seed nothing is known about seeds: interval and p are then over sentences only, and
    speak of these very models. Where neither seeds nor sentences vary nothing is known of others: NaN, for no finite
    sample shows that p is 0 (Davison and Hinkley 1997). Only resamples in which both sides have a score count; NaN
    where those are fewer than `DEFINED` of all.
    """
    first, second = np.asarray(first, int), np.asarray(second, int)
    sides = np.stack([first, second])
    several = (means.seeds[sides] > 1).all(axis=0)
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
        freedom = variance**2 / (between**2 / np.maximum(means.seeds[sides] - 1, 1)).sum(axis=0)
        freedom = np.where((between > 0).any(axis=0), freedom, np.inf)
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
    """`holm` of the column ``p``, with the index of the table; rows that are alike in ``by`` are a family of tests."""
    return table.groupby(by)["p"].transform(lambda p: pd.Series(holm(p), p.index))


# --- associations of matrices ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Association:
    """Correlation over ``n`` dyads (ordered pairs of different languages) and its two-sided p-value."""

    r: float
    p: float
    n: int


_ALL_PERMUTATIONS_UP_TO = 6


_BLOCK = 1000
"""Permutations held in memory at a time."""


def mantel(
    x: np.ndarray,
    y: np.ndarray,
    permutations: int,
    rng: np.random.Generator,
    method: Method = "pearson",
    given: np.ndarray | None = None,
) -> Association:
    """Correlation of two matrices (languages, languages) over their dyads, the diagonal left out.

    p: how often the correlation is as far from 0 when rows and columns of ``x`` are permuted together (Mantel 1967;
    quadratic assignment, Krackhardt 1988), because dyads that share a language are not independent. All
    permutations for up to 6 languages, the identity among them; else random ones and (1 + hits) / (1 + permutations).

    ``given`` is partialled out: ``r`` is the partial correlation (Smouse, Long and Sokal 1986), and what is permuted
    is the residual of ``x`` on ``given``, correlated with ``y`` given ``given`` again each time (double
    semi-partialling; Dekker, Krackhardt and Snijders 2007), which stays valid where ``x`` and ``given`` are related.

    A dyad with a NaN in any matrix is left out of all sums, also where a permutation moves it; a language without a
    dyad is left out. Ranks (``spearman``) are among the dyads that remain. NaN with too few dyads (3, or 4 with
    ``given``) or nothing that varies. Raises ValueError when the matrices are not square and of one shape.
    """
    matrices = [np.asarray(m, float) for m in (x, y, given) if m is not None]
    if any(m.ndim != 2 or m.shape != (len(matrices[0]),) * 2 for m in matrices):
        raise ValueError("the matrices must be square and of one shape")
    there = _dyads(*matrices)
    kept = there.any(axis=0) | there.any(axis=1)
    there, matrices = there[np.ix_(kept, kept)], [m[np.ix_(kept, kept)] for m in matrices]
    values = _centred([m[there] for m in matrices], method)
    n = int(there.sum())
    nothing = Association(math.nan, math.nan, n)
    if n < len(matrices) + 1:
        return nothing
    residuals = values[:2]
    if given is not None and values[2].any():
        residuals = [v - values[2] * (v @ values[2]) / (values[2] @ values[2]) for v in residuals]
    if any(r @ r <= 1e-12 * (v @ v) for r, v in zip(residuals, values, strict=False)):
        return nothing
    compared = [residuals[0], values[1], values[2] if given is not None else np.zeros(n)]
    languages = np.arange(len(there))
    if len(languages) <= _ALL_PERMUTATIONS_UP_TO:
        orders = np.array(list(itertools.permutations(languages)))
    else:
        random = rng.permuted(np.tile(languages, (permutations, 1)), axis=1)
        orders = np.concatenate([languages[None], random])
    blocks = (orders[first : first + _BLOCK] for first in range(0, len(orders), _BLOCK))
    found = np.concatenate([_permuted_correlations(block, there, *compared) for block in blocks])
    r = float(found[0])  # of the identity
    # a correlation that is not defined counts against, not for
    return Association(r, float(np.mean(~(np.abs(found) < abs(r) - 1e-9))), n)


def naive_association(x: np.ndarray, y: np.ndarray, method: Method = "pearson") -> Association:
    """Correlation over dyads as in `mantel`, with the p-value of scipy, as if dyads were independent.

    They are not: it is far too small as a rule, and here for comparison with published analyses that used it.
    """
    there = _dyads(x, y)
    a, b = x[there], y[there]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Association(math.nan, math.nan, len(a))
    r, p = stats.pearsonr(a, b) if method == "pearson" else stats.spearmanr(a, b)
    return Association(float(r), float(p), len(a))


def _dyads(*matrices: np.ndarray) -> np.ndarray:
    """Where all matrices have a number, off the diagonal."""
    return ~np.isnan(matrices).any(axis=0) & ~np.eye(len(matrices[0]), dtype=bool)


def _centred(values: Sequence[np.ndarray], method: Method) -> list[np.ndarray]:
    """Values, or their ranks, less their mean; exactly 0 where they do not vary."""
    if method == "spearman":
        values = [stats.rankdata(v) for v in values]
    return [v - v.mean() if len(v) and np.ptp(v) else np.zeros(len(v)) for v in values]


def _permuted_correlations(
    orders: np.ndarray, there: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Correlation of x, languages permuted, with y given z, for each row of ``orders``; over dyads in both places.

    ``x``, ``y``, ``z`` are (dyads,), in the order of ``there``; without z it is 0 everywhere.
    """
    rows, columns = np.nonzero(there)
    places = np.zeros(there.shape)
    places[there] = x
    orders_rows, orders_columns = orders[:, rows], orders[:, columns]
    a = places[orders_rows, orders_columns]
    both = there[orders_rows, orders_columns].astype(float)
    n, sum_y, sum_yy, sum_z, sum_zz, sum_yz = (both @ np.stack([np.ones(len(x)), y, y * y, z, z * z, y * z]).T).T
    sum_a, sum_ay, sum_az = (a @ np.stack([np.ones(len(x)), y, z]).T).T
    sum_aa = np.einsum("pd,pd->p", a, a)
    with np.errstate(divide="ignore", invalid="ignore"):
        aa, yy, zz = sum_aa - sum_a**2 / n, sum_yy - sum_y**2 / n, sum_zz - sum_z**2 / n
        ay, az, yz = sum_ay - sum_a * sum_y / n, sum_az - sum_a * sum_z / n, sum_yz - sum_y * sum_z / n
        on_z = np.where(zz > 1e-12 * max(float(z @ z), 1e-300), 1 / zz, 0)  # z that does not vary explains nothing
        return (ay - az * yz * on_z) / np.sqrt((aa - az**2 * on_z) * (yy - yz**2 * on_z))


# --- rankings of sources -----------------------------------------------------------------------------------

RANK_COLUMNS = ["best", "mean_rank", "low", "high"]


def resampled_means(
    f1: np.ndarray, resampled: np.ndarray, configuration: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Mean F1 over seeds with other sentences and other seeds: (resamples, configurations).

    Input as in `means_over_seeds`. The seeds' part is drawn from Student's t with n - 1 degrees of freedom, as in
    `mean_intervals`, less what comes from sentences and is counted there. A bootstrap of the seeds lacks these tails:
    of two equal sources with 2 seeds each it calls one surely the best (0.95) in 0.24 of simulated studies, with 5
    seeds in 0.16, where 0.1 would be right; this in 0.01 and 0.05 (0.09 where sentences vary as much as seeds).
    """
    means = means_over_seeds(f1, resampled, configuration)
    found = means.resampled.copy()
    for place, (n, variance, own) in enumerate(zip(means.seeds, means.seed_variance, means.own_variance, strict=True)):
        if variance > own:
            found[:, place] += rng.standard_t(n - 1, size=len(resampled)) * math.sqrt((variance - own) / n)
    return found


def rank_stability(resampled: np.ndarray, sources: Sequence[str], confidence: float = CONFIDENCE) -> pd.DataFrame:
    """How sure the ranking of ``sources`` for one target is, from resampled means (resamples, sources).

    Rows ``sources``; ``best``: the fraction of resamples in which the source is first, equally first ones share it;
    ``mean_rank``, 1 is first, equal ones have the mean of their ranks; ``low`` and ``high``: the interval of the
    rank. Only sources without NaN are ranked; the others have NaN. With `resampled_means` both seeds and sentences
    vary.
    """
    found = pd.DataFrame(np.nan, index=pd.Index(sources, name="source"), columns=RANK_COLUMNS)
    ranked = ~np.isnan(resampled).any(axis=0)
    if ranked.any():
        scores = resampled[:, ranked]
        first = scores == scores.max(axis=1, keepdims=True)
        ranks = stats.rankdata(-scores, axis=1)
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        low, high = np.quantile(ranks, tails, axis=0, method="inverted_cdf")
        best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
        found.loc[ranked] = np.column_stack([best, ranks.mean(axis=0), low, high])
    return found


def seed_rank_agreement(values: np.ndarray) -> float:
    """Mean over pairs of seeds of Kendall's tau-b (1945) between their rankings; ``values`` (seeds, sources).

    1: all seeds rank the sources alike; 0: no agreement. A pair of seeds is compared on the sources that both have.
    NaN where there is no pair of seeds, or none that ranks anything.
    """
    first, second = np.triu_indices(values.shape[1], 1)
    signs = np.sign(values[:, first] - values[:, second])
    there, signs = (~np.isnan(signs)).astype(float), np.nan_to_num(signs)
    untied = np.abs(signs) @ there.T
    with np.errstate(invalid="ignore"):
        tau = (signs @ signs.T) / np.sqrt(untied * untied.T)
    pairs = tau[np.triu_indices(len(values), 1)]
    pairs = pairs[~np.isnan(pairs)]
    return float(pairs.mean()) if len(pairs) else math.nan


# --- how many seeds ------------------------------------------------------------------------------------------

_MOST_SEEDS = 2**30


def seeds_needed(
    sd: float | np.ndarray, difference: float | np.ndarray, alpha: float = 0.05, power: float = 0.8
) -> np.ndarray:
    """Seeds per configuration for a two-sided two-sample t test to find ``difference`` with probability ``power``.

    ``sd`` between seeds, equal in both configurations, and ``difference`` of the means in one unit, of any shapes
    that broadcast; a float array of that shape. Noncentral t (Cohen 1988). At least 2, and 2 where ``sd`` is 0; inf
    where ``difference`` is 0 or more than 2^30 would be needed; NaN stays NaN. The test split is taken as given: more
    seeds do not make up for few sentences.
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


# --- a mixed model of all scores ---------------------------------------------------------------------------

TERM_COLUMNS = ["term", "estimate", "standard_error", "z", "p", "low", "high"]
INTERCEPT = "intercept"
IN_LANGUAGE = "in-language"
FEW_LEVELS = 5


@dataclass(frozen=True)
class MixedModel:
    """F1 in percent by start, in-language or not, source and target.

    ``terms``: `TERM_COLUMNS`, in points, Wald z, p and 95 % limits; empty where nothing could be fitted. ``sd``: the
    standard deviation of source, target and residual in points, NaN where it could not be estimated. ``n``: rows
    used. ``warnings``: what to know before trusting it, in words.
    """

    terms: pd.DataFrame
    sd: dict[str, float]
    n: int
    converged: bool
    warnings: tuple[str, ...]


def mixed_model(table: pd.DataFrame) -> MixedModel:
    """Linear mixed model of F1 with crossed random effects of source and target, by restricted maximum likelihood.

    ``table``: columns start, source, target, f1 (percent, the mean over seeds), one row for each of the three; rows
    may be absent or NaN. Fixed effects are start (the first in the table that has a score is the reference) and
    whether the target is the source; random ones source and target (Baayen, Davidson and Bates 2008). The same maximum
    and standard errors as lme4. Statsmodels' MixedLM seeks this maximum, too, but stops short of it, or fails, where a
    variance is near 0, which is common with few languages.

    What cannot be estimated is left out and said in ``warnings``. Wald tests take the number of languages as large:
    with few, p is too small. Raises ValueError when a start, source and target has two rows.
    """
    rows = table.dropna(subset=["f1"]).reset_index(drop=True)
    if rows.duplicated(["start", "source", "target"]).any():
        raise ValueError("a start, source and target has two rows")
    notes = [f"rows without a score: {len(table) - len(rows)}, left out"] if len(rows) < len(table) else []
    if rows.empty:
        return _not_fitted(rows, [*notes, "not fitted: there are no scores"])
    fixed = _fixed_effects(rows, notes)
    design, response = np.column_stack(list(fixed.values())), rows["f1"].to_numpy(float)
    effects = _random_effects(rows, design, notes)
    everything = np.column_stack([design, *effects.values()])
    crossed = everything.T @ everything
    if len(rows) <= np.linalg.matrix_rank(crossed, hermitian=True):
        return _not_fitted(rows, [*notes, f"not fitted: too few rows ({len(rows)}) for the terms of the model"])
    if not effects:
        return _not_fitted(rows, [*notes, "not fitted: no random effect is left"])
    rest = response - everything @ np.linalg.lstsq(crossed, everything.T @ response, rcond=None)[0]
    if rest @ rest <= 1e-10 * (response @ response):
        return _not_fitted(rows, [*notes, "not fitted: start, source and target explain all scores without a rest"])
    fit = _restricted_likelihood(response, design, list(effects.values()))
    for (name, indicators), ratio in zip(effects.items(), fit.ratios, strict=True):
        if indicators.shape[1] < FEW_LEVELS:
            notes.append(f"only {indicators.shape[1]} values of {name}: its sd is a rough guess")
        if ratio < 1e-3:
            notes.append(f"no variance between values of {name} was found")
    if not fit.converged:
        notes.append("the fit did not converge")
    z, half = fit.estimate / fit.error, special.ndtri((1 + CONFIDENCE) / 2) * fit.error
    p = 2 * special.ndtr(-np.abs(z))
    columns = [list(fixed), fit.estimate, fit.error, z, p, fit.estimate - half, fit.estimate + half]
    terms = pd.DataFrame(dict(zip(TERM_COLUMNS, columns, strict=True)))
    sd = _NO_SD | dict(zip(effects, (fit.ratios * fit.residual).tolist(), strict=True)) | {"residual": fit.residual}
    return MixedModel(terms, sd, len(rows), fit.converged, tuple(notes))


_NO_SD = dict.fromkeys(("source", "target", "residual"), math.nan)


def _not_fitted(rows: pd.DataFrame, notes: Sequence[str]) -> MixedModel:
    return MixedModel(pd.DataFrame(columns=TERM_COLUMNS), dict(_NO_SD), len(rows), False, tuple(notes))


def _fixed_effects(rows: pd.DataFrame, notes: list[str]) -> dict[str, np.ndarray]:
    """Columns of the design matrix by term; a term that is a combination of those before is left out and noted."""
    reference, *others = dict.fromkeys(rows["start"])
    asked = {INTERCEPT: np.ones(len(rows)), IN_LANGUAGE: (rows["source"] == rows["target"]).to_numpy(float)}
    asked |= {f"start {name}": (rows["start"] == name).to_numpy(float) for name in others}
    kept: dict[str, np.ndarray] = {}
    basis = np.empty((len(rows), 0))
    for term, column in asked.items():
        own = column - basis @ (basis.T @ column)
        if np.linalg.norm(own) > 1e-6 * np.linalg.norm(column):
            kept[term], basis = column, np.column_stack([basis, own / np.linalg.norm(own)])
        elif term == IN_LANGUAGE:
            notes.append(f"{term} is left out: the targets are {'always' if column.all() else 'never'} the source")
        else:
            notes.append(f"{term} is left out: it cannot be told apart from {IN_LANGUAGE} and start {reference}")
    return kept


def _random_effects(rows: pd.DataFrame, design: np.ndarray, notes: list[str]) -> dict[str, np.ndarray]:
    """Indicators of source and target, (rows, levels), if their variances can be told apart; others are noted.

    They can where the covariance matrices they and the residual imply, without what the fixed effects explain, are
    linearly independent.
    """
    basis = np.linalg.qr(design)[0]
    freedom = float(len(design) - design.shape[1])
    kept: dict[str, np.ndarray] = {}
    left: list[np.ndarray] = []
    for name in ("source", "target"):
        indicators = pd.get_dummies(rows[name]).to_numpy(float)
        tried = [*left, indicators - basis @ (basis.T @ indicators)]
        products = np.array([[np.sum((a.T @ b) ** 2) for b in tried] for a in tried])
        traces = [np.sum(a**2) for a in tried]
        gram = np.block([[freedom, np.array(traces)], [np.array(traces)[:, None], products]])
        size = np.sqrt(np.diag(gram))
        if np.all(size > 1e-6) and np.linalg.eigvalsh(gram / np.outer(size, size))[0] > 1e-8:
            kept[name], left = indicators, tried
        else:
            notes.append(f"{name} is left out as a random effect: its variance cannot be told apart from other terms")
    return kept


@dataclass(frozen=True)
class _Fit:
    """One maximum: fixed effects, their standard errors, ratios of sd to the residual sd, the residual sd."""

    estimate: np.ndarray
    error: np.ndarray
    ratios: np.ndarray
    residual: float
    converged: bool


def _restricted_likelihood(response: np.ndarray, design: np.ndarray, effects: Sequence[np.ndarray]) -> _Fit:
    """The maximum over the ratios of the profiled restricted likelihood (Bates et al. 2015, eq. 42).

    All from the cross products, so that an evaluation does not depend on the number of rows. The likelihood is the same
    for a ratio of either sign: so none is at a bound, and 0 is a maximum like any other. Its gradient there is 0
    whether it is one or not, so none is used.
    """
    indicators, known = np.column_stack(list(effects)), np.column_stack([design, response])
    crossed, mixed, plain = indicators.T @ indicators, indicators.T @ known, known.T @ known
    sizes, terms = [e.shape[1] for e in effects], design.shape[1]
    freedom = len(response) - terms

    def solved(ratios: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """-2 log likelihood less a constant; the root of [X y]' V^-1 [X y], V relative to residual, in two parts."""
        scale = np.repeat(ratios, sizes)
        inner = np.linalg.cholesky(np.eye(len(scale)) + scale[:, None] * crossed * scale)
        half = linalg.solve_triangular(inner, scale[:, None] * mixed, lower=True)
        root = np.linalg.cholesky(plain - half.T @ half)
        deviance = 2 * np.log(np.diag(inner)).sum() + 2 * np.log(np.diag(root)[:-1]).sum()
        return deviance + 2 * freedom * np.log(root[-1, -1]), root[:-1, :-1], root[-1]

    # as inverse hyperbolic sines: near 0 the ratio itself, then its logarithm; to 10^4
    options = {"xatol": 1e-6, "fatol": 1e-7}
    bounds = [(-math.asinh(1e4), math.asinh(1e4))] * len(effects)
    fits = [
        optimize.minimize(lambda x: solved(np.sinh(x))[0], start, method="Nelder-Mead", bounds=bounds, options=options)
        for start in itertools.product((0.1, 2.0), repeat=len(effects))
    ]
    best = min(fits, key=lambda fit: fit.fun)
    ratios = np.sinh(np.abs(best.x))
    _, root, last = solved(ratios)
    inverse = linalg.solve_triangular(root, np.eye(terms), lower=True)
    residual = float(last[-1]) / math.sqrt(freedom)
    error = residual * np.sqrt(np.sum(inverse**2, axis=0))
    return _Fit(inverse.T @ last[:-1], error, ratios, residual, bool(best.success))
