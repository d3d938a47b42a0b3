"""Correlations of overlap and transfer on matrices made by hand, against numpy and scipy."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics import comparison
from analysis.transfer import association, overlap
from nertransfer.core.options import DataOptions
from nertransfer.core.schema import ALL, SPLITS
from nertransfer.corpora import corpus
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Corpus, Split

LANGUAGES = ["hau", "ibo", "swa", "wol", "yor"]
SHARE = "token occurrences, train to test, share"
METHODS = ["Pearson", "Spearman", "Spearman, given the source's size", association.WITHIN]


def matrix(values: np.ndarray, names: list[str] = LANGUAGES) -> pd.DataFrame:
    return pd.DataFrame(values, index=pd.Index(names, name="source"), columns=pd.Index(names, name="target"))


def random_matrices(seed: int, names: list[str] = LANGUAGES) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """F1 in percent, overlap and training sizes, none of them equal."""
    rng, n = np.random.default_rng(seed), len(names)
    shared = rng.uniform(0, 1, (n, n))
    f1 = 30 + 20 * shared + rng.uniform(0, 30, (n, n))
    return matrix(f1, names), matrix(shared, names), pd.Series(rng.permutation(n) * 100.0 + 50, names)


def off_diagonal(frame: pd.DataFrame, names: list[str]) -> np.ndarray:
    return np.array([frame.loc[a, b] for a in names for b in names if a != b])


def by_method(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("method")


def partial(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """Partial correlation of ranks from the three simple ones."""
    xy, xz, yz = (np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1] for a, b in ((x, y), (x, z), (y, z)))
    return (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))


# --- correlations --------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_correlations_are_those_of_numpy_and_scipy_off_the_diagonal(seed: int) -> None:
    f1, shared, sizes = random_matrices(seed, LANGUAGES[:4])
    names = LANGUAGES[:4]
    found = association.associations({"base": f1}, {"share": shared}, sizes)
    assert list(found.columns) == association.COLUMNS and list(found["method"]) == METHODS
    x, y = off_diagonal(shared, names), off_diagonal(f1, names)
    z = np.array([sizes[a] for a in names for b in names if a != b])
    rows = by_method(found)
    assert rows.loc["Pearson", "r"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert rows.loc["Spearman", "r"] == pytest.approx(stats.spearmanr(x, y)[0])
    assert rows.loc[METHODS[2], "r"] == pytest.approx(partial(x, y, z))
    assert rows.loc["Pearson", "naive_p"] == pytest.approx(stats.pearsonr(x, y)[1])
    assert rows.loc["Spearman", "naive_p"] == pytest.approx(stats.spearmanr(x, y)[1])
    assert math.isnan(rows.loc[METHODS[2], "naive_p"])
    assert set(found["dyads"]) == {12} and set(found["languages"]) == {4}
    assert found["p"].between(0, 1).all()
    assert (24 * found["p"]).tolist() == pytest.approx((24 * found["p"]).round().tolist())  # of all 4! orders


def test_the_diagonal_counts_for_nothing() -> None:
    f1, shared, sizes = random_matrices(1)
    other = f1.mask(np.eye(5, dtype=bool), 99.0), shared.mask(np.eye(5, dtype=bool), np.nan)
    found = association.associations({"base": f1}, {"share": shared}, sizes)
    pd.testing.assert_frame_equal(found, association.associations({"base": other[0]}, {"share": other[1]}, sizes))


def test_transfer_that_follows_overlap_exactly_has_a_correlation_of_one() -> None:
    _, shared, sizes = random_matrices(2)
    found = by_method(association.associations({"base": 10 + 80 * shared}, {"share": shared}, sizes))
    assert found["r"].tolist() == pytest.approx([1] * 4)
    assert found.loc["Pearson", "p"] == pytest.approx(1 / 120)  # of 5 languages' orders only the one there is
    turned = by_method(association.associations({"base": 90 - 80 * shared}, {"share": shared}, sizes))
    assert turned["r"].tolist() == pytest.approx([-1] * 4)


def test_transfer_that_only_follows_the_size_of_the_source_is_explained_by_it() -> None:
    rng, sizes = np.random.default_rng(3), pd.Series([100.0, 200, 300, 400, 500], LANGUAGES)
    column, tables = np.arange(5.0)[:, None], []
    for _ in range(20):
        shared, f1 = (matrix(10 * column + rng.uniform(0, 2, (5, 5))) for _ in range(2))
        tables.append(by_method(association.associations({"base": f1}, {"share": shared}, sizes)))
    mean = pd.concat(tables).groupby(level=0)["r"].mean()
    assert mean["Spearman"] > 0.9 and abs(mean[METHODS[2]]) < 0.15


def test_what_source_and_target_explain_alone_is_no_association_within_them() -> None:
    rng, rows = np.random.default_rng(5), []
    _, _, sizes = random_matrices(3)
    for _ in range(20):
        target = 10 * np.arange(5.0)[None]
        shared, f1 = (matrix(target + rng.uniform(0, 2, (5, 5))) for _ in range(2))
        rows.append(by_method(association.associations({"base": f1}, {"share": shared}, sizes))["r"])
    mean = pd.concat(rows).groupby(level=0).mean()
    assert mean["Pearson"] > 0.9 and abs(mean[association.WITHIN]) < 0.15


def test_the_published_study_goes_with_overlap_more_than_choosing_a_source_does(shared_data: Path) -> None:
    """All 362,880 orders of nine languages."""
    scores = pd.read_csv(shared_data / "published_scores.csv")
    scores = scores[(scores["split"] == "test") & (scores["category"] == ALL) & (scores["start"] == "base")]
    f1 = 100 * scores.groupby(["source", "target"])["f1"].mean().unstack()
    corpora = corpus.load(DataOptions(str(shared_data / "masakhaner"), languages=tuple(f1.columns)))
    share = overlap.pivot(overlap.overlaps(corpora), ALL, overlap.UNITS[0])
    found = by_method(association.associations({"base": f1}, {SHARE: share}, overlap.training_sizes(corpora)))
    assert set(found["dyads"]) == {72} and set(found["p_error"]) == {0}
    assert found.loc["Spearman", ["r", "p"]].tolist() == pytest.approx([0.696, 0.00386], abs=5e-4)
    assert found.loc[association.WITHIN, ["r", "p"]].tolist() == pytest.approx([0.383, 0.0159], abs=5e-4)


def test_dyads_are_counted_without_those_that_are_missing() -> None:
    f1, shared, sizes = random_matrices(4)
    f1.loc["hau", "ibo"] = np.nan
    shared.loc["swa", "wol"] = np.nan
    found = by_method(association.associations({"base": f1}, {"share": shared}, sizes))
    there = f1.notna() & shared.notna() & ~np.eye(5, dtype=bool)
    x, y = shared.to_numpy()[there], f1.to_numpy()[there]
    assert set(found.loc[METHODS[:3], "dyads"]) == {18} == {len(x)}
    assert math.isnan(found.loc[association.WITHIN, "r"])  # of incomplete matrices there are no such residuals
    assert found.loc["Pearson", "r"] == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_only_languages_that_are_source_and_target_and_have_a_corpus_count() -> None:
    f1, shared, sizes = random_matrices(5)
    some = ["swa", "hau", "yor"]
    # wol is no target, ibo has no corpus; the order is that of the means
    means = f1.loc[["swa", "wol", "hau", "ibo", "yor"], ["yor", "ibo", "hau", "swa"]]
    overlaps = {"one": shared.drop(index="ibo", columns="ibo"), "other": shared}
    found = association.associations({"base": means}, overlaps, sizes)
    assert set(found["dyads"]) == {6} and set(found["languages"]) == {3}
    for measure in overlaps:
        rows = by_method(found[found["measure"] == measure])
        assert rows.loc["Pearson", "r"] == pytest.approx(
            np.corrcoef(off_diagonal(shared, some), off_diagonal(f1, some))[0, 1]
        )


def test_every_matrix_has_every_measure_and_method() -> None:
    f1, shared, sizes = random_matrices(6)
    found = association.associations({"base": f1, "own": f1 + 1}, {"one": shared, "two": shared**2}, sizes)
    assert list(found[["matrix", "measure", "method"]].itertuples(index=False, name=None)) == [
        (name, measure, method) for name in ("base", "own") for measure in ("one", "two") for method in METHODS
    ]
    numbers = found.drop(columns="matrix")
    shifted = numbers[found["matrix"] == "own"].reset_index(drop=True)
    pd.testing.assert_frame_equal(numbers[found["matrix"] == "base"].reset_index(drop=True), shifted)


def test_p_is_corrected_over_all_matrices_and_measures_of_a_method() -> None:
    f1, shared, sizes = random_matrices(6)
    other = random_matrices(11)[0]
    found = association.associations({"base": f1, "own": other}, {"one": shared, "two": shared**2}, sizes)
    for method, rows in found.groupby("method"):
        assert len(rows) == 4, method
        np.testing.assert_array_equal(rows["p_holm"], comparison.holm(rows["p"]))
    assert (found["p_holm"] > found["p"]).any()


def test_too_few_languages_have_no_correlation() -> None:
    f1, shared, sizes = random_matrices(7)
    found = association.associations({"base": f1.loc[["hau", "ibo"], ["hau", "ibo"]]}, {"share": shared}, sizes)
    assert found["r"].isna().all() and set(found["dyads"]) == {2}
    nothing = association.associations({"base": f1.loc[["hau"], ["ibo"]]}, {"share": shared}, sizes)
    assert nothing["r"].isna().all() and set(nothing["dyads"]) == {0}


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(LANGUAGES[:4]), seed=st.integers(0, 1000))
def test_the_order_of_languages_changes_no_correlation(order: list[str], seed: int) -> None:
    f1, shared, sizes = random_matrices(seed, LANGUAGES[:4])
    first = association.associations({"base": f1}, {"share": shared}, sizes)
    second = association.associations({"base": f1.loc[order, order]}, {"share": shared}, sizes[order])
    pd.testing.assert_frame_equal(first, second)  # up to 6 languages all orders are tried: p is exact, too


def test_p_is_of_all_orders_up_to_nine_languages() -> None:
    names = [f"l{i}" for i in range(8)]
    f1, _, sizes = random_matrices(8, names)
    _, shared, _ = random_matrices(9, names)  # next to no correlation: p is not the smallest possible
    first, second = (association.associations({"base": f1}, {"share": shared}, sizes) for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    counts = first["p"] * math.factorial(8)
    assert counts.to_numpy() == pytest.approx(counts.round().to_numpy()) and first["p"].min() > 0.01
    assert set(first["p_error"]) == {0}


def test_p_of_more_languages_is_drawn_and_its_error_told() -> None:
    names = [f"l{i}" for i in range(11)]
    f1, _, sizes = random_matrices(8, names)
    _, shared, _ = random_matrices(9, names)
    first, second = (association.associations({"base": f1}, {"share": shared}, sizes) for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert (first["p_error"] > 0).all() and (first["p_error"] < 0.06 * first["p"]).all()


# --- the points behind them ----------------------------------------------------------------------------------


def test_points_are_the_dyads_of_the_two_matrices() -> None:
    f1, shared, _ = random_matrices(9)
    f1.loc["hau", "ibo"] = np.nan
    shared.loc["ibo", "swa"] = np.nan
    means = f1[["yor", "swa", "ibo", "hau"]]  # wol is no target
    found = association.points(means, shared, "base")
    assert list(found.columns) == association.POINT_COLUMNS and set(found["matrix"]) == {"base"}
    names = ["hau", "ibo", "swa", "yor"]
    wanted = [(a, b) for a in names for b in names if a != b and (a, b) not in (("hau", "ibo"), ("ibo", "swa"))]
    assert list(found[["source", "target"]].itertuples(index=False, name=None)) == wanted
    for row in found.itertuples():
        assert (row.overlap, row.f1) == (shared.loc[row.source, row.target], f1.loc[row.source, row.target])
    r = by_method(association.associations({"base": means}, {"share": shared}, pd.Series(1.0, LANGUAGES)))["r"]
    assert r["Pearson"] == pytest.approx(np.corrcoef(found["overlap"], found["f1"])[0, 1])


def test_points_of_nothing_have_their_columns() -> None:
    f1, shared, _ = random_matrices(10)
    assert list(association.points(f1.loc[["hau"], ["hau"]], shared, "base").columns) == association.POINT_COLUMNS
    assert association.points(f1.loc[["hau"], ["hau"]], shared, "base").empty


# --- what is correlated with ---------------------------------------------------------------------------------


def corpus_of(language: str, **entities: str) -> Corpus:
    """Splits of one sentence each, every word a person."""
    splits = {}
    for name in SPLITS:
        words = tuple(entities.get(name, "x").split())
        splits[name] = Split(language, name, (Sentence(words, ("B-PER",) * len(words)),), "")
    return Corpus(language, splits)


CORPORA = {
    "hau": corpus_of("hau", train="Abuja Kano", dev="Musa", test="Lagos Lagos Kano"),
    "swa": corpus_of("swa", train="Lagos Musa", dev="Nairobi", test="Kano Kano Kano Musa"),
}


def test_the_measures_are_the_published_counts_and_the_shares_of_test_that_train_has() -> None:
    found = association.measures(overlap.published_overlaps(CORPORA, [ALL])[ALL], overlap.overlaps(CORPORA))
    assert list(found) == [association.PUBLISHED, *(f"{unit}, train to test, share" for unit in overlap.UNITS)]
    published = found[association.PUBLISHED]
    # what of the target, every occurrence in all splits, the source has in any split
    assert published.loc["hau", "swa"] == 6  # Lagos, Musa, Kano 3 times, Musa; Nairobi is not there
    assert published.loc["swa", "hau"] == 5  # Kano, Musa, Lagos twice, Kano; Abuja is not there
    share = found[SHARE]
    assert share.loc["hau", "swa"] == pytest.approx(3 / 4)  # Kano 3 times of 4 words of swa's test
    assert share.loc["swa", "hau"] == pytest.approx(2 / 3)
    for one in found.values():
        assert (one.index.name, one.columns.name) == ("source", "target")
        assert list(one.index) == list(one.columns) == ["hau", "swa"] and set(one.dtypes) == {np.dtype(float)}


def test_a_source_that_has_what_the_target_needs_is_a_better_source() -> None:
    """The direction: rows of both matrices are sources."""
    corpora = {
        "hau": corpus_of("hau", train="a b c d", test="a e"),
        "swa": corpus_of("swa", train="a f", test="b c d"),
        "wol": corpus_of("wol", train="g", test="a b f"),
    }
    table = overlap.overlaps(corpora)
    shared = association.measures(overlap.published_overlaps(corpora, [ALL])[ALL], table)[SHARE]
    assert shared.loc["hau", "swa"] == 1 and shared.loc["swa", "hau"] == 0.5  # the matrix is not symmetric
    means = 100 * shared
    found = association.associations({"base": means}, {SHARE: shared}, overlap.training_sizes(corpora))
    assert by_method(found).loc["Pearson", "r"] == pytest.approx(1)
    turned = association.associations({"base": means.T}, {SHARE: shared}, overlap.training_sizes(corpora))
    assert by_method(turned).loc["Pearson", "r"] < 0.9
    top = association.points(means, shared, "base").sort_values("overlap").iloc[-1]
    assert (top["source"], top["target"], top["f1"]) == ("hau", "swa", 100)
