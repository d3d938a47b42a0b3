"""Tidy frame -> transfer matrices and what is read off them. Pure: frames in, frames out.

Percent throughout. A standard deviation is over seeds, with n - 1 in the denominator, and NaN
for fewer than two. A missing number is never averaged over: an average of an incomplete set is
NaN, and an average over languages uses only the seeds that have them all.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from nertransfer.core.grid import is_language, is_zero_shot
from nertransfer.core.schema import ALL, CATEGORY_MEASURES, F1, SCORED_SPLITS, SUPPORT

Statistic = Literal["mean", "sd", "n"]
AVERAGE = "avg"
ZERO_SHOT, IN_LANGUAGE = "zero-shot", "in-language"
"""What the margins of a matrix are called: the mean of all places, as published; of those where the target is not
among the source's languages; of the others."""
MARGINS = (AVERAGE, ZERO_SHOT, IN_LANGUAGE)
ISOLATE = "isolate"
"""Family of a language without relatives."""
RELATIONS = ("within a family", "across families", "to or from an isolate")
CELL = ["start", "source", "seed"]
_REASONS = {"FAILED": "failed", "KILLED": "killed", "RUNNING": "running", "SCHEDULED": "running"}

Pairs = Collection[tuple[str, str]]
"""(source, target) pairs."""


@dataclass(frozen=True)
class Cube:
    """Scores of one start in percent; ``values`` has shape (seeds, sources, targets), NaN where missing."""

    seeds: list[int]
    sources: list[str]
    targets: list[str]
    values: np.ndarray

    def with_averages(self) -> "Cube":
        """The cube with an average row and column in every seed; NaN over what is incomplete."""
        rows = np.concatenate([self.values, self.values.mean(axis=2, keepdims=True)], axis=2)
        both = np.concatenate([rows, rows.mean(axis=1, keepdims=True)], axis=1)
        return Cube(self.seeds, [*self.sources, AVERAGE], [*self.targets, AVERAGE], both)

    def with_margins(self, own: np.ndarray) -> "Cube":
        """The cube with the margins of `with_margins` in every seed."""
        rows, columns = margins(self.values, own)
        return Cube(self.seeds, [*self.sources, *rows], [*self.targets, *columns], _margined(self.values, own))

    def statistic(self, name: Statistic) -> pd.DataFrame:
        """Mean, sd (ddof=1) or number of the seeds there are; rows sources, columns targets."""
        return pd.DataFrame(
            over_seeds(self.values)[("mean", "sd", "n").index(name)],
            index=pd.Index(self.sources, name="source"),
            columns=pd.Index(self.targets, name="target"),
        )


def over_seeds(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, sd (ddof=1) and count over the first axis of (seeds, ...), NaN left out."""
    n = np.sum(~np.isnan(values), axis=0)
    # sorted, so that the last bit does not depend on which seed is which
    ordered = np.sort(values, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n > 0, np.nansum(ordered, axis=0) / n, np.nan)
        squares = np.nansum((ordered - mean) ** 2, axis=0)
        sd = np.where(n > 1, np.sqrt(squares / (n - 1)), np.nan)
    return mean, sd, n


def cube(
    frame: pd.DataFrame,
    start: str,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    split: str = "test",
    category: str = ALL,
    measure: str = F1,
) -> Cube:
    """One start's scores by seed. ``sources`` and ``targets`` name and order the axes; None: as in the frame.

    Raises ValueError when the frame has two rows for one place.
    """
    chosen = frame[(frame["start"] == start) & (frame["split"] == split)]
    if "category" in frame:
        chosen = chosen[chosen["category"] == category]
    sources = list(dict.fromkeys(chosen["source"])) if sources is None else list(sources)
    targets = list(dict.fromkeys(chosen["target"])) if targets is None else list(targets)
    seeds = sorted(set(chosen["seed"]))
    chosen = chosen[chosen["source"].isin(sources) & chosen["target"].isin(targets)]
    if chosen.duplicated(["source", "target", "seed"]).any():
        raise ValueError(f"start {start} has two scores for one source, target and seed")
    values = np.full((len(seeds), len(sources), len(targets)), np.nan)
    named = (("seed", seeds), ("source", sources), ("target", targets))
    places = tuple(pd.Index(axis).get_indexer(chosen[name]) for name, axis in named)
    values[places] = chosen[measure].to_numpy(float) * (1 if measure == SUPPORT else 100)
    return Cube([int(seed) for seed in seeds], sources, targets, values)


def with_average(matrix: pd.DataFrame) -> pd.DataFrame:
    """The matrix with the row and column ``avg``; NaN over a row or column that is incomplete."""
    inner = matrix.to_numpy(float)
    wide = np.column_stack([inner, inner.mean(axis=1)])
    full = np.vstack([wide, np.append(inner.mean(axis=0), inner.mean())])
    index = pd.Index([*matrix.index, AVERAGE], name=matrix.index.name)
    return pd.DataFrame(full, index=index, columns=pd.Index([*matrix.columns, AVERAGE], name=matrix.columns.name))


def margins(values: np.ndarray, own: np.ndarray) -> tuple[list[str], list[str]]:
    """The names of the last rows and of the last columns of `with_margins`: a kind of place without any number has no
    margin. ``values`` (..., sources, targets)."""
    there = ~np.isnan(values).all(axis=tuple(range(values.ndim - 2)))
    rows = [ZERO_SHOT] if (there & ~own).any() else []
    return rows, rows + ([IN_LANGUAGE] if (there & own).any() else [])


def with_margins(matrix: pd.DataFrame, own: np.ndarray) -> pd.DataFrame:
    """The matrix with a row and a column ``zero-shot`` and a column ``in-language``, as far as it has such scores.

    ``own``: booleans, as the matrix, where the target is among the source's languages. The first margins are means
    over the other places, the last one over these; NaN over a row or column that is incomplete.
    """
    values = matrix.to_numpy(float)
    rows, columns = margins(values, own)
    index = pd.Index([*matrix.index, *rows], name=matrix.index.name)
    return pd.DataFrame(_margined(values, own), index, pd.Index([*matrix.columns, *columns], name=matrix.columns.name))


def _margined(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(..., sources, targets) with the margins of `with_margins`."""

    def mean(axis: int | tuple[int, int], shown: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(shown, values, 0).sum(axis) / shown.sum(axis)

    rows, columns = margins(values, own)
    shown = [{ZERO_SHOT: ~own, IN_LANGUAGE: own}[name] for name in columns]
    wide = np.concatenate([values, *(mean(-1, places)[..., None] for places in shown)], axis=-1)
    if not rows:
        return wide
    corner = [mean((-2, -1), places)[..., None] for places in shown]
    return np.concatenate([wide, np.concatenate([mean(-2, ~own), *corner], axis=-1)[..., None, :]], axis=-2)


def masked(matrix: pd.DataFrame, shown: np.ndarray, name: str = AVERAGE) -> pd.DataFrame:
    """The places that are ``shown`` (booleans, as the matrix), with averages over them, called ``name``.

    NaN over incomplete ones.
    """
    values = matrix.to_numpy(float)
    sums, counts = np.where(shown, values, 0.0), shown.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = sums.sum(axis=1) / counts.sum(axis=1)
        columns = sums.sum(axis=0) / counts.sum(axis=0)
        whole = sums.sum() / counts.sum()
    wide = np.column_stack([np.where(shown, values, np.nan), rows])
    index = pd.Index([*matrix.index, name], name=matrix.index.name)
    columns_of = pd.Index([*matrix.columns, name], name=matrix.columns.name)
    return pd.DataFrame(np.vstack([wide, np.append(columns, whole)]), index, columns_of)


def clustered(matrix: pd.DataFrame, languages: Sequence[str]) -> list[str]:
    """The languages so that those with similar scores, as source and as target, are neighbours.

    Average linkage of Euclidean distances with optimal leaf order (Bar-Joseph et al. 2001, scipy). A score that is
    missing counts as the mean of all; languages that the matrix lacks come last, then sources that are no
    language.
    """
    several = [name for name in languages if not is_language(name)]
    if several:
        single = [name for name in languages if name not in several]
        return clustered(matrix.drop(index=several, errors="ignore"), single) + several
    values = matrix.reindex(index=languages, columns=languages)
    there = [name for name in languages if values.loc[name].notna().any() or values[name].notna().any()]
    if len(there) < 3:
        return [*there, *(name for name in languages if name not in there)]
    values = values.loc[there, there]
    numbers = values.fillna(np.nanmean(values.to_numpy(float))).to_numpy(float)
    from scipy.cluster import hierarchy  # slow to import for drawing, which names of this module alone are for

    tree = hierarchy.linkage(np.hstack([numbers, numbers.T]), "average", optimal_ordering=True)
    return [there[i] for i in hierarchy.leaves_list(tree)] + [name for name in languages if name not in there]


def limits(matrices: Iterable[pd.DataFrame]) -> tuple[float, float]:
    """Lowest and highest number of all, widened to whole fives: one colour scale for all figures."""
    numbers = np.concatenate([np.empty(0), *(matrix.to_numpy(float).ravel() for matrix in matrices)])
    numbers = numbers[~np.isnan(numbers)]
    if not len(numbers):
        return 0.0, 100.0
    low, high = float(np.floor(numbers.min() / 5) * 5), float(np.ceil(numbers.max() / 5) * 5)
    return (low, high) if high > low else (low, low + 5)


# --- averages over pairs of languages ----------------------------------------------------------------


@dataclass(frozen=True)
class Average:
    """Mean over pairs, then over seeds, in percent; sd over seeds (ddof=1).

    ``pairs`` is how many (source, target) pairs belong to it, ``n`` how many seeds have them all.
    """

    mean: float
    sd: float
    n: int
    pairs: int


def pair_average(found: Cube, pairs: Pairs) -> Average:
    """The average over ``pairs`` of a cube; NaN where no seed has them all."""
    places = [(found.sources.index(s), found.targets.index(t)) for s, t in pairs]
    if not places or not len(found.seeds):
        return Average(float("nan"), float("nan"), 0, len(places))
    rows, columns = zip(*sorted(places), strict=True)
    mean, sd, n = over_seeds(found.values[:, rows, columns].mean(axis=1))
    return Average(float(mean), float(sd), int(n), len(places))


def in_language(found: Cube) -> list[tuple[str, str]]:
    """The pairs of a cube whose target is the source."""
    return [(s, s) for s in found.sources if s in found.targets]


def zero_shot(found: Cube) -> list[tuple[str, str]]:
    """The pairs of a cube whose target is not among the source's languages."""
    return [(s, t) for s in found.sources for t in found.targets if is_zero_shot(s, t)]


def common(cubes: Iterable[Cube], pairs: Callable[[Cube], list[tuple[str, str]]]) -> set[tuple[str, str]]:
    """The ``pairs`` that all cubes have, such as `zero_shot`; means over different ones do not compare."""
    every = [set(pairs(cube)) for cube in cubes]
    return set.intersection(*every) if every else set()


def relation(source: str, target: str, families: Mapping[str, str]) -> str:
    """Which of `RELATIONS` two languages with known families have."""
    if ISOLATE in (families[source], families[target]):
        return RELATIONS[2]
    return RELATIONS[0] if families[source] == families[target] else RELATIONS[1]


RELATION_COLUMNS = ["start", "relation", "f1", "sd", "n_seeds", "n_pairs"]


def by_relation(cubes: Mapping[str, Cube], families: Mapping[str, str]) -> pd.DataFrame:
    """Mean zero-shot F1 of every start by how source and target are related; languages of known family only."""
    rows = []
    for start, found in cubes.items():
        known = [(s, t) for s, t in zero_shot(found) if s in families and t in families]
        for name in RELATIONS:
            pairs = [(s, t) for s, t in known if relation(s, t, families) == name]
            if pairs:
                average = pair_average(found, pairs)
                rows.append((start, name, average.mean, average.sd, average.n, average.pairs))
    return pd.DataFrame(rows, columns=RELATION_COLUMNS)


# --- the best source of every target -------------------------------------------------------------------

BEST_COLUMNS = [
    "start", "target", "best_source", "f1", "sd", "n_seeds", "runner_up", "runner_up_f1", "difference",
    "in_language_f1", "sources_compared", "sources_missing",
]  # fmt: skip


def best_sources(cubes: Mapping[str, Cube]) -> pd.DataFrame:
    """The best zero-shot source of every start and target by mean F1, beside the runner-up and in-language F1.

    Percent. Ties go to the source that comes first. ``sources_missing`` counts the sources
    without any seed, which may have been better.
    """
    rows = []
    for start, found in cubes.items():
        mean, sd, n = over_seeds(found.values)
        for column, target in enumerate(found.targets):
            rivals = [i for i, source in enumerate(found.sources) if is_zero_shot(source, target)]
            ranked = sorted((i for i in rivals if n[i, column]), key=lambda i: -mean[i, column])
            if not ranked:
                continue
            best, second = ranked[0], ranked[1] if len(ranked) > 1 else None
            runner_up = mean[second, column] if second is not None else float("nan")
            own = mean[found.sources.index(target), column] if target in found.sources else float("nan")
            rows.append(
                (start, target, found.sources[best], mean[best, column], sd[best, column], int(n[best, column]),
                 found.sources[second] if second is not None else "",
                 runner_up, mean[best, column] - runner_up, own, len(ranked), len(rivals) - len(ranked))
            )  # fmt: skip
    return pd.DataFrame(rows, columns=BEST_COLUMNS)


# --- categories and modes --------------------------------------------------------------------------------

CATEGORY_COLUMNS = ["category", "start", "setting", "f1", "sd", "n_seeds", "n_pairs"]
SETTINGS = {"in-language": in_language, "zero-shot": zero_shot}


Axes = Mapping[str, tuple[list[str], list[str]]]
"""Sources and targets of every start's matrix."""


def having(frame: pd.DataFrame, category: str, split: str = "test") -> set[str]:
    """The targets whose gold tags have a category: on others its F1 is no score, though 0 where it was predicted."""
    rows = frame[(frame["split"] == split) & (frame["category"] == category) & (frame[SUPPORT] != 0)]  # or unknown
    return set(rows["target"])


def undefined(frame: pd.DataFrame, split: str = "test") -> list[str]:
    """The scored targets whose ``split`` has no gold entity, so that F1 is not defined there.

    Recall is 0 / 0. The 0 that is stored says nothing of a model: one that rightly finds nothing has it (0 / 0, taken
    as 0 by seqeval's ``zero_division``), and one that finds too much. So a target is undefined for all cells alike.
    Where the number of gold entities is not known, as in imported results, it counts as some.
    """
    scored = frame.loc[(frame["split"] == split) & (frame["category"] == ALL), "target"]
    there = having(frame, ALL, split)
    return [target for target in dict.fromkeys(scored) if target not in there]


def defined(frame: pd.DataFrame, split: str = "test", without: Collection[str] = ()) -> pd.DataFrame:
    """The frame less the scores of ``split`` on the targets ``without``, for which F1 is `undefined`."""
    return frame[~((frame["split"] == split) & frame["target"].isin(without))] if without else frame


def by_category(frame: pd.DataFrame, axes: Axes, split: str = "test") -> pd.DataFrame:
    """Mean F1 by category, start and setting, in percent.

    A category counts for the targets that are `having` it.
    """
    rows = []
    for category in dict.fromkeys(frame.loc[frame["split"] == split, "category"]):
        there = having(frame, category, split)
        for start, (sources, targets) in axes.items():
            found = cube(frame, start, sources, [t for t in targets if t in there], split, category)
            for setting, pairs in SETTINGS.items():
                if pairs(found):
                    average = pair_average(found, pairs(found))
                    rows.append((category, start, setting, average.mean, average.sd, average.n, average.pairs))
    return pd.DataFrame(rows, columns=CATEGORY_COLUMNS)


# --- what is missing, what is odd ---------------------------------------------------------------------------

MISSING_COLUMNS = [*CELL, "target", "split", "reason"]


def missing(
    frame: pd.DataFrame, cells: pd.DataFrame, plan: Mapping[str, Sequence], systems: Collection[tuple[str, str]] = ()
) -> pd.DataFrame:
    """Every planned (start, source, seed, target, split) without a score, and why.

    Of ``systems``, (start, source) whose predictions were imported, those seeds and splits are planned that there are.

    Reasons: never run, failed, killed, running (by the last run of the cell), not scored (the run
    finished without this target). The dev split of a target that is scored on test alone is not missing: it has none.
    """
    there = set(frame.loc[frame["category"] == ALL, [*CELL, "target", "split"]].itertuples(index=False, name=None))
    known = states(cells, CELL)
    scored = set(frame[["target", "split"]].itertuples(index=False, name=None))
    absent = {(target, "dev") for target, split in scored if split == "test"} - scored
    given: dict[tuple[str, str], set[tuple[int, str]]] = {}
    for start, source, seed, _, split in there:
        given.setdefault((start, source), set()).add((seed, split))
    every = {(seed, split) for seed in plan["seeds"] for split in SCORED_SPLITS}
    wanted = {pair: given.get(pair, set()) if pair in systems else every for pair in map(tuple, plan["pairs"])}
    rows = [
        (start, source, seed, target, split, reason(known.get((start, source, seed))))
        for start, source in plan["pairs"]
        for seed in sorted({seed for seed, _ in wanted[start, source]})
        for target in plan["targets"]
        for split in SCORED_SPLITS
        if (seed, split) in wanted[start, source]
        and (start, source, seed, target, split) not in there
        and (target, split) not in absent
    ]
    return pd.DataFrame(rows, columns=MISSING_COLUMNS)


def states(cells: pd.DataFrame, place: Sequence[str]) -> dict[tuple, str]:
    """The status of the last run of every cell, FINISHED where one has; ``place``: columns that tell cells apart."""
    found: dict[tuple, str] = {}
    for *cell, status in cells[[*place, "status"]].itertuples(index=False, name=None):
        if found.get(tuple(cell)) != "FINISHED":
            found[tuple(cell)] = status
    return found


def reason(status: str | None) -> str:
    """Why a score is missing, by the last run of its cell."""
    if status is None:
        return "never run"
    return "not scored" if status == "FINISHED" else _REASONS.get(status, status.lower())


def missing_cells(absent: pd.DataFrame) -> pd.DataFrame:
    """`missing` with one row per cell: start, source, seed, reason, and how many scores lack.

    Where ``absent`` tells of few sentences of a target, its columns are kept.
    """
    place = [*CELL, *(name for name in absent.columns if name not in MISSING_COLUMNS)]
    return (
        absent.groupby([*place, "reason"], sort=False, dropna=False).size().reset_index(name="scores")
        if len(absent)
        else pd.DataFrame(columns=[*place, "reason", "scores"])
    )


def identical_cells(frame: pd.DataFrame) -> list[list[tuple[str, str, int]]]:
    """Groups of cells, (start, source, seed), whose scores are all equal.

    Such cells are a copied run, a seed that seeds nothing, or models that predict nothing.
    """
    columns = ["target", "split", "category", *CATEGORY_MEASURES]
    groups: dict[bytes, list[tuple[str, str, int]]] = {}
    for cell, rows in frame.groupby(CELL, sort=False):
        ordered = rows[columns].sort_values(["target", "split", "category"])
        groups.setdefault(ordered.to_csv(index=False).encode(), []).append(cell)
    return [sorted(cells) for cells in groups.values() if len(cells) > 1]


def seed_counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Number of seeds by (start, source): columns start, source, seeds."""
    return frame.groupby(["start", "source"], sort=False)["seed"].nunique().reset_index(name="seeds")


def axes(frame: pd.DataFrame, plan: Mapping[str, Sequence], languages: Sequence[str]) -> Axes:
    """Sources and targets of every start's matrix, in the order of ``languages``.

    A planned start has all planned ones, also where nothing came of them; others have what exists.
    """
    found = {}
    for start in dict.fromkeys([*plan["starts"], *frame["start"]]):
        rows = frame[frame["start"] == start]
        planned = start in plan["starts"]
        sources = set(rows["source"]) | {source for name, source in plan["pairs"] if name == start}
        targets = set(rows["target"]) | (set(plan["targets"]) if planned else set())
        found[start] = ([x for x in languages if x in sources], [x for x in languages if x in targets])
    return found
