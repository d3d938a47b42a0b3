"""Words of raw text: nothing is lost, and they are cut as the corpora cut them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus
from nertransfer.corpora.words import split_text, split_words


def cut(text: str) -> list[str]:
    return [text[a:b] for a, b in split_text(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sir Jim Ratcliffe, wani ɗan kasuwa.", ["Sir", "Jim", "Ratcliffe", ",", "wani", "ɗan", "kasuwa", "."]),
        ("'yan jam’iyyar n'ime ng' Abdul'aziz", ["'yan", "jam’iyyar", "n'ime", "ng'", "Abdul'aziz"]),
        ("10,000 2019/20 COVID-19", ["10", ",", "000", "2019", "/", "20", "COVID", "-", "19"]),
        ("(“Abuja”)...", ["(", "“", "Abuja", "”", ")", "..."]),
        ("ኢትዮጵያ፡፡ ነው።", ["ኢትዮጵያ", "፡፡", "ነው", "።"]),
        ("Lagos😀 👩\u200d👩\u200d👧!", ["Lagos", "😀", "👩\u200d👩\u200d👧", "!"]),
        ("o\u0323ru\u0300ko\u0323\u0300 zero\u200bwidth", ["o\u0323ru\u0300ko\u0323\u0300", "zero\u200bwidth"]),
        ("a\u00a0b\tc\r\nd\u2028e", ["a", "b", "c", "d", "e"]),
        (" \n", []),
    ],
)
def test_text_is_cut_at_white_space_and_around_punctuation_but_not_at_apostrophes(text: str, words: list[str]) -> None:
    assert cut(text) == words


@given(st.text())
def test_every_character_but_white_space_is_in_exactly_one_word(text: str) -> None:
    places = split_text(text)
    inside = [i for a, b in places for i in range(a, b)]
    assert inside == [i for i, c in enumerate(text) if not c.isspace()]
    assert all(a < b for a, b in places)


@given(st.lists(st.text(min_size=1).filter(lambda word: not set(word) & set(" \t\r\n"))))
def test_text_that_is_split_already_keeps_its_words_whatever_is_in_them(words: list[str]) -> None:
    text = " ".join(words)
    assert [text[a:b] for a, b in split_words(text)] == words


def test_every_word_of_masakhaner_is_one_word(shared_data: Path) -> None:
    corpora = corpus.load(DataOptions(data=str(shared_data / "masakhaner")))
    words = {
        word for one in corpora.values() for split in one.splits.values() for s in split.sentences for word in s.words
    }
    assert len(words) > 50_000
    assert sorted(word for word in words if cut(word) != [word]) == []
