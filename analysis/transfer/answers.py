"""The answer of a study: for every target the best start and source, and what adapting a start to it brings. Pure.

Percent and points.
"""

import math
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics import comparison, moderation, ranks, winner
from analysis.statistics.means import Means
from analysis.transfer import inference
from analysis.transfer.inference import Sample
from nertransfer.core.grid import BASE, Place, is_zero_shot
from nertransfer.core.schema import ALL, F1
from nertransfer.scoring.intervals import POINTS, interval

PAIR_COLUMNS = [
    "target", "start", "source", "f1", "expected_f1", "low", "high", "n_seeds", "best_probability",
    "runner_up_start", "runner_up_source", "runner_up_probability", "lead",
    "default_start", "default_source", "default_f1", "gain", "gain_low", "gain_high", "compared", "missing",
]  # fmt: skip
HELD_OUT_SEEDS = 3
"""With so many seeds the best pair is also chosen on all seeds but one."""
ADAPTED_COLUMNS = ["target", "source", "f1", "reference_f1", "difference", "low", "high", "p"]
START_PAIR_COLUMNS = ["first", "second", "difference", "difference_low", "difference_high", "p", "p_holm", "n_pairs"]
EVERY_SOURCE = "averaged over sources"
EFFECT_COLUMNS = ["source", "reference", "n_targets", "f1", "reference_f1", "difference", "low", "high", "p", "better"]


# --- the best start and source -----------------------------------------------------------------------------


def best_pairs(
    found: Mapping[str, Sample],
    planned: Sequence[tuple[str, str]],
    reference: str = BASE,
    fits: Callable[[str, str], bool] = is_zero_shot,
    without: Collection[tuple[str, str]] = (),
) -> pd.DataFrame:
    """One row a target: of all configurations the start and source with the highest mean F1; `PAIR_COLUMNS`.

    ``fits`` says which sources are tried for a target: those that are zero-shot. ``without`` these configurations:
    systems whose predictions were imported are no starts to fine-tune. ``f1`` is the mean that was measured, too high
    on average, as the highest of many; so are ``lead``, on the next best pair, and ``gain``, over the start
    ``reference`` with its own best source, the default (with the interval of a difference). ``expected_f1`` is not: the
    mean over the pair's seeds of the F1 that the configuration that is best on all other seeds has on this one; NaN
    below `HELD_OUT_SEEDS` seeds. ``low`` and ``high`` take the choice into account as well (`winner.best_of`; seeds and
    sentences vary, the variance over seeds is moderated by that of the study). ``best_probability``: the share of
    resamples in which the pair is the best; NaN where it or a rival has a single seed. ``compared`` configurations have
    scores, ``missing`` of the ``planned`` have none. The first of equal ones is named. NaN: not known.
    """
    rows = []
    known = _known_variances(found)
    for target, sample in found.items():
        means = known[target]
        names = sample.configurations
        tried = [i for i in sample.shown if fits(names[i][1], target) and names[i] not in without]
        if not tried:
            continue
        order = sorted(tried, key=lambda i: -means.mean[i])
        best, second = order[0], order[1] if len(order) > 1 else None
        default = next((i for i in order if sample.configurations[i][0] == reference), None)
        named = {sample.configurations[i] for i in tried}
        expected = _held_out(sample, best, tried)
        chance, chance_of_second = _best_probabilities(target, sample, means, order)
        rows.append(
            (target, *sample.configurations[best], 100 * means.mean[best], 100 * expected,
             *(100 * limit for limit in _interval(sample, means, order, expected)), int(means.seeds[best]), chance,
             *(sample.configurations[second] if second is not None else ("", "")), chance_of_second,
             100 * (means.mean[best] - means.mean[second]) if second is not None else math.nan,
             *(sample.configurations[default] if default is not None else ("", "")),
             100 * means.mean[default] if default is not None else math.nan,
             *_gain(sample.means, best, default), len(tried),
             sum(fits(source, target) and (start, source) not in named for start, source in planned))
        )  # fmt: skip
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def _known_variances(found: Mapping[str, Sample]) -> dict[str, Means]:
    """The means of every target with what is known of the variance over seeds, for any number of them.

    Moderated by that of the whole study (`moderation`); with too few configurations for that, the pooled one of the
    target's. Configurations with a seed that is `inference.far_weaker` keep their own, and do not count for what is
    usual.
    """
    every = {target: replace(sample, pooled=None).means for target, sample in found.items()}
    apart = {place[:2] for place in _far_weaker(found)}
    usual = {
        target: (means.seeds > 1) & [place not in apart for place in found[target].configurations]
        for target, means in every.items()
    }
    prior = None
    if every:
        prior = moderation.fit(
            *(
                np.concatenate([getattr(means, name)[usual[target]] for target, means in every.items()])
                for name in ("seed_variance", "seeds", "mean")
            )
        )
    known = {}
    for target, means in every.items():
        alike = usual[target]
        if not alike.any():
            known[target] = means
            continue
        if prior is not None:
            variance, freedom = prior.moderated(means.seed_variance, means.seeds, means.mean)
        else:
            own = (means.seeds - 1)[alike]
            variance = np.full(len(alike), float(own @ means.seed_variance[alike]) / own.sum())
            freedom = np.full(len(alike), float(own.sum()))
        known[target] = replace(
            means,
            seed_variance=np.where(alike, variance, means.seed_variance),
            freedom=np.where(alike, freedom, means.freedom),
        )
    return known


def _far_weaker(found: Mapping[str, Sample]) -> list[Place]:
    """The cells of the samples that are `inference.far_weaker`."""
    rows = [(*cell, f1) for sample in found.values() for cell, f1 in zip(sample.cells, sample.f1, strict=True)]
    return inference.far_weaker(pd.DataFrame(rows, columns=["start", "source", "seed", F1]))


def _interval(sample: Sample, means: Means, order: Sequence[int], expected: float) -> tuple[float, float]:
    """Limits of `winner.best_of` of the configurations, fractions; NaN where it is not known how they vary. They hold
    the F1 that is stated: ``expected``, or where that is NaN the mean."""
    seeds, freedom = means.seeds[order], math.inf
    nothing = math.nan, math.nan
    if not sample.sentences_vary and seeds[0] < 2:
        return nothing
    covariance = np.zeros((len(order), len(order)))
    if sample.sentences_vary:
        drawn = means.resampled[:, order]
        drawn = drawn[~np.isnan(drawn).any(axis=1)]
        if len(drawn) < 2:
            return nothing
        covariance = np.cov(drawn, rowvar=False, ddof=1).reshape(len(order), len(order))
    between = means.seed_variance[order] / seeds
    own = np.where(seeds > 1, means.own_variance[order], 0) / seeds
    np.fill_diagonal(covariance, between + np.maximum(np.diag(covariance) - own, 0))
    if between[0] > 0:  # Satterthwaite: sentences are many
        freedom = float(means.freedom[order[0]]) * (covariance[0, 0] / between[0]) ** 2
    best = winner.best_of(means.mean[order], covariance, freedom)
    stated = float(means.mean[order[0]]) if math.isnan(expected) else expected
    return max(min(best.low, stated), 0.0), min(max(best.high, stated), 1.0)


def _best_probabilities(target: str, sample: Sample, means: Means, order: Sequence[int]) -> tuple[float, float]:
    """How often the first and the second are the best where seeds and sentences vary."""
    if len(order) < 2 or not means.known[order].all():
        return math.nan, math.nan
    rng = np.random.default_rng(zlib.crc32(f"pairs {target}".encode()))
    if not sample.sentences_vary:
        means = replace(means, resampled=np.tile(means.mean, (inference.RESAMPLES, 1)))
    drawn = ranks.resampled_means(means, rng)[:, order]
    first, second = ranks.rank_stability(drawn, [str(i) for i in order])["best"].iloc[:2]
    return float(first), float(second)


def _held_out(sample: Sample, best: int, tried: Sequence[int]) -> float:
    """Mean over the seeds of ``best`` of the F1 on the seed of the configuration, of those that have it, that is best
    on its other seeds; a fraction."""
    cells = pd.DataFrame(sample.cells, columns=["start", "source", "seed"]).assign(
        f1=sample.f1, configuration=sample.configuration
    )
    table = cells.pivot(index="seed", columns="configuration", values="f1")[list(tried)]
    for i in tried:
        if sample.configurations[i] in sample.fixed:  # whatever the seed of the others
            table[i] = table[i].max()
    seeds = table.index[table[best].notna()]
    if len(seeds) < HELD_OUT_SEEDS:
        return math.nan
    scored = []
    for seed in seeds:
        others = table.drop(index=seed).mean()
        scored.append(table.at[seed, others[table.loc[seed].notna()].idxmax()])
    return float(np.mean(scored))


def _gain(means: Means, best: int, default: int | None) -> tuple[float, float, float]:
    """The best less the default, in points, with its interval; 0 and no interval where it is the default."""
    if default is None or best == default:
        return (math.nan if default is None else 0.0), math.nan, math.nan
    apart = comparison.differences(means, [best], [default])
    known = means.known[best] and means.known[default]
    limits = [100 * float(one[0]) if known else math.nan for one in (apart.low, apart.high)]
    return 100 * float(apart.estimate[0]), limits[0], limits[1]


# --- starts without a reference ------------------------------------------------------------------------------


def start_pairs(found: Mapping[str, Sample], starts: Sequence[str], pairs: Collection[tuple[str, str]]) -> pd.DataFrame:
    """Every two ``starts`` over the same ``pairs`` of source and target, first less second: `START_PAIR_COLUMNS`.

    As `inference.start_averages`; ``p_holm`` corrects over all pairs of starts.
    """
    rows = []
    for i, second in enumerate(starts[:-1]):
        table = inference.start_averages(found, starts[i:], pairs, second)
        others = table[table["start"] != second]
        rows.append(others.rename(columns={"start": "first"}).assign(second=second))
    joined = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=[*START_PAIR_COLUMNS, "untested"])
    if not len(joined):
        return pd.DataFrame(columns=START_PAIR_COLUMNS)
    return joined.assign(p_holm=comparison.holm(joined["p"].astype(float)))[START_PAIR_COLUMNS]


# --- adapting a start to the target --------------------------------------------------------------------------


def adapted_to_target(
    frame: pd.DataFrame, differences: pd.DataFrame, reference: str, split: str = "test"
) -> pd.DataFrame:
    """The start adapted to each target less the reference start, from the same sources, zero-shot: `ADAPTED_COLUMNS`.

    One row a target and source that both starts have, with the interval and p of ``differences``
    (`inference.differences`). None where ``reference`` has the name of a language, and so was adapted itself.
    """
    chosen = frame[(frame["split"] == split) & (frame["category"] == ALL)]
    if reference in {*chosen["target"], *chosen["source"]}:
        return pd.DataFrame(columns=ADAPTED_COLUMNS)
    means = chosen.groupby(["start", "source", "target"], sort=False)[F1].mean().mul(100)
    tests = differences.set_index(["start", "source", "target"])[["low", "high", "p"]]
    rows = []
    for start, source, target in means.index:
        if start == target and is_zero_shot(source, target) and (reference, source, target) in means.index:
            here, there = float(means[start, source, target]), float(means[reference, source, target])
            rows.append((target, source, here, there, here - there, *tests.loc[(start, source, target)]))
    return pd.DataFrame(rows, columns=ADAPTED_COLUMNS)


def adaptation_effect(pairs: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The mean over targets of `adapted_to_target`, with Student's t over targets, paired: `EFFECT_COLUMNS`.

    A row for every source with at least two targets, the one with the most first, and `EVERY_SOURCE` where there are
    others: the differences of a target are averaged over its sources then, for they share models and sentences. The
    interval and p speak of other targets than these, taken as a sample of them. ``better``: of how many targets the
    adapted start is.
    """
    several = pairs["source"].value_counts(sort=False)
    several = several[several > 1].sort_values(ascending=False, kind="stable")
    parts = [(str(source), pairs[pairs["source"] == source]) for source in several.index]
    if pairs["source"].nunique() > 1 or not parts:
        parts.append((EVERY_SOURCE, pairs))
    rows = [_effect(source, reference, part) for source, part in parts if len(part)]
    return pd.DataFrame(rows, columns=EFFECT_COLUMNS)


def from_source(source: str) -> str:
    """The source of a row of `adaptation_effect` in a sentence."""
    return source if source == EVERY_SOURCE else f"from {source}"


def _effect(source: str, reference: str, pairs: pd.DataFrame) -> tuple:
    by = pairs.groupby("target", sort=False)[["f1", "reference_f1", "difference"]].mean()
    values, n = by["difference"].to_numpy(float), len(by)
    low, high, p = math.nan, math.nan, math.nan
    if n > 1 and np.ptp(values) > 0:
        _, low, high = interval(values, -POINTS, POINTS)
        p = float(stats.ttest_1samp(values, 0).pvalue)
    means = by.mean()[["f1", "reference_f1", "difference"]]
    return (source, reference, n, *means, low, high, p, int((values > 0).sum()))
