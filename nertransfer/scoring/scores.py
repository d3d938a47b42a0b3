"""Entities counted by sentence, as arrays: what resampling and scoring of thousands of files need.

The same entities as `nertransfer.scoring.reference` finds with seqeval, in default and in strict mode (a property test
compares them), a hundred times faster. Pure.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nertransfer.core.schema import ALL
from nertransfer.corpora.corpus import Split
from nertransfer.corpora.labels import category_of
from nertransfer.corpora.words import OUTSIDE

TagSequences = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 as fractions of 1; ``support`` is the number of gold entities."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """All scores of one model on one split of one target.

    ``default`` and ``strict`` map each category, and ``ALL`` for the micro average, to its
    Score. ``span_f1`` ignores the category. ``invalid_tag_rate`` is the fraction of all words
    whose predicted tag is a stray I-.
    """

    default: dict[str, Score]
    strict: dict[str, Score]
    span_f1: float
    invalid_tag_rate: float
    words: int


@dataclass(frozen=True)
class Entities:
    """The entities of one split in order of their first word, default mode.

    ``first``, ``end`` (exclusive) and ``category`` are (entities,) arrays, words counted from 0 over the whole split;
    ``category`` is an index into ``categories``. ``whole`` is True where the entity begins with a B- tag: those are the
    entities of strict mode. ``ends``: (sentences,) the number of words up to the end of each sentence.
    """

    categories: tuple[str, ...]
    first: np.ndarray
    end: np.ndarray
    category: np.ndarray
    whole: np.ndarray
    ends: np.ndarray

    @property
    def words(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    @property
    def stray(self) -> int:
        """How many tags are an I- that continues nothing: each of them begins an entity."""
        return int(np.sum(~self.whole))


def entities(sequences: TagSequences) -> Entities:
    """The entities of tag sequences, one a sentence. Raises InputError on a tag that is not IOB2."""
    ends = np.cumsum([len(tags) for tags in sequences], dtype=np.int64)
    flat = [tag for tags in sequences for tag in tags]
    tags = sorted(set(flat))
    categories = tuple(sorted({c for tag in tags if (c := category_of(tag)) is not None}))
    # 0 for O, else one more than the index of the category; negative for I-
    code = {t: 0 if t == OUTSIDE else (categories.index(t[2:]) + 1) * (1 if t[0] == "B" else -1) for t in tags}
    codes = np.fromiter(map(code.__getitem__, flat), dtype=np.int32, count=len(flat))
    kind = np.abs(codes)
    before = np.zeros_like(kind)
    before[1:] = kind[:-1]
    before[ends[:-1][ends[:-1] < len(flat)]] = 0  # nothing goes on from one sentence to the next
    begins = (kind > 0) & ((codes > 0) | (kind != before))
    first = np.flatnonzero(begins)
    stops = np.append(np.flatnonzero(begins | (kind == 0)), len(flat))
    stops = np.union1d(stops, ends)
    end = stops[np.searchsorted(stops, first, side="right")] if len(first) else first
    return Entities(categories, first, end, kind[first] - 1, codes[first] > 0, ends)


@dataclass(frozen=True)
class Counts:
    """Entities of one model on one split by sentence and category.

    ``gold``, ``predicted`` and ``correct`` are (sentences, categories) integer arrays, default mode; the columns are
    ``categories``, those of the gold and the predicted tags, sorted. The other fields are what `scores` needs beside.
    """

    categories: tuple[str, ...]
    gold: np.ndarray
    predicted: np.ndarray
    correct: np.ndarray
    strict: dict[str, Score]
    span_f1: float
    invalid_tag_rate: float
    words: int


def count(gold: Entities, predicted: Entities, unaligned: Sequence[Sequence[str]] = ()) -> Counts:
    """Compare the entities of two taggings of the same sentences.

    An entity is correct when its first word, last word and category agree. ``unaligned``: by sentence the categories of
    further predicted entities that stand nowhere in it, so that all of them are wrong; empty: there are none. Raises
    ValueError when the sentences differ in number or in length.
    """
    if not np.array_equal(gold.ends, predicted.ends):
        raise ValueError("gold and predicted tags differ in the number of sentences or words")
    beside = [(i, name) for i, names in enumerate(unaligned) for name in names]
    categories = tuple(sorted({*gold.categories, *predicted.categories, *(name for _, name in beside)}))
    wrong = np.zeros((len(gold.ends), len(categories)), dtype=np.int64)
    for sentence, name in beside:
        wrong[sentence, categories.index(name)] += 1
    sides = [_renamed(side, categories) for side in (gold, predicted)]
    end_of, category_at = np.full(gold.words, -1), np.full(gold.words, -1)
    end_of[gold.first], category_at[gold.first] = gold.end, sides[0]
    begins_whole = np.zeros(gold.words, dtype=bool)
    begins_whole[gold.first] = gold.whole
    same_span = end_of[predicted.first] == predicted.end
    same = same_span & (category_at[predicted.first] == sides[1])
    strict = same & predicted.whole & begins_whole[predicted.first]
    guessed = len(predicted.first) + len(beside)
    span = Score(*_ratios(int(same_span.sum()), guessed, len(gold.first)), len(gold.first))
    strict_counts = [
        np.bincount(sides[0][gold.whole], minlength=len(categories)),
        np.bincount(sides[1][predicted.whole], minlength=len(categories)) + wrong.sum(axis=0),
        np.bincount(sides[1][strict], minlength=len(categories)),
    ]
    return Counts(
        categories=categories,
        gold=_by_sentence(gold, sides[0], len(categories)),
        predicted=_by_sentence(predicted, sides[1], len(categories)) + wrong,
        correct=_by_sentence(predicted, sides[1], len(categories), same),
        strict=_table(categories, *strict_counts),
        span_f1=span.f1,
        invalid_tag_rate=predicted.stray / gold.words if gold.words else 0.0,
        words=gold.words,
    )


def scores(found: Counts) -> Scores:
    """The same scores as `nertransfer.scoring.reference.score` gives."""
    default = _table(found.categories, *(side.sum(axis=0) for side in (found.gold, found.predicted, found.correct)))
    return Scores(default, found.strict, found.span_f1, found.invalid_tag_rate, found.words)


def of_spans(
    gold: Sequence[set[tuple[int, int, str]]], predicted: Sequence[set[tuple[int, int, str]]]
) -> dict[str, Score]:
    """Scores of each category and of `ALL` of entities that need no words: start, end and category, by text.

    An entity is correct when all three agree. Raises ValueError when the texts differ in number.
    """
    pairs = list(zip(gold, predicted, strict=True))
    categories = tuple(sorted({one[2] for sides in pairs for side in sides for one in side}))
    sides = [[one for one, _ in pairs], [one for _, one in pairs], [one & other for one, other in pairs]]
    counts = [Counter(one[2] for text in side for one in text) for side in sides]
    there, guessed, right = (np.array([count[name] for name in categories], dtype=np.int64) for count in counts)
    return _table(categories, there, guessed, right)


def _renamed(found: Entities, categories: tuple[str, ...]) -> np.ndarray:
    places = np.array([categories.index(name) for name in found.categories], dtype=np.int64)
    return places[found.category] if len(places) else found.category


def _by_sentence(found: Entities, category: np.ndarray, width: int, chosen: np.ndarray | None = None) -> np.ndarray:
    first = found.first if chosen is None else found.first[chosen]
    category = category if chosen is None else category[chosen]
    sentence = np.searchsorted(found.ends, first, side="right")
    flat = np.bincount(sentence * width + category, minlength=len(found.ends) * width)
    return flat.reshape(len(found.ends), width)


def _table(categories: Sequence[str], gold: np.ndarray, predicted: np.ndarray, correct: np.ndarray) -> dict[str, Score]:
    def one(right: int, guessed: int, there: int) -> Score:
        return Score(*_ratios(right, guessed, there), there)

    table = {ALL: one(int(correct.sum()), int(predicted.sum()), int(gold.sum()))}
    for i, category in enumerate(categories):
        table[category] = one(int(correct[i]), int(predicted[i]), int(gold[i]))
    return table


def _ratios(right: int, guessed: int, there: int) -> tuple[float, float, float]:
    """Precision, recall and F1; 0 where nothing can be divided by."""
    precision = right / guessed if guessed else 0.0
    recall = right / there if there else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


@dataclass(frozen=True)
class Scored:
    """One score: a target's split, its predicted tags by sentence, and what they are worth.

    ``counts`` are the entities by sentence behind ``scores``, ``entities`` the predicted ones. Of the words
    ``unknown_words`` have letters that the start's vocabulary lacks, and ``cut_words`` are longer than a window.
    ``unaligned`` as of `count`.
    """

    split: Split
    predicted: list[list[str]]
    scores: Scores
    counts: Counts
    entities: Entities
    unknown_words: int = 0
    cut_words: int = 0
    unaligned: Sequence[Sequence[str]] = ()


def compared(
    split: Split, predicted: list[list[str]], gold: Entities | None = None, unaligned: Sequence[Sequence[str]] = ()
) -> Scored:
    """Predicted tags of a split beside its gold tags. ``gold``: the split's entities, where they are at hand."""
    found = entities(predicted)
    counted = count(gold or entities([one.tags for one in split.sentences]), found, unaligned)
    return Scored(split, predicted, scores(counted), counted, found, unaligned=unaligned)
