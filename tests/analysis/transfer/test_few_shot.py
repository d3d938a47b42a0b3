"""Learning curves and what a source is worth in sentences."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.report import figures, plots, study_analysis
from analysis.report.sections import choice
from analysis.transfer import beyond_one_source, matrices
from analysis.transfer.matrices import Cube
from nertransfer.core.grid import FewShot

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
    curves = beyond_one_source.curves(beyond_one_source.scores(*frames()))
    assert list(zip(curves["source"], curves["sentences"], strict=True)) == list(F1)
    assert set(curves["target"]) == {"swa"} and list(curves["mode"]) == ["added"] * 3 + ["alone"] * 3
    assert curves["f1"].tolist() == pytest.approx([41, 51, 71, 11, 41, 71])
    # t(1, 0.975) = 12.706; sd sqrt(2), so that the half width is that number
    assert curves["low"].tolist() == pytest.approx([max(0, m - 12.706) for m in curves["f1"]], abs=1e-3)
    assert curves["n_seeds"].tolist() == [2] * 6


def test_one_seed_has_no_interval() -> None:
    found = beyond_one_source.scores(*frames({place: values[:1] for place, values in F1.items()}))
    curves, saved = beyond_one_source.curves(found), beyond_one_source.saved(found)
    assert curves[["low", "high", "sd"]].isna().all(axis=None) and saved[["low", "high"]].isna().all(axis=None)
    assert saved["in_words"].tolist() == ["100", "215", "1,000"]


def test_sentences_alone_for_the_same_f1_are_read_off_the_curve_on_a_logarithmic_axis() -> None:
    saved = beyond_one_source.saved(beyond_one_source.scores(*frames()))
    assert saved["sentences"].tolist() == [0, 10, 100]
    # 51 is a third of the way from 41 at 100 to 71 at 1,000
    assert saved["equivalent"].tolist() == pytest.approx([100, 100 * 10 ** (1 / 3), 1000])
    assert saved["saved"].tolist() == pytest.approx([100, 100 * 10 ** (1 / 3) - 10, 900])
    # seed by seed the curves are equally far apart
    assert saved["in_words"].tolist() == ["100 (95 %: 100)", "215 (95 %: 215)", "1,000 (95 %: 1,000)"]
    assert saved["n_seeds"].tolist() == [2] * 3


def test_beyond_what_was_tried_it_is_said_to_be_more_or_fewer() -> None:
    better = F1 | {("hau", 10): (80, 90), ("hau", 0): (1, 2), ("hau", 100): (60, 80)}
    saved = beyond_one_source.saved(beyond_one_source.scores(*frames(better)))
    assert [text.split(" (")[0] for text in saved["in_words"].iloc[:2]] == ["10 or fewer", "more than 1,000"]
    assert saved["in_words"].iloc[2].endswith("to more than 1,000)")
    assert np.isinf(saved["equivalent"].iloc[1])
    never = beyond_one_source.saved(
        beyond_one_source.scores(*frames(F1 | {("hau", 0): (88, 90)}))
    )  # in all seeds above all that was tried
    assert never["in_words"].iloc[0] == "more than 1,000 (95 %: more than 1,000)"


def test_limits_are_where_students_t_no_longer_tells_the_curve_from_the_level() -> None:
    numbers, apart = np.array([10.0, 100.0, 1000.0]), np.array([[-30, -4, 9], [-28, 3, 10], [-32, -5, 12]]) / 100
    low, high = beyond_one_source.crossing_interval(numbers, apart)
    # no measured number but 100 is within: 10 is surely too few, 1,000 surely enough
    assert 10 < low < 100 < high < 1000
    for limit in (low, high):  # the p-value there, by scipy
        weight = np.log10(limit) % 1
        left = int(np.log10(limit)) - 1
        there = apart[:, left] * (1 - weight) + apart[:, left + 1] * weight
        assert stats.ttest_1samp(there, 0).pvalue == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_covers_as_often_as_it_says(seeds: int) -> None:
    """Drawing the seeds anew covered 0.5, 0.74 and 0.85."""
    rng, numbers = np.random.default_rng(seeds), np.array([10.0, 50.0, 100.0, 500.0])
    true, wanted = 20 + 20 * np.log10(numbers / 10), 30.0
    level = 20 + 20 * np.log10(wanted / 10)
    hits = 0
    for _ in range(500):
        apart = true + rng.normal(0, 2, (seeds, 4)) - level - rng.normal(0, 1.5, (seeds, 1))
        low, high = beyond_one_source.crossing_interval(numbers, apart)
        hits += low <= wanted <= high
    assert hits / 500 > 0.92


def test_estimate_and_interval_are_of_the_seeds_that_are_complete() -> None:
    values = F1 | {("none", 100): (40,), ("hau", 0): (40, 90)}  # alone, 100 sentences of seed 2 are missing
    curves, saved = (
        of(beyond_one_source.scores(*frames(values))) for of in (beyond_one_source.curves, beyond_one_source.saved)
    )
    assert curves["n_seeds"].tolist() == [2, 2, 2, 2, 1, 2]
    first = saved.iloc[0]
    assert (first["f1"], first["n_seeds"], first["equivalent"], first["in_words"]) == (40, 1, 100, "100")
    found = beyond_one_source.scores(*frames())
    alone = found["source"] == "none"
    gone = alone & (
        ((found["sentences"] == 10) & (found["seed"] == 1)) | ((found["sentences"] == 100) & (found["seed"] == 2))
    )
    none = beyond_one_source.saved(found[~gone])  # every seed lacks a number
    assert none["n_seeds"].tolist() == [0] * 3 and set(none["in_words"]) == {"n/a"}
    assert none[["f1", "equivalent", "low", "high", "saved"]].isna().all(axis=None)
    assert "nan" not in " ".join(told(found[~gone])).lower()


def told(found: pd.DataFrame, epochs_on_target: bool = False) -> list[str]:
    """What the page says of these scores."""
    study = SimpleNamespace(few_shot=SimpleNamespace(epochs_on_target=epochs_on_target))
    made = SimpleNamespace(
        learning_curves=beyond_one_source.curves(found), saved=beyond_one_source.saved(found), found=study
    )
    section = choice.few_shot(made, {})  # type: ignore[arg-type]
    assert section is not None
    return list(section.paragraphs)


def test_the_best_of_several_sources_is_said_to_be_known_afterwards() -> None:
    several = F1 | {("ibo", 0): (30, 31)}
    text = " ".join(told(beyond_one_source.scores(*frames(several | {("ibo", 10): (31, 32)}))))
    assert "From base, hau without any sentence of swa gives 41.0 %" in text
    assert "of 2 sources it is the best on test, which is known only afterwards" in text
    assert "known only afterwards" not in " ".join(told(beyond_one_source.scores(*frames())))


def test_that_the_epoch_was_chosen_on_the_targets_dev_split_is_said() -> None:
    scores = beyond_one_source.scores(*frames())
    plain, warned = told(scores), told(scores, epochs_on_target=True)
    assert warned[:-1] == plain and "all of the target's dev split" in warned[-1]


def test_a_figure_of_unequal_seeds_says_so() -> None:
    assert [figures._seeds_text(np.array(n)) for n in ([3, 2, 0], [1, 1], [0])] == ["2 to 3 seeds", "1 seed", "no seed"]


curve = st.lists(st.floats(0, 1), min_size=2, max_size=6)


@given(curve, st.floats(0, 1))
def test_the_curve_has_the_f1_where_it_is_said_to_reach_it_first(curve: list[float], f1: float) -> None:
    numbers = 10.0 * 2 ** np.arange(len(curve))
    found = float(beyond_one_source.equivalents(numbers, np.array([curve]), np.array([f1]))[0])
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
    low, high = beyond_one_source.equivalents(numbers, np.array([curve, curve]), np.array(sorted([one, other])))
    assert low <= high * (1 + 1e-9)


def test_what_is_planned_and_not_there_is_listed_with_its_reason() -> None:
    few = frames()[1]
    few = pd.concat([few, few.assign(split="dev")]).query("not (few_shot_sentences == 100 and seed == 2)")
    plan = [("base", "hau", FewShot("swa", n, "added")) for n in (10, 100, 500)]
    columns = ["start", "source", "seed", "few_shot_language", "few_shot_sentences", "few_shot_mode", "status"]
    cells = pd.DataFrame([("base", "hau", 2, "swa", 100, "added", "FAILED")], columns=columns)
    absent = beyond_one_source.missing(few, cells, plan, [1, 2])
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
    table = beyond_one_source.compare(
        {"base": Cube([1, 2, 3], ["hau", "swa", "hau+swa"], ["hau", "swa", "wol"], values)}
    )
    assert table["target"].tolist() == ["hau", "swa", "wol"]
    assert table["best_part"].tolist() == ["hau", "swa", "swa"]
    assert table["setting"].tolist() == ["target among the sources"] * 2 + ["zero-shot"]
    assert table["difference"].tolist() == pytest.approx([2, 2, 5.5])  # the third has two seeds: 5 and 6
    assert table["n_seeds"].tolist() == [3, 3, 2]
    assert table["low"].tolist() == pytest.approx([2, 2 - 4.3027 / 3**0.5, 5.5 - 12.7062 / 2], abs=1e-3)


def test_the_best_of_several_sources_of_which_one_is_missing_is_told_and_not_counted() -> None:
    values = np.array([[[80, 30, 20], [np.nan, 75, np.nan], [82, 77, 50]]] * 2, float)
    values[1] += 1
    sources, targets = ["hau", "swa", "hau+swa"], ["hau", "swa", "wol"]
    cubes = {"base": Cube([1, 2], sources, targets, values), "swa": Cube([1, 2], sources[1:], targets, values[:, 1:])}
    table = beyond_one_source.compare(cubes)
    assert table[["start", "target", "best_part", "parts_missing"]].to_numpy().tolist() == [
        ["base", "hau", "hau", 1], ["base", "swa", "swa", 0], ["base", "wol", "hau", 1], ["swa", "swa", "swa", 1],
    ]  # fmt: skip
    assert compared_in_words(table)[1:] == [
        "In 3 of 4 comparisons a language lacks scores as a source and may have been the best: these are not counted."
    ]
    whole = beyond_one_source.compare({"base": Cube([1, 2], sources, targets, np.nan_to_num(values, nan=10))})
    (told,) = compared_in_words(whole)[1:]
    assert "is +30.0 points on average over 1 comparison." in told and "above 0 in 1 and below in 0 of 1," in told
    assert len(compared_in_words(pd.concat([table, whole]))) == 3


def compared_in_words(table: pd.DataFrame) -> list[str]:
    """What the page says of sources of several languages."""
    section = choice.several(SimpleNamespace(multi_source=table))  # type: ignore[arg-type]
    assert section is not None
    return list(section.paragraphs)


def test_every_point_of_a_learning_curve_is_drawn_with_its_interval_and_none_is_dashed() -> None:
    table = beyond_one_source.curves(beyond_one_source.scores(*frames())).rename(
        columns={"f1": "mean", "source": "series"}
    )
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


def test_where_nothing_was_trained_alone_no_line_is_dashed() -> None:
    found = beyond_one_source.scores(*frames({place: f1 for place, f1 in F1.items() if place[0] != "none"}))
    table = beyond_one_source.curves(found).rename(columns={"f1": "mean", "source": "series"})
    axes = plots.learning_curves(table, "a title", "F1 (%)").axes[0]
    assert [bars.lines[0].get_linestyle() for bars in axes.containers] == ["-"]
    assert axes.containers[0].lines[0].get_color() != "#000000"


def test_analyses_of_pairs_of_languages_are_the_same_with_and_without_sources_of_several() -> None:
    languages = ["aaa", "bbb", "ccc", "ddd", "eee"]
    values = np.random.default_rng(0).uniform(10, 90, (3, 6, 5))
    several = Cube([1, 2, 3], [*languages, "aaa+bbb"], languages, values)
    single = Cube([1, 2, 3], languages, languages, values[:, :5])
    families = dict.fromkeys(languages[:3], "north") | dict.fromkeys(languages[3:], "south")
    with_it, without = (study_analysis._ranking({}, {"base": cube}, families) for cube in (several, single))
    pd.testing.assert_frame_equal(with_it.table, without.table)  # type: ignore[union-attr]
    orders = [matrices.clustered(cube.statistic("mean"), cube.sources) for cube in (several, single)]
    assert orders[0] == [*orders[1], "aaa+bbb"]
    assert matrices.in_language(several) == matrices.in_language(single)
    further = set(matrices.zero_shot(several)) - set(matrices.zero_shot(single))
    assert further == {("aaa+bbb", target) for target in ("ccc", "ddd", "eee")}
