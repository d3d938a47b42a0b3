"""Words of raw text: nothing is lost, and they are cut as the corpora cut them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus
from nertransfer.corpora import words as rules
from nertransfer.corpora.words import fitting_rule, found_again, running_text, split_text, split_words


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


@pytest.mark.parametrize("rule", rules.RULES)
@given(st.text())
def test_every_character_but_white_space_is_in_exactly_one_word(rule: str, text: str) -> None:
    text = " ".join(text.split())
    places = rules.RULES[rule](text)
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


# --- the rule that a corpus was cut by ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "text", "words"),
    [
        ("inside", "Al-Nazo, 3.5 (@a_b) a/b... ok", ["Al-Nazo", ",", "3.5", "(", "@a_b", ")", "a/b", "...", "ok"]),
        ("inside", "N.L. U.S.A., costs 3.5. No.", ["N.L.", "U.S.A.", ",", "costs", "3.5", ".", "No", "."]),
        ("inside", "#tag -x x- ...y o\u0323-k", ["#tag", "-", "x", "x", "-", "...", "y", "o\u0323-k"]),
        ("characters", "我爱NER。 ok", ["我", "爱", "NER", "。", "ok"]),
        ("characters", "ทีมกีฬา", ["ที", "ม", "กี", "ฬ", "า"]),
        ("whitespace", "Al-Nazo, 3.5!", ["Al-Nazo,", "3.5!"]),
    ],
)
def test_other_rules_cut_as_other_corpora(rule: str, text: str, words: list[str]) -> None:
    assert [text[a:b] for a, b in rules.RULES[rule](text)] == words


@given(st.lists(st.text(min_size=1).filter(lambda word: not any(c.isspace() for c in word))))
def test_running_text_has_every_word(words: list[str]) -> None:
    text, places = running_text(words)
    assert [text[a:b] for a, b in places] == words and "".join(text.split()) == "".join(words)


def test_running_text_is_spaced_as_people_write() -> None:
    assert running_text(["(", "Kano", ",", "3", ")", "ni", "."])[0] == "(Kano, 3) ni."
    assert running_text(["我", "爱", "北", "京", "。", "ok"])[0] == "我爱北京。 ok"


@pytest.mark.parametrize(
    ("sentences", "rule", "least"),
    [
        ([["Al", "-", "Nazo", "ya", "3", ".", "5"]], "unicode", 1.0),
        ([["Al-Nazo", ",", "N.L.", "@a_b", "3.5", "."]], "inside", 1.0),
        ([["我", "爱", "北", "京", "。"]], "characters", 1.0),
        ([["Kano,", "Musa-s", "house!", "is.", "it?"]], "whitespace", 1.0),
        ([], "unicode", 1.0),
    ],
)
def test_the_rule_of_a_corpus_is_the_one_that_finds_its_words(
    sentences: list[list[str]], rule: str, least: float
) -> None:
    found, share = fitting_rule(sentences)
    assert found == rule and share >= least


def test_words_that_no_rule_finds_are_counted() -> None:
    assert fitting_rule([["ประเทศ", "ไทย", "สวย", "มาก"]])[1] == 0.0  # segmented by a dictionary
    assert found_again([["a-b", "c"]], "unicode") == 0.5


def test_corpora_are_read_as_they_are_written(shared_data: Path) -> None:
    """MasakhaNER cuts at every punctuation mark; CoNLL-2003 does not, and 94 % of its words were found before."""
    for folder, names, rule, least in (
        ("masakhaner", ("hau", "yor", "amh"), "unicode", 0.999),
        ("masakhane_transfer", ("en",), "inside", 0.98),
    ):
        for one in corpus.load(DataOptions(data=str(shared_data / folder), languages=names)).values():
            found, share = fitting_rule([sentence.words for sentence in one.train.sentences])
            assert found == rule and share >= least, one.language
