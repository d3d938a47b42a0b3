"""Means over seeds and their intervals, from seeds and sentences resampled together. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from nertransfer.scoring.intervals import CONFIDENCE

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
    other seeds do not share. Both are 0 for one seed. ``freedom``: degrees of freedom of ``seed_variance``, one less
    than seeds unless more is known (`moderation`). A resample in which a configuration has no score is NaN.
    ``fixed``: booleans, those that have no seed, so that their only result is all there is; None: none of them.
    """

    mean: np.ndarray
    seeds: np.ndarray
    resampled: np.ndarray
    seed_variance: np.ndarray
    own_variance: np.ndarray
    freedom: np.ndarray
    fixed: np.ndarray | None = None

    @property
    def known(self) -> np.ndarray:
        """Booleans: whether it is known how the seeds of a configuration vary."""
        return (self.seeds > 1) | (False if self.fixed is None else self.fixed)


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
        others.astype(float),
    )


def mean_intervals(means: Means, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits, each (configurations,), of the mean F1 over all seeds and all sentences.

    Seeds and sentences are crossed random effects. The distance of a limit from the mean is the root of the sum of
    squares of two distances (Banerjee 1960; Zou and Donner 2008): for seeds, that of Student's t interval of the mean
    of n seeds, with the degrees of freedom of their variance; for sentences, that of the percentile limit over
    resamples on the same side, which keeps the skewness near 0 and 1, less what ``own_variance`` already has in the
    first. It covers at least as often as it says where scores are near normal, with 2 seeds, too; a bootstrap of few
    seeds does not (Hesterberg 2015), and degrees of freedom by Satterthwaite lack up to 4 of 95 percent with 3 seeds.
    With few entities it covers less: in simulations with 40 sentences and F1 near 0 or 1, 0.91 to 0.95.

    With one seed it is the percentile interval over sentences, for that very model. Where all seeds score the same
    on all resamples (say, always 0) the interval is that point. It is over the resamples with a score; NaN where those
    are fewer than `DEFINED` of all.
    """
    level = (1 + confidence) / 2
    low, high = _quantiles(means.resampled, [1 - level, level])
    seeds = special.stdtrit(means.freedom, level) ** 2 * means.seed_variance / means.seeds
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
