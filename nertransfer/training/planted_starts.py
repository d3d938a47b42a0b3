"""Starts of the planted corpora: a small base pre-trained on all languages' text, and its adaptations.

They stand in for xlm-roberta-base and its language-adapted continuations where no hub is
reachable, a thousand times smaller. The architecture is ModernBERT (Warner et al. 2024): its
rotary positions and local attention learn to look at neighbouring words in minutes on a CPU,
where absolute positions as in XLM-R do not (docs/experiments.md has the comparison).
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import ModernBertConfig, ModernBertForMaskedLM, PreTrainedTokenizerFast

from nertransfer.core.errors import InputError
from nertransfer.core.files import make_folder, only_maker
from nertransfer.core.options import PLANTED, DataOptions, Recipe, RunOptions
from nertransfer.corpora.corpus import folder_of, planted_folder
from nertransfer.corpora.planted.settings import LANGUAGES
from nertransfer.encoders import starts
from nertransfer.training.checkpoint import Checkpoint
from nertransfer.training.finetune import Machine, Training, fit
from nertransfer.training.language_modelling import encode_text, masked_batches

logger = logging.getLogger("nertransfer")

BASE = "base"
WINDOW = 128
"""Sub-tokens that the small base takes at most."""
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""In XLM-R's order, so that ids of special tokens are the same as there."""


@dataclass(frozen=True)
class PlantedStartSettings:
    """Size of the small base and how it is trained; all of it is part of the starts' folder name."""

    vocabulary: int = 3000
    hidden_size: int = 96
    layers: int = 3
    heads: int = 4
    feed_forward: int = 192
    dropout: float = 0.0
    masking: float = 0.15
    seed: int = 0
    pretraining: Recipe = field(
        default_factory=lambda: Recipe(
            epochs=2, batch_size=32, max_length=WINDOW, learning_rate=1e-3, warmup_ratio=0.05
        )
    )
    adaptation: Recipe = field(
        default_factory=lambda: Recipe(
            epochs=3, batch_size=32, max_length=WINDOW, learning_rate=5e-4, warmup_ratio=0.05
        )
    )


SETTINGS = PlantedStartSettings()
NAMES = (BASE, *(language.code for language in LANGUAGES))
"""The starts there are: the base, and its adaptation to each language."""


def catalogue(data: DataOptions, precision: str) -> dict[str, str]:
    """Folder of every start by name, whether it is trained yet or not; ``precision`` in accelerate's words."""
    digest = _digest(planted_folder(data), precision)
    folder = Path(data.work_dir) / "starts" / f"planted-{digest}"
    return {name: str(folder / name) for name in NAMES}


def resolve_all(texts: Sequence[str], data: DataOptions, accelerator: Accelerator) -> list[starts.Start]:
    """The named starts, trained first where they do not exist yet: ``base``, a planted language, or any other start.

    Raises InputError on a name that is none of these.
    """
    corpora = folder_of(data)
    folders = catalogue(data, str(accelerator.mixed_precision))
    found = starts.resolve_all(texts, folders)
    wanted = {name for name, location in folders.items() if location in {start.location for start in found}}
    _make(wanted, folders, corpora, accelerator)
    return found


def _digest(corpora: Path, precision: str) -> str:
    versions = {name: version(name).partition("+")[0] for name in ("torch", "tokenizers", "transformers")}
    text = json.dumps([corpora.name, asdict(SETTINGS), precision, versions], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _make(wanted: set[str], folders: Mapping[str, str], corpora: Path, accelerator: Accelerator) -> None:
    """Train the wanted starts that are not there; an interrupted one goes on from its checkpoint."""
    absent = sorted(name for name in wanted if not Path(folders[name]).is_dir())
    if absent and not Path(folders[BASE]).is_dir():
        absent = [BASE, *(name for name in absent if name != BASE)]
    for name in broadcast_object_list([absent])[0]:  # what one process sees, they all make
        target = Path(folders[name])
        make_folder(target.parent, "work_dir")
        with only_maker(target) if accelerator.is_main_process else nullcontext():
            if not broadcast_object_list([target.is_dir()])[0]:  # another study may have made it meanwhile
                _make_one(name, folders, corpora, accelerator)


def _make_one(name: str, folders: Mapping[str, str], corpora: Path, accelerator: Accelerator) -> None:
    began = time.monotonic()
    target = Path(folders[name])
    if name == BASE:
        lines = [line for language in LANGUAGES for line in text_of(corpora, language.code)]
        tokenizer = train_tokenizer(lines, SETTINGS.vocabulary)
        model, recipe = _new_model(tokenizer), SETTINGS.pretraining
    else:
        base = starts.Start(BASE, folders[BASE])
        lines = text_of(corpora, name)
        tokenizer, (model, _) = starts.load_tokenizer(base), starts.load_for_language_modelling(base, SETTINGS.seed)
        recipe = SETTINGS.adaptation
    batches = masked_batches(tokenizer, SETTINGS.masking)
    encoded = encode_text(lines, tokenizer, recipe.max_length)
    training = Training(encoded, recipe, SETTINGS.seed, make_batch=batches)
    machine = Machine(RunOptions(checkpoint_minutes=0.5), accelerator)
    checkpoint = Checkpoint(target.with_name(f"{name}.checkpoint"), str(target))
    trained, history = fit(model, training, machine, checkpoint, title=f"start {name}")
    if accelerator.is_main_process:
        starts.save(accelerator.unwrap_model(trained), tokenizer, target)
        checkpoint.clear()
    accelerator.wait_for_everyone()
    logger.info(
        "start %s: %s on %d lines, loss %.2f, %.0f s", name,
        "pre-trained" if name == BASE else "adapted", len(lines), history.losses[-1], time.monotonic() - began,
    )  # fmt: skip


def text_of(corpora: Path, language: str) -> list[str]:
    """The unlabelled text of a planted language, one sentence a line."""
    path = corpora / language / "text.txt"
    if not path.is_file():
        raise InputError(f"{path}: no unlabelled text; the planted corpora have one per language")
    return path.read_text(encoding="utf-8").splitlines()


def train_tokenizer(lines: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-pair vocabulary over words with a leading space mark, special tokens as in XLM-R."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    bos, eos = (("<s>", 0), ("</s>", 2))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[bos, eos]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        unk_token="<unk>", pad_token="<pad>", mask_token="<mask>", model_max_length=WINDOW,
    )  # fmt: skip


def _new_model(tokenizer: PreTrainedTokenizerFast) -> ModernBertForMaskedLM:
    torch.manual_seed(SETTINGS.seed)
    return ModernBertForMaskedLM(configuration(len(tokenizer)))


def configuration(vocabulary: int = SETTINGS.vocabulary) -> ModernBertConfig:
    """The architecture of the small base, with so many sub-tokens."""
    bos, pad, eos = (SPECIAL.index(token) for token in ("<s>", "<pad>", "</s>"))
    return ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=SETTINGS.hidden_size,
        num_hidden_layers=SETTINGS.layers,
        num_attention_heads=SETTINGS.heads,
        intermediate_size=SETTINGS.feed_forward,
        mlp_dropout=SETTINGS.dropout,
        classifier_dropout=SETTINGS.dropout,
        max_position_embeddings=WINDOW,
        local_attention=16,
        global_attn_every_n_layers=2,
        pad_token_id=pad,
        bos_token_id=bos,
        cls_token_id=bos,
        eos_token_id=eos,
        sep_token_id=eos,
    )


def resolve_starts(texts: Sequence[str], data: DataOptions, make: Callable[[], Accelerator]) -> list[starts.Start]:
    """The starts that the texts name; those of the planted corpora are trained where they do not exist yet, with the
    accelerator that ``make`` then makes."""
    if data.data != PLANTED:
        return starts.resolve_all(texts)
    return resolve_all(texts, data, make())
