"""Ways to rank the sources of a target: what was seen on other targets -> contributions of features. Pure.

A ranker gives every candidate a contribution by feature; their sum is its score, higher is better, so what spoke for a
source is part of the answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.ranking.features import MEAN_TRANSFER
from analysis.ranking.mixed import MODEL, Mixed, Rows

PENALTY = 1.0
"""Of the linear model, as scikit-learn's Ridge has it by default."""
GRADES = 10
"""Grade of a target's best source; the next have one less each, none below 0 (Lin et al. 2019)."""


@dataclass(frozen=True)
class Fold:
    """One target left out, as target and as source.

    ``names`` of the features (f,); of the pairs of other languages ``features`` (pairs, f), ``f1`` (pairs,) in percent
    and ``target`` (pairs,), which of the other targets a pair has; ``candidates`` by name, and ``asked``
    (candidates, f), their features with the target that was left out. Nothing in it comes from a score on that target
    or of that source. ``model`` of all scores is asked for ``rows`` (candidates,) as if nothing had been seen of the
    languages ``gone``, but for ``start``.
    """

    names: tuple[str, ...]
    features: np.ndarray
    f1: np.ndarray
    target: np.ndarray
    candidates: list[str]
    asked: np.ndarray
    model: Mixed
    rows: Rows
    gone: list[str]
    start: str


Contributions = np.ndarray
"""(candidates, features), or (candidates, `mixed.PARTS`) of the mixed model."""


@dataclass(frozen=True)
class Ranker:
    """``needs``: the feature it goes by, or none where it learns from scores."""

    label: str
    contributions: Callable[[Fold], Contributions]
    needs: str = ""


def one_feature(name: str, sign: int, label: str) -> Ranker:
    """Ranks by a single feature, the highest (``sign`` 1) or the lowest (-1) first."""

    def contributions(fold: Fold) -> Contributions:
        found = np.zeros_like(fold.asked)
        found[:, fold.names.index(name)] = sign * fold.asked[:, fold.names.index(name)]
        return found

    return Ranker(label, contributions, name)


def ridge(features: np.ndarray, f1: np.ndarray) -> np.ndarray:
    """Weights per unit of each feature (f,) of a ridge regression.

    Features are standardised (ddof=0, as by scikit-learn's StandardScaler), the mean is not penalised (Hoerl and
    Kennard 1970). In closed form, for the report has no time to load a library for it.
    """
    mean, sd = features.mean(axis=0), features.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    standard = (features - mean) / sd
    penalty = PENALTY * np.eye(features.shape[1])
    weights = np.linalg.solve(standard.T @ standard + penalty, standard.T @ (f1 - f1.mean()))
    return weights / sd


def linear(fold: Fold) -> Contributions:
    """Points of F1 that a feature adds to a candidate, compared with the average candidate."""
    return (fold.asked - fold.asked.mean(axis=0)) * ridge(fold.features, fold.f1)


def grades(f1: np.ndarray) -> np.ndarray:
    """Relevance of the sources of one target, whole numbers: `GRADES` for the highest F1, one less for each source that
    is better, at least 0; equal F1 has the same grade."""
    better = np.sum(f1[None, :] > f1[:, None], axis=1)
    return np.maximum(GRADES - better, 0)


def lambdarank(fold: Fold) -> Contributions:
    """Gradient-boosted trees that learn to order the sources of a target (LambdaRank, Burges 2010).

    The settings of LangRank (Lin et al. 2019, "Choosing Transfer Languages for Cross-Lingual Learning"): 100 trees of
    16 leaves with 5 pairs at least, learning rate 0.1. Contributions are Shapley values, compared with the average
    candidate. One thread and no sampling, so the result is always the same.
    """
    import lightgbm  # takes seconds to load, and the report does without

    order = np.argsort(fold.target, kind="stable")
    _, sizes = np.unique(fold.target, return_counts=True)
    relevance = np.concatenate([grades(fold.f1[fold.target == target]) for target in np.unique(fold.target)])
    settings = {
        "objective": "lambdarank", "num_leaves": 16, "learning_rate": 0.1, "min_data_in_leaf": 5, "verbosity": -1,
        "num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": 0,
    }  # fmt: skip
    data = lightgbm.Dataset(fold.features[order], relevance, group=sizes)
    model = lightgbm.train(settings, data, num_boost_round=100)
    shapley = np.asarray(model.predict(fold.asked, pred_contrib=True, num_threads=1))[:, :-1]
    return shapley - shapley.mean(axis=0)


def model(fold: Fold) -> Contributions:
    """Points of F1 that the mixed model adds to a candidate, compared with the average candidate."""
    parts = fold.model.parts(fold.rows, fold.gone, fold.start)
    return parts - parts.mean(axis=0)


def expected_f1(fold: Fold) -> np.ndarray:
    """F1 of every candidate in percent, by the mixed model, (candidates,); not held to 0 ... 100."""
    return fold.model.f1(fold.rows, fold.gone, fold.start)


RANKERS: Mapping[str, Ranker] = {
    "average": one_feature(MEAN_TRANSFER, 1, "best on average over the other targets"),
    "train_size": one_feature("train_size", 1, "biggest train split"),
    "word_overlap": one_feature("word_overlap", 1, "most words in common"),
    "names": one_feature("name_overlap", 1, "most names in common"),
    "relatives": one_feature("genetic_distance", -1, "closest relative"),
    "geography": one_feature("geographic_distance", -1, "nearest place"),
    "hidden_states": one_feature("centre_similarity", 1, "nearest hidden states"),
    "linear": Ranker("ridge regression on all features", linear),
    "lambdarank": Ranker("LambdaRank on all features (LangRank)", lambdarank),
    MODEL: Ranker("mixed model of starts, sources, names and relatives", model),
}
"""By name, the simplest first (`nertransfer.core.config.RANKERS`)."""

QUICK = tuple(name for name in RANKERS if name != "lambdarank")
"""Those that take no time."""


def order(fold: Fold, contributions: Contributions) -> np.ndarray:
    """Places of the candidates, the best first (candidates,); of equals the one that transfers best, then by name."""
    keys = [np.array(fold.candidates), -contributions.sum(axis=1).round(9)]
    if MEAN_TRANSFER in fold.names:
        keys.insert(1, -fold.asked[:, fold.names.index(MEAN_TRANSFER)].round(9))
    return np.lexsort(keys)
