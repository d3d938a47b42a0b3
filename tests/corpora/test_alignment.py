"""Spans and strings of a sentence with known words, aligned with them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nertransfer.core.errors import InputError
from nertransfer.corpora.conversion import alignment

WORDS = ("Bank", "of", "Kano", "da", "Kano", "(", "Al-Nazo", ")")


def aligned(*strings: str, ignore_case: bool = False) -> tuple[list[tuple[int, int]], list[str]]:
    found, nowhere = alignment.of_strings([(one, "X") for one in strings], WORDS, ignore_case)
    return [span[:2] for span in found], [text for text, _ in nowhere]


@pytest.mark.parametrize(
    "strings, places, nowhere",
    [
        (["Kano"], [(2, 3)], []),
        (["Kano", "Kano"], [(2, 3), (4, 5)], []),
        (["Kano", "Kano", "Kano"], [(2, 3), (4, 5)], ["Kano"]),
        (["Bank of Kano", "Kano"], [(0, 3), (4, 5)], []),
        (["Kano", "Bank of Kano"], [(2, 3)], ["Bank of Kano"]),  # its last word is taken
        (["BankofKano", " Bank  of\u00a0Kano "], [(0, 3)], [" Bank  of\u00a0Kano "]),
        (["(Al-Nazo)"], [(5, 8)], []),
        (["Nazo", "Kan", "", " ", "Lagos"], [], ["Nazo", "Kan", "", " ", "Lagos"]),  # half words are no words
        (["kano"], [], ["kano"]),
    ],
)
def test_each_string_takes_the_leftmost_free_words_that_spell_it(
    strings: list[str], places: list[tuple[int, int]], nowhere: list[str]
) -> None:
    assert aligned(*strings) == (places, nowhere)


def test_case_is_ignored_only_if_asked_for_and_canonical_equivalents_are_one() -> None:
    assert aligned("KANO", ignore_case=True) == ([(2, 3)], [])
    composed, decomposed = "\u1eb9k\u1ecd\u0301", "e\u0323ko\u0323\u0301"
    assert alignment.of_strings([(composed, "LOC")], [decomposed], False) == ([(0, 1, "LOC")], [])


@given(st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=8), st.data())
def test_strings_never_share_a_word_and_each_is_somewhere_or_nowhere(words: list[str], data: st.DataObject) -> None:
    strings = data.draw(st.lists(st.text("ab ", max_size=5), max_size=6))
    found, nowhere = alignment.of_strings([(one, "X") for one in strings], words, False)
    assert len(found) + len(nowhere) == len(strings)
    taken = [i for begin, end, _ in found for i in range(begin, end)]
    assert len(taken) == len(set(taken))
    spelled = Counter("".join(words[begin:end]) for begin, end, _ in found)
    assert spelled + Counter("".join(text.split()) for text, _ in nowhere) == Counter(
        "".join(one.split()) for one in strings
    )


def of_characters(text: str, begin: int, end: int, half_words: str = "refuse") -> tuple[int, int]:
    (found,) = alignment.of_characters([(begin, end, "X")], text, WORDS[5:], half_words, "file:1", Counter())
    return found[:2]


def test_spans_of_characters_are_spans_of_words_whatever_white_space_there_is() -> None:
    assert of_characters("( Al-Nazo )", 2, 9) == of_characters("(Al-Nazo)", 1, 8) == (1, 2)
    assert of_characters(" (Al- Nazo )\n", 1, 12) == (0, 3)


def test_a_span_of_half_a_word_is_refused_or_widened() -> None:
    with pytest.raises(InputError, match=r"file:1: X 'Nazo' covers a part of the word 'Al-Nazo'; half_words=widen"):
        of_characters("(Al-Nazo)", 4, 8)
    assert of_characters("(Al-Nazo)", 4, 8, "widen") == (1, 2)
    assert of_characters("(Al-Nazo)", 0, 3, "widen") == (0, 2)


@pytest.mark.parametrize(
    "text, message",
    [
        ("(Al-Naso)", r"goes on with 'Al-Naso\)', and the corpus has 'Al-Nazo' there"),
        ("(Al-Nazo", r"goes on with nothing, and the corpus has '\)' there"),
        ("(Al-Nazo) !", "goes on with '!', and the sentence of the corpus has ended"),
    ],
)
def test_another_text_is_refused_where_it_differs(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        of_characters(text, 0, 1)
