"""How stable rankings of sources are. Pure."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.means import Means
from nertransfer.scoring.intervals import CONFIDENCE

# --- rankings of sources -----------------------------------------------------------------------------------

RANK_COLUMNS = ["best", "mean_rank", "low", "high"]


def resampled_means(means: Means, rng: np.random.Generator) -> np.ndarray:
    """Mean F1 over seeds with other sentences and other seeds: (resamples, configurations).

    The seeds' part is drawn from Student's t with the degrees of freedom of their variance, as in `mean_intervals`,
    less what comes from sentences and is counted there. A bootstrap of the seeds lacks these tails:
    of two equal sources with 2 seeds each it calls one surely the best (0.95) in 0.24 of simulated studies, with 5
    seeds in 0.16, where 0.1 would be right; this in 0.01 and 0.05 (0.09 where sentences vary as much as seeds).
    """
    found = means.resampled.copy()
    columns = zip(means.seeds, means.freedom, means.seed_variance, means.own_variance, strict=True)
    for place, (n, freedom, variance, own) in enumerate(columns):
        if variance > own:
            found[:, place] += rng.standard_t(freedom, size=len(found)) * math.sqrt((variance - own) / n)
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
