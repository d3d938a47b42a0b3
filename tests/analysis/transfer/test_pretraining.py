"""The effect of pre-training: the published table from published results, and small studies against plain Python."""

import math
import re
import statistics
import warnings
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latex_check import check_latex, document
from published_frames import PUBLISHED_LATEX, ROLES, STUDY, frame_of, published_frame, shuffled
from scipy.stats import mannwhitneyu

from analysis.report.paper_tables import pretraining_table
from analysis.transfer import pretraining
from analysis.transfer.pretraining import Resampled
from nertransfer.core import grid

PUBLISHED_ORDER = ["wol", "hau", "swa"]
# the same of analysis/v10/results_compressed.csv
PUBLISHED_CSV = """,wol,hau,swa
Pre-trained (same-language),66.88 (1.7),91.64 (0.4),89.64 (0.6)
Pre-trained (swa),67.29 (1.3),88.83 (0.2),89.64 (0.6)
Pre-trained (base),64.22 (1.3),89.45 (0.4),87.76 (0.5)
"""


def row(found: pd.DataFrame, language: str, role: str) -> pd.Series:
    (place,) = found.index[(found["language"] == language) & (found["role"] == role)]
    return found.loc[place]


# --- as published ------------------------------------------------------------------------------------------


def test_the_published_tables_come_out_of_the_published_results(shared_data: Path) -> None:
    frame = published_frame(shared_data)
    assert pretraining_table.published_latex(frame, PUBLISHED_ORDER) == PUBLISHED_LATEX
    assert pretraining_table.published_csv(frame, PUBLISHED_ORDER) == PUBLISHED_CSV
    assert check_latex(PUBLISHED_LATEX) == []


def test_a_published_best_is_bold_only_with_a_star() -> None:
    frame = frame_of({pair: STUDY[pair] for pair in STUDY if pair[1] != "swa"})
    own, swa, base = pretraining_table.published_latex(frame, ["hau", "wol"]).splitlines()[4:7]
    assert re.split(r"\s*&\s*|\s*\\\\", own)[1:3] == ["82.2 (0.2)", r"$\text{52.0 (1.4)}^*$"]  # best of hau
    assert re.split(r"\s*&\s*|\s*\\\\", swa)[1:3] == ["81.4 (1.6)", r"$\textbf{67.0 (1.4)}^*$"]
    assert re.split(r"\s*&\s*|\s*\\\\", base)[1:3] == ["82.0 (1.4)", "62.1 (1.4)"]


def test_a_published_table_of_other_names_is_latex() -> None:
    names = {"swa": "afro_xlmr", "hau": "zh_CN"}
    scores = {tuple(names.get(name, name) for name in pair): values for pair, values in STUDY.items()}
    text = pretraining_table.published_latex(frame_of(scores), ["zh_CN", "wol"])
    assert check_latex(text) == []
    assert r" zh\_CN & " in text and r"Pre-trained (afro\_xlmr)" in text
    assert "zh_CN" in pretraining_table.published_csv(frame_of(scores), ["zh_CN"])


def test_a_published_score_that_is_missing_is_shown_as_such() -> None:
    frame = frame_of({pair: values for pair, values in STUDY.items() if pair not in [("hau", "hau"), ("base", "wol")]})
    roles = pretraining.roles(pretraining.pairs_of(frame))
    assert roles == ["base", "swa"]  # one own start is left
    assert pretraining_table.published_csv(frame, ["wol", "ibo"]).splitlines() == [
        ",wol,ibo", "Pre-trained (swa),67.0 (1.4),", "Pre-trained (base),,"
    ]  # fmt: skip
    lines = pretraining_table.published_latex(frame, ["wol", "ibo"]).splitlines()[4:6]
    assert [re.findall(r"NaN|[\d.]+ \([\d.]+\)", line) for line in lines] == [["67.0 (1.4)", "NaN"], ["NaN", "NaN"]]
    assert not any("^*" in line for line in lines)  # nothing to compare with


# --- roles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("starts", "sources", "pivots", "expected"),
    [
        (["swa", "base", "own"], ["wol", "pcm", "yor", "hau", "swa"], ["swa"], ["base", "swa", "own"]),
        (["base", "swa", "own"], ["hau", "swa", "wol"], ["swa"], ["base", "swa", "own"]),
        (["base", "own"], ["hau", "swa", "wol"], [], ["base", "own"]),
        (["swa", "base", "afr"], ["hau", "swa", "wol"], [], ["base", "swa", "afr"]),
        (["base", "swa", "own"], ["hau", "swa"], [], ["base", "swa"]),  # own of hau alone is no row
        (["hau"], ["hau"], [], ["hau"]),
        ([], [], [], []),
    ],
)
def test_the_rows_are_the_wide_starts_and_own(
    starts: list[str], sources: list[str], pivots: list[str], expected: list[str]
) -> None:
    assert pretraining.roles(grid.pairs(starts, sources, pivots)) == expected


def test_base_has_a_row_however_few_of_its_cells_are_there() -> None:
    pairs = [("base", "hau"), *((start, source) for start in ("swa", "afr") for source in ("hau", "ibo", "wol"))]
    assert pretraining.roles([*pairs, ("half", "hau"), ("ibo", "swa")]) == ["base", "swa", "afr"]
    # half of the sources are not most of them, also where its own is among the rest
    assert pretraining.roles([*pairs, ("ibo", "wol"), ("ibo", "hau"), ("base", "swa")]) == ["base", "swa", "afr"]


# --- the effect ------------------------------------------------------------------------------------------------


def test_numbers_are_those_of_plain_python() -> None:
    found = pretraining.effect(frame_of(STUDY), ROLES, languages=["wol", "hau", "swa"])
    assert list(found[["language", "role", "start"]].itertuples(index=False, name=None)) == [
        (language, role, language if role == "own" else role) for language in ("wol", "hau", "swa") for role in ROLES
    ]
    for place in found.itertuples():
        values, base = STUDY[place.start, place.language], STUDY["base", place.language]
        assert place.mean == pytest.approx(statistics.mean(values))
        assert place.sd == pytest.approx(statistics.stdev(values))
        assert place.n == 5
        assert place.difference == pytest.approx(statistics.mean(values) - statistics.mean(base))
        if place.role == "base":
            assert math.isnan(place.mann_whitney_p) and math.isnan(place.p_holm)
        else:
            assert place.mann_whitney_p == pytest.approx(mannwhitneyu(values, base, alternative="two-sided").pvalue)
    best = found[found["best"]]
    assert list(zip(best["language"], best["role"], strict=True)) == [
        ("wol", "swa"), ("hau", "own"), ("swa", "swa"), ("swa", "own")
    ]  # fmt: skip
    assert found[["p", "low", "high", "difference_low", "difference_high"]].isna().all(axis=None)


def test_sd_over_the_seeds_at_hand() -> None:
    found = pretraining.effect(frame_of(STUDY), ROLES, ddof=0)
    assert row(found, "wol", "base")["sd"] == pytest.approx(statistics.pstdev(STUDY["base", "wol"]))


def test_only_in_language_scores_of_the_split_and_of_all_categories_count() -> None:
    frame = frame_of(STUDY)
    others = [
        frame.assign(target="ibo", f1=0.01),
        frame.assign(split="dev", f1=0.02),
        frame.assign(category="PER", f1=0.03),
    ]
    mixed = pd.concat([*others, frame])
    pd.testing.assert_frame_equal(pretraining.effect(mixed, ROLES), pretraining.effect(frame, ROLES))
    assert set(pretraining.effect(mixed, ROLES, split="dev")["mean"]) == {2.0}
    assert pretraining_table.published_csv(mixed, PUBLISHED_ORDER) == pretraining_table.published_csv(
        frame, PUBLISHED_ORDER
    )


def test_missing_cells_have_rows_without_numbers() -> None:
    left_out = [("base", "wol"), ("hau", "hau"), ("swa", "swa")]
    frame = frame_of({pair: values for pair, values in STUDY.items() if pair not in left_out})
    found = pretraining.effect(frame, ROLES, languages=["wol", "hau", "swa", "ibo"])
    assert len(found) == 12
    missing = {(r.language, r.role) for r in found.itertuples() if r.n == 0}
    assert missing == {("wol", "base"), ("hau", "own"), ("swa", "swa"), ("swa", "own")} | {("ibo", x) for x in ROLES}
    numbers = ["mean", "sd", "difference", "mann_whitney_p", "p_holm"]
    assert found.loc[found["n"] == 0, numbers].isna().all(axis=None)
    assert not found.loc[found["n"] == 0, "best"].any()
    assert row(found, "wol", "swa")["n"] == 5 and math.isnan(row(found, "wol", "swa")["difference"])
    assert math.isnan(row(found, "wol", "swa")["mann_whitney_p"])  # nothing to compare with
    assert row(found, "hau", "base")["best"]


def test_one_seed_has_no_sd() -> None:
    with warnings.catch_warnings(action="error"):
        found = pretraining.effect(frame_of({("base", "hau"): (80.0,), ("swa", "hau"): (82.0,)}), ["base", "swa"])
    assert found["sd"].isna().all() and list(found["n"]) == [1, 1]
    assert list(found["difference"]) == pytest.approx([0.0, 2.0])


def test_a_study_without_scores_has_no_rows() -> None:
    assert list(pretraining.effect(frame_of({}), []).columns) == pretraining.COLUMNS
    table = pretraining_table.table(pretraining.effect(frame_of({}), ["base"], languages=["hau"]), ["hau"])
    assert [entry.text for _, entries in table.rows for entry in entries] == ["n/a"]
    assert "n/a: no scores." in table.notes
    with pytest.raises(ValueError):
        pretraining_table.published_latex(frame_of({}), ["hau"])


def test_two_scores_of_one_seed_are_refused() -> None:
    frame = frame_of(STUDY)
    with pytest.raises(ValueError, match="two scores"):
        pretraining.effect(pd.concat([frame, frame.head(1)]), ROLES)


def test_the_correction_counts_a_start_with_two_roles_once() -> None:
    found = pretraining.effect(frame_of(STUDY), ROLES)
    assert len(pretraining.comparisons(found)) == 5  # swa has both roles for swa
    smallest = mannwhitneyu(STUDY["swa", "wol"], STUDY["base", "wol"]).pvalue
    assert row(found, "wol", "swa")["p_holm"] == pytest.approx(5 * smallest)
    assert row(found, "swa", "own")["p_holm"] == row(found, "swa", "swa")["p_holm"]


def test_better_p_values_and_intervals_take_their_places() -> None:
    p_values = {("wol", "swa"): 0.001, ("wol", "own"): 0.03, ("hau", "own"): 0.02}
    resampled = {place: Resampled(p, 10 * p) for place, p in p_values.items()}
    resampled["wol", "swa"] = Resampled(0.001, 0.01, 64.0, 70.0, 2.0, 8.0)
    found = pretraining.effect(frame_of(STUDY), ROLES, resampled=resampled)
    assert {(r.language, r.role): r.p for r in found.itertuples() if not math.isnan(r.p)} == p_values
    corrected = {(r.language, r.role): r.p_holm for r in found.itertuples() if not math.isnan(r.p_holm)}
    assert corrected == {place: 10 * p for place, p in p_values.items()}  # as where the test is listed, not once more
    assert list(row(found, "wol", "swa")[["low", "high", "difference_low", "difference_high"]]) == [64, 70, 2, 8]
    assert found[["low", "difference_high"]].notna().sum().tolist() == [1, 1]
    assert row(found, "swa", "swa")["mann_whitney_p"] < 0.01


# --- the table ---------------------------------------------------------------------------------------------------


def test_a_table_marks_what_is_best_and_what_differs() -> None:
    p_values = {("wol", "swa"): 0.001, ("wol", "own"): 0.03, ("hau", "own"): 0.06}
    corrected = {place: Resampled(p, 2 * p) for place, p in p_values.items()}
    found = pretraining.effect(frame_of(STUDY), ROLES, resampled=corrected)
    table = pretraining_table.table(found, PUBLISHED_ORDER, test="paired bootstrap over sentences", tests=30)
    assert (table.columns, [heads for heads, _ in table.rows]) == (PUBLISHED_ORDER, [["base"], ["swa"], ["own"]])
    assert [[(e.text, e.note, e.bold, e.star) for e in entries] for _, entries in table.rows] == [
        [("62.1", "± 1.5", False, False), ("82.0", "± 1.6", False, False), ("72.1", "± 1.7", False, False)],
        [("67.0", "± 1.6", True, True), ("81.4", "± 1.7", False, False), ("82.0", "± 1.6", True, False)],
        [("52.0", "± 1.6", False, False), ("82.2", "± 0.2", True, False), ("82.0", "± 1.6", True, False)],
    ]  # wol from own: 0.03 * 2
    notes = " ".join(table.notes)
    assert "± standard deviation (with n - 1 in the denominator) over 5 seeds." in notes
    published = pretraining_table.table(pretraining.effect(frame_of(STUDY), ROLES, ddof=0), PUBLISHED_ORDER, ddof=0)
    assert "(with n in the denominator) over 5 seeds." in published.notes[0]
    assert "paired bootstrap over sentences, Holm's correction over all 30 comparisons of starts with base" in notes
    assert "n/a" not in notes and "So few seeds" not in notes
    assert check_latex(document(table)) == []


def test_a_table_says_when_its_seeds_are_too_few_for_a_star() -> None:
    wide = {(start, f"l{i}"): STUDY[start, "wol"] for start in ("base", "swa") for i in range(7)}
    few = pretraining_table.table(pretraining.effect(frame_of(wide), ["base", "swa"]), ["l0"])
    least = 7 * 2 / math.comb(10, 5)
    assert any(f"corrected, is {least:.2g}." in note for note in few.notes)
    assert not any(entry.star for _, entries in few.rows for entry in entries)
    six = {pair: wide[pair] for pair in wide if pair[1] != "l6"}  # 6 * 2 / 252 is below 0.05
    enough = pretraining_table.table(pretraining.effect(frame_of(six), ["base", "swa"]), ["l0"])
    assert not any("So few seeds" in note for note in enough.notes)
    assert enough.rows[1][1][0].star


def test_a_table_shows_what_is_missing_or_has_fewer_seeds() -> None:
    scores = {**STUDY, ("swa", "wol"): (65.0, 66.0), ("wol", "wol"): (52.0,)}
    del scores["base", "hau"]
    table = pretraining_table.table(pretraining.effect(frame_of(scores), ROLES), ["wol", "hau", "ibo"])
    assert [[(e.text, e.note) for e in entries] for _, entries in table.rows] == [
        [("62.1", "± 1.5"), ("n/a", ""), ("n/a", "")],
        [("65.5", "± 0.7 (n=2)"), ("81.4", "± 1.7"), ("n/a", "")],
        [("52.0", "(n=1)"), ("82.2", "± 0.2"), ("n/a", "")],
    ]
    assert "n/a: no scores." in table.notes
    assert (
        "n/a: no scores." in pretraining_table.table(pretraining.effect(frame_of(scores), ROLES), ["wol", "hau"]).notes
    )
    whole = pretraining.effect(frame_of(STUDY), ROLES)
    assert "n/a: no scores." in pretraining_table.table(whole, ["wol", "ibo"]).notes
    assert "n/a: no scores." not in pretraining_table.table(whole, PUBLISHED_ORDER).notes


# --- order -------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(5 * len(STUDY))), dropped=st.sets(st.integers(0, 5 * len(STUDY) - 1), max_size=12))
def test_the_order_of_rows_changes_nothing(order: list[int], dropped: set[int]) -> None:
    frame = frame_of(STUDY).drop(index=sorted(dropped))
    mixed = shuffled(frame_of(STUDY), (i for i in order if i not in dropped))
    pairs = pretraining.pairs_of(frame)
    assert pairs == pretraining.pairs_of(mixed)
    found, again = (pretraining.effect(f, pretraining.roles(pairs)) for f in (frame, mixed))
    pd.testing.assert_frame_equal(found, again, check_exact=True)
    assert pretraining_table.table(found, PUBLISHED_ORDER) == pretraining_table.table(again, PUBLISHED_ORDER)
    for published in (pretraining_table.published_latex, pretraining_table.published_csv):
        assert published(frame, PUBLISHED_ORDER) == published(mixed, PUBLISHED_ORDER)
