"""Tables for papers: transfer matrices, the best start and source of every target, the averages of starts. Pure."""

import math

import numpy as np
import pandas as pd

from analysis.report.paper_tables import typeset
from analysis.statistics.tables import MISSING, number
from analysis.transfer import matrices
from analysis.transfer.pretraining import SIGNIFICANT
from analysis.transfer.views import View
from nertransfer.core.text import count


def matrix(
    mean: pd.DataFrame,
    sd: pd.DataFrame,
    n: pd.DataFrame,
    own: np.ndarray,
    view: View,
    split: str,
    ddof: int,
) -> typeset.Table:
    """A transfer matrix: rows sources (or starts), columns targets, ``mean ± sd`` over seeds.

    ``mean`` in percent, with averages behind the rows and columns of ``own``, which says where the target is the row's
    own language. Bold: the highest zero-shot mean of every target, none of equal ones; where each score is on the
    language that was fine-tuned on, the highest of all.
    """
    rows, columns = own.shape
    zero_shot = view.kind != "languages"
    inner = mean.iloc[:rows, :columns]
    inner = inner.where(~own) if zero_shot else inner
    highest = inner.max()
    best = inner.eq(highest) & (inner.eq(highest).sum() == 1)
    seeds = n.iloc[:rows, :columns].to_numpy(float)
    seeds = seeds[seeds > 0]
    few, many = (int(seeds.min()), int(seeds.max())) if seeds.size else (0, 0)
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
        f"Mean ± standard deviation (with {spread} in the denominator) over {f'{few} to ' if few < many else ''}"
        f"{count(many, 'seed')}. Bold: the highest {'zero-shot mean of the target' if zero_shot else 'mean'}."
    ]
    if mean.isna().any(axis=None):
        notes.append(f"{MISSING}: no score.")
    return typeset.Table(
        columns=[str(column) for column in mean.columns],
        rows=body,
        head_names=[view.row_name.capitalize()],
        caption=f"{_heading(view)} ({split} split, percent)",
        label=f"transfer-{view.name}",
        notes=notes,
        rules={rows - 1} if 0 < rows < len(mean.index) else set(),
    )


def _heading(view: View) -> str:
    column = "language" if view.kind == "languages" else "target"
    return f"F1 by {view.row_name} and {column}, {view.title.removeprefix('every start, ')}"


def difference(points: pd.DataFrame, view: View, reference: str, split: str) -> typeset.Table:
    """A matrix less that of the reference start, in points of F1."""
    body = [
        ([str(row)], [_points(points.iat[i, j]) for j in range(len(points.columns))])
        for i, row in enumerate(points.index)
    ]
    return typeset.Table(
        columns=[str(column) for column in points.columns],
        rows=body,
        head_names=[view.row_name.capitalize()],
        caption=f"{_heading(view)}, minus start {reference} ({split} split, points)",
        label=f"transfer-{view.name}-minus-{reference}",
        notes=["Differences of means over seeds."],
    )


def answers(table: pd.DataFrame, split: str, setting: str = matrices.ZERO_SHOT) -> typeset.Table:
    """`analysis.transfer.answers.best_pairs`: the best start and source of every target, with interval and lead; in an
    in-language ``setting`` the best start of every language."""
    zero_shot = setting == matrices.ZERO_SHOT
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
        named = ("target", "start", "source") if zero_shot else ("target", "start")
        body.append(([str(row[name]) for name in named], entries))
    what = "pair" if zero_shot else "start"
    default = "the reference start with its own best source" if zero_shot else "the reference start"
    title = "start and source for every target without data" if zero_shot else "start for every language with data"
    return typeset.Table(
        columns=["F1", "95 %", "Lead", "Over default", "P(best)"],
        rows=body,
        head_names=["Target", "Start", "Source"] if zero_shot else ["Language", "Start"],
        caption=f"The best {title} ({split} split, percent and points)",
        label="answers",
        notes=[
            f"F1: on seeds that did not choose the {what}, from three seeds on, else as measured. 95 %: confidence "
            f"interval that takes the choice into account. Lead: over the next best {what}. Default: {default}. Lead "
            "and gain over the default are as measured: too high on average, as differences from the best of several. "
            f"P(best): share of resamples in which the {what} is the best."
        ],
    )


def starts(table: pd.DataFrame, reference: str, split: str, setting: str = matrices.ZERO_SHOT) -> typeset.Table:
    """`inference.start_averages`: mean F1 of every start over its pairs of this ``setting``, and less the
    reference's."""
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
    n = int(table["n_pairs"].max())
    over = f"{count(n, 'pair')} of source and target" if setting == matrices.ZERO_SHOT else count(n, "language")
    return typeset.Table(
        columns=["F1", "95 %", f"Minus {reference}", "95 %"],
        rows=body,
        head_names=["Start"],
        caption=f"Mean {setting} F1 by start, over {over} ({split} split, percent and points)",
        label="starts",
        notes=[f"*: different from {reference} (p < {SIGNIFICANT:g}, Holm's correction over the starts)."],
    )


def _interval(low: float, high: float) -> str:
    return MISSING if math.isnan(low) or math.isnan(high) else f"{number(low)} to {number(high)}"


def _points(value: float) -> typeset.Entry:
    return typeset.Entry(MISSING if math.isnan(value) else number(value, 1, True))
