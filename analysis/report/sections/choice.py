"""Sections of a study's page on the choice: which start, which source, how many sentences of the target. Pure."""

from collections.abc import Mapping

import pandas as pd

from analysis.ranking.judging import NESTED
from analysis.report.html.page_data import Column, Listing, Picture, Section, pictured, usual
from analysis.report.study_analysis import SPLIT, Computed
from analysis.statistics.tables import listing, number
from analysis.transfer import beyond_one_source, inference, matrices
from nertransfer.core.grid import ALONE, OWN
from nertransfer.core.text import count

LISTED_RANKS = 3
"""So many sources of every target are listed with their chance of being the best."""

FEW_SHOT_FIGURE = "figures/few-shot-"


def minus_reference(computed: Computed) -> list[Column]:
    """The column of differences to the reference start, where there is another."""
    return [Column("difference", f"minus {computed.reference}", "points")] if len(computed.roles) > 1 else []


def pretraining(computed: Computed, pictures: Mapping[str, str]) -> Section | None:
    table = computed.pretraining
    if not len(table):
        return None
    columns = [
        Column("language", "language"),
        Column("role", "start"),
        Column("mean", "F1", "percent"),
        Column("sd", "sd", "percent"),
        Column("n", "seeds", "count"),
        Column("low", "95 % from", "percent", computed.interval),
        Column("high", "to", "percent"),
        *minus_reference(computed),
        Column("p", "p", "p", computed.two_sided),
        Column(
            "p_holm",
            "p (Holm)",
            "p",
            f"corrected over all differences to {computed.reference} of the study (statistics/differences.csv)",
        ),
        Column("mann_whitney_p", "p (U test)", "p", "Mann-Whitney over seeds alone, as published"),
    ]
    return Section(
        "pretraining",
        "Pre-training: which start, for a language with data",
        [
            "Fine-tuned and scored on the same language. "
            + (f"{OWN} is the start that was adapted to that language. " if OWN in computed.roles else "")
            + "LaTeX and Markdown of the table are in tables/."
        ],
        [
            *_every_two_starts(computed, matrices.IN_LANGUAGE),
            Listing("pretraining", "The effect of pre-training", table, columns, "pretraining.csv"),
        ],
        pictured(pictures, "figures/pretraining"),
    )


def best(computed: Computed) -> Section | None:
    if not len(computed.best):
        return None
    ranks, unknown = inference.by_seeds(computed.ranks)
    keys = ["start", "target"]
    chance = ranks.rename(columns={"source": "best_source"})[[*keys, "best_source", "best_probability"]]
    best = computed.best.merge(chance, how="left", on=[*keys, "best_source"])
    columns = [
        *usual("start", "target"),
        Column("best_source", "best source"),
        *usual("f1", "low", "high"),
        Column("best_probability", "chance that it is", "share", f"share of resamples, {computed.interval}"),
        *usual("n_seeds"),
        Column("runner_up", "runner-up"),
        Column("difference", "ahead by", "points"),
        Column("in_language_f1", "own data", "percent", "F1 with train data of the target itself"),
        Column("sources_missing", "missing", "count", "sources without scores on that target, which may be the best"),
    ]
    ranks = ranks[ranks["best_probability"] > 0]  # of those that are never best none is likelier than another
    top = ranks.sort_values([*keys, "best_probability"], ascending=[True, True, False], kind="stable")
    top = top.groupby(keys, sort=False).head(LISTED_RANKS).reset_index(drop=True)
    rank_columns = [
        *usual("start", "target", "source"),
        Column("best_probability", "chance of being best", "share"),
        Column("mean_rank", "mean rank", "number"),
        Column("rank_low", "rank from", "number"),  # of equals the mean of their ranks
        Column("rank_high", "to", "number"),
    ]
    agreement = computed.agreement["kendall_tau_b"].mean()
    first = "The best source of every target without data of its own, and how sure that is."
    averages = [_start_averages(computed)] if len(computed.start_averages) > 1 else []
    averages += _every_two_starts(computed, matrices.ZERO_SHOT)
    paragraphs = [f"How well the starts transfer on average. {first}" if averages else first]
    if agreement == agreement:
        paragraphs.append(
            f"Two seeds rank the sources of a target alike with a Kendall tau-b of {number(agreement, 2)} on average "
            "(1: the same ranking, 0: no agreement)."
        )
    if unknown:
        paragraphs.append(
            f"For {count(unknown, 'pair')} of start and target a source has one seed, of which it is not known how it "
            "varies: the chance is left out. statistics/ranks.csv has it as if such a source did not vary, for these "
            "very models."
        )
    title = "Best zero-shot source by start and target"
    listings = [*averages, Listing("best", title, best, columns, "best_source.csv")]
    if len(top):
        title = f"The {LISTED_RANKS} likeliest best sources"
        listings.append(Listing("ranks", title, top, rank_columns, "statistics/ranks.csv"))
    if len(computed.relations):
        relation_columns = [
            Column("start", "start"),
            Column("relation", "languages"),
            *usual("f1", "sd", "n_pairs", "n_seeds"),
        ]
        title = "Zero-shot F1 by relatedness"
        listings.append(Listing("relation", title, computed.relations, relation_columns, "by_relation.csv"))
    return Section("best", "Which start and source, for a target without data", paragraphs, listings)


def systems(computed: Computed) -> Section | None:
    if not len(computed.systems):
        return None
    columns = [
        Column("target", "target"),
        Column("start", "system"),
        *usual("source", "f1", "low", "high", "n_seeds"),
        Column(
            "strings", "not in the sentence", "count", "predicted strings that stand nowhere in it, counted as wrong"
        ),
        Column("rival", "compared with"),
        Column("rival_f1", "its F1", "percent"),
        Column("difference", "difference", "points"),
        Column("difference_low", "95 % from", "points"),
        Column("difference_high", "to", "points"),
        Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p", "over all rows of this table"),
    ]
    without = sorted({start for start, _ in computed.found.without_seed})
    paragraphs = [
        "Predictions that were imported, scored as all others, beside the best of what was fine-tuned in this study: "
        "zero-shot where the system is, too, else with train data of the target. That one is chosen by the scores that "
        "are shown, which favours it. Sentences are paired: both sides are scored on the same resampled ones.",
    ]
    if without:
        several = (
            "has no seed: its intervals and tests are"
            if len(without) == 1
            else ("have no seed: their intervals and tests are")
        )
        paragraphs.append(
            f"{listing(without)} {several} over sentences alone, and those of the other side over its seeds, too."
        )
    title = "Imported systems by target"
    return Section(
        "systems", "Other systems", paragraphs, [Listing("systems", title, computed.systems, columns, "systems.csv")]
    )


def _start_averages(computed: Computed) -> Listing:
    columns = [
        *usual("start", "f1", "low", "high"),
        Column("n_pairs", "pairs", "count", "of source and target that all starts have; others may differ"),
        Column("n_seeds", "seeds", "count"),
        Column("difference", f"minus {computed.reference}", "points"),
        Column("difference_low", "95 % from", "points"),
        Column("difference_high", "to", "points"),
        Column("p", "p", "p", computed.two_sided),
        Column("p_holm", "p (Holm)", "p", "corrected over the starts"),
    ]
    return Listing("starts", "Mean zero-shot F1 by start", computed.start_averages, columns, "statistics/starts.csv")


def _every_two_starts(computed: Computed, setting: str) -> list[Listing]:
    """Where no start is called `BASE`: every two starts, in the setting that the study has."""
    if not len(computed.start_pairs) or computed.setting != setting:
        return []
    columns = [
        Column("first", "start"),
        Column("second", "less start"),
        Column("difference", "difference", "points", f"of mean {setting} F1"),
        Column("difference_low", "95 % from", "points"),
        Column("difference_high", "to", "points"),
        Column("p", "p", "p", computed.two_sided),
        Column("p_holm", "p (Holm)", "p", "corrected over all pairs of starts"),
        Column("n_pairs", "pairs", "count", "of source and target that all starts have"),
    ]
    return [Listing("start_pairs", "Every two starts", computed.start_pairs, columns, "statistics/start_pairs.csv")]


def several(computed: Computed) -> Section | None:
    table = computed.multi_source
    if not len(table):
        return None
    columns = [
        *usual("start", "source", "target", "setting", "f1"),
        Column("best_part", "best of its languages"),
        Column("best_part_f1", "F1", "percent"),
        Column("difference", "difference", "points"),
        Column("low", "95 % from", "points", "Student's t over seeds, paired by seed"),
        Column("high", "to", "points"),
        Column("n_seeds", "seeds", "count"),
        Column("parts_missing", "missing", "count", "of its languages, without scores as a source on that target"),
    ]
    complete = table[table["parts_missing"] == 0]
    other = complete[complete["setting"] == beyond_one_source.ZERO_SHOT]
    tested = other[other["low"].notna()]
    better, worse = int((tested["low"] > 0).sum()), int((tested["high"] < 0).sum())
    words = [
        "Fine-tuned on several languages together, against the best of them for each target, which is known only "
        "afterwards."
    ]
    if len(other):
        words.append(
            f"On targets that are not among them, the difference is {number(other['difference'].mean(), 1, True)} "
            f"points on average over {count(int(other['difference'].notna().sum()), 'comparison')}."
        )
    if len(tested):
        words[-1] += (
            f" The interval is above 0 in {better} and below in {worse} of {len(tested)}, which are not corrected for "
            "their number."
        )
    if left := len(other) - len(tested):
        words[-1] += f" {left} {'has' if left == 1 else 'have'} no interval, for want of two seeds that both have."
    if left := len(table) - len(complete):
        words.append(
            f"In {left} of {count(len(table), 'comparison')} a language lacks scores as a source and may have been the "
            "best: these are not counted."
        )
    return Section(
        "several",
        "Several sources together",
        words,
        [Listing("several", "Several sources less the best of them", table, columns, "multi_source.csv")],
    )


def lines(table: pd.DataFrame) -> list[str]:
    """What the rows of a learning curve are called: their source, and how the sentences were used."""
    several = table.loc[table["mode"] != ALONE, "mode"].nunique() > 1
    return [
        "none (alone)" if mode == ALONE else f"{source}, {mode}" if several else source
        for source, mode in zip(table["source"], table["mode"], strict=True)
    ]


def few_shot(computed: Computed, pictures: Mapping[str, str]) -> Section | None:
    table, saved = computed.learning_curves, computed.saved
    if not len(table):
        return None
    names = [Column("start", "start"), Column("target", "target"), Column("source", "source"), Column("mode", "how")]
    curve = [
        *names,
        Column("sentences", "sentences", "count"),
        Column("f1", "F1", "percent"),
        Column("low", "95 % from", "percent", "Student's t over seeds"),
        *usual("high", "sd", "n_seeds"),
    ]
    worth = [
        *names,
        Column("sentences", "sentences", "count"),
        Column("f1", "F1", "percent"),
        Column("in_words", "sentences alone for the same F1", "text", "95 %: Student's t over seeds, paired"),
        Column("n_seeds", "seeds", "count", "that the point and every number alone have"),
    ]
    first = saved[(saved["sentences"] == 0) & (saved["n_seeds"] > 0)]
    first = first.sort_values("f1", ascending=False, kind="stable").drop_duplicates(["start", "target", "source"])
    first = first.assign(sources=first.groupby(["start", "target"])["source"].transform("size"))
    first = first.groupby(["start", "target"], sort=False).head(1)
    words = [
        "F1 on a target of which a few sentences are labelled: with a source (added: in one training with the source's "
        "sentences; after: in a second training, after the source's), and alone, from the start itself. For each seed "
        "the sentences are drawn at random, fewer among more, the same for every source.",
        *(
            f"From {row.start}, {row.source} without any sentence of {row.target} gives {number(row.f1)} %, for which "
            f"{row.in_words} sentences of {row.target} alone are needed"
            + (
                f"; of {row.sources} sources it is the best on {SPLIT}, which is known only afterwards."
                if row.sources > 1
                else "."
            )
            for row in first.itertuples()
        ),
        "Between measured numbers the curve without a source is a straight line over the logarithm of the number. "
        "The 95 % limits are where Student's t over the seeds, paired, no longer tells the two apart: wide for few.",
        *(
            [
                "The epoch of a cell without a source was chosen on all of the target's dev split (epoch_choice=best): "
                "its labels are used and not counted, so sentences alone look better than they are, and a source is "
                "worth more of them than is said here."
            ]
            if computed.found.few_shot.epochs_on_target
            else []
        ),
    ]
    return Section(
        "few-shot",
        "A few labelled sentences",
        words,
        [
            Listing("saved", "What a source is worth in sentences", saved, worth, "few_shot_saved.csv"),
            Listing("curves", "F1 by number of sentences", table, curve, "few_shot.csv"),
        ],
        [Picture(stem, caption) for stem, caption in pictures.items() if stem.startswith(FEW_SHOT_FIGURE)],
    )


def ranking(computed: Computed) -> Section:
    title = "Choosing a source for a new language"
    found = computed.ranking
    if isinstance(found, str):
        return Section("ranking", title, [f"Not judged: {found}."])
    columns = [
        Column("start", "start"),
        Column("ranker", "way to rank"),
        Column("regret", "regret", "percent", "F1 points behind the best source, mean over targets"),
        Column("regret_low", "95 % from", "percent"),
        Column("regret_high", "to", "percent"),
        Column("regret_top3", "best of 3", "percent", "regret of the best of the first three"),
        Column("regret_top3_low", "95 % from", "percent"),
        Column("regret_top3_high", "to", "percent"),
        Column("ndcg3_exponential", "NDCG@3", "number", "gain 2^grade - 1, grade 10 for the best source (LangRank)"),
        Column("ndcg3_linear", "linear", "number", "NDCG@3 with the grade itself as gain"),
        Column("kendall_tau_b", "tau-b", "number", "Kendall's, with the true order of all sources"),
        Column("kendall_tau_b_targets", "tau-b over", "count", "targets with an order: their sources differ in F1"),
        Column("targets", "targets", "count"),
        Column("label", "what it takes first"),
    ]
    each = [
        Column("start", "start"),
        Column("ranker", "way to rank"),
        Column("target", "target"),
        Column("first", "its choice"),
        Column("regret", "regret", "percent"),
        Column("first_f1", "F1", "percent"),
        Column("best", "best source"),
        Column("best_f1", "F1", "percent"),
        Column("kendall_tau_b", "tau-b", "number"),
    ]
    chosen = listing([f"{ranker} from {start}" for start, ranker in found.chosen.items()])
    nested = found.table[found.table["ranker"] == NESTED]
    regrets = listing(
        [
            f"{number(row.regret)} from {row.start} (95 %: {number(row.regret_low)} to {number(row.regret_high)})"
            for row in nested.itertuples()
        ]
    )
    return Section(
        "ranking",
        title,
        [
            "Had each target been new, which source would have been chosen for it, and how far behind the best one? "
            "The target is left out as target and as source; its labels are not used. Mean regret in points of F1, the "
            f"way to rank being chosen without the target, too (row {NESTED}): {regrets}.",
            f"Chosen on all targets: {chosen}. That is the mixed model unless a plain way has less regret and the 95 % "
            "interval of the difference leaves no doubt. hindsight and random are no ways to rank: the one source that "
            "is best over all targets, and one drawn by lot.",
            "The entry point rank ranks starts and sources for a new language, with expected F1 and regret; on request "
            "it also judges LambdaRank (LangRank) and hidden states, left out here for the time they take.",
            *found.words,
            *computed.left_out,
        ],
        [
            Listing("ranking", "Ways to rank, each target left out", found.table, columns, "ranking/judged.csv"),
            Listing("left_out", "Target by target", found.left_out, each, "ranking/leave_one_out.csv"),
        ],
    )
