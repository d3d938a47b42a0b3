"""Intervals, differences and ranks of whole studies: from frames and counts made by hand, whatever their order."""

import itertools
import math
import statistics as plain
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from audit_runs import cell_run, plan_run, study
from count_files import file_of
from hypothesis import given, settings
from hypothesis import strategies as st
from published_frames import published_scores
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from analysis.reading import results
from analysis.reading.sentence_counts import Place, SentenceCounts, gathered
from analysis.report import study_analysis
from analysis.report.sections import scores as score_sections
from analysis.statistics import means as seed_means
from analysis.statistics import mixed_model, tables
from analysis.transfer import inference, matrices, pretraining
from analysis.transfer.matrices import Cube
from nertransfer.core import schema
from nertransfer.core.schema import ALL
from nertransfer.scoring.reference import score

LANGUAGES = ["hau", "ibo", "swa"]
RESAMPLES = 300
"""Enough for the ranks of a source."""
Skills = Mapping[tuple[str, str], float]
"""How much of the entities is found, by (start, source)."""
SKILLS: Skills = {
    (start, source): 0.35 + 0.1 * i + 0.06 * j
    for (i, start) in enumerate(("base", "swa", "wol"))
    for (j, source) in enumerate(LANGUAGES)
}


# --- studies -------------------------------------------------------------------------------------------------


def counted(
    skills: Skills = SKILLS,
    seeds: Sequence[int] = (0, 1, 2),
    targets: Sequence[str] = LANGUAGES,
    sentences: int = 60,
    random: int = 0,
) -> dict[str, SentenceCounts]:
    """Counts by sentence of two categories; of every cell its own, around its skill."""
    rng, found = np.random.default_rng(random), {}
    cells: list[Place] = [(*pair, seed) for pair in skills for seed in seeds]
    for target in targets:
        gold = rng.integers(0, 3, (sentences, 2))
        level = np.array([skills[start, source] + 0.03 * rng.normal() for start, source, _ in cells]).clip(0, 1)
        correct = rng.binomial(gold, level[:, None, None], (len(cells), sentences, 2))
        predicted = correct + rng.binomial(1, 0.1, correct.shape)
        found[target] = SentenceCounts(cells, ["LOC", "PER"], gold, predicted, correct)
    return found


def frame_of(counts: Mapping[str, SentenceCounts]) -> pd.DataFrame:
    """The scores that the counts give, cell by cell."""
    rows = []
    for target, there in counts.items():
        gold, predicted, correct = there.of()
        for cell, guessed, right in zip(there.cells, predicted.sum(axis=1), correct.sum(axis=1), strict=True):
            f1 = 2 * right / (gold.sum() + guessed)
            rows.append((*cell, target, "test", ALL, 0.0, 0.0, f1, int(gold.sum())))
    frame = pd.DataFrame(rows, columns=results.FRAME_COLUMNS)
    place = {cell: i for i, cell in enumerate(next(iter(counts.values())).cells)}
    order = frame[["start", "source", "seed"]].apply(lambda row: place[tuple(row)], axis=1)
    return frame.loc[order.sort_values(kind="stable").index].reset_index(drop=True)  # as the reader of a study sorts


def permuted(counts: SentenceCounts, order: Sequence[int]) -> SentenceCounts:
    places = list(order)
    cells = [counts.cells[i] for i in places]
    return replace(counts, cells=cells, predicted=counts.predicted[places], correct=counts.correct[places])


def without(counts: SentenceCounts, cell: Place) -> SentenceCounts:
    return permuted(counts, [i for i, one in enumerate(counts.cells) if one != cell])


def samples(
    counts: Mapping[str, SentenceCounts], frame: pd.DataFrame | None = None, resamples: int = RESAMPLES
) -> dict[str, inference.Sample]:
    return inference.samples(frame_of(counts) if frame is None else frame, counts, resamples=resamples)


def everything(found: Mapping[str, inference.Sample]) -> list[pd.DataFrame]:
    return [
        inference.intervals(found),
        inference.differences(found),
        inference.source_ranks(found, ["base", "swa", "wol"]),
    ]


def seeds_alone(values: Mapping[tuple[str, str, int], float], target: str = "swa") -> pd.DataFrame:
    """A frame of one target by (start, source, seed)."""
    rows = [(*cell, target, "test", ALL, value, value, value, 10) for cell, value in values.items()]
    return pd.DataFrame(rows, columns=results.FRAME_COLUMNS)


# --- the average of a start ------------------------------------------------------------------------------------

PAIRS = {(source, target) for source in LANGUAGES for target in LANGUAGES if source != target}
STARTS = ["base", "swa", "wol"]


@pytest.mark.parametrize("at_hand", [True, False])
def test_starts_are_compared_by_the_mean_over_the_same_pairs(at_hand: bool) -> None:
    counts = counted(seeds=range(5))
    frame = frame_of(counts)
    table = inference.start_averages(samples(counts if at_hand else {}, frame), STARTS, PAIRS).set_index("start")
    zero_shot = frame[frame["source"] != frame["target"]]
    by_seed = 100 * zero_shot.groupby(["start", "seed"])["f1"].mean().unstack()
    np.testing.assert_allclose(table["f1"], by_seed.mean(axis=1).loc[STARTS])
    assert (table["n_pairs"] == 6).all() and (table["n_seeds"] == 5).all() and (table["untested"] == "").all()
    assert ((table["low"] < table["f1"]) & (table["f1"] < table["high"])).all()
    apart = table.drop("base")
    np.testing.assert_allclose(apart["difference"], apart["f1"] - table.loc["base", "f1"])
    assert ((apart["p"] < 0.05) == (apart["difference_low"] * apart["difference_high"] > 0)).all()
    np.testing.assert_allclose(apart["p_holm"], multipletests(apart["p"], method="holm")[1])
    assert table.loc["base", ["difference", "p", "p_holm"]].isna().all()
    if not at_hand:
        welch = stats.ttest_ind(by_seed.loc["swa"], by_seed.loc["base"], equal_var=False).pvalue
        assert table.loc["swa", "p"] == pytest.approx(welch)


def test_of_few_seeds_the_variance_of_an_average_is_put_together_from_its_configurations() -> None:
    rng = np.random.default_rng(1)
    values = {("base", source, seed): 0.5 + 0.02 * rng.normal() for source in LANGUAGES for seed in (0, 1)}
    frame = pd.concat([seeds_alone(values, target) for target in ("yor", "wol")])
    pairs = {(source, target) for source in LANGUAGES for target in ("yor", "wol")}
    row = inference.start_averages(inference.samples(frame, {}), ["base"], pairs).iloc[0]
    single = [100**2 * np.var([values["base", source, seed] for seed in (0, 1)], ddof=1) / 9 for source in LANGUAGES]
    freedom = 3 * sum(single) ** 2 / sum(v**2 for v in single) - 2  # both targets move together: of the same models
    half = stats.t.isf(0.025, freedom) * math.sqrt(sum(single) / 2)
    assert [row["f1"] - row["low"], row["high"] - row["f1"]] == pytest.approx([half, half])
    assert freedom > 1.2 and row["n_seeds"] == 2


def test_a_collapsed_seed_costs_an_average_no_other_configuration_of_that_seed() -> None:
    rng = np.random.default_rng(3)
    values = {("base", source, seed): 0.5 + 0.02 * rng.normal() for source in LANGUAGES for seed in range(5)}
    values |= {("swa", *place[1:]): f1 + 0.1 for place, f1 in values.items()}
    gone = ("swa", "ibo", 4)
    frame = seeds_alone({place: f1 for place, f1 in values.items() if place != gone}, "yor")
    pairs = {(source, "yor") for source in LANGUAGES}
    missing, dropped = (
        inference.start_averages(inference.samples(frame, {}, dropped=places), ["base", "swa"], pairs).set_index(
            "start"
        )
        for places in ((), [gone])
    )
    assert missing["n_seeds"].tolist() == [5, 4] and dropped["n_seeds"].tolist() == [5, 5]
    means = [
        [values[place] for place in values if place[:2] == ("swa", source) and place != gone] for source in LANGUAGES
    ]
    assert dropped.loc["swa", "f1"] == pytest.approx(100 * np.mean([np.mean(one) for one in means]))
    half = (dropped["high"] - dropped["low"]) / 2
    assert 0.5 < half["swa"] / half["base"] < 2


def test_two_published_seeds_give_intervals_that_cover_the_other_three(shared_data: Path) -> None:
    """Median width at 2 seeds: 21.4 points from these seeds alone, 6.4 moderated."""
    frame = published_scores(shared_data)
    widths, covered = [], []
    for seeds in ([0, 1], [2, 4]):
        found, others = (
            inference.samples(frame[frame["seed"].isin(seeds) == of], {}) for of in (True, False)
        )  # fmt: skip
        table = inference.intervals(found)
        assert table["moderated"].all()
        widths.append((table["high"] - table["low"]).median())
        for target, sample in found.items():
            means, rest = sample.means, others[target].means
            error = np.sqrt(means.seed_variance * (1 / 2 + 1 / 3))
            covered += list(np.abs(means.mean - rest.mean) < stats.t.isf(0.025, means.freedom) * error)
    assert max(widths) < 7 and np.mean(covered) == pytest.approx(0.94, abs=0.03)
    five = inference.intervals(inference.samples(frame, {}))
    assert not five["moderated"].any()  # as published


def test_a_collapsed_seed_is_not_usual_and_keeps_its_own_variance() -> None:
    rng = np.random.default_rng(2)
    sources = [f"l{i}" for i in range(24)]
    values = {("base", source, seed): 0.7 + 0.01 * rng.normal() for source in sources for seed in (0, 1)}
    usual = inference.intervals(inference.samples(seeds_alone(values), {})).set_index("source")
    values["base", "l0", 1] = 0.02
    frame = seeds_alone(values)
    assert inference.far_weaker(frame) == [("base", "l0", 1)]
    table = inference.intervals(inference.samples(frame, {})).set_index("source")
    assert table["moderated"].tolist() == [False] + [True] * 23
    assert table.loc["l0", ["low", "high"]].tolist() == [0, 100]
    width = (table["high"] - table["low"])[1:]
    assert width.max() < 8 and width.mean() == pytest.approx((usual["high"] - usual["low"])[1:].mean(), rel=0.5)
    frame.loc[(frame["source"] == "l0"), "f1"] = 0.01  # both seeds
    assert inference.far_weaker(frame) == [("base", "l0", 0), ("base", "l0", 1)]
    assert score_sections._few_seeds(table)[0].count("keep their own variance: a seed is far weaker") == 1


def test_the_mean_of_independent_test_sets_is_surer_than_one_of_them() -> None:
    found = samples(counted(seeds=[0], sentences=100))
    single = inference.intervals(found)
    single = (single["high"] - single["low"])[single["source"] != single["target"]].mean()
    table = inference.start_averages(found, STARTS, PAIRS)
    assert (table["high"] - table["low"] < single / 1.5).all()
    assert (table["untested"].iloc[1:] == inference.ONE_SEED).all() and table["p"].isna().all()


def test_seeds_that_lack_a_pair_are_not_averaged_and_starts_without_a_whole_seed_have_no_mean() -> None:
    counts = counted()
    lacking = {("swa", "hau", 1, "ibo"), *(("wol", "hau", seed, "ibo") for seed in (0, 1, 2))}
    frame = frame_of(counts)
    there = frame[["start", "source", "seed", "target"]].apply(lambda row: tuple(row) not in lacking, axis=1)
    table = inference.start_averages(samples({}, frame[there]), STARTS, PAIRS).set_index("start")
    whole = inference.start_averages(samples({}, frame), STARTS, PAIRS).set_index("start")
    assert table["n_seeds"].to_dict() == {"base": 3, "swa": 2, "wol": 0}
    assert math.isnan(table.loc["wol", "f1"]) and table.loc["base", "f1"] == whole.loc["base", "f1"]
    kept = frame[(frame["start"] == "swa") & (frame["source"] != frame["target"]) & (frame["seed"] != 1)]
    assert table.loc["swa", "f1"] == pytest.approx(100 * kept["f1"].mean())
    assert inference.start_averages({}, [], set()).empty


def test_what_two_starts_share_of_the_sentences_does_not_count() -> None:
    """Alike but for a point on every target: each is unsure on other sentences, their difference is not."""
    counts = counted({(start, source): 0.5 for start in ("base", "swa") for source in LANGUAGES}, seeds=[0, 1])
    for one in counts.values():
        first, second = slice(0, 6), slice(6, 12)
        one.correct[1:6:2], one.predicted[1:6:2] = one.correct[0:6:2], one.predicted[0:6:2]  # seeds are alike
        one.correct[second], one.predicted[second] = one.correct[first], one.predicted[first]
        one.predicted[second, :2] += 1  # two wrong entities more
    table = inference.start_averages(samples(counts), ["base", "swa"], PAIRS).set_index("start")
    paired = table.loc["swa", "difference_high"] - table.loc["swa", "difference_low"]
    assert table.loc["swa", "difference"] < 0 and paired < (table["high"] - table["low"]).min()


# --- samples -------------------------------------------------------------------------------------------------


def test_every_cell_gets_its_own_counts_wherever_they_stand() -> None:
    """In every sentence a cell is right in as many of 8 entities: its F1 is the same on whatever sentences."""
    cells: list[Place] = [(*pair, seed) for pair in SKILLS for seed in (0, 1)]
    right = np.random.default_rng(0).permutation(len(cells))
    correct = np.repeat(right[:, None, None], 5, axis=1)
    gold, predicted = np.full((5, 1), 20), np.full((len(cells), 5, 1), 20)
    there = SentenceCounts(cells, ["PER"], gold, predicted, correct)
    frame = frame_of({"swa": there}).query("seed == 1 or source == 'hau'")
    mixed = permuted(there, np.random.default_rng(1).permutation(len(cells)))  # and cells that the frame lacks
    sample = samples({"swa": mixed}, frame)["swa"]
    assert sample.sentences_vary and sample.resampled.shape == (RESAMPLES, len(frame))
    np.testing.assert_allclose(sample.resampled, np.tile(sample.f1, (RESAMPLES, 1)), rtol=1e-12)
    wanted = {cell: value / 20 for cell, value in zip(cells, right, strict=True)}
    means = dict(zip(sample.configurations, sample.means.mean, strict=True))
    for start, source in SKILLS:
        seeds = (0, 1) if source == "hau" else (1,)
        assert means[start, source] == pytest.approx(plain.mean(wanted[start, source, seed] for seed in seeds))


def test_sentences_vary_only_where_the_counts_of_a_target_are_complete() -> None:
    counts = counted()
    frame = frame_of(counts)
    other = replace(
        counts["swa"], cells=[("swa", "hau", 9) if c == ("swa", "hau", 1) else c for c in counts["swa"].cells]
    )
    given_counts = {"hau": counts["hau"], "ibo": without(counts["ibo"], ("swa", "hau", 1)), "swa": other}
    found = samples(given_counts, frame)
    assert not samples({"hau": counts["hau"]}, frame)["swa"].sentences_vary  # nothing of a target at all
    assert {target: sample.sentences_vary for target, sample in found.items()} == {
        "hau": True, "ibo": False, "swa": False,
    }  # fmt: skip
    for target in ("ibo", "swa"):
        assert (found[target].resampled == found[target].f1).all()
    table = inference.intervals(found)
    assert table.groupby("target")["sentences_vary"].unique().to_dict() == {
        "hau": [True],
        "ibo": [False],
        "swa": [False],
    }
    whole = inference.intervals(samples(counts, frame))
    pd.testing.assert_frame_equal(
        whole[whole["target"] == "hau"], table[table["target"] == "hau"], check_exact=True
    )  # what others lack does not change it


def test_only_the_split_and_all_categories_together_count() -> None:
    frame = frame_of(counted())
    noise = [frame.assign(split="dev", f1=0.9), frame.assign(category="PER", f1=0.8)]
    for one in (inference.intervals, inference.differences):
        first, second = (one(inference.samples(rows, {})) for rows in (frame, pd.concat([*noise, frame])))
        pd.testing.assert_frame_equal(first, second, check_exact=True)
    dev = inference.intervals(inference.samples(pd.concat([*noise, frame]), {}, "dev"))
    assert dev["f1"].tolist() == pytest.approx([90] * len(dev))


def test_counts_from_the_files_of_cells_give_the_scores_of_seqeval() -> None:
    rng = np.random.default_rng(3)
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    lengths = rng.integers(1, 9, 40)
    gold = {target: [list(rng.choice(tags, n)) for n in lengths] for target in ("hau", "swa")}
    rows, files = [], {}
    for cell in [("base", source, seed) for source in ("hau", "swa") for seed in (0, 1)]:
        predicted = {
            target: [[tag if rng.random() < 0.7 else str(rng.choice(tags)) for tag in one] for one in sentences]
            for target, sentences in gold.items()
        }
        files[cell] = file_of({(target, "test"): (gold[target], predicted[target]) for target in gold})
        for target in gold:
            value = score(gold[target], predicted[target]).default[ALL]
            rows.append((*cell, target, "test", ALL, value.precision, value.recall, value.f1, value.support))
    frame = pd.DataFrame(rows, columns=results.FRAME_COLUMNS)
    counts = gathered(files, "test")
    found = samples(counts, frame)
    for target, sample in found.items():
        whole = seed_means.resampled_f1(*counts[target].of(), np.ones((1, len(lengths)), np.float32))[0]
        by_cell = dict(zip(counts[target].cells, whole, strict=True))
        scores = frame[frame["target"] == target].set_index(["start", "source", "seed"])["f1"].to_dict()
        assert by_cell == pytest.approx(scores)
        # around the score that was reported, not around another cell's
        assert sample.sentences_vary
        np.testing.assert_allclose(sample.resampled.mean(axis=0), sample.f1, atol=0.02)


def test_nothing_gives_empty_tables() -> None:
    found = inference.samples(frame_of(counted()).head(0), {})
    assert found == {}
    for table, columns in zip(
        everything(found),
        (inference.INTERVAL_COLUMNS, inference.DIFFERENCE_COLUMNS, inference.RANK_COLUMNS),
        strict=True,
    ):
        assert table.empty and list(table.columns) == columns


# --- the order of runs, rows and cells -----------------------------------------------------------------------


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_the_order_of_runs_and_of_their_counts_changes_no_byte(data: st.DataObject) -> None:
    counts = counted(sentences=25)
    cells = counts["hau"].cells
    scores = {(r.start, r.source, r.seed, r.target): r.f1 for r in frame_of(counts).itertuples()}
    texts = []
    for shuffled in (False, True):
        order = data.draw(st.permutations(range(len(cells)))) if shuffled else range(len(cells))
        runs = [
            cell_run(
                cells[i],
                {schema.ScoreName("test", "f1", target).key: scores[*cells[i], target] for target in LANGUAGES},
            )
            for i in order
        ]
        plan = plan_run(starts=["base", "swa", "wol"], sources=LANGUAGES, targets=LANGUAGES, seeds=[0, 1, 2])
        frame = study([*runs, plan]).frame
        mixed = {target: permuted(one, order) for target, one in reversed(counts.items())}
        texts.append([tables.csv_text(table) for table in everything(samples(mixed, frame))])
    assert texts[0] == texts[1]


@settings(max_examples=6, deadline=None)
@given(random=st.integers(0, 10**6))
def test_the_order_of_the_frame_moves_rows_and_changes_no_number(random: int) -> None:
    """Reports in another order of the languages have the same numbers."""
    counts = counted(sentences=25)
    frame = frame_of(counts)
    texts = []
    for rows in (frame, frame.sample(frac=1, random_state=random)):
        parts = [
            table.sort_values(list(table.columns[:3]), ignore_index=True) for table in everything(samples(counts, rows))
        ]
        texts.append([tables.csv_text(part[sorted(part.columns)]) for part in parts])
    assert texts[0] == texts[1]


def test_rows_are_in_the_order_of_the_frame() -> None:
    frame = frame_of(counted())
    turned = frame.iloc[::-1].reset_index(drop=True)
    for rows, order in ((frame, 1), (turned, -1)):
        table = inference.intervals(samples(counted(), rows))
        assert list(dict.fromkeys(table["target"])) == LANGUAGES[::order]
        assert list(dict.fromkeys(table["start"])) == ["base", "swa", "wol"][::order]
        assert list(dict.fromkeys(table["source"])) == LANGUAGES[::order]


# --- intervals -----------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    random=st.integers(0, 10**6),
    seeds=st.sets(st.integers(0, 9), min_size=1, max_size=4).map(sorted),
    at_hand=st.booleans(),
)
def test_intervals_have_the_mean_over_seeds_inside(random: int, seeds: list[int], at_hand: bool) -> None:
    counts = counted(seeds=seeds, sentences=20, random=random)
    frame = frame_of(counts)
    table = inference.intervals(samples(counts if at_hand else {}, frame))
    assert list(table.columns) == inference.INTERVAL_COLUMNS and len(table) == len(SKILLS) * len(LANGUAGES)
    assert set(table["sentences_vary"]) == {at_hand} and set(table["n_seeds"]) == {len(seeds)}
    means = frame.groupby(["start", "source", "target"])["f1"].agg(lambda values: 100 * plain.fmean(values))
    for row in table.itertuples():
        assert row.f1 == pytest.approx(means[row.start, row.source, row.target])
        if at_hand or len(seeds) > 1:
            assert 0 <= row.low <= row.f1 + 1e-9 and row.f1 - 1e-9 <= row.high <= 100
        else:
            assert math.isnan(row.low) and math.isnan(row.high)
    if at_hand:
        assert (table["high"] - table["low"]).median() > 1


def test_over_seeds_alone_it_is_the_interval_of_student() -> None:
    values = [0.61, 0.64, 0.58, 0.66]
    frame = seeds_alone({("base", "hau", seed): value for seed, value in enumerate(values)} | {("base", "swa", 0): 0.9})
    table = inference.intervals(inference.samples(frame, {})).set_index("source")
    wanted = stats.t.interval(0.95, 3, 100 * np.mean(values), 100 * stats.sem(values))
    assert table.loc["hau", ["low", "high"]].tolist() == pytest.approx(wanted)
    assert table.loc["hau", "n_seeds"] == 4 and table.loc["swa", "n_seeds"] == 1
    assert table.loc["swa", ["low", "high"]].isna().all() and table.loc["swa", "f1"] == pytest.approx(90)


def test_more_sentences_make_the_interval_of_one_model_narrower() -> None:
    widths = []
    for sentences in (30, 3000):
        table = inference.intervals(samples(counted(seeds=[0], sentences=sentences)))
        widths.append((table["high"] - table["low"]).mean())
    assert widths[1] == pytest.approx(widths[0] / 10, rel=0.3)


# --- differences ---------------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(random=st.integers(0, 10**6), seeds=st.sampled_from([[0], [0, 1], [0, 1, 2]]), at_hand=st.booleans())
def test_the_other_way_round_a_difference_changes_its_sign_alone(random: int, seeds: list[int], at_hand: bool) -> None:
    skills = {pair: skill for pair, skill in SKILLS.items() if pair[0] != "wol"}
    counts = counted(skills, seeds, sentences=20, random=random)
    found = samples(counts if at_hand else {}, frame_of(counts))
    one, other = (inference.differences(found, reference) for reference in ("base", "swa"))
    assert set(one["start"]) == {"swa"} and set(other["start"]) == {"base"} and len(one) == 9
    keys = ["source", "target"]
    one, other = one.set_index(keys), other.set_index(keys).loc[one.set_index(keys).index]
    np.testing.assert_allclose(one["difference"], -other["difference"], atol=1e-9)
    np.testing.assert_allclose(one[["low", "high"]], -other[["high", "low"]], atol=1e-9)
    np.testing.assert_allclose(one[["p", "p_holm"]], other[["p", "p_holm"]], atol=1e-9)
    assert one["p"].isna().all() == (seeds == [0])  # nothing is known of other seeds


def test_differences_are_those_of_the_means_on_the_same_source_and_target() -> None:
    skills = {pair: skill for pair, skill in SKILLS.items() if pair not in (("base", "ibo"), ("wol", "hau"))}
    counts = counted(skills)
    table = inference.differences(samples(counts))
    frame = frame_of(counts)
    means = frame.groupby(["start", "source", "target"])["f1"].agg(lambda values: 100 * plain.fmean(values))
    wanted = {
        (start, source, target): means[start, source, target] - means["base", source, target]
        for (start, source), target in itertools.product(skills, LANGUAGES)
        if start != "base" and source != "ibo"
    }
    found = {(r.start, r.source, r.target): r.difference for r in table.itertuples()}
    assert found == pytest.approx(wanted)
    # a difference is significant exactly where its interval leaves 0 out
    assert ((table["p"] < 0.05) == ((table["low"] > 0) | (table["high"] < 0))).all()
    assert (table["low"] <= table["difference"]).all() and (table["difference"] <= table["high"]).all()
    assert inference.differences(samples(counts), "nowhere").empty


def test_p_is_corrected_over_all_starts_sources_and_targets() -> None:
    table = inference.differences(samples(counted()))
    assert list(table.columns) == inference.DIFFERENCE_COLUMNS and len(table) == 2 * 9
    np.testing.assert_allclose(table["p_holm"], multipletests(table["p"], method="holm")[1], rtol=1e-9)
    assert table["p_holm"].gt(table["p"]).any()


def test_the_published_differences_are_one_family_and_pretraining_shows_the_same_corrected_p(shared_data: Path) -> None:
    frame = published_scores(shared_data)
    found = inference.samples(frame, {})
    apart = inference.differences(found)
    assert len(apart) == 225 and (apart["p_holm"] < 0.05).sum() == 29  # 51 if corrected for each start by itself
    pairs = sorted(set(zip(frame["start"], frame["source"], strict=True)))
    study = SimpleNamespace(frame=frame, plan={"pairs": pairs}, languages=sorted(set(frame["target"])))
    roles = pretraining.roles(pairs)
    table = study_analysis._pretraining(study, roles, inference.intervals(found), apart, "base", 1)  # type: ignore[arg-type]
    shown = apart.set_index(["start", "source", "target"])
    tested = table[table["p"].notna()]
    assert len(tested) == 18 and len(pretraining.comparisons(table)) == 17
    for row in tested.itertuples():
        place = (row.start, row.language, row.language)
        assert [row.p, row.p_holm] == shown.loc[place, ["p", "p_holm"]].tolist()


def test_what_has_no_p_is_no_test_of_the_family() -> None:
    values = {("base", "hau", 0): 0.5, ("base", "hau", 1): 0.52, ("swa", "hau", 0): 0.6, ("swa", "hau", 1): 0.61,
              ("base", "swa", 0): 0.5, ("swa", "swa", 0): 0.7, ("swa", "swa", 1): 0.72}  # fmt: skip
    table = inference.differences(inference.samples(seeds_alone(values), {})).set_index("source")
    assert table.loc["swa", ["low", "high", "p", "p_holm"]].isna().all()  # the reference has one seed
    assert table.loc["swa", "difference"] == pytest.approx(21)
    welch = stats.ttest_ind([0.6, 0.61], [0.5, 0.52], equal_var=False).pvalue
    assert table.loc["hau", "p"] == pytest.approx(welch) == table.loc["hau", "p_holm"]


def test_a_difference_that_is_not_tested_says_why() -> None:
    values = {
        (start, source, seed): f1 + 0.01 * seed * (source == "hau")
        for start, f1 in (("base", 0.5), ("swa", 0.6))
        for source in ("hau", "ibo")
        for seed in (0, 1)
    }
    values |= {("base", "yor", 0): 0.5, ("swa", "yor", 0): 0.6}  # fmt: skip
    table = inference.differences(inference.samples(seeds_alone(values), {})).set_index("source")
    assert table["untested"].to_dict() == {"hau": "", "ibo": inference.NOTHING_VARIES, "yor": inference.ONE_SEED}
    assert table["p"].notna().to_dict() == {"hau": True, "ibo": False, "yor": False}
    assert table.loc["hau", "p_holm"] == table.loc["hau", "p"]  # of a family of one test
    assert score_sections._nothing_varies(table) == [
        "1 of 3 differences has no interval and no p: neither seeds nor sentences vary there, which says nothing of "
        "other seeds and sentences."
    ]


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
@pytest.mark.parametrize("at_hand", [True, False])
def test_a_copy_is_no_different(seeds: list[int], at_hand: bool) -> None:
    counts = counted({("base", "hau"): 0.5, ("copy", "hau"): 0.9, ("other", "hau"): 0.9}, seeds)
    n = len(seeds)
    for one in counts.values():
        one.correct[n : 2 * n], one.predicted[n : 2 * n] = one.correct[:n], one.predicted[:n]
    table = inference.differences(samples(counts if at_hand else {}, frame_of(counts))).set_index("start")
    assert (table.loc["copy", "difference"] == 0).all() and (table.loc["other", "difference"] > 10).all()
    if n > 1:
        assert (table.loc["copy", ["p", "p_holm"]] == 1).all(axis=None)
        assert (table.loc["copy", "low"] <= 0).all() and (table.loc["copy", "high"] >= 0).all()
    else:  # nothing is known of other seeds
        assert table.loc["copy", ["low", "high", "p", "p_holm"]].isna().all(axis=None)


def test_sentences_are_paired() -> None:
    """A model that finds a little more in the same sentences is surely better; intervals apart do not show it."""
    counts = counted({("base", "hau"): 0.5, ("swa", "hau"): 0.5}, [0, 1], ["ibo"], sentences=300)["ibo"]
    counts.correct[1:], counts.predicted[1:] = counts.correct[0], counts.predicted[0]
    better = np.flatnonzero(counts.gold[:, 0] > counts.correct[0, :, 0])[:12]
    for cell in (2, 3):  # both seeds of swa
        counts.correct[cell, better, 0] += 1
        counts.predicted[cell, better, 0] += 1
    found = samples({"ibo": counts})
    apart = inference.intervals(found).set_index("start")
    assert apart.loc["swa", "low"] < apart.loc["base", "f1"] < apart.loc["swa", "f1"] < apart.loc["base", "high"]
    difference = inference.differences(found).iloc[0]
    assert difference["low"] > 0 and difference["p"] < 0.01
    assert difference["high"] - difference["low"] < 0.5 * (apart.loc["base", "high"] - apart.loc["base", "low"])


# --- ranks of sources ----------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(random=st.integers(0, 10**6), seeds=st.sampled_from([[0], [0, 1, 2]]))
def test_some_source_is_the_best(random: int, seeds: list[int]) -> None:
    skills = dict.fromkeys(itertools.product(("base", "swa"), [*LANGUAGES, "yor"]), 0.5)
    table = inference.source_ranks(samples(counted(skills, seeds, random=random)), ["swa", "base"])
    assert list(table.columns) == inference.RANK_COLUMNS
    assert (table["source"] != table["target"]).all() and len(table) == 2 * 3 * 3
    for (start, target), rows in table.groupby(["start", "target"]):
        assert set(rows["source"]) == {*LANGUAGES, "yor"} - {target}, start
        assert rows["best_probability"].sum() == pytest.approx(1)
        assert rows["mean_rank"].sum() == pytest.approx(1 + 2 + 3)
    assert (table["rank_low"] >= 1).all() and (table["rank_high"] <= 3).all()
    assert (table["rank_low"] <= table["rank_high"]).all()


def test_a_source_that_is_far_ahead_is_surely_the_best() -> None:
    skills = {
        ("base", "hau"): 0.2,
        ("base", "ibo"): 0.9,
        ("base", "swa"): 0.55,
        ("swa", "hau"): 0.95,
        ("swa", "ibo"): 0.1,
    }
    table = inference.source_ranks(samples(counted(skills)), ["base", "swa"]).set_index(["start", "target", "source"])
    certain = table.loc[[("base", "swa", "ibo"), ("base", "hau", "ibo"), ("base", "ibo", "swa"), ("swa", "swa", "hau")]]
    assert (certain["best_probability"] > 0.97).all() and (certain["mean_rank"] < 1.03).all()
    assert (certain[["rank_low", "rank_high", "seeds_vary"]] == [1, 1, True]).all(axis=None)
    behind = table.loc[("base", "swa", "hau")]
    assert behind["best_probability"] < 0.03 and (behind[["rank_low", "rank_high"]] == 2).all()
    # a start with one rival has nothing to rank
    assert {(start, target) for start, target, _ in table.index} == {
        ("base", "hau"), ("base", "ibo"), ("base", "swa"), ("swa", "swa"),
    }  # fmt: skip


def test_equal_sources_share_the_chance() -> None:
    counts = counted({("base", "hau"): 0.5, ("base", "ibo"): 0.5, ("base", "yor"): 0.05}, [0], ["swa"])["swa"]
    counts.correct[1], counts.predicted[1] = counts.correct[0], counts.predicted[0]
    table = inference.source_ranks(samples({"swa": counts}), ["base"]).set_index("source")
    assert table["best_probability"].to_dict() == {"hau": 0.5, "ibo": 0.5, "yor": 0}
    assert table["mean_rank"].to_dict() == {"hau": 1.5, "ibo": 1.5, "yor": 3}


def test_a_chance_says_how_far_seeds_and_sentences_agree() -> None:
    """A lead within what varies is no certainty, and a start that is not asked for is not ranked."""
    skills = {("base", "hau"): 0.6, ("base", "ibo"): 0.5, ("swa", "hau"): 0.5, ("swa", "ibo"): 0.5}
    near = inference.source_ranks(samples(counted(skills, [0], ["swa"], sentences=40, random=4)), ["base"])
    assert set(near["start"]) == {"base"} and near["best_probability"].between(0.02, 0.98).all()
    sure = inference.source_ranks(samples(counted(skills, [0], ["swa"], sentences=10_000, random=4)), ["base"])
    assert sorted(sure["best_probability"]) == [0, 1]


def test_ranks_say_where_a_source_has_one_seed() -> None:
    skills = {(start, source): 0.5 for start in ("base", "swa") for source in ("hau", "ibo", "yor")}
    counts = counted(skills, targets=["swa", "yor"])
    frame = frame_of(counts)
    lost = (frame["start"] == "base") & (frame["source"] == "yor") & (frame["seed"] > 0)
    table = inference.source_ranks(samples(counts, frame[~lost]), ["base", "swa"])
    vary = table.groupby(["start", "target"])["seeds_vary"].unique().map(list).to_dict()
    assert vary == {  # no rival for itself
        ("base", "swa"): [False], ("base", "yor"): [True], ("swa", "swa"): [True], ("swa", "yor"): [True],
    }  # fmt: skip


def test_without_counts_by_sentence_seeds_alone_rank() -> None:
    counts = counted()
    found = inference.source_ranks(samples({"hau": counts["hau"]}, frame_of(counts)), ["base"])
    assert set(found["target"]) == set(LANGUAGES)
    assert found.groupby("target")["best_probability"].sum().tolist() == pytest.approx([1, 1, 1])
    one_seed = frame_of(counts)
    one_seed = one_seed[one_seed["seed"] == one_seed["seed"].min()]
    assert not len(inference.source_ranks(samples({}, one_seed), ["base"]))  # nothing varies


# --- seeds ---------------------------------------------------------------------------------------------------


def cube_of(values: np.ndarray, names: Sequence[str] = LANGUAGES) -> Cube:
    return Cube(list(range(len(values))), list(names), list(names), values)


def test_seeds_that_rank_the_sources_alike_agree() -> None:
    rng = np.random.default_rng(0)
    order = rng.uniform(20, 80, (3, 3))
    same = order + np.array([0.0, 1.0, 5.0])[:, None, None]
    same[:, range(3), range(3)] = rng.uniform(0, 100, (3, 3))  # in-language scores are no rivals
    table = inference.rank_agreement({"base": cube_of(same)})
    assert list(table.columns) == ["start", "target", "kendall_tau_b"]
    assert list(table["target"]) == LANGUAGES and table["kendall_tau_b"].tolist() == [1, 1, 1]
    opposed = np.stack([order, 100 - order])
    assert inference.rank_agreement({"base": cube_of(opposed)})["kendall_tau_b"].tolist() == [-1, -1, -1]


def test_agreement_of_every_start_and_target_is_the_mean_of_kendalls_tau() -> None:
    names = [*LANGUAGES, "wol", "yor"]
    cubes = {start: cube_of(np.random.default_rng(i).uniform(0, 100, (3, 5, 5)), names) for i, start in enumerate("ab")}
    table = inference.rank_agreement(cubes).set_index(["start", "target"])["kendall_tau_b"]
    assert len(table) == 10
    for (start, cube), (column, target) in itertools.product(cubes.items(), enumerate(names)):
        rivals = np.delete(cube.values[:, :, column], column, axis=1)
        pairs = [stats.kendalltau(a, b).statistic for a, b in itertools.combinations(rivals, 2)]
        assert table[start, target] == pytest.approx(np.mean(pairs))


def test_one_seed_agrees_with_nothing_and_one_rival_is_no_ranking() -> None:
    assert inference.rank_agreement({"base": cube_of(np.ones((1, 3, 3)))})["kendall_tau_b"].isna().all()
    assert inference.rank_agreement({"base": cube_of(np.ones((3, 2, 2)), ["hau", "ibo"])}).empty


def test_seeds_needed_come_from_the_root_mean_variance_of_each_setting() -> None:
    values = np.random.default_rng(1).uniform(40, 60, (4, 3, 3))
    values[1, 0, 1] = np.nan
    values[1:, 1, 2] = np.nan  # a single seed says nothing
    table = inference.seeds_needed({"base": cube_of(values)}, {}).set_index("setting")
    assert list(table.index) == ["in-language", "zero-shot"] and set(table["start"]) == {"base"}
    for setting, inside in (("in-language", lambda i, j: i == j), ("zero-shot", lambda i, j: i != j)):
        places = [(i, j) for i in range(3) for j in range(3) if inside(i, j) and (i, j) != (1, 2)]
        variances = [plain.variance([v for v in values[:, i, j] if v == v]) for i, j in places]
        sd = math.sqrt(plain.fmean(variances))
        assert table.loc[setting, "sd"] == pytest.approx(sd)
        for points in (1, 2, 3, 5):
            exact = TTestIndPower().solve_power(points / sd, alpha=0.05, power=0.8)
            assert table.loc[setting, f"seeds_for_{points}_points"] == max(2, math.ceil(exact))


def test_more_spread_and_smaller_differences_need_more_seeds() -> None:
    base = np.random.default_rng(2).normal(size=(5, 3, 3))
    needed = [
        inference.seeds_needed({"base": cube_of(50 + spread * base)}, {})
        .set_index("setting")
        .loc["zero-shot", ["sd", *(f"seeds_for_{points}_points" for points in (1, 2, 3, 5))]]
        for spread in (0.5, 1.0, 3.0, 9.0)
    ]
    for less, more in itertools.pairwise(needed):
        assert (less < more).loc[["sd", "seeds_for_1_points"]].all() and (less <= more).all()
    for row in needed:
        falling = row.loc[[f"seeds_for_{points}_points" for points in (1, 2, 3, 5)]].tolist()
        assert falling == sorted(falling, reverse=True) and falling[-1] >= 2


def test_what_test_sentences_hide_no_number_of_seeds_shows() -> None:
    names, starts = ["hau", "swa"], ("base", "wol")
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 3, (80, 1))
    cells: list[Place] = [(start, source, seed) for start in starts for source in names for seed in (0, 1, 2)]
    shared = {(start, source): rng.uniform(0.2, 0.8, gold.shape) for start in starts for source in names}
    chances = np.array([shared[start, source] for start, source, _ in cells])
    correct = rng.binomial(gold, chances)  # what is hard differs between configurations, and a little between seeds
    there = SentenceCounts(cells, ["PER"], gold, correct + rng.binomial(1, 0.05, correct.shape), correct)
    found = samples({"hau": there}, resamples=1000)
    cubes = {start: Cube([0, 1, 2], names, ["hau"], rng.uniform(48, 52, (3, 2, 1))) for start in starts}
    table = inference.seeds_needed(cubes, found).set_index(["start", "setting"])
    means = found["hau"].means
    pair = [found["hau"].configurations.index((start, "swa")) for start in starts]  # zero-shot, on hau
    apart = means.resampled[:, pair[0]] - means.resampled[:, pair[1]]
    wanted = 100 * math.sqrt(apart.var(ddof=1) - means.own_variance[pair].sum() / 3)
    row = table.loc[("base", "zero-shot")]
    assert row["sentence_sd"] == pytest.approx(wanted) and wanted > 1
    assert row["smallest_difference"] == pytest.approx(2.8016 * wanted, rel=1e-4)
    for points in inference.POINTS:
        reached, most = row[f"power_for_{points}_points"], row[f"most_power_for_{points}_points"]
        assert 0.05 < reached < most < 0.8 < row["smallest_difference"] / points or points > 1
    alone = inference.seeds_needed(cubes, {}).set_index(["start", "setting"])
    assert alone[["sentence_sd", "smallest_difference", "power_for_2_points"]].isna().all(axis=None)
    np.testing.assert_array_equal(alone["seeds_for_2_points"], table["seeds_for_2_points"])


def test_single_seeds_and_settings_that_are_not_there_need_no_row() -> None:
    assert inference.seeds_needed({"base": cube_of(np.ones((1, 3, 3)))}, {}).empty
    assert inference.seeds_needed({"base": cube_of(np.empty((0, 3, 3)))}, {}).empty
    alone = Cube([0, 1], ["hau"], ["hau"], np.array([[[50.0]], [[52.0]]]))
    table = inference.seeds_needed({"hau": alone}, {})
    assert list(table["setting"]) == ["in-language"] and table["sd"].tolist() == pytest.approx([math.sqrt(2)])
    assert list(table.columns) == inference.SEEDS_COLUMNS


# --- the mixed model -----------------------------------------------------------------------------------------


def test_the_mixed_model_is_fitted_to_the_means_over_seeds_in_percent() -> None:
    names = [*LANGUAGES, "wol", "yor", "amh"]
    skills = {(start, source): 0.3 + 0.05 * i for start in ("base", "amh") for i, source in enumerate(names)}
    frame = frame_of(counted(skills, [0, 1], names, sentences=30))
    frame = frame[~((frame["start"] == "amh") & (frame["source"] == "yor") & (frame["target"] == "hau"))]
    noise = [frame.assign(split="dev", f1=0.9), frame.assign(category="PER", f1=0.8)]
    found = inference.mixed_model(pd.concat([frame, *noise]))
    rows = [
        (*key, 100 * plain.fmean(values))
        for key, values in frame.groupby(["start", "source", "target"], sort=False)["f1"]
    ]
    wanted = mixed_model.mixed_model(pd.DataFrame(rows, columns=["start", "source", "target", "f1"]))
    assert found.n == wanted.n == 2 * 36 - 1 and found.converged
    adaptation = [mixed_model.ADAPTED, mixed_model.TO_TARGET, mixed_model.TO_SOURCE]  # of amh, a language
    assert list(found.terms["term"]) == ["intercept", "in-language", *adaptation]  # base is the reference
    pd.testing.assert_frame_equal(found.terms, wanted.terms, rtol=1e-4)
    dev = inference.mixed_model(pd.concat([frame, *noise]), "dev")
    assert dev.terms.empty or dev.terms["estimate"].iloc[0] == pytest.approx(90)


def test_the_published_starts_gain_on_the_language_they_were_adapted_to(shared_data: Path) -> None:
    found = inference.mixed_model(published_scores(shared_data))
    terms = found.terms.set_index("term")
    assert not any(term.startswith("start ") for term in terms.index)  # lug alone had +4.2, p = 0.02, on all targets
    adaptation = [mixed_model.ADAPTED, mixed_model.TO_TARGET, mixed_model.TO_SOURCE]
    assert terms.loc[adaptation, "estimate"].tolist() == pytest.approx([2.55, 4.00, -3.66], abs=0.02)
    assert terms.loc[adaptation, "p"].tolist() == pytest.approx([0.048, 0.0018, 0.0044], rel=0.05)


def test_cubes_of_a_frame_say_the_same_as_its_samples() -> None:
    counts = counted()
    frame = frame_of(counts)
    cube = matrices.cube(frame, "swa", LANGUAGES, LANGUAGES)
    table = inference.intervals(samples(counts)).query("start == 'swa'")
    means = table.pivot(index="source", columns="target", values="f1").loc[LANGUAGES, LANGUAGES]
    np.testing.assert_allclose(means, cube.statistic("mean"), rtol=1e-12)
