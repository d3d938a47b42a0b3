"""Sections of a study's page on why it is so: shared entities, representations, errors. Pure."""

from collections.abc import Mapping

import pandas as pd

from analysis.embeddings.alignment import ALIGNMENT, Representations
from analysis.errors.buckets import NO_SEED
from analysis.report.html import error_pages
from analysis.report.html.page_data import Column, Listing, Section, pictured, usual
from analysis.report.study_analysis import SPLIT, Computed
from analysis.statistics.tables import listing, number, p_text
from analysis.transfer import matrices
from nertransfer.core.schema import ALL
from nertransfer.core.text import count

ERRORS = "errors"
"""Folder of the tables and pages of errors, and where they are on the page."""

LISTED_EXAMPLES = 5
"""So many wrong entities of every target are listed on the page."""

REPRESENTATIONS = "figures/embeddings-"
"""What the stems of the section's figures begin with."""


def overlap(computed: Computed, pictures: Mapping[str, str]) -> Section | None:
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
        *usual("language", "category"),
        Column("seen", "seen in train", "count"),
        Column("entities", "test entities", "count"),
        Column("fraction", "share", "share"),
    ]
    return Section(
        "overlap",
        "Why: shared entities",
        [
            "How much of a target's test entities the source's train split has, and whether F1 goes with it. Pairs of "
            "languages are not as many independent points, so p is by permuting languages, in all ways up to nine of "
            "them. The summary speaks of token occurrences, train to test; the others are exploratory. The counts as "
            "the published study made them, over all splits, are in overlap/.",
            *computed.left_out,
        ],
        [
            Listing("associations", "Overlap and zero-shot F1", shown, columns, "overlap/associations.csv"),
            Listing(
                "exposure", "Test entities that are in the language's own train split", computed.overlap.exposure,
                exposure, "overlap/train_exposure.csv",
            ),
        ],
        pictured(pictures, "figures/overlap", "figures/overlap-matrix"),
    )  # fmt: skip


def representations(computed: Computed, pictures: Mapping[str, str]) -> Section | None:
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
        pictured(pictures, *(stem for stem in pictures if stem.startswith(REPRESENTATIONS))),
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


def seen_and_unseen(summary: pd.DataFrame) -> pd.DataFrame:
    """F1 of entities that are in train and of those that are not, as `plots.intervals` draws it."""
    rows = summary[summary["attribute"] == "in train"]
    return rows.assign(mean=rows["f1"], bucket=rows["bucket"] + "\n" + rows["setting"]).sort_values(
        "setting", kind="stable", ignore_index=True
    )


def errors(computed: Computed, pictures: Mapping[str, str]) -> Section | None:
    if computed.errors is None:
        return None
    found = computed.errors.tables
    buckets = [
        *usual("start", "setting"),
        *error_pages.BUCKET_COLUMNS,
        Column("n_pairs", "pairs", "count", "pairs of source and target with gold entities in the bucket"),
        Column("gold", "entities", "count", "gold, over all these pairs"),
    ]
    kinds = [
        *usual("start", "setting"),
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
            f"{computed.reference} in errors/bucket_gaps.csv (p_holm: over all starts, sources, targets and buckets of "
            "an attribute), categories taken for others in errors/confusion.csv, "
            "in errors/suspects.csv gold labels that most models contradict in the same way, and in errors/kinds.csv "
            "the kinds of errors of every score, also as nervaluate counts them."
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
        pictured(pictures, "figures/seen"),
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
