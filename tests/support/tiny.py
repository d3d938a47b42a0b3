"""A tokenizer and an encoder so small that a fine-tuning takes a second, and a corpus to fit."""

import functools
import hashlib
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForMaskedLM

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@functools.cache
def tiny_tokenizer(longest: int = 64) -> PreTrainedTokenizerFast:
    """Characters a to z with a word mark; zero-width spaces vanish, everything else is unknown."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    vocabulary = {piece: i for i, piece in enumerate([*SPECIAL, "▁", *letters, *("▁" + c for c in letters)])}
    merges = [("▁", c) for c in letters]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace("\u200b", ""), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        unk_token="<unk>", pad_token="<pad>", mask_token="<mask>", model_max_length=longest,
    )  # fmt: skip


def save_tiny_start(folder: Path, seed: int = 0, dropout: float = 0.1, longest: int = 64, layers: int = 2) -> Path:
    """A randomly initialised XLM-R of 20 thousand weights, saved as a start; ``longest`` in sub-tokens."""
    torch.manual_seed(seed)
    config = XLMRobertaConfig(
        vocab_size=len(tiny_tokenizer()), hidden_size=32, num_hidden_layers=layers, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=longest + 2, type_vocab_size=1, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    XLMRobertaForMaskedLM(config).save_pretrained(folder)
    tiny_tokenizer(longest).save_pretrained(folder)
    return folder


def cache_tiny_start(cache: Path, name: str, seed: int = 0, longest: int = 64, layers: int = 2) -> str:
    """A tiny start as the hub's cache holds it; returns its commit."""
    commit = hashlib.sha1(f"{name} {seed}".encode()).hexdigest()
    folder = cache / f"models--{name.replace('/', '--')}"
    save_tiny_start(folder / "snapshots" / commit, seed, longest=longest, layers=layers)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    return commit


def save_tiny_corpora(folder: Path, languages: tuple[str, ...] = ("aaa", "bbb"), sentences: int = 40) -> Path:
    """Corpora whose names are told by a marker word before them; ``bbb`` spells everything backwards."""
    for number, language in enumerate(languages):
        for split, count, offset in (
            ("train", sentences, 65),
            ("dev", sentences // 2, 39),
            ("test", sentences // 2, 91),
        ):
            lines = []
            for i in range(count):
                salt = i * 7 + offset + number * 5
                words = ["da", "xo" if i % 2 else "ye", _name(salt), _name(salt + 3), "ba", "do"][: 4 + i % 3]
                tags = ["O", "O", "B-PER" if i % 2 else "B-LOC", "I-PER" if i % 2 else "I-LOC", "O", "O"][: 4 + i % 3]
                if number % 2:
                    words = [w[::-1] for w in words]
                lines += [f"{w} {t}" for w, t in zip(words, tags, strict=True)] + [""]
            path = folder / language / f"{split}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def texts_of(path: Path) -> list[str]:
    """The sentences of a corpus file without their tags, words joined by spaces."""
    sentences = path.read_text(encoding="utf-8").strip().split("\n\n")
    return [" ".join(line.split()[0] for line in sentence.splitlines()) for sentence in sentences]


def _name(salt: int) -> str:
    letters = "klmnprstvz"
    return "".join(letters[(salt * k + k * k) % 10] + "aeiou"[(salt + k) % 5] for k in (1, 2, 3))
