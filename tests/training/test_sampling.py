"""Which sentences a cell is fine-tuned on: temperature, and a few sentences of a target."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nertransfer.core.grid import ADDED, AFTER, ALONE, FewShot
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Corpus, Split, union
from nertransfer.training.sampling import few, shares, training_split


def made(language: str, sentences: int) -> Corpus:
    """A corpus whose sentences are all different."""
    splits = {
        name: Split(language, name, tuple(Sentence((f"{language}{name}{i}",), ("O",)) for i in range(n)), f"{n} digest")
        for name, n in (("train", sentences), ("dev", 3), ("test", 4))
    }
    return Corpus(language, splits)


def words(split: Split) -> list[str]:
    return [sentence.words[0] for sentence in split.sentences]


sizes = st.lists(st.integers(1, 3000), min_size=1, max_size=6)
temperatures = st.floats(1, 100)


@given(sizes, temperatures)
def test_shares_fill_an_epoch_in_proportion(sizes: list[int], temperature: float) -> None:
    found = shares(sizes, temperature)
    powers = np.asarray(sizes, float) ** (1 / temperature)
    assert sum(found) == sum(sizes)
    assert np.all(np.abs(found - sum(sizes) * powers / powers.sum()) < 1)
    assert shares(sizes, 1.0) == sizes
    order = np.argsort(sizes, kind="stable")
    assert np.all(np.diff(np.asarray(found)[order]) >= -1)  # a larger language never gets fewer, but by rounding


def test_shares_of_known_sizes() -> None:
    assert shares([900, 100], 2) == [750, 250]  # 30 : 10
    assert shares([900, 100], 1e9) == [500, 500]


@given(st.integers(1, 60), st.integers(1, 60), st.floats(1.01, 20), st.integers(0, 5))
def test_upsampling_copies_all_before_any_again_and_downsampling_repeats_nothing(
    large: int, small: int, temperature: float, seed: int
) -> None:
    joined = union({"aaa": made("aaa", large), "bbb": made("bbb", small)}, "aaa+bbb")
    split = training_split(joined, temperature, seed)
    assert len(split.sentences) == large + small
    assert split == training_split(joined, temperature, seed)
    for language, share, size in zip(("aaa", "bbb"), shares([large, small], temperature), (large, small), strict=True):
        counted = Counter(word for word in words(split) if word.startswith(language))
        assert counted.total() == share
        copies = [counted.get(f"{language}train{i}", 0) for i in range(size)]
        assert set(copies) <= {share // size, share // size + 1}


def test_a_union_is_one_corpus_behind_the_other_and_temperature_one_takes_it_as_it_is() -> None:
    corpora = {"aaa": made("aaa", 5), "bbb": made("bbb", 7)}
    joined = union(corpora, "aaa+bbb")
    assert training_split(joined, 1.0, 3) is joined.train
    for name in ("train", "dev", "test"):
        parts = [corpora[language].splits[name] for language in ("aaa", "bbb")]
        assert joined.splits[name].sentences == parts[0].sentences + parts[1].sentences
    assert union(corpora, "aaa") is corpora["aaa"]
    drawn = {training_split(joined, t, seed).digest for t in (2.0, 3.0) for seed in (0, 1)}
    assert len({*drawn, joined.train.digest}) == 5  # or an encoder would take one for the other


@given(st.integers(1, 80), st.integers(0, 9), st.data())
def test_fewer_sentences_are_the_first_of_more(size: int, seed: int, data: st.DataObject) -> None:
    split = made("aaa", size).train
    more = data.draw(st.integers(1, size))
    less = data.draw(st.integers(0, more))
    found = few(split, more, seed)
    assert few(split, less, seed) == found[:less]
    assert len(set(found)) == more and set(found) <= set(split.sentences)


def test_seeds_draw_different_sentences_and_more_than_there_are_is_an_error() -> None:
    split = made("aaa", 40).train
    assert len({few(split, 5, seed) for seed in range(5)}) == 5
    with pytest.raises(ValueError, match="41 sentences asked for, aaa has 40"):
        few(split, 41, 0)


def test_the_sentences_are_added_to_the_source_or_stand_alone() -> None:
    source, target = made("aaa", 10), made("bbb", 20)
    drawn = few(target.train, 4, 1)
    added, after, alone = (
        training_split(source, 1.0, 1, FewShot("bbb", 4, mode), target) for mode in (ADDED, AFTER, ALONE)
    )
    assert added.sentences == source.train.sentences + drawn
    assert after.sentences == alone.sentences == drawn
    assert len({added.digest, after.digest, source.train.digest}) == 3
