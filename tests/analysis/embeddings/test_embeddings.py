"""Numbers on representations: against definitions, against libraries, and on vectors whose geometry is known."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from analysis.embeddings import alignment, arrangements, geometry, projections
from analysis.embeddings.alignment import AFTER, BEFORE, Representations
from analysis.reading.files import EMBEDDING_COLUMNS
from analysis.reading.vectors import Embedded, sentence_draws, some_rows
from analysis.report import figures, plots
from analysis.report.sections import reasons
from analysis.statistics import comparison, tables
from analysis.transfer.matrices import Cube

LANGUAGES = ["a", "b", "c", "d", "e"]
FAMILIES = {"a": "north", "b": "north", "c": "south", "d": "south", "e": "isolate"}
CATEGORIES = ["LOC", "ORG", "PER"]
SIZE, EACH = 24, 30


def planted(start: str, source: str | None = None, seed: int | None = None, layers: str = "-2,-1") -> Embedded:
    """Categories point in directions that a family shares; fine-tuning stretches those of the source's family.

    A seed adds a little to every centre.
    """
    rng = np.random.default_rng(0)
    family = {(f, c): 0.35 * rng.normal(size=SIZE) for f in sorted(set(FAMILIES.values())) for c in CATEGORIES}
    offset = {f: 3 * rng.normal(size=SIZE) for f in sorted(set(FAMILIES.values()))}
    noise = np.random.default_rng(1).normal(size=(len(LANGUAGES), len(CATEGORIES), EACH, SIZE))
    moved = np.random.default_rng([7, seed or 0]).normal(size=(len(LANGUAGES), len(CATEGORIES), SIZE))
    words, vectors = [], []
    for (i, language), (j, category) in itertools.product(enumerate(LANGUAGES), enumerate(CATEGORIES)):
        kin = FAMILIES[language]
        stretch = 1.0 if source is None or FAMILIES[source] != kin else 3.0
        for k in range(EACH):
            words.append((language, k // 2, j, category, "B", "w"))
            direction = stretch * family[kin, category]
            vectors.append(offset[kin] + direction + noise[i, j, k] + (seed is not None) * 0.2 * moved[i, j])
    frame = pd.DataFrame(words, columns=["language", "sentence", "word", "category", "tag", "form"])
    array = np.array(vectors, dtype=np.float32)
    groups = frame.groupby(["language", "category"]).indices
    centres = {key: (len(rows), array[rows].mean(axis=0)) for key, rows in groups.items()}
    name = start if source is None else f"{start}-{source}-s{seed}"
    return Embedded(name, start, source, seed, layers, frame, array, centres)


def every_model() -> Iterator[Embedded]:
    yield planted("base")
    yield planted("a")
    for source, seed in (("a", 0), ("a", 1), ("a", 2), ("c", 0), ("d", 0), ("e", 0)):
        yield planted("base", source, seed)
    yield planted("a", "a", 0)
    yield planted("base", layers="-1")


def f1_cube() -> Cube:
    """F1 that is high within a family."""
    same = [[60.0 if FAMILIES[s] == FAMILIES[t] else 20.0 for t in LANGUAGES] for s in LANGUAGES]
    wiggle = np.random.default_rng(3).uniform(-5, 5, (2, 5, 5))
    return Cube([0, 1], LANGUAGES, LANGUAGES, np.array(same) + wiggle)


@pytest.fixture(scope="module")
def found() -> Representations:
    rows = [(m.name, m.start, m.source or "", m.seed, m.layers, "test", True, "", "", "") for m in every_model()]
    models = pd.DataFrame(rows, columns=EMBEDDING_COLUMNS)
    done = alignment.compute(models, every_model(), {"base": f1_cube()}, FAMILIES, LANGUAGES, [], "base")
    assert done is not None
    return done


def test_nothing_embedded_is_nothing_to_show() -> None:
    assert alignment.compute(pd.DataFrame(columns=EMBEDDING_COLUMNS), iter(()), {}, {}, [], [], "base") is None


# --- the planted geometry is found -------------------------------------------------------------------


def test_alignment_is_higher_and_distance_smaller_within_a_family(found: Representations) -> None:
    for (_, stage), rows in found.relations.groupby(["start", "stage"]):
        by = rows.set_index("relation")
        if "within a family" in by.index:
            within, across = by.loc["within a family"], by.loc["across families"]
            assert within["low"] > across["high"], stage
            assert within["distance_high"] < across["distance_low"], stage


def test_relations_count_pairs_of_languages_and_average_seeds_first(found: Representations) -> None:
    """The cells of a have three seeds, those of c and d one."""
    row = found.relations.query("start == 'base' and stage == @AFTER and relation == 'within a family'").squeeze()
    rows = found.alignment.query("start == 'base' and stage == @AFTER")
    kin = rows[[FAMILIES[s] == FAMILIES[t] != "isolate" and s != t
                for s, t in zip(rows["source"], rows["target"], strict=True)]]  # fmt: skip
    assert row["pairs"] == 3 and len(kin) == 5
    for name in ("accuracy", "distance"):
        assert row[name] == pytest.approx(kin.groupby(["source", "target"])[name].mean().mean())


def test_p_of_associations_is_corrected_over_all_of_a_method(found: Representations) -> None:
    for _, rows in found.associations.groupby("method"):
        assert len(rows) == 4  # before and after, alignment and distance
        np.testing.assert_array_equal(rows["p_holm"], comparison.holm(rows["p"]))
    row = found.associations.query("stage == @BEFORE and measure == @alignment.ALIGNMENT and method == 'Spearman'")
    (told,) = reasons._alignment_words(found.associations)
    assert "corrected by Holm" in told and f"base ({BEFORE}) r = " in told
    assert tables.p_text(row["p_holm"].item()) in told and row["p_holm"].item() > row["p"].item()


def test_dev_embeddings_are_called_so_everywhere(found: Representations) -> None:
    done = SimpleNamespace(reference="base", cubes={"base": f1_cube()})
    dev = replace(found, models=found.models.assign(split="dev"))
    for one, label in ((found, "nearest-centre accuracy (%), test"), (dev, "nearest-centre accuracy (%), dev")):
        drawn, captions = figures._representation_figures(done, one)  # type: ignore[arg-type]
        matrix, against = (drawn[f"figures/embeddings-alignment-{name}"] for name in ("start", "start-f1"))
        of_matrix, of_points = ([x for x in each.arguments if isinstance(x, str)] for each in (matrix, against))
        assert label in of_matrix and {label, "zero-shot F1 (%), test"} <= {*of_points}
        apart = "alignment on dev, F1 on test" in captions["figures/embeddings-alignment-start-f1"]
        words = reasons._representation_words(one)[0]
        assert apart == ("F1 is of test: alignment and F1 are of different sentences" in words) == (one is dev)
        assert f"in the sentences of {one.split}," in words


def table_of(names: list[tuple[str, str, int | None, str]], used: bool = True) -> pd.DataFrame:
    rows = [
        (f"{start}-{source}-s{seed}", start, source, seed, layers, "test", used, "", "", "")
        for start, source, seed, layers in names
    ]
    return pd.DataFrame(rows, columns=EMBEDDING_COLUMNS)


def test_models_that_are_compared_are_spread_over_layers_seeds_and_sources() -> None:
    cells = [(start, source, seed) for start in ("base", "a") for source in "abcdefgh" for seed in (0, 1, 2)]
    first = [(*cell, "-2,-1") for cell in cells]
    few = [("base", "", None, layers) for layers in ("-1", "-3")]
    everything = pd.concat([table_of(first + few), table_of([("z", "", None, "-9")], used=False)])
    chosen = alignment.compared(everything, 24)
    assert len(chosen) == 24 and {layers for _, layers in chosen} == {"-2,-1", "-1", "-3"}
    assert {(f"{start}-{source}-s0", "-2,-1") for start in ("base", "a") for source in "abcdefgh"} < chosen
    second = {name for name, _ in chosen if name.endswith("s1")}  # six of sixteen: not the first ones alone
    assert len(second) == 6 and {name.split("-")[0] for name in second} == {"base", "a"}
    assert alignment.compared(table_of(few), 24) == {("base--sNone", "-1"), ("base--sNone", "-3")}
    assert len(alignment.compared(everything, 2)) == 2


def test_models_that_are_not_compared_are_counted(found: Representations) -> None:
    assert reasons._not_compared(found) == ""
    more = pd.concat([found.models, table_of([("x", "y", 0, "-1"), ("x", "z", 0, "-1")])])
    assert reasons._not_compared(replace(found, models=more)).startswith(f"; 2 of {len(more)} models left out")


def test_fine_tuning_lifts_alignment_of_the_sources_family(found: Representations) -> None:
    before = alignment.alignment_matrix(found.alignment, "base", BEFORE)
    after = alignment.alignment_matrix(found.alignment, "base", AFTER)
    assert list(before.index) == list(before.columns) == LANGUAGES and list(after.index) == ["a", "c", "d", "e"]
    assert after.loc["a", "b"] > before.loc["a", "b"]
    mean = found.alignment.query("start == 'base' and source == 'a' and target == 'b' and stage == @AFTER")["accuracy"]
    assert len(mean) == 3 and after.loc["a", "b"] == pytest.approx(mean.mean())


def test_categories_form_groups_where_they_are_planted(found: Representations) -> None:
    table = found.silhouettes.set_index(["model", "language", "by"])["silhouette"]
    for source, others in (("a", "cde"), ("c", "abe")):
        kin = {"a": "b", "c": "d"}[source]
        model = f"base-{source}-s0"
        assert min(table[model, x, "category"] for x in (source, kin)) > max(
            table[model, x, "category"] for x in others
        )
    assert table["base", "all", "family"] > table["base", "all", "language"]
    together = table.sort_index()["base-a, 3 seeds", "all"]
    assert together["seed"] < 0 < together["category"]


def test_f1_goes_with_alignment_and_against_distance(found: Representations) -> None:
    rows = found.associations.query("start == 'base' and stage == @BEFORE and method == 'Pearson'").set_index("measure")
    assert rows.loc["nearest-centre accuracy", "r"] > 0.6 and rows.loc["distance of centres", "r"] < -0.6
    assert rows["p"].between(1 / 120, 0.2).all()  # all 120 orders of five languages
    assert (rows["dyads"] == 20).all()


def test_seeds_are_compared_within_categories_and_categories_within_seeds(found: Representations) -> None:
    rows = found.seeds[found.seeds["language"] == "b"].set_index(["compared", "within"])
    assert list(rows.loc["seeds"].index) == CATEGORIES and list(rows.loc["categories"].index) == [
        "seed 0", "seed 1", "seed 2",
    ]  # fmt: skip
    models = [planted("base", "a", seed) for seed in (0, 1, 2)]
    centre = {(m.seed, c): m.vectors[(m.words[["language", "category"]] == ["b", c]).all(axis=1)].mean(0)
              for m in models for c in CATEGORIES}  # fmt: skip
    pairs = list(itertools.combinations((0, 1, 2), 2))
    expected = np.mean([np.linalg.norm(centre[i, "PER"] - centre[j, "PER"]) for i, j in pairs])
    assert rows.loc[("seeds", "PER"), "distance"] == pytest.approx(expected, rel=1e-4)
    pairs = list(itertools.combinations(CATEGORIES, 2))
    expected = np.mean([np.linalg.norm(centre[1, i] - centre[1, j]) for i, j in pairs])
    assert rows.loc[("categories", "seed 1"), "distance"] == pytest.approx(expected, rel=1e-4)
    assert (rows["low"] < rows["distance"]).all() and (rows["distance"] < rows["high"]).all()


def test_layers_other_than_the_first_are_compared_and_nothing_else(found: Representations) -> None:
    assert found.layers == "-2,-1"
    same = found.cka.query("model == 'base' and other_model == 'base'")
    assert same[["layers", "other_layers"]].to_numpy().tolist() == [["-2,-1", "-1"]]
    assert same["cka"].item() == pytest.approx(1, abs=1e-5)
    assert len(found.alignment.query("model == 'base'")) == 25
    assert not found.cka.query("model == 'base' and other_model == 'base-a-s0'")["cka"].between(0.999, 1.1).any()


def test_the_three_arrangements(found: Representations) -> None:
    names = {one.name: one for one in found.arrangements}
    assert list(names["languages-base"].points["series"].unique()) == LANGUAGES
    assert list(names["models-a"].points["series"].unique()) == ["base", "a", "base → a", "a → a"]
    assert list(names["seeds-base-a-a"].points["series"].unique()) == ["seed 0", "seed 1", "seed 2"]
    assert set(found.points["figure"]) == set(names)
    centre = planted("base").centres["c", "PER"]
    row = found.points.query("figure == 'languages-base' and language == 'c' and category == 'PER'")
    assert row["words"].item() == centre[0] == EACH


def test_models_of_different_sizes_are_not_drawn_together() -> None:
    small = {("a", c): (3, np.eye(3)[i].astype(np.float32)) for i, c in enumerate(CATEGORIES)}
    big = {("a", c): (3, np.eye(5)[i].astype(np.float32)) for i, c in enumerate(CATEGORIES)}
    models = {("base", None, None): ("base", small), ("a", None, None): ("a", big)}
    names = [one.name for one in arrangements.arrangements(models, ["a"], [], "base")]
    assert names == ["languages-base", "languages-a"]


def test_every_centre_is_drawn_in_both_panels(found: Representations) -> None:
    for one in found.arrangements[:3]:
        figure = plots.projections(one.points, "a $title", one.projection.explained, one.projection.stress)
        for axes, prefix in zip(figure.axes, ("pca", "mds"), strict=True):
            drawn = np.concatenate([c.get_offsets() for c in axes.collections])
            expected = one.points[[f"{prefix}_1", f"{prefix}_2"]].to_numpy()
            assert sorted(map(tuple, drawn.round(9))) == sorted(map(tuple, expected.round(9)))
        texts = {t.get_text() for legend in figure.legends for t in legend.get_texts()}
        assert texts == set(one.points["series"]) | set(one.points["category"])
        assert plots.encoded(figure)[0].startswith(b"\x89PNG")


# --- by definition -------------------------------------------------------------------------------------

matrices_of = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed).normal(size=(20, 6)))


@given(matrices_of, matrices_of)
@settings(max_examples=25)
def test_cka_is_the_formula_symmetric_and_blind_to_rotation_and_scale(x: np.ndarray, y: np.ndarray) -> None:
    turned = 3.5 * x @ np.linalg.qr(y[:6])[0] + 7
    found, _ = geometry.cka([x, y, turned], np.ones((2, 20), np.float32))
    a, b = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.norm(b.T @ a) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert found[0, 1] == pytest.approx(expected, abs=1e-5) and found[1, 0] == pytest.approx(expected, abs=1e-5)
    assert found[0, 2] == pytest.approx(1, abs=1e-5) and np.diag(found) == pytest.approx(np.ones(3), abs=1e-5)


@given(matrices_of, matrices_of.map(lambda rows: rows[:9]))
@settings(max_examples=25)
def test_rows_that_are_no_pairs_are_compared_by_centres_and_covariances(x: np.ndarray, y: np.ndarray) -> None:
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    expected = np.sum(a * b) / (np.linalg.norm(a) * np.linalg.norm(b))
    assert geometry.covariance_cosine(x, y) == pytest.approx(expected)
    assert geometry.covariance_cosine(2 * x + 5, y) == pytest.approx(expected) == geometry.covariance_cosine(y, x)
    assert geometry.covariance_cosine(x, x) == pytest.approx(1) and np.isnan(geometry.covariance_cosine(x[:1], y))
    a, b = x.mean(axis=0), y.mean(axis=0)
    assert geometry.centre_cosine(x, y) == pytest.approx(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_a_row_drawn_twice_counts_twice_in_cka() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(12, 5))
    weights = rng.integers(0, 3, 12)
    _, spread = geometry.cka([x, y], np.stack([np.ones(12), weights]).astype(np.float32))
    once = geometry.cka([x, y], np.ones((2, 12), np.float32))[0][0, 1]
    twice = geometry.cka([np.repeat(x, weights, 0), np.repeat(y, weights, 0)], np.ones((2, weights.sum())))[0][0, 1]
    assert spread[0, 1] == pytest.approx(np.std([once, twice], ddof=1), abs=1e-5)


@given(st.integers(0, 1000))
@settings(max_examples=25)
def test_nearest_centre_by_looking_at_each_word(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, centres = rng.normal(size=(15, 4)).astype(np.float32), rng.normal(size=(2, 3, 4)).astype(np.float32)
    gold, draws = rng.integers(0, 3, 15), rng.integers(0, 3, (2, 15)).astype(np.float32)
    expected = []
    for one, weights in zip(centres, draws, strict=True):
        right = [np.argmin([np.linalg.norm(v - c) for c in one]) == g for v, g in zip(vectors, gold, strict=True)]
        shares = [np.average(np.array(right)[gold == c], weights=weights[gold == c])
                  for c in range(3) if weights[gold == c].sum()]  # fmt: skip
        expected.append(np.mean(shares))
    np.testing.assert_allclose(geometry.nearest_centre(vectors, gold, centres, draws), expected, atol=1e-6)


def test_within_a_language_a_word_is_not_part_of_its_own_centre() -> None:
    rng = np.random.default_rng(5)
    vectors, gold = rng.normal(size=(30, 3)), np.arange(30) % 3
    right = []
    for i in range(30):
        others = np.arange(30) != i
        centres = [vectors[others & (gold == c)].mean(0) for c in range(3)]
        right.append(np.argmin([np.linalg.norm(vectors[i] - c) for c in centres]) == gold[i])
    expected = np.mean([np.mean(np.array(right)[gold == c]) for c in range(3)])
    assert geometry.own_centre(vectors, gold, 3) == pytest.approx(expected)
    assert np.isnan(geometry.own_centre(vectors[:4], gold[:4], 3))


def test_silhouettes_are_those_of_scikit_learn_and_none_for_one_group() -> None:
    one = planted("base")
    labels = one.words["category"].to_numpy(str)
    first, second = geometry.silhouettes(one.vectors, [labels, np.full(len(labels), "x")])
    assert first.mean() == pytest.approx(silhouette_score(one.vectors, labels), abs=1e-6)
    assert np.isnan(second).all()


def test_sentences_are_drawn_with_all_their_words_and_alike_for_all_models() -> None:
    words = planted("base").words
    draws = sentence_draws(words, "b", 50)
    sentences = words.loc[words["language"] == "b", "sentence"].to_numpy()
    assert draws.shape == (50, 90)
    for number in set(sentences):
        mine = draws[:, sentences == number]
        assert (mine == mine[:, :1]).all()
    per_sentence = np.stack([draws[:, sentences == n][:, 0] for n in sorted(set(sentences))])
    assert (per_sentence.sum(axis=0) == len(set(sentences))).all() and draws.std() > 0
    assert (sentence_draws(planted("a").words, "b", 50) == draws).all()


def test_rows_to_compare_are_as_many_of_every_language_and_category() -> None:
    words = planted("base").words
    rows = some_rows(words, 100)
    assert set(words.iloc[rows].groupby(["language", "category"]).size()) == {100 // 15}
    assert (np.diff(rows) > 0).all() and len(some_rows(words, 10_000)) == len(words)


# --- projections -----------------------------------------------------------------------------------------


@given(st.integers(0, 500))
@settings(max_examples=10, deadline=None)
def test_points_that_lie_in_a_plane_are_projected_without_loss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=(8, 2)) @ np.linalg.qr(rng.normal(size=(6, 2)))[0].T
    found = projections.project(plane)
    assert sum(found.explained) == pytest.approx(1)
    wanted = np.linalg.norm(plane[:, None] - plane, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(found.pca[:, None] - found.pca, axis=-1), wanted, atol=1e-9)
    again = projections.project(plane)
    assert (again.mds == found.mds).all() and found.stress < 0.2


def test_stress_is_kruskals() -> None:
    distances = np.array([[0, 3, 4], [3, 0, 5], [4, 5, 0]], dtype=float)
    assert projections.stress(distances, np.array([[0, 0], [3, 0], [0, 4]], dtype=float)) == pytest.approx(0)
    placed = np.array([[0, 0], [3, 0], [0, 5]], dtype=float)
    squares = (4 - 5) ** 2 + (5 - np.sqrt(34)) ** 2
    assert projections.stress(distances, placed) == pytest.approx(np.sqrt(squares / (9 + 25 + 34)))


@pytest.mark.parametrize("points", [np.zeros((2, 4)), np.ones((5, 4))])
def test_what_has_no_extent_is_not_projected(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="three points"):
        projections.project(points)
