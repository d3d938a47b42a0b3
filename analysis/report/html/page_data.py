"""What a study's page shows, as plain values: `analysis.report.sections` fills them, `page` renders them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

from analysis.audit.finding import Finding

Kind = Literal["text", "percent", "points", "number", "p", "count", "share", "runs"]
"""How a column is shown: ``percent`` and ``points`` (a signed difference of percents) with one decimal, ``number`` with
as many decimals in the whole column as give its largest three significant digits, ``p`` as a p-value, ``share`` a
fraction as percent, ``runs`` links to the runs of a configuration ``<start>-<source>``."""


@dataclass(frozen=True)
class Column:
    """A column of a listing: its name in the frame, its head, how it is shown, and what it means for a reader."""

    name: str
    label: str
    kind: Kind = "text"
    help: str = ""


_USUAL = {
    column.name: column
    for column in (
        *(Column(name, name) for name in ("start", "source", "target", "setting", "language", "category")),
        Column("f1", "F1", "percent"),
        Column("sd", "sd", "percent"),
        Column("low", "95 % from", "percent"),
        Column("high", "to", "percent"),
        Column("n_pairs", "pairs", "count"),
        Column("n_seeds", "seeds", "count"),
    )
}


def usual(*names: str) -> list[Column]:
    """The columns of these names as most listings have them; F1, its sd and interval in percent."""
    return [_USUAL[name] for name in names]


@dataclass(frozen=True)
class Listing:
    """A table that can be sorted and downloaded. ``file`` is the CSV with all of it; NaN is shown as n/a."""

    key: str
    title: str
    frame: pd.DataFrame
    columns: Sequence[Column]
    file: str
    note: str = ""


KEPT = ("f1", "mean")
"""Columns that are shown without any number, too: what a table is about."""


def with_numbers(listing: Listing) -> Listing:
    """The table without columns of numbers that have none, such as those of a comparison where there is one start."""
    frame = listing.frame
    columns = [
        column
        for column in listing.columns
        if column.kind in ("text", "runs") or column.name in KEPT or not len(frame) or frame[column.name].notna().any()
    ]
    return replace(listing, columns=columns)


@dataclass(frozen=True)
class Picture:
    """A figure by the stem of its files (PNG and PDF), and what it shows, for those who cannot see it as well."""

    stem: str
    caption: str


def pictured(captions: Mapping[str, str], *stems: str) -> list[Picture]:
    """The figures of these stems that there are, by the captions of all."""
    return [Picture(stem, captions[stem]) for stem in stems if stem in captions]


@dataclass(frozen=True)
class Section:
    """One part of the page: paragraphs in words, links (text, file), then tables and figures."""

    anchor: str
    title: str
    paragraphs: Sequence[str] = ()
    listings: Sequence[Listing] = ()
    pictures: Sequence[Picture] = ()
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Matrix:
    """One transfer matrix, switched on the page.

    ``statistics`` by category (`ALL` first) has the frames ``mean``, ``sd``, ``n``, ``low``, ``high`` (percent, rows x
    targets, without margins); NaN where missing, ``low`` and ``high`` may be absent, and so may targets without the
    category. ``own`` by row: the targets that are not zero-shot there; ``adapted``: those that the
    start was adapted to. ``configurations`` by row is
    ``<start>-<source>``. ``files`` by category: the CSV of ``mean``, ``zero-shot`` (means), ``sd`` and ``difference``.
    """

    name: str
    title: str
    row_name: str
    rows: Sequence[str]
    targets: Sequence[str]
    own: Mapping[str, Sequence[str]]
    configurations: Mapping[str, str]
    statistics: Mapping[str, Mapping[str, pd.DataFrame]]
    files: Mapping[str, Mapping[str, str]]
    adapted: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tile:
    """One number of the summary; ``spread``: its 95 % interval in words."""

    value: str
    label: str
    spread: str = ""


@dataclass(frozen=True)
class Page:
    """Everything on the page. ``answer``: the section that it begins with. ``runs``: (seed, run id) by
    configuration ``<start>-<source>``; ``run_url``: address of a run's page up to its id, empty for a store without
    pages. ``reference``: the start that differences are taken to. ``images``: PNG by stem. ``reading``: terms and
    what they mean."""

    study: str
    lead: str
    findings: Sequence[Finding]
    summary: Sequence[str]
    tiles: Sequence[Tile]
    matrices: Sequence[Matrix]
    reference: str
    sections: Sequence[Section]
    reading: Sequence[tuple[str, str]]
    runs: Mapping[str, Sequence[tuple[int, str]]]
    run_url: str
    uri: str
    images: Mapping[str, bytes]
    files: Sequence[str]
    languages: Mapping[str, str] = field(default_factory=dict)
    answer: Section | None = None
