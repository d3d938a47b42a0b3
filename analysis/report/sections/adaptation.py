"""Section of a study's page on adapted starts: what adaptation to a language does, tested. Pure."""

from analysis.report.html.page_data import Column, Listing, Section
from analysis.report.study_analysis import Computed
from analysis.statistics.tables import listing, number, p_text
from analysis.transfer.claims import NO_SEED
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
        Column("p", "p", "p", computed.two_sided),
        Column("p_holm", "p (Holm)", "p", "corrected over this table"),
        Column("languages_low", "languages from", "points", "other languages: Student's t over adapted languages"),
        Column("languages_high", "to", "points"),
        Column("n_pairs", "pairs", "count"),
        Column("pairs_higher", "of them higher", "count", "the first has the higher mean"),
        Column("n_languages", "languages", "count", "that starts were adapted to"),
        Column("n_seeds", "seeds", "count"),
        Column("first", "first"),
        Column("second", "second"),
    ]
    overall = table[table["category"] == ALL]
    told = [
        f"{row.claim} {number(row.difference, 1, True)} points ({p_text(row.p_holm)})"
        for row in overall.itertuples()
        if row.untested != NO_SEED
    ]
    return Section(
        "adaptation",
        "Adapted starts: does adaptation help?",
        [
            "A start that was adapted to a language, against another way to get a model for the same target, averaged "
            "over pairs. The first interval and p are about other seeds and sentences in these languages; the second "
            "interval is about other languages. Where the second reaches 0, languages differ too much for a rule.",
            *([f"Mean over pairs, p corrected (Holm): {listing(told)}."] if told else []),
        ],
        [Listing("claims", "Adaptation, tested", table, columns, "statistics/claims.csv")],
    )
