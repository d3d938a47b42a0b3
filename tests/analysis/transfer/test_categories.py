"""Scores by category: the published table from published results, and small studies against plain Python."""

import math
import re
import statistics
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latex_check import check_latex, document
from published_categories import PUBLISHED_LATEX
from published_frames import COLUMNS, ROLES, STUDY, frame_of, models, published_frame, shuffled

from analysis.report.paper_tables import category_table
from analysis.transfer import categories, pretraining
from nertransfer.corpora.languages import LANGUAGES
from nertransfer.scoring import scores as entity_scores

REGIONS = {"wol": "west", "hau": "west", "swa": "east"}


def tags(path: Path) -> list[list[str]]:
    """The last column of every sentence of a file."""
    blocks = re.split(r"\n[ \t]*\n", path.read_text(encoding="utf-8-sig"))
    return [[line.split(" ")[-1] for line in b.split("\n") if line.strip()] for b in blocks if b.strip()]


def counted_frame(shared_data: Path) -> pd.DataFrame:
    """The test scores of the published predictions at full precision."""
    gold = {name: entity_scores.entities(tags(shared_data / "masakhaner" / name / "test.txt")) for name in REGIONS}
    rows = []
    for folder, start, source, seed in models(shared_data):
        predicted = entity_scores.entities(tags(folder / "test_predictions.txt"))
        table = entity_scores.scores(entity_scores.count(gold[source], predicted)).default
        rows += [
            (start, source, seed, source, "test", name, s.precision, s.recall, s.f1, s.support)
            for name, s in table.items()
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def study(**by_category: float) -> pd.DataFrame:
    """`STUDY` as ALL, and every category given that many points away from it."""
    parts = [frame_of(STUDY)]
    for name, points in by_category.items():
        shifted = {pair: [value + points for value in values] for pair, values in STUDY.items()}
        parts.append(frame_of(shifted, category=name))
    return pd.concat(parts, ignore_index=True)


def entries(text: str) -> list[list[str]]:
    """The cells of the body of a published table, heads left out."""
    rows = [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if line.endswith(r"\\")]
    return [[cell.strip() for cell in row[2:]] for row in rows[2:]]


# --- as published ------------------------------------------------------------------------------------------


def test_the_published_table_comes_out_of_the_published_predictions(shared_data: Path) -> None:
    counted = counted_frame(shared_data)
    assert category_table.published_latex(counted, ["wol", "hau", "swa"], REGIONS) == PUBLISHED_LATEX
    assert check_latex(PUBLISHED_LATEX) == []
    # and rounding does to full precision what the printed reports say
    by = ["start", "source", "seed", "category"]
    printed = published_frame(shared_data)
    printed = printed[printed["split"] == "test"].sort_values(by, ignore_index=True)
    rounded = categories.published_frame(counted).sort_values(by, ignore_index=True)
    in_categories = printed["category"] != "ALL"
    pd.testing.assert_frame_equal(rounded[in_categories], printed[in_categories], check_exact=True)


def test_a_report_rounds_categories_as_text_and_leaves_the_overall_score() -> None:
    # 0.005 and 0.015 are a little more and a little less than what they look like
    frame = pd.concat([frame_of({("base", "hau"): (0.5, 1.5, 12.345)}, category=name) for name in ("PER", "ALL")])
    before = frame.copy()
    rounded = categories.published_frame(frame)
    assert list(rounded["f1"])[:3] == [0.01, 0.01, 0.12] and list(rounded["f1"])[3:] == [0.005, 0.015, 0.12345]
    assert list(rounded["precision"])[:3] == list(rounded["recall"])[:3] == [0.01, 0.01, 0.12]
    pd.testing.assert_frame_equal(frame, before)


def flat(scores: dict[tuple[str, str], float]) -> pd.DataFrame:
    return frame_of({pair: (value, value) for pair, value in scores.items()})


def test_colours_compare_printed_means() -> None:
    frame = flat({
        ("base", "hau"): 70.0, ("swa", "hau"): 75.0, ("hau", "hau"): 75.002,
        ("base", "wol"): 70.0, ("swa", "wol"): 75.01, ("wol", "wol"): 69.998,
        ("base", "yor"): 70.0, ("swa", "yor"): 80.0, ("yor", "yor"): 79.0,
    })  # fmt: skip
    found = entries(category_table.published_latex(frame, ["hau", "wol", "yor"], {}))
    assert [cell for (cell,) in found] == [
        "70.0 (0.0)", "75.0 (0.0)", "75.0 (0.0)",  # five points above are not more than five
        "70.0 (0.0)", r"\textcolor{green}{75.01 (0.0)}", r"\textcolor{orange}{70.0 (0.0)}",
        "70.0 (0.0)", r"\textcolor{green}{80.0 (0.0)}", r"\textcolor{orange}{\textcolor{green}{79.0 (0.0)}}",
    ]  # fmt: skip


def test_without_a_second_start_nothing_is_orange() -> None:
    frame = flat({("base", "hau"): 70.0, ("hau", "hau"): 60.0, ("base", "wol"): 70.0, ("wol", "wol"): 71.0})
    text = category_table.published_latex(frame, ["hau", "wol"], {"wol": "west"})
    assert [cell for (cell,) in entries(text)] == [
        "70.0 (0.0)", r"\textcolor{red}{60.0 (0.0)}", "70.0 (0.0)", "71.0 (0.0)"
    ]  # fmt: skip
    assert "\nhau & base" in text and "\nwol (west) & base" in text  # hau: no region is known


def test_a_published_table_of_other_names_is_latex() -> None:
    names = {"swa": "afro_xlmr", "hau": "zh_CN"}
    frame = study(DATE_TIME=-5).replace({"start": names, "source": names, "target": names})
    text = category_table.published_latex(frame, ["zh_CN", "wol"], {"zh_CN": "south_east"})
    assert check_latex(text) == []
    assert r" DATE\_TIME & " in text and r"zh\_CN (south\_east) & " in text and r"afro\_xlmr & " in text


def test_a_published_score_that_is_missing_is_shown_as_such() -> None:
    frame = study(PER=-5)
    gone = (frame["start"] == "base") & (frame["source"] == "wol")
    found = entries(category_table.published_latex(frame[~gone], ["wol", "ibo"], {}))
    assert found == [
        ["NaN", "NaN"], ["62.0 (1.4)", "67.0 (1.4)"],
        [r"\textcolor{orange}{47.0 (1.4)}", r"\textcolor{orange}{52.0 (1.4)}"],
        *([["NaN", "NaN"]] * 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "region"), [("wol", "west"), ("hau", "west"), ("swa", "east"), ("luo", "east"), ("nya", "south-east")]
)
def test_a_region_has_a_short_name(code: str, region: str) -> None:
    assert category_table.short_region(LANGUAGES[code].region) == region


# --- the frame and the table ---------------------------------------------------------------------------------


def test_numbers_are_those_of_plain_python() -> None:
    points = {"LOC": 2.0, "PER": -3.0, "ALL": 0.0}
    found = categories.by_start(study(PER=-3, LOC=2), ROLES, languages=["wol", "hau", "swa"])
    assert list(found[["language", "role", "category"]].itertuples(index=False, name=None)) == [
        (language, role, name) for language in ("wol", "hau", "swa") for role in ROLES for name in points
    ]
    for place in found.itertuples():
        values = STUDY[place.start, place.language]
        assert place.start == (place.language if place.role == "own" else place.role)
        assert place.mean == pytest.approx(statistics.mean(values) + points[place.category])
        assert place.sd == pytest.approx(statistics.stdev(values))
        assert place.n == 5
        base = STUDY["base", place.language]
        assert place.difference == pytest.approx(statistics.mean(values) - statistics.mean(base), abs=1e-9)
    population = categories.by_start(study(), ["base"], ddof=0)
    assert population["sd"][1] == pytest.approx(statistics.pstdev(STUDY["base", "swa"]))


def test_a_category_that_a_language_does_not_have_has_no_score() -> None:
    frame = study(PER=-3)
    without = (frame["source"] == "wol") & (frame["category"] == "PER")
    frame.loc[without, ["precision", "recall", "f1", "support"]] = [0.0, 0.0, 0.0, 0]
    found = categories.by_start(frame, ROLES)
    absent = found[(found["language"] == "wol") & (found["category"] == "PER")]
    assert list(absent["n"]) == [0, 0, 0] and absent[["mean", "sd", "difference"]].isna().all(axis=None)
    assert found.loc[found["n"] > 0, "mean"].notna().all() and (found["n"] == 0).sum() == 3
    table = category_table.table(found)
    assert [row[0].text for heads, row in table.rows if heads[0] == "wol"] == ["n/a"] * 3
    assert table.notes[-1] == "n/a: no scores, or no entity of that category."
    assert not any("n/a" in note for note in category_table.table(categories.by_start(study(PER=-3), ROLES)).notes)


def test_dev_scores_are_another_table() -> None:
    dev = study(PER=-3, ORG=1).assign(split="dev", f1=0.5)
    frame = pd.concat([study(PER=-3), dev, study().assign(target="ibo", f1=0.1)])
    pd.testing.assert_frame_equal(categories.by_start(frame, ROLES), categories.by_start(study(PER=-3), ROLES))
    assert set(categories.by_start(frame, ROLES, "dev")["mean"]) == {50.0}


def test_a_table_marks_the_best_start_of_every_language_and_category() -> None:
    frame = study(PER=-3, LOC=2)
    raised = (frame["start"] == "base") & (frame["source"] == "hau") & (frame["category"] == "LOC")
    frame.loc[raised, "f1"] += 0.1
    lost = (frame["start"] == "swa") & (frame["source"] == "wol") & (frame["seed"] > 1)
    table = category_table.table(categories.by_start(frame[~lost], ROLES, languages=["wol", "hau", "swa"]))
    assert table.columns == ["LOC", "PER", "overall"]
    assert [heads for heads, _ in table.rows] == [[name, role] for name in ("wol", "hau", "swa") for role in ROLES]
    assert [[entry.bold for entry in row] for _, row in table.rows] == [
        *([False] * 3, [True] * 3, [False] * 3),
        *([True, False, False], [False] * 3, [False, True, True]),
        *([False] * 3, [True] * 3, [True] * 3),  # swa is its own start
    ]
    assert [(entry.text, entry.note) for entry in table.rows[1][1]] == [
        ("67.5", "± 0.7 (n=2)"), ("62.5", "± 0.7 (n=2)"), ("65.5", "± 0.7 (n=2)")
    ]  # fmt: skip
    assert (table.rows[0][1][2].text, table.rows[0][1][2].note) == ("62.1", "± 1.5")
    assert table.rules == {2, 5} and "with n - 1 in the denominator" in table.notes[0]
    alone = category_table.table(categories.by_start(frame, ["base"]))
    assert not any(entry.bold for _, row in alone.rows for entry in row)  # nothing to be better than
    published = category_table.table(categories.by_start(frame, ROLES, ddof=0), ddof=0)
    assert "with n in the denominator" in published.notes[0]
    assert check_latex(document(table)) == []


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_order_of_rows_changes_nothing(data: st.DataObject) -> None:
    frame = study(PER=-3)
    kept = data.draw(st.lists(st.integers(0, len(frame) - 1), min_size=60, unique=True))
    mixed, ordered = shuffled(frame, kept), shuffled(frame, sorted(kept))
    roles = pretraining.roles(pretraining.pairs_of(ordered))
    found, again = (categories.by_start(f, roles) for f in (ordered, mixed))
    pd.testing.assert_frame_equal(found, again, check_exact=True)
    assert category_table.table(found) == category_table.table(again)
    order = ["wol", "hau", "swa"]
    assert category_table.published_latex(ordered, order, REGIONS) == category_table.published_latex(
        mixed, order, REGIONS
    )


def test_a_study_without_scores_has_no_rows() -> None:
    assert len(categories.by_start(pd.DataFrame(columns=COLUMNS), [])) == 0
    found = categories.by_start(frame_of({}), ["base"], languages=["hau"])
    assert found["n"].sum() == 0 and math.isnan(found["mean"][0])
