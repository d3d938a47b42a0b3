"""Gold and predicted entities of all cells of a target, and which belong together: files, corpora -> arrays. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from analysis.reading.sentence_counts import columns_of
from nertransfer.core.grid import Place
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Corpus
from nertransfer.scoring import predicted_entities
from nertransfer.scoring.scores import Entities, entities

SPLIT = "test"
"""What errors are looked for in."""


@dataclass(frozen=True)
class Kinds:
    """The distinct entities (first word, end, category) that gold or any cell has: ``first``, ``end``, ``category`` and
    ``sentence`` are (kinds,) arrays; ``gold`` (gold,) and ``predicted`` (predicted,) say which one each is."""

    first: np.ndarray
    end: np.ndarray
    category: np.ndarray
    sentence: np.ndarray
    gold: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class Tagged:
    """One split of one target as all cells have tagged it.

    ``gold_first``, ``gold_end``, ``gold_category`` are (gold,) arrays; ``cell``, ``first``, ``end``, ``category`` are
    (predicted,) arrays of all cells, sorted by cell, then by first word. Words count from 0 over the whole split, ends
    are exclusive, categories are indices into ``categories``, cells into ``cells``: (start, source, seed). ``ends``:
    (sentences,) the number of words up to the end of each sentence.
    """

    sentences: Sequence[Sentence]
    ends: np.ndarray
    categories: tuple[str, ...]
    cells: list[Place]
    gold_first: np.ndarray
    gold_end: np.ndarray
    gold_category: np.ndarray
    cell: np.ndarray
    first: np.ndarray
    end: np.ndarray
    category: np.ndarray

    @property
    def sources(self) -> list[str]:
        """The sources of the cells, each once."""
        return list(dict.fromkeys(source for _, source, _ in self.cells))

    @cached_property
    def words(self) -> list[str]:
        """All words of the split."""
        return [word for sentence in self.sentences for word in sentence.words]

    @cached_property
    def kinds(self) -> Kinds:
        """The distinct entities of gold and predictions, in the order of their places."""
        first, end, category = (
            np.concatenate(pair).astype(np.int64)
            for pair in (
                (self.gold_first, self.first), (self.gold_end, self.end), (self.gold_category, self.category)
            )
        )  # fmt: skip
        longest = int((end - first).max(initial=0)) + 1
        code = (first * longest + end - first) * max(1, len(self.categories)) + category
        _, where, which = np.unique(code, return_index=True, return_inverse=True)
        sentence = np.searchsorted(self.ends, first[where], side="right")
        cut = len(self.gold_first)
        return Kinds(first[where], end[where], category[where], sentence, which[:cut], which[cut:])

    @cached_property
    def correct(self) -> np.ndarray:
        """(predicted,) whether gold has the same entity."""
        there = np.zeros(len(self.kinds.first), bool)
        there[self.kinds.gold] = True
        return there[self.kinds.predicted]


def tagged(
    files: Mapping[Place, bytes], corpora: Mapping[str, Corpus], targets: Sequence[str] = ()
) -> dict[str, Tagged]:
    """The entities of every target's `SPLIT`, by target, from the files of cells.

    The files are those of `nertransfer.scoring.predicted_entities`. Cells are in the order of ``files``, targets in
    that of ``targets`` or of the corpora. What was scored on a split of another number of words than the corpus has, or
    has no corpus here, is left out.
    """
    read = {place: predicted_entities.from_bytes(content) for place, content in files.items()}
    if not read:
        return {}
    table = pa.concat_tables(table for table, _ in read.values()).unify_dictionaries()
    columns, names = columns_of(table)
    cell = np.repeat(np.arange(len(read)), [len(one) for one, _ in read.values()])
    places = list(read)
    found = {}
    for target in targets or corpora:
        if target not in corpora:
            continue
        sentences = corpora[target].splits[SPLIT].sentences
        gold = entities([sentence.tags for sentence in sentences])
        scored = np.array([sizes.get(f"{target}.{SPLIT}") == gold.words for _, sizes in read.values()], bool)
        if not scored.any():
            continue
        ours = scored[cell]
        for name, value in (("target", target), ("split", SPLIT)):
            ours &= columns[name] == names[name].index(value) if value in names[name] else False
        ours = np.flatnonzero(ours)
        first = columns["first"][ours]
        found[target] = _joined(
            sentences, gold, [place for place, there in zip(places, scored, strict=True) if there],
            (np.cumsum(scored) - 1)[cell[ours]], first, first + columns["words"][ours],
            columns["category"][ours], names["category"],
        )  # fmt: skip
    return found


def _joined(
    sentences: Sequence[Sentence], gold: Entities, cells: list[Place], cell: np.ndarray, first: np.ndarray,
    end: np.ndarray, category: np.ndarray, names: Sequence[str],
) -> Tagged:  # fmt: skip
    there = [names[i] for i in np.unique(category)]
    categories = tuple(sorted({*gold.categories, *there}))
    ours = np.array([categories.index(name) if name in there else -1 for name in names], np.int64)
    theirs = np.array([categories.index(name) for name in gold.categories], np.int64)
    return Tagged(
        sentences, gold.ends, categories, cells, gold.first, gold.end,
        theirs[gold.category] if len(theirs) else gold.category, cell, first, end,
        ours[category] if len(ours) else category.astype(np.int64),
    )  # fmt: skip


# --- which belong together -------------------------------------------------------------------------------

ENOUGH = 1.0
"""Percent of a gold entity's words that a predicted one must have to overlap with it, as in nervaluate."""


@dataclass(frozen=True)
class Pairs:
    """Gold entities that predicted ones are compared with, (predicted,) indices of gold, -1 for none.

    As nervaluate 1.2 pairs them: from left to right, each predicted entity takes a gold one that is still free.
    ``span``: the one with the same words, else the first that overlaps (its strict, exact and partial schemes).
    ``category``: of those that overlap the one of its category with the closest boundaries, else the first (its scheme
    of types).
    """

    span: np.ndarray
    category: np.ndarray


def paired(found: Tagged) -> Pairs:
    """Pair the entities of every cell."""
    low = np.searchsorted(found.gold_end, found.first, side="right")
    number = np.maximum(np.searchsorted(found.gold_first, found.end, side="left") - low, 0)
    owner = np.repeat(np.arange(len(number)), number)
    gold = low[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
    starts, ends = found.gold_first[gold], found.gold_end[gold]
    shared = np.minimum(found.end[owner], ends) - np.maximum(found.first[owner], starts)
    enough = shared / (ends - starts) * 100.0 >= ENOUGH
    owner, gold = owner[enough], gold[enough]
    own = found.cell[owner] * len(found.gold_first) + gold  # every cell has its own copy of gold
    turn = _turns(owner, own)
    free = len(found.cells) * len(found.gold_first)
    span = _taken(owner, own, turn, free, len(number))
    several = np.flatnonzero(np.bincount(owner, minlength=len(number))[owner] > 1)
    other = found.category[owner[several]] != found.gold_category[gold[several]]
    apart = np.abs(found.first[owner[several]] - found.gold_first[gold[several]]) + np.abs(
        found.end[owner[several]] - found.gold_end[gold[several]]
    )
    order = np.arange(len(owner))  # pairs of one predicted entity stand together: they are sorted in their places
    order[several] = several[np.lexsort((gold[several], np.where(other, 0, apart), other, owner[several]))]
    category = _taken(owner, own[order], turn, free, len(number))
    width = max(1, len(found.gold_first))
    return Pairs(*(np.where(one < 0, -1, one % width) for one in (span, category)))


def _turns(owner: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """(pairs,) how many predicted entities in a row, each sharing a gold one with the next, come before this one."""
    if not len(owner):
        return owner
    begins = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    alone = np.append(True, gold[begins[1:]] != gold[begins[1:] - 1])
    place = np.arange(len(begins))
    turn = place - np.maximum.accumulate(np.where(alone, place, 0))
    return np.repeat(turn, np.diff(np.append(begins, len(owner))))


def _taken(owner: np.ndarray, gold: np.ndarray, turn: np.ndarray, golds: int, predicted: int) -> np.ndarray:
    """(predicted,) the first free gold one of each, all entities of the same turn at once; -1 for none."""
    found, taken = np.full(predicted, -1), np.zeros(golds, bool)
    for now in range(int(turn.max(initial=-1)) + 1):
        free = np.flatnonzero(turn == now)
        free = free[~taken[gold[free]]]
        first = free[np.append(True, owner[free[1:]] != owner[free[:-1]])] if len(free) else free
        found[owner[first]] = gold[first]
        taken[gold[first]] = True
    return found
