"""What several sources, or a few labelled sentences of the target, are worth. Pure: frames in, frames out.

F1 in percent; the interval of a mean is over seeds (`means.mean_intervals`, Student's t). With one seed the sentences
of a target are the same whatever the source, and fewer are among more, so curves are compared seed by seed.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import special

from analysis.statistics import means as seed_means
from analysis.statistics.tables import MISSING
from analysis.transfer import matrices
from analysis.transfer.matrices import CELL, Cube, over_seeds
from nertransfer.core.grid import ALONE, NONE, Configuration, is_several, is_zero_shot, languages_of
from nertransfer.core.schema import ALL, F1, FEW_SHOT_LANGUAGE, FEW_SHOT_MODE, FEW_SHOT_SENTENCES, SCORED_SPLITS
from nertransfer.scoring.intervals import CONFIDENCE, interval

STEPS = 16
"""So many parts between two numbers of sentences, in which limits are looked for."""
LINE = ["start", "target", "source", "mode"]
CURVE_COLUMNS = [*LINE, "sentences", "f1", "sd", "n_seeds", "low", "high"]
SAVED_COLUMNS = [
    *LINE, "sentences", "f1", "n_seeds", "equivalent", "low", "high", "saved", "smallest", "largest", "in_words",
]  # fmt: skip
_NAMES = {FEW_SHOT_LANGUAGE: "target", FEW_SHOT_MODE: "mode", FEW_SHOT_SENTENCES: "sentences"}


def scores(frame: pd.DataFrame, few_shot: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """F1 (fractions) of every seed on the target by number of its sentences: `LINE`, sentences, seed, f1.

    ``frame`` has the ordinary cells, which are those of no sentence; ``few_shot`` the others.
    """
    chosen = few_shot[(few_shot["split"] == split) & (few_shot["category"] == ALL)]
    chosen = chosen[chosen["target"] == chosen[FEW_SHOT_LANGUAGE]].drop(columns="target").rename(columns=_NAMES)
    columns = [*LINE, "sentences", "seed", F1]
    lines = chosen.loc[chosen["source"] != NONE, LINE].drop_duplicates()
    ordinary = frame[(frame["split"] == split) & (frame["category"] == ALL)].drop(columns="category")
    none = lines.merge(ordinary, on=["start", "source", "target"]).assign(sentences=0)
    found = pd.concat([none[columns], chosen[columns]], ignore_index=True).astype({"sentences": int})
    places = {name: {value: i for i, value in enumerate(dict.fromkeys(chosen[name]))} for name in LINE}
    return found.sort_values(
        [*LINE, "sentences", "seed"], key=lambda c: c.map(places[str(c.name)]) if c.name in places else c,
        kind="stable", ignore_index=True,
    )  # fmt: skip


def curves(found: pd.DataFrame) -> pd.DataFrame:
    """The mean of `scores` over seeds with its 95 % interval, by line and number of sentences; NaN for one seed."""
    if found.empty:
        return pd.DataFrame(columns=CURVE_COLUMNS)
    groups = found.groupby([*LINE, "sentences"], sort=False)
    f1 = found[F1].to_numpy(float)
    means = seed_means.means_over_seeds(f1, np.tile(f1, (2, 1)), groups.ngroup().to_numpy())
    low, high = seed_means.mean_intervals(means)
    table = groups.size().rename("n_seeds").reset_index()
    known = means.seeds > 1
    return table.assign(
        f1=100 * means.mean,
        sd=np.where(known, 100 * np.sqrt(means.seed_variance), np.nan),
        low=np.where(known, 100 * low, np.nan),
        high=np.where(known, 100 * high, np.nan),
    )[CURVE_COLUMNS]


def equivalents(numbers: np.ndarray, curve: np.ndarray, f1: np.ndarray) -> np.ndarray:
    """With how many sentences a learning curve first reaches an F1, (draws,).

    ``numbers`` (points,), ascending and above 0, and ``curve`` (draws, points) are straight lines over the logarithm of
    the number; ``f1`` (draws,). The smallest number where the curve begins higher, infinite where it never gets there.
    """
    reached = curve >= f1[:, None]
    place = reached.argmax(axis=1)
    rows = np.arange(len(curve))
    before = np.maximum(place - 1, 0)
    rise = curve[rows, place] - curve[rows, before]
    share = np.divide(f1 - curve[rows, before], rise, out=np.ones(len(curve)), where=rise > 0)
    crossing = numbers[before] * (numbers[place] / numbers[before]) ** share
    return np.where(~reached.any(axis=1), np.inf, np.where(place == 0, numbers[0], crossing))


def crossing_interval(numbers: np.ndarray, apart: np.ndarray) -> tuple[float, float]:
    """95 % limits of the number of sentences with which a learning curve first reaches a level, from paired seeds.

    ``numbers`` (points,) as of `equivalents`; ``apart`` (seeds, points): the curve less the level, seed by seed. They
    enclose every number at which Student's t does not tell the difference from 0 (Fieller 1954); beyond the most
    sentences a limit is infinite. NaN for fewer than two seeds.
    """
    seeds, points = apart.shape
    if seeds < 2:
        return np.nan, np.nan
    place = np.arange(points)
    fine = np.linspace(0, points - 1, STEPS * (points - 1) + 1)
    between = np.exp(np.interp(fine, place, np.log(numbers)))
    values = np.stack([np.interp(fine, place, row) for row in apart])
    reach = special.stdtrit(seeds - 1, (1 + CONFIDENCE) / 2) * values.std(axis=0, ddof=1) / np.sqrt(seeds)
    upper, lower = values.mean(axis=0) + reach, values.mean(axis=0) - reach
    stays = np.minimum.accumulate(lower[::-1])[::-1]  # it is passed where the lower limit is above 0 from there on
    low, high = equivalents(between, np.stack([upper, stays]), np.zeros(2))
    return float(low), float(high)


def saved(found: pd.DataFrame) -> pd.DataFrame:
    """How many sentences alone give what a source gives with so many: a row for every point with a source.

    All of it over the ``n_seeds`` seeds that the point has as well as every number alone; NaN for none. ``equivalent``
    is that number by `equivalents` of the means, ``low`` and ``high`` its limits by `interval`. Beyond ``largest``, the
    most sentences that were tried alone, it is infinite; ``smallest`` stands for so many or fewer. ``saved`` is
    ``equivalent`` less ``sentences``.
    """
    rows = []
    for _, part in found.groupby(["start", "target"], sort=False):
        alone = part[part["mode"] == ALONE].pivot(index="seed", columns="sentences", values=F1)
        if alone.empty:
            continue
        numbers, complete = alone.columns.to_numpy(float), alone.dropna()
        smallest, largest = int(numbers[0]), int(numbers[-1])
        for key, point in part[part["mode"] != ALONE].groupby([*LINE, "sentences"], sort=False):
            level = point.set_index("seed")[F1]
            seeds = complete.index.intersection(level.index)
            curve, f1 = complete.loc[seeds].to_numpy(float), level[seeds].to_numpy(float)
            mean, equivalent, low, high = (np.nan,) * 4
            if len(seeds):
                mean = f1.mean()
                equivalent = float(equivalents(numbers, curve.mean(axis=0)[None], np.array([mean]))[0])
                low, high = crossing_interval(numbers, curve - f1[:, None])
                low, high = np.minimum(low, equivalent), np.maximum(high, equivalent)  # not to be apart by rounding
            words = in_words(equivalent, low, high, smallest, largest)
            spared = equivalent - int(key[-1])
            rows.append((*key, 100 * mean, len(seeds), equivalent, low, high, spared, smallest, largest, words))
    return pd.DataFrame(rows, columns=SAVED_COLUMNS)


def in_words(equivalent: float, low: float, high: float, smallest: int, largest: int) -> str:
    """``140 (95 %: 90 to more than 500)``; without limits ``10 or fewer``; ``more than 500 (95 %: more than 500)``."""

    def told(number: float) -> str:
        if np.isinf(number):
            return f"more than {largest:,}"
        return f"{smallest:,} or fewer" if number <= smallest else f"{number:,.0f}"

    if np.isnan(equivalent):
        return MISSING
    if np.isnan(low):
        return told(equivalent)
    limits = dict.fromkeys((told(low), told(high)))
    return f"{told(equivalent)} (95 %: {' to '.join(limits)})"


def missing(
    frame: pd.DataFrame, cells: pd.DataFrame, plan: Sequence[Configuration], seeds: Sequence[int]
) -> pd.DataFrame:
    """Every planned score on a target of which a cell has sentences that is not there, and why (`matrices.missing`)."""
    place = [*CELL, FEW_SHOT_LANGUAGE, FEW_SHOT_SENTENCES, FEW_SHOT_MODE]
    columns = [*place, "target", "split"]
    there = set(frame.loc[frame["category"] == ALL, columns].itertuples(index=False, name=None))
    states = matrices.states(cells, place)
    rows = [
        (*cell, few.language, split, matrices.reason(states.get(cell)))
        for start, source, few in plan
        if few is not None
        for seed in seeds
        for cell in [(start, source, seed, few.language, few.sentences, few.mode)]
        for split in SCORED_SPLITS
        if (*cell, few.language, split) not in there
    ]
    return pd.DataFrame(rows, columns=[*columns, "reason"])


COLUMNS = [
    "start", "source", "target", "setting", "f1", "best_part", "best_part_f1", "difference", "low", "high", "n_seeds",
    "parts_missing",
]  # fmt: skip
ZERO_SHOT, AMONG = "zero-shot", "target among the sources"


def compare(cubes: Mapping[str, Cube]) -> pd.DataFrame:
    """Every source of several languages less the best of its languages on each target, in points of F1 (percent).

    The best is the one with the highest mean over its seeds on that very target, so it has what luck there is, and the
    comparison is rather hard on the several. ``difference`` is the mean over the seeds that both have; its 95 %
    interval is Student's t of the differences seed by seed, NaN for fewer than two. ``parts_missing`` counts the
    languages without any seed as a source on that target, which may have been better.
    """
    rows = []
    for start, cube in cubes.items():
        mean = over_seeds(cube.values)[0]
        for i, source in enumerate(cube.sources):
            languages = languages_of(source)
            parts = [cube.sources.index(name) for name in languages if name in cube.sources]
            if not is_several(source) or not parts:
                continue
            for j, target in enumerate(cube.targets):
                rivals = [part for part in parts if not np.isnan(mean[part, j])]
                if not rivals or np.isnan(mean[i, j]):
                    continue
                best = max(rivals, key=lambda part: mean[part, j])
                apart = cube.values[:, i, j] - cube.values[:, best, j]
                apart = apart[~np.isnan(apart)]
                found = (*interval(apart, -100, 100), len(apart))
                setting = ZERO_SHOT if is_zero_shot(source, target) else AMONG
                missing = len(languages) - len(rivals)
                rows.append(
                    (start, source, target, setting, mean[i, j], cube.sources[best], mean[best, j], *found, missing)
                )  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)
