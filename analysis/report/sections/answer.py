"""What a study's page begins with: the best start and source of every target, how sure that is, and what next. Pure."""

import pandas as pd

from analysis.report.html.page_data import Column, Listing, Section, usual
from analysis.report.study_analysis import Computed
from analysis.statistics.tables import listing, number, p_text
from analysis.transfer import matrices
from analysis.transfer.answers import from_source
from analysis.transfer.pretraining import SIGNIFICANT
from nertransfer.core.text import count

SURE, LIKELY = 0.95, 0.8
"""Chances of being the best from which an answer is called so."""
CLOSE = 1.0
"""Two pairs that are less than so many points of F1 apart, and one of them surely the best, are equally good."""
TOO_HIGH = "as measured: too high on average, as the best of several"


def answer(computed: Computed) -> Section | None:
    """The first section; None where no pair of start and source was scored."""
    table = computed.answers
    if not len(table):
        return None
    zero_shot = computed.setting == matrices.ZERO_SHOT
    several = table["compared"].max() > 1
    chosen = table["expected_f1"].notna()
    shown = table.assign(
        f1=table["expected_f1"].where(chosen, table["f1"]),
        sure=[how_sure(chance) for chance in table["best_probability"]],
    )
    held = "scored on seeds that did not choose it" if chosen.all() else TOO_HIGH
    held = "scored on seeds that did not choose it, from three seeds on" if chosen.any() and not chosen.all() else held
    columns = [
        Column("target", "target" if zero_shot else "language"),
        Column("start", "best start"),
        *([Column("source", "source")] if zero_shot else []),
        Column("f1", "F1", "percent", held if several else ""),
    ]
    if table["low"].notna().any():
        columns += [
            Column("low", "95 % from", "percent", "the choice among several is taken into account" if several else ""),
            Column("high", "to", "percent"),
        ]
    if several:
        columns += [
            Column("lead", "ahead by", "points", f"of the next best; {TOO_HIGH}"),
            *(
                [Column("gain", "over default", "points", f"{_default(computed)}; {TOO_HIGH}")]
                if _has_rivals(computed)
                else []
            ),
            Column("sure", "how sure", "text", f"chance that it is the best of {_compared(table)} configurations"),
        ]
    title = "Best start and source for a target without data" if zero_shot else "Best start for a language with data"
    return Section(
        "answer",
        "The answer",
        [_what_next(computed, zero_shot), *_without(computed)],
        [Listing("answers", title, shown, columns, "answers.csv")],
    )


def how_sure(chance: float) -> str:
    """A word and a number."""
    if chance != chance:
        return "not known"
    word = "sure" if chance >= SURE else "likely" if chance >= LIKELY else "open"
    return f"{word} ({'> 99' if chance > 0.99 else f'{100 * chance:.0f}'} %)"


def _compared(table: pd.DataFrame) -> str:
    low, high = int(table["compared"].min()), int(table["compared"].max())
    return f"{low} to {high}" if low < high else str(high)


def _default(computed: Computed) -> str:
    if computed.setting == matrices.ZERO_SHOT:
        return f"start {computed.reference} with its own best source"
    return f"start {computed.reference}"


def _has_rivals(computed: Computed) -> bool:
    """Whether there are starts beside the reference."""
    return any(view.kind == "start" and view.name != computed.reference for view in computed.views)


def _named(rows: pd.DataFrame) -> str:
    return listing(list(rows["target"]))


def _what_next(computed: Computed, zero_shot: bool) -> str:
    """Which answers can be used, and what would make the others surer."""
    table = computed.answers
    if not (table["compared"] > 1).any():
        return "What next: one configuration was scored for each target; compare it with others."
    what = "pair" if zero_shot else "start"
    sure = table["best_probability"] >= SURE
    either_is_best = table["best_probability"] + table["runner_up_probability"] >= SURE
    close = ~sure & either_is_best & (table["lead"] < CLOSE) & (table["f1"] > 0)
    rest = ~sure & table["best_probability"].notna() & ~close
    single = table["best_probability"].isna() & (table["compared"] > 1)
    texts = []
    if sure.any():
        texts.append(f"for {_named(table[sure])}, use the {what} above")
    if close.any():
        either = [f"{row.target} ({_runner_up(row, zero_shot)})" for row in table[close].itertuples()]
        texts.append(f"for {listing(either)}, the next best {what} is within {number(CLOSE, 0)} point: take either")
    if rest.any():
        rivals = [f"{row.target} ({_runner_up(row, zero_shot)})" for row in table[rest].itertuples()]
        texts.append(f"for {listing(rivals)}, compare with the next best {what}, in brackets, on more seeds")
    if single.any():
        texts.append(f"for {_named(table[single])}, run more seeds: with one it is not known how sure an answer is")
    if (missing := int(table["missing"].sum())) and len(lacking := table[table["missing"] > 0]):
        texts.append(f"run what is missing: {count(missing, 'score')} for {_named(lacking)} may be better")
    effect = computed.adaptation
    if zero_shot and len(effect) and effect["p"].iloc[0] < SIGNIFICANT and effect["difference"].iloc[0] > 0:
        adapted = {view.name for view in computed.views if view.kind == "start"}
        without = [target for target in table["target"] if target not in adapted]
        texts.append(
            f"adapt a start to {listing(without) or 'new target'} text first (entry point adapt): for the study's "
            f"targets this gained {number(effect['difference'].iloc[0], 1, True)} points on average over "
            f"start {computed.reference} {from_source(effect['source'].iloc[0])}"
        )
    return f"What next: {'; '.join(texts)}." if texts else ""


def _runner_up(row: tuple, zero_shot: bool) -> str:
    start, source = row.runner_up_start, row.runner_up_source  # type: ignore[attr-defined]
    return f"start {start}, source {source}" if zero_shot else str(start)


def _without(computed: Computed) -> list[str]:
    """How many claims change with what is not used."""
    differ = int(computed.consequences["differs"].sum()) if len(computed.consequences) else 0
    if not differ:
        return []
    return [
        f"{differ} of {count(len(computed.consequences), 'claim')} would change if the excluded results were used: see "
        f"{UNUSED}."
    ]


UNUSED = "What is not used"


def unused(computed: Computed) -> Section | None:
    """What the study says with and without what is excluded or collapsed; None where all is used."""
    rows = computed.consequences
    if not len(rows):
        return None
    differ = rows[rows["differs"].astype(bool)].replace("", "none")
    same = len(rows) - len(differ)
    texts = [
        "Configurations that are excluded and fine-tunings that collapsed are listed in the cautions, excluded.csv and "
        f"collapsed.csv. {count(same, 'claim')} {'is' if same == 1 else 'are'} the same with them and without them."
    ]
    columns = [Column("claim", "claim"), Column("used", "without them"), Column("with_all", "with them")]
    listings = [Listing("consequences", "Claims that differ", differ, columns, "consequences.csv")]
    collapsed = computed.verdicts.collapsed
    if len(collapsed):
        columns = [
            *usual("start", "source"),
            Column("seed", "seed", "count"),
            *usual("f1"),
            Column("best", "best seed", "percent"),
            Column("mean_without", "mean without", "percent"),
            Column("mean_with", "mean with", "percent", "over all seeds of the configuration"),
        ]
        listings.append(Listing("collapsed", "Collapsed fine-tunings", collapsed, columns, "collapsed.csv"))
    return Section("unused", UNUSED, texts, listings)


def adaptation(computed: Computed) -> str:
    """What adapting a start to the target brings, in a sentence for the summary; nothing where it was not tried."""
    if not len(computed.adaptation):
        return ""
    first, *others = computed.adaptation.itertuples()
    more = [
        f"{from_source(row.source)} {number(row.difference, 1, True)} ("
        + (f"95 % {number(row.low)} to {number(row.high)}, " if row.p == row.p else "")
        + f"{count(row.n_targets, 'target')})"
        for row in others
    ]
    interval = (
        f" (95 % interval {number(first.low)} to {number(first.high)}, {p_text(first.p)})" if first.p == first.p else ""
    )
    return (
        f"Adapting to the target: zero-shot {from_source(first.source)}, the start that was adapted to the target's "
        f"text is better than start {first.reference} for {first.better} of {count(first.n_targets, 'target')}, by "
        f"{number(first.difference, 1, True)} points on average{interval}{'; ' + listing(more) if more else ''}."
        + (" Interval and p: Student's t over targets, paired." if interval or more else "")
    )
