"""A page for each target: what is wrong there, in tables, and every wrong entity in its sentence, to be filtered. Pure.

The pages stand beside the report's own and need no server.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import pandas as pd

from analysis.errors import kinds as error_kinds
from analysis.errors.buckets import AMONG, SETTINGS, setting_of, stacked
from analysis.errors.entities import Tagged
from analysis.errors.kinds import KINDS, MOST, Errors, Wrong, kinds_of_wrong
from analysis.errors.suspects import COLUMNS, suspects
from analysis.report.html import page
from analysis.report.html.page_data import Column, Listing, usual
from nertransfer.core.grid import Place
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.languages import LANGUAGES
from nertransfer.corpora.words import OUTSIDE

EXAMPLE_COLUMNS = [
    Column("kind", "kind"),
    Column("gold", "gold"),
    Column("gold_category", "category"),
    Column("predicted", "predicted"),
    Column("predicted_category", "category"),
    Column("count", "times", "count", "in all models"),
    Column("cells", "models", "count"),
    Column("example", "example", "text", "[gold], {predicted}"),
]
BUCKET_COLUMNS = [
    Column("attribute", "attribute"),
    Column("bucket", "bucket"),
    *usual("f1", "low", "high", "n_seeds"),
]
KIND_COLUMNS = [
    Column("correct", "correct", "number"),
    Column("boundary", "boundary", "number", "right category, other first or last word"),
    Column("type", "type", "number", "right words, other category"),
    Column("boundary and type", "both", "number", "they overlap, and that is all"),
    Column("missing", "missing", "number", "a gold entity without a predicted one"),
    Column("spurious", "spurious", "number", "a predicted entity without a gold one"),
]
AS = "as "
SUSPECT_COLUMNS = ["target", *COLUMNS]
SUSPECTS_SHOWN = 50
OF_EACH = "the CSV has the numbers of each model, on all targets; these are means of them"


@dataclass(frozen=True)
class ErrorReport:
    """The tables of errors of a study, suspect gold labels, and a page for each target: HTML by file name."""

    tables: Errors
    suspects: pd.DataFrame
    pages: Mapping[str, str]


def analyse(
    study: str,
    index: str,
    files: Mapping[Place, bytes],
    corpora: Mapping[str, Corpus],
    targets: Sequence[str],
    groups: Mapping[str, Sequence[tuple[str, str]]],
    reference: str,
) -> ErrorReport | None:
    """`analysis.errors.kinds.analyse` with its pages. ``index``: address of the report's own page from theirs."""
    made = error_kinds.analyse(files, corpora, targets, groups, reference)
    if made is None:
        return None
    tables, found, wrong = made
    suspect = {target: suspects(found[target], one) for target, one in wrong.items()}
    listed = stacked([rows.assign(target=target) for target, rows in suspect.items()], SUSPECT_COLUMNS)
    return ErrorReport(tables, listed, pages(study, index, reference, tables, found, wrong, suspect))


@dataclass(frozen=True)
class Link:
    """Another target's page."""

    target: str
    file: str


def file_name(target: str) -> str:
    """The page's name beside the tables of errors. Languages have plain codes."""
    return f"{target}.html"


def pages(
    study: str,
    index: str,
    reference: str,
    tables: Errors,
    found: Mapping[str, Tagged],
    wrong: Mapping[str, Wrong],
    suspect: Mapping[str, pd.DataFrame],
) -> dict[str, str]:
    """HTML by file name."""
    links = [Link(target, quote(file_name(target))) for target in found]
    return {
        file_name(target): page.filled(
            "errors.html.j2",
            ["errors.js"],
            study=study,
            index=index,
            target=target,
            name=LANGUAGES[target].name if target in LANGUAGES else "",
            links=links,
            models=len(one.cells),
            listings=[*_listings(target, reference, one, tables), _suspects(suspect[target])],
            cells=lambda listing: page.listing_rows(listing, {}),
            run_url="",
            data=page.embedded(dict(page.LISTINGS_DATA)),
            errors=page.embedded(script_data(one, wrong[target])),
        )
        for target, one in found.items()
    }


def script_data(found: Tagged, wrong: Wrong) -> dict:
    """What the script filters.

    ``cells``: [start, source, seed] with the first two as indices into ``starts`` and ``sources``; ``sentences``: their
    words; ``entities``: [sentence, first word in it, number of words, category]; ``wrong``: [gold entity, predicted
    entity, kind, cells], -1 for no entity.
    """
    starts = list(dict.fromkeys(start for start, _, _ in found.cells))
    unique = found.kinds
    used = np.unique(np.concatenate([wrong.gold, wrong.predicted]))
    used = used[used >= 0]
    place = np.full(len(unique.first) + 1, -1)  # the last one stands for no entity
    place[used] = np.arange(len(used))
    begins = np.append(0, found.ends[:-1])[unique.sentence[used]] if len(used) else used
    first, end, category = unique.first[used], unique.end[used], unique.category[used]
    entities = np.stack([unique.sentence[used], first - begins, end - first, category], axis=1)
    cells = np.split(wrong.cells, wrong.begin[1:-1]) if len(wrong.gold) else []
    kinds = kinds_of_wrong(found, wrong).tolist()
    sides = zip(place[wrong.gold].tolist(), place[wrong.predicted].tolist(), kinds, cells, strict=True)
    return {
        "starts": starts,
        "sources": found.sources,
        "cells": [[starts.index(start), found.sources.index(source), int(seed)] for start, source, seed in found.cells],
        "categories": list(found.categories),
        "kinds": list(KINDS),
        "sentences": [list(sentence.words) for sentence in found.sentences],
        "entities": entities.tolist(),
        "wrong": [[gold, predicted, kind, which.tolist()] for gold, predicted, kind, which in sides],
    }


def _listings(target: str, reference: str, found: Tagged, tables: Errors) -> Sequence[Listing]:
    kinds = tables.kinds[tables.kinds["target"] == target].rename(columns={f"error {kind}": kind for kind in KINDS})
    by_configuration = kinds.groupby(["start", "source"], sort=False).agg(
        seeds=("seed", "size"), **{kind: (kind, "mean") for kind in KINDS}
    )
    buckets = tables.buckets.table[tables.buckets.table["target"] == target]
    confused = confusion(target, found, tables.confusion)
    buckets = buckets[buckets["start"] == reference]  # of all starts it would be a thousand rows
    return [
        Listing(
            "kinds",
            "Kinds of errors, mean number a model",
            by_configuration.reset_index(),
            [Column("start", "start"), Column("source", "source"), Column("seeds", "seeds", "count"), *KIND_COLUMNS],
            "kinds.csv",
            OF_EACH,
        ),
        Listing(
            "confusion",
            "Confusion matrix, mean number of entities per model",
            confused,
            [
                Column("setting", "setting"),
                Column("gold", "gold", "text", f"{OUTSIDE}: no gold entity has these words"),
                *(Column(name, name, "number") for name in confused if name.startswith(AS)),
                Column("gold_entities", "gold entities", "count", "in the split"),
            ],
            "confusion.csv",
            f"columns: the predicted category of the same words, {OUTSIDE} if none; {OF_EACH}",
        ),
        Listing(
            "buckets",
            f"F1 by kind of entity, start {reference}",
            buckets,
            [
                *usual("start", "source"),
                *BUCKET_COLUMNS,
                Column("gold", "gold", "count", "entities in the bucket"),
            ],
            "buckets.csv",
        ),
        Listing(
            "examples",
            "Most frequent wrong entities",
            tables.examples[tables.examples["target"] == target],
            EXAMPLE_COLUMNS,
            "examples.csv",
            f"the first {MOST}; the same words with the same categories count together, wherever they stand",
        ),
    ]


def _suspects(rows: pd.DataFrame) -> Listing:
    return Listing(
        "suspects",
        "Suspect labels: gold that models contradict with one voice",
        rows.head(SUSPECTS_SHOWN),
        [
            Column("kind", "kind"),
            Column("gold", "gold"),
            Column("gold_category", "category"),
            Column("suggested", "suggested"),
            Column("suggested_category", "category"),
            Column("support", "support", "share", "of the votes; a model votes with the odds of its F1 on the target"),
            Column("gold_support", "for gold", "share", "of the votes"),
            Column("models", "models", "count", "that make the suggestion"),
            Column("sentence", "sentence", "count", "in the test split, from 1"),
            Column("text", "text", "text", "[gold], {suggested}"),
        ],
        "suspects.csv",
        f"the first {SUSPECTS_SHOWN} of {len(rows)}; to be looked at by people: models that were trained under other "
        "guidelines agree, too. No score takes them into account.",
    )


def confusion(target: str, found: Tagged, table: pd.DataFrame) -> pd.DataFrame:
    """The confusion matrix of every setting, one below the other: columns setting, gold, ``as <category>`` for each
    predicted category and `OUTSIDE` (mean number of entities per model), and gold_entities (NaN for `OUTSIDE`)."""
    rows = table[table["target"] == target]
    rows = rows.assign(setting=[setting_of(source, target) for source in rows["source"]])
    models = Counter(setting_of(source, target) for _, source, _ in found.cells)
    names = [*found.categories, OUTSIDE]
    summed = rows.groupby(["setting", "gold", "predicted"], sort=False)["count"].sum()
    settings = [name for name in (*SETTINGS, AMONG) if name in models]
    places = pd.MultiIndex.from_product([settings, names], names=["setting", "gold"])
    wide = summed.unstack("predicted", fill_value=0).reindex(index=places, columns=names, fill_value=0)
    mean = wide.div([models[setting] for setting, _ in places], axis=0).add_prefix(AS)
    gold_entities = np.bincount(found.gold_category, minlength=len(found.categories))
    support = dict(zip(found.categories, gold_entities, strict=True))
    return mean.assign(gold_entities=[support.get(gold, np.nan) for _, gold in places]).reset_index()
