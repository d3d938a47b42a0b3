"""The file of entities by sentence, and how the files of all cells are gathered."""

from collections.abc import Mapping

import numpy as np
import pytest
from count_files import Tags, file_of
from hypothesis import given, settings
from hypothesis import strategies as st
from tagged_sentences import TAGS

from analysis.reading.sentence_counts import Place, SentenceCounts, gathered
from nertransfer.core.schema import ALL
from nertransfer.corpora.words import spans
from nertransfer.scoring import sentence_counts
from nertransfer.scoring.reference import score
from nertransfer.scoring.scores import count, entities

Taggings = dict[tuple[str, str], tuple[Tags, Tags]]
"""Gold and predicted tags by (target, split)."""


def tagged(lengths: list[int]) -> st.SearchStrategy[Tags]:
    return st.tuples(*(st.lists(TAGS, min_size=n, max_size=n) for n in lengths)).map(list)


@st.composite
def studies(draw: st.DrawFn) -> dict[Place, Taggings]:
    """One to three cells, each scored on some of two targets and two splits; every split has an entity."""
    lengths = st.lists(st.integers(1, 6), max_size=5)
    places = [(target, split) for target in ("hau", "swa-x") for split in ("dev", "test")]
    gold = {where: [*draw(lengths.flatmap(tagged)), ["B-LOC"]] for where in places}
    scored = st.lists(st.sampled_from(places), min_size=1, unique=True)
    return {
        ("base", "hau", seed): {
            where: (gold[where], draw(tagged([len(tags) for tags in gold[where]]))) for where in draw(scored)
        }
        for seed in range(draw(st.integers(1, 3)))
    }


def files_of(study: Mapping[Place, Taggings]) -> dict[Place, bytes]:
    return {cell: file_of(taggings) for cell, taggings in study.items()}


def counted(found: list[list[tuple[int, int, str]]], categories: list[str]) -> np.ndarray:
    """Entities by sentence and category, one by one."""
    return np.array([[sum(c == category for *_, c in one) for category in categories] for one in found])


@settings(max_examples=60, deadline=None)
@given(study=studies(), split=st.sampled_from(["dev", "test"]))
def test_every_count_of_every_cell_comes_back(study: dict[Place, Taggings], split: str) -> None:
    found = gathered(files_of(study), split)
    assert set(found) == {t for taggings in study.values() for t, s in taggings if s == split}
    for target, one in found.items():
        assert one.cells == [cell for cell, taggings in study.items() if (target, split) in taggings]
        pairs = [study[cell][target, split] for cell in one.cells]
        assert one.categories == sorted({c for pair in pairs for tags in pair for s in tags for *_, c in spans(s)})
        assert np.array_equal(one.gold, counted([spans(tags) for tags in pairs[0][0]], one.categories))
        for i, (gold, predicted) in enumerate(pairs):
            guessed = [spans(tags) for tags in predicted]
            right = [[s for s in b if s in spans(a)] for a, b in zip(gold, guessed, strict=True)]
            assert np.array_equal(one.predicted[i], counted(guessed, one.categories))
            assert np.array_equal(one.correct[i], counted(right, one.categories))


@settings(max_examples=30, deadline=None)
@given(study=studies())
def test_the_counts_add_up_to_the_scores_of_seqeval(study: dict[Place, Taggings]) -> None:
    for target, one in gathered(files_of(study), "test").items():
        for i, cell in enumerate(one.cells):
            table = score(*study[cell][target, "test"]).default
            for category, wanted in table.items():
                there, guessed, right = one.of(None if category == ALL else category)
                assert there.sum() == wanted.support
                assert right[i].sum() == pytest.approx(wanted.precision * guessed[i].sum())
                assert right[i].sum() == pytest.approx(wanted.recall * there.sum())


@settings(max_examples=30, deadline=None)
@given(study=studies(), data=st.data())
def test_the_order_of_files_moves_cells_and_changes_no_number(
    study: dict[Place, Taggings], data: st.DataObject
) -> None:
    files = files_of(study)
    mixed = {cell: files[cell] for cell in data.draw(st.permutations(list(files)))}
    first, second = gathered(files, "test"), gathered(mixed, "test")
    assert list(first) == list(second)
    for target, one in first.items():
        other = second[target]
        assert sorted(other.cells) == sorted(one.cells) and other.categories == one.categories
        assert np.array_equal(one.gold, other.gold)
        places = [other.cells.index(cell) for cell in one.cells]
        assert np.array_equal(one.predicted, other.predicted[places])
        assert np.array_equal(one.correct, other.correct[places])


def test_the_file_has_a_row_where_there_is_an_entity_and_knows_all_sentences() -> None:
    gold = [["O"], ["B-PER", "B-PER", "O"], ["O"], ["B-LOC", "O"]]
    predicted = [["O"], ["B-PER", "O", "B-ORG"], ["O"], ["B-LOC", "O"]]
    table, sentences = sentence_counts.from_bytes(
        file_of({("hau", "test"): (gold, predicted), ("wol", "dev"): ([["O"]], [["O"]])})
    )
    assert sentences == {"hau.test": 4, "wol.dev": 1}
    rows = sorted(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    assert table.column_names == ["target", "split", "category", "sentence", "gold", "predicted", "correct"]
    assert rows == [
        ("hau", "test", "LOC", 3, 1, 1, 1),
        ("hau", "test", "ORG", 1, 0, 1, 0),
        ("hau", "test", "PER", 1, 2, 1, 1),
    ]


def of_cells(*cells: Taggings) -> dict[str, SentenceCounts]:
    return gathered(files_of({("base", "hau", seed): taggings for seed, taggings in enumerate(cells)}), "test")


def test_counts_that_do_not_fit_are_refused_and_never_wrap_round() -> None:
    most = np.iinfo(np.int16).max
    tags = [["B-PER"] * most]
    found = of_cells({("hau", "test"): (tags, tags)})
    assert found["hau"].gold.tolist() == [[most]]
    more = [["B-PER"] * (most + 1)]
    with pytest.raises(ValueError, match="32768"):
        file_of({("hau", "test"): (more, more)})


def test_a_category_that_one_cell_alone_predicts_has_a_column() -> None:
    found = of_cells(
        {("hau", "test"): ([["B-PER", "O"]], [["B-PER", "O"]])},
        {("hau", "test"): ([["B-PER", "O"]], [["B-PER", "B-DATE"]]), ("wol", "test"): ([["B-LOC"]], [["O"]])},
    )
    assert found["hau"].categories == ["DATE", "PER"]
    gold, predicted, correct = found["hau"].of("DATE")
    assert (gold.tolist(), predicted.tolist(), correct.tolist()) == ([0], [[0], [1]], [[0], [0]])
    assert found["wol"].categories == ["LOC"] and found["wol"].cells == [("base", "hau", 1)]


def test_a_target_without_an_entity_on_either_side_keeps_its_sentences() -> None:
    found = of_cells({("hau", "test"): ([["O"], ["O"]], [["O"], ["O"]]), ("wol", "test"): ([["B-LOC"]], [["O"]])})
    gold, predicted, _ = found["hau"].of()
    assert gold.tolist() == [0, 0] and predicted.tolist() == [[0, 0]] and found["hau"].categories == []
    assert of_cells({}) == {} and of_cells({("hau", "dev"): ([["B-LOC"]], [["O"]])}) == {}


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ([["B-PER", "O"], ["O"], ["O"]], "hau: cells were scored on different numbers of sentences"),
        ([["B-LOC", "O"], ["O"]], "hau: cells were scored on corpora with different entities"),
        ([["O", "O"], ["B-PER"]], "hau: cells were scored on corpora with different entities"),
        ([["O", "O"], ["O"]], "hau: cells were scored on corpora with different entities"),
    ],
)
def test_cells_that_were_scored_on_different_corpora_are_not_mixed(gold: Tags, message: str) -> None:
    first = [["B-PER", "O"], ["O"]]
    for cells in ((first, gold), (gold, first)):
        with pytest.raises(ValueError, match=message):
            of_cells(*({("hau", "test"): (tags, tags)} for tags in cells))


def test_a_split_in_which_nobody_finds_an_entity_is_gathered() -> None:
    said = {"dev": [["B-PER"]], "test": [["O"], ["O", "O"]]}
    counted = {("hau", split): count(entities(tags), entities(tags)) for split, tags in said.items()}
    content = sentence_counts.to_bytes(counted)
    assert gathered({("base", "hau", 0): content}, "test")["hau"].gold.shape == (2, 0)
