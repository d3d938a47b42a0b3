"""Tokenizers written in Python, as of ByT5, PhoBERT or BERTweet: the packages they need, and what sets them apart.

They know nothing of words in a text: transformers' pipeline cannot join their sub-tokens to words, and `served` cuts a
text into words before it asks them.
"""

import json

from transformers import PreTrainedTokenizerBase

_OF_WORDS = {"mecab": ("fugashi",), "sudachi": ("sudachipy", "sudachidict_core"), "jumanpp": ("rhoknp",)}
"""Packages of the ways that BERT-Japanese cuts text into words."""
_DICTIONARIES = {"ipadic": "ipadic", "unidic_lite": "unidic-lite", "unidic": "unidic"}
"""Packages of MeCab's dictionaries."""
_OF_KIND = {"XLMTokenizer": ("sacremoses",), "FlaubertTokenizer": ("sacremoses",)}


def check(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise ValueError where a package is missing without which it would read text in another way and not say so.

    Without any other it needs, a tokenizer cannot be loaded at all.
    """
    if getattr(tokenizer, "normalization", False) and getattr(tokenizer, "demojizer", True) is None:
        raise ValueError("its tokenizer writes emoji as words with the package emoji, which is not installed")


def packages(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Packages beside transformers that it needs to read text, as pip calls them."""
    if tokenizer.is_fast:
        return ()
    needed = [*_OF_KIND.get(type(tokenizer).__name__, ())]
    if any(kind.__name__ == "SentencePieceBackend" for kind in type(tokenizer).__mro__):
        needed.append("sentencepiece")
    if getattr(tokenizer, "normalization", False):
        needed.append("emoji")
    how = getattr(tokenizer, "word_tokenizer_type", "") if getattr(tokenizer, "do_word_tokenize", False) else ""
    needed += _OF_WORDS.get(how, ())
    if how == "mecab":
        dictionary = (tokenizer.mecab_kwargs or {}).get("mecab_dic", "unidic_lite")
        needed += [_DICTIONARIES[dictionary]] if dictionary in _DICTIONARIES else []
    return tuple(needed)


def rules(tokenizer: PreTrainedTokenizerBase) -> str:
    """What decides beside its vocabulary how it cuts words; empty for one that has its rules in its definition."""
    if tokenizer.is_fast:
        return ""
    merges = sorted(getattr(tokenizer, "bpe_ranks", {}).items(), key=lambda item: item[1])
    settings = {name: value for name, value in tokenizer.init_kwargs.items() if not name.endswith(("_file", "_path"))}
    return json.dumps([type(tokenizer).__name__, merges, settings], sort_keys=True, default=str)
