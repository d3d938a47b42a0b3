"""A ranking in words and tables, to be printed. Pure."""

import math

import pandas as pd

from analysis.ranking import judging, rankers
from analysis.ranking.configurations import Trial
from analysis.ranking.expectation import Widening
from analysis.ranking.features import MEAN_TRANSFER
from analysis.ranking.judging import NESTED, NO_RANKERS, Judged
from analysis.ranking.pairs import Pairs
from analysis.statistics.tables import MISSING, listing, number
from nertransfer.core.text import aligned, count
from nertransfer.scoring.intervals import interval

LISTED = 10
"""Configurations that are printed; the file has all."""


def ranking(table: pd.DataFrame, starts: bool) -> str:
    """The table of a ranking as aligned text; ``starts``: with the column of starts."""
    measured = ["measured"] if "measured_f1" in table else []
    shown = table.head(LISTED) if starts else table
    lines = [["", *(["start"] if starts else []), "source", "F1", "95 %", "regret", "95 %", *measured, "because"]]
    places = table["place"].value_counts()
    for row in shown.to_dict("records"):
        lines.append(
            [f"{row['place']}{'=' if places[row['place']] > 1 else ''}", *([row["start"]] if starts else [])]
            + [row["source"], number(row["expected_f1"]), limits(row["f1_low"], row["f1_high"])]
            + [number(row["expected_regret"]), limits(row["regret_low"], row["regret_high"])]
            + [number(row["measured_f1"]) for _ in measured]
            + [row["because"]]
        )
    text = aligned(lines, {1, *([2] if starts else []), len(lines[0]) - 1})
    return text + (f"\n(the first {len(shown)} of {len(table)})" if len(shown) < len(table) else "")


def trust(widened: Widening) -> str:
    """How often intervals held what they should, when targets were left out."""
    if not widened.cases:
        return ""
    wider = [f"{what} by {number(k, 2)}" for what, k in (("F1", widened.f1), ("regret", widened.regret)) if k > 1.005]
    return (
        "Measured coverage of the 95 % intervals, each target left out: "
        f"{number(100 * widened.f1_held, 0)} % of F1 and {number(100 * widened.regret_held, 0)} % of regrets "
        f"({widened.cases} cases)" + (f"; widened for that: {', '.join(wider)}." if wider else ".")
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
        "Choosing the way to rank without the target and then the source, the mean regret is "
        f"{number(nested['regret'])} points over {count(int(nested['targets']), 'target')} "
        f"(95 %: {limits(nested['regret_low'], nested['regret_high'])}); "
        f"a source drawn by lot: {number(table.loc['random', 'regret'])}."
    )
    if ranker != found.chosen:
        row = table.loc[ranker]
        return f"{text} {ranker} alone: {number(row['regret'])} ({limits(row['regret_low'], row['regret_high'])})."
    plain = table.drop(index=[ranker, *NO_RANKERS], errors="ignore")["regret"]
    if not len(plain):
        return text
    other = str(plain.idxmin())
    mean, low, high = judging.lead(found, ranker, other)
    more = f"{number(mean)} less than {other}" if mean >= 0 else f"{number(-mean)} more than {other}"
    sure = "" if low > 0 or high < 0 else "; that may be chance"
    return f"{text} {ranker} was chosen: {more} (difference, 95 %: {limits(low, high)}){sure}."


def configurations(trial: Trial) -> str:
    """The regret of ranking all configurations of the study."""
    said = []
    for rule, name in (
        ("regret", "the model"), ("regret_average", "always the pair that is best on average over the other targets"),
        ("regret_random", "a pair drawn by lot"),
    ):  # fmt: skip
        mean, low, high = trial.regret(rule)
        said.append(f"{name} {number(mean)} ({limits(low, high)})")
    return (
        f"Ranking start and source together, each of {count(len(trial.table), 'target')} left out, the mean regret is: "
        f"{'; '.join(said)}."
    )


def adapting(gains: pd.DataFrame, target: str, own: pd.Series | None = None) -> str:
    """What adapting a start to the target's text is expected to add; empty where the study has no such start.

    ``own``: F1 in percent by source of the target's own adapted start, where the study has it: measured, not expected.
    """
    gains = gains[gains["target"] != target]
    if not len(gains):
        return ""
    values = gains["gain"].to_numpy(float)
    mean, low, high = interval(values, -100, 100)
    _, new_low, new_high = interval(values, -100, 100, new=True)
    source = gains["source"].iloc[0]
    listed = ", ".join(
        f"{row['target']} {number(row['adapted_f1'])} / {number(row['first_f1'])}" for row in gains.to_dict("records")
    )
    verdict = "pays on average" if low > 0 else "may pay" if mean > 0 else "does not pay on average"
    return (
        f"Adapting first {verdict}: a start adapted to {target}'s text, fine-tuned on {source}, is expected to add "
        f"{number(mean, 1, True)} points to the F1 of the pair that is ranked first (95 %: "
        f"{limits(low, high)}; for one new target {limits(new_low, new_high)}). Measured on "
        f"{count(len(gains), 'target')} with such a start, adapted / ranked first: {listed}."
        + (f" Measured on {target} itself: {number(own[source])}." if own is not None and source in own else "")
    )


def unjudged(judged_: Judged, pairs: Pairs, ranker: str, too_few: str, asked_for: bool) -> list[str]:
    """Which ways to rank there are without scores to judge them by, and why this one was taken."""
    learning = listing([name for name, ranker in rankers.RANKERS.items() if not ranker.needs])
    words = f"Expected F1, regret and their intervals are unknown, and {learning} cannot learn: {too_few}."
    if MEAN_TRANSFER not in pairs.features:
        words += " Nor is the best source on average known: no other target compares every source with another one."
    why = "asked for" if asked_for else "the simplest of those that are left, and chosen for nothing else"
    lines = [["", "order of the sources", ""]]
    for name in judged_.table["ranker"]:
        lines.append([name, judging.order_in_words(pairs, name), rankers.RANKERS[name].label])
    return [
        words,
        "Ways to rank that learn nothing, not judged (=: the two are equal):",
        aligned(lines, {0, 1, 2}),
        f"{ranker}: {why}; how good it is, this study does not tell.",
    ]
