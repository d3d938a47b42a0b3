"""Sub-tokens of words: unknown ones by kind of vocabulary, and no padding that a model was exported with."""

import pytest
from tiny import tiny_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers

from nertransfer.encoders.subtokens import of_words

MODELS = {
    "unigram": (models.Unigram([("<unk>", 0.0), ("▁a", -1.0), ("b", -2.0)], unk_id=0), ["▁a", None, "b"]),
    "word pieces": (models.WordPiece({"[UNK]": 0, "▁a": 1, "##b": 2}, unk_token="[UNK]"), [None]),
    "byte pairs": (models.BPE({"<unk>": 0, "▁": 1, "a": 2, "b": 3, "▁a": 4}, [("▁", "a")], unk_token="<unk>"),
                   ["▁a", None, "b"]),
    "nothing unknown": (models.BPE({"a": 0, "b": 1}, []), ["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_unknown_sub_tokens_are_told_from_others(name: str) -> None:
    model, expected = MODELS[name]
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.enable_padding(length=9, pad_token="b")
    tokenizer.enable_truncation(2)
    assert of_words(tokenizer.to_str())("axb") == expected


def test_a_word_that_vanishes_has_none() -> None:
    subtokens = of_words(tiny_tokenizer().backend_tokenizer.to_str())
    assert subtokens("\u200b") == [] and subtokens("Ab") == ["▁a", "b"]


@pytest.mark.parametrize("text", ["", "{}", '{"model": {}}', "[]"])
def test_what_is_no_tokenizer_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="not the definition of a tokenizer"):
        of_words(text)
