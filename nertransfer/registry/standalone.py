"""Readies a tagger's tokenizer for use without this project: it then reads a text as the tagger was trained.

`words.word_pieces` sees to that here; a stored tokenizer that transformers loads has its own settings alone.
"""

from tokenizers import normalizers
from transformers import PreTrainedTokenizerBase

from nertransfer.corpora.words import needs_spaces, word_pieces

_TRIED = ("a", "ab", "B", "1", ".", "\u00e9")


def ready(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer, changed in place: the first word of a text has a space before it where the tagger was trained with
    one before each word, and no word of a text is a special token. Words keep their sub-tokens."""
    if tokenizer.is_fast and needs_spaces(tokenizer):
        _put_space_first(tokenizer)
    if all(token.special for token in tokenizer.added_tokens_decoder.values()):  # in Python ones it counts for all
        tokenizer.split_special_tokens = True
        tokenizer.init_kwargs["split_special_tokens"] = True  # what `save_pretrained` writes
    return tokenizer


def _put_space_first(tokenizer: PreTrainedTokenizerBase) -> None:
    backend = tokenizer.backend_tokenizer
    before, usual = word_pieces(tokenizer, _TRIED), backend.normalizer
    space = normalizers.Prepend(" ")
    backend.normalizer = space if usual is None else normalizers.Sequence([space, usual])
    if needs_spaces(tokenizer) or word_pieces(tokenizer, _TRIED) != before:
        backend.normalizer = usual
