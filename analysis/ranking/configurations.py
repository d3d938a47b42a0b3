"""Which start and source for a target: all configurations of a study at once, and what adapting a start adds. Pure.

The mixed model ranks them; every target is left out in turn, as target, as source and as a start adapted to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.ranking import expectation, mixed
from analysis.ranking.expectation import Expected, Left, Widening
from analysis.ranking.judging import ABOVE_AVERAGE, POINTS, RECOMMENDED_COLUMNS, points_of, reasons_of_points
from analysis.ranking.mixed import CLOSENESS, Mixed, Rows
from analysis.ranking.pairs import LEAST_TARGETS
from nertransfer.scoring.intervals import interval

GAIN_COLUMNS = [
    "target", "adapted_start", "adapted_source", "adapted_f1", "first_start", "first_source", "first_f1",
    "first_expected_f1", "gain",
]  # fmt: skip
TRIAL_COLUMNS = [
    "target", "configurations", "start", "source", "f1", "expected_f1", "best_start", "best_source", "best_f1",
    "regret", "regret_average", "regret_random",
]  # fmt: skip
FIRST_COLUMNS = ["target", "start", "source", "f1", "expected_f1"]


@dataclass(frozen=True)
class Trial:
    """The configurations of a study judged by leave-one-target-out.

    ``table``: a row per target, with the pair that is ranked first, the best one, and the regret (points) of the model
    and of two plain rules: always the pair that is best on average over the other targets, and one drawn by lot.
    ``left``, ``inner``, ``deeper``: as `expectation.widening` takes them.
    """

    table: pd.DataFrame
    left: list[Left]
    inner: list[list[Left]]
    deeper: list[list[list[Left]]]

    def regret(self, rule: str) -> tuple[float, float, float]:
        """Mean regret of a rule (a column of the table) and its 95 % interval over targets."""
        return interval(self.table[rule].to_numpy(float), 0, 100)


def usual(rows: Rows) -> np.ndarray:
    """Which rows are of configurations that have enough scores to be compared (n,)."""
    names = pd.Series(list(zip(rows.start, rows.source, strict=True)), dtype=object)
    return (names.map(names.value_counts()) >= LEAST_TARGETS).to_numpy(bool)


def of_target(rows: Rows, compared: np.ndarray, target: str, without: Sequence[str] = ()) -> np.ndarray:
    """Places of a target's rows among those ``compared`` (n,), but for those of starts adapted to it and those with
    one of the languages ``without``."""
    there = compared & (rows.target == target) & (rows.start != target)
    return np.flatnonzero(there & ~rows.of(without) if len(without) else there)


def judge(model: Mixed) -> Trial:
    """Rank the configurations of every target as if it were new, and compare with its scores."""
    rows = model.seen
    compared = usual(rows)
    found: list[tuple] = []
    targets = [target for target in dict.fromkeys(rows.target) if len(of_target(rows, compared, target)) > 1]
    expected = {}  # by the languages that are left out

    def without(target: str, *others: str) -> Left | None:
        """A target left out, and others; None with fewer than two configurations."""
        here = of_target(rows, compared, target, others)
        gone = frozenset([target, *others])
        if gone not in expected:
            expected[gone] = model.again(gone)
        return (expected[gone][here], rows.f1[here]) if len(here) > 1 else None

    def others(*gone: str) -> list[tuple[str, Left]]:
        there = [(target, without(target, *gone)) for target in targets if target not in gone]
        return [(target, one) for target, one in there if one is not None]

    every = others()
    inner = [others(target) for target in targets]
    deeper = [
        [[one for _, one in others(target, other)] for other, _ in those]
        for target, those in zip(targets, inner, strict=True)
    ]
    for target, (guess, f1) in every:
        here = of_target(rows, compared, target)
        first, best = int(np.argmax(guess.round(9))), int(np.argmax(f1))
        average = int(np.argmax(_on_average(rows, compared, here, target)))
        found.append(
            (
                target, len(here), rows.start[here[first]], rows.source[here[first]], f1[first], guess[first],
                rows.start[here[best]], rows.source[here[best]], f1[best],
                f1[best] - f1[first], f1[best] - f1[average], f1[best] - f1.mean(),
            )
        )  # fmt: skip
    table = pd.DataFrame(found, columns=TRIAL_COLUMNS)
    return Trial(table, [one for _, one in every], [[one for _, one in those] for those in inner], deeper)


def _on_average(rows: Rows, compared: np.ndarray, here: np.ndarray, target: str) -> np.ndarray:
    """Of configurations, the mean advantage over the other targets, no score of ``target`` being seen."""
    seen = rows.where(~rows.of([target]) & compared)
    f1: dict[str, list[float]] = {}
    for name, value in zip(seen.target, seen.f1, strict=True):
        f1.setdefault(name, []).append(value)
    means = {name: np.mean(values) for name, values in f1.items()}
    gains: dict[tuple[str, str], list[float]] = {}
    for start, source, name, value in zip(seen.start, seen.source, seen.target, seen.f1, strict=True):
        gains.setdefault((start, source), []).append(value - means[name])
    return np.array([np.mean(gains.get((rows.start[i], rows.source[i]), -np.inf)) for i in here])


def recommend(model: Mixed, trial: Trial, asked: Rows) -> tuple[pd.DataFrame, Widening]:
    """The configurations ``asked`` for a target, the best first: columns of `judging.recommend`, and the widening."""
    f1, parts = model.f1(asked), model.parts(asked)
    widened = expectation.widening(trial.left, trial.inner, trial.deeper)
    return listed(asked, f1, parts, expectation.expect(f1, expectation.errors_of(trial.left), widened)), widened


def listed(asked: Rows, f1: np.ndarray, parts: np.ndarray, known: Expected) -> pd.DataFrame:
    """`judging.RECOMMENDED_COLUMNS` of configurations with expected F1, then `points`, then their closeness; by
    expected F1."""
    f1 = f1.round(9)
    points = points_of(parts)
    table = pd.DataFrame(
        [
            (
                1 + int((f1 > f1[i]).sum()), asked.start[i], asked.source[i], known.f1[i],
                known.f1_low[i], known.f1_high[i], known.regret[i], known.regret_low[i], known.regret_high[i],
                reasons_of_points(points[i], asked.start[i], asked.source[i]), points[i].sum(), *points[i],
                *(asked.closeness[i] * list(CLOSENESS.values())),
            )
            for i in sorted(range(len(asked)), key=lambda i: (-f1[i], asked.start[i], asked.source[i]))
        ],
        columns=[*RECOMMENDED_COLUMNS, ABOVE_AVERAGE, *POINTS.values(), *CLOSENESS],
    )  # fmt: skip
    unknown = [name for name in CLOSENESS if table[name].isna().all()]
    return table.drop(columns=unknown)


def gains(rows: Rows, firsts: pd.DataFrame) -> pd.DataFrame:
    """What a start adapted to the target adds: a row per target that has one, `GAIN_COLUMNS`, F1 in percent.

    ``firsts``: the pair that is ranked first for every target as if it were new, `FIRST_COLUMNS`. ``gain``: points of
    F1 of the adapted start, with the source that most targets have with it, above that pair.
    """
    adapted = rows.where((rows.start == rows.target) & (rows.source != rows.target))
    if not len(adapted):
        return pd.DataFrame(columns=GAIN_COLUMNS)
    usual_source = str(pd.Series(adapted.source).mode().iloc[0])
    there = adapted.where(adapted.source == usual_source)
    f1 = dict(zip(there.target, there.f1, strict=True))
    found = [
        (row.target, row.target, usual_source, f1[row.target], row.start, row.source, row.f1, row.expected_f1,
         f1[row.target] - row.f1)
        for row in firsts.itertuples() if row.target in f1
    ]  # fmt: skip
    return pd.DataFrame(found, columns=GAIN_COLUMNS)


@dataclass(frozen=True)
class Adapting:
    """What adapting a start to the ``target`` is expected to add to the pair that is ranked first for it.

    ``start``-``source``: that pair, of which ``expected_f1`` is expected. ``gain``: points, their mean over ``gains``
    of other targets, with its 95 % interval and that for one ``new`` target. ``adapted_f1``: expected of a start
    adapted to the target, with ``adapted_source``, and its interval for one new target; ``measured_f1``: the F1
    of that pair where the study has it, else NaN. F1 in percent.
    """

    target: str
    start: str
    source: str
    expected_f1: float
    gain: tuple[float, float, float]
    new: tuple[float, float]
    adapted_source: str
    adapted_f1: tuple[float, float, float]
    measured_f1: float
    gains: pd.DataFrame

    def row(self, table: pd.DataFrame) -> dict[str, object]:
        """The adapted start as a row of a ranking, without a place in it, for it is not fine-tuned yet."""
        found = {"start": self.target, "source": self.adapted_source, "measured_f1": self.measured_f1} | dict(
            zip(("expected_f1", "f1_low", "f1_high"), self.adapted_f1, strict=True)
        )
        found["because"] = f"{self.gain[0]:+.1f} on {self.start}-{self.source}, once {self.target} is adapted"
        return {name: value for name, value in found.items() if name in table}


def adapting(target: str, table: pd.DataFrame, gains: pd.DataFrame, own: pd.Series | None = None) -> Adapting | None:
    """From a ranking for the target and `gains`; None with fewer than two other targets that have a start adapted to
    them, and where the ranking is of the target's own.

    ``own``: F1 in percent by source of the target's own adapted start, where the study has it: measured, not expected.
    """
    gains = gains[gains["target"] != target]
    if len(gains) < 2 or not len(table) or np.isnan(table["expected_f1"].iloc[0]) or target in set(table["start"]):
        return None
    first, source = table.iloc[0], str(gains["adapted_source"].iloc[0])
    gain = gains["gain"].to_numpy(float)
    mean, low, high = interval(gain, -100, 100)
    errors = (gains["adapted_f1"] - gains["first_expected_f1"] - mean).to_numpy(float)
    reach = interval(errors, -np.inf, np.inf, new=True)
    expected = float(first["expected_f1"])
    limits = (expected + mean + side for side in (0.0, reach[1] - reach[0], reach[2] - reach[0]))
    measured = float(own[source]) if own is not None and source in own else np.nan
    return Adapting(
        target, str(first["start"]), str(first["source"]), expected, (mean, low, high),
        interval(gain, -100, 100, new=True)[1:], source, tuple(np.clip(list(limits), 0, 100)), measured, gains,
    )  # fmt: skip


def asked_for(rows: Rows, target: str, features: pd.DataFrame, starts: Sequence[str] = ()) -> Rows:
    """The configurations that are recommended for a target, of some ``starts`` or all."""
    there = rows.where(usual(rows))
    pairs = dict.fromkeys(zip(there.start, there.source, strict=True))
    kept = [(a, b) for a, b in pairs if b != target and a != target and (not starts or a in starts)]
    return mixed.rows([a for a, _ in kept], [b for _, b in kept], [target] * len(kept), features)
