"""Learning curves and what a source is worth in sentences."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import computed, few_shot, matrices, multi_source, plots
from analysis.matrices import Cube
from nertransfer.grid import FewShot

F1 = {  # by source and number of sentences, seeds 1 and 2, percent
    ("hau", 0): (40, 42), ("hau", 10): (50, 52), ("hau", 100): (70, 72),
    ("none", 10): (10, 12), ("none", 100): (40, 42), ("none", 1000): (70, 72),
}  # fmt: skip


def frames(f1: dict = F1, mode: str = "added") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ordinary cells and those with sentences of swa, on swa and on hau."""
    rows, few = [], []
    for (source, n), seeds in f1.items():
        for seed, value in enumerate(seeds, start=1):
            for target, score in (("swa", value / 100), ("hau", 0.9)):
                row = ("base", source, seed, target, "test", "ALL", score)
                if n:
                    few.append((*row, "swa", n, "alone" if source == "none" else mode))
                else:
                    rows.append(row)
    columns = ["start", "source", "seed", "target", "split", "category", "f1"]
    further = ["few_shot_language", "few_shot_sentences", "few_shot_mode"]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(few, columns=[*columns, *further])


def test_a_curve_begins_with_the_ordinary_cell_and_has_students_interval() -> None:
    curves = few_shot.curves(few_shot.scores(*frames()))
    assert list(zip(curves["source"], curves["sentences"], strict=True)) == list(F1)
    assert set(curves["target"]) == {"swa"} and list(curves["mode"]) == ["added"] * 3 + ["alone"] * 3
    assert curves["f1"].tolist() == pytest.approx([41, 51, 71, 11, 41, 71])
    # t(1, 0.975) = 12.706; sd sqrt(2), so that the half width is that number
    assert curves["low"].tolist() == pytest.approx([max(0, m - 12.706) for m in curves["f1"]], abs=1e-3)
    assert curves["n_seeds"].tolist() == [2] * 6


def test_one_seed_has_no_interval() -> None:
    found = few_shot.scores(*frames({place: values[:1] for place, values in F1.items()}))
    curves, saved = few_shot.curves(found), few_shot.saved(found)
    assert curves[["low", "high", "sd"]].isna().all(axis=None) and saved[["low", "high"]].isna().all(axis=None)
    assert saved["in_words"].tolist() == ["100", "215", "1,000"]


def test_sentences_alone_for_the_same_f1_are_read_off_the_curve_on_a_logarithmic_axis() -> None:
    saved = few_shot.saved(few_shot.scores(*frames()))
    assert saved["sentences"].tolist() == [0, 10, 100]
    # 51 is a third of the way from 41 at 100 to 71 at 1,000
    assert saved["equivalent"].tolist() == pytest.approx([100, 100 * 10 ** (1 / 3), 1000])
    assert saved["saved"].tolist() == pytest.approx([100, 100 * 10 ** (1 / 3) - 10, 900])
    # seeds are drawn for both curves at once: here all draws agree
    assert saved["in_words"].tolist() == ["100", "215", "1,000"]


def test_beyond_what_was_tried_it_is_said_to_be_more_or_fewer() -> None:
    better = F1 | {("hau", 10): (80, 90), ("hau", 0): (1, 2), ("hau", 100): (60, 80)}
    saved = few_shot.saved(few_shot.scores(*frames(better)))
    assert saved["in_words"].iloc[:2].tolist() == ["10 or fewer", "more than 1,000"]
    assert saved["in_words"].iloc[2].endswith("to more than 1,000)")
    assert np.isinf(saved["equivalent"].iloc[1])


curve = st.lists(st.floats(0, 1), min_size=2, max_size=6)


@given(curve, st.floats(0, 1))
def test_the_curve_has_the_f1_where_it_is_said_to_reach_it_first(curve: list[float], f1: float) -> None:
    numbers = 10.0 * 2 ** np.arange(len(curve))
    found = float(few_shot.equivalents(numbers, np.array([curve]), np.array([f1]))[0])
    if max(curve) < f1:
        assert np.isinf(found)
    elif curve[0] >= f1:
        assert found == numbers[0]
    else:
        assert np.interp(np.log(found), np.log(numbers), curve) == pytest.approx(f1, abs=1e-6)
        assert all(value < f1 for number, value in zip(numbers, curve, strict=True) if number < found * (1 - 1e-9))


@given(curve, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_f1_is_never_worth_fewer_sentences(curve: list[float], one: float, other: float) -> None:
    numbers = 10.0 * 2 ** np.arange(len(curve))
    low, high = few_shot.equivalents(numbers, np.array([curve, curve]), np.array(sorted([one, other])))
    assert low <= high * (1 + 1e-9)


def test_what_is_planned_and_not_there_is_listed_with_its_reason() -> None:
    few = frames()[1]
    few = pd.concat([few, few.assign(split="dev")]).query("not (few_shot_sentences == 100 and seed == 2)")
    plan = [("base", "hau", FewShot("swa", n, "added")) for n in (10, 100, 500)]
    columns = ["start", "source", "seed", "few_shot_language", "few_shot_sentences", "few_shot_mode", "status"]
    cells = pd.DataFrame([("base", "hau", 2, "swa", 100, "added", "FAILED")], columns=columns)
    absent = few_shot.missing(few, cells, plan, [1, 2])
    told = absent[["few_shot_sentences", "seed", "split", "reason"]].itertuples(index=False, name=None)
    assert list(told) == [
        (100, 2, "dev", "failed"), (100, 2, "test", "failed"),
        *((500, seed, split, "never run") for seed in (1, 2) for split in ("dev", "test")),
    ]  # fmt: skip
    assert set(absent["target"]) == {"swa"}


def test_several_sources_are_compared_with_the_best_of_their_own_on_each_target_seed_by_seed() -> None:
    values = np.array([
        [[80, 30, 20], [20, 75, 30], [82, 77, 35]],
        [[82, 32, 22], [22, 77, 28], [84, 78, 34]],
        [[81, 31, 21], [21, 76, 26], [83, 79, np.nan]],
    ], float)  # fmt: skip
    table = multi_source.compare({"base": Cube([1, 2, 3], ["hau", "swa", "hau+swa"], ["hau", "swa", "wol"], values)})
    assert table["target"].tolist() == ["hau", "swa", "wol"]
    assert table["best_part"].tolist() == ["hau", "swa", "swa"]
    assert table["setting"].tolist() == ["target among the sources"] * 2 + ["zero-shot"]
    assert table["difference"].tolist() == pytest.approx([2, 2, 5.5])  # the third has two seeds: 5 and 6
    assert table["n_seeds"].tolist() == [3, 3, 2]
    assert table["low"].tolist() == pytest.approx([2, 2 - 4.3027 / 3**0.5, 5.5 - 12.7062 / 2], abs=1e-3)


def test_every_point_of_a_learning_curve_is_drawn_with_its_interval_and_none_is_dashed() -> None:
    table = few_shot.curves(few_shot.scores(*frames())).rename(columns={"f1": "mean", "source": "series"})
    axes = plots.learning_curves(table, "a title", "F1 (%)").axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "10", "100", "1,000"]
    places = axes.get_xticks()
    assert places[2] - places[1] == pytest.approx(places[3] - places[2])  # logarithmic
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["hau", "none"]
    for bars, name in zip(axes.containers, ("hau", "none"), strict=True):
        line, _, (limits,) = bars.lines
        rows = table[table["series"] == name]
        assert line.get_ydata().tolist() == pytest.approx(rows["mean"].tolist())
        drawn = [segment[:, 1].tolist() for segment in limits.get_segments()]
        assert np.array(drawn) == pytest.approx(rows[["low", "high"]].to_numpy())
        assert line.get_linestyle() == ("--" if name == "none" else "-")


def test_analyses_of_pairs_of_languages_are_the_same_with_and_without_sources_of_several() -> None:
    languages = ["aaa", "bbb", "ccc", "ddd", "eee"]
    values = np.random.default_rng(0).uniform(10, 90, (3, 6, 5))
    several = Cube([1, 2, 3], [*languages, "aaa+bbb"], languages, values)
    single = Cube([1, 2, 3], languages, languages, values[:, :5])
    families = dict.fromkeys(languages[:3], "north") | dict.fromkeys(languages[3:], "south")
    with_it, without = (computed._ranking({}, {"base": cube}, families) for cube in (several, single))
    pd.testing.assert_frame_equal(with_it.table, without.table)  # type: ignore[union-attr]
    orders = [matrices.clustered(cube.statistic("mean"), cube.sources) for cube in (several, single)]
    assert orders[0] == [*orders[1], "aaa+bbb"]
    assert matrices.in_language(several) == matrices.in_language(single)
    further = set(matrices.zero_shot(several)) - set(matrices.zero_shot(single))
    assert further == {("aaa+bbb", target) for target in ("ccc", "ddd", "eee")}
