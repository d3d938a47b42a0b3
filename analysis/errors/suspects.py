"""Gold labels that models contradict with one voice: what annotators may look at again. Pure, and changes no score."""

from collections import Counter

import numpy as np
import pandas as pd

from analysis.errors.entities import Tagged
from analysis.errors.kinds import KINDS, Wrong, in_context, kinds_of_wrong, side, span

COLUMNS = [
    "kind", "sentence", "word", "gold", "gold_category", "suggested", "suggested_category", "support", "gold_support",
    "models", "text",
]  # fmt: skip
MAJORITY = 0.5
"""Share of the votes that a suggestion needs."""
HIGHEST = 0.99
"""No cell votes as if its F1 were higher."""


def suspects(found: Tagged, one: Wrong) -> pd.DataFrame:
    """The places of a target where at least half of the models agree on another reading than gold's: `COLUMNS`.

    ``support``: the share of the votes for what is suggested (nothing, where an entity is missing in all), and
    ``gold_support``: for what gold has; for a suggested entity where gold has none, the share that finds none in its
    words. A cell votes with the odds F1 / (1 - F1) of its F1 on the target, divided by the number of seeds of its start
    and source. Those with the largest difference of both come first. ``models``: how many make the suggestion.
    ``sentence`` and ``word`` (in the sentence) count from 1; ``text`` is the sentence, gold in [brackets], the
    suggestion in {braces}.
    """
    votes = _votes(found)
    errors = len(one.gold)
    support = np.bincount(np.repeat(np.arange(errors), one.counts), weights=votes[one.cells], minlength=errors)
    unique = found.kinds
    of_kind = np.bincount(unique.predicted, weights=votes[found.cell], minlength=len(unique.first))
    for_gold = np.where(one.gold < 0, 0, of_kind[np.maximum(one.gold, 0)]) if len(of_kind) else np.zeros(errors)
    kind = kinds_of_wrong(found, one)
    rows = []
    for i in np.flatnonzero((support >= MAJORITY) & (support > for_gold)):
        place = span(found, one.gold[i]) or span(found, one.predicted[i])
        assert place is not None
        if one.gold[i] < 0:
            for_gold[i] = max(
                0.0, 1 - votes[np.unique(found.cell[(found.first < place[1]) & (found.end > place[0])])].sum()
            )
        if support[i] <= for_gold[i]:
            continue
        sentence = int(np.searchsorted(found.ends, place[0], side="right"))
        word = place[0] - (int(found.ends[sentence - 1]) if sentence else 0)
        text = in_context(found, span(found, one.gold[i]), span(found, one.predicted[i]), len(found.words))
        sides = (*side(found, int(one.gold[i])), *side(found, int(one.predicted[i])))
        votes_of = (support[i], for_gold[i], int(one.counts[i]))
        rows.append((KINDS[kind[i]], sentence + 1, word + 1, *sides, *votes_of, text))
    table = pd.DataFrame(rows, columns=COLUMNS)
    order = (table["gold_support"] - table["support"]).sort_values(kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _votes(found: Tagged) -> np.ndarray:
    """(cells,) the weight of every cell's vote; they sum to 1."""
    cells = len(found.cells)
    correct, predicted = (np.bincount(part, minlength=cells) for part in (found.cell[found.correct], found.cell))
    f1 = np.minimum(2 * correct / np.maximum(predicted + len(found.gold_first), 1), HIGHEST)
    seeds = Counter(cell[:2] for cell in found.cells)
    votes = f1 / (1 - f1) / np.array([seeds[cell[:2]] for cell in found.cells])
    return votes / votes.sum() if votes.any() else votes
