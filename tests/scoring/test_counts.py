"""Counts by sentence: the same entities and scores as with seqeval."""

import numpy as np
import pytest
from hypothesis import given
from tagged_sentences import PAIRS

from nertransfer.core.errors import InputError
from nertransfer.corpora.words import spans
from nertransfer.scoring import scores
from nertransfer.scoring.reference import score

Tags = list[list[str]]


@given(PAIRS)
def test_scores_equal_those_of_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [p[0] for p in pairs], [p[1] for p in pairs]
    found = scores.scores(scores.count(scores.entities(gold), scores.entities(predicted)))
    wanted = score(gold, predicted)
    assert (found.words, found.invalid_tag_rate) == (wanted.words, wanted.invalid_tag_rate)
    assert found.span_f1 == pytest.approx(wanted.span_f1, abs=1e-12)
    for mode in ("default", "strict"):
        table, seqeval = getattr(found, mode), getattr(wanted, mode)
        assert list(table) == list(seqeval)
        for name, one in seqeval.items():
            assert vars(table[name]) == pytest.approx(vars(one), abs=1e-12), (mode, name)


@given(PAIRS)
def test_every_sentence_has_its_own_entities(pairs: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [p[0] for p in pairs], [p[1] for p in pairs]
    found = scores.count(scores.entities(gold), scores.entities(predicted))
    assert found.gold.shape == (len(pairs), len(found.categories))
    for i, (a, b) in enumerate(zip(gold, predicted, strict=True)):
        for j, category in enumerate(found.categories):
            there, guessed = ({s for s in spans(tags) if s[2] == category} for tags in (a, b))
            assert found.gold[i, j] == len(there) and found.predicted[i, j] == len(guessed)
            assert found.correct[i, j] == len(there & guessed)


def test_entities_have_their_words_counted_over_the_whole_split() -> None:
    found = scores.entities([["O", "B-PER", "I-PER"], ["I-PER", "B-LOC"], ["O"]])
    assert found.categories == ("LOC", "PER")
    assert found.first.tolist() == [1, 3, 4] and found.end.tolist() == [3, 4, 5]
    assert [found.categories[i] for i in found.category] == ["PER", "PER", "LOC"]
    assert found.whole.tolist() == [True, False, True] and found.stray == 1
    assert found.ends.tolist() == [3, 5, 6] and found.words == 6


def test_nothing_is_found_in_nothing() -> None:
    for tags in ([], [["O", "O"]]):
        found = scores.count(scores.entities(tags), scores.entities(tags))
        assert found.gold.sum() == 0 and scores.scores(found).default["ALL"].f1 == 0.0


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        scores.count(scores.entities([["O", "O"]]), scores.entities([["O"], ["O"]]))
    with pytest.raises(InputError, match="'E-PER'"):
        scores.entities([["E-PER"]])


def test_a_category_of_one_side_only_has_a_column() -> None:
    found = scores.count(scores.entities([["B-DATE"]]), scores.entities([["B-PER"]]))
    assert found.categories == ("DATE", "PER")
    assert np.array_equal(found.gold, [[1, 0]]) and np.array_equal(found.predicted, [[0, 1]])
