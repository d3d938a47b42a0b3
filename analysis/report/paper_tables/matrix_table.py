"""Tables for papers: transfer matrices, the best start and source of every target, the averages of starts. Pure."""

import math

import numpy as np
import pandas as pd

from analysis.report.paper_tables import typeset
from analysis.statistics.tables import MISSING, number
from analysis.transfer.pretraining import SIGNIFICANT
from nertransfer.core.text import count


def matrix(
    mean: pd.DataFrame,
    sd: pd.DataFrame,
    n: pd.DataFrame,
    own: np.ndarray,
    row_name: str,
    name: str,
    split: str,
    ddof: int,
) -> typeset.Table:
    """A transfer matrix: rows sources (or starts, as ``row_name`` says), columns targets, ``mean ± sd`` over seeds.

    ``mean`` in percent, with averages behind the rows and columns of ``own``, which says where the target is the row's
    own language. Bold: the highest zero-shot mean of every target, none of equal ones.
    """
    rows, columns = own.shape
    inner = mean.iloc[:rows, :columns].where(~own)
    highest = inner.max()
    best = inner.eq(highest) & (inner.eq(highest).sum() == 1)
    seeds = int(n.iloc[:rows, :columns].max().max()) if rows and columns else 0
    body = [
        (
            [str(row)],
            [
                typeset.score_entry(
                    mean.iat[i, j], sd.iat[i, j], bold=bool(i < rows and j < columns and best.iat[i, j])
                )
                for j in range(len(mean.columns))
            ],
        )
        for i, row in enumerate(mean.index)
    ]
    spread = f"n - {ddof}" if ddof else "n"
    notes = [
        f"Mean ± standard deviation (with {spread} in the denominator) over {count(seeds, 'seed')}. Bold: the highest "
        "zero-shot mean of the target."
    ]
    if mean.isna().any(axis=None):
        notes.append(f"{MISSING}: no score.")
    return typeset.Table(
        columns=[str(column) for column in mean.columns],
        rows=body,
        head_names=[row_name.capitalize()],
        caption=f"F1 by {row_name} and target, {_named(name)} ({split} split, percent)",
        label=f"transfer-{name}",
        notes=notes,
        rules={rows - 1} if 0 < rows < len(mean.index) else set(),
    )


def _named(name: str) -> str:
    kinds = {"own": "every source from the start that was adapted to it", "languages": "each language on its own data"}
    return kinds.get(name, name if name.startswith("source-") else f"start {name}")


def difference(points: pd.DataFrame, row_name: str, name: str, reference: str, split: str) -> typeset.Table:
    """A matrix less that of the reference start, in points of F1."""
    body = [
        ([str(row)], [_points(points.iat[i, j]) for j in range(len(points.columns))])
        for i, row in enumerate(points.index)
    ]
    return typeset.Table(
        columns=[str(column) for column in points.columns],
        rows=body,
        head_names=[row_name.capitalize()],
        caption=f"F1 by {row_name} and target, {_named(name)} minus start {reference} ({split} split, points)",
        label=f"transfer-{name}-minus-{reference}",
        notes=["Differences of means over seeds."],
    )


def answers(table: pd.DataFrame, split: str) -> typeset.Table:
    """`analysis.transfer.answers.best_pairs`: the best start and source of every target, with interval and lead."""
    body = []
    for row in table.to_dict("records"):
        known = not math.isnan(row["expected_f1"])
        entries = [
            typeset.score_entry(row["expected_f1"] if known else row["f1"]),
            typeset.Entry(_interval(row["low"], row["high"])),
            _points(row["lead"]),
            _points(row["gain"]),
            typeset.Entry(MISSING if math.isnan(row["best_probability"]) else number(row["best_probability"], 2)),
        ]
        body.append(([str(row["target"]), str(row["start"]), str(row["source"])], entries))
    return typeset.Table(
        columns=["F1", "95 %", "Lead", "Over default", "P(best)"],
        rows=body,
        head_names=["Target", "Start", "Source"],
        caption=f"The best start and source for every target without data ({split} split, percent and points)",
        label="answers",
        notes=[
            "F1: on seeds that did not choose the pair, from three seeds on, else as measured. 95 %: confidence "
            "interval that takes the choice into account. Lead: on the next best pair. Default: the reference start "
            "with its own best source. P(best): share of resamples in which the pair is the best."
        ],
    )


def starts(table: pd.DataFrame, reference: str, split: str) -> typeset.Table:
    """`inference.start_averages`: mean zero-shot F1 of every start, and less the reference's."""
    body = []
    for row in table.to_dict("records"):
        star = row["p_holm"] < SIGNIFICANT
        apart = _points(row["difference"])
        entries = [
            typeset.score_entry(row["f1"]),
            typeset.Entry(_interval(row["low"], row["high"])),
            typeset.Entry(apart.text, star=bool(star)),
            typeset.Entry(_interval(row["difference_low"], row["difference_high"])),
        ]
        body.append(([str(row["start"])], entries))
    pairs = count(int(table["n_pairs"].max()), "pair") if len(table) else "no pair"
    return typeset.Table(
        columns=["F1", "95 %", f"Minus {reference}", "95 %"],
        rows=body,
        head_names=["Start"],
        caption=f"Mean zero-shot F1 by start, over {pairs} of source and target ({split} split, percent and points)",
        label="starts",
        notes=[f"*: different from {reference} (p < {SIGNIFICANT:g}, Holm's correction over the starts)."],
    )


def _interval(low: float, high: float) -> str:
    return MISSING if math.isnan(low) or math.isnan(high) else f"{number(low)} to {number(high)}"


def _points(value: float) -> typeset.Entry:
    return typeset.Entry(MISSING if math.isnan(value) else number(value, 1, True))
