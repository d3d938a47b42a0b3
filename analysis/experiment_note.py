"""The note of a study's page in MLflow: its summary and transfer matrices as Markdown. Pure."""

import re
from collections.abc import Sequence

import pandas as pd

from analysis.computed import SPLIT, Computed
from analysis.sections import summary
from analysis.tables import number
from nertransfer.labels import ALL

LIMIT = 18_000
"""Characters; MLflow takes 20,000 in a tag of an experiment."""


def note(computed: Computed, report: str) -> str:
    """Markdown, at most `LIMIT` characters. ``report``: address of the run that has the whole report."""
    parts = ["\n".join(f"- {plain(text)}" for text in summary(computed))]
    missing = len(computed.missing)
    if missing:
        parts.append(f"**{missing} planned scores are missing**: see the report.")
    parts.append(f"The whole report is among the artifacts of [the latest analysis]({report}).")
    for view in computed.starts:
        mean = computed.matrices[view.name][ALL].mean
        title = f"**{plain(view.title)}**: mean F1 (%), {SPLIT}, rows source, columns target"
        part = f"{title}\n\n{table(mean)}"
        if sum(map(len, parts)) + len(part) > LIMIT:
            break
        parts.append(part)
    return "\n\n".join(parts)[:LIMIT]


def table(matrix: pd.DataFrame) -> str:
    """A matrix as a Markdown table."""
    lines = [["", *map(str, matrix.columns)], ["---", *["---:"] * len(matrix.columns)]]
    lines += [[str(row), *(number(value) for value in values)] for row, values in matrix.iterrows()]
    return "\n".join(_line(line) for line in lines)


def _line(cells: Sequence[str]) -> str:
    # MLflow sets tables without space between columns
    return f"| {' | '.join(cell if set(cell) <= {'-', ':'} else f'&nbsp;{plain(cell)}&nbsp;' for cell in cells)} |"


def plain(text: str) -> str:
    """Text in which Markdown and HTML have no meaning."""
    return re.sub(r"[\\`*_{}\[\]<>#|~&!]", lambda found: f"&#{ord(found[0])};", text)
