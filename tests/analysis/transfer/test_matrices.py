"""Matrices and what is read off them, against plain Python."""

import itertools
import math
import statistics
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import published_frames
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analysis.report import plots
from analysis.transfer import matrices

COLUMNS = ["start", "source", "seed", "target", "split", "category", "precision", "recall", "f1", "support"]
LANGUAGES = ["hau", "ibo", "swa"]


def frame_of(scores: dict[tuple[str, int, str], float], start: str = "base", category: str = "ALL") -> pd.DataFrame:
    """Scores by (source, seed, target) as a tidy frame."""
    rows = [
        (start, source, seed, target, "test", category, value, value, value, 10)
        for (source, seed, target), value in scores.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def scores(seeds: tuple[int, ...] = (0, 1, 2)) -> dict[tuple[str, int, str], float]:
    """Distinct fractions for all of three languages."""
    return {
        (source, seed, target): 0.2 + 0.1 * i + 0.03 * j * j + 0.011 * seed * (i + 1) + (0.3 if i == j else 0)
        for i, source in enumerate(LANGUAGES)
        for j, target in enumerate(LANGUAGES)
        for seed in seeds
    }


def matrix(frame: pd.DataFrame, statistic: str = "mean", margins: bool = True) -> pd.DataFrame:
    """As a report shows them: an average is that of the numbers shown, also where seeds are unequal."""
    found = matrices.cube(frame, "base", LANGUAGES, LANGUAGES)
    if not margins:
        return found.statistic(statistic)  # type: ignore[arg-type]
    if statistic == "mean":
        return matrices.with_average(found.statistic("mean"))
    return found.with_averages().statistic(statistic)  # type: ignore[arg-type]


def test_mean_sd_and_averages_are_those_of_plain_python() -> None:
    table = scores()
    frame = frame_of(table)
    mean, sd, n = (matrix(frame, s) for s in ("mean", "sd", "n"))
    for source in LANGUAGES:
        for target in LANGUAGES:
            values = [100 * table[source, seed, target] for seed in range(3)]
            assert mean.loc[source, target] == pytest.approx(statistics.mean(values))
            assert sd.loc[source, target] == pytest.approx(statistics.stdev(values))  # ddof=1
            assert n.loc[source, target] == 3
        rows = [100 * statistics.mean(table[source, seed, t] for t in LANGUAGES) for seed in range(3)]
        assert mean.loc[source, "avg"] == pytest.approx(statistics.mean(rows))
        assert sd.loc[source, "avg"] == pytest.approx(statistics.stdev(rows))
    assert mean.loc["avg", "avg"] == pytest.approx(100 * statistics.mean(table.values()))


def test_one_seed_has_no_sd() -> None:
    assert matrix(frame_of(scores((4,))), "sd").isna().all(axis=None)


def test_an_incomplete_row_or_column_has_no_average() -> None:
    table = scores()
    for seed in range(3):
        del table["ibo", seed, "swa"]
    mean = matrix(frame_of(table))
    assert math.isnan(mean.loc["ibo", "swa"])
    nan = {(r, c) for r in mean.index for c in mean.columns if math.isnan(mean.loc[r, c])}
    assert nan == {("ibo", "swa"), ("ibo", "avg"), ("avg", "swa"), ("avg", "avg")}


def test_a_lost_seed_counts_in_its_place_and_leaves_the_others() -> None:
    table = scores()
    del table["ibo", 2, "swa"]
    frame = frame_of(table)
    mean, n = matrix(frame), matrix(frame, "n")
    assert n.loc["ibo", "swa"] == 2 and n.loc["ibo", "hau"] == 3
    assert mean.loc["ibo", "swa"] == pytest.approx(50 * (table["ibo", 0, "swa"] + table["ibo", 1, "swa"]))
    cube = matrices.cube(frame, "base", LANGUAGES, LANGUAGES)
    average = matrices.pair_average(cube, matrices.zero_shot(cube))
    pairs = [(a, b) for a in LANGUAGES for b in LANGUAGES if a != b]
    whole = [100 * statistics.mean(table[a, seed, b] for a, b in pairs) for seed in (0, 1)]
    assert (average.n, average.pairs) == (2, 6)
    assert average.mean == pytest.approx(statistics.mean(whole))
    assert average.sd == pytest.approx(statistics.stdev(whole))


def test_two_scores_for_one_place_are_refused() -> None:
    frame = frame_of(scores())
    with pytest.raises(ValueError, match="two scores"):
        matrices.cube(pd.concat([frame, frame.head(1)]), "base")


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(27)), dropped=st.sets(st.integers(0, 26), max_size=6))
def test_the_order_of_rows_changes_nothing(order: list[int], dropped: set[int]) -> None:
    frame = frame_of(scores()).drop(index=sorted(dropped))
    mixed = frame.loc[[i for i in order if i not in dropped]]
    for statistic in ("mean", "sd", "n"):
        pd.testing.assert_frame_equal(matrix(frame, statistic), matrix(mixed, statistic), check_exact=True)
    cubes = [{"base": matrices.cube(f, "base", LANGUAGES, LANGUAGES)} for f in (frame, mixed)]
    pd.testing.assert_frame_equal(*map(matrices.best_sources, cubes), check_exact=True)


@settings(max_examples=40, deadline=None)
@given(names=st.permutations([7, 11, 13]))
def test_which_seed_is_which_changes_nothing(names: list[int]) -> None:
    table = scores()
    renamed = {(source, names[seed], target): value for (source, seed, target), value in table.items()}
    for statistic in ("mean", "sd"):
        first, second = matrix(frame_of(table), statistic, False), matrix(frame_of(renamed), statistic, False)
        pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_best_source_leaves_the_target_out_and_names_the_runner_up() -> None:
    table = scores()
    cube = matrices.cube(frame_of(table), "base", LANGUAGES, LANGUAGES)
    best = matrices.best_sources({"base": cube}).set_index("target")
    for target in LANGUAGES:
        means = {
            s: 100 * statistics.mean(table[s, seed, target] for seed in range(3)) for s in LANGUAGES if s != target
        }
        second, first = sorted(means, key=means.__getitem__)
        assert (best.loc[target, "best_source"], best.loc[target, "runner_up"]) == (first, second)
        assert best.loc[target, "difference"] == pytest.approx(means[first] - means[second])
    assert list(best["sources_missing"]) == [0, 0, 0]


def test_relations() -> None:
    families = {"hau": "one", "ibo": "one", "swa": "isolate"}
    table = scores()
    cube = matrices.cube(frame_of(table), "base", LANGUAGES, LANGUAGES)
    found = matrices.by_relation({"base": cube}, families).set_index("relation")
    assert list(found.index) == ["within a family", "to or from an isolate"]
    assert list(found["n_pairs"]) == [2, 4]
    seeds = [50 * (table["hau", s, "ibo"] + table["ibo", s, "hau"]) for s in range(3)]
    assert found.loc["within a family", "f1"] == pytest.approx(statistics.mean(seeds))
    assert found.loc["within a family", "sd"] == pytest.approx(statistics.stdev(seeds))
    assert not len(matrices.by_relation({"base": cube}, {}))


def test_a_category_counts_where_the_gold_tags_have_it() -> None:
    frame = frame_of(scores(), category="PER")
    frame.loc[frame["target"] == "swa", "support"] = 0
    axes = {"base": (LANGUAGES, LANGUAGES)}
    found = matrices.by_category(frame, axes).set_index("setting")
    assert list(found["n_pairs"]) == [2, 4]  # targets hau and ibo
    assert found.loc["in-language", "n_seeds"] == 3


def test_identical_cells_are_found() -> None:
    table = scores()
    for target in LANGUAGES:
        table["ibo", 1, target] = table["hau", 2, target]
    assert matrices.identical_cells(frame_of(table)) == [[("base", "hau", 2), ("base", "ibo", 1)]]
    assert matrices.identical_cells(frame_of(scores())) == []


def test_missing_names_the_reason() -> None:
    table = {key: value for key, value in scores().items() if key[:2] not in (("ibo", 0), ("ibo", 1), ("swa", 2))}
    del table["hau", 0, "swa"]
    frame = frame_of(table)
    frame = pd.concat([frame, frame.assign(split="dev")])
    cells = pd.DataFrame(
        [("base", "hau", 0, "FINISHED"), ("base", "ibo", 0, "KILLED"), ("base", "ibo", 0, "FAILED"),
         ("base", "swa", 2, "RUNNING")], columns=["start", "source", "seed", "status"],
    )  # fmt: skip
    plan = {"starts": ["base"], "sources": LANGUAGES, "targets": LANGUAGES, "seeds": [0, 1, 2]}
    plan["pairs"] = [("base", source) for source in LANGUAGES]
    found = matrices.missing(frame, cells, plan)
    reasons = {(r.source, r.seed): (r.reason, r.scores) for r in matrices.missing_cells(found).itertuples()}
    assert reasons == {("hau", 0): ("not scored", 2), ("ibo", 0): ("failed", 6),
                       ("ibo", 1): ("never run", 6), ("swa", 2): ("running", 6)}  # fmt: skip


# --- parts of a matrix, and the order of its languages -------------------------------------------------


def square(values: np.ndarray | list, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(values, pd.Index(names, name="source"), pd.Index(names, name="target"), dtype=float)


def test_masked_has_what_is_shown_and_its_averages() -> None:
    table = scores((0,))
    whole = matrix(frame_of(table), margins=False)
    shown = ~np.eye(3, dtype=bool)
    found = matrices.masked(whole, shown)
    assert list(found.index) == list(found.columns) == [*LANGUAGES, "avg"]
    assert (found.index.name, found.columns.name) == ("source", "target")
    for a in LANGUAGES:
        others = [name for name in LANGUAGES if name != a]
        assert math.isnan(found.loc[a, a])
        assert found.loc[a, others].tolist() == whole.loc[a, others].tolist()
        assert found.loc[a, "avg"] == pytest.approx(statistics.mean(whole.loc[a, b] for b in others))
        assert found.loc["avg", a] == pytest.approx(statistics.mean(whole.loc[b, a] for b in others))
    pairs = [whole.loc[a, b] for a in LANGUAGES for b in LANGUAGES if a != b]
    assert found.loc["avg", "avg"] == pytest.approx(statistics.mean(pairs))


def test_masked_averages_leave_out_what_is_hidden_and_not_what_is_missing() -> None:
    whole = square([[1, 2, 3], [4, 5, np.nan], [7, np.nan, 9]], LANGUAGES)
    shown = np.array([[True, True, False], [True, True, True], [True, False, False]])
    found = matrices.masked(whole, shown)
    assert found.loc["hau", "avg"] == 1.5 and found.loc["swa", "avg"] == 7
    assert math.isnan(found.loc["ibo", "avg"])  # shown, and not there
    assert found.loc["avg", ["hau", "ibo"]].tolist() == [4, 3.5] and math.isnan(found.loc["avg", "swa"])
    assert math.isnan(found.loc["avg", "avg"])
    nothing = matrices.masked(whole, np.zeros((3, 3), dtype=bool))
    assert nothing.isna().all(axis=None) and nothing.shape == (4, 4)


def test_masked_with_everything_shown_is_the_matrix_with_averages() -> None:
    whole = matrix(frame_of(scores()), margins=False)
    pd.testing.assert_frame_equal(
        matrices.masked(whole, np.ones((3, 3), dtype=bool)), matrices.with_average(whole), rtol=1e-12
    )


def test_margins_tell_zero_shot_from_in_language() -> None:
    table = scores((0,))
    whole = matrix(frame_of(table), margins=False)
    own = np.eye(3, dtype=bool)
    found = matrices.with_margins(whole, own)
    assert list(found.index) == [*LANGUAGES, "zero-shot"]
    assert list(found.columns) == [*LANGUAGES, "zero-shot", "in-language"]
    pd.testing.assert_series_equal(
        found["zero-shot"], matrices.masked(whole, ~own)["avg"].set_axis(found.index), check_names=False
    )
    assert found.loc[LANGUAGES, "in-language"].tolist() == np.diag(whole).tolist()
    assert found.loc["zero-shot", "in-language"] == pytest.approx(np.diag(whole).mean())
    one_kind = matrices.with_margins(whole.where(own), own)  # a study in one language each has no zero-shot average
    assert list(one_kind.index) == LANGUAGES and list(one_kind.columns) == [*LANGUAGES, "in-language"]


def test_published_sources_are_ranked_by_zero_shot_f1_alone(shared_data: Path) -> None:
    """With the score on itself in the average, swa was before kin: 58.1 and 57.1."""
    frame = published_frames.every_published_score(shared_data)
    names = sorted(set(frame["target"]))
    mean = matrices.cube(frame, "base", names, names).statistic("mean")
    found = matrices.with_margins(mean, np.eye(len(names), dtype=bool)).round(1)
    assert found.loc[["kin", "swa"], "zero-shot"].tolist() == [55.1, 54.3]
    assert found.loc[["kin", "swa"], "in-language"].tolist() == [73.7, 87.8]
    assert matrices.with_average(mean).round(1).loc[["kin", "swa"], "avg"].tolist() == [57.1, 58.1]


GROUPS = {"a": 0, "b": 0, "c": 0, "p": 1, "q": 1, "r": 1, "x": 2, "y": 2, "z": 2}


def grouped(noise: float = 0.0) -> pd.DataFrame:
    """High scores inside a group of languages, lower ones outside."""
    names = list(GROUPS)
    rng = np.random.default_rng(0)
    values = [[80.0 if GROUPS[s] == GROUPS[t] else 30 + 10 * abs(GROUPS[s] - GROUPS[t]) for t in names] for s in names]
    return square(np.array(values) + noise * rng.uniform(-1, 1, (9, 9)), names)


def adjacent(order: list[str]) -> bool:
    """Whether every group is in one piece."""
    groups = [GROUPS[name] for name in order]
    return len([1 for a, b in itertools.pairwise(groups) if a != b]) == len(set(groups)) - 1


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(list(GROUPS)))
def test_languages_that_are_alike_become_neighbours(order: list[str]) -> None:
    for table in (grouped(), grouped(noise=8)):
        found = matrices.clustered(table.loc[order, order], order)
        assert sorted(found) == sorted(GROUPS) and adjacent(found)
    # where no two distances are equal the order given says only from which end
    first = matrices.clustered(grouped(noise=8), list(GROUPS))
    assert found in (first, first[::-1])


def test_sources_and_targets_both_say_who_is_alike() -> None:
    names = ["a", "b", "x", "y"]
    as_source = square([[10] * 4, [90] * 4, [12] * 4, [88] * 4], names)
    for table in (as_source, as_source.T):
        found = matrices.clustered(table, names)
        assert {frozenset(found[:2]), frozenset(found[2:])} == {frozenset("ax"), frozenset("by")}


def test_missing_scores_and_languages_do_not_stop_the_clustering() -> None:
    table = grouped(noise=4)
    table.loc["a", "z"] = table.loc["q", "b"] = np.nan
    assert adjacent(matrices.clustered(table, list(GROUPS)))
    order = ["new", *GROUPS, "none"]
    found = matrices.clustered(table.reindex(index=[*GROUPS, "none"]), order)
    assert found[-2:] == ["new", "none"] and adjacent(found[:-2])
    # a target that is no source has scores, and so has a source that is no target
    for part in (table.drop(index="b"), table.drop(columns="b")):
        assert adjacent(matrices.clustered(part, [*GROUPS, "none"])[:-1])
        assert matrices.clustered(part, ["none", *GROUPS])[-1] == "none"


def test_too_few_languages_to_cluster_keep_their_order() -> None:
    table = square([[1, 2], [3, 4]], ["b", "a"])
    assert matrices.clustered(table, ["z", "b", "a"]) == ["b", "a", "z"]
    assert matrices.clustered(table * np.nan, ["z", "b", "a"]) == ["z", "b", "a"]
    assert matrices.clustered(table, []) == []


# --- figures ----------------------------------------------------------------------------------------


def drawn(n: int, hole: bool = False) -> tuple[pd.DataFrame, set[str]]:
    """A matrix of n languages with averages, and the texts of its heat map."""
    names = [f"l{i:02d}" for i in range(n)]
    body = pd.DataFrame(np.linspace(11, 89, n * n).reshape(n, n), index=names, columns=names)
    if hole:
        body.iloc[1, 2] = np.nan
    mean = matrices.with_average(body)
    figure = plots.heatmap(mean, mean * 0 + 1.25, "a start", "F1 (%)", (10, 90))
    return mean, {text.get_text() for text in figure.axes[0].texts}


def test_heatmap_shows_every_number() -> None:
    mean, texts = drawn(7, hole=True)
    numbers = {f"{v:.1f}" for v in mean.to_numpy().ravel() if not math.isnan(v)}
    assert texts == numbers | {"n/a", "±1.2"}
    _, many = drawn(40)
    assert many == set()


def test_figures_are_the_same_every_time_and_embed_their_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "pdf.use14corefonts", False)  # as it is outside the tests
    mean = matrices.with_average(pd.DataFrame([[80.0, 30.0], [41.0, np.nan]], index=["a", "b"], columns=["a", "b"]))

    def figure() -> Figure:
        return plots.heatmap(mean, None, "base", "F1 (%)", (20, 90))

    assert plots.encoded(figure())[0] == plots.encoded(figure())[0]
    made = plots.encoded(figure())[1]
    assert made == plots.encoded(figure())[1] and b"/CreationDate" not in made
    assert b"/Subtype /Type3" not in made and b"FontFile2" in made
    assert figure().get_figwidth() == pytest.approx(6.3)


@pytest.mark.parametrize("n", [2, 7, 10, 12, 24])
def test_numbers_fit_their_places(n: int) -> None:
    names = [f"l{i:02d}" for i in range(n)]
    mean = matrices.with_average(pd.DataFrame(100.0, index=names, columns=names))
    figure = plots.heatmap(mean, mean * 0 + 10.4, "base", "F1 (%)", (0, 100))
    figure.canvas.draw()
    axes = figure.axes[0]
    width = axes.transData.transform((1, 0))[0] - axes.transData.transform((0, 0))[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert max(box.width for box in boxes) <= width
    if n <= 10:
        assert min(text.get_fontsize() for text in axes.texts) >= 7
