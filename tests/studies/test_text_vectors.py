"""A start as a reader of unlabelled text: which sentences, which words, which layers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import save_tiny_start

from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.encoders import starts
from nertransfer.encoders.inference import word_vectors
from nertransfer.encoders.tokenization import encode
from nertransfer.studies.embeddings import SENTENCES, TextEncoder

DATA = DataOptions(data="elsewhere")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_start(tmp_path_factory.mktemp("start") / "tiny")


def test_a_sentence_is_the_mean_of_its_words(folder: Path) -> None:
    encoder = TextEncoder(f"tiny={folder}", DATA)
    sentences = [["abc", "de", "abc"], ["f"], ["\u200b", "x"] * 40]  # the last is longer than the start's window
    found = encoder.vectors(sentences)
    start = starts.Start("tiny", str(folder))
    model, tokenizer = starts.load_encoder(start), starts.load_tokenizer(start)
    encoded = encode(sentences, tokenizer, 64)
    # two layers and the embeddings: there is no fourth
    words = word_vectors(model, encoded, np.arange(84), (1, 2, 3), torch.device("cpu"))
    expected = np.stack([words[:3].mean(0), words[3], words[4:].mean(0)])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32 and (encoder.vectors(sentences) == found).all()
    assert encoder.subtokens is not None and encoder.subtokens("Ab!") == ["▁a", "b", None]


def test_sentences_are_few_and_spread_over_the_text(folder: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    encoder = TextEncoder(f"tiny={folder}", DATA)
    text = [[letters[i % 26] + letters[i // 26]] for i in range(2 * SENTENCES - 1)]
    np.testing.assert_allclose(encoder.vectors(text), encoder.vectors(text[::2]), atol=1e-6)


def test_a_start_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="start 'nowhere' is unknown"):
        TextEncoder("nowhere", DATA)
