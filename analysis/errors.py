"""What cells get wrong: confused categories, kinds of errors, the most frequent wrong entities. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.entities import Pairs, Tagged, paired, tagged
from analysis.error_buckets import IN_LANGUAGE, SETTINGS, ZERO_SHOT, Buckets, buckets, stacked
from analysis.matrices import CELL
from nertransfer.corpus import Corpus
from nertransfer.current import Place
from nertransfer.labels import OUTSIDE

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
    """`confusion`, `kinds` and `examples` of all targets; F1 by bucket (`analysis.error_buckets`). ``kinds_of_groups``:
    mean number of entities of each kind a cell, by group and setting."""

    confusion: pd.DataFrame
    kinds: pd.DataFrame
    examples: pd.DataFrame
    kinds_of_groups: pd.DataFrame
    buckets: Buckets


def analyse(
    files: Mapping[Place, bytes],
    corpora: Mapping[str, Corpus],
    targets: Sequence[str],
    groups: Mapping[str, Sequence[tuple[str, str]]],
    reference: str,
) -> Errors | None:
    """The error analysis of a study from the files of its cells (`nertransfer.predicted_entities`), in their order.

    ``groups``: the configurations of every row of a summary, by its name. Cells of a source without a corpus are left
    out; None where nothing is left.
    """
    with_train = {place: content for place, content in files.items() if place[1] in corpora}
    found = tagged(with_train, corpora, targets=targets)
    if not found:
        return None
    tables = errors(found)
    return Errors(*tables, kinds_of_groups(tables[1], groups), buckets(found, corpora, groups, reference))


def errors(found: Mapping[str, Tagged], most: int = MOST) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """`confusion`, `kinds` and `examples` of all targets."""
    tables: list[tuple[pd.DataFrame, ...]] = []
    for target, one in found.items():
        pairs = paired(one)
        shown = (confusion(one, pairs), kinds(one, pairs), examples(one, pairs, most))
        tables.append(tuple(table.assign(target=target) for table in shown))
    columns = (CONFUSION_COLUMNS, KIND_COLUMNS, EXAMPLE_COLUMNS)
    parts = zip(*tables, strict=True) if tables else [[], [], []]
    made = tuple(stacked(list(part), names) for part, names in zip(parts, columns, strict=True))
    return made  # type: ignore[return-value]


def kinds_of_groups(table: pd.DataFrame, groups: Mapping[str, Sequence[tuple[str, str]]]) -> pd.DataFrame:
    """Columns start (the group), setting, scores (how many), and of each of `KINDS` the mean number a score."""
    setting = np.where(table["source"] == table["target"], IN_LANGUAGE, ZERO_SHOT)
    places = list(zip(table["start"], table["source"], strict=True))
    rows = []
    for name, pairs in groups.items():
        member = np.array([place in set(pairs) for place in places], bool)
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


# --- examples --------------------------------------------------------------------------------------------


def examples(found: Tagged, pairs: Pairs, most: int = MOST) -> pd.DataFrame:
    """The most frequent wrong entities, a row per words and categories of both sides.

    ``gold`` and ``predicted`` are their words, empty where there is none. ``count``: how often in all cells; ``cells``:
    how many there are. ``example``: the first place in the split in up to `CONTEXT` words on either side, the gold
    entity in [brackets], the predicted one in {braces}.
    """
    unique, width = found.kinds, len(found.kinds.first) + 1
    wrong = np.flatnonzero(~found.correct)
    gold_of = np.append(unique.gold, -1)  # -1: no gold entity
    left, right = gold_of[pairs.span[wrong]] + 1, unique.predicted[wrong] + 1
    hits = np.bincount(pairs.span[pairs.span >= 0], minlength=len(found.gold_first))
    missed = np.flatnonzero(hits < len(found.cells))
    code, counts = np.unique(left * width + right, return_counts=True)
    left = np.concatenate([code // width, unique.gold[missed] + 1]) - 1
    right = np.concatenate([code % width, np.zeros(len(missed), int)]) - 1
    counts = np.concatenate([counts, len(found.cells) - hits[missed]])
    form = forms(found.words, unique.first, unique.end)
    known: dict[str, int] = {}
    form_code = np.array([*(known.setdefault(text, len(known)) for text in form), -1], np.int64)
    category = np.append(unique.category, -1)
    same = (left >= 0) & (right >= 0) & (unique.first[left] == unique.first[right])
    same &= unique.end[left] == unique.end[right]  # the same words may stand next to each other
    code = same.astype(np.int64)
    for side in (left, right):
        code = (code * (len(known) + 1) + form_code[side] + 1) * (len(found.categories) + 1) + category[side] + 1
    _, where, group = np.unique(code, return_index=True, return_inverse=True)
    total = np.bincount(group, weights=counts).astype(int)
    frequent = np.lexsort((where, -total))[:most]
    rows = [
        (*_sides(found, int(left[i]), int(right[i])), int(n), len(found.cells),
         in_context(found, _span(found, left[i]), _span(found, right[i])))
        for i, n in zip(where[frequent], total[frequent], strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=EXAMPLE_COLUMNS[1:])


def forms(words: Sequence[str], first: Iterable[int], end: Iterable[int]) -> list[str]:
    """The words of spans, joined by spaces."""
    return [" ".join(words[a:b]) for a, b in zip(first, end, strict=True)]


def _span(found: Tagged, kind: int) -> tuple[int, int] | None:
    return None if kind < 0 else (int(found.kinds.first[kind]), int(found.kinds.end[kind]))


def _sides(found: Tagged, gold: int, predicted: int) -> tuple[str, str, str, str, str]:
    """Kind of error, words and category of gold, words and category of the prediction."""
    sides: list[str] = []
    for kind in (gold, predicted):
        span = _span(found, kind)
        sides += (
            [" ".join(found.words[slice(*span)]), found.categories[found.kinds.category[kind]]] if span else ["", ""]
        )
    if gold < 0 or predicted < 0:
        return ("spurious" if gold < 0 else "missing", *sides)  # type: ignore[return-value]
    same = _span(found, gold) == _span(found, predicted)
    name = "type" if same else "boundary" if sides[1] == sides[3] else "boundary and type"
    return (name, *sides)  # type: ignore[return-value]


def in_context(found: Tagged, gold: tuple[int, int] | None, predicted: tuple[int, int] | None) -> str:
    """Words around both entities: ``said [ {Musa} Bello ] yesterday``."""
    spans = [span for span in (gold, predicted) if span is not None]
    sentence = int(np.searchsorted(found.ends, spans[0][0], side="right"))
    begin, stop = int(found.ends[sentence - 1]) if sentence else 0, int(found.ends[sentence])
    low = max(begin, min(a for a, _ in spans) - CONTEXT)
    high = min(stop, max(b for _, b in spans) + CONTEXT)
    words = list(found.words[low:high])
    for span, (opening, closing) in ((predicted, "{}"), (gold, "[]")):
        if span is not None:
            words[span[0] - low] = opening + words[span[0] - low]
            words[span[1] - 1 - low] += closing
    return f"{'… ' if low > begin else ''}{' '.join(words)}{' …' if high < stop else ''}"
