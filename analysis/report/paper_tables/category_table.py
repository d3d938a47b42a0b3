"""The table of categories for papers, and as it was published."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.report.paper_tables import pretraining_table, typeset
from analysis.report.paper_tables.typeset import latex_escape
from analysis.transfer import pretraining
from analysis.transfer.categories import OVERALL, names_of, published_frame
from analysis.transfer.pretraining import BASE, Samples, in_language, start_of
from nertransfer.core.grid import OWN
from nertransfer.core.schema import ALL

CLEARLY_ABOVE = 5.0
"""Points above `BASE` from which the published table turns green."""


def table(found: pd.DataFrame, split: str = "test", label: str = "categories", ddof: int = 1) -> typeset.Table:
    """`by_start` as a table: rows language and role, columns categories, ``mean ± sd``; the best of a language bold.

    ``ddof`` is what `by_start` was given. What is missing is ``n/a``; an entry of fewer seeds than others says how
    many.
    """
    found = found.assign(best=pretraining.highest(found, ["language", "category"]))
    seeds = int(found["n"].max()) if len(found) else 0
    categories = list(dict.fromkeys(found["category"]))
    places = list(dict.fromkeys(zip(found["language"], found["role"], strict=True)))
    entries = {
        (row.language, row.role, row.category): pretraining_table.seeds_entry(
            row.mean, row.sd, row.n, seeds, bold=row.best
        )
        for row in found.itertuples()
    }
    rows = [([*place], [entries[*place, category] for category in categories]) for place in places]
    notes = pretraining_table.common_notes(found, seeds, ddof)
    if not found["n"].all():
        notes.append("n/a: no scores, or no entity of that category.")
    return typeset.Table(
        columns=[OVERALL if category == ALL else category for category in categories],
        rows=rows,
        head_names=["Language", "Start"],
        caption=f"F1 by category and start, on the language that was fine-tuned on ({split} split, percent)",
        label=label,
        notes=notes,
        rules={i for i in range(len(places) - 1) if places[i][0] != places[i + 1][0]},
    )


# --- as it was published -----------------------------------------------------------------------------------


def short_region(region: str) -> str:
    """The first word in lower case: ``west`` for "West Africa", ``east`` for "East and Central Africa"."""
    return region.split()[0].lower()


def published_latex(frame: pd.DataFrame, order: Sequence[str], regions: Mapping[str, str]) -> str:
    r"""The published table (Beukman, NERTransfer, ``analysis/v10/categories/all_cats.tex``), byte for byte.

    ``regions`` are short (`short_region`); a language without one stands alone. Made of `published_frame`; ``mean
    (sd)`` in percent with ddof=0. Red: the printed mean is below that of `BASE`; green: more than `CLEARLY_ABOVE` above
    it; orange around these: below that of the second start (``swa`` in the published study). What is missing is
    ``NaN``. Names are escaped for LaTeX, which leaves the published ones as they are. Raises ValueError when the frame
    has no role or ``order`` is empty.
    """
    samples, categories = in_language(published_frame(frame)), names_of(frame)
    names = pretraining.roles(pretraining.pairs_of(frame))
    second = next((role for role in names if role != BASE), None)
    rows = []
    for language in order:
        name = f"{language} ({regions[language]})" if language in regions else language
        for role in names:
            cells = [_published_entry(samples, language, role, second, category) for category in categories]
            rows.append(([*map(latex_escape, (name, "lang-specific" if role == OWN else role))], cells))
    columns = [latex_escape(OVERALL if category == ALL else category) for category in categories]
    return typeset.published_tabular(columns, rows, ("Lang", "Pretrained"))


def _published_entry(samples: Samples, language: str, role: str, second: str | None, category: str) -> str:
    def printed(role: str) -> float:
        """NaN where missing: it is neither below nor above anything."""
        sample = samples.get((start_of(role, language), language, category))
        return math.nan if sample is None else float(np.round(np.mean(sample * 100), 2))

    mean = printed(role)
    if math.isnan(mean):
        return pretraining_table.PUBLISHED_MISSING
    sample = samples[start_of(role, language), language, category]
    text = f"{mean} ({np.round(np.std(sample * 100), 1)!s})"
    difference = mean - printed(BASE)
    if difference < 0:
        text = rf"\textcolor{{red}}{{{text}}}"
    if difference > CLEARLY_ABOVE:
        text = rf"\textcolor{{green}}{{{text}}}"
    if role != BASE and second is not None and mean < printed(second):
        text = rf"\textcolor{{orange}}{{{text}}}"
    return text
