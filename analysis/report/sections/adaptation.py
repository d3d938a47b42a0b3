"""Section of a study's page on adapted starts: what adaptation to a language does, tested. Pure."""

from typing import Any

from analysis.report.html.page_data import Column, Listing, Section
from analysis.report.study_analysis import Computed
from analysis.statistics.tables import number, p_text
from nertransfer.core.schema import ALL


def claims(computed: Computed) -> Section | None:
    table = computed.claims
    if not len(table):
        return None
    columns = [
        Column("claim", "claim"),
        Column("category", "category"),
        Column("difference", "difference", "points", "first minus second, mean over pairs"),
        Column("low", "95 % from", "points", f"other seeds and sentences: {computed.test}"),
        Column("high", "to", "points"),
        Column("p_holm", "p (Holm)", "p", f"corrected over the claims of a category; {computed.two_sided}"),
        Column("languages_low", "languages from", "points", "other languages: Student's t over adapted languages"),
        Column("languages_high", "to", "points"),
        Column("n_pairs", "pairs", "count"),
        Column("pairs_higher", "of them higher", "count", "the first has the higher mean"),
    ]
    told = [
        f"{row.claim.capitalize()}: {number(row.difference, 1, True)} points{_how_sure(row)}. "
        f"({row.first.capitalize()}, minus {row.second}.)"
        for row in table[table["category"] == ALL].itertuples()
    ]
    return Section(
        "adaptation",
        "Adapted starts: does adaptation help?",
        [
            "What adapting a start to a language does to F1, averaged over pairs of source and target. The interval "
            "and p are about other seeds and test sentences; the interval over languages is about other languages: "
            "where it reaches 0, they differ too much for a rule.",
            *told,
        ],
        [Listing("claims", "Adaptation, tested", table, columns, "statistics/claims.csv")],
    )


def _how_sure(row: Any) -> str:
    """Interval, corrected p and interval over languages of a claim, as far as they are known."""
    known = [
        *([f"95 %: {number(row.low, 1, True)} to {number(row.high, 1, True)}"] if row.low == row.low else []),
        *([f"{p_text(row.p_holm)}, corrected"] if row.p_holm == row.p_holm else []),
        *(
            [f"over languages {number(row.languages_low, 1, True)} to {number(row.languages_high, 1, True)}"]
            if row.languages_low == row.languages_low
            else []
        ),
    ]
    return f" ({'; '.join(known)})" if known else ""
