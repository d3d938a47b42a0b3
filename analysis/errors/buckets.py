"""F1 by what an entity is like: how long, how well known from train, where it stands, how it is written. Pure.

Every entity, gold or predicted, is put into a bucket of each attribute by its own words, place and category and the
source's train split. Recall of a bucket is over the gold entities in it, precision over the predicted entities in it.
A correct prediction is the gold entity, so both are in one bucket, and F1 is twice the correct ones over gold and
predicted ones together; the buckets of an attribute sum to the totals of the split. After Fu, Liu and Neubig (2020),
"Interpretable multi-dataset evaluation for named entity recognition". In percent; intervals as in
`analysis.transfer.inference`, from the first `RESAMPLES` of its draws of sentences: a limit that rests on ten draws
beyond it is itself rough. A draw without a gold entity of the bucket says nothing of it, and does not count; where the
split has none there is no interval. Where there are few, draws can only repeat them: the interval is too narrow.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.errors.entities import Tagged
from analysis.statistics import comparison
from analysis.statistics import means as seed_means
from analysis.statistics.means import Means
from analysis.transfer.beyond_one_source import AMONG
from nertransfer.core.grid import BASE, Place, is_zero_shot, languages_of
from nertransfer.corpora.corpus import Corpus, Split
from nertransfer.corpora.words import spans

RESAMPLES = 400
ATTRIBUTES = {
    "length": ("1", "2", "3", "more than 3"),
    "sentence length": ("1-10", "11-20", "21-40", "more than 40"),
    "position": ("first", "middle", "last"),
    "capitalised": ("all words", "some", "none"),
    "in train": ("seen", "other category", "unseen"),
    "frequency": ("0", "1", "2-4", "5 or more"),
    "consistency": ("not in train", "0 %", "up to 50 %", "below 100 %", "100 %"),
}
"""Buckets by attribute. ``length`` and ``sentence length`` in words; ``position``: the entity's first word opens the
sentence, else its last word ends it, else middle; ``capitalised``: words that begin with a capital letter (a script
without letter case has none). By the source's train split: ``in train``: the same words are an entity of this
category, only of another one, or none; ``frequency``: how often they are an entity of this category; ``consistency``:
which share of all places where these words stand in a row is an entity of this category."""
ZERO_SHOT, IN_LANGUAGE = SETTINGS = ("zero-shot", "in-language")
"""Settings that means are over, as everywhere; the target of a source of several may be in neither (`setting_of`)."""
NO_SEED = "no seed has all its pairs"
"""Why a group has no mean."""
BUCKET_COLUMNS = [
    "start", "source", "target", "attribute", "bucket", "f1", "low", "high", "n_seeds", "gold", "predicted", "correct",
]  # fmt: skip
GAP_COLUMNS = ["start", "source", "target", "attribute", "bucket", "difference", "low", "high", "p", "p_holm"]
SUMMARY_COLUMNS = [
    "start", "setting", "attribute", "bucket", "f1", "low", "high", "n_seeds", "n_pairs", "gold", "missing",
]  # fmt: skip


@dataclass(frozen=True)
class Buckets:
    """``table``: mean F1 over seeds of every start, source, target and bucket, with ``gold`` entities in it and the
    means over seeds of ``predicted`` and ``correct`` ones. ``gaps``: every start less the reference; ``p_holm`` is over
    all starts, sources, targets and buckets of an attribute. ``summary``: means over pairs of source and target;
    ``missing``: why there is none."""

    table: pd.DataFrame
    gaps: pd.DataFrame
    summary: pd.DataFrame


def buckets(
    found: Mapping[str, Tagged],
    corpora: Mapping[str, Corpus],
    groups: Mapping[str, Iterable[tuple[str, str]]],
    reference: str = BASE,
    resamples: int = RESAMPLES,
) -> Buckets:
    """F1 by bucket. ``groups``: (start, source) of every row of the summary, by its name there.

    Train of a source of several languages is that of all of them, and that of none is empty. Raises KeyError where a
    language of a cell's source has no corpus.
    """
    known = _Known(corpora, found)
    tables, gaps, summary = [], [], _Summary(groups, found)
    for target, one in found.items():
        there = _resampled(one, known, target, resamples)
        for attribute, f1 in there.items():
            means = seed_means.means_over_seeds(f1.values.ravel(), f1.resampled.reshape(resamples, -1), f1.places)
            tables.append(_table(f1, means).assign(target=target, attribute=attribute))
            gaps.append(_gaps(f1, means, reference).assign(target=target, attribute=attribute))
            summary.add(target, attribute, f1)
    apart = stacked(gaps, GAP_COLUMNS[:-1])
    apart = apart.assign(p_holm=comparison.holm_by(apart, "attribute"))
    return Buckets(stacked(tables, BUCKET_COLUMNS), apart, summary.table())


def setting_of(source: str, target: str) -> str:
    """One of `SETTINGS`, or `AMONG` the languages of a source of several."""
    return IN_LANGUAGE if source == target else ZERO_SHOT if is_zero_shot(source, target) else AMONG


def stacked(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """All parts below one another with these columns, also where there is no part."""
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


# --- attributes -------------------------------------------------------------------------------------------


class _Known:
    """What the train splits have of the forms that occur: (sources, forms) occurrences, (sources, forms, categories)
    entities."""

    def __init__(self, corpora: Mapping[str, Corpus], found: Mapping[str, Tagged]) -> None:
        self.categories = tuple(sorted({name for one in found.values() for name in one.categories}))
        self.form: dict[str, np.ndarray] = {}
        codes: dict[tuple[str, ...], int] = {}
        for target, one in found.items():
            words = [tuple(one.words[a:b]) for a, b in zip(one.kinds.first, one.kinds.end, strict=True)]
            self.form[target] = np.array([codes.setdefault(form, len(codes)) for form in words], np.int64)
        self.sources = list(dict.fromkeys(source for one in found.values() for source in one.sources))
        lengths: dict[str, set[int]] = {}
        for form in codes:
            lengths.setdefault(form[0], set()).add(len(form))
        column = {name: i for i, name in enumerate(self.categories)}
        by_language = {
            name: self._counted(corpora[name].train, codes, lengths, column)
            for name in dict.fromkeys(name for source in self.sources for name in languages_of(source))
        }
        nothing = np.zeros(len(codes), np.int32), np.zeros((len(codes), len(self.categories)), np.int32)
        self.occurrences, self.entities = (
            np.stack([sum((by_language[name][i] for name in languages_of(source)), empty) for source in self.sources])
            for i, empty in enumerate(nothing)
        )

    def _counted(
        self, train: Split, codes: Mapping[tuple[str, ...], int], lengths: Mapping[str, set[int]],
        column: Mapping[str, int],
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """(forms,) and (forms, categories) of one train split."""
        there: Counter[int] = Counter()
        named: Counter[tuple[int, int]] = Counter()
        for sentence in train.sentences:
            words = sentence.words
            for place in [place for place, word in enumerate(words) if word in lengths]:  # few begin any form
                for length in lengths[words[place]]:
                    if (code := codes.get(words[place : place + length])) is not None and place + length <= len(words):
                        there[code] += 1
            for first, end, category in spans(sentence.tags):
                code = codes.get(words[first:end])
                if code is not None and category in column:
                    named[code, column[category]] += 1
        occurrences = np.zeros(len(codes), np.int32)
        entities = np.zeros((len(codes), len(self.categories)), np.int32)
        occurrences[list(there)] = list(there.values())
        for both, n in named.items():
            entities[both] = n
        return occurrences, entities

    def attributes(self, target: str, found: Tagged) -> dict[str, np.ndarray]:
        """(sources, kinds) the bucket of each attribute that the source's train split decides."""
        form = self.form[target]
        places = np.array([self.categories.index(name) for name in found.categories], np.int64)
        category = places[found.kinds.category] if len(places) else found.kinds.category
        named = self.entities[:, form]
        this = named[:, np.arange(len(form)), category]
        everywhere, any_category = self.occurrences[:, form], named.sum(axis=2)
        share = this / np.maximum(everywhere, 1)
        return {
            "in train": np.where(this > 0, 0, np.where(any_category > 0, 1, 2)),
            "frequency": np.digitize(this, [1, 2, 5]),
            "consistency": np.where(
                everywhere == 0, 0, 1 + (share > 0).astype(int) + (share > 0.5) + (share >= 1)
            ),
        }  # fmt: skip


def attributes(found: Tagged) -> dict[str, np.ndarray]:
    """(kinds,) the bucket of each attribute that no source changes."""
    kinds = found.kinds
    begins = np.append(0, found.ends[:-1])[kinds.sentence] if len(found.ends) else kinds.sentence
    ends = found.ends[kinds.sentence] if len(found.ends) else kinds.sentence
    capital = np.cumsum([0, *(word[:1].isupper() for word in found.words)])
    capitals = capital[kinds.end] - capital[kinds.first]
    return {
        "length": np.minimum(kinds.end - kinds.first, 4) - 1,
        "sentence length": np.digitize(ends - begins, [11, 21, 41]),
        "position": np.where(kinds.first == begins, 0, np.where(kinds.end == ends, 2, 1)),
        "capitalised": np.where(capitals == kinds.end - kinds.first, 0, np.where(capitals > 0, 1, 2)),
    }


# --- F1 -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _F1:
    """F1 of one attribute on one target, as fractions.

    ``resampled`` is (resamples, buckets, cells), NaN where no gold entity of the bucket was drawn; ``gold``,
    ``predicted`` and ``correct`` are (buckets, cells), numbers of entities. ``configuration`` (cells,) is an index into
    ``configurations``.
    """

    labels: Sequence[str]
    configurations: list[tuple[str, str]]
    configuration: np.ndarray
    cells: list[Place]
    gold: np.ndarray
    predicted: np.ndarray
    correct: np.ndarray
    resampled: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """(buckets, cells) of the split as it is."""
        return _ratio(self.gold, self.predicted, self.correct)

    @property
    def places(self) -> np.ndarray:
        """(buckets * cells,) the index of bucket and configuration together."""
        return (np.arange(len(self.labels))[:, None] * len(self.configurations) + self.configuration).ravel()


def _ratio(gold: np.ndarray, predicted: np.ndarray, correct: np.ndarray) -> np.ndarray:
    both = gold + predicted
    return np.divide(2 * correct, both, out=np.zeros_like(both), where=both > 0)


def _resampled(found: Tagged, known: _Known, target: str, resamples: int) -> dict[str, _F1]:
    """F1 of every attribute."""
    kinds, sentences = found.kinds, len(found.ends)
    weights = seed_means.sentence_weights(sentences, resamples, np.random.default_rng(zlib.crc32(target.encode())))
    source = np.array([known.sources.index(source) for _, source, _ in found.cells])
    configurations = list(dict.fromkeys((start, source) for start, source, _ in found.cells))
    configuration = np.array([configurations.index((start, source)) for start, source, _ in found.cells])
    every = np.repeat(np.arange(len(known.sources)), len(kinds.gold))
    right = found.correct
    # whose entities, of which source, and which: gold is counted once for every source
    sides = [
        (every, every, np.tile(kinds.gold, len(known.sources)), len(known.sources)),
        (found.cell, source[found.cell], kinds.predicted, len(found.cells)),
        (found.cell[right], source[found.cell[right]], kinds.predicted[right], len(found.cells)),
    ]
    fixed = {name: np.broadcast_to(one, (len(known.sources), len(one))) for name, one in attributes(found).items()}
    bucket_of = fixed | known.attributes(target, found)
    done = {}
    every_bucket = [
        weights @ _by_sentence(kinds.sentence[kind], row, rows, sentences).astype(np.float32).T
        for row, _, kind, rows in sides
    ]
    for name, labels in ATTRIBUTES.items():
        counts = []
        for row, of, kind, rows in sides:
            place = bucket_of[name][of, kind] * rows + row
            there = _by_sentence(kinds.sentence[kind], place, len(labels) * rows, sentences)
            counts.append(there.reshape(len(labels), rows, sentences))
        gold, predicted, correct = (_drawn(weights, *pair) for pair in zip(counts, every_bucket, strict=True))
        totals = [one.sum(axis=2).astype(float) for one in counts]
        f1 = _ratio(gold[:, :, source], predicted, correct)
        f1[gold[:, :, source] == 0] = np.nan
        done[name] = _F1(
            labels, configurations, configuration, found.cells, totals[0][:, source], totals[1], totals[2], f1
        )
    return done


def _by_sentence(sentence: np.ndarray, row: np.ndarray, rows: int, sentences: int) -> np.ndarray:
    """(rows, sentences) how many entities there are."""
    return np.bincount(row * sentences + sentence, minlength=rows * sentences).reshape(rows, sentences)


def _drawn(weights: np.ndarray, counts: np.ndarray, every_bucket: np.ndarray) -> np.ndarray:
    """(resamples, buckets, rows) entities in every resample, of ``counts`` (buckets, rows, sentences).

    ``every_bucket`` (resamples, rows) is their sum over buckets: the largest bucket is what the others leave of it.
    Whole numbers, exact in float32.
    """
    found = np.empty((len(weights), *counts.shape[:2]), np.float32)
    largest = int(counts.sum(axis=(1, 2)).argmax())
    found[:, largest] = every_bucket
    for i in range(len(counts)):
        if i != largest:
            there = np.flatnonzero(counts[i].any(axis=0))
            found[:, i] = weights[:, there] @ counts[i][:, there].astype(np.float32).T
            found[:, largest] -= found[:, i]
    return found


def _rows(f1: _F1) -> pd.DataFrame:
    """The names of every bucket of every configuration, configurations first."""
    named = [(start, source, label) for label in f1.labels for start, source in f1.configurations]
    return pd.DataFrame(named, columns=["start", "source", "bucket"])


def _table(f1: _F1, means: Means) -> pd.DataFrame:
    """A row per configuration and bucket. NaN where no entity is in it."""
    low, high = seed_means.mean_intervals(means)
    member = (f1.configuration[:, None] == np.arange(len(f1.configurations))) / np.bincount(f1.configuration)
    sums = {name: (getattr(f1, name) @ member).ravel() for name in ("gold", "predicted", "correct")}
    there = sums["gold"] + sums["predicted"] > 0
    scores = {"f1": means.mean, "low": np.minimum(low, means.mean), "high": np.maximum(high, means.mean)}
    table = _rows(f1).assign(
        **{name: np.where(there, 100 * values, np.nan) for name, values in scores.items()},
        n_seeds=means.seeds, **sums,
    )  # fmt: skip
    return table.assign(gold=table["gold"].round().astype(int))  # the same for all seeds


def _gaps(f1: _F1, means: Means, reference: str) -> pd.DataFrame:
    """Every start less the reference with the same source; NaN where either has no entity in the bucket."""
    place = {configuration: i for i, configuration in enumerate(f1.configurations)}
    pairs = np.array(
        [(i, place[reference, source]) for (start, source), i in place.items()
         if start != reference and (reference, source) in place], np.int64,
    ).reshape(-1, 2)  # fmt: skip
    first, second = (np.arange(len(f1.labels))[:, None] * len(place) + side for side in pairs.T)
    found = comparison.differences(means, first.ravel(), second.ravel())
    several = np.minimum(means.seeds[first], means.seeds[second]).ravel() > 1
    entities = np.zeros((len(f1.labels), len(place)))
    of_each = (slice(None), f1.configuration)
    np.add.at(entities, of_each, f1.gold + f1.predicted)  # type: ignore[arg-type]  # numpy's types know no tuple here
    there = (entities.ravel()[first] > 0) & (entities.ravel()[second] > 0)
    tested = there.ravel() & several  # of a single seed it is not known how it varies
    table = _rows(f1).iloc[first.ravel()].reset_index(drop=True)
    return table.assign(
        difference=np.where(there.ravel(), 100 * found.estimate, np.nan),
        low=np.where(tested, 100 * found.low, np.nan),
        high=np.where(tested, 100 * found.high, np.nan),
        p=np.where(tested, found.p, np.nan),
    )


# --- means over pairs of source and target --------------------------------------------------------------------


class _Summary:
    """Means of F1 over the pairs of a group whose bucket has gold entities, for every seed that all its pairs have.

    Of a draw it is the mean over the pairs that have gold entities in it, and NaN where none has.
    Sentences of different targets are drawn apart, those of a target together, as everywhere. The same seeds of
    different sources are averaged: they have nothing in common, so it does not matter which.
    """

    def __init__(self, groups: Mapping[str, Iterable[tuple[str, str]]], found: Mapping[str, Tagged]) -> None:
        self.members = {name: frozenset(pairs) for name, pairs in groups.items()}
        pairs: dict[tuple[str, str], dict[int, set[tuple[str, str, str]]]] = {}
        for target, one in found.items():
            for start, source, seed in one.cells:
                for key in self._keys(start, source, target):
                    pairs.setdefault(key, {}).setdefault(seed, set()).add((start, source, target))
        every = {key: set().union(*by_seed.values()) for key, by_seed in pairs.items()}
        self.shown = [(name, setting) for name in self.members for setting in SETTINGS if (name, setting) in pairs]
        self.columns = [
            (*key, seed) for key in self.shown for seed, there in sorted(pairs[key].items()) if there == every[key]
        ]
        self.sums: dict[str, list[np.ndarray]] = {}

    def _keys(self, start: str, source: str, target: str) -> list[tuple[str, str]]:
        setting = setting_of(source, target)
        if setting not in SETTINGS:
            return []
        return [(name, setting) for name, pairs in self.members.items() if (start, source) in pairs]

    def add(self, target: str, attribute: str, f1: _F1) -> None:
        column = {key: i for i, key in enumerate(self.columns)}
        member = np.zeros((len(f1.cells), len(self.columns)), np.float32)
        for i, (start, source, seed) in enumerate(f1.cells):
            for key in self._keys(start, source, target):
                if (*key, seed) in column:
                    member[i, column[*key, seed]] = 1
        there, drawn = f1.gold > 0, ~np.isnan(f1.resampled)
        parts = [
            np.where(drawn, f1.resampled, 0) @ member, drawn.astype(np.float32) @ member,
            (f1.values * there) @ member, there @ member, f1.gold @ member,
        ]  # fmt: skip
        before = self.sums.get(attribute)
        self.sums[attribute] = [a + b for a, b in zip(before, parts, strict=True)] if before else parts

    def table(self) -> pd.DataFrame:
        """A row per group, setting and bucket; NaN where no pair has gold entities in it, and where no seed has all."""
        complete = list(dict.fromkeys(column[:2] for column in self.columns))
        lost = [key for key in self.shown if key not in complete]
        tables = [
            pd.DataFrame(
                [
                    (*key, attribute, label, *[np.nan] * 3, 0, 0, 0, NO_SEED)
                    for label in ATTRIBUTES[attribute]
                    for key in lost
                ],
                columns=SUMMARY_COLUMNS,
            )
            for attribute in (self.sums if lost else ())
        ]
        of = np.array([complete.index(column[:2]) for column in self.columns], np.int64)
        for attribute, (resampled, pairs_drawn, values, pairs, gold) in self.sums.items() if complete else ():
            labels = ATTRIBUTES[attribute]
            number = np.maximum(pairs, 1)
            places = (np.arange(len(labels))[:, None] * len(complete) + of).ravel()
            drawn = np.divide(resampled, pairs_drawn, out=np.full_like(resampled, np.nan), where=pairs_drawn > 0)
            drawn = np.minimum(drawn, 1).reshape(len(resampled), -1)
            means = seed_means.means_over_seeds(np.minimum(values / number, 1).ravel(), drawn, places)
            low, high = seed_means.mean_intervals(means)
            last = [np.flatnonzero(of == i)[-1] for i in range(len(complete))]
            n, support = pairs[:, last].ravel().astype(int), gold[:, last].ravel().astype(int)
            scores = {"f1": means.mean, "low": np.minimum(low, means.mean), "high": np.maximum(high, means.mean)}
            named = [(name, setting, attribute, label) for label in labels for name, setting in complete]
            tables.append(
                pd.DataFrame(named, columns=SUMMARY_COLUMNS[:4]).assign(
                    **{name: np.where(n > 0, 100 * one, np.nan) for name, one in scores.items()},
                    n_seeds=means.seeds, n_pairs=n, gold=support,
                    missing=np.where(n > 0, "", "no gold entity"),
                )
            )  # fmt: skip
        table = stacked(tables, SUMMARY_COLUMNS)
        rank = {key: i for i, key in enumerate(self.shown)}
        order = [rank[key] for key in zip(table["start"], table["setting"], strict=True)]
        return table.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)
