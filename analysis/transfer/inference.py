"""How sure the scores of a whole study are: every configuration on every target, seeds and sentences together. Pure.

In percent. One generator seeded by the target's name serves all cells of a target, so that they share the resampled
sentences and no number depends on the order of the runs.
"""

import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.reading.sentence_counts import SentenceCounts
from analysis.statistics import comparison, moderation
from analysis.statistics import means as seed_means
from analysis.statistics import mixed_model as mixed_models
from analysis.statistics import power as power_of_seeds
from analysis.statistics import ranks as ranks_of_sources
from analysis.statistics.comparison import Differences
from analysis.statistics.means import Means
from analysis.transfer import matrices, verdicts
from analysis.transfer.matrices import Cube
from nertransfer.core.grid import BASE, Place, is_language, is_zero_shot
from nertransfer.core.schema import ALL, F1

RESAMPLES = 2000
INTERVAL_COLUMNS = ["start", "source", "target", "f1", "n_seeds", "low", "high", "sentences_vary", "moderated"]
DIFFERENCE_COLUMNS = ["start", "source", "target", "difference", "low", "high", "p", "p_holm", "untested"]
START_COLUMNS = [
    "start", "f1", "low", "high", "n_seeds", "n_pairs",
    "difference", "difference_low", "difference_high", "p", "p_holm", "untested",
]  # fmt: skip
IN_LANGUAGE = next(iter(matrices.SETTINGS))
ONE_SEED, NOTHING_VARIES = "one seed", "neither seeds nor sentences vary"
"""Why a difference is not tested."""
RANK_COLUMNS = ["start", "target", "source", "best_probability", "mean_rank", "rank_low", "rank_high", "seeds_vary"]
FAR_WEAKER = verdicts.HALF
"""Of the F1 of its best sibling, or of the median cell: a seed below that is `far_weaker`."""
POINTS = (1, 2, 3, 5)
"""Differences in points of F1 that seeds are counted for."""
SEEDS_COLUMNS = [
    "start", "setting", "sd", "sentence_sd", "smallest_difference",
    *(f"{what}_for_{d}_points" for d in POINTS for what in ("seeds", "power", "most_power")),
]  # fmt: skip


Scored = tuple[str, str, str]
"""(start, source, target)."""


@dataclass(frozen=True)
class Sample:
    """All ``cells`` of one target: ``f1`` (cells,) and ``resampled`` (resamples, cells) as fractions, ``configuration``
    (cells,) an index into ``configurations``; ``sentences_vary`` is False where no counts by sentence are at hand.

    Cells and configurations are sorted, so that no number depends on their order; ``shown`` are the places of the
    configurations in the order of the study. ``pooled``: variance over seeds and its degrees of freedom, each
    (configurations,), from more than the seeds themselves; None: from these alone. ``dropped``: cells that collapsed
    and are not among ``cells``. ``fixed``: the configurations that have no seeds.
    """

    cells: list[Place]
    configurations: list[tuple[str, str]]
    shown: list[int]
    f1: np.ndarray
    resampled: np.ndarray
    configuration: np.ndarray
    sentences_vary: bool
    pooled: tuple[np.ndarray, np.ndarray] | None = None
    dropped: frozenset[Place] = frozenset()
    fixed: frozenset[tuple[str, str]] = frozenset()

    @property
    def means(self) -> Means:
        found = seed_means.means_over_seeds(self.f1, self.resampled, self.configuration)
        found = replace(found, fixed=np.array([one in self.fixed for one in self.configurations], bool))
        return found if self.pooled is None else replace(found, seed_variance=self.pooled[0], freedom=self.pooled[1])


def samples(
    frame: pd.DataFrame,
    counts: Mapping[str, SentenceCounts],
    split: str = "test",
    resamples: int = RESAMPLES,
    category: str = ALL,
    dropped: Collection[Place] = (),
    without_seed: Collection[tuple[str, str]] = (),
) -> dict[str, Sample]:
    """The sample of every target, from counts by sentence where all its cells have them, else over seeds alone.

    Where configurations have fewer than `moderation.FEW_SEEDS` seeds, their variances are moderated by those of the
    whole study (``pooled``). Not so those of configurations with a `far_weaker` seed: these are not usual, do not count
    for what is, and keep their own. ``without_seed``: the (start, source) that have none.
    """
    chosen = frame[(frame["split"] == split) & (frame["category"] == category)]
    found, fixed = {}, frozenset(without_seed)
    for target, rows in chosen.groupby("target", sort=False):
        given = list(dict.fromkeys(rows[["start", "source"]].itertuples(index=False, name=None)))
        rows = rows.sort_values(["start", "source", "seed"])
        cells = list(rows[["start", "source", "seed"]].itertuples(index=False, name=None))
        configurations = list(dict.fromkeys((start, source) for start, source, _ in cells))
        shown = [configurations.index(configuration) for configuration in given]
        index = np.array([configurations.index((start, source)) for start, source, _ in cells])
        f1, there = rows[F1].to_numpy(float), counts.get(str(target))
        counted = there is not None and (category == ALL or category in there.categories)
        counted = counted and there is not None and set(cells) <= set(there.cells)
        if there is not None and counted:
            gold, predicted, correct = there.of(None if category == ALL else category)
            places = [there.cells.index(cell) for cell in cells]
            rng = np.random.default_rng(zlib.crc32(str(target).encode()))
            weights = seed_means.sentence_weights(len(gold), resamples, rng)
            resampled = seed_means.resampled_f1(gold, predicted[places], correct[places], weights)
        else:
            resampled, counted = np.tile(f1, (2, 1)), False
        sample = Sample(cells, configurations, shown, f1, resampled, index, counted, None, frozenset(dropped), fixed)
        found[str(target)] = sample
    return _moderated(found, {(start, source) for start, source, _ in far_weaker(chosen)})


def far_weaker(scores: pd.DataFrame) -> list[Place]:
    """The (start, source, seed) that learnt far less than others, whose variance says nothing of these.

    ``scores``: F1 by target in one category. `analysis.transfer.verdicts.collapsed` decides what is not used at all.
    These are the cells whose best F1 over targets is below `FAR_WEAKER` of that of the best seed of the same start and
    source, or of the median cell's, for all seeds of a configuration may collapse.
    """
    best = scores.groupby(["start", "source", "seed"])[F1].max()
    siblings = best.groupby(["start", "source"]).transform("max")
    return list(best.index[best < FAR_WEAKER * siblings.clip(lower=best.median())])


def _moderated(found: dict[str, Sample], apart: Collection[tuple[str, str]]) -> dict[str, Sample]:
    """The samples with ``pooled`` variances where seeds are few, but for the configurations in ``apart``."""
    few = {target: np.bincount(sample.configuration) for target, sample in sorted(found.items())}
    if not any(((seeds > 1) & (seeds < moderation.FEW_SEEDS)).any() for seeds in few.values()):
        return found
    means = {target: found[target].means for target in few}
    usual = {target: np.array([place not in apart for place in found[target].configurations]) for target in few}
    variance, seeds, mean = (
        np.concatenate([getattr(means[target], name)[usual[target]] for target in few])
        for name in ("seed_variance", "seeds", "mean")
    )
    prior = moderation.fit(variance, seeds, mean)
    if prior is None:
        return found
    done = {}
    for target, one in means.items():
        variances, freedom = prior.moderated(one.seed_variance, one.seeds, one.mean)
        some = usual[target] & (one.seeds > 1) & (one.seeds < moderation.FEW_SEEDS) & (one.mean > 0) & (one.mean < 1)
        pooled = np.where(some, variances, one.seed_variance), np.where(some, freedom, one.freedom)
        done[target] = replace(found[target], pooled=pooled)
    return {target: done[target] for target in found}


def intervals(found: Mapping[str, Sample]) -> pd.DataFrame:
    """Mean F1 of every start, source and target with its 95 % interval; NaN limits where nothing varies.

    ``moderated``: its variance over seeds is moderated by those of other configurations (`samples`).
    """
    rows = []
    for target, sample in found.items():
        means = sample.means
        low, high = seed_means.mean_intervals(means)
        low, high = np.minimum(low, means.mean), np.maximum(high, means.mean)  # not to be apart by rounding
        for i in sample.shown:
            start, source = sample.configurations[i]
            known = sample.sentences_vary or means.seeds[i] > 1
            limits = (100 * low[i], 100 * high[i]) if known else (np.nan, np.nan)
            moderated = bool(means.freedom[i] > means.seeds[i] - 1 and means.seeds[i] > 1)
            seeds = int(means.seeds[i])
            rows.append((start, source, target, 100 * means.mean[i], seeds, *limits, sample.sentences_vary, moderated))
    return pd.DataFrame(rows, columns=INTERVAL_COLUMNS)


def differences(found: Mapping[str, Sample], reference: str = BASE) -> pd.DataFrame:
    """Every start less the reference on the same source and target, in points, with interval and p.

    ``p_holm`` corrects over all of them: starts, sources and targets. No interval and no p where ``untested`` says why:
    `ONE_SEED` of a side, or `NOTHING_VARIES` (always the same predictions, say, or 0 and 1 alone).
    """
    rows = []
    for target, sample in found.items():
        places = {configuration: i for i, configuration in enumerate(sample.configurations)}
        pairs = [
            (i, places[reference, source])
            for i in sample.shown
            for start, source in [sample.configurations[i]]
            if start != reference and (reference, source) in places
        ]
        if not pairs:
            continue
        first, second = zip(*pairs, strict=True)
        means = sample.means
        there = comparison.differences(means, first, second)
        for k, (i, j) in enumerate(pairs):
            about = tested(there, k, bool(means.known[i] and means.known[j]))
            rows.append((*sample.configurations[i], target, *about))
    table = pd.DataFrame(rows, columns=[name for name in DIFFERENCE_COLUMNS if name != "p_holm"])
    return table.assign(p_holm=comparison.holm(table["p"].astype(float)))[DIFFERENCE_COLUMNS]


def tested(there: Differences, k: int, known: bool) -> tuple[float, float, float, float, str]:
    """Estimate and limits in points, p, and why there are no limits and no p.

    ``known``: whether it is known how the seeds of both sides vary."""
    estimate = 100 * there.estimate[k]
    if not known:  # it is not known how a single one varies
        return estimate, np.nan, np.nan, np.nan, ONE_SEED
    p = there.p[k]
    return estimate, 100 * there.low[k], 100 * there.high[k], p, NOTHING_VARIES if np.isnan(p) else ""


def start_averages(
    found: Mapping[str, Sample], starts: Sequence[str], pairs: Collection[tuple[str, str]], reference: str = BASE
) -> pd.DataFrame:
    """Mean F1 of every start over the same ``pairs`` of source and target with its 95 % interval, and less the
    reference's, in percent and points.

    The score of a seed is its mean over all pairs; a seed that lacks one is left out, a start without a whole seed has
    NaN (but see `weighted_averages` of cells that collapsed). Seeds and sentences vary, languages do not: nothing is
    said of other sources and targets. ``p_holm`` corrects over the starts; ``untested`` as in `differences`.
    """
    there = weighted_averages(found, {start: {(start, *pair): 1 for pair in pairs} for start in starts})
    means = intervals(there)[["start", "f1", "low", "high", "n_seeds"]]
    apart = differences(there, reference)[["start", "difference", "low", "high", "p", "untested"]]
    apart = apart.rename(columns={"low": "difference_low", "high": "difference_high"})
    table = pd.DataFrame({"start": pd.Series(list(starts), dtype=object), "n_pairs": len(pairs)})
    table = table.merge(means, "left").merge(apart, "left")
    counted = {"n_seeds": table["n_seeds"].fillna(0).astype(int), "untested": table["untested"].fillna("")}
    return table.assign(**counted, p_holm=comparison.holm(table["p"].astype(float)))[START_COLUMNS]


def weighted_averages(found: Mapping[str, Sample], groups: Mapping[str, Mapping[Scored, int]]) -> dict[str, Sample]:
    """One sample, of target ``""``: its configurations are (name of a group, ``""``), a cell is a seed of a group, and
    its F1 the mean over the group's scores, each as often as its number says. A seed that lacks one is left out.

    Not so where a cell collapsed (``dropped``): the mean over the other seeds of its configuration stands in its place,
    so the average is that of the configurations' means, each over its own seeds. With fewer than
    `moderation.FEW_SEEDS` seeds, and where a cell collapsed, the variance of a group is put together from those of its
    configurations (``pooled``), whose seeds are independent: so it has more degrees of freedom.
    """
    chosen = {
        target: found[target] for target in sorted({place[2] for one in groups.values() for place in one} & set(found))
    }
    resamples = max((len(sample.resampled) for sample in chosen.values()), default=0)
    sums: dict[tuple[str, int], list] = {}  # number of scores, F1, F1 in every resample
    parts: dict[str, dict[tuple[str, str], Counter[int]]] = {name: {} for name in groups}  # F1, measured alone
    filled = set()  # groups with a cell that collapsed
    every = {name: _seeds(chosen, group) for name, group in groups.items()}
    for target, sample in chosen.items():
        places = {place: i for i, place in enumerate(sample.cells)}
        for name, group in groups.items():
            for (start, source, other), n in group.items():
                if other != target:
                    continue
                there = [places[start, source, seed] for seed in every[name] if (start, source, seed) in places]
                for seed in every[name] if there else ():
                    own = [places[start, source, seed]] if (start, source, seed) in places else []
                    if own:
                        parts[name].setdefault((start, source), Counter())[seed] += n * sample.f1[own[0]]
                    elif (start, source, seed) in sample.dropped:
                        filled.add(name)
                    else:
                        continue  # missing
                    f1 = sample.f1[own or there].mean()
                    drawn = (
                        sample.resampled[:, own or there].mean(axis=1)
                        if sample.sentences_vary
                        else np.full(resamples, f1)
                    )
                    before = sums.get((name, seed), (0, 0.0, 0.0))
                    sums[name, seed] = [a + n * b for a, b in zip(before, (1, f1, drawn), strict=True)]
    sizes = {name: sum(group.values()) for name, group in groups.items()}
    whole = sorted(cell for cell, (n, _, _) in sums.items() if n == sizes[cell[0]])
    if not whole:
        return {}
    there_are = sorted({name for name, _ in whole})
    over = np.array([sizes[name] for name, _ in whole])
    f1, resampled = (np.stack([sums[cell][k] for cell in whole], axis=-1) / over for k in (1, 2))
    index = np.array([there_are.index(name) for name, _ in whole])
    vary = any(sample.sentences_vary for sample in chosen.values())
    seeds = {name: [seed for other, seed in whole if other == name] for name in there_are}
    pooled = None
    if filled or any(1 < len(one) < moderation.FEW_SEEDS for one in seeds.values()):
        together = [_together(parts[name].values(), seeds[name], sizes[name], name in filled) for name in there_are]
        pooled = np.array([variance for variance, _ in together]), np.array([freedom for _, freedom in together])
    cells, configurations = [(name, "", seed) for name, seed in whole], [(name, "") for name in there_are]
    seedless = {one for sample in chosen.values() for one in sample.fixed}
    fixed = frozenset((name, "") for name in there_are if {place[:2] for place in groups[name]} <= seedless)
    shown = list(range(len(there_are)))
    return {"": Sample(cells, configurations, shown, f1, resampled, index, vary, pooled, frozenset(), fixed)}


def _seeds(found: Mapping[str, Sample], group: Mapping[Scored, int]) -> list[int]:
    """Every seed that a score of the group has."""
    seeds = {
        seed
        for target, sample in found.items()
        for start, source, seed in sample.cells
        if (start, source, target) in group
    }
    return sorted(seeds)


def _together(
    parts: Collection[Mapping[int, float]], seeds: Sequence[int], size: int, filled: bool = False
) -> tuple[float, float]:
    """Variance over seeds of the mean of ``size`` scores, and its degrees of freedom.

    Those of Satterthwaite (1946), with squares of variances less their error: the square of a variance with n degrees
    of freedom is too large by 2 / n on average, which at 2 seeds would leave a third of the degrees of freedom.
    ``parts``: by configuration the sums of its scores, by seed; of a single one they are those of its seeds.
    ``filled``: some configurations lack some of the seeds; their means are over fewer.
    """
    if len(seeds) < 2:
        return 0.0, 1.0
    own = [[part[seed] for seed in seeds if seed in part] for part in parts]
    if not filled and (len(seeds) >= moderation.FEW_SEEDS or not any(np.ptp(values) for values in own)):
        total = [sum(part[seed] for part in parts) / size for seed in seeds]
        return float(np.var(total, ddof=1)), len(seeds) - 1.0
    several = [values for values in own if len(values) > 1]
    usual = float(np.mean([np.var(values, ddof=1) for values in several])) if several else 0.0
    variances = np.array(
        [(np.var(values, ddof=1) if len(values) > 1 else usual) * len(seeds) / len(values) for values in own]
    )
    variances /= size**2
    if not variances.any():
        return 0.0, len(seeds) - 1.0
    freedom = (len(seeds) + 1) * variances.sum() ** 2 / (variances**2).sum() - 2
    return float(variances.sum()), float(max(freedom, len(seeds) - 1))


def source_ranks(found: Mapping[str, Sample], starts: Sequence[str]) -> pd.DataFrame:
    """How often every source is the best zero-shot one of a target, and the 95 % interval of its rank, by start.

    ``seeds_vary`` is False where a source has one seed: how that one varies is not known, so ranks of the target are
    as if it did not, and look surer than they are.
    """
    rows = []
    for target, sample in found.items():
        rng = np.random.default_rng(zlib.crc32(f"ranks {target}".encode()))
        means = sample.means
        seeds = means.seeds
        if not sample.sentences_vary and seeds.max() < 2:
            continue  # nothing varies
        if not sample.sentences_vary:
            means = replace(means, resampled=np.tile(means.mean, (RESAMPLES, 1)))
        drawn = ranks_of_sources.resampled_means(means, rng)
        for start in starts:
            named = [(i, *sample.configurations[i]) for i in sample.shown]
            rivals = [i for i, name, source in named if name == start and is_zero_shot(source, target)]
            if len(rivals) < 2 or len(drawn) < RESAMPLES // 10:
                continue
            names = [sample.configurations[i][1] for i in rivals]
            table = ranks_of_sources.rank_stability(drawn[:, rivals], names)
            vary = bool((seeds[rivals] > 1).all())
            rows += [(start, target, name, *values, vary) for name, values in zip(names, table.to_numpy(), strict=True)]
    return pd.DataFrame(rows, columns=RANK_COLUMNS)


def by_seeds(ranks: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The ranks of `source_ranks` where all sources have several seeds; of how many targets they have not."""
    vary = ranks["seeds_vary"].astype(bool)
    return ranks[vary], len(ranks.loc[~vary, ["start", "target"]].drop_duplicates())


def rank_agreement(cubes: Mapping[str, Cube]) -> pd.DataFrame:
    """How alike single seeds rank the zero-shot sources of a target: mean Kendall tau-b, by start and target."""
    rows = []
    for start, cube in cubes.items():
        for column, target in enumerate(cube.targets):
            rivals = [i for i, source in enumerate(cube.sources) if is_zero_shot(source, target)]
            if len(rivals) > 1:
                rows.append((start, target, ranks_of_sources.seed_rank_agreement(cube.values[:, rivals, column])))
    return pd.DataFrame(rows, columns=["start", "target", "kendall_tau_b"])


def seeds_needed(cubes: Mapping[str, Cube], found: Mapping[str, Sample]) -> pd.DataFrame:
    """How many seeds a difference of 1, 2, 3 or 5 points of F1 would need, and what the test sets allow at best.

    By start and setting, for two configurations on one target. ``sd``: root mean variance over seeds of single scores.
    ``seeds_for_*_points``: for a power of 0.8 at 0.05 if test sentences did not vary. ``sentence_sd``: root mean
    variance, over test sentences, of differences to other configurations of the setting, without what comes from
    seeds; NaN where no target has counts by sentence. ``power_for_*_points``: of that many seeds with it,
    ``most_power_for_*_points``: of any number of seeds. ``smallest_difference``: what any number of seeds finds with a
    power of 0.8.
    """
    rows = []
    apart = {setting: _over_sentences(found, setting) for setting in matrices.SETTINGS}
    points = np.array(POINTS, float)
    for start, cube in cubes.items():
        for setting, of in matrices.SETTINGS.items():
            pairs = set(of(cube))
            places = np.array([[(s, t) in pairs for t in cube.targets] for s in cube.sources], bool)
            places = places.reshape(cube.values.shape[1:])
            values = cube.values[:, places]
            enough = np.sum(~np.isnan(values), axis=0) > 1
            if enough.any():
                sd = float(np.sqrt(np.nanmean(np.nanvar(values[:, enough], axis=0, ddof=1))))
                shared = apart[setting].get(start, np.nan)
                seeds = power_of_seeds.seeds_needed(sd, points)
                reached = power_of_seeds.power(sd, shared, points, seeds)
                most = power_of_seeds.power(sd, shared, points, np.inf)
                least = float(power_of_seeds.smallest_difference(shared))
                rows.append((start, setting, sd, shared, least, *np.stack([seeds, reached, most], axis=1).ravel()))
    return pd.DataFrame(rows, columns=SEEDS_COLUMNS)


def _over_sentences(found: Mapping[str, Sample], setting: str) -> dict[str, float]:
    """By start the root mean variance, over test sentences, of its differences to all others on a target, in points.

    What the resamples of a mean of n seeds do not share, and more seeds would make small, is taken off.
    """
    squares: dict[str, list[float]] = {}
    for target, sample in found.items():
        inside = [
            i for i, (_, source) in enumerate(sample.configurations)
            if (source == target if setting == IN_LANGUAGE else is_zero_shot(source, target))
        ]  # fmt: skip
        if not sample.sentences_vary or len(inside) < 2:
            continue
        means = sample.means
        covariance = np.cov(means.resampled[:, inside], rowvar=False)
        own = (means.own_variance / means.seeds)[inside]
        variance = np.diag(covariance) - own
        between = np.maximum(variance[:, None] + variance - 2 * (covariance - np.diag(np.diag(covariance))), 0)
        for i, place in enumerate(inside):
            others = np.delete(between[i], i)
            squares.setdefault(sample.configurations[place][0], []).extend(others[~np.isnan(others)])
    return {start: 100 * float(np.sqrt(np.mean(values))) for start, values in squares.items() if values}


def mixed_model(frame: pd.DataFrame, split: str = "test") -> mixed_models.MixedModel:
    """`mixed_model.mixed_model` of the mean over seeds of every start, source and target; not of several as one."""
    chosen = frame[
        (frame["split"] == split) & (frame["category"] == ALL) & frame["source"].map(is_language).astype(bool)
    ]
    means = chosen.groupby(["start", "source", "target"], sort=False)[F1].mean().mul(100).rename("f1").reset_index()
    return mixed_models.mixed_model(means)
