"""The matrices of a study by name: of the published grid, of a plain one, and of studies with holes."""

import numpy as np
import pandas as pd
import pytest
from audit_runs import cell_run, plan_run, study
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.reading import order as reading_order
from analysis.reading.results import StudyResults
from analysis.transfer import matrices
from analysis.transfer.views import View, views
from nertransfer.core import grid, schema
from nertransfer.core.schema import ALL

NINE = ["wol", "pcm", "yor", "hau", "ibo", "luo", "lug", "kin", "swa"]
"""The published languages but Amharic, in the order of the published tables."""
Cell = tuple[str, str, int]


def f1_of(cell: Cell, target: str, split: str = "test", category: str = ALL) -> float:
    """A fraction that no other place has."""
    start, source, seed = cell
    names = [grid.BASE, *NINE]
    place = names.index(start) * 100 + names.index(source) * 10 + NINE.index(target)
    return (place + 1000 * seed + 3000 * (split == "dev") + 6000 * (category != ALL)) / 20_000


def scored(cell: Cell, targets: list[str]) -> dict[str, float]:
    return {
        schema.ScoreName(split, measure, target, category).key: value
        for target in targets
        for split in schema.SCORED_SPLITS
        for category in (ALL, "PER")
        for measure, value in {"f1": f1_of(cell, target, split, category), "support": 10.0}.items()
    }


def grid_of(
    starts: list[str], sources: list[str], pivots: list[str], seeds: list[int], lost: tuple[tuple[str, str], ...] = ()
) -> StudyResults:
    """Every cell of a planned grid but those of the lost configurations."""
    cells = [(*pair, seed) for pair in grid.pairs(starts, sources, pivots) if pair not in lost for seed in seeds]
    plan = plan_run(starts=starts, sources=sources, targets=sources, pivots=pivots, seeds=seeds)
    return study([plan, *(cell_run(cell, scored(cell, sources)) for cell in cells)])


def views_of(found: StudyResults) -> dict[str, View]:
    shown = views(found.frame, found.plan, found.languages)
    assert len({view.name for view in shown}) == len(shown)
    return {view.name: view for view in shown}


@pytest.fixture(scope="module")
def published() -> StudyResults:
    return grid_of(["base", "swa", "own"], NINE, ["swa"], [0, 1])


def test_the_published_grid_has_its_matrices_in_order(published: StudyResults) -> None:
    shown = views_of(published)
    starts = ["base", "swa", *(name for name in NINE if name != "swa")]
    assert list(shown) == [*starts, "own", "source-swa"]
    assert [view.kind for view in shown.values()] == ["start"] * 9 + ["start"] + ["own", "pivot"]
    assert [name for name, view in shown.items() if view.wide] == ["base", "swa", "own", "source-swa"]
    for name in ("base", "swa", "own"):
        assert (shown[name].rows, shown[name].targets) == (NINE, NINE)
    assert shown["hau"].rows == ["hau", "swa"] and shown["hau"].targets == NINE
    assert shown["source-swa"].rows == starts and shown["source-swa"].targets == NINE


def test_titles_and_what_a_row_is(published: StudyResults) -> None:
    shown = views_of(published)
    assert [shown[name].title for name in ("base", "own", "source-swa")] == [
        "start base", "each source from its own start", "every start, fine-tuned on swa",
    ]  # fmt: skip
    assert {name for name, view in shown.items() if view.row_name == "start"} == {"source-swa"}


def test_every_row_of_every_matrix_is_one_configuration_of_the_grid(published: StudyResults) -> None:
    shown = views_of(published)
    assert shown["base"].configuration("hau") == ("base", "hau")
    assert shown["own"].configuration("hau") == ("hau", "hau")
    assert shown["source-swa"].configuration("hau") == ("hau", "swa")
    pairs = set(published.plan["pairs"])
    for view in shown.values():
        configurations = [view.configuration(row) for row in view.rows]
        assert set(configurations) <= pairs and len(set(configurations)) == len(configurations)
    of_starts = [v.configuration(row) for v in shown.values() if v.kind == "start" for row in v.rows]
    assert sorted(of_starts) == sorted(pairs)  # each once


def test_the_target_that_was_fine_tuned_on_is_not_zero_shot(published: StudyResults) -> None:
    for view in views_of(published).values():
        for row in view.rows:
            own = [target for target in view.targets if view.is_own(row, target)]
            assert own == [view.configuration(row)[1]]


def test_the_numbers_of_every_matrix_are_those_of_its_configurations(published: StudyResults) -> None:
    for view in views_of(published).values():
        for split, category in (("test", ALL), ("dev", "PER")):
            cube = view.cube(split, category)
            assert (cube.sources, cube.targets, cube.seeds) == (view.rows, view.targets, [0, 1])
            wanted = [
                [[100 * f1_of((*view.configuration(row), seed), t, split, category) for t in view.targets]
                 for row in view.rows] for seed in cube.seeds
            ]  # fmt: skip
            np.testing.assert_allclose(cube.values, wanted, rtol=1e-12)
    supports = views_of(published)["own"].cube("test", measure="support")
    assert (supports.values == 10).all()


def test_a_plain_grid_has_its_starts_alone() -> None:
    shown = views_of(grid_of(["base", "swa"], ["hau", "swa", "wol"], [], [0]))
    assert [(name, view.kind, view.wide) for name, view in shown.items()] == [
        ("base", "start", True), ("swa", "start", True),
    ]  # fmt: skip


def test_two_starts_named_as_sources_make_a_matrix_of_own_starts_in_a_full_grid_too() -> None:
    shown = views_of(grid_of(["base", "swa", "hau"], ["hau", "swa", "wol"], [], [0]))
    assert list(shown) == ["base", "swa", "hau", "own"]
    own = shown["own"]
    assert own.rows == ["hau", "swa"] and own.targets == ["hau", "swa", "wol"] and not own.wide
    assert own.cube("test").values[0, 1, 2] == pytest.approx(100 * f1_of(("swa", "swa", 0), "wol"))


def test_cells_that_are_missing_keep_their_rows() -> None:
    lost = (("base", "hau"), ("wol", "wol"), ("wol", "swa"), ("hau", "hau"))
    shown = views_of(grid_of(["base", "own"], ["hau", "swa", "wol"], ["swa"], [0, 1], lost))
    assert list(shown) == ["base", "hau", "swa", "wol", "own", "source-swa"]
    assert shown["base"].rows == shown["own"].rows == ["hau", "swa", "wol"]
    assert shown["source-swa"].rows == ["base", "hau", "swa", "wol"]
    for view in shown.values():
        seeds = view.cube("test").statistic("n")
        for row in view.rows:
            assert (seeds.loc[row] == (0 if view.configuration(row) in lost else 2)).all()
    assert shown["wol"].cube("test").values.shape == (0, 2, 3)  # no seed at all


def test_a_pivot_has_the_starts_that_were_tried_on_it() -> None:
    shown = views_of(grid_of(["base"], ["hau", "wol"], ["swa"], [0]))
    assert list(shown) == ["base", "hau", "wol", "source-swa"]
    assert shown["source-swa"].rows == ["hau", "wol"]  # base was not fine-tuned on swa
    assert shown["source-swa"].cube("test").values.shape == (1, 2, 2)
    assert not any(shown["source-swa"].is_own(*place) for place in (("hau", "hau"), ("wol", "hau"), ("wol", "wol")))


def test_a_start_that_was_not_planned_has_what_there_is() -> None:
    plan = plan_run(starts=["base"], sources=["hau", "wol"], targets=["hau", "wol"], seeds=[0])
    cells: list[Cell] = [("base", "hau", 0), ("base", "wol", 0), ("swa", "wol", 3)]
    found = study([plan, *(cell_run(cell, scored(cell, ["hau", "wol"])) for cell in cells)])
    shown = views_of(found)
    assert list(shown) == ["base", "swa"] and not shown["swa"].wide
    assert (shown["swa"].rows, shown["swa"].cube("test").seeds) == (["wol"], [3])


@settings(max_examples=12, deadline=None)
@given(order=st.permutations(NINE[5:]))
def test_another_order_of_languages_moves_rows_and_columns_and_no_number(order: list[str]) -> None:
    found = grid_of(["base", "swa", "own"], NINE[5:], ["swa"], [0, 1])
    shown, moved = views_of(found), views_of(reading_order.in_order(found, order))
    assert sorted(shown) == sorted(moved) and moved["base"].rows == moved["own"].targets == order
    for name, view in shown.items():
        first, second = view.cube("test").statistic("mean"), moved[name].cube("test").statistic("mean")
        pd.testing.assert_frame_equal(first, second.loc[first.index, first.columns], check_exact=True)


def test_the_means_of_a_view_are_those_of_the_frame(published: StudyResults) -> None:
    whole = matrices.cube(published.frame, "swa", NINE, NINE).statistic("mean")
    own = published.frame[published.frame["start"] == published.frame["source"]]
    of_own = matrices.cube(own.assign(start="x"), "x", NINE, NINE).statistic("mean")
    for name, wanted in (("swa", whole), ("own", of_own)):
        shown = views_of(published)[name].cube("test").statistic("mean")
        pd.testing.assert_frame_equal(shown, wanted, check_exact=True)


def test_a_study_in_one_language_each_is_one_matrix_of_starts() -> None:
    cells = [(start, source, seed) for start in ("swa", "hau") for source in ("wol", "yor", "ibo") for seed in (0, 1)]
    plan = plan_run(starts=["swa", "hau"], sources=["wol", "yor", "ibo"], targets=["wol", "yor", "ibo"], seeds=[0, 1])
    found = study([plan, *(cell_run(cell, scored(cell, [cell[1]])) for cell in cells)])
    view = views_of(found)["in-language"]
    assert (view.rows, view.targets, view.row_name) == (["swa", "hau"], ["wol", "yor", "ibo"], "start")
    cube = view.cube("test")
    assert cube.values[1, 0, 2] == pytest.approx(100 * f1_of(("swa", "ibo", 1), "ibo"))
    assert view.own(view.targets).all() and view.configuration("swa", "ibo") == ("swa", "ibo")
