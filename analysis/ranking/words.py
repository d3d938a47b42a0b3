"""A ranking in words and tables, to be printed. Pure."""

import math

import pandas as pd

from analysis.ranking import judging, rankers
from analysis.ranking.configurations import Adapting, Trial
from analysis.ranking.expectation import Widening
from analysis.ranking.features import MEAN_TRANSFER
from analysis.ranking.judging import ABOVE_AVERAGE, NESTED, NO_RANKERS, Judged
from analysis.ranking.pairs import Pairs
from analysis.statistics.tables import MISSING, listing, number
from nertransfer.core.text import aligned, count

LISTED = 10
"""Configurations that are printed; the file has all."""


def ranking(table: pd.DataFrame, starts: bool, adapting: Adapting | None = None) -> str:
    """The table of a ranking as aligned text; ``starts``: with the column of starts. Last, without a place, the pair
    that ``adapting`` a start would give."""
    measured = ["measured"] if "measured_f1" in table else []
    shown = table.head(LISTED) if starts else table
    places = table["place"].value_counts()
    starts = starts or adapting is not None
    lines = [["", *(["start"] if starts else []), "source", "F1", "95 %", "regret", "95 %", *measured, "because"]]
    rows = shown.to_dict("records")
    if adapting is not None:
        rows.append({"place": "new"} | dict.fromkeys(table.columns[1:], math.nan) | adapting.row(table))
    for row in rows:
        lines.append(
            [f"{row['place']}{'=' if places.get(row['place'], 0) > 1 else ''}", *([row["start"]] if starts else [])]
            + [row["source"], number(row["expected_f1"]), limits(row["f1_low"], row["f1_high"])]
            + [number(row["expected_regret"]), limits(row["regret_low"], row["regret_high"])]
            + [number(row["measured_f1"]) for _ in measured]
            + [row["because"]]
        )
    text = aligned(lines, {1, *([2] if starts else []), len(lines[0]) - 1})
    if len(shown) < len(table):
        text += f"\n({len(shown)} of {len(table)} pairs; the file has all)"
    return text


def legend(table: pd.DataFrame, target: str, ranker: str) -> str:
    """What ``because`` is relative to."""
    rows = "pairs" if table["start"].nunique() > 1 else "sources"
    if ABOVE_AVERAGE in table:
        mean = table["expected_f1"].mean()
        return (
            f"because: points of F1 above or below the average of the {len(table)} {rows} for {target} (expected F1 "
            f"{number(mean)}), by term of the model."
        )
    if not rankers.RANKERS[ranker].needs:
        return f"because: contributions to the score of {ranker}, relative to the average of the {len(table)} {rows}."
    return ""


def trust(widened: Widening) -> str:
    """By how much intervals were widened, and how often they then held what they should, when targets were left out."""
    wider = [f"{what} by {number(k, 2)}" for what, k in (("F1", widened.f1), ("regret", widened.regret)) if k > 1.005]
    text = f"The 95 % intervals are widened ({', '.join(wider)}) to hold 95 % of what was left out. " if wider else ""
    if not widened.cases:
        return f"{text}There are too few targets to measure the coverage of the 95 % intervals."
    return (
        f"{text}Measured coverage of the 95 % intervals: {number(100 * widened.f1_held, 0)} % for F1 and "
        f"{number(100 * widened.regret_held, 0)} % for regret ({widened.cases} pairs on "
        f"{count(widened.targets, 'target')}; for each target, errors and widening come from the other targets alone)."
    )


def judged(found: Judged) -> str:
    lines = [["", "regret", "95 %", "best of 3", "NDCG@3", "linear", "tau-b", ""]]
    for row in found.table.to_dict("records"):
        lines.append(
            [row["ranker"], number(row["regret"]), limits(row["regret_low"], row["regret_high"])]
            + [number(row["regret_top3"])]
            + [number(row[name], 2) for name in ("ndcg3_exponential", "ndcg3_linear", "kendall_tau_b")]
            + [row["label"]]
        )
    return aligned(lines, {0, len(lines[0]) - 1})


def limits(low: float, high: float) -> str:
    return MISSING if math.isnan(low) else f"{number(low)} to {number(high)}"


def reliance(found: Judged, ranker: str) -> str:
    """The regret of the whole procedure, which knows nothing of the target, and why this ranker was taken."""
    table = found.table.set_index("ranker")
    nested = table.loc[NESTED]
    text = (
        "If the ranker, too, is chosen without the target, the mean regret is "
        f"{number(nested['regret'])} points over {count(int(nested['targets']), 'target')} "
        f"(95 %: {limits(nested['regret_low'], nested['regret_high'])}); "
        f"that of a random source is {number(table.loc['random', 'regret'])}."
    )
    if ranker != found.chosen:
        row = table.loc[ranker]
        return f"{text} That of {ranker} is {number(row['regret'])} ({limits(row['regret_low'], row['regret_high'])})."
    plain = table.drop(index=[ranker, *NO_RANKERS], errors="ignore")["regret"]
    if not len(plain):
        return text
    other = str(plain.idxmin())
    mean, low, high = judging.lead(found, ranker, other)
    more = "lower" if mean >= 0 else "higher"
    if mean < 0:
        mean, low, high = -mean, -high, -low
    sure = "" if low > 0 or high < 0 else ", which may be chance"
    return (
        f"{text} The ranker chosen is {ranker}; its regret is {number(mean)} points {more} than that of {other} "
        f"(95 %: {limits(low, high)}){sure}."
    )


def unused(rows: pd.DataFrame) -> str:
    """What of the study was not used (`recommendation.not_used`), and why; empty where all was."""
    lines = [f"  {row.start}-{row.source}{f', seed {row.seed}' if row.seed != '' else ''}: {row.reason}"
             for row in rows.itertuples()]  # fmt: skip
    return "\n".join(["Not used:", *lines]) if lines else ""


def configurations(trial: Trial) -> str:
    """The regret of ranking all configurations of the study."""
    rules = ("regret", "regret_average", "regret_random")
    model, average, chance = (trial.regret(rule) for rule in rules)
    told = [f"{number(mean)} ({limits(low, high)})" for mean, low, high in (model, average, chance)]
    return (
        "Mean regret of the pair of start and source that is ranked first, leaving out each of "
        f"{count(len(trial.table), 'target')} in turn (95 % interval): {told[0]} for the model, {told[1]} for the pair "
        f"that is best on average over the other targets, {told[2]} for a random pair."
        + (" So the model is no better here than the pair that is best on average." if model[0] >= average[0] else "")
    )


def adapting(found: Adapting | None) -> str:
    """The first pair compared with a start adapted to the target; empty where the study has no such starts."""
    if found is None:
        return ""
    mean, low, high = found.gain
    verdict = "is expected to help" if low > 0 else "may help" if mean > 0 else "is not expected to help"
    first, adapted = f"{found.start}-{found.source}", f"{found.target}-{found.adapted_source}"
    lines = [["target", "adapted", "F1", "ranked first", "F1", "gain"]]
    for row in found.gains.to_dict("records"):
        lines.append(
            [
                row["target"],
                f"{row['adapted_start']}-{row['adapted_source']}",
                number(row["adapted_f1"]),
                f"{row['first_start']}-{row['first_source']}",
                number(row["first_f1"]),
                number(row["gain"], 1, True),
            ]
        )
    text = (
        f"Adapting a start to {found.target} first {verdict}: {adapted} (a start adapted to text in {found.target}, "
        f"then fine-tuned on {found.adapted_source}) has an expected F1 of {number(found.adapted_f1[0])}, {first} "
        f"(ranked first) of {number(found.expected_f1)}. The difference of {number(mean, 1, True)} is the mean over "
        f"{count(len(found.gains), 'target')} with such a start (95 %: {limits(low, high)}; for a new target "
        f"{limits(*found.new)}), each ranked as if it were new:\n\n{aligned(lines, {0, 1, 3})}"
    )
    if not math.isnan(found.measured_f1):
        text += f"\n\nMeasured F1 of {adapted}: {number(found.measured_f1)}."
    return text


def unjudged(judged_: Judged, pairs: Pairs, ranker: str, too_few: str, asked_for: bool) -> list[str]:
    """Which ways to rank there are without scores to judge them by, and why this one was taken."""
    learning = listing([name for name, ranker in rankers.RANKERS.items() if not ranker.needs])
    words = f"Expected F1, regret and their intervals are unknown, and {learning} cannot learn: {too_few}."
    if MEAN_TRANSFER not in pairs.features:
        words += " The best source on average is unknown, too: no other target compares every source with another one."
    why = "was asked for" if asked_for else "is the simplest ranker that tells the sources apart"
    lines = [["", "order of the sources", ""]]
    for name in judged_.table["ranker"]:
        lines.append([name, judging.order_in_words(pairs, name), rankers.RANKERS[name].label])
    return [
        words,
        "Rankers that learn nothing, not judged (=: tied):",
        aligned(lines, {0, 1, 2}),
        f"{ranker} {why}; this study cannot tell how good it is.",
    ]
