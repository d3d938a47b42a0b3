"""What cells get wrong: confused categories, kinds of errors, the most frequent wrong entities. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.errors.buckets import SETTINGS, Buckets, buckets, setting_of, stacked
from analysis.errors.entities import Pairs, Tagged, paired, tagged
from analysis.transfer.matrices import CELL
from nertransfer.core.grid import Place, languages_of
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.words import OUTSIDE

KINDS = ("correct", "boundary", "type", "boundary and type", "missing", "spurious")
"""In plain words: the right category with other first or last words, the right words with another category, both
wrong, a gold entity that nothing was paired with, and a predicted one."""
WRONG = KINDS[1:]
SCHEMES = {
    "strict": ("correct", "incorrect", "missed", "spurious"),
    "exact": ("correct", "incorrect", "missed", "spurious"),
    "partial": ("correct", "partial", "missed", "spurious"),
    "type": ("correct", "incorrect", "missed", "spurious"),
    "error": KINDS,
}
"""Columns of the table of kinds: nervaluate's four schemes (MUC-5; SemEval-2013 task 9.1), and ours."""
CONFUSION_COLUMNS = [*CELL, "target", "gold", "predicted", "count"]
KIND_COLUMNS = [*CELL, "target", *(f"{scheme} {kind}" for scheme, kinds in SCHEMES.items() for kind in kinds)]
EXAMPLE_COLUMNS = [
    "target", "kind", "gold", "gold_category", "predicted", "predicted_category", "count", "cells", "example",
]  # fmt: skip
MOST = 20
"""So many wrong entities of every target are listed."""
CONTEXT = 10
"""So many words on either side of a wrong entity are shown."""


@dataclass(frozen=True)
class Errors:
    """`confusion`, `kinds` and `examples` of all targets; F1 by bucket (`analysis.errors.buckets`).

    ``kinds_of_groups``: mean number of entities of each kind a cell, by group and setting.
    """

    confusion: pd.DataFrame
    kinds: pd.DataFrame
    examples: pd.DataFrame
    kinds_of_groups: pd.DataFrame
    buckets: Buckets


@dataclass(frozen=True)
class Wrong:
    """The distinct errors of a target by place: ``gold`` and ``predicted`` are (errors,) indices into `Tagged.kinds`,
    -1 where there is none; ``cells[begin[i] : begin[i + 1]]`` are the cells that make error ``i``."""

    gold: np.ndarray
    predicted: np.ndarray
    begin: np.ndarray
    cells: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """(errors,) how many cells make each."""
        return np.diff(self.begin)


def analyse(
    files: Mapping[Place, bytes],
    corpora: Mapping[str, Corpus],
    targets: Sequence[str],
    groups: Mapping[str, Sequence[tuple[str, str]]],
    reference: str,
) -> tuple[Errors, dict[str, Tagged], dict[str, Wrong]] | None:
    """The error analysis of a study from the files of its cells, in their order
    (`nertransfer.scoring.predicted_entities`), with the entities of every target and what is wrong among them.

    ``groups``: the configurations of every row of a summary, by its name. Cells of a source of which a language has no
    corpus are left out; None where nothing is left.
    """
    with_train = {place: content for place, content in files.items() if corpora.keys() >= {*languages_of(place[1])}}
    found = tagged(with_train, corpora, targets)
    if not found:
        return None
    tables, places = [], {}
    for target, one in found.items():
        pairs = paired(one)
        places[target] = wrong(one, pairs)
        shown = (confusion(one, pairs), kinds(one, pairs), examples(one, places[target]))
        tables.append([table.assign(target=target) for table in shown])
    columns = (CONFUSION_COLUMNS, KIND_COLUMNS, EXAMPLE_COLUMNS)
    confused, of_kinds, shown_most = (
        stacked(list(part), names) for part, names in zip(zip(*tables, strict=True), columns, strict=True)
    )
    of_buckets = buckets(found, corpora, groups, reference)
    return Errors(confused, of_kinds, shown_most, kinds_of_groups(of_kinds, groups), of_buckets), found, places


def kinds_of_groups(table: pd.DataFrame, groups: Mapping[str, Sequence[tuple[str, str]]]) -> pd.DataFrame:
    """Columns start (the group), setting, scores (how many), and of each of `KINDS` the mean number a score."""
    setting = np.array(list(map(setting_of, table["source"], table["target"])), object)
    places = list(zip(table["start"], table["source"], strict=True))
    rows = []
    for name, pairs in groups.items():
        members = set(pairs)
        member = np.array([place in members for place in places], bool)
        for which in SETTINGS:
            part = table[member & (setting == which)]
            if len(part):
                rows.append((name, which, len(part), *(float(part[f"error {kind}"].mean()) for kind in KINDS)))
    return pd.DataFrame(rows, columns=["start", "setting", "scores", *KINDS])


def _cells(found: Tagged) -> pd.DataFrame:
    return pd.DataFrame(found.cells, columns=CELL)


def same_span(found: Tagged, pairs: Pairs) -> np.ndarray:
    """(predicted,) whether the paired gold entity has the same words."""
    paired_ones, gold = pairs.span >= 0, np.maximum(pairs.span, 0)
    if not len(found.gold_first):
        return paired_ones
    return paired_ones & (found.gold_first[gold] == found.first) & (found.gold_end[gold] == found.end)


def same_category(found: Tagged, pair: np.ndarray) -> np.ndarray:
    """(predicted,) whether the gold entity it is paired with has its category."""
    if not len(found.gold_first):
        return np.zeros(len(pair), bool)
    return (pair >= 0) & (found.gold_category[np.maximum(pair, 0)] == found.category)


def confusion(found: Tagged, pairs: Pairs) -> pd.DataFrame:
    """How often a gold category was given a predicted one: a row per cell and pair of categories that occurs.

    Entities with the same words are compared. ``predicted`` is ``O`` for gold entities whose words are no predicted
    entity, and ``gold`` is ``O`` for predicted entities whose words are no gold one: so the counts of a gold category
    sum to the gold entities of each cell, and those of a predicted one to the predicted.
    """
    same, width = same_span(found, pairs), len(found.categories) + 1
    gold = np.full(len(same), width - 1)
    gold[same] = found.gold_category[pairs.span[same]]
    shape = (len(found.cells), width, width)
    code = (found.cell * width + gold) * width + found.category
    counts = np.bincount(code, minlength=int(np.prod(shape))).reshape(shape)
    support = np.bincount(found.gold_category, minlength=width)
    counts[:, :-1, -1] = support[:-1] - counts[:, :-1, :-1].sum(axis=2)
    names = np.array([*found.categories, OUTSIDE], object)
    cell, there, guessed = np.nonzero(counts)
    table = _cells(found).iloc[cell].reset_index(drop=True)
    return table.assign(gold=names[there], predicted=names[guessed], count=counts[cell, there, guessed])


def kinds(found: Tagged, pairs: Pairs) -> pd.DataFrame:
    """Entities of each kind, a row per cell, a column ``<scheme> <kind>`` for each of `SCHEMES`.

    The first four are nervaluate's, whose counts they equal; ``error`` has `KINDS`, of the same pairs as strict, exact
    and partial: each gold entity is correct, boundary, type, boundary and type or missing, each predicted one has the
    same of the gold one it is paired with or is spurious.
    """
    cells = len(found.cells)
    same, right = same_span(found, pairs), same_category(found, pairs.span)
    paired_ones, typed = pairs.span >= 0, pairs.category >= 0

    def per_cell(chosen: np.ndarray) -> np.ndarray:
        return np.bincount(found.cell[chosen], minlength=cells)

    correct, of_type = per_cell(same & right), per_cell(same & ~right)
    boundary, both = per_cell(paired_ones & ~same & right), per_cell(paired_ones & ~same & ~right)
    missing, spurious = len(found.gold_first) - per_cell(paired_ones), per_cell(~paired_ones)
    right_type = per_cell(same_category(found, pairs.category))
    columns = {
        "strict": (correct, of_type + boundary + both, missing, spurious),
        "exact": (correct + of_type, boundary + both, missing, spurious),
        "partial": (correct + of_type, boundary + both, missing, spurious),
        "type": (right_type, per_cell(typed) - right_type, len(found.gold_first) - per_cell(typed), per_cell(~typed)),
        "error": (correct, boundary, of_type, both, missing, spurious),
    }
    counted = {
        f"{scheme} {kind}": values
        for scheme, names in SCHEMES.items()
        for kind, values in zip(names, columns[scheme], strict=True)
    }
    return _cells(found).assign(**counted)


# --- which entities are wrong ------------------------------------------------------------------------------


def wrong(found: Tagged, pairs: Pairs) -> Wrong:
    """What any cell has wrong, each pair of entities at its place once."""
    unique, width = found.kinds, len(found.kinds.first) + 1
    chosen, paired_ones = np.flatnonzero(~found.correct), pairs.span >= 0
    there = np.zeros((len(found.cells), len(found.gold_first)), bool)
    there[found.cell[paired_ones], pairs.span[paired_ones]] = True
    cell, missed = np.nonzero(~there)
    gold_of = np.append(unique.gold, -1)  # -1: no gold entity
    left = np.concatenate([gold_of[pairs.span[chosen]], unique.gold[missed]]) + 1
    right = np.concatenate([unique.predicted[chosen], np.full(len(missed), -1)]) + 1
    cells = np.concatenate([found.cell[chosen], cell])
    code = left * width + right
    order = np.lexsort((cells, code))
    distinct, begin = np.unique(code[order], return_index=True)
    return Wrong(distinct // width - 1, distinct % width - 1, np.append(begin, len(order)), cells[order])


def kinds_of_wrong(found: Tagged, one: Wrong) -> np.ndarray:
    """(errors,) which of `KINDS` each is."""
    unique, left, right = found.kinds, np.maximum(one.gold, 0), np.maximum(one.predicted, 0)
    same = (unique.first[left] == unique.first[right]) & (unique.end[left] == unique.end[right])
    of_type = unique.category[left] == unique.category[right]
    boundary, of_kind, both, missing, spurious = (KINDS.index(name) for name in KINDS[1:])
    found_both = np.where(same, of_kind, np.where(of_type, boundary, both))
    return np.where(one.gold < 0, spurious, np.where(one.predicted < 0, missing, found_both))


def examples(found: Tagged, one: Wrong) -> pd.DataFrame:
    """The most frequent wrong entities, a row per words and categories of both sides.

    ``gold`` and ``predicted`` are their words, empty where there is none. ``count``: how often in all cells; ``cells``:
    how many there are. ``example``: the first place in the split in up to `CONTEXT` words on either side, the gold
    entity in [brackets], the predicted one in {braces}.
    """
    unique, left, right = found.kinds, one.gold, one.predicted
    if not len(left):
        return pd.DataFrame(columns=EXAMPLE_COLUMNS[1:])
    form = forms(found.words, unique.first, unique.end)
    known: dict[str, int] = {}
    form_code = np.array([*(known.setdefault(text, len(known)) for text in form), -1], np.int64)
    category = np.append(unique.category, -1)
    kind = kinds_of_wrong(found, one)  # the same words may stand next to each other
    code = kind.astype(np.int64)
    for which in (left, right):
        code = (code * (len(known) + 1) + form_code[which] + 1) * (len(found.categories) + 1) + category[which] + 1
    _, where, group = np.unique(code, return_index=True, return_inverse=True)
    total = np.bincount(group, weights=one.counts).astype(int)
    frequent = np.lexsort((where, -total))[:MOST]
    rows = [
        (KINDS[kind[i]], *side(found, int(left[i])), *side(found, int(right[i])), int(n), len(found.cells),
         in_context(found, span(found, left[i]), span(found, right[i])))
        for i, n in zip(where[frequent], total[frequent], strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=EXAMPLE_COLUMNS[1:])


def forms(words: Sequence[str], first: Iterable[int], end: Iterable[int]) -> list[str]:
    """The words of spans, joined by spaces."""
    return [" ".join(words[a:b]) for a, b in zip(first, end, strict=True)]


def span(found: Tagged, kind: int) -> tuple[int, int] | None:
    """First word and end of an entity of `Tagged.kinds`, None for -1."""
    return None if kind < 0 else (int(found.kinds.first[kind]), int(found.kinds.end[kind]))


def side(found: Tagged, kind: int) -> tuple[str, str]:
    """Words and category of an entity of `Tagged.kinds`, empty for -1."""
    place = span(found, kind)
    return (" ".join(found.words[slice(*place)]), found.categories[found.kinds.category[kind]]) if place else ("", "")


def in_context(
    found: Tagged, gold: tuple[int, int] | None, predicted: tuple[int, int] | None, context: int = CONTEXT
) -> str:
    """Up to ``context`` words of the sentence around both entities: ``said [ {Musa} Bello ] yesterday``."""
    spans = [place for place in (gold, predicted) if place is not None]
    sentence = int(np.searchsorted(found.ends, spans[0][0], side="right"))
    begin, stop = int(found.ends[sentence - 1]) if sentence else 0, int(found.ends[sentence])
    low = max(begin, min(a for a, _ in spans) - context)
    high = min(stop, max(b for _, b in spans) + context)
    words = list(found.words[low:high])
    for place, (opening, closing) in ((predicted, "{}"), (gold, "[]")):
        if place is not None:
            words[place[0] - low] = opening + words[place[0] - low]
            words[place[1] - 1 - low] += closing
    return f"{'… ' if low > begin else ''}{' '.join(words)}{' …' if high < stop else ''}"
