"""Tiny starts with tokenizers of every kind: byte pairs with and without a space, word pieces, Unigram, Python."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]
ANGLED = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SQUARE = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
LONGEST = 64


def _fast(backend: Tokenizer, special: Sequence[str]) -> PreTrainedTokenizerFast:
    first, pad, last, unknown, mask = special
    ends = [(token, backend.token_to_id(token)) for token in (first, last)]
    backend.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, cls_token=first, pad_token=pad, sep_token=last, unk_token=unknown, mask_token=mask,
        model_max_length=LONGEST,
    )  # fmt: skip


def _bytes(special: Sequence[str]) -> Tokenizer:
    """Byte pairs without a space before the first word, that join it to the letter behind it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*special, *alphabet, *("Ġ" + letter for letter in alphabet)]
    merges = [("Ġ", letter) for letter in alphabet]
    backend = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return backend


def _roberta(_: Path) -> PreTrainedTokenizerBase:
    backend = _bytes(ANGLED)
    vocabulary = backend.get_vocab()
    merges = [("Ġ", letter) for letter in sorted(pre_tokenizers.ByteLevel.alphabet())]
    return transformers.RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=LONGEST)


def _modernbert(_: Path) -> PreTrainedTokenizerBase:
    return _fast(_bytes(SQUARE), SQUARE)


def _bert(_: Path) -> PreTrainedTokenizerBase:
    pieces = [*SQUARE, *LETTERS, *("##" + letter for letter in LETTERS), "[", "]", "<", ">", "/"]
    backend = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    return _fast(backend, SQUARE)


def _xlm_roberta(_: Path) -> PreTrainedTokenizerBase:
    """Its special tokens stand in the vocabulary, and text can be cut into them."""
    scores = [(piece, 0.0) for piece in ANGLED] + [("▁", -2.0)]
    scores += [(letter, -3.0) for letter in LETTERS] + [("▁" + letter, -3.5) for letter in LETTERS]
    backend = Tokenizer(models.Unigram(scores, unk_id=ANGLED.index("<unk>")))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    return _fast(backend, ANGLED)


def _byt5(_: Path) -> PreTrainedTokenizerBase:
    return transformers.ByT5Tokenizer(model_max_length=LONGEST)


def _pairs(kind: type) -> Callable[[Path], PreTrainedTokenizerBase]:
    def made(folder: Path) -> PreTrainedTokenizerBase:
        pieces = [*(letter + "@@" for letter in LETTERS), *LETTERS, "da", "xo"]
        (folder / "pieces").write_text("".join(f"{piece} 1\n" for piece in pieces))
        (folder / "merges").write_text("d a</w> 1\nx o</w> 1\n")
        return kind(str(folder / "pieces"), str(folder / "merges"), model_max_length=LONGEST)

    return made


def _japanese(folder: Path) -> PreTrainedTokenizerBase:
    """As BERT-Japanese cuts text without further packages: words at white space, then characters."""
    (folder / "pieces").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]) + "\n")
    return transformers.BertJapaneseTokenizer(
        str(folder / "pieces"), model_max_length=LONGEST, word_tokenizer_type="basic",
        subword_tokenizer_type="character",
    )  # fmt: skip


FAST = {"bert": _bert, "roberta": _roberta, "modernbert": _modernbert, "xlm-roberta": _xlm_roberta}
PYTHON = {
    "byt5": _byt5,
    "phobert": _pairs(transformers.PhobertTokenizer),
    "bertweet": _pairs(transformers.BertweetTokenizer),
    "bert-japanese": _japanese,
}
KINDS = FAST | PYTHON
_MODELS = {"byt5": "t5", "phobert": "roberta", "bertweet": "roberta", "bert-japanese": "bert"}


def save_start(kind: str, folder: Path, **changes: object) -> Path:
    """A start of the kind with random weights; ``changes`` to the configuration of its model."""
    folder.mkdir(parents=True)
    source = folder.with_name(f"{folder.name}-vocabulary")
    source.mkdir()
    tokenizer = KINDS[kind](source)
    tokenizer.save_pretrained(folder)
    model = _MODELS.get(kind, kind)
    longest = LONGEST + (tokenizer.pad_token_id + 1 if "roberta" in model else 0)
    settings = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": longest, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    if model == "t5":
        settings = {
            "vocab_size": len(tokenizer), "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2,
            "pad_token_id": 0, "eos_token_id": 1,
        }  # fmt: skip
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(model, **(settings | changes))
    encoder = transformers.T5EncoderModel if model == "t5" else transformers.AutoModelForMaskedLM.from_config
    encoder(config).save_pretrained(folder)
    return folder
