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
COLLAPSED_COLUMNS = [*CELL, "measured_on", "f1", "median", "below", "used", "mean_without", "mean_with"]
LEARNT = 0.2
"""F1 that no model has by predicting next to nothing, or always the same."""
FAR_POINTS, FAR_SDS = 20.0, 5.0
"""A fine-tuning collapsed where its F1 is 0, or by more than so many points and robust sds below its siblings."""


@dataclass(frozen=True)
class Verdicts:
    """``excluded``: configurations, `EXCLUDED_COLUMNS`; ``collapsed``: cells, `COLLAPSED_COLUMNS`."""

    excluded: pd.DataFrame
    collapsed: pd.DataFrame

    @property
    def empty(self) -> bool:
        """Whether all is used."""
        return self.excluded.empty and not self.collapsed["used"].eq(False).any()


def verdicts(frame: pd.DataFrame, split: str = "test") -> Verdicts:
    """What a study's scores say should not be used."""
    return Verdicts(excluded(frame, split), collapsed(frame, split))


def none() -> Verdicts:
    """Everything is used."""
    return Verdicts(pd.DataFrame(columns=EXCLUDED_COLUMNS), pd.DataFrame(columns=COLLAPSED_COLUMNS))


def without(found: StudyResults, judged: Verdicts) -> StudyResults:
    """The results without what is not used; runs, digests and what is missing stay."""
    pairs = set(judged.excluded[["start", "source"]].itertuples(index=False, name=None))
    unused = judged.collapsed[judged.collapsed["used"].eq(False)]
    cells = set(unused[CELL].itertuples(index=False, name=None))
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

    One of the scores is above `LEARNT`: models that learnt next to nothing have equal ones without being the same.
    """
    columns = ["seed", "target", "split", "category", *CATEGORY_MEASURES]
    groups: dict[bytes, list[Pair]] = {}
    by = frame.groupby(["start", "source"], sort=False)[F1]
    alike = pd.DataFrame({"rows": by.size(), "sum": by.sum().round(9)}).duplicated(keep=False)
    candidates = alike.index[alike & (by.max() > LEARNT)]
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

    ``f1`` is that on the source itself, or the mean over targets where it was not scored. A cell collapsed where it is
    0, or more than `FAR_POINTS` points and `FAR_SDS` robust sds (1.4826 times the median absolute deviation) below the
    ``median`` of its siblings. It is not used, unless all seeds of its configuration collapsed: these stay. The means
    of the configuration ``mean_without`` and ``mean_with`` what collapsed.
    """
    chosen = frame[(frame["split"] == split) & (frame["category"] == ALL)]
    own = chosen[chosen["source"] == chosen["target"]].groupby(CELL, sort=False)[F1].mean()
    whole = chosen.groupby(CELL, sort=False)[F1].mean()
    measured = own.reindex(whole.index)
    levels = measured.fillna(whole).mul(100)
    rows = []
    for pair, level in levels.groupby(level=["start", "source"], sort=False):
        values = level.to_numpy(float)
        down = [value == 0 or _far_below(value, np.delete(values, i)) for i, value in enumerate(values)]
        for i, (place, value) in enumerate(level.items()):
            if down[i]:
                siblings = np.delete(values, i)
                median = float(np.median(siblings)) if len(siblings) else float("nan")
                where = pair[1] if pd.notna(measured[place]) else "mean over targets"
                kept = values[~np.array(down)]
                rest = float(kept.mean()) if len(kept) else float("nan")
                rows.append((*place, where, value, median, median - value, not len(kept), rest, float(values.mean())))
    return pd.DataFrame(rows, columns=COLLAPSED_COLUMNS)


def _far_below(value: float, siblings: np.ndarray) -> bool:
    if not len(siblings):
        return False
    median = float(np.median(siblings))
    spread = 1.4826 * float(np.median(np.abs(siblings - median)))
    return median - value > max(FAR_POINTS, FAR_SDS * spread)
