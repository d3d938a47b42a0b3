"""Encoding loses no word, keeps the tokenizer's ids, and batches everything exactly once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_tokenizer

from nertransfer.core.errors import InputError
from nertransfer.corpora.words import window_bounds
from nertransfer.encoders.tokenization import IGNORED, collate, encode, epoch_batches, joined, token_budget_batches

WORDS = st.text(alphabet="abcxyz\u200b\u0301éß", min_size=0, max_size=12)
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=60), min_size=1, max_size=5)


@given(st.lists(st.integers(1, 12), max_size=80), st.integers(12, 40))
def test_windows_own_every_word_once_and_never_exceed_their_room(lengths: list[int], room: int) -> None:
    bounds = window_bounds(lengths, room)
    owned = [i for _, _, own_begin, own_end in bounds for i in range(own_begin, own_end)]
    assert owned == list(range(len(lengths)))
    for begin, end, own_begin, own_end in bounds:
        assert begin <= own_begin <= own_end <= end
        assert sum(lengths[begin:end]) <= room


def test_a_word_inside_a_long_sentence_sees_context_on_both_sides() -> None:
    bounds = window_bounds([1] * 100, 40)
    for begin, end, own_begin, own_end in bounds:
        assert own_begin == 0 or own_begin - begin >= 5
        assert own_end == 100 or end - own_end >= 5


@settings(max_examples=60, deadline=None)
@given(SENTENCES)
def test_every_word_has_one_place_and_its_own_first_sub_token(sentences: list[list[str]]) -> None:
    tokenizer = tiny_tokenizer()
    encoded = encode(sentences, tokenizer, 24)
    words = [word for sentence in sentences for word in sentence]
    place = {}
    for window in encoded.windows:
        assert len(window.ids) <= 24
        for position, word in zip(window.positions, window.words, strict=True):
            assert word not in place
            place[word] = window.ids[position]
    assert sorted(place) == list(range(len(words)))
    for number, word in enumerate(words):
        alone = tokenizer([[word]], is_split_into_words=True, add_special_tokens=False)["input_ids"][0] if word else []
        assert place[number] == (alone[0] if alone else tokenizer.unk_token_id)


def test_short_sentences_get_the_ids_of_the_tokenizer_itself() -> None:
    tokenizer = tiny_tokenizer()
    sentences = [["ab", "abc", "b"], ["cab"], ["a", "b", "c", "a"]]
    encoded = encode(sentences, tokenizer, 24)
    for window, sentence in zip(encoded.windows, sentences, strict=True):
        assert list(window.ids) == tokenizer(sentence, is_split_into_words=True)["input_ids"]


def test_words_that_tokenise_to_nothing_and_overlong_words_are_counted_and_kept() -> None:
    encoded = encode([["a", "", "b"], ["abcabcabc" * 10]], tiny_tokenizer(), 12)
    assert encoded.unknown_words == 1 and encoded.cut_words == 1
    assert encoded.number_of_words == 4
    unread = encode([["a", "ሰላም", "b"]], tiny_tokenizer(), 12)
    assert unread.unknown_words == 1  # a script that the vocabulary does not have


def test_labels_stand_on_first_sub_tokens_only_and_unknown_tags_carry_no_loss() -> None:
    sentences, tags = [["abca", "b"], ["c"]], [["B-X", "O"], ["B-Y"]]
    encoded = encode(sentences, tiny_tokenizer(), 24, tags, {"O": 0, "B-X": 1})
    batch = collate(encoded, [0, 1])
    labels = batch.labels[batch.labels != IGNORED].tolist()
    assert labels == [1, 0]
    assert batch.input_ids.shape == batch.attention_mask.shape == batch.labels.shape
    assert int(batch.attention_mask.sum()) == sum(len(w.ids) for w in encoded.windows)


@settings(max_examples=30, deadline=None)
@given(st.lists(SENTENCES, min_size=1, max_size=3))
def test_joined_splits_are_the_encoded_sentences_behind_one_another(parts: list[list[list[str]]]) -> None:
    tokenizer = tiny_tokenizer()
    together = joined([encode(sentences, tokenizer, 24) for sentences in parts])
    expected = encode([sentence for sentences in parts for sentence in sentences], tokenizer, 24)
    assert together.windows == expected.windows and together.pad_id == expected.pad_id
    assert together.sentence_starts.tolist() == expected.sentence_starts.tolist()


def test_a_window_longer_than_the_start_takes_is_refused() -> None:
    with pytest.raises(InputError, match="max_length=4096"):
        encode([["a"]], tiny_tokenizer(), 4096)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=90), st.integers(1, 9), st.integers(24, 400))
def test_batches_hold_every_window_once(lengths: list[int], batch_size: int, budget: int) -> None:
    encoded = encode([["a"] * n for n in lengths], tiny_tokenizer(), 24)
    for batches in (
        epoch_batches(encoded, batch_size, torch.Generator().manual_seed(1)),
        list(token_budget_batches(encoded, budget)),
    ):
        assert sorted(i for batch in batches for i in batch) == list(range(len(encoded.windows)))
    for batch in token_budget_batches(encoded, budget):
        longest = max(len(encoded.windows[i].ids) for i in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    alike = list(token_budget_batches(encoded, budget, one_length=True))
    assert sorted(i for batch in alike for i in batch) == list(range(len(encoded.windows)))
    assert all(len({len(encoded.windows[i].ids) for i in batch}) == 1 for batch in alike)


def test_the_order_of_batches_depends_on_the_seed_alone() -> None:
    encoded = encode([["a"] * (1 + n % 7) for n in range(200)], tiny_tokenizer(), 24)

    def order(seed: int) -> list[list[int]]:
        return epoch_batches(encoded, 8, torch.Generator().manual_seed(seed))

    assert order(1) == order(1)
    assert order(1) != order(2)
