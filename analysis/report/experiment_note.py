"""The note of a study's page in MLflow: its summary and transfer matrices as Markdown. Pure."""

import pandas as pd

from analysis.report.sections.summary import summary
from analysis.report.study_analysis import SPLIT, Computed
from analysis.statistics.tables import number
from nertransfer.core import markdown
from nertransfer.core.schema import ALL
from nertransfer.tracking import ui_links

LIMIT = ui_links.TAG_LIMIT - 2_000
"""Characters."""


def note(computed: Computed, report: str) -> str:
    """Markdown, at most `LIMIT` characters. ``report``: address of the run that has the whole report."""
    parts = ["\n".join(f"- {markdown.escape(text)}" for text in summary(computed))]
    missing = len(computed.missing)
    if missing:
        parts.append(f"**{missing} planned scores are missing**: see the report.")
    parts.append(f"The whole report is among the artifacts of [the latest analysis]({report}).")
    for view in computed.starts:
        mean = computed.matrices[view.name][ALL].mean
        title = f"**{markdown.escape(view.title)}**: mean F1 (%), {SPLIT}, rows source, columns target"
        part = f"{title}\n\n{table(mean)}"
        if sum(map(len, parts)) + len(part) > LIMIT:
            break
        parts.append(part)
    return "\n\n".join(parts)[:LIMIT]


def table(matrix: pd.DataFrame) -> str:
    """A matrix as a Markdown table."""
    rows = [[_cell(row), *(_cell(number(value)) for value in values)] for row, values in matrix.iterrows()]
    return markdown.table(["", *map(_cell, matrix.columns)], rows, len(matrix.columns))


def _cell(text: object) -> str:
    return f"&nbsp;{markdown.escape(str(text))}&nbsp;"  # MLflow sets tables without space between columns
