"""Does overlap of two languages' entities go with transfer between them? Correlations over dyads. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.statistics import comparison, permutation
from analysis.statistics.means import Method
from analysis.transfer import overlap
from nertransfer.core.schema import ALL

PUBLISHED = "tokens of the target in all splits of the source (as published)"
COLUMNS = ["matrix", "measure", "method", "r", "p", "p_error", "p_holm", "naive_p", "dyads", "languages"]
POINT_COLUMNS = ["matrix", "source", "target", "overlap", "f1"]


WITHIN = "Pearson, within source and target"
"""Of what the source and the target as a whole do not explain: it alone says something about which source to take."""
_SIZE = "Spearman, given the source's size"
_METHODS: Mapping[str, Method] = {
    "Pearson": "pearson", "Spearman": "spearman", _SIZE: "spearman", WITHIN: "pearson",
}  # fmt: skip


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
    (Mantel), in all ways up to nine of them; ``p_error`` is its standard error, 0 then. ``p_holm`` is over all matrices
    and measures of a method; ``naive_p`` takes dyads for independent, as published.
    """
    common = {
        name: [x for x in mean.index if x in mean.columns and all(x in m.index for m in overlaps.values())]
        for name, mean in means.items()
    }
    found: dict[tuple[str, str, str], tuple] = {}
    for languages in dict.fromkeys(map(tuple, common.values())):  # matrices of the same ones are tested together
        names = [name for name in means if tuple(common[name]) == languages]
        f1 = [means[name].loc[[*languages], [*languages]].to_numpy(float) for name in names]
        size = np.repeat(sizes.reindex(languages).to_numpy(float)[:, None], len(languages), axis=1)
        for measure, matrix in overlaps.items():
            shared = matrix.loc[[*languages], [*languages]].to_numpy(float)
            for method, kind in _METHODS.items():
                rng = np.random.default_rng(0)
                x, ys = shared, f1
                if method == WITHIN:
                    x, *ys = map(permutation.without_effects, [shared, *f1])
                given = size if method == _SIZE else None
                tested = permutation.mantel_each(x, ys, permutation.ALL_OF_NINE, rng, kind, given)
                for name, one, values in zip(names, tested, f1, strict=True):
                    is_plain = method in ("Pearson", "Spearman")
                    naive = permutation.naive_association(shared, values, kind).p if is_plain else np.nan
                    found[name, measure, method] = one.r, one.p, one.error, np.nan, naive, one.n, len(languages)
    rows = [
        (name, measure, method, *found[name, measure, method])
        for name in means for measure in overlaps for method in _METHODS
    ]  # fmt: skip
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
