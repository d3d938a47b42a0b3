"""The pairs of languages of a study, with features and scores, and what is left of them without one target. Pure."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.ranking import mixed
from analysis.ranking.features import FEATURES, MEAN_TRANSFER, Aids, Known, facts, names_of, of_pair, profile
from analysis.ranking.mixed import CLOSENESS, Mixed, Rows
from analysis.ranking.rankers import Fold
from analysis.ranking.uriel import PREFIXES
from analysis.transfer.overlap import token_forms
from nertransfer.core.errors import InputError
from nertransfer.core.text import count
from nertransfer.corpora.corpus import Corpus

LEAST_TARGETS = 4
LEAST_SOURCES = 3
"""Fewer teach nothing and judge nothing, for each target is left out in turn, as target and as source. Of a study, and
targets of a configuration that is recommended."""
MOST_CASES = 100_000
"""Of what may be left out for missing scores: as a rule all of twenty languages, in a tenth of a second."""
OPTIONAL = (
    "subtoken_overlap", "entity_overlap", "name_overlap",
    "source_fertility", "target_fertility", "fertility_distance", "source_unknown", "target_unknown",
    "centre_similarity", "covariance_similarity", *(f"{kind}_distance" for kind in PREFIXES),
)  # fmt: skip
"""Features that need something to be given: nobody misses them otherwise."""
NO_AIDS = Aids()
NO_OTHERS: Mapping[str, pd.DataFrame] = {}
MOST_ROWS = 1000
"""Scores that the mixed model reads: with more, other starts are left out, lest the report take long."""


@dataclass(frozen=True)
class Pairs:
    """Sources and targets with features and scores, nothing missing.

    ``f1`` (sources, targets) in percent, NaN where the target is the source; the last column is all NaN where it is
    the target that is asked for. ``names`` of the features (f,), ``values`` (sources, targets, f), NaN where the target
    is the source. ``missing``: (source, target) without a score; ``dropped``: sources and targets left out for them;
    ``unknown``: features left out, for at least one pair lacks them, and one such pair. ``start``: whose scores these
    are; ``rows``: all scores of it, and those of other starts, that the mixed model reads; ``asked``: for every
    target, the sources as the model is asked for them.
    """

    sources: list[str]
    targets: list[str]
    f1: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray
    missing: list[tuple[str, str]]
    dropped: list[str]
    unknown: dict[str, tuple[str, str]]
    start: str
    rows: Rows
    asked: list[Rows]

    @property
    def scored(self) -> list[int]:
        """Places of the targets that have scores."""
        return [j for j in range(len(self.targets)) if not np.isnan(self.f1[:, j]).all()]

    @cached_property
    def model(self) -> Mixed:
        return Mixed(self.rows)

    @property
    def features(self) -> tuple[str, ...]:
        """``names``, after the mean transfer of sources, if every source has a target where another one has a score."""
        there = ~np.isnan(self.f1)
        compared = there[:, there.sum(axis=0) > 1].any(axis=1).all()
        return (MEAN_TRANSFER, *self.names) if compared else self.names


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
            text = one.train.sentences or one.test.sentences  # of a language that is only a target
            counted["text"] = profile([sentence.words for sentence in text], aids.subtokens, aids.states)
            counted["names"] = names_of(one.train)
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


def pairs(
    f1: pd.DataFrame,
    features: pd.DataFrame,
    asked: str = "",
    start: str = "",
    others: Mapping[str, pd.DataFrame] = NO_OTHERS,
) -> Pairs:
    """The pairs of a transfer matrix (rows source, columns target, percent) and a `feature_table`.

    ``start``: the one that the matrix is of; ``others``: such matrices of other starts, which the mixed model reads,
    too. ``asked``: the target to find a source for; whatever the matrix has of it is taken out first. Where scores are
    missing, sources and targets are left out so that the largest table without a gap remains (`_complete`).
    """
    matrix = f1.drop(index=asked, columns=asked, errors="ignore").astype(float)
    matrix, missing, dropped = _complete(matrix)
    sources, targets = list(matrix.index), list(matrix.columns)
    scores = matrix.to_numpy(float)
    if asked:
        targets = [*targets, asked]
        scores = np.column_stack([scores, np.full(len(sources), np.nan)])
    wanted = pd.MultiIndex.from_product([sources, targets])
    values = features.reindex(wanted).to_numpy(float).reshape(len(sources), len(targets), len(features.columns))
    own = np.array([[s == t for t in targets] for s in sources], bool).reshape(scores.shape)
    absent = np.isnan(values) & ~own[:, :, None]
    unknown = {}
    for k, name in enumerate(features.columns):
        if absent[:, :, k].any() and not (name in OPTIONAL and np.isnan(values[:, :, k]).all()):
            i, j = np.argwhere(absent[:, :, k])[0]
            unknown[str(name)] = (sources[i], targets[j])
    kept = np.flatnonzero(~absent.any(axis=(0, 1)))
    names = tuple(str(features.columns[k]) for k in kept)
    rows = mixed.zero_shot({start: f1, **others}, features, asked, start)
    if len(rows) > MOST_ROWS:
        rows = mixed.zero_shot({start: f1}, features, asked, start)
    n = len(sources)
    unused = np.array([name not in names for name in CLOSENESS])  # of the target that is asked for, say, not known
    asked_rows = [mixed.rows([start] * n, sources, [target] * n, features).without(unused) for target in targets]
    return Pairs(
        sources, targets, np.where(own, np.nan, scores), names, values[:, :, kept], missing, dropped, unknown,
        start, rows.without(unused), asked_rows,
    )  # fmt: skip


def _complete(matrix: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str]], list[str]]:
    """The matrix without missing zero-shot scores, what was missing, and the sources and targets that went for it.

    What remains has `LEAST_SOURCES` and `LEAST_TARGETS` if that can be, else two sources if that can be; then the most
    pairs; of equals the most sources, for a source that went cannot be chosen. Every source with a gap is kept, at the
    cost of its missing targets, or left out; those that lack least first, and cases that cannot be better than the best
    before them not at all. After `MOST_CASES` the best so far is taken.
    """
    own = np.array([[s == t for t in matrix.columns] for s in matrix.index], bool).reshape(matrix.shape)
    gaps = np.isnan(matrix.to_numpy(float)) & ~own
    missing = [(str(matrix.index[i]), str(matrix.columns[j])) for i, j in np.argwhere(gaps)]
    lacking = [sum(1 << int(j) for j in np.flatnonzero(row)) for row in gaps]  # targets as bits
    order = sorted(range(len(lacking)), key=lambda i: lacking[i].bit_count())
    best: tuple[tuple[int, ...], tuple[int, ...], int] = ((), (), 0)
    cases = 0

    def search(place: int, kept: tuple[int, ...], whole: int) -> None:
        """Decide on the sources from ``place`` on; ``kept``: sources before it; ``whole``: targets without a gap."""
        nonlocal best, cases
        cases += 1
        sources, targets = len(kept) + len(order) - place, whole.bit_count()  # at most
        enough = 2 if sources >= LEAST_SOURCES and targets >= LEAST_TARGETS else int(sources >= 2)
        worth = (enough, sources * targets, sources)
        if worth <= best[0] or cases > MOST_CASES:
            return
        if place == len(order):
            best = (worth, kept, whole)
            return
        source = order[place]
        search(place + 1, (*kept, source), whole & ~lacking[source])
        if lacking[source] & whole:
            search(place + 1, kept, whole)

    search(0, (), (1 << len(matrix.columns)) - 1)
    _, kept, whole = best
    rows = [i in kept for i in range(len(matrix.index))]
    columns = [bool(whole >> j & 1) for j in range(len(matrix.columns))]
    remaining = matrix.loc[rows, columns]
    dropped = [f"source {name}" for name in matrix.index if name not in remaining.index]
    dropped += [f"target {name}" for name in matrix.columns if name not in remaining.columns]
    return remaining, missing, dropped


def check_choice(found: Pairs, asked: str) -> None:
    """Raise InputError where there are fewer than two sources to choose from for the target that is asked for."""
    if len(found.sources) < 2:
        raise InputError(
            f"ranking sources needs at least two other than {asked} with scores; "
            f"there is {_named(found.sources, 'source')}{_lost(found)}; fine-tune on another source, or rank by what "
            "another study tells: prior=published"
        )


def shortage(found: Pairs, asked: str = "") -> str:
    """Why there are too few targets or sources to learn from scores and to judge rankers; empty where there are enough.

    ``asked`` as in `pairs`.
    """
    targets = [found.targets[j] for j in found.scored]
    if len(targets) >= LEAST_TARGETS and len(found.sources) >= LEAST_SOURCES:
        return ""
    other = f" other than {asked}" if asked else ""
    return (
        f"at least {LEAST_TARGETS} targets with scores and {LEAST_SOURCES} sources{other} are needed, for each target "
        f"is left out in turn; there are {_named(targets, 'target')} and {_named(found.sources, 'source')}"
        + _lost(found)
    )


def _named(names: Sequence[str], noun: str) -> str:
    return count(len(names), noun) + (f" ({', '.join(names)})" if names else "")


def _lost(found: Pairs) -> str:
    return f"; left out for missing scores: {', '.join(found.dropped)}" if found.dropped else ""


def fold(found: Pairs, held: int, also: Sequence[int] = ()) -> Fold:
    """The target at place ``held`` left out, and those at ``also``; see `rankers.Fold`.

    The mean transfer of a source for a pair is over the targets that are neither the pair's nor left out; it is no
    feature where sources are not compared (`Pairs.features`).
    """
    gone = [found.targets[j] for j in (held, *also)]
    rows = [i for i, source in enumerate(found.sources) if source not in gone]
    columns = [j for j in found.scored if j != held and j not in also]
    f1 = found.f1[np.ix_(rows, columns)]
    there = ~np.isnan(f1)
    with warnings.catch_warnings():  # a target whose only source is left out compares nothing
        warnings.simplefilter("ignore", RuntimeWarning)
        advantage = np.nan_to_num(np.where(there, f1 - np.nanmean(f1, axis=0), 0.0))
    total, counts = advantage.sum(axis=1), there.sum(axis=1)
    others = (total[:, None] - advantage) / np.maximum(counts[:, None] - 1, 1)
    first = 0 if MEAN_TRANSFER in found.features else 1
    features = np.dstack([others, found.values[np.ix_(rows, columns)]])[:, :, first:]
    asked = np.column_stack([total / np.maximum(counts, 1), found.values[rows, held]])[:, first:]
    target = np.broadcast_to(np.arange(len(columns)), there.shape)
    return Fold(
        found.features,
        features[there],
        f1[there],
        target[there],
        [found.sources[i] for i in rows],
        asked,
        found.model,
        found.asked[held].where(np.array(rows, int)),
        gone,
        found.start,
    )


def features_in_words(found: Pairs) -> str:
    """Which features are used, and which are not and why."""
    text = f"Features: {', '.join(found.features)}."
    if found.unknown:
        missing = [f"{name} ({source}, {target})" for name, (source, target) in found.unknown.items()]
        text += f" Not used, because some pairs lack them (one is named): {', '.join(missing)}."
    return text


def gaps_in_words(found: Pairs) -> str:
    """What had no score and was left out for it; empty where nothing is missing."""
    if not found.missing:
        return ""
    missing = ", ".join(f"{source} on {target}" for source, target in found.missing)
    return f"Missing scores: {missing}. Left out, to keep the largest complete table: {', '.join(found.dropped)}."
