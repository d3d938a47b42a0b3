"""The grid in names: every configuration once, in the documented order."""

from hypothesis import given
from hypothesis import strategies as st

from nertransfer.core.grid import OWN, pairs, start_names
from nertransfer.corpora.languages import MASAKHANER

CODES = st.sampled_from(["aaa", "bbb", "ccc", "ddd", "eee"])
STARTS = st.one_of(CODES, st.sampled_from(["base", "large", OWN]))


def some(values: st.SearchStrategy[str], least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.lists(values, min_size=least, max_size=5, unique=True)


def test_the_published_grid_has_38_configurations() -> None:
    found = pairs(["base", "swa", OWN], MASAKHANER, ["swa"])
    assert len(found) == len(set(found)) == 38
    assert found[:10] == [("base", source) for source in MASAKHANER]
    assert found[10:20] == [("swa", source) for source in MASAKHANER]
    others = [code for code in MASAKHANER if code != "swa"]
    order = MASAKHANER.index
    assert found[20:] == [(code, source) for code in others for source in sorted((code, "swa"), key=order)]
    assert start_names(["base", "swa", OWN], MASAKHANER, ["swa"]) == ["base", "swa", *others]


def test_a_source_order_other_than_the_alphabet_is_kept() -> None:
    assert pairs([OWN, "base"], ["yor", "hau"], ["swa"]) == [
        ("yor", "yor"), ("yor", "swa"), ("hau", "hau"), ("hau", "swa"), ("base", "yor"), ("base", "hau"),
    ]  # fmt: skip


def test_a_start_named_like_a_source_is_the_own_start_of_that_source_and_stands_once() -> None:
    assert pairs(["hau", OWN], ["hau", "swa"]) == [("hau", "hau"), ("hau", "swa"), ("swa", "swa")]


@given(some(STARTS, 1), some(CODES, 1), some(CODES))
def test_every_configuration_stands_once_and_no_other(starts: list[str], sources: list[str], pivots: list[str]) -> None:
    found = pairs(starts, sources, pivots)
    named = {(start, source) for start in starts if start != OWN for source in sources}
    own = {(source, source) for source in sources} if OWN in starts else set()
    pivot = {(language, place) for language in sources for place in pivots}
    assert len(found) == len(set(found))
    assert set(found) == named | own | pivot


@given(some(STARTS, 1), some(CODES, 1), some(CODES))
def test_the_order_is_by_start_as_it_appears_then_by_source(
    starts: list[str], sources: list[str], pivots: list[str]
) -> None:
    found = pairs(starts, sources, pivots)
    names = start_names(starts, sources, pivots)
    spelled_out = [name for start in starts for name in (sources if start == OWN else [start])]
    appearance = list(dict.fromkeys([*spelled_out, *(sources if pivots else [])]))
    languages = list(dict.fromkeys([*sources, *pivots]))
    assert names == appearance
    assert found == [(name, language) for name in names for language in languages if (name, language) in set(found)]


@given(some(st.one_of(CODES, st.just("base")), 1), some(CODES, 1))
def test_without_own_and_pivots_it_is_the_plain_product(starts: list[str], sources: list[str]) -> None:
    assert pairs(starts, sources) == [(start, source) for start in starts for source in sources]
    assert start_names(starts, sources) == starts


@given(some(CODES, 1), some(CODES, 1))
def test_own_alone_fine_tunes_each_language_on_itself_and_on_every_pivot(sources: list[str], pivots: list[str]) -> None:
    assert pairs([OWN], sources) == [(source, source) for source in sources]
    found = pairs([OWN], sources, pivots)
    for language in sources:
        assert {source for start, source in found if start == language} == {language, *pivots}
    assert {start for start, _ in found} == set(sources)
