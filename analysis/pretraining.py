"""The effect of pre-training: which start does best for a language, fine-tuned on it and scored on it. Pure.

A row of the tables is a *role*: a start that was fine-tuned on most sources (*wide*), or `OWN`, which is another start
for every language: the one that was adapted to it. Percent throughout; frames hold fractions.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis import statistics, typeset
from analysis.typeset import latex_escape
from nertransfer.grid import BASE, OWN, is_several
from nertransfer.labels import ALL
from nertransfer.nouns import count
from nertransfer.schema import F1, SUPPORT

SIGNIFICANT = 0.05
MANN_WHITNEY = "two-sided Mann-Whitney U test over seeds"
COLUMNS = [
    "language", "role", "start", "mean", "sd", "n", "difference", "best", "mann_whitney_p", "p", "p_holm",
    "low", "high", "difference_low", "difference_high",
]  # fmt: skip

Samples = Mapping[tuple[str, str, str], np.ndarray]
"""(start, language, category) -> fractions, a number for every seed, in the order of the seeds."""
Bounds = Mapping[tuple[str, str], tuple[float, float]]
"""(language, role) -> the two ends of an interval, in percent or points."""


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
    pairs = [pair for pair in pairs if not is_several(pair[1])] or pairs  # those have no start of their own
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
    return {place: values.to_numpy(float) for place, values in groups}  # type: ignore[misc]


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
    p_values: Mapping[tuple[str, str], float] | None = None,
    intervals: Bounds | None = None,
    difference_intervals: Bounds | None = None,
    languages: Sequence[str] | None = None,
) -> pd.DataFrame:
    """One row a language and role: `COLUMNS`, in percent; differences to `BASE` in points.

    ``languages`` names and orders the languages; None: the sources of the frame, sorted. Without scores a row has
    ``n`` 0 and NaN. ``best``: the highest mean of its language. ``mann_whitney_p``: two-sided, the seeds of the row
    against those of `BASE`. ``p`` is what ``p_values`` says. ``p_holm`` corrects ``p`` (without ``p_values``:
    ``mann_whitney_p``) by Holm's method over the table; a start that has two roles for a language counts once.
    """
    samples = in_language(frame, split)
    languages = sorted(set(frame["source"])) if languages is None else languages
    rows = []
    for language in languages:
        base = samples.get((BASE, language, ALL))
        for role in roles:
            place, start = (language, role), start_of(role, language)
            sample = samples.get((start, language, ALL))
            mean, sd, n = summary(sample, ddof)
            compared = role != BASE and sample is not None and base is not None
            rows.append(
                (*place, start, mean, sd, n, mean - summary(base, ddof)[0], False,
                 statistics.mann_whitney(sample, base) if compared else math.nan,
                 (p_values or {}).get(place, math.nan), math.nan,
                 *(intervals or {}).get(place, (math.nan, math.nan)),
                 *(difference_intervals or {}).get(place, (math.nan, math.nan)))
            )  # fmt: skip
    found = pd.DataFrame(rows, columns=COLUMNS)
    found["best"] = highest(found, "language")
    found["p_holm"] = _corrected(found, "mann_whitney_p" if p_values is None else "p")
    return found


def comparisons(effect: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table's family of tests: those with a p-value, a start that has two roles once."""
    return effect[effect["p_holm"].notna()].drop_duplicates(["language", "start"])


def _corrected(rows: pd.DataFrame, column: str) -> pd.Series:
    """Holm's p-values of a column; equal comparisons are one."""
    family = rows[rows[column].notna()].drop_duplicates(["language", "start"])
    adjusted = dict(zip(_compared(family), statistics.holm(family[column]), strict=True))
    return pd.Series([adjusted.get(pair, math.nan) for pair in _compared(rows)], index=rows.index, dtype=float)


def _compared(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """What every row compares with `BASE`: (language, start)."""
    return list(zip(rows["language"], rows["start"], strict=True))


# --- the table -------------------------------------------------------------------------------------------


def table(
    found: pd.DataFrame,
    order: Sequence[str],
    split: str = "test",
    test: str = MANN_WHITNEY,
    label: str = "pretraining",
    ddof: int = 1,
) -> typeset.Table:
    """`effect` as a table: rows roles, columns the languages in ``order``, ``mean ± sd``.

    Bold: the best start of a language; a star: ``p_holm`` below `SIGNIFICANT`. ``test`` names the test that the
    p-values come from, ``ddof`` is what `effect` was given. Missing scores are ``n/a``; an entry of fewer seeds than
    others says how many.
    """
    names = list(dict.fromkeys(found["role"]))
    seeds = int(found["n"].max()) if len(found) else 0
    entries = {
        (row.language, row.role): seeds_entry(
            row.mean, row.sd, row.n, seeds, bold=row.best, star=row.p_holm < SIGNIFICANT
        )
        for row in found.itertuples()
    }
    missing = typeset.score_entry(math.nan)
    rows = [([name], [entries.get((language, name), missing) for language in order]) for name in names]
    shown = found[found["language"].isin(order)]
    complete = len(set(shown["language"])) == len(set(order)) and (shown["n"] > 0).all()
    return typeset.Table(
        columns=list(order),
        rows=rows,
        head_names=["Start"],
        caption=f"F1 by the start of fine-tuning, on the language that was fine-tuned on ({split} split, percent)",
        label=label,
        notes=_notes(found, seeds, test, complete, ddof),
    )


def seeds_entry(mean: float, sd: float, n: int, seeds: int, *, bold: bool, star: bool = False) -> typeset.Entry:
    """The entry of a mean over ``n`` seeds; it says ``n`` where that is fewer than ``seeds``."""
    entry = typeset.score_entry(mean, sd, bold=bold, star=star)
    return replace(entry, note=f"{entry.note} (n={n})".strip()) if 0 < n < seeds else entry


def common_notes(found: pd.DataFrame, seeds: int, ddof: int) -> list[str]:
    """What the numbers are, and what `OWN` is where it is a role."""
    sd = f"standard deviation (with {f'n - {ddof}' if ddof else 'n'} in the denominator)"
    notes = [f"Mean ± {sd} over {count(seeds, 'seed')}. Bold: highest mean of the language."]
    if OWN in set(found["role"]):
        notes.append(f"{OWN}: the start that was adapted to the language itself.")
    return notes


def _notes(found: pd.DataFrame, seeds: int, test: str, complete: bool, ddof: int) -> list[str]:
    family = comparisons(found)
    notes = common_notes(found, seeds, ddof)
    if len(family):
        compared = f"{test}, Holm's correction over {count(len(family), 'comparison')}"
        notes.append(f"*: different from {BASE} (p < {SIGNIFICANT:g}; {compared}).")
    if test == MANN_WHITNEY and len(family) and (least := _least_p(found)) >= SIGNIFICANT:
        notes.append(f"So few seeds cannot give a star: the smallest p possible, corrected, is {least:.2g}.")
    return notes if complete else [*notes, "n/a: no scores."]


def _least_p(found: pd.DataFrame) -> float:
    """The smallest corrected p that an exact Mann-Whitney test over the seeds of the table could give."""
    family = comparisons(found)
    base = found[found["role"] == BASE].set_index("language")["n"]
    orders = (math.comb(row.n + int(base[row.language]), row.n) for row in family.itertuples())
    return min(1.0, 2 * len(family) / max(orders))


# --- as it was published -----------------------------------------------------------------------------------

PUBLISHED_MISSING = "NaN"
"""What stands in a published table where a score is not there."""


def published_roles(frame: pd.DataFrame) -> list[str]:
    """The roles of a frame from the last to the first: the order of the published rows."""
    return roles(pairs_of(frame))[::-1]


def _published_name(role: str) -> str:
    return f"Pre-trained ({'same-language' if role == OWN else role})"


def _published_score(sample: np.ndarray, decimals: int) -> str:
    """``mean (sd)`` in percent: sd of the seeds at hand (ddof=0) to one decimal, no trailing zeros."""
    return f"{np.round(sample.mean() * 100, decimals)!s} ({np.round(sample.std() * 100, 1)!s})"


def published_latex(frame: pd.DataFrame, order: Sequence[str]) -> str:
    r"""The table of the published study (Beukman, NERTransfer, ``analysis/v10/results.tex``), byte for byte.

    A star: p < 0.05 in a two-sided Mann-Whitney U test of the five seeds against those of `BASE`, not corrected. As in
    the published table, the highest mean of a language is bold only where it has a star. A score that is not there is
    ``NaN``. Names are escaped for LaTeX, which leaves the published ones as they are. Raises ValueError when the frame
    has no role (`roles`).
    """
    samples, names = in_language(frame), published_roles(frame)
    rows = []
    for role in names:
        cells = [_published_entry(samples, names, role, language) for language in order]
        rows.append(([latex_escape(_published_name(role))], cells))
    return typeset.published_tabular([*map(latex_escape, order)], rows)


def _published_entry(samples: Samples, names: Sequence[str], role: str, language: str) -> str:
    column = {name: samples[key] for name in names if (key := (start_of(name, language), language, ALL)) in samples}
    if role not in column:
        return PUBLISHED_MISSING
    sample = column[role]
    text = _published_score(sample, 1)
    if role == BASE or BASE not in column or not statistics.mann_whitney(sample, column[BASE]) < SIGNIFICANT:
        return text
    best = sample.mean() == max(other.mean() for other in column.values())
    return rf"$\{'textbf' if best else 'text'}{{{text}}}^*$"


def published_csv(frame: pd.DataFrame, order: Sequence[str]) -> str:
    """The published ``analysis/v10/results_compressed.csv``, byte for byte: ``mean (sd)``, empty where missing."""
    samples = in_language(frame)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *order])
    for role in published_roles(frame):
        found = (samples.get((start_of(role, language), language, ALL)) for language in order)
        writer.writerow([_published_name(role), *("" if s is None else _published_score(s, 2) for s in found)])
    return text.getvalue()
