"""The table of pre-training for papers, and as it was published."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.report.paper_tables import typeset
from analysis.report.paper_tables.typeset import latex_escape
from analysis.statistics import comparison
from analysis.transfer.pretraining import (
    MANN_WHITNEY,
    SIGNIFICANT,
    Samples,
    comparisons,
    in_language,
    pairs_of,
    roles,
    start_of,
)
from nertransfer.core.grid import BASE, OWN
from nertransfer.core.schema import ALL
from nertransfer.core.text import count

# --- the table -------------------------------------------------------------------------------------------


def table(
    found: pd.DataFrame,
    order: Sequence[str],
    split: str = "test",
    test: str = MANN_WHITNEY,
    label: str = "pretraining",
    ddof: int = 1,
    tests: int | None = None,
    reference: str = BASE,
) -> typeset.Table:
    """`effect` as a table: rows roles, columns the languages in ``order``, ``mean ± sd``.

    Bold: the best start of a language; a star: ``p_holm`` below `SIGNIFICANT`. ``test`` names the test that the
    p-values come from, ``ddof`` is what `effect` was given, and ``tests`` how many tests ``p_holm`` corrects for (None:
    those of the table). Missing scores are ``n/a``; an entry of fewer seeds than
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
        notes=_notes(found, seeds, test, complete, ddof, tests, reference),
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


def _notes(
    found: pd.DataFrame, seeds: int, test: str, complete: bool, ddof: int, tests: int | None, reference: str
) -> list[str]:
    family = comparisons(found)
    notes = common_notes(found, seeds, ddof)
    if len(family):
        elsewhere = f"all {count(tests, 'comparison')} of starts with {reference}" if tests is not None else ""
        compared = f"{test}, Holm's correction over {elsewhere or count(len(family), 'comparison')}"
        notes.append(f"*: different from {reference} (p < {SIGNIFICANT:g}; {compared}).")
    if test == MANN_WHITNEY and len(family) and (least := _least_p(found, reference)) >= SIGNIFICANT:
        notes.append(f"So few seeds cannot give a star: the smallest p possible, corrected, is {least:.2g}.")
    return notes if complete else [*notes, "n/a: no scores."]


def _least_p(found: pd.DataFrame, reference: str) -> float:
    """The smallest corrected p that an exact Mann-Whitney test over the seeds of the table could give."""
    family = comparisons(found)
    base = found[found["role"] == reference].set_index("language")["n"]
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
    if role == BASE or BASE not in column or not comparison.mann_whitney(sample, column[BASE]) < SIGNIFICANT:
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
