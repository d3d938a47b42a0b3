"""The pairs of languages of a study, with features and scores, and what is left of them without one target. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.overlap import token_forms
from analysis.rankers import Fold
from analysis.ranking_features import FEATURES, MEAN_TRANSFER, Aids, Known, facts, of_pair, profile
from nertransfer.corpus import Corpus
from nertransfer.errors import InputError
from nertransfer.uriel import PREFIXES

LEAST_TARGETS = 4
LEAST_SOURCES = 3
OPTIONAL = (
    "subtoken_overlap", "entity_overlap",
    "source_fertility", "target_fertility", "fertility_distance", "source_unknown", "target_unknown",
    "centre_similarity", "covariance_similarity", *(f"{kind}_distance" for kind in PREFIXES),
)  # fmt: skip
"""Features that need something to be given: nobody misses them otherwise."""
NO_AIDS = Aids()


@dataclass(frozen=True)
class Pairs:
    """Sources and targets with features and scores, nothing missing.

    ``f1`` (sources, targets) in percent, NaN where the target is the source; the last column is all NaN where it is
    the target that is asked for. ``names`` of the features (f,), ``values`` (sources, targets, f), NaN where the target
    is the source. ``missing``: (source, target) without a score; ``dropped``: sources and targets left out for them;
    ``unknown``: features left out, for at least one pair lacks them, and one such pair.
    """

    sources: list[str]
    targets: list[str]
    f1: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray
    missing: list[tuple[str, str]]
    dropped: list[str]
    unknown: dict[str, tuple[str, str]]

    @property
    def scored(self) -> list[int]:
        """Places of the targets that have scores."""
        return [j for j in range(len(self.targets)) if not np.isnan(self.f1[:, j]).all()]


def known_languages(
    languages: Sequence[str],
    corpora: Mapping[str, Corpus],
    families: Mapping[str, str],
    labels: bool = False,
    aids: Aids = NO_AIDS,
) -> dict[str, Known]:
    """What is known of the languages of a study: from their train splits, where all are there, and of `facts`.

    ``labels``: of their dev splits, too, for the overlap of entities.
    """
    there = all(name in corpora for name in languages)
    found = {}
    for name in languages:
        counted: dict[str, object] = {}
        if there:
            one = corpora[name]
            counted["text"] = profile([sentence.words for sentence in one.train.sentences], aids.subtokens, aids.states)
            if labels:
                counted |= {"entities": token_forms(one.train), "labels": token_forms(one.dev)}
        found[name] = facts(name, families.get(name, ""), aids.typology.get(name), **counted)
    return found


def feature_table(known: Mapping[str, Known], asked: Mapping[str, Known] | None = None) -> pd.DataFrame:
    """`FEATURES` of all ordered pairs of the ``known`` languages, and of those with an ``asked`` target.

    Index (source, target). A language that is also asked for is a target as it is asked for.
    """
    sizes = [one.text.sentences for one in known.values() if one.text is not None]
    limits = (min(sizes), max(sizes)) if sizes else None
    targets = {**known, **(asked or {})}
    rows = {
        (source, target): of_pair(ours, theirs, limits)
        for source, ours in known.items()
        for target, theirs in targets.items()
        if source != target
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["source", "target"])
    return pd.DataFrame(list(rows.values()), index=index, columns=list(FEATURES))


def pairs(f1: pd.DataFrame, features: pd.DataFrame, asked: str = "") -> Pairs:
    """The pairs of a transfer matrix (rows source, columns target, percent) and a `feature_table`.

    ``asked``: the target to find a source for; whatever the matrix has of it is taken out first. Where scores are
    missing, the source or target that lacks most is left out until none is missing. Raises InputError where fewer than
    `LEAST_TARGETS` targets or `LEAST_SOURCES` sources remain.
    """
    matrix = f1.drop(index=asked, columns=asked, errors="ignore").astype(float)
    matrix, missing, dropped = _complete(matrix)
    sources, targets = list(matrix.index), list(matrix.columns)
    if len(targets) < LEAST_TARGETS or len(sources) < LEAST_SOURCES:
        lost = f" ({', '.join(dropped)} left out for missing scores)" if dropped else ""
        other = f" other than {asked}" if asked else ""
        raise InputError(
            f"ranking sources needs at least {LEAST_TARGETS} targets with scores and {LEAST_SOURCES} sources{other}, "
            f"for each target is left out in turn; there are {len(targets)} targets and {len(sources)} sources{lost}"
        )
    scores = matrix.to_numpy(float)
    if asked:
        targets = [*targets, asked]
        scores = np.column_stack([scores, np.full(len(sources), np.nan)])
    wanted = pd.MultiIndex.from_product([sources, targets])
    values = features.reindex(wanted).to_numpy(float).reshape(len(sources), len(targets), -1)
    own = np.array([[s == t for t in targets] for s in sources])
    absent = np.isnan(values) & ~own[:, :, None]
    unknown = {}
    for k, name in enumerate(features.columns):
        if absent[:, :, k].any() and not (name in OPTIONAL and np.isnan(values[:, :, k]).all()):
            i, j = np.argwhere(absent[:, :, k])[0]
            unknown[str(name)] = (sources[i], targets[j])
    kept = np.flatnonzero(~absent.any(axis=(0, 1)))
    names = tuple(str(features.columns[k]) for k in kept)
    return Pairs(sources, targets, np.where(own, np.nan, scores), names, values[:, :, kept], missing, dropped, unknown)


def _complete(matrix: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str]], list[str]]:
    """The matrix without missing zero-shot scores, what was missing, and the sources and targets that went for it."""
    own = np.array([[s == t for t in matrix.columns] for s in matrix.index], bool).reshape(matrix.shape)
    gaps = pd.DataFrame(np.isnan(matrix.to_numpy(float)) & ~own, matrix.index, matrix.columns)
    missing = [(str(s), str(t)) for s in gaps.index for t in gaps.columns if gaps.loc[s, t]]
    dropped = []
    while gaps.to_numpy().any():
        rows, columns = gaps.mean(axis=1), gaps.mean(axis=0)
        axis, name = (0, rows.idxmax()) if rows.max() >= columns.max() else (1, columns.idxmax())
        gaps = gaps.drop(name, axis=axis)
        dropped.append(f"{('source', 'target')[axis]} {name}")
    return matrix.loc[gaps.index, gaps.columns], missing, dropped


def fold(found: Pairs, held: int) -> Fold:
    """The target at place ``held`` left out; see `rankers.Fold`.

    The mean transfer of a source for a pair is over the targets that are neither the pair's nor the one left out.
    """
    rows = [i for i, source in enumerate(found.sources) if source != found.targets[held]]
    columns = [j for j in found.scored if j != held]
    f1 = found.f1[np.ix_(rows, columns)]
    there = ~np.isnan(f1)
    advantage = np.where(there, f1 - np.nanmean(f1, axis=0), 0.0)
    total, counts = advantage.sum(axis=1), there.sum(axis=1)
    others = (total[:, None] - advantage) / np.maximum(counts[:, None] - 1, 1)
    features = np.dstack([others, found.values[np.ix_(rows, columns)]])
    asked = np.column_stack([total / counts, found.values[rows, held]])
    target = np.broadcast_to(np.arange(len(columns)), there.shape)
    return Fold(
        (MEAN_TRANSFER, *found.names),
        features[there],
        f1[there],
        target[there],
        [found.sources[i] for i in rows],
        asked,
    )


def features_in_words(found: Pairs) -> str:
    """Which features are used, and which are not and why."""
    text = f"Features: {', '.join((MEAN_TRANSFER, *found.names))}."
    if found.unknown:
        missing = [f"{name} ({source}, {target})" for name, (source, target) in found.unknown.items()]
        text += f" Not used, for at least the pair named is without: {', '.join(missing)}."
    return text


def gaps_in_words(found: Pairs) -> str:
    """What had no score and was left out for it; empty where nothing is missing."""
    if not found.missing:
        return ""
    missing = ", ".join(f"{source} on {target}" for source, target in found.missing)
    return f"No score of {missing}; left out: {', '.join(found.dropped)}."
