"""Which source for a new target: rankings judged by leaving out one target after the other. Pure.

F1 and regret are in percent and points. The target that is left out gives neither scores nor a source to what ranks
the sources for it: no row, no column, no mean has anything of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats

from analysis.ranking import rankers
from analysis.ranking.pairs import Pairs, fold
from analysis.ranking.rankers import RANKERS
from nertransfer.scoring.intervals import interval

TOP = 3
HINDSIGHT = "hindsight"
"""The one source that is best over all targets, the one left out included: no ranker, but what a fixed choice can do
at best."""

MEASURES = ("regret", "regret_top3", "ndcg3_exponential", "ndcg3_linear", "kendall_tau_b")
LEFT_OUT_COLUMNS = ["ranker", "target", "sources", "first", "first_f1", "best", "best_f1", *MEASURES]
JUDGED_COLUMNS = [
    "ranker", "label", "targets", "regret", "regret_low", "regret_high", "regret_top3", "regret_top3_low",
    "regret_top3_high", *MEASURES[2:], "kendall_tau_b_targets", "chosen",
]  # fmt: skip


# --- how good a ranking is -------------------------------------------------------------------------------


def ndcg(gains: np.ndarray, places: np.ndarray) -> float:
    """Normalised discounted cumulative gain of the first `TOP` (Järvelin and Kekäläinen 2002), 0 to 1.

    ``gains`` (candidates,); ``places``: candidates in the order of the ranking. NaN where all gains are 0.
    """
    discounts = 1 / np.log2(np.arange(2, min(TOP, len(gains)) + 2))
    ideal = np.sort(gains)[::-1][:TOP] @ discounts
    return float(gains[places][:TOP] @ discounts / ideal) if ideal > 0 else math.nan


def measures(f1: np.ndarray, places: np.ndarray) -> dict[str, float]:
    """`MEASURES` of a ranking of candidates with ``f1`` (candidates,) in percent; ``places``: the best first.

    Kendall's tau-b (1945) is NaN where all F1 are equal.
    """
    grades = rankers.grades(f1)
    return {
        "regret": float(f1.max() - f1[places[0]]),
        "regret_top3": float(f1.max() - f1[places[:TOP]].max()),
        "ndcg3_exponential": ndcg(2.0**grades - 1, places),
        "ndcg3_linear": ndcg(grades.astype(float), places),
        "kendall_tau_b": float(stats.kendalltau(-np.arange(len(places)), f1[places]).statistic),
    }


@dataclass(frozen=True)
class Judged:
    """Rankers judged by leave-one-target-out.

    ``table``: a row per ranker, `JUDGED_COLUMNS`; ``left_out``: a row per ranker and target, `LEFT_OUT_COLUMNS`.
    ``residuals`` (sources, scored targets): F1 less what `rankers.predicted_f1` had for it with the target left out;
    NaN where the target is the source. ``kendall_tau_b`` is the mean over ``kendall_tau_b_targets`` of the ``targets``:
    `without_order` names the others. ``chosen``: the ranker with the least mean regret.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    residuals: np.ndarray
    chosen: str


def available(found: Pairs, names: Sequence[str]) -> list[str]:
    """Those of the rankers for which the pairs have what they need."""
    return [name for name in names if RANKERS[name].needs in ("", *found.features)]


def judge(found: Pairs, names: Sequence[str] = rankers.QUICK) -> Judged:
    """Rank the sources of every scored target as if it were new, and compare with its scores."""
    left_out: list[dict] = []
    residuals = np.full((len(found.sources), len(found.scored)), np.nan)
    names = available(found, names)
    for k, held in enumerate(found.scored):
        here = fold(found, held)
        candidates = [found.sources.index(name) for name in here.candidates]
        f1 = found.f1[candidates, held]
        residuals[candidates, k] = f1 - rankers.predicted_f1(here)
        rankings = {name: rankers.order(here, RANKERS[name].contributions(here)) for name in names}
        rankings[HINDSIGHT] = _in_hindsight(found, candidates)
        for name, places in rankings.items():
            target, best = found.targets[held], int(np.argmax(f1))
            left_out.append(
                {"ranker": name, "target": target, "sources": len(f1), "best": here.candidates[best],
                 "first": here.candidates[places[0]], "first_f1": f1[places[0]], "best_f1": f1[best]}
                | measures(f1, places)
            )  # fmt: skip
    each = pd.DataFrame(left_out, columns=LEFT_OUT_COLUMNS)
    table = pd.DataFrame([_row(name, each[each["ranker"] == name]) for name in [*names, HINDSIGHT]])
    usable = table[table["ranker"] != HINDSIGHT]
    chosen = str(usable.loc[usable["regret"].round(9).idxmin(), "ranker"])  # of equals the first, the simplest
    table = table.assign(chosen=table["ranker"] == chosen)[JUDGED_COLUMNS]
    return Judged(table, each, residuals, chosen)


def unjudged(found: Pairs, names: Sequence[str]) -> Judged:
    """Those of the rankers that learn nothing, where there is too little to judge any (`pairs.shortage`).

    No target is left out and no measure is known. As all are equal in that, the first of them, the simplest, is chosen;
    none where none has what it needs.
    """
    names = [name for name in available(found, names) if RANKERS[name].needs]
    each = pd.DataFrame(columns=LEFT_OUT_COLUMNS)
    chosen = names[0] if names else ""
    table = pd.DataFrame([_row(name, each) for name in names], columns=JUDGED_COLUMNS[:-1])
    return Judged(table.assign(chosen=table["ranker"] == chosen), each, np.empty((len(found.sources), 0)), chosen)


def _in_hindsight(found: Pairs, candidates: Sequence[int]) -> np.ndarray:
    """Places of the candidates by their mean advantage over all targets."""
    f1 = found.f1[:, found.scored]
    advantage = f1 - np.nanmean(f1, axis=0)
    return np.argsort(-np.nanmean(advantage, axis=1)[list(candidates)], kind="stable")


def _row(name: str, each: pd.DataFrame) -> dict[str, object]:
    regret, low, high = interval(each["regret"].to_numpy(float), 0, 100)
    top, top_low, top_high = interval(each["regret_top3"].to_numpy(float), 0, 100)
    label = RANKERS[name].label if name in RANKERS else "one source for all, chosen in hindsight (no ranker)"
    return {
        "ranker": name, "label": label, "targets": len(each), "regret": regret, "regret_low": low, "regret_high": high,
        "regret_top3": top, "regret_top3_low": top_low, "regret_top3_high": top_high,
        "kendall_tau_b_targets": int(each["kendall_tau_b"].notna().sum()),
    } | {measure: float(each[measure].mean()) for measure in MEASURES[2:]}  # fmt: skip


def without_order(judged: Judged) -> list[str]:
    """The targets for which all sources have the same F1: Kendall's tau-b is not defined and its mean is without."""
    rows = judged.left_out
    return list(dict.fromkeys(rows.loc[rows["kendall_tau_b"].isna(), "target"]))


def lead(judged: Judged, name: str, other: str) -> tuple[float, float, float]:
    """Points of regret by which ``name`` is better than ``other``, paired by target, and its 95 % interval."""
    regrets = judged.left_out.pivot(index="target", columns="ranker", values="regret")
    return interval((regrets[other] - regrets[name]).to_numpy(float), -100, 100)


# --- for a new target -------------------------------------------------------------------------------------------


RECOMMENDED_COLUMNS = [
    "place", "source", "expected_f1", "f1_low", "f1_high", "expected_regret", "regret_low", "regret_high", "because",
]  # fmt: skip


def recommend(found: Pairs, judged: Judged, name: str) -> pd.DataFrame:
    """The sources for the target that is asked for, the best first, by ranker ``name``.

    `RECOMMENDED_COLUMNS`, then the features; F1 in percent, regret in points, limits (95 %) for one new target.
    NaN where nothing was judged. Whatever the ranker, F1 is what `predicted_f1` has for the source, with the errors
    that it had for the targets that were left out, those of all sources of a target together: so regret is the mean of
    how far the source would lie behind the best one. ``because``: what spoke for it.
    """
    here = fold(found, len(found.targets) - 1)
    contributions = RANKERS[name].contributions(here)
    drawn = judged.residuals
    if drawn.size:
        drawn = rankers.predicted_f1(here)[:, None] + drawn
    regret = np.nanmax(drawn, axis=0) - drawn
    rows = []
    for place, i in enumerate(rankers.order(here, contributions), start=1):
        there = ~np.isnan(drawn[i])
        f1 = interval(drawn[i, there], 0, 100, new=True)
        behind = interval(regret[i, there], 0, 100, new=True)
        because = _because(RANKERS[name].needs, here.names, contributions[i], here.asked[i])
        rows.append((place, here.candidates[i], *f1, *behind, because, *here.asked[i]))
    return pd.DataFrame(rows, columns=[*RECOMMENDED_COLUMNS, *here.names])


def order_in_words(found: Pairs, name: str) -> str:
    """The sources as ranker ``name`` orders them for the target that is asked for: ``a > b = c``."""
    here = fold(found, len(found.targets) - 1)
    contributions = RANKERS[name].contributions(here)
    places, scores = rankers.order(here, contributions), contributions.sum(axis=1).round(9)
    text = here.candidates[places[0]]
    for before, i in pairwise(places):
        text += f" {'=' if scores[i] == scores[before] else '>'} {here.candidates[i]}"
    return text


def _because(needs: str, names: Sequence[str], contributions: np.ndarray, values: np.ndarray) -> str:
    """The feature that the ranker goes by, or the three that count most, in words."""
    if needs:
        return f"{needs} {values[names.index(needs)]:.3g}"
    strongest = sorted(range(len(names)), key=lambda k: -abs(contributions[k]))[:3]
    return ", ".join(f"{names[k]} {contributions[k]:+.2f}" for k in strongest if abs(contributions[k]) >= 0.005)
