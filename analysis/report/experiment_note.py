"""The note of a study's page in MLflow: its summary and transfer matrices as Markdown. Pure."""

import pandas as pd

from analysis.report.html.page import shown
from analysis.report.html.page_data import Section
from analysis.report.sections import answer
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
    if (section := answer.answer(computed)) is not None:
        parts.insert(0, _answers(section))
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


def _answers(section: Section) -> str:
    """The best start and source of every target as a Markdown table, and what to do next."""
    (listing,) = section.listings
    named = [column for column in listing.columns if column.name not in ("low", "high")]
    rows = [
        [_cell(shown(value, column.kind)) for column, value in zip(named, row, strict=True)]
        for row in listing.frame[[column.name for column in named]].itertuples(index=False, name=None)
    ]
    heads = [_cell(column.label) for column in named]
    texts = [markdown.escape(text) for text in section.paragraphs if text]
    title = f"**{markdown.escape(listing.title)}**"
    return "\n\n".join([title, markdown.table(heads, rows, len(heads) - 1), *texts])


def table(matrix: pd.DataFrame) -> str:
    """A matrix as a Markdown table."""
    rows = [[_cell(row), *(_cell(number(value)) for value in values)] for row, values in matrix.iterrows()]
    return markdown.table(["", *map(_cell, matrix.columns)], rows, len(matrix.columns))


def _cell(text: object) -> str:
    return f"&nbsp;{markdown.escape(str(text))}&nbsp;"  # MLflow sets tables without space between columns
