"""Sections of a study's page on the scores themselves: by category and mode, how sure, of the chosen models. Pure."""

from collections.abc import Sequence

import pandas as pd

from analysis.report.html.page_data import Column, Listing, Section, usual
from analysis.report.sections import choice
from analysis.report.study_analysis import SPLIT, Computed
from analysis.statistics import mixed_model, moderation
from analysis.statistics.tables import listing, number
from analysis.transfer import inference, matrices
from nertransfer.core.text import count


def categories(computed: Computed) -> Section:
    columns = [
        *usual("category", "start", "setting", "f1", "sd", "n_pairs", "n_seeds"),
    ]
    own = [
        Column("language", "language"),
        Column("role", "start"),
        Column("category", "category"),
        Column("mean", "F1", "percent"),
        Column("sd", "sd", "percent"),
        Column("n", "seeds", "count"),
        *choice.minus_reference(computed),
    ]
    modes = [
        *usual("start", "setting", "f1"),
        Column("strict_f1", "strict", "percent", "invalid tags belong to no entity"),
        Column("span_f1", "spans", "percent", "first and last word alone, any category"),
        Column("invalid_percent", "invalid tags, % of words", "number"),
        *usual("n_pairs", "n_seeds"),
    ]
    return Section(
        "categories",
        "Categories and modes of scoring",
        ["The matrices above switch to any category; LaTeX of the second table is in tables/."],
        [
            Listing("by_category", "By category, mean over pairs", computed.by_category, columns, "by_category.csv"),
            Listing("categories", "In-language, by category", computed.in_language, own, "categories.csv"),
            Listing("modes", "Other ways to score", modes_table(computed), modes, "by_mode.csv"),
        ],
    )


def modes_table(computed: Computed) -> pd.DataFrame:
    """Zero-shot and in-language means of default, strict and span F1 and of the rate of invalid tags, by start."""
    rows = []
    for view in computed.starts:
        overall = computed.found.overall
        for setting, pairs in matrices.SETTINGS.items():
            if not pairs(computed.cubes[view.name]):
                continue
            default = matrices.pair_average(computed.cubes[view.name], pairs(computed.cubes[view.name]))
            averages = {"f1": default.mean, "n_seeds": default.n, "n_pairs": default.pairs}
            for measure, name in (
                ("strict_f1", "strict_f1"), ("span_f1", "span_f1"), ("invalid_tag_rate", "invalid_percent"),
            ):  # fmt: skip
                cube = matrices.cube(overall, view.name, view.rows, view.targets, SPLIT, measure=measure)
                averages[name] = matrices.pair_average(cube, pairs(cube)).mean
            rows.append({"start": view.name, "setting": setting} | averages)
    return pd.DataFrame(
        rows, columns=["start", "setting", "f1", "strict_f1", "span_f1", "invalid_percent", "n_seeds", "n_pairs"]
    )


def certainty(computed: Computed) -> Section:
    differences = [
        *usual("start", "source", "target"),
        Column("difference", f"minus {computed.reference}", "points"),
        Column("low", "95 % from", "points"),
        Column("high", "to", "points"),
        Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p", "corrected over all differences of this table"),
    ]
    seeds = [
        *usual("start", "setting"),
        Column("sd", "sd over seeds", "percent"),
        Column("sentence_sd", "sd over sentences", "percent", "of a difference, with any number of seeds"),
        Column("smallest_difference", "at best", "percent", "difference that any number of seeds finds, power 0.8"),
        *(
            column
            for d in inference.POINTS
            for column in (
                Column(f"seeds_for_{d}_points", f"seeds for {d}", "count", f"{d} points, if sentences did not vary"),
                Column(f"power_for_{d}_points", "power", "share", "of that many seeds, other sentences, too"),
                Column(f"most_power_for_{d}_points", "at most", "share", "power of any number of seeds"),
            )
        ),
    ]
    terms = [
        Column("term", "term"),
        Column("estimate", "estimate", "points"),
        Column("standard_error", "s.e.", "number"),
        Column("p", "p", "p"),
        Column("low", "95 % from", "points"),
        Column("high", "to", "points"),
    ]
    mixed, n_seeds = computed.mixed, computed.intervals["n_seeds"]
    unequal = n_seeds.min() == 1 < n_seeds.max()
    without = sorted({start for start, _ in computed.found.without_seed})
    verb = "has" if len(without) == 1 else "have"
    systems = f" {listing(without)} {verb} no seed and vary over sentences alone." if without else ""
    single = " Of one seed an interval is over sentences alone, for that very model; its differences are not tested."
    words = [
        f"Intervals of a mean over seeds: {computed.interval}. Intervals and p of a difference: {computed.test}. "
        f"Resampled sentences are the same for all cells of a target.{single if unequal else ''}{systems}",
        *_few_seeds(computed.intervals),
        *_nothing_varies(computed.differences),
        *_mixed_words(mixed, computed.several),
    ]
    listings = []
    if len(computed.differences):
        listings.append(
            Listing(
                "differences", f"Every start minus {computed.reference}", computed.differences, differences,
                "statistics/differences.csv",
            )
        )  # fmt: skip
    if len(computed.seeds):
        note = (
            "of each of two configurations, for a power of 0.8 at p < 0.05 (two-sided t test) if test sentences did "
            "not vary; power: of that many seeds, and of any number, where they do"
        )
        listings.append(
            Listing(
                "seeds", "How many seeds a difference needs", computed.seeds, seeds, "statistics/seeds_needed.csv", note
            )
        )
    if len(mixed.terms):
        listings.append(Listing("mixed", "Mixed model of F1", mixed.terms, terms, "statistics/mixed_model.csv"))
    return Section("certainty", "How sure", words, listings)


def _few_seeds(intervals: pd.DataFrame) -> list[str]:
    """That variances over seeds are moderated, and where they are not."""
    some = intervals["moderated"].astype(bool)
    if not some.any():
        return []
    text = (
        f"Seeds are few: in {int(some.sum())} of {count(len(some), 'mean')} the variance over seeds is a weighted mean "
        "of its own and of what is usual in this study at such an F1 (moderated t, Smyth 2004; usual variances by the "
        "logit of F1), which has more degrees of freedom."
    )
    few = intervals["n_seeds"].between(2, moderation.FEW_SEEDS - 1) & ~some
    if few.any():
        text += (
            f" {int(few.sum())} others have few seeds, too, and keep their own variance: a seed is far weaker (its "
            "best F1 over targets is below half of that of its best sibling, or of the median cell), or F1 is always 0 "
            "or 1."
        )
    return [text]


def _nothing_varies(differences: pd.DataFrame) -> list[str]:
    """Of how many differences there is no p although both sides have several seeds."""
    left = int((differences["untested"] == inference.NOTHING_VARIES).sum())
    return (
        [
            f"{left} of {count(len(differences), 'difference')} {'has' if left == 1 else 'have'} no interval and no p: "
            "neither seeds nor sentences vary there, which says nothing of other seeds and sentences."
        ]
        if left
        else []
    )


def _mixed_words(mixed: mixed_model.MixedModel, several: Sequence[str]) -> list[str]:
    without = f", without sources of several languages ({listing(list(several))})" if several else ""
    known = [f"{name} {number(sd)}" for name, sd in mixed.sd.items() if sd == sd]
    fitted = (
        [f"Mixed model of {count(mixed.n, 'score')}{without}: standard deviations in points: {', '.join(known)}."]
        if known
        else []
    )
    return fitted + [f"Mixed model: {warning}." for warning in mixed.warnings]


def cards(computed: Computed) -> Section | None:
    if not len(computed.cards):
        return None
    fixed = {"model", "start", "source", "seed", "seeds", "selection_split", "selection_f1", "inflation"}
    columns = [Column("model", "model")]
    for name in computed.cards.columns:
        if name not in fixed:
            columns.append(Column(name, name.replace("f1/", "F1 ").replace("f1", "F1"), "percent"))
    columns += [
        Column("seed", "seed", "count"),
        Column("inflation", "gain on test", "points", "test F1 if the seed were chosen on test, minus chosen on dev"),
        *usual("start"),
        Column("source", "language"),
    ]
    chosen = computed.cards["selection_split"].iloc[0]
    return Section(
        "cards",
        "Models: the best seed of every start and source",
        [f"Chosen by F1 on the source's {chosen} split, scored on its {SPLIT} split. LaTeX and Markdown: tables/."],
        [Listing("cards", "Model cards", computed.cards, columns, "model_cards.csv")],
    )
