"""Numbers on vectors of words: centres, distances, silhouettes, nearest-centre accuracy, CKA. Pure arrays.

Every ``draws`` argument is how often each row is drawn in every resample, [resamples, rows]. Intervals are the estimate
plus and minus 1.96 bootstrap standard errors: a word drawn twice lies at no distance from itself, so that percentiles
of resampled distances and similarities would be off to one side.
"""

from collections.abc import Sequence

import numpy as np
from scipy import special

from nertransfer.scoring.intervals import CONFIDENCE

Z = float(special.ndtri((1 + CONFIDENCE) / 2))
"""Standard normal quantile of a two-sided interval."""


def interval(estimate: float, resampled: np.ndarray, low: float = -np.inf, high: float = np.inf) -> tuple[float, float]:
    """95 % interval from resampled estimates [resamples], held to what is possible; NaN with fewer than two."""
    known = resampled[~np.isnan(resampled)]
    if len(known) < 2:
        return np.nan, np.nan
    reach = Z * float(known.std(ddof=1))
    return max(low, estimate - reach), min(high, estimate + reach)


def resampled_centres(vectors: np.ndarray, groups: np.ndarray, names: Sequence[str], draws: np.ndarray) -> np.ndarray:
    """Mean vector of every group in every resample, [resamples, names, size]; NaN where none of it was drawn.

    ``vectors`` [rows, size], ``groups`` [rows] the name of each row's group.
    """
    found = np.full((len(draws), len(names), vectors.shape[1]), np.nan, dtype=np.float32)
    for i, name in enumerate(names):
        mine = groups == name
        weight = draws[:, mine].sum(axis=1)
        there = weight > 0
        found[there, i] = draws[there][:, mine] @ vectors[mine] / weight[there, None]
    return found


def mean_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distance between vectors [..., size] of the same places, averaged over all but the first axis."""
    distances = np.linalg.norm(a - b, axis=-1)
    return distances.reshape(len(distances), -1).mean(axis=1)


def silhouettes(vectors: np.ndarray, labels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Silhouette of every row [rows] under each labelling (Rousseeuw 1987), Euclidean; NaN where there is one label."""
    from sklearn.metrics import pairwise_distances, silhouette_samples  # slow to import, and rarely needed

    distances = pairwise_distances(vectors.astype(np.float64))
    np.fill_diagonal(distances, 0.0)
    found = []
    for one in labels:
        number = len(np.unique(one))
        possible = 2 <= number < len(one)
        found.append(
            silhouette_samples(distances, one, metric="precomputed") if possible else np.full(len(one), np.nan)
        )
    return found


def weighted_means(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Mean of ``values`` [rows] in every resample [resamples]."""
    weight = draws.sum(axis=1)
    return np.where(weight > 0, draws @ values / np.maximum(weight, 1), np.nan)


def nearest_centre(
    vectors: np.ndarray, gold: np.ndarray, centres: np.ndarray, draws: np.ndarray | None = None
) -> np.ndarray:
    """Share of words nearest to the centre of their own category, averaged over categories [resamples].

    ``vectors`` [words, size]; ``gold`` [words] index of each word's category; ``centres`` [resamples, categories,
    size]; ``draws`` [resamples, words], None: each word once. Euclidean. A category without a word is left out.
    """
    resamples, categories, size = centres.shape
    flat = centres.reshape(-1, size).astype(np.float32)
    # |x - c|^2 without |x|^2, which is the same for all centres
    closeness = (flat**2).sum(axis=1) - 2 * (vectors.astype(np.float32) @ flat.T)
    choice = closeness.reshape(len(vectors), resamples, categories).argmin(axis=2)
    right = (choice == gold[:, None]).T.astype(np.float32)  # [resamples, words]
    weights = np.ones_like(right) if draws is None else draws
    member = np.eye(categories, dtype=np.float32)[gold]  # [words, categories]
    total, hits = weights @ member, (weights * right) @ member
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nanmean(np.where(total > 0, hits / total, np.nan), axis=1)


def own_centre(vectors: np.ndarray, gold: np.ndarray, categories: int) -> float:
    """`nearest_centre` within one language, each word left out of the centre of its own category; NaN for few words."""
    counts = np.bincount(gold, minlength=categories)
    if (counts < 2).any():
        return float("nan")
    vectors = vectors.astype(np.float64)
    centres = np.stack([vectors[gold == i].mean(axis=0) for i in range(categories)])
    distances = np.stack([np.linalg.norm(vectors - centre, axis=1) for centre in centres], axis=1)
    rows = np.arange(len(gold))
    # without the word, its centre is farther away by n / (n - 1)
    distances[rows, gold] *= counts[gold] / (counts[gold] - 1)
    right = distances.argmin(axis=1) == gold
    return float(np.mean([right[gold == i].mean() for i in range(categories)]))


def gram(vectors: np.ndarray) -> np.ndarray:
    """Scalar products of rows [rows, size], centred: float32 [rows, rows]."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    return (centred @ centred.T).astype(np.float32)


def _weighted(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A `gram` centred anew with ``weights`` [rows], how often each row counts, as one vector of length 1."""
    total = float(weights.sum())
    means = matrix @ weights / total
    centred = matrix - means[:, None] - means + float(weights @ means) / total
    root = np.sqrt(weights)
    flat = (centred * root[:, None] * root).ravel()
    norm = float(np.linalg.norm(flat))
    return flat / norm if norm > 0 else flat


def cka(several: Sequence[np.ndarray], draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear CKA between every two of several models on the same rows: estimate and bootstrap standard error.

    Kornblith et al. (2019), section 3. Each of ``several`` is [rows, size of its own]; returns two matrices [models,
    models]. 1: equal up to rotation and scale.
    """
    grams = [gram(one) for one in several]
    once = np.ones((1, len(grams[0])), np.float32)
    # one resample at a time: the matrices of all would not fit
    found = np.array([_products([_weighted(one, w) for one in grams]) for w in np.concatenate([once, draws])])
    spread = found[1:].std(axis=0, ddof=1) if len(draws) > 1 else np.full_like(found[0], np.nan)
    return found[0], spread


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two vectors [size]; NaN where one has no length."""
    lengths = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(a @ b) / lengths if lengths > 0 else np.nan


def centre_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the mean vectors of two sets of vectors of one model, [rows, size] and [other rows, size]."""
    return cosine(a.mean(axis=0, dtype=np.float64), b.mean(axis=0, dtype=np.float64))


def covariance_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the covariance matrices of two sets of vectors of one model, [rows, size] and [other rows, size].

    That is linear CKA with the dimensions of the model as what both have in common, for rows that are no pairs; 1: both
    vary in the same directions (Herdin et al. 2005 call 1 less this the correlation matrix distance). NaN for one row.
    """
    a, b = (one - one.mean(axis=0, dtype=np.float64) for one in (a, b))
    # scalar products of covariance matrices without making them: there are fewer rows than dimensions
    lengths = np.linalg.norm(a @ a.T) * np.linalg.norm(b @ b.T)
    return float(np.linalg.norm(a @ b.T) ** 2 / lengths) if lengths > 0 else np.nan


def _products(grams: Sequence[np.ndarray]) -> np.ndarray:
    stacked = np.stack(grams)
    return (stacked @ stacked.T).astype(np.float64)
