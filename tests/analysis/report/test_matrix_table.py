"""Matrices, answers and starts as tables for papers."""

import numpy as np
import pandas as pd
import pytest

from analysis.report.paper_tables import matrix_table, typeset
from analysis.transfer.answers import PAIR_COLUMNS
from analysis.transfer.inference import START_COLUMNS


@pytest.fixture
def square() -> tuple[pd.DataFrame, np.ndarray]:
    """Two sources on three targets, with averages."""
    names = ["aaa", "bbb", "ccc", "zero-shot"]
    values = [[90.0, 40.0, 30.0, 35.0], [50.0, 80.0, 30.0, 40.0], [50.0, 40.0, 30.0, 37.5]]
    mean = pd.DataFrame(values, ["aaa", "bbb", "zero-shot"], names)
    return mean, np.array([[True, False, False], [False, True, False]])


def test_the_best_zero_shot_source_stands_out_and_no_average_or_tie(square: tuple[pd.DataFrame, np.ndarray]) -> None:
    mean, own = square
    table = matrix_table.matrix(mean, mean * 0 + 1.25, mean * 0 + 3, own, "source", "base", "test", 1)
    bold = [(heads[0], table.columns[i]) for heads, row in table.rows for i, one in enumerate(row) if one.bold]
    assert bold == [("aaa", "bbb"), ("bbb", "aaa")]  # not 90 on its own language, and of 30 = 30 neither
    assert table.rules == {1} and "over 3 seeds" in table.notes[0]
    assert "| aaa | 90.0 ± 1.2 | **40.0** ± 1.2 | 30.0 ± 1.2 | 35.0 ± 1.2 |" in typeset.markdown(table)
    mean.iloc[0, 1] = np.nan
    missing = matrix_table.matrix(mean, mean * 0, mean * 0 + 3, own, "source", "own", "test", 1)
    assert missing.rows[0][1][1].text == "n/a" and missing.notes[1] == "n/a: no score."
    assert "adapted to it" in missing.caption


def test_differences_have_a_sign(square: tuple[pd.DataFrame, np.ndarray]) -> None:
    mean, _ = square
    table = matrix_table.difference(mean - 40, "source", "swa", "base", "test")
    assert [one.text for one in table.rows[0][1]] == ["+50.0", "0.0", "−10.0", "−5.0"]
    assert table.caption == "F1 by source and target, start swa minus start base (test split, points)"


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
