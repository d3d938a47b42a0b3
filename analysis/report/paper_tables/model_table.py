"""The table of the chosen models for papers and model cards."""

from collections.abc import Mapping
from urllib.parse import quote

import pandas as pd

from analysis.report.paper_tables import typeset
from analysis.statistics.tables import MISSING, number
from analysis.transfer.chosen_models import CATEGORY, HUB, OVERALL, PUBLISHER


def measure_names(rows: pd.DataFrame) -> dict[str, str]:
    """The columns of scores and what a table calls them: F1, Precision, Recall, F1 (LOC) ..."""
    categories = [column for column in rows.columns if column.startswith(CATEGORY)]
    return {**OVERALL, **{column: f"F1 ({column.removeprefix(CATEGORY)})" for column in categories}}


def notes(rows: pd.DataFrame) -> list[str]:
    """How the seeds were chosen, what choosing them on the test split adds, and what is missing."""
    found = []
    for split in sorted(set(rows["selection_split"])):
        found.append(f"Percent, on the test split. Of every model the seed with the best F1 on the {split} split.")
    inflation = rows["inflation"].dropna()
    if len(inflation):
        points = f"{inflation.mean():.2f} points of F1 more on average, {inflation.max():.2f} at most"
        found.append(f"A seed chosen on the test split instead of the dev split shows {points}.")
    missing = rows[list(measure_names(rows))].isna().any(axis=None)
    return [*found, f"{MISSING}: no scores, or no entity of that category."] if missing else found


def table(rows: pd.DataFrame, label: str = "model-cards") -> typeset.Table:
    """`rows` as a table: a model a row, its scores to two decimals, its seed, and `notes`."""
    names = measure_names(rows)
    body = [
        (
            [str(row["model"]), str(row["start"]), str(row["source"])],
            [*(typeset.score_entry(row[column], decimals=2) for column in names), _seed_entry(row["seed"])],
        )
        for row in rows.to_dict("records")
    ]
    return typeset.Table(
        columns=[*names.values(), "Seed"],
        rows=body,
        head_names=["Model", "Start", "Language"],
        caption="The best model of every start and language, scored on the language that it was fine-tuned on",
        label=label,
        notes=notes(rows),
    )


def _seed_entry(seed: int | None) -> typeset.Entry:
    return typeset.Entry(MISSING if pd.isna(seed) else str(seed))


# --- Markdown, in the layout of the published cards ----------------------------------------------------------

_WIDTHS = (50, 20, 32)  # of the heads; those of the numbers are as wide as their names
_SCORE_WIDTH = 14


def markdown(rows: pd.DataFrame, locations: Mapping[str, str], published: bool = False) -> str:
    """`rows` as the table of models in Markdown, laid out as in the published ``ModelCards.md``; two decimals.

    ``locations``: hub id by start; a start without one has no link. ``published``: byte for byte, with links to the
    published models and without `notes`, also in its spelling of "Starting".
    """
    names = measure_names(rows)
    heads = ("Model Name", f"{'Staring' if published else 'Starting'} point", "Evaluation / Fine-tune Language")
    columns = [*(text.ljust(width) for text, width in zip(heads, _WIDTHS, strict=True))]
    columns += [typeset.markdown_escape(name) for name in names.values()]
    lines = [columns, ["-" * 50, "-" * 20, "-" * 20, *(["-" * _SCORE_WIDTH] * len(names))]]
    for row in rows.to_dict("records"):
        model = _link(row["model"], f"{PUBLISHER}/{row['model']}" if published else None)
        start = _link(row["start"], locations.get(row["start"]))
        language = typeset.markdown_escape(row["source"]).ljust(20)
        lines.append([model, start, language, *(number(row[column], 2).ljust(_SCORE_WIDTH) for column in names)])
    text = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return text if published else "\n\n".join([text.rstrip("\n"), *map(typeset.markdown_escape, notes(rows))]) + "\n"


def _link(text: str, location: str | None) -> str:
    shown = typeset.markdown_escape(text)
    return f"[{shown}]({HUB}{quote(location)})" if location else shown
