"""What of a study is not used: configurations that are another's models, and fine-tunings that collapsed. Pure.

Percent and points; frames hold fractions.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.reading.results import CELL, StudyResults
from nertransfer.core.grid import BASE, Place, is_zero_shot
from nertransfer.core.schema import ALL, CATEGORY_MEASURES, F1

Pair = tuple[str, str]
"""(start, source)."""
EXCLUDED_COLUMNS = ["start", "source", "seeds", "equals", "helps_most", "gain", "reason"]
COLLAPSED_COLUMNS = [*CELL, "measured_on", "f1", "best", "below", "used", "mean_without", "mean_with"]
LEARNT, DISTINCT = 0.2, 3
"""F1 that no model has by predicting next to nothing, or always the same; so many different ones tell copies apart."""
FAR_POINTS, HALF = 20.0, 0.5
"""A fine-tuning collapsed where its F1 is 0, or below half of its best sibling's and more than so many points below."""


@dataclass(frozen=True)
class Verdicts:
    """``excluded``: configurations, `EXCLUDED_COLUMNS`; ``collapsed``: cells, `COLLAPSED_COLUMNS`."""

    excluded: pd.DataFrame
    collapsed: pd.DataFrame

    @property
    def empty(self) -> bool:
        """Whether all is used."""
        return self.excluded.empty and not self.dropped

    @property
    def configurations(self) -> frozenset[Pair]:
        """The configurations that are excluded."""
        return frozenset(self.excluded[["start", "source"]].itertuples(index=False, name=None))

    @property
    def dropped(self) -> frozenset[Place]:
        """The cells that collapsed and are not used."""
        unused = self.collapsed[self.collapsed["used"].eq(False)]
        return frozenset(unused[CELL].itertuples(index=False, name=None))


def verdicts(frame: pd.DataFrame, split: str = "test") -> Verdicts:
    """What a study's scores say should not be used."""
    return Verdicts(excluded(frame, split), collapsed(frame, split))


def within(judged: Verdicts, found: StudyResults) -> Verdicts:
    """The verdicts on what a part of a study has."""
    places = {tuple(place) for place in found.frame[CELL].drop_duplicates().itertuples(index=False, name=None)}
    pairs = {place[:2] for place in places}
    excluded, collapsed = judged.excluded, judged.collapsed
    of_pairs = [pair in pairs for pair in zip(excluded["start"], excluded["source"], strict=True)]
    of_cells = [place in places for place in collapsed[CELL].itertuples(index=False, name=None)]
    return Verdicts(excluded[np.array(of_pairs, dtype=bool)], collapsed[np.array(of_cells, dtype=bool)])


def none() -> Verdicts:
    """Everything is used."""
    return Verdicts(pd.DataFrame(columns=EXCLUDED_COLUMNS), pd.DataFrame(columns=COLLAPSED_COLUMNS))


def without(found: StudyResults, judged: Verdicts) -> StudyResults:
    """The results without what is not used; runs, digests and what is missing stay."""
    pairs, cells = judged.configurations, judged.dropped
    if not pairs and not cells:
        return found

    def kept(frame: pd.DataFrame, cells: Collection[Place] = cells) -> pd.DataFrame:
        places = list(frame[CELL].itertuples(index=False, name=None))
        there = [place[:2] not in pairs and place not in cells for place in places]
        return frame[np.array(there, dtype=bool)].reset_index(drop=True)

    plan = found.plan | {"pairs": [pair for pair in found.plan["pairs"] if tuple(pair) not in pairs]}
    starts = {start for start, _ in plan["pairs"]}
    plan["starts"] = [start for start in plan["starts"] if start in starts]
    frames = {name: kept(getattr(found, name)) for name in ("frame", "overall", "unions")}
    few = found.few_shot  # with a few sentences more a cell is another training, which need not have collapsed
    few = replace(few, frame=kept(few.frame, ()), overall=kept(few.overall, ()))
    return replace(found, **frames, plan=plan, few_shot=few)


# --- configurations that are another's models ------------------------------------------------------------


def excluded(frame: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Configurations whose scores are those of another one, seed by seed, and that are not the ones they are called.

    Of configurations with all scores equal only one can be what its name says. It is the one of `BASE`; or else the
    one whose start helps the language of its name most, where that is so of exactly one (an adapted start does); or
    else none. ``helps_most`` is the zero-shot target with the largest gain over `BASE` (over the mean of the other
    starts where `BASE` has no scores) from the same source, in points. Other configurations of an excluded start go
    with it where they, too, help the language of the one it equals most. Where nothing would be left, all stays.
    """
    chosen = frame[(frame["split"] == split) & (frame["category"] == ALL)]
    means = chosen.groupby(["start", "source", "target"], sort=False)[F1].mean().mul(100)
    seeds = chosen.groupby(["start", "source"], sort=False)["seed"].nunique()
    rows: dict[Pair, tuple] = {}
    groups = equal_configurations(frame)
    same = {pair for group in groups for pair in group}
    for group in groups:
        genuine = _genuine(group, means, same)
        for pair in group:
            if pair == genuine:
                continue
            others = [f"{start}-{source}" for start, source in group if (start, source) != pair]
            target, gain = _helps_most(pair, means, same)
            why = f"its scores are those of {' and '.join(others)}"
            if genuine is not None:
                why += f", and only {genuine[0]}-{genuine[1]} behaves as it is called"
            rows[pair] = (*pair, int(seeds.get(pair, 0)), ", ".join(others), target, gain, why)
            if genuine is None or pair[0] == genuine[0] or pair[0] == BASE:
                continue
            for other in seeds.index:
                found, more = _helps_most(other, means, same)
                if other[0] == pair[0] and other not in same and found == genuine[0]:
                    why = f"its start equals {genuine[0]} elsewhere, and it helps {found} most here, too"
                    rows[other] = (*other, int(seeds[other]), "", found, more, why)
    table = pd.DataFrame(rows.values(), columns=EXCLUDED_COLUMNS)
    return table.iloc[:0] if len(table) == len(seeds) else table


def equal_configurations(frame: pd.DataFrame) -> list[list[Pair]]:
    """Groups of configurations with the same seeds and targets and the same scores everywhere.

    At least `DISTINCT` different F1 lie above `LEARNT` and below 1: few scores, those of models that learnt next to
    nothing, and those of a target that all solve, are equal by chance.
    """
    columns = ["seed", "target", "split", "category", *CATEGORY_MEASURES]
    groups: dict[bytes, list[Pair]] = {}
    by = frame.groupby(["start", "source"], sort=False)[F1]
    alike = pd.DataFrame({"rows": by.size(), "sum": by.sum().round(9)}).duplicated(keep=False)
    telling = frame[frame[F1].gt(LEARNT) & frame[F1].lt(1)].groupby(["start", "source"], sort=False)[F1].nunique()
    candidates = alike.index[alike & (telling.reindex(alike.index, fill_value=0) >= DISTINCT)]
    for pair, rows in frame.groupby(["start", "source"], sort=False):
        if pair in candidates:
            ordered = rows[columns].sort_values(columns[:4])
            groups.setdefault(ordered.to_csv(index=False).encode(), []).append(pair)
    return [pairs for pairs in groups.values() if len(pairs) > 1]


def _genuine(group: Sequence[Pair], means: pd.Series, same: Collection[Pair]) -> Pair | None:
    """Which of configurations with equal scores is what it is called; None: not known."""
    if base := [pair for pair in group if pair[0] == BASE]:
        return base[0] if len(base) == 1 else None
    fitting = [pair for pair in group if _helps_most(pair, means, same)[0] == pair[0]]
    return fitting[0] if len(fitting) == 1 else None


def _helps_most(pair: Pair, means: pd.Series, same: Collection[Pair]) -> tuple[str, float]:
    """The zero-shot target with the largest gain over other starts, and the gain; ``""`` where there is none."""
    start, source = pair
    rows = means[means.index.get_level_values("source") == source].droplevel("source")
    starts = rows.index.get_level_values("start")
    others = starts == BASE if BASE in starts else ~starts.isin([start, *(name for name, _ in same)])
    if start == BASE or start not in starts or not others.any():
        return "", float("nan")
    gains = (rows[start] - rows[others].groupby("target", sort=False).mean()).dropna()
    gains = gains[[is_zero_shot(source, str(target)) for target in gains.index]]
    return (str(gains.idxmax()), float(gains.max())) if len(gains) else ("", float("nan"))


# --- fine-tunings that collapsed ---------------------------------------------------------------------------


def collapsed(frame: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """The cells that collapsed, compared with the other seeds of their configuration.

    ``f1`` is on the dev split of the source, for no score on ``split`` may decide what is averaged; where there is
    none, on ``split`` of the source, and where it was not scored at all, the mean over targets. A cell collapsed where
    it is 0, or below `HALF` of the ``best`` of its siblings and more than `FAR_POINTS` points below it. It is not used,
    unless all seeds of its configuration collapsed: these stay. The means of the configuration ``mean_without`` and
    ``mean_with`` what collapsed are of this F1.
    """
    rows = []
    chosen = frame[frame["category"] == ALL]
    own = [not is_zero_shot(*pair) for pair in zip(chosen["source"], chosen["target"], strict=True)]
    on_source = chosen[np.array(own, dtype=bool)]
    ways = [
        (on_source[on_source["split"] == "dev"], "dev of the source"),
        (on_source[on_source["split"] == split], f"{split} of the source"),
        (chosen[chosen["split"] == split], f"{split}, mean over targets"),
    ]
    means = [(way.groupby(CELL, sort=False)[F1].mean().mul(100), told) for way, told in ways]
    cells = chosen[chosen["split"] == split].groupby(["start", "source"], sort=False)["seed"].unique()
    for pair, seeds in cells.items():
        places = [(*pair, seed) for seed in seeds]
        level, told = next((one, told) for one, told in means if all(place in one.index for place in places))
        values = np.array([level[place] for place in places])
        down = np.array([value == 0 or _far_below(value, np.delete(values, i)) for i, value in enumerate(values)])
        for i in np.flatnonzero(down):
            siblings = np.delete(values, i)
            best = float(siblings.max()) if len(siblings) else float("nan")
            rest = float(values[~down].mean()) if not down.all() else float("nan")
            rows.append((*places[i], told, values[i], best, best - values[i], bool(down.all()), rest, values.mean()))
    return pd.DataFrame(rows, columns=COLLAPSED_COLUMNS)


def _far_below(value: float, siblings: np.ndarray) -> bool:
    return len(siblings) > 0 and value < HALF * siblings.max() and siblings.max() - value > FAR_POINTS
