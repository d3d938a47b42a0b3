"""Does overlap of two languages' entities go with transfer between them? Correlations over dyads. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.statistics import comparison, permutation
from analysis.transfer import overlap
from nertransfer.core.schema import ALL

PERMUTATIONS = 2000
PUBLISHED = "tokens of the target in all splits of the source (as published)"
COLUMNS = ["matrix", "measure", "method", "r", "p", "p_holm", "naive_p", "dyads", "languages"]
POINT_COLUMNS = ["matrix", "source", "target", "overlap", "f1"]


def measures(published: pd.DataFrame, overlaps: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Matrices of overlap over all categories by what they count, rows source, columns target.

    ``published``: of `overlap.published_overlaps`, all categories; ``overlaps``: of `overlap.overlaps`.
    """
    found = {f"{unit}, train to test, share": overlap.pivot(overlaps, ALL, unit) for unit in overlap.UNITS}
    # the published matrix counts the column's tokens that the row has: the column is the target
    return {PUBLISHED: published.astype(float)} | found


def associations(
    means: Mapping[str, pd.DataFrame], overlaps: Mapping[str, pd.DataFrame], sizes: pd.Series
) -> pd.DataFrame:
    """Correlation of zero-shot F1 with every measure of overlap, a row per matrix, measure and method.

    ``means`` by matrix: rows source, columns target, percent; the languages that are both count. ``sizes``: entity
    tokens in the train split of each source, which the partial correlation takes as given. p permutes languages
    (Mantel); ``p_holm`` is over all matrices and measures of a method; ``naive_p`` takes dyads for independent, as
    published.
    """
    rows = []
    for name, mean in means.items():
        languages = [x for x in mean.index if x in mean.columns and all(x in m.index for m in overlaps.values())]
        f1 = mean.loc[languages, languages].to_numpy(float)
        size = np.repeat(sizes.reindex(languages).to_numpy(float)[:, None], len(languages), axis=1)
        for measure, matrix in overlaps.items():
            shared = matrix.loc[languages, languages].to_numpy(float)
            for method, kind, given in (
                ("Pearson", "pearson", None),
                ("Spearman", "spearman", None),
                ("Spearman, given the source's size", "spearman", size),
            ):
                rng = np.random.default_rng(0)
                tested = permutation.mantel(shared, f1, PERMUTATIONS, rng, kind, given)  # type: ignore[arg-type]
                naive = permutation.naive_association(shared, f1, kind) if given is None else None  # type: ignore[arg-type]
                found = (tested.r, tested.p, np.nan, naive.p if naive else np.nan, tested.n, len(languages))
                rows.append((name, measure, method, *found))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(p_holm=comparison.holm_by(table, "method"))


def points(mean: pd.DataFrame, overlap_matrix: pd.DataFrame, name: str) -> pd.DataFrame:
    """The dyads behind a correlation: overlap and F1 of every source and other target."""
    languages: Sequence[str] = [x for x in mean.index if x in mean.columns and x in overlap_matrix.index]
    rows = [
        (name, source, target, float(overlap_matrix.loc[source, target]), float(mean.loc[source, target]))
        for source in languages
        for target in languages
        if source != target
    ]
    return pd.DataFrame(rows, columns=POINT_COLUMNS).dropna(subset=["overlap", "f1"])
