"""The effect of pre-training: which start does best for a language, fine-tuned on it and scored on it. Pure.

A row of the tables is a *role*: a start that was fine-tuned on most sources (*wide*), or `OWN`, which is another start
for every language: the one that was adapted to it. Percent throughout; frames hold fractions.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.statistics import comparison
from nertransfer.core.grid import BASE, OWN, is_language
from nertransfer.core.schema import ALL, F1, SUPPORT

SIGNIFICANT = 0.05
MANN_WHITNEY = "two-sided Mann-Whitney U test over seeds"
COLUMNS = [
    "language", "role", "start", "mean", "sd", "n", "difference", "best", "mann_whitney_p", "p", "p_holm",
    "low", "high", "difference_low", "difference_high",
]  # fmt: skip

Samples = Mapping[tuple[str, str, str], np.ndarray]
"""(start, language, category) -> fractions, a number for every seed, in the order of the seeds."""


class Resampled(NamedTuple):
    """Of a language and role, over sentences and seeds: p of the difference to the reference, also corrected, and
    the ends of the intervals of the mean, in percent, and of that difference, in points; NaN: not known."""

    p: float = math.nan
    p_holm: float = math.nan
    low: float = math.nan
    high: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan


def pairs_of(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Every (start, source) of a frame, sorted."""
    return sorted(set(zip(frame["start"], frame["source"], strict=True)))


def roles(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """The roles of a study with these (start, source) pairs: `BASE`, other wide starts in their order, `OWN`.

    Wide is a start of more than half of the sources, and of more than half of those that are not its own: an own start
    that was also tried on a pivot is not wide. `BASE` has a role wherever it is a start. `OWN` has one where at least
    two sources have a start of their name that is not wide.
    """
    pairs = list(dict.fromkeys(pairs))
    pairs = [pair for pair in pairs if is_language(pair[1])] or pairs  # those have no start of their own
    sources = {source for _, source in pairs}
    found = [start for start in dict.fromkeys(start for start, _ in pairs) if _is_wide(start, pairs, sources)]
    narrow = {source for start, source in pairs if start == source and start not in found}
    base = [BASE] if any(start == BASE for start, _ in pairs) else []
    return base + [start for start in found if start != BASE] + ([OWN] if len(narrow) > 1 else [])


def _is_wide(start: str, pairs: Iterable[tuple[str, str]], sources: set[str]) -> bool:
    covered = {source for name, source in pairs if name == start}
    others = sources - {start}
    return 2 * len(covered) > len(sources) and (not others or 2 * len(covered & others) > len(others))


def start_of(role: str, language: str) -> str:
    """The start that has a role for a language."""
    return language if role == OWN else role


def in_language(frame: pd.DataFrame, split: str = "test") -> dict[tuple[str, str, str], np.ndarray]:
    """F1 of every start on the language it was fine-tuned on, by (start, language, category); see `Samples`.

    A category that the gold tags do not have is left out. Raises ValueError when a seed has two scores.
    """
    chosen = frame[(frame["split"] == split) & (frame["source"] == frame["target"]) & frame[F1].notna()]
    chosen = chosen[(chosen["category"] == ALL) | (chosen[SUPPORT] > 0)]
    key = ["start", "source", "category"]
    if chosen.duplicated([*key, "seed"]).any():
        raise ValueError("a start has two scores for one source, seed and category")
    groups = chosen.sort_values("seed").groupby(key)[F1]
    return {place: values.to_numpy(float) for place, values in groups}


def summary(sample: np.ndarray | None, ddof: int) -> tuple[float, float, int]:
    """Mean and sd in percent, and the number, of fractions; NaN where there are too few."""
    if sample is None or not len(sample):
        return math.nan, math.nan, 0
    n = len(sample)
    return float(sample.mean() * 100), float(sample.std(ddof=ddof) * 100) if n > ddof else math.nan, n


def highest(frame: pd.DataFrame, by: str | list[str]) -> pd.Series:
    """Whether a row has the highest mean of its group; ties all have it, a missing mean or the only one never."""
    means = frame.groupby(by)["mean"]
    return (frame["mean"] == means.transform("max")) & (means.transform("count") > 1)


def effect(
    frame: pd.DataFrame,
    roles: Sequence[str],
    split: str = "test",
    ddof: int = 1,
    resampled: Mapping[tuple[str, str], Resampled] | None = None,
    languages: Sequence[str] | None = None,
    reference: str = BASE,
) -> pd.DataFrame:
    """One row a language and role: `COLUMNS`, in percent; differences to the start ``reference`` in points.

    ``languages`` names and orders the languages; None: the sources of the frame, sorted. Without scores a row has
    ``n`` 0 and NaN. ``best``: the highest mean of its language. ``mann_whitney_p``: two-sided, the seeds of the row
    against those of ``reference``. ``p``, ``p_holm`` and the intervals are those of ``resampled``, by language and
    role: of the same test there is one corrected p, wherever it is shown. Without ``resampled``, ``p_holm`` corrects
    ``mann_whitney_p`` by Holm's method over the table; a start that has two roles for a language counts once.
    """
    samples = in_language(frame, split)
    languages = sorted(set(frame["source"])) if languages is None else languages
    rows = []
    for language in languages:
        base = samples.get((reference, language, ALL))
        for role in roles:
            place, start = (language, role), start_of(role, language)
            sample = samples.get((start, language, ALL))
            mean, sd, n = summary(sample, ddof)
            p = (
                math.nan
                if start == reference or sample is None or base is None
                else comparison.mann_whitney(sample, base)
            )
            difference, better = mean - summary(base, ddof)[0], (resampled or {}).get(place, Resampled())
            rows.append((*place, start, mean, sd, n, difference, False, p, *better))
    found = pd.DataFrame(rows, columns=COLUMNS)
    found["best"] = highest(found, "language")
    if resampled is None:
        found["p_holm"] = _corrected(found, "mann_whitney_p")
    return found


def comparisons(effect: pd.DataFrame) -> pd.DataFrame:
    """The rows that are tests: those with a p-value, a start that has two roles once."""
    return effect[effect["p_holm"].notna()].drop_duplicates(["language", "start"])


def _corrected(rows: pd.DataFrame, column: str) -> pd.Series:
    """Holm's p-values of a column; equal comparisons are one."""
    family = rows[rows[column].notna()].drop_duplicates(["language", "start"])
    adjusted = dict(zip(_compared(family), comparison.holm(family[column]), strict=True))
    return pd.Series([adjusted.get(pair, math.nan) for pair in _compared(rows)], index=rows.index, dtype=float)


def _compared(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """What every row compares with `BASE`: (language, start)."""
    return list(zip(rows["language"], rows["start"], strict=True))
