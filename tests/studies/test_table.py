"""Tables of scores, read strictly."""

from pathlib import Path

import pytest

from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus
from nertransfer.studies.published import table
from nertransfer.studies.published.files import CellName, Unfit

HEADER = "start,source,seed,target,f1"
ROW = "base,hau,0,swa,0.5"


def parsed(tmp_path: Path, *lines: str) -> table.Table:
    path = tmp_path / "scores.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table.parse(path)


def test_few_columns_in_any_order_suffice_and_the_rest_is_listed(tmp_path: Path) -> None:
    found = parsed(
        tmp_path, "note,f1,target,start,source,seed,few_shot_language",
        "a,0.25,swa,base,hau,3,", "", 'b,1,hau,base,hau,3,', "c,0.5,swa,base,hau,3,swa",
    )  # fmt: skip
    assert found.cells == {
        CellName("hau", "base", 3, 0): [("swa", "test", "ALL", {"f1": 0.25}), ("hau", "test", "ALL", {"f1": 1.0})]
    }
    assert found.unfit == [
        Unfit("scores.csv", "column 'note' is not read"),
        Unfit(
            "scores.csv", "1 row with sentences of a target, the first in line 5: such cells are not imported"
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "lines, message",
    [
        (["start,source,seed,target", "base,hau,0,swa"], ":1: no column f1; a table of scores has start, source, seed"),
        (["start;source;seed;target;f1"], "; columns are separated by commas"),
        ([HEADER + ",f1", ROW + ",0.5"], ":1: column f1 is there twice"),
        ([HEADER], "has no score"),
        ([HEADER, ROW + ",1"], ":2: 6 fields; the header has 5"),
        ([HEADER, "base,hau,0,swa,63.8"], ":2: f1 '63.8' is not a fraction from 0 to 1; scores are not in percent"),
        ([HEADER, "base,hau,0,swa,nan"], ":2: f1 'nan' is not a fraction from 0 to 1"),
        ([HEADER, "base,hau,0,swa,"], ":2: no f1; leave out the rows of scores that are missing"),
        ([HEADER, "base,hau,0.5,swa,0.5"], ":2: seed '0.5' is not a whole number of 0 or more"),
        ([HEADER, "base,../x,0,swa,0.5"], ":2: language '../x' is not a usable code"),
        ([HEADER, ",hau,0,swa,0.5"], ":2: language '' is not a usable code"),
        ([HEADER + ",split", ROW + ",train"], ":2: split 'train' is not dev or test"),
        ([HEADER + ",category", ROW + ",A/B"], ":2: tag 'B-A/B' is not"),
        ([HEADER + ",category", ROW + ",PER"], ":2: a score of PER and none of ALL for the same start"),
        ([HEADER + ",support", ROW + ",1.5"], ":2: support '1.5' is not a number of entities"),
        ([HEADER, ROW, "base,hau,1,swa,0.5", ROW], ":4: this score is there twice, also in line 2"),
        ([HEADER, '"base'], "not CSV: "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_line(lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        parsed(tmp_path, *lines)
    assert message in str(caught.value) and "scores.csv" in str(caught.value)


def test_scores_of_other_entities_than_the_corpora_have_are_refused(shared_data: Path, tmp_path: Path) -> None:
    corpora = corpus.load(DataOptions(str(shared_data / "masakhaner"), languages=("hau", "swa")))
    lines = [HEADER + ",category,support", ROW + ",ALL,1179", ROW + ",PER,{}"]
    right = parsed(tmp_path, *lines[:2], lines[2].format(333), "base,hau,0,hau,0.5,,")
    table.check_support(right, corpora, tmp_path / "scores.csv")
    with pytest.raises(InputError, match=r"target swa, test, PER: support 3, and the corpus has 333 entities"):
        table.check_support(parsed(tmp_path, *lines[:2], lines[2].format(3)), corpora, tmp_path / "scores.csv")


def test_the_key_stands_for_the_scores_and_not_for_their_order() -> None:
    cell = CellName("hau", "base", 3, 0)
    rows: list[table.Row] = [("swa", "test", "ALL", {"f1": 0.25}), ("hau", "test", "ALL", {"f1": 1.0})]
    key = table.measure(cell, rows).key
    assert table.measure(cell, rows[::-1]).key == key
    assert table.measure(cell, rows[:1]).key != key != table.measure(CellName("hau", "base", 4, 0), rows).key
