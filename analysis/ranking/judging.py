"""Which source for a new target: rankings judged by leaving out one target after the other. Pure.

F1 and regret are in percent and points. The target that is left out gives neither scores nor a source to what ranks
the sources for it: no row, no column, no mean has anything of it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis.ranking import expectation, rankers
from analysis.ranking.expectation import Expected, Left, Widening, at_places, by_place, expect
from analysis.ranking.mixed import MODEL, PARTS
from analysis.ranking.pairs import Pairs, fold
from analysis.ranking.rankers import RANKERS, Fold
from nertransfer.scoring.intervals import interval

TOP = 3
HINDSIGHT = "hindsight"
"""The one source that is best over all targets, the one left out included: no ranker, but what a fixed choice can do
at best."""
RANDOM = "random"
NESTED = "procedure"
NO_RANKERS = {
    NESTED: "the whole procedure: the ranker is chosen without the target",
    HINDSIGHT: "the one source that is best over all targets (no ranker)",
    RANDOM: "a random source (no ranker)",
}
"""Rows of the table that can not be asked for."""

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
        "kendall_tau_b": tau_b(f1[places]),
    }


def tau_b(f1: np.ndarray) -> float:
    """Kendall's tau-b (1945) of a ranking without ties whose candidates have ``f1`` (candidates,), the first first.

    NaN where all F1 are equal. By its definition, for scipy.stats takes half a second to load.
    """
    ahead = np.sign(f1[:, None] - f1[None])[np.triu_indices(len(f1), 1)]
    apart = np.abs(ahead).sum()
    return float(ahead.sum() / math.sqrt(len(ahead) * apart)) if apart else math.nan


@dataclass(frozen=True)
class Scored:
    """A target left out: a ranker's ``scores`` of its candidates (candidates,), expected F1 for the model; their
    ``f1``; the ``level``, the mean F1 of what was seen; and which candidate is ``first``."""

    scores: np.ndarray
    f1: np.ndarray
    level: float
    first: int


@dataclass(frozen=True)
class Judged:
    """Rankers judged by leave-one-target-out.

    ``table``: a row per ranker, `JUDGED_COLUMNS`; ``left_out``: a row per ranker and target, `LEFT_OUT_COLUMNS`.
    ``kendall_tau_b`` is the mean over ``kendall_tau_b_targets`` of the ``targets``: `without_order` names the others.
    ``chosen``: the ranker that `choose` takes; the row `NESTED` chooses it for every target without that target.
    ``scores``: of every ranker, by target left out, its scores of the candidates (candidates,) and their F1; ``inner``:
    the same of every other target left out without that target.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    chosen: str
    scores: Mapping[str, list[Scored]]
    inner: Mapping[str, list[list[Scored]]]


def available(found: Pairs, names: Sequence[str]) -> list[str]:
    """Those of the rankers for which the pairs have what they need."""
    return [name for name in names if RANKERS[name].needs in ("", *found.features)]


def judge(found: Pairs, names: Sequence[str] = rankers.QUICK) -> Judged:
    """Rank the sources of every scored target as if it were new, and compare with its scores."""
    left_out: list[dict] = []
    names = available(found, names)
    quick = [name for name in names if name in rankers.QUICK]
    scores: dict[str, list[Scored]] = {name: [] for name in names}
    inner: dict[str, list[list[Scored]]] = {name: [] for name in quick}
    for held in found.scored:
        here = fold(found, held)
        candidates = [found.sources.index(name) for name in here.candidates]
        f1 = found.f1[candidates, held]
        rankings = {}
        for name in names:
            contributions = RANKERS[name].contributions(here)
            rankings[name] = rankers.order(here, contributions)
            scores[name].append(_scored(here, name, contributions, f1))
        others = [one for _, one in _inner(found, [held], quick)]
        for name in quick:
            inner[name].append([one[name] for one in others])
        regrets = {name: np.array([_regret(one[name]) for one in others]) for name in quick}
        rankings[NESTED] = rankings[choose(regrets)]
        rankings[HINDSIGHT] = _in_hindsight(found, candidates)
        target, best = found.targets[held], int(np.argmax(f1))
        known = {"target": target, "sources": len(f1), "best": here.candidates[best], "best_f1": f1[best]}
        for name, places in rankings.items():
            first = {"first": here.candidates[places[0]], "first_f1": f1[places[0]]}
            left_out.append({"ranker": name} | known | first | measures(f1, places))
        left_out.append({"ranker": RANDOM} | known | by_chance(f1))
    each = pd.DataFrame(left_out, columns=LEFT_OUT_COLUMNS)
    table = pd.DataFrame([_row(name, each[each["ranker"] == name]) for name in [*names, *NO_RANKERS]])
    regret = {name: each.loc[each["ranker"] == name, "regret"].to_numpy(float) for name in quick}
    chosen = choose(regret)
    table = table.assign(chosen=table["ranker"] == chosen)[JUDGED_COLUMNS]
    return Judged(table, each, chosen, scores, inner)


def _inner(found: Pairs, gone: Sequence[int], names: Sequence[str]) -> Iterator[tuple[int, dict[str, Scored]]]:
    """Every other target left out beside those at the places ``gone``: its place, and its candidates by ranker."""
    for other in found.scored:
        if other in gone:
            continue
        here = fold(found, other, gone)
        f1 = found.f1[[found.sources.index(name) for name in here.candidates], other]
        if len(f1) > 1:
            yield other, {name: _scored(here, name, RANKERS[name].contributions(here), f1) for name in names}


def _scored(here: Fold, name: str, contributions: np.ndarray, f1: np.ndarray) -> Scored:
    score = rankers.expected_f1(here) if name == MODEL else contributions.sum(axis=1)
    return Scored(score.round(9), f1, float(here.f1.mean()), int(rankers.order(here, contributions)[0]))


def _regret(one: Scored) -> float:
    return float(one.f1.max() - one.f1[one.first])


def choose(regrets: Mapping[str, np.ndarray]) -> str:
    """The ranker to go by, from the regrets of each by target (targets,).

    The mixed model, unless a plain way has less regret and the 95 % interval of the difference, paired by target, is
    above 0: the least of several noisy means is chosen by their noise. Of those the one with the least mean regret, of
    equals the first, the simplest; that also where there is no model.
    """
    better = list(regrets)
    if MODEL in regrets:
        better = [name for name, one in regrets.items() if interval(regrets[MODEL] - one, -100, 100)[1] > 0]
    return min(better, key=lambda name: round(float(regrets[name].mean()), 9), default=MODEL)


def by_chance(f1: np.ndarray) -> dict[str, float]:
    """What is expected of a source, and of the best of `TOP`, that are drawn by lot among candidates with ``f1``."""
    n, ordered = len(f1), np.sort(f1)
    top = min(TOP, n)
    chances = np.array([math.comb(k, top - 1) for k in range(n)]) / math.comb(n, top)
    best, mean = float(f1.max()), float(f1.mean())
    return {
        "first_f1": mean, "regret": best - mean, "regret_top3": best - float(ordered @ chances),
        "kendall_tau_b": 0.0 if best > ordered[0] else math.nan,
    }  # fmt: skip


def unjudged(found: Pairs, names: Sequence[str]) -> Judged:
    """Those of the rankers that learn nothing, where there is too little to judge any (`pairs.shortage`).

    No target is left out and no measure is known. As all are equal in that, the first of them, the simplest, is chosen;
    none where none has what it needs.
    """
    names = [name for name in available(found, names) if RANKERS[name].needs]
    each = pd.DataFrame(columns=LEFT_OUT_COLUMNS)
    chosen = names[0] if names else ""
    table = pd.DataFrame([_row(name, each) for name in names], columns=JUDGED_COLUMNS[:-1])
    return Judged(table.assign(chosen=table["ranker"] == chosen), each, chosen, {}, {})


def _in_hindsight(found: Pairs, candidates: Sequence[int]) -> np.ndarray:
    """Places of the candidates by their mean advantage over all targets."""
    f1 = found.f1[:, found.scored]
    advantage = f1 - np.nanmean(f1, axis=0)
    return np.argsort(-np.nanmean(advantage, axis=1)[list(candidates)], kind="stable")


def _row(name: str, each: pd.DataFrame) -> dict[str, object]:
    regret, low, high = interval(each["regret"].to_numpy(float), 0, 100)
    top, top_low, top_high = interval(each["regret_top3"].to_numpy(float), 0, 100)
    return {
        "ranker": name, "label": RANKERS[name].label if name in RANKERS else NO_RANKERS[name], "targets": len(each),
        "regret": regret, "regret_low": low, "regret_high": high,
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
    "place", "start", "source", "expected_f1", "f1_low", "f1_high", "expected_regret", "regret_low", "regret_high",
    "because",
]  # fmt: skip
ABOVE_AVERAGE = "above_average"
"""Column: points of F1 above the mean of all rows, before expected F1 is held to 0 ... 100."""
POINTS = {part: f"points_{part.replace(' ', '_')}" for part in PARTS if part != "adapted to the target"}
"""Columns of what the terms of the model add to `ABOVE_AVERAGE`, by term; their sum. No candidate is adapted to the
target more than another."""


def points_of(parts: np.ndarray) -> np.ndarray:
    """Of `Mixed.parts` (n, `PARTS`) of the candidates, points above the average candidate (n, `POINTS`)."""
    kept = parts[:, [PARTS.index(part) for part in POINTS]]
    return kept - kept.mean(axis=0)


def recommend(found: Pairs, judged: Judged, name: str) -> tuple[pd.DataFrame, Widening]:
    """The sources for the target that is asked for, the best first, by ranker ``name``, and how far to trust that.

    `RECOMMENDED_COLUMNS`, of the model `ABOVE_AVERAGE` and `POINTS`, then the features; F1 in percent, regret in
    points, limits (95 %) for one new target. NaN where nothing was judged. F1 is what the mixed model expects, or for
    another ranker what was measured on average at that place of its rankings; so the order is that of expected F1, and
    of regret. Equal sources have one place. ``because``: what sets it apart from the average source.
    """
    here = fold(found, len(found.targets) - 1)
    contributions = RANKERS[name].contributions(here)
    order = rankers.order(here, contributions)
    scores = (rankers.expected_f1(here) if name == MODEL else contributions.sum(axis=1)).round(9)
    known = Expected(*[np.full(len(scores), math.nan)] * 6)
    widened = expectation.NONE
    if judged.scores:
        left = _left(name, judged.scores[name])
        if name in judged.inner:
            inner = [_left(name, one) for one in judged.inner[name]]
            widened = expectation.widening(left, inner, _deeper(found, name))
        f1 = scores
        if name != MODEL:
            gains = by_place([one.scores for one in judged.scores[name]], [one.f1 for one in judged.scores[name]])
            f1 = here.f1.mean() + at_places(scores, gains)
        known = expect(f1, expectation.errors_of(left), widened)
    points = points_of(contributions) if name == MODEL else np.empty((len(scores), 0))
    rows = []
    for i in order:
        place = 1 + int((scores > scores[i]).sum())
        expected = [getattr(known, field.name)[i] for field in fields(Expected)]
        if name == MODEL:
            because = reasons_of_points(points[i], here.start, here.candidates[i])
        else:
            because = _because(name, here.names, contributions[i], here.asked[i])
        told = [points[i].sum(), *points[i]] if name == MODEL else []
        rows.append((place, here.start, here.candidates[i], *expected, because, *told, *here.asked[i]))
    told_columns = [ABOVE_AVERAGE, *POINTS.values()] if name == MODEL else []
    return pd.DataFrame(rows, columns=[*RECOMMENDED_COLUMNS, *told_columns, *here.names]), widened


def firsts(found: Pairs, judged: Judged, name: str) -> pd.DataFrame:
    """The source that ranker ``name`` ranks first for every target left out.

    Columns target, start, source, and F1 in percent as measured and as expected.
    """
    rows = judged.left_out[judged.left_out["ranker"] == name]
    scored = judged.scores[name]
    expected = [f1[one.first] for (f1, _), one in zip(_left(name, scored), scored, strict=True)]
    return pd.DataFrame(
        {
            "target": list(rows["target"]), "start": found.start, "source": list(rows["first"]),
            "f1": rows["first_f1"].to_numpy(float), "expected_f1": np.clip(expected, 0, 100),
        }
    )  # fmt: skip


def _deeper(found: Pairs, name: str) -> list[list[list[Left]]]:
    """By target left out, and by every other one left out beside it: the rest, each left out beside both."""
    known: dict[frozenset[int], list[Left]] = {}
    every: list[list[list[Left]]] = []
    for held in found.scored:
        every.append([])
        for other, _ in _inner(found, [held], []):
            gone = frozenset([held, other])
            if gone not in known:
                scored = [one[name] for _, one in _inner(found, sorted(gone), [name])] if name != MODEL else []
                known[gone] = _left(name, scored) if name != MODEL else list(_by_model(found, sorted(gone)))
            every[-1].append(known[gone])
    return every


def _by_model(found: Pairs, gone: Sequence[int]) -> Iterator[Left]:
    """Every other target left out beside those at the places ``gone``, by the model, without a fold of features."""
    seen = found.model.seen
    names = zip(seen.start, seen.source, seen.target, strict=True)
    places = {(source, target): i for i, (start, source, target) in enumerate(names) if start == found.start}
    for other in found.scored:
        left_out = [found.targets[j] for j in (other, *gone)]
        here = [places[source, left_out[0]] for source in found.sources if source not in left_out]
        if other not in gone and len(here) > 1:
            yield found.model.again(left_out, found.start)[here].round(9), seen.f1[here]


def _left(name: str, scored: Sequence[Scored]) -> list[Left]:
    """Expected and measured F1 of targets left out, by ranker ``name``; at a place, what others had there."""
    if name == MODEL:
        return [(one.scores, one.f1) for one in scored]
    found = []
    for k, one in enumerate(scored):
        others = [other for j, other in enumerate(scored) if j != k]
        gains = by_place([other.scores for other in others], [other.f1 for other in others])
        found.append((one.level + at_places(one.scores, gains), one.f1))
    return found


def first_that_separates(found: Pairs, judged: Judged) -> str:
    """The chosen ranker; where all sources are equal for it, the next by mean regret that tells any apart."""
    here = fold(found, len(found.targets) - 1)
    table = judged.table[judged.table["ranker"].isin(list(RANKERS))]
    others = list(table.sort_values("regret", kind="stable")["ranker"])
    for name in dict.fromkeys([judged.chosen, *others]):
        if np.ptp(RANKERS[name].contributions(here).sum(axis=1).round(9)) > 0:
            return name
    return judged.chosen


def order_in_words(found: Pairs, name: str) -> str:
    """The sources as ranker ``name`` orders them for the target that is asked for: ``a > b = c``."""
    here = fold(found, len(found.targets) - 1)
    contributions = RANKERS[name].contributions(here)
    places, scores = rankers.order(here, contributions), contributions.sum(axis=1).round(9)
    text = here.candidates[places[0]]
    for before, i in pairwise(places):
        text += f" {'=' if scores[i] == scores[before] else '>'} {here.candidates[i]}"
    return text


def _because(name: str, names: Sequence[str], contributions: np.ndarray, values: np.ndarray) -> str:
    """The feature that the ranker goes by, or what counts most."""
    if needs := RANKERS[name].needs:
        return f"{needs} {values[list(names).index(needs)]:.3g}"
    return reasons(dict(zip(names, contributions, strict=True)))


def reasons_of_points(points: np.ndarray, start: str, source: str) -> str:
    """`reasons` of a pair's `points_of` (`POINTS`,): not to be adapted to the source is told as that."""
    negated = {"adapted to the source": "not adapted to the source"} if start != source else {}
    return reasons({negated.get(part, part): value for part, value in zip(POINTS, points, strict=True)})


def reasons(points: Mapping[str, float]) -> str:
    """The three terms that count most, and the rest: together what sets a candidate apart from the average one."""
    order = sorted((name for name, value in points.items() if abs(value) >= 0.05), key=lambda name: -abs(points[name]))
    told = [(name, points[name]) for name in order[:3]]
    if order[3:]:
        told.append(("rest", sum(points[name] for name in order[3:])))
    return ", ".join(f"{name} {value:+.1f}" for name, value in told)
