"""The analysis of a study in words, listings and matrices: what `analysis.page` renders. Pure."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis import error_pages, matrices, multi_source, statistics, tables
from analysis.computed import ONE_SEED, SPLIT, Computed, without_averages
from analysis.embeddings import ALIGNMENT, Representations
from analysis.error_buckets import NO_SEED
from analysis.matrices import Average, Cube
from analysis.page_data import Column, Listing, Matrix, Page, Picture, Section, Tile
from analysis.pretraining import SIGNIFICANT
from analysis.tables import listing, number
from analysis.views import View
from nertransfer.grid import ALONE, BASE, OWN, is_several, is_zero_shot
from nertransfer.labels import ALL
from nertransfer.languages import LANGUAGES
from nertransfer.nouns import count

ERRORS = "errors"
"""Folder of the tables and pages of errors, and where they are on the page."""
LISTED_EXAMPLES = 5
"""So many wrong entities of every target are listed on the page."""
REPRESENTATIONS = "figures/embeddings-"
"""What the stems of the section's figures begin with."""
LISTED_RANKS = 3
"""So many sources of every target are listed with their chance of being the best."""


def page(
    computed: Computed,
    file_of: Mapping[str, str],
    pictures: Mapping[str, str],
    images: Mapping[str, bytes],
    run_url: str,
    uri: str,
    files: Sequence[str],
) -> Page:
    """The page. ``file_of``: file of the means by view; ``pictures``: caption by stem of the figure's files."""
    found = computed.found
    runs: dict[str, list[tuple[int, str]]] = {}
    used = found.cells[found.cells["used"]]
    for start, source, seed, run in used[["start", "source", "seed", "run_id"]].itertuples(index=False, name=None):
        runs.setdefault(f"{start}-{source}", []).append((int(seed), run))
    sections = [
        _pretraining(computed, pictures),
        _best(computed),
        _several(computed),
        _few_shot(computed, pictures),
        _ranking(computed),
        _categories(computed),
        _overlap(computed, pictures),
        _representations(computed, pictures),
        _errors(computed, pictures),
        _certainty(computed),
        _cards(computed),
        _figures(pictures),
    ]
    return Page(
        study=found.study,
        lead=(
            "Cross-lingual transfer in named entity recognition: "
            f"{count(len(found.plan['starts']), 'start')}, {_sources_text(found.plan['sources'])}, "
            f"{count(len(found.plan['targets']), 'target language')}, {count(len(found.plan['seeds']), 'seed')}. "
            f"Scores are entity-level micro F1 in percent on the {SPLIT} splits."
        ),
        findings=computed.findings,
        summary=summary(computed),
        tiles=_tiles(computed),
        matrices=[_matrix(computed, view, file_of[view.name]) for view in computed.views],
        reference=computed.reference,
        sections=[section for section in sections if section is not None],
        reading=READING,
        runs=runs,
        run_url=run_url,
        uri=uri,
        images=images,
        files=files,
        languages={name: LANGUAGES[name].name for name in found.languages if name in LANGUAGES},
    )


def _sources_text(sources: Sequence[str]) -> str:
    """``7 source languages``, ``7 source languages and 2 sources of several``."""
    several = sum(map(is_several, sources))
    texts = [count(len(sources) - several, "source language")] if several < len(sources) else []
    return " and ".join([*texts, *([f"{count(several, 'source')} of several languages"] if several else [])])


def _matrix(computed: Computed, view: View, file: str) -> Matrix:
    own = {row: [target for target in view.targets if view.is_own(row, target)] for row in view.rows}
    statistics_of = {}
    for category, one in computed.matrices[view.name].items():
        frames = {name: without_averages(getattr(one, name)) for name in ("mean", "sd", "n")}
        limits = {name: frame for name in ("low", "high") if (frame := getattr(one, name)) is not None}
        statistics_of[category] = frames | limits
    configurations = {row: "-".join(view.configuration(row)) for row in view.rows}
    return Matrix(
        view.name, view.title, view.row_name, view.rows, view.targets, own, configurations, statistics_of, file
    )


# --- in words ------------------------------------------------------------------------------------------


def _spread(average: Average) -> str:
    sd = f" ± {number(average.sd)}" if average.sd == average.sd else ""
    return f"{number(average.mean)}{sd} %"


def _averages(computed: Computed) -> dict[str, tuple[Average, Average]]:
    """Mean zero-shot and in-language F1 of the starts that are compared, over the pairs that all of them have.

    Of the reference alone where no zero-shot pair is in all: means over different pairs do not compare.
    """
    cubes = {view.name: computed.cubes[view.name] for view in computed.starts}
    if computed.reference in cubes and not _in_all(cubes, matrices.zero_shot):
        cubes = {computed.reference: cubes[computed.reference]}
    zero_shot, in_language = (_in_all(cubes, pairs) for pairs in (matrices.zero_shot, matrices.in_language))
    return {
        name: (matrices.pair_average(cube, zero_shot), matrices.pair_average(cube, in_language))
        for name, cube in cubes.items()
    }


def _in_all(cubes: Mapping[str, Cube], pairs: Callable[[Cube], list[tuple[str, str]]]) -> set[tuple[str, str]]:
    return set.intersection(*(set(pairs(cube)) for cube in cubes.values())) if cubes else set()


def _tiles(computed: Computed) -> list[Tile]:
    averages = _averages(computed)
    zero_shot = {name: pair[0] for name, pair in averages.items() if pair[0].n}
    best = max(zero_shot, key=lambda name: zero_shot[name].mean, default=None)
    shown = [computed.reference] + ([best] if best not in (None, computed.reference) else [])
    tiles = []
    for name in [name for name in shown if name in averages]:
        for average, what in zip(averages[name], ("zero-shot", "in-language"), strict=True):
            if average.pairs:
                over = count(average.n, "seed") if average.n else "scores missing"
                label = f"mean {what} F1 from {name}, {count(average.pairs, 'pair')}, {over}"
                spread = f"± {number(average.sd)}" if average.sd == average.sd else ""
                tiles.append(Tile(f"{number(average.mean)} %" if average.n else tables.MISSING, label, spread))
    return tiles


def summary(computed: Computed) -> list[str]:
    """The answer in a few sentences, each with its numbers."""
    return [
        text
        for text in (
            _which_start(computed),
            _which_source(computed),
            _own_start(computed),
            _why(computed),
            _how_sure(computed),
        )
        if text
    ]


def _which_start(computed: Computed) -> str:
    every = {name: pair[0] for name, pair in _averages(computed).items() if pair[0].pairs}
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
    if len(averages) < 2:
        return f"{best} has a mean zero-shot F1 of {_spread(averages[best])}."
    equal = [name for name in averages if averages[name].mean == averages[best].mean]
    if len(equal) > 1:
        others = [f"{name} {number(averages[name].mean)} %" for name in averages if name not in equal]
        before = f", before {listing(others)}" if others else ""
        return f"{listing(equal)} have the same mean zero-shot F1, {number(averages[best].mean)} %{before}."
    text = f"{best} transfers best on average, with a mean zero-shot F1 of {_spread(averages[best])}"
    pairs = averages[best].pairs
    if any(len(matrices.zero_shot(computed.cubes[name])) > pairs for name in averages):
        text += f" over the {count(pairs, 'pair')} that all starts have"
    reference = averages.get(computed.reference)
    if reference is None:
        return text + "."
    if best == computed.reference:
        others = [f"{name} {number(averages[name].mean)} %" for name in averages if name != best]
        return f"{text}, before {listing(others)}."
    places = zip(computed.differences["source"], computed.differences["target"], strict=True)
    zero_shot = np.array([is_zero_shot(source, target) for source, target in places], dtype=bool)
    rows = computed.differences[(computed.differences["start"] == best) & zero_shot]
    better, worse = (int(((rows["p_holm"] < SIGNIFICANT) & (sign * rows["difference"] > 0)).sum()) for sign in (1, -1))
    text += f", {number(averages[best].mean - reference.mean, 1, True)} points from {computed.reference}."
    if tested := int(rows["p_holm"].notna().sum()):
        text += (
            f" Of {count(tested, 'pair')} of source and target it is significantly better in {better} and worse in "
            f"{worse} (Holm over the matrix)."
        )
    return text + _untested(rows, "pair")


def _two_sided(computed: Computed) -> str:
    return computed.test if computed.test == ONE_SEED else f"two-sided, {computed.test}"


def _untested(rows: pd.DataFrame, noun: str) -> str:
    """How many have no p, since a side has a single seed; nothing where all have one."""
    left = int(rows["p_holm"].isna().sum())
    return f" {left} of {count(len(rows), noun)} {'is' if left == 1 else 'are'} {ONE_SEED}." if left else ""


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
    known, unknown = _by_seeds(ranks)
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


def _by_seeds(ranks: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The ranks of `inference.source_ranks` where all sources have several seeds; of how many targets they have not."""
    vary = ranks["seeds_vary"].astype(bool)
    return ranks[vary], len(ranks.loc[~vary, ["start", "target"]].drop_duplicates())


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
    return text + _untested(rows, "difference")


def _why(computed: Computed) -> str:
    if computed.overlap is None or not len(computed.overlap.points):
        return ""
    rows = computed.overlap.associations
    first = computed.overlap.points["matrix"].iloc[0]
    chosen = rows[(rows["matrix"] == first) & (rows["measure"] == computed.overlap.measure)].set_index("method")
    row = chosen.loc["Spearman"]
    if row["r"] != row["r"]:
        return ""
    return (
        f"Why: zero-shot F1 from {first} goes with the share of the target's entity tokens that the source's train "
        f"split has, Spearman r = {number(row['r'], 2)} ({p_text(row['p_holm'])} by permuting languages, corrected by "
        f"Holm; {p_text(row['naive_p'])} if the {int(row['dyads'])} pairs were independent, which they are not)."
    )


def _how_sure(computed: Computed) -> str:
    rows = computed.seeds[(computed.seeds["start"] == computed.reference) & (computed.seeds["setting"] == "zero-shot")]
    if not len(rows):
        return ""
    row = rows.iloc[0]
    needed = [
        f"{int(row[f'seeds_for_{d}_points'])} seeds for {d}"
        for d in (2, 5)
        if np.isfinite(row[f"seeds_for_{d}_points"])
    ]
    return (
        f"How sure: a zero-shot score from {computed.reference} varies by {number(row['sd'])} points (sd) from seed to "
        f"seed; a single comparison would need {listing(needed)} points of F1."
    )


def p_text(p: float) -> str:
    """A p-value for a sentence: ``p = 0.03``."""
    if p != p:
        return f"p {tables.MISSING}"
    return f"p {'<' if p < 0.001 else '='} {max(p, 0.001):{'.2g' if p < 0.1 else '.2f'}}"


# --- sections ------------------------------------------------------------------------------------------


def _pictures(pictures: Mapping[str, str], *stems: str) -> list[Picture]:
    return [Picture(stem, pictures[stem]) for stem in stems if stem in pictures]


def _pretraining(computed: Computed, pictures: Mapping[str, str]) -> Section | None:
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
        Column("difference", f"minus {BASE}", "points"),
        Column("p", "p", "p", _two_sided(computed)),
        Column("p_holm", "p (Holm)", "p", "corrected over the table"),
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
        [Listing("pretraining", "The effect of pre-training", table, columns, "pretraining.csv")],
        _pictures(pictures, "figures/pretraining"),
    )


def _best(computed: Computed) -> Section | None:
    if not len(computed.best):
        return None
    ranks, unknown = _by_seeds(computed.ranks)
    keys = ["start", "target"]
    chance = ranks.rename(columns={"source": "best_source"})[[*keys, "best_source", "best_probability"]]
    best = computed.best.merge(chance, how="left", on=[*keys, "best_source"])
    columns = [
        Column("start", "start"),
        Column("target", "target"),
        Column("best_source", "best source"),
        Column("best_probability", "chance that it is", "share", f"share of resamples, {computed.interval}"),
        Column("f1", "F1", "percent"),
        Column("low", "95 % from", "percent"),
        Column("high", "to", "percent"),
        Column("sd", "sd", "percent"),
        Column("n_seeds", "seeds", "count"),
        Column("runner_up", "runner-up"),
        Column("difference", "ahead by", "points"),
        Column("in_language_f1", "own data", "percent", "F1 with train data of the target itself"),
        Column("sources_missing", "missing", "count", "sources without scores on that target, which may be the best"),
    ]
    top = ranks.sort_values([*keys, "best_probability"], ascending=[True, True, False], kind="stable")
    top = top.groupby(keys, sort=False).head(LISTED_RANKS).reset_index(drop=True)
    rank_columns = [
        Column("start", "start"),
        Column("target", "target"),
        Column("source", "source"),
        Column("best_probability", "chance of being best", "share"),
        Column("mean_rank", "mean rank", "number"),
        Column("rank_low", "rank from", "number"),  # of equals the mean of their ranks
        Column("rank_high", "to", "number"),
    ]
    agreement = computed.agreement["kendall_tau_b"].mean()
    paragraphs = ["The best source of every target without data of its own, and how sure that is."]
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
    listings = [Listing("best", "Best zero-shot source by start and target", best, columns, "best_source.csv")]
    if len(top):
        title = f"The {LISTED_RANKS} likeliest best sources"
        listings.append(Listing("ranks", title, top, rank_columns, "statistics/ranks.csv"))
    if len(computed.relations):
        relation_columns = [
            Column("start", "start"),
            Column("relation", "languages"),
            Column("f1", "F1", "percent"),
            Column("sd", "sd", "percent"),
            Column("n_pairs", "pairs", "count"),
            Column("n_seeds", "seeds", "count"),
        ]
        title = "Zero-shot F1 by relatedness"
        listings.append(Listing("relation", title, computed.relations, relation_columns, "by_relation.csv"))
    return Section("best", "Which source, for a target without data", paragraphs, listings)


def _left_out(computed: Computed) -> list[str]:
    """What analyses of pairs of languages say of sources of several."""
    if not computed.several:
        return []
    return [f"Sources of several languages ({listing(computed.several)}) are left out here: they are no language."]


def _several(computed: Computed) -> Section | None:
    table = computed.multi_source
    if not len(table):
        return None
    columns = [
        Column("start", "start"),
        Column("source", "source"),
        Column("target", "target"),
        Column("setting", "setting"),
        Column("f1", "F1", "percent"),
        Column("best_part", "best of its languages"),
        Column("best_part_f1", "F1", "percent"),
        Column("difference", "difference", "points"),
        Column("low", "95 % from", "points", "Student's t over seeds, paired by seed"),
        Column("high", "to", "points"),
        Column("n_seeds", "seeds", "count"),
        Column("parts_missing", "missing", "count", "of its languages, without scores as a source on that target"),
    ]
    complete = table[table["parts_missing"] == 0]
    other = complete[complete["setting"] == multi_source.ZERO_SHOT]
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


FEW_SHOT_FIGURE = "figures/few-shot-"


def lines(table: pd.DataFrame) -> list[str]:
    """What the rows of a learning curve are called: their source, and how the sentences were used."""
    several = table.loc[table["mode"] != ALONE, "mode"].nunique() > 1
    return [
        "none (alone)" if mode == ALONE else f"{source}, {mode}" if several else source
        for source, mode in zip(table["source"], table["mode"], strict=True)
    ]


def _few_shot(computed: Computed, pictures: Mapping[str, str]) -> Section | None:
    table, saved = computed.learning_curves, computed.saved
    if not len(table):
        return None
    names = [Column("start", "start"), Column("target", "target"), Column("source", "source"), Column("mode", "how")]
    curve = [
        *names,
        Column("sentences", "sentences", "count"),
        Column("f1", "F1", "percent"),
        Column("low", "95 % from", "percent", "Student's t over seeds"),
        Column("high", "to", "percent"),
        Column("sd", "sd", "percent"),
        Column("n_seeds", "seeds", "count"),
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


def _ranking(computed: Computed) -> Section:
    title = "Choosing a source for a new language"
    found = computed.ranking
    if isinstance(found, str):
        return Section("ranking", title, [f"Not judged: {found}."])
    columns = [
        Column("start", "start"),
        Column("ranker", "way to rank"),
        Column("label", "what it takes first"),
        Column("regret", "regret", "percent", "F1 points behind the best source, mean over targets"),
        Column("regret_low", "95 % from", "percent"),
        Column("regret_high", "to", "percent"),
        Column("regret_top3", "best of 3", "percent", "regret of the best of the first three"),
        Column("regret_top3_low", "95 % from", "percent"),
        Column("regret_top3_high", "to", "percent"),
        Column("ndcg3_exponential", "NDCG@3", "number", "gain 2^grade - 1, grade 10 for the best source (LangRank)"),
        Column("ndcg3_linear", "linear", "number", "NDCG@3 with the grade itself as gain"),
        Column("kendall_tau_b", "tau-b", "number", "Kendall's, with the true order of all sources"),
        Column("targets", "targets", "count"),
    ]
    each = [
        Column("start", "start"),
        Column("ranker", "way to rank"),
        Column("target", "target"),
        Column("first", "its choice"),
        Column("first_f1", "F1", "percent"),
        Column("best", "best source"),
        Column("best_f1", "F1", "percent"),
        Column("regret", "regret", "percent"),
        Column("kendall_tau_b", "tau-b", "number"),
    ]
    chosen = listing([f"{ranker} from {start}" for start, ranker in found.chosen.items()])
    return Section(
        "ranking",
        title,
        [
            "Had each target been new, which source would have been chosen for it, and how far behind the best one? "
            "The target is left out as target and as source; its labels are not used. Least regret: "
            f"{chosen}. The least of several is a little too good; an interval that reaches another's mean does not "
            "tell the two apart. hindsight is no way to rank: the one source that is best over all targets.",
            "The entry point rank ranks the sources for a new language, with expected F1 and regret; it also judges "
            "LambdaRank (LangRank) and, with an encoder, hidden states; both are left out here for the time they take.",
            *found.words,
            *_left_out(computed),
        ],
        [
            Listing("ranking", "Ways to rank, each target left out", found.table, columns, "ranking/judged.csv"),
            Listing("left_out", "Target by target", found.left_out, each, "ranking/leave_one_out.csv"),
        ],
    )


def _categories(computed: Computed) -> Section:
    columns = [
        Column("category", "category"),
        Column("start", "start"),
        Column("setting", "setting"),
        Column("f1", "F1", "percent"),
        Column("sd", "sd", "percent"),
        Column("n_pairs", "pairs", "count"),
        Column("n_seeds", "seeds", "count"),
    ]
    own = [
        Column("language", "language"),
        Column("role", "start"),
        Column("category", "category"),
        Column("mean", "F1", "percent"),
        Column("sd", "sd", "percent"),
        Column("n", "seeds", "count"),
        Column("difference", f"minus {BASE}", "points"),
    ]
    modes = [
        Column("start", "start"),
        Column("setting", "setting"),
        Column("f1", "F1", "percent"),
        Column("strict_f1", "strict", "percent", "invalid tags belong to no entity"),
        Column("span_f1", "spans", "percent", "first and last word alone, any category"),
        Column("invalid_percent", "invalid tags, % of words", "number"),
        Column("n_pairs", "pairs", "count"),
        Column("n_seeds", "seeds", "count"),
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


def _overlap(computed: Computed, pictures: Mapping[str, str]) -> Section | None:
    if computed.overlap is None:
        return None
    columns = [
        Column("matrix", "matrix"),
        Column("measure", "overlap"),
        Column("method", "correlation"),
        Column("r", "r", "number"),
        Column("p", "p", "p", "two-sided, languages permuted (Mantel)"),
        Column("p_holm", "p (Holm)", "p", "over all matrices and overlaps of a way to correlate"),
        Column("naive_p", "p, naive", "p", "as if pairs of languages were independent, as published"),
        Column("dyads", "pairs", "count"),
    ]
    shown = computed.overlap.associations.dropna(subset=["r"])
    exposure = [
        Column("language", "language"),
        Column("category", "category"),
        Column("seen", "seen in train", "count"),
        Column("entities", "test entities", "count"),
        Column("fraction", "share", "share"),
    ]
    return Section(
        "overlap",
        "Why: shared entities",
        [
            "How much of a target's test entities the source's train split has, and whether F1 goes with it. Pairs of "
            "languages are not as many independent points, so p is by permuting languages. The counts as the "
            "published study made them, over all splits, are in overlap/.",
            *_left_out(computed),
        ],
        [
            Listing("associations", "Overlap and zero-shot F1", shown, columns, "overlap/associations.csv"),
            Listing(
                "exposure", "Test entities that are in the language's own train split", computed.overlap.exposure,
                exposure, "overlap/train_exposure.csv",
            ),
        ],
        _pictures(pictures, "figures/overlap"),
    )  # fmt: skip


def seen_and_unseen(summary: pd.DataFrame) -> pd.DataFrame:
    """F1 of entities that are in train and of those that are not, as `plots.intervals` draws it."""
    rows = summary[summary["attribute"] == "in train"]
    return rows.assign(mean=rows["f1"], bucket=rows["bucket"] + "\n" + rows["setting"]).sort_values(
        "setting", kind="stable", ignore_index=True
    )


def _errors(computed: Computed, pictures: Mapping[str, str]) -> Section | None:
    if computed.errors is None:
        return None
    found = computed.errors.tables
    buckets = [
        Column("start", "start"),
        Column("setting", "setting"),
        *error_pages.BUCKET_COLUMNS,
        Column("n_pairs", "pairs", "count", "pairs of source and target with gold entities in the bucket"),
        Column("gold", "entities", "count", "gold, over all these pairs"),
    ]
    kinds = [
        Column("start", "start"),
        Column("setting", "setting"),
        Column("scores", "scores", "count"),
        *error_pages.KIND_COLUMNS,
    ]
    examples = [Column("target", "target"), *error_pages.EXAMPLE_COLUMNS]
    top = found.examples.groupby("target", sort=False).head(LISTED_EXAMPLES).reset_index(drop=True)
    return Section(
        ERRORS,
        "Errors: which entities are hard",
        [
            "F1 of the entities in a bucket: recall over the gold entities in it, precision over the predicted ones in "
            "it, each put there by its own words, place and category. seen: the source's train split has the same "
            "words as an entity of this category; other category: only of another one; unseen: as none. consistency: "
            "the share of all places in train where these words stand that are an entity of this category. The mean "
            "is over pairs of source and target with gold entities in the bucket; a bucket that fewer pairs have is "
            "not the same mixture of languages. Resamples without a gold entity of the bucket do not count for its "
            "interval, which is too narrow where there are only a few entities."
            + (" A target among the several languages of a source is in neither setting." if computed.several else "")
            + " Every pair is in errors/buckets.csv, every start minus "
            f"{computed.reference} in errors/bucket_gaps.csv (p_holm: over all sources, targets and buckets of a start "
            "and an attribute), categories taken for others in errors/confusion.csv, "
            "and in errors/kinds.csv the kinds of errors of every score, also as nervaluate counts them."
            + _without_errors(computed),
            "Every wrong entity in its sentence, by start, source, seed and kind, on a page for each target:",
        ],
        [
            Listing("buckets", "F1 by kind of entity", found.buckets.summary, buckets, "errors/buckets_summary.csv",
                    _without_mean(found.buckets.summary)),
            Listing("kinds", "Kinds of errors, mean number a score", found.kinds_of_groups, kinds,
                    "errors/kinds_summary.csv"),
            Listing("examples", "Most frequent wrong entities", top, examples, "errors/examples.csv",
                    f"the first {LISTED_EXAMPLES} of every target; all cells together"),
        ],
        _pictures(pictures, "figures/seen"),
        [(f"errors on {name.removesuffix('.html')}", f"{ERRORS}/{name}") for name in computed.errors.pages],
    )  # fmt: skip


def _without_errors(computed: Computed) -> str:
    """How many scores are not analysed, and of which sources and targets; nothing where all are."""
    frame, columns = computed.found.frame, ["start", "source", "seed", "target"]
    scored = frame.loc[(frame["split"] == SPLIT) & (frame["category"] == ALL), columns]
    assert computed.errors is not None
    there = pd.MultiIndex.from_frame(computed.errors.tables.kinds[columns])
    absent = scored[~pd.MultiIndex.from_frame(scored).isin(there)]
    if not len(absent):
        return ""
    named = (f"{what} {listing(list(dict.fromkeys(absent[what])))}" for what in ("source", "target"))
    return (
        f" {len(absent):,} of {count(len(scored), 'score')} are left out, for want of predictions, of the corpus they "
        f"were made on or of that of their source: {'; '.join(named)}."
    )


def _without_mean(summary: pd.DataFrame) -> str:
    """The groups of which no seed has all pairs."""
    rows = summary.loc[summary["missing"] == NO_SEED, ["start", "setting"]].drop_duplicates()
    groups = [f"{start} ({setting})" for start, setting in rows.itertuples(index=False, name=None)]
    return f"{NO_SEED}: {listing(groups)}" if groups else ""


def _representations(computed: Computed, pictures: Mapping[str, str]) -> Section | None:
    found = computed.representations
    if found is None:
        return None
    limits = [Column("low", "95 % from", "share"), Column("high", "to", "share")]
    numbers = [Column("low", "95 % from", "number"), Column("high", "to", "number")]
    reach = [Column("distance_low", "95 % from", "number"), Column("distance_high", "to", "number")]
    accuracy = Column("accuracy", "alignment", "share", "nearest-centre category accuracy, mean over categories")
    distance = Column("distance", "distance", "number", "between the two languages' centres of a category, mean")
    stage = Column("stage", "vectors of", "text", "the start, or its cells, each for the source it is fine-tuned on")
    start, words = Column("start", "start"), Column("words", "words", "count")
    relations = [start, stage, Column("relation", "languages"), accuracy, *limits, distance, *reach,
                 Column("pairs", "pairs", "count")]  # fmt: skip
    alignment = [Column("model", "model"), stage, Column("source", "source"), Column("target", "target"), accuracy,
                 *limits, distance, words]  # fmt: skip
    associations = [
        start, stage, Column("measure", "measure"), Column("method", "correlation"), Column("r", "r", "number"),
        Column("p", "p", "p", "two-sided, languages permuted (QAP)"),
        Column("p_holm", "p (Holm)", "p", "over all starts, stages and measures of a way to correlate"),
        Column("naive_p", "p, naive", "p", "as if pairs of languages were independent"),
        Column("dyads", "pairs", "count"),
    ]  # fmt: skip
    silhouettes = [Column("model", "model"), Column("language", "words of"), Column("by", "grouped by"),
                   Column("silhouette", "silhouette", "number", "-1 to 1"), *numbers, words]  # fmt: skip
    seeds = [
        Column("configuration", "configuration"), Column("language", "words of"),
        Column("compared", "distance between"), Column("within", "within"), Column("distance", "distance", "number"),
        *numbers, Column("pairs", "pairs", "count"),
    ]  # fmt: skip
    similarity = [
        Column("model", "model"), Column("layers", "layers"), Column("other_model", "and"),
        Column("other_layers", "layers"), Column("cka", "CKA", "number"), *numbers, words,
    ]  # fmt: skip
    listings = [
        Listing("relations", "Alignment by relatedness", found.relations, relations, "embeddings/by_relation.csv"),
        Listing("aligned", "Alignment and zero-shot F1", found.associations, associations,
                "embeddings/associations.csv"),
        Listing("alignment", "Alignment by source and target", found.alignment, alignment, "embeddings/alignment.csv"),
        Listing("silhouettes", "Do words group by category, language, family or seed?", found.silhouettes, silhouettes,
                "embeddings/silhouettes.csv"),
        Listing("seeds_apart", "Distances between seeds and between categories", found.seeds, seeds,
                "embeddings/seeds.csv", "Euclidean, between category centres"),
        Listing("cka", "Similarity of models and layers", found.cka, similarity, "embeddings/cka.csv",
                "linear CKA; 1: alike up to rotation and scale" + _not_compared(found)),
    ]  # fmt: skip
    return Section(
        "representations",
        "Why: representations of entity words",
        _representation_words(found),
        [one for one in listings if len(one.frame)],
        _pictures(pictures, *(stem for stem in pictures if stem.startswith(REPRESENTATIONS))),
    )


def _representation_words(found: Representations) -> list[str]:
    used = found.models[found.models["used"]]
    models = used[used["layers"] == found.layers]
    starts = int((models["source"] == "").sum())
    rest = len(found.models) - len(used)
    text = (
        f"Vectors of entity words in the sentences of {found.split}, layers {found.layers} (1 is the last) summed, "
        f"from {count(starts, 'start')} and {count(len(models) - starts, 'cell')}. Intervals resample sentences; drawn "
        "are means by category. docs/representations.md says how to read it."
    )
    left_out = f" {count(rest, 'embedding')} not used: see embeddings/models.csv." if rest else ""
    if found.split != SPLIT:
        left_out += f" F1 is of {SPLIT}: alignment and F1 are of different sentences."
    return [text + left_out, *_relation_words(found.relations), *_alignment_words(found.associations)]


def _not_compared(found: Representations) -> str:
    """How many models and layers CKA leaves out, if any."""
    sides = (found.cka[["model", "layers"]], found.cka[["other_model", "other_layers"]])
    compared = {row for side in sides for row in side.itertuples(index=False, name=None)}
    used = int(found.models["used"].sum())
    left = used - len(compared)
    return (
        f"; {left} of {used} models left out, those compared are spread over starts, sources and layers" if left else ""
    )


def _relation_words(relations: pd.DataFrame) -> list[str]:
    within, across = matrices.RELATIONS[:2]
    texts = []
    for (start, stage), rows in relations.groupby(["start", "stage"], sort=False):
        by = rows.set_index("relation")["accuracy"]
        if within in by and across in by:
            texts.append(
                f"{start} ({stage}) {number(100 * by[within])} % within a family, {number(100 * by[across])} % across"
            )
    return (
        [f"Words that are nearest to the source's centre of their own category: {'; '.join(texts)}."] if texts else []
    )


def _alignment_words(associations: pd.DataFrame) -> list[str]:
    rows = associations[(associations["measure"] == ALIGNMENT) & (associations["method"] == "Spearman")]
    texts = [
        f"{start} ({stage}) r = {number(r, 2)}, {p_text(p)}"
        for start, stage, r, p in rows[["start", "stage", "r", "p_holm"]].itertuples(index=False, name=None)
    ]
    what = "Spearman correlation of zero-shot F1 with it, languages permuted, p corrected by Holm"
    return [f"{what}: {'; '.join(texts)}."] if texts else []


def _certainty(computed: Computed) -> Section:
    differences = [
        Column("start", "start"),
        Column("source", "source"),
        Column("target", "target"),
        Column("difference", f"minus {computed.reference}", "points"),
        Column("low", "95 % from", "points"),
        Column("high", "to", "points"),
        Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p", "over all pairs of that start"),
    ]
    seeds = [
        Column("start", "start"),
        Column("setting", "setting"),
        Column("sd", "sd over seeds", "percent"),
        *(Column(f"seeds_for_{d}_points", f"{d} points", "count") for d in (1, 2, 3, 5)),
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
    single = " Of one seed an interval is over sentences alone, for that very model; its differences are not tested."
    words = [
        f"Intervals of a mean over seeds: {computed.interval}. Intervals and p of a difference: {computed.test}. "
        f"Resampled sentences are the same for all cells of a target.{single if unequal else ''}",
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
        note = "seeds of each configuration for a power of 0.8 at p < 0.05, two-sided t test"
        listings.append(
            Listing(
                "seeds", "How many seeds a difference needs", computed.seeds, seeds, "statistics/seeds_needed.csv", note
            )
        )
    if len(mixed.terms):
        listings.append(Listing("mixed", "Mixed model of F1", mixed.terms, terms, "statistics/mixed_model.csv"))
    return Section("certainty", "How sure", words, listings)


def _mixed_words(mixed: statistics.MixedModel, several: Sequence[str]) -> list[str]:
    without = f", without sources of several languages ({listing(list(several))})" if several else ""
    known = [f"{name} {number(sd)}" for name, sd in mixed.sd.items() if sd == sd]
    fitted = (
        [f"Mixed model of {count(mixed.n, 'score')}{without}: standard deviations in points: {', '.join(known)}."]
        if known
        else []
    )
    return fitted + [f"Mixed model: {warning}." for warning in mixed.warnings]


def _cards(computed: Computed) -> Section | None:
    if not len(computed.cards):
        return None
    fixed = {"model", "start", "source", "seed", "seeds", "selection_split", "selection_f1", "inflation"}
    names = {"model": "model", "start": "start", "source": "language"}
    columns = [Column(name, label) for name, label in names.items()]
    for name in computed.cards.columns:
        if name not in fixed:
            columns.append(Column(name, name.replace("f1/", "F1 ").replace("f1", "F1"), "percent"))
    columns += [
        Column("seed", "seed", "count"),
        Column("inflation", "gain on test", "points", "test F1 if the seed were chosen on test, minus chosen on dev"),
    ]
    chosen = computed.cards["selection_split"].iloc[0]
    return Section(
        "cards",
        "Models: the best seed of every start and source",
        [f"Chosen by F1 on the source's {chosen} split, scored on its {SPLIT} split. LaTeX and Markdown: tables/."],
        [Listing("cards", "Model cards", computed.cards, columns, "model_cards.csv")],
    )


def _figures(pictures: Mapping[str, str]) -> Section | None:
    elsewhere = ("figures/pretraining", "figures/overlap", "figures/seen")
    shown = [
        stem for stem in pictures if stem not in elsewhere and not stem.startswith((REPRESENTATIONS, FEW_SHOT_FIGURE))
    ]
    if not shown:
        return None
    text = "For papers: PDF with embedded fonts, as wide as the text; every number is in the CSV files."
    return Section("figures", "Figures", [text], [], _pictures(pictures, *shown))


READING = [
    ("start", "The checkpoint that fine-tuning began from; own: the one that was adapted to the source language."),
    ("source, target", "The language whose train split was fine-tuned on, and the one whose test split is scored. "
     "Zero-shot: they differ. The outlined places have the source, or one of its languages, as target."),
    ("F1", "An entity counts when its first word, last word and category agree (CoNLL-2003; seqeval's default mode). "
     "Micro: over all entities of the split."),
    ("± sd", "Standard deviation over seeds (n - 1; in the published style n for matrices, pre-training and categories)"
     ": how much a single run varies."),
    ("interval", "95 %, for the mean over seeds: other seeds (Student's t) and other test sentences (bootstrap) "
     "together; other seeds alone where entities are not counted by sentence. With one seed: other sentences alone, "
     "for that very model."),
    ("p (Holm)", "The probability of such a difference if there were none, corrected for all tests of the table."),
    ("avg", "The mean of a row or column, the source as target included; n/a where a number is missing. Of sds on this "
     "page it is their mean; transfer/*.sd.csv has the sd of the average."),
]  # fmt: skip
