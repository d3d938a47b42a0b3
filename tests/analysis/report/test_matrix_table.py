"""Matrices, answers and starts as tables for papers."""

from typing import Literal

import numpy as np
import pandas as pd
import pytest

from analysis.report.paper_tables import matrix_table, typeset
from analysis.transfer.answers import PAIR_COLUMNS
from analysis.transfer.inference import START_COLUMNS
from analysis.transfer.views import View


def view(name: str, kind: Literal["start", "own", "pivot", "languages"] = "start") -> View:
    return View(name, kind, [], [], pd.DataFrame(), True)


@pytest.fixture
def square() -> tuple[pd.DataFrame, np.ndarray]:
    """Two sources on three targets, with averages."""
    names = ["aaa", "bbb", "ccc", "zero-shot"]
    values = [[90.0, 40.0, 30.0, 35.0], [50.0, 80.0, 30.0, 40.0], [50.0, 40.0, 30.0, 37.5]]
    mean = pd.DataFrame(values, ["aaa", "bbb", "zero-shot"], names)
    return mean, np.array([[True, False, False], [False, True, False]])


def test_the_best_zero_shot_source_stands_out_and_no_average_or_tie(square: tuple[pd.DataFrame, np.ndarray]) -> None:
    mean, own = square
    table = matrix_table.matrix(mean, mean * 0 + 1.25, mean * 0 + 3, own, view("base"), "test", 1)
    bold = [(heads[0], table.columns[i]) for heads, row in table.rows for i, one in enumerate(row) if one.bold]
    assert bold == [("aaa", "bbb"), ("bbb", "aaa")]  # not 90 on its own language, and of 30 = 30 neither
    assert table.rules == {1} and "over 3 seeds" in table.notes[0]
    assert "| aaa | 90.0 ± 1.2 | **40.0** ± 1.2 | 30.0 ± 1.2 | 35.0 ± 1.2 |" in typeset.markdown(table)
    mean.iloc[0, 1] = np.nan
    missing = matrix_table.matrix(mean, mean * 0, mean * 0 + 3, own, view("own", "own"), "test", 1)
    assert missing.rows[0][1][1].text == "n/a" and missing.notes[1] == "n/a: no score."
    assert missing.caption == "F1 by source and target, each source from its own start (test split, percent)"


def test_a_study_in_one_language_each_is_no_zero_shot_table(square: tuple[pd.DataFrame, np.ndarray]) -> None:
    mean = square[0].iloc[:2].set_axis(["base", "swa"])
    seeds = mean * 0 + np.array([[3, 3, 2, 3], [3, 3, 3, 3]])
    table = matrix_table.matrix(
        mean, mean * 0, seeds, np.ones((2, 4), dtype=bool), view("in-language", "languages"), "test", 1
    )
    assert table.caption == "F1 by start and language, fine-tuned and scored on one language (test split, percent)"
    assert [row[1][0].bold for row in table.rows] == [True, False] and table.head_names == ["Start"]
    assert "over 2 to 3 seeds. Bold: the highest mean." in table.notes[0]
    pivot = matrix_table.difference(mean, view("source-swa", "pivot"), "base", "test")
    assert pivot.caption == "F1 by start and target, fine-tuned on swa, minus start base (test split, points)"
    row = dict.fromkeys(PAIR_COLUMNS, np.nan) | {"target": "wol", "start": "wol", "source": "wol", "f1": 64.0}
    answers = matrix_table.answers(pd.DataFrame([row]), "test", "in-language")
    assert answers.head_names == ["Language", "Start"] and answers.rows[0][0] == ["wol", "wol"]
    assert "without data" not in answers.caption and "source" not in " ".join(answers.notes)
    rows = [dict.fromkeys(START_COLUMNS, np.nan) | {"start": name, "f1": 50.0, "n_pairs": 3} for name in ("base", "a")]
    starts = matrix_table.starts(pd.DataFrame(rows), "base", "test", "in-language")
    assert starts.caption == "Mean in-language F1 by start, over 3 languages (test split, percent and points)"


def test_differences_have_a_sign(square: tuple[pd.DataFrame, np.ndarray]) -> None:
    mean, _ = square
    table = matrix_table.difference(mean - 40, view("swa"), "base", "test")
    assert [one.text for one in table.rows[0][1]] == ["+50.0", "0.0", "−10.0", "−5.0"]
    assert table.caption == "F1 by source and target, start swa, minus start base (test split, points)"


def test_answers_say_f1_of_seeds_that_did_not_choose_where_there_is_one() -> None:
    row = dict.fromkeys(PAIR_COLUMNS, np.nan) | {
        "target": "wol", "start": "wol", "source": "swa", "f1": 64.0, "expected_f1": 63.8, "low": 62.0, "high": 65.6,
        "lead": 19.6, "gain": 0.0, "best_probability": 0.995,
    }  # fmt: skip
    few = row | {"target": "hau", "expected_f1": np.nan, "low": np.nan}
    table = matrix_table.answers(pd.DataFrame([row, few]), "test")
    assert [one.text for one in table.rows[0][1]] == ["63.8", "62.0 to 65.6", "+19.6", "0.0", "0.99"]
    assert [one.text for one in table.rows[1][1]][:2] == ["64.0", "n/a"]


def test_a_start_that_differs_has_a_star() -> None:
    empty = dict.fromkeys(START_COLUMNS, np.nan) | {"n_pairs": 6}
    rows = [
        empty | {"start": "base", "f1": 50.0},
        empty | {"start": "swa", "f1": 53.0, "difference": 3.0, "p_holm": 0.01},
    ]
    table = matrix_table.starts(pd.DataFrame(rows), "base", "test")
    assert [row[1][2].star for row in table.rows] == [False, True] and "over 6 pairs" in table.caption
