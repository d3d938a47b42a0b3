"""The answer of a study in a few sentences and numbers: which start, which source, why, how sure. Pure."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.report.html.page_data import Tile
from analysis.report.sections import answer
from analysis.report.study_analysis import Computed
from analysis.statistics import tables
from analysis.statistics.tables import listing, number, p_text
from analysis.transfer import association, inference, matrices
from analysis.transfer.matrices import Average
from analysis.transfer.pretraining import SIGNIFICANT
from nertransfer.core.grid import BASE, OWN, is_zero_shot
from nertransfer.core.text import count


def _with_interval(average: Average, limits: str) -> str:
    return f"{number(average.mean)} %" + (f" (95 % interval {limits})" if limits else "")


def _limits(averages: pd.DataFrame, start: str) -> str:
    """The 95 % interval of a start's mean, of `inference.start_averages`; nothing where there is none."""
    row = averages[averages["start"] == start].reindex(columns=["low", "high"])
    if not len(row) or row.isna().any(axis=None):
        return ""
    return f"{number(float(row['low'].iloc[0]))} to {number(float(row['high'].iloc[0]))}"


def _averages(computed: Computed) -> dict[str, tuple[Average, Average]]:
    """Mean zero-shot and in-language F1 of the starts that are compared, over the pairs that all of them have.

    Of the reference alone where no zero-shot pair is in all: means over different pairs do not compare.
    """
    cubes = {view.name: computed.cubes[view.name] for view in computed.starts}
    if computed.reference in cubes and not matrices.common(cubes.values(), matrices.zero_shot):
        cubes = {computed.reference: cubes[computed.reference]}
    zero_shot, in_language = (
        matrices.common(cubes.values(), pairs) for pairs in (matrices.zero_shot, matrices.in_language)
    )
    if len(cubes) < 2:
        return {
            name: (matrices.pair_average(cube, zero_shot), matrices.pair_average(cube, in_language))
            for name, cube in cubes.items()
        }
    apart, own = computed.start_averages, computed.in_language_averages
    return {name: (_of_table(apart, name, len(zero_shot)), _of_table(own, name, len(in_language))) for name in cubes}


def _of_table(averages: pd.DataFrame, start: str, pairs: int) -> Average:
    """A start's mean, of `inference.start_averages`."""
    row = averages[averages["start"] == start]
    if not len(row) or not pairs:
        return Average(float("nan"), float("nan"), 0, pairs)
    return Average(float(row["f1"].iloc[0]), float("nan"), int(row["n_seeds"].iloc[0]), pairs)


def tiles(computed: Computed) -> list[Tile]:
    averages = _averages(computed)
    kind = 0 if computed.setting == matrices.ZERO_SHOT else 1
    known = {name: pair[kind] for name, pair in averages.items() if pair[kind].n}
    best = max(known, key=lambda name: known[name].mean, default=None)
    shown = [computed.reference] + ([best] if best not in (None, computed.reference) else [])
    tiles = []
    for name in [name for name in shown if name in averages]:
        intervals = (computed.start_averages, computed.in_language_averages)
        for average, what, table in zip(
            averages[name], (matrices.ZERO_SHOT, matrices.IN_LANGUAGE), intervals, strict=True
        ):
            if average.pairs and (kind == 0 or what == matrices.IN_LANGUAGE):
                over = count(average.n, "seed") if average.n else "scores missing"
                label = f"mean {what} F1 from {name}, {count(average.pairs, 'pair')}, {over}"
                tiles.append(
                    Tile(f"{number(average.mean)} %" if average.n else tables.MISSING, label, _limits(table, name))
                )
    return tiles


def summary(computed: Computed) -> list[str]:
    """The answer in a few sentences, each with its numbers."""
    return [
        text
        for text in (
            _which_start(computed),
            _which_source(computed),
            answer.adaptation(computed),
            _own_start(computed),
            _why(computed),
            _how_sure(computed),
        )
        if text
    ]


def _which_start(computed: Computed) -> str:
    """Which start has the highest mean zero-shot F1, or in-language F1 where nothing else was scored."""
    kind = 0 if computed.setting == matrices.ZERO_SHOT else 1
    every = {name: pair[kind] for name, pair in _averages(computed).items() if pair[kind].pairs}
    averages = {name: average for name, average in every.items() if average.n}
    left_out = [name for name in every if name not in averages]
    texts = [_compared_starts(computed, averages)] if averages else []
    texts += [f"{listing(left_out)} not compared: scores missing."] if left_out else []
    apart = [view.name for view in computed.starts if view.name not in every] if every else []
    texts += [f"{listing(apart)} not compared: no source and target that all starts have."] if apart else []
    return f"Which start: {' '.join(texts)}" if texts else ""


def _compared_starts(computed: Computed, averages: Mapping[str, Average]) -> str:
    """Which start has the highest mean; of a single one its mean alone."""
    best = max(averages, key=lambda name: averages[name].mean)
    zero_shot = computed.setting == matrices.ZERO_SHOT
    table = computed.start_averages if zero_shot else computed.in_language_averages
    f1, limits = f"mean {computed.setting} F1", _limits(table, best)
    if len(averages) < 2:
        return f"{best} has a {f1} of {_with_interval(averages[best], limits)}."
    equal = [name for name in averages if averages[name].mean == averages[best].mean]
    if len(equal) > 1:
        others = [f"{name} {number(averages[name].mean)} %" for name in averages if name not in equal]
        before = f", before {listing(others)}" if others else ""
        return f"{listing(equal)} have the same {f1}, {number(averages[best].mean)} %{before}."
    text = f"{best} has the highest {f1}, {_with_interval(averages[best], limits)}"
    pairs = averages[best].pairs
    if any(len(matrices.SETTINGS[computed.setting](computed.cubes[name])) > pairs for name in averages):
        text += f" over the {count(pairs, 'pair')} that all starts have"
    reference = averages.get(computed.reference)
    if len(computed.start_pairs):  # there is no start that all are compared with by name
        return text + _before(computed, best, averages)
    if reference is None:
        return text + "."
    p = table.set_index("start")["p_holm"]
    known = bool(p.notna().any())
    by = f" p: {computed.test}{', Holm' if p.notna().sum() > 1 else ''}; other languages may differ." if known else ""
    if best == computed.reference:
        others = [f"{name} {number(averages[name].mean)} %{_in_brackets(p[name])}" for name in averages if name != best]
        return f"{text}, before {listing(others)}.{by}"
    places = zip(computed.differences["source"], computed.differences["target"], strict=True)
    of_setting = np.array([is_zero_shot(source, target) == zero_shot for source, target in places], dtype=bool)
    rows = computed.differences[(computed.differences["start"] == best) & of_setting]
    better, worse = (int(((rows["p_holm"] < SIGNIFICANT) & (sign * rows["difference"] > 0)).sum()) for sign in (1, -1))
    apart = number(averages[best].mean - reference.mean, 1, True)
    text += f", {apart} points from {computed.reference}{_in_brackets(p[best])}.{by}"
    if tested := int(rows["p_holm"].notna().sum()):
        text += (
            f" Of {count(tested, 'pair')} of source and target it is significantly better in {better} and worse in "
            f"{worse} (Holm over all differences from {computed.reference} in the study)."
        )
    return text + _untested(rows["untested"], "pair")


def _before(computed: Computed, best: str, averages: Mapping[str, Average]) -> str:
    """The other starts with the p of their difference from the best, corrected over all pairs of starts."""
    pairs = computed.start_pairs
    p = {frozenset((row.first, row.second)): row.p_holm for row in pairs.itertuples()}
    others = [
        f"{name} {number(averages[name].mean)} %{_in_brackets(p.get(frozenset((best, name)), float('nan')))}"
        for name in sorted(averages, key=lambda name: -averages[name].mean)
        if name != best
    ]
    by = f" p: {computed.test}, Holm over all pairs of starts; other languages may differ."
    return f", before {listing(others)}.{by if pairs['p'].notna().any() else ''}"


def _in_brackets(p: float) -> str:
    return f" ({p_text(p)})" if p == p else ""


def _untested(reasons: pd.Series, noun: str) -> str:
    """How many have no p, and why, from the ``untested`` of `inference.differences`; nothing where all have one."""
    numbers = reasons[reasons != ""].value_counts(sort=False)
    return "".join(
        f" {left} of {count(len(reasons), noun)} {'is' if left == 1 else 'are'} not tested: {reason}."
        for reason, left in numbers.items()
    )


def _which_source(computed: Computed) -> str:
    rows = computed.best[computed.best["start"] == computed.reference]
    if not len(rows):
        return ""
    missing = rows.loc[rows["sources_missing"] > 0, "target"]
    tied = int((rows["difference"] == 0).sum())
    wins = rows.loc[rows["difference"] != 0, "best_source"].value_counts()
    told = 4 if len(wins) == 4 else 3  # the last of four is no "others"
    others = [f"others for {wins.iloc[told:].sum()}"] if len(wins) > told else []
    several = [f"shared by several for {tied}"] if tied else []
    first = listing([f"{name} for {n}" for name, n in wins.head(told).items()] + others + several)
    ranks = computed.ranks[(computed.ranks["start"] == computed.reference) & ~computed.ranks["target"].isin(missing)]
    known, unknown = inference.by_seeds(ranks)
    best = known.groupby("target")["best_probability"].max()
    sure = (
        f" In {int((best >= 0.95).sum())} of {len(best)} targets that is sure (95 %), {computed.interval}."
        if len(best)
        else ""
    )
    # of two sources each target has one: there is no runner-up
    lead = rows.loc[rows["difference"] != 0, "difference"].median()
    ahead = f"; it leads the runner-up by {number(lead)} points (median)" if pd.notna(lead) else ""
    sure += f" In {count(unknown, 'target')} a source has one seed: how sure that is is not known." if unknown else ""
    sure += f" In {count(len(missing), 'target')} a source lacks scores and may be the best." if len(missing) else ""
    return (
        f"Which source: from {computed.reference}, the best zero-shot source is {first} of "
        f"{count(len(rows), 'target')}{ahead}.{sure}"
    )


def _own_start(computed: Computed) -> str:
    if computed.reference != BASE or OWN not in computed.roles:
        return ""
    rows = computed.pretraining[(computed.pretraining["role"] == OWN) & computed.pretraining["difference"].notna()]
    if not len(rows):
        return ""
    better = rows[rows["difference"] > 0]
    sure, tested = int((rows["p_holm"] < SIGNIFICANT).sum()), int(rows["p_holm"].notna().sum())
    text = (
        f"Pre-training: fine-tuned and scored on one language, the start adapted to it is better than {BASE} in "
        f"{len(better)} of {count(len(rows), 'language')}, by {number(rows['difference'].mean(), 1, True)} points on "
        "average."
    )
    if tested:
        text += f" {sure} of {count(tested, 'difference')} {'is' if sure == 1 else 'are'} significant"
        text += f" ({computed.test}, Holm)."
    own = computed.differences[computed.differences["start"] == computed.differences["source"]]
    return text + _untested(own.loc[own["source"] == own["target"], "untested"], "difference")


def _why(computed: Computed) -> str:
    if computed.overlap is None or not len(computed.overlap.points):
        return ""
    rows = computed.overlap.associations
    first = computed.overlap.points["matrix"].iloc[0]
    chosen = rows[(rows["matrix"] == first) & (rows["measure"] == computed.overlap.measure)].set_index("method")
    row = chosen.loc["Spearman"]
    if row["r"] != row["r"]:
        return ""
    sure = row["p"] < SIGNIFICANT
    goes = ("goes with" if row["r"] > 0 else "is lower with") if sure else "goes with"
    within = chosen.loc[association.WITHIN]
    apart = ""
    if within["r"] == within["r"]:
        apart = (
            f" With the effects of source and target removed, r = {number(within['r'], 2)} "
            f"({p_text(within['p'])}): only this says something about which source to choose."
        )
    return (
        f"Why: {'' if sure else 'no sign that '}zero-shot F1 from {first} {goes} the share of the target's entity "
        f"tokens that the source's train split has, Spearman r = {number(row['r'], 2)} ({p_text(row['p'])} by "
        f"permuting languages; {p_text(row['naive_p'])} if the {int(row['dyads'])} pairs were independent, which they "
        f"are not).{apart} Other measures of overlap are exploratory."
    )


def _how_sure(computed: Computed) -> str:
    rows = computed.seeds[(computed.seeds["start"] == computed.reference) & (computed.seeds["setting"] == "zero-shot")]
    if not len(rows):
        return ""
    row = rows.iloc[0]
    text = (
        f"How sure: a zero-shot score from {computed.reference} varies by {number(row['sd'])} points (sd) from seed to "
        "seed."
    )
    shown = [d for d in (2, 5) if np.isfinite(row[f"seeds_for_{d}_points"])]
    seeds = [f"{int(row[f'seeds_for_{d}_points'])} seeds for {d}" for d in shown]
    if np.isnan(row["sentence_sd"]):
        needed = f" A single comparison would need {listing(seeds)} points of F1 (power 80 %)" if seeds else ""
        needed += " if test sentences did not vary." if seeds else ""
        return f"{text}{needed} How much they do is not known here: scores came without counts by sentence."
    powers = [
        f"{int(row[f'seeds_for_{d}_points'])} seeds find {d} points with a probability of "
        f"{number(100 * row[f'power_for_{d}_points'], 0)} %, any number of seeds with "
        f"{number(100 * row[f'most_power_for_{d}_points'], 0)} %"
        for d in shown
    ]
    found = f" In a single comparison {'; '.join(powers)}." if powers else ""
    return (
        f"{text}{found} With any number of seeds the smallest difference that these test sets show (power 80 %) is "
        f"{number(row['smallest_difference'])} points."
    )
