"""One cell: its key, and the way from a start and a corpus to weights, predictions and scores.

The training core in one piece: no tracking and no registry, so it runs where MLflow is not installed.
"""

import functools
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import psutil
import torch
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from nertransfer import counts, device, environment, starts
from nertransfer.config import DeviceOptions, Recipe, RunOptions
from nertransfer.corpus import Corpus, Split
from nertransfer.encoding import Encoded, encode, joined
from nertransfer.errors import InputError
from nertransfer.evaluation import predict
from nertransfer.finetune import History, fit
from nertransfer.grid import AFTER, ALONE, NONE, FewShot
from nertransfer.labels import ALL, label_list
from nertransfer.progress import progress_bar
from nertransfer.sampling import training_split
from nertransfer.schema import SCORED_SPLITS
from nertransfer.scored import Scored
from nertransfer.scoring import score

RESULT_VERSION = 3
"""Raised by hand whenever a change of this code may change numbers; part of every cell key."""

PATIENCE = timedelta(days=7)
"""So long the other processes of a cell wait for the main one: alone it waits for whoever else works on the cell or
on its start, and for a server that is away. Where one has ended the launcher ends them all, so nothing needs less."""


_VERSIONED = ("torch", "transformers", "tokenizers", "accelerate")


@dataclass(frozen=True)
class Cell:
    """One fine-tuning. ``identity`` is the start's, so a renamed start is the same cell only by ``key``."""

    start: starts.Start
    identity: starts.Identity
    source: str
    seed: int
    recipe: Recipe
    corpus_digests: tuple[str, ...]
    few_shot: FewShot | None = None
    few_shot_digest: str = ""
    """Of the train split that the few sentences are drawn from."""

    @property
    def configuration(self) -> str:
        source = self.few_shot.with_source(self.source) if self.few_shot else self.source
        return f"{self.start.name}-{source}"

    @property
    def own(self) -> str:
        """What the cell has labelled sentences of: its source, or without one the language of the few."""
        return self.few_shot.language if self.few_shot and self.source == NONE else self.source

    @property
    def first_stage(self) -> "Cell | None":
        """The cell whose weights this one goes on from."""
        if self.few_shot is None or self.few_shot.mode != AFTER:
            return None
        return replace(self, few_shot=None, few_shot_digest="")

    @property
    def name(self) -> str:
        """Short run name, such as ``swa-hau-s3``."""
        return f"{self.configuration}-s{self.seed}"

    @property
    def place(self) -> tuple[str, str, str]:
        """What makes two finished runs the same for a study: key, start's name, source's name."""
        return self.key, self.start.name, self.source

    @property
    def key(self) -> str:
        """Digest of all that can change the cell's weights: start, data, recipe, seed, versions."""
        parts = {
            "start": self.identity.digest,
            "corpus": self.corpus_digests,
            "recipe": self.recipe.identity,
            "seed": self.seed,
            "versions": _versions(),
            "result_version": RESULT_VERSION,
        }
        if self.few_shot:
            parts["few_shot"] = [self.few_shot_digest, self.few_shot.sentences, self.few_shot.mode]
        return _digest(parts)[:32]


@functools.cache
def _versions() -> dict[str, str]:
    return {name: version(name).partition("+")[0] for name in _VERSIONED}


def recipe_digest(recipe: Recipe) -> str:
    """Sixteen hexadecimal digits that stand for a recipe."""
    return _digest(recipe.identity)[:16]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def few_shot_fits(target: Corpus, sentences: int) -> None:
    """Raises InputError where the target has fewer train sentences than are asked for."""
    there = len(target.train.sentences)
    if sentences > there:
        raise InputError(
            f"few_shot_sentences={sentences} is not allowed: the train split of {target.language} has {there}",
            "few_shot_sentences", str(sentences),
        )  # fmt: skip


def make_cell(
    start: starts.Start,
    identity: starts.Identity,
    corpus: Corpus,
    seed: int,
    recipe: Recipe,
    few_shot: FewShot | None = None,
    target: Corpus | None = None,
) -> Cell:
    """The cell of a start on a corpus. The dev split is part of it only where it chooses the epoch.

    ``few_shot``: sentences of ``target`` that are used besides; alone, ``corpus`` is the target's. Raises InputError
    when the recipe's window is longer than the start takes, or the target has fewer sentences than are asked for.
    """
    if few_shot and target:
        few_shot_fits(target, few_shot.sentences)
    if recipe.max_length > identity.max_length:
        raise InputError(
            f"max_length={recipe.max_length} is not allowed: the start {start.name} takes at most "
            f"{identity.max_length} sub-tokens",
            "max_length",
        )
    if identity.commit:  # every later load takes the very commit that was identified
        start = replace(start, revision=identity.commit)
    digests = (corpus.train.digest, *((corpus.dev.digest,) if recipe.epoch_choice == "best" else ()))
    if few_shot is None or target is None:
        return Cell(start, identity, corpus.language, seed, recipe, digests)
    source = NONE if few_shot.mode == ALONE else corpus.language
    return Cell(start, identity, source, seed, recipe, digests, few_shot, target.train.digest)


@dataclass
class Resources:
    """Wall seconds of the phases; ``peak_memory`` in bytes, of the GPU where there is one, else of the process."""

    train_seconds: float = 0.0
    score_seconds: float = 0.0
    peak_memory: int = 0
    device: str = ""
    processes: int = 1
    threads: int = 1


@dataclass
class CellResult:
    """What a cell measured. ``scored`` has one entry per target and split; ``weights`` is where they lie, if wanted."""

    cell: Cell
    labels: tuple[str, ...]
    history: History
    scored: list[Scored]
    resources: Resources
    weights: Path


@dataclass
class Encoder:
    """Encodes splits for one tokenizer and keeps them, so that a study encodes each corpus once a start."""

    tokenizer: PreTrainedTokenizerBase
    max_length: int
    kept: dict[tuple[str, ...], Encoded] = field(default_factory=dict)

    def __call__(self, split: Split) -> Encoded:
        """The split without labels."""
        return self._once(split, ())

    def with_labels(self, split: Split, labels: Sequence[str], keep: bool = True) -> Encoded:
        """The split with its gold labels; tags that are not among ``labels`` carry no loss.

        ``keep``: not for what was drawn for one cell alone."""
        return self._once(split, tuple(labels)) if keep else self._encoded(split, tuple(labels))

    def _once(self, split: Split, labels: tuple[str, ...]) -> Encoded:
        key = (split.language, split.name, split.digest, *labels)
        if key not in self.kept:
            self.kept[key] = self._encoded(split, labels)
        return self.kept[key]

    def _encoded(self, split: Split, labels: tuple[str, ...]) -> Encoded:
        tags = [s.tags for s in split.sentences] if labels else None
        ids = {label: i for i, label in enumerate(labels)}
        return encode([s.words for s in split.sentences], self.tokenizer, self.max_length, tags, ids)


def score_splits(
    model: torch.nn.Module,
    encoder: Encoder,
    labels: Sequence[str],
    splits: Sequence[Split],
    accelerator: Accelerator,
    tokens: int,
    title: str = "",
) -> list[Scored]:
    """Tag and score every split; the number of scored words is that of the corpus, always.

    All are tagged together: few full batches of sentences of like length.
    """
    if not splits:
        return []
    encoded = [encoder(split) for split in splits]
    together = joined(encoded)
    with progress_bar(len(together.windows), title, "row", show=accelerator.is_main_process) as bar:
        tags = iter(predict(model, together, labels, accelerator, tokens, bar))
    found: list[Scored] = []
    for split, rows in zip(splits, encoded, strict=True):
        predicted = list(itertools.islice(tags, len(split.sentences)))
        gold = [s.tags for s in split.sentences]
        entities = counts.entities(predicted)
        counted = counts.count(counts.entities(gold), entities)
        scores = counts.scores(counted)
        if scores.words != split.number_of_words:
            raise RuntimeError(f"{scores.words} words scored of {split.number_of_words} in {split.language}")
        found.append(Scored(split, predicted, scores, counted, entities, rows.unknown_words, rows.cut_words))
    return found


def splits_of(
    corpora: Mapping[str, Corpus], targets: Sequence[str], names: Sequence[str] = SCORED_SPLITS
) -> list[Split]:
    """The splits to score, target by target."""
    return [corpora[target].splits[name] for target in targets for name in names]


def checkpoint_folder(folder: Path) -> Path:
    """Where a cell with this folder keeps its checkpoint."""
    return folder / "checkpoint"


def run_cell(
    cell: Cell,
    corpus: Corpus,
    splits: Sequence[Split],
    run: RunOptions,
    accelerator: Accelerator,
    folder: Path,
    encoder: Encoder | None = None,
    on_epoch: Callable[[History], None] | None = None,
    target: Corpus | None = None,
    begin: Callable[[Sequence[str]], PreTrainedModel] | None = None,
    wants_weights: Callable[[Sequence[Scored]], bool] = lambda _: True,
) -> CellResult:
    """Fine-tune, score while the model is in memory, save the weights under ``folder`` if the scores are worth it.

    ``target``: the corpus of which the cell has a few sentences; its categories are labels, too. ``begin`` gives the
    model of the first stage, for those labels (`Cell.first_stage`). ``wants_weights`` decides with all that was scored.

    ``folder`` also holds the checkpoint from which an interrupted cell goes on; the caller clears
    it (`checkpoint_folder`) once the result is safe. All processes return the same result; only
    the main one writes.
    """
    encoder = encoder or Encoder(starts.load_tokenizer(cell.start), cell.recipe.max_length)
    labels = label_list(sorted({*corpus.categories, *(target.categories if target else ())}))
    model = begin(labels) if begin else starts.load_for_tagging(cell.start, labels, cell.seed)
    if accelerator.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def dev_f1(trained: torch.nn.Module) -> float:
        predicted = predict(trained, encoder(corpus.dev), labels, accelerator, run.evaluation_tokens)
        return score([s.tags for s in corpus.dev.sentences], predicted).default[ALL].f1

    split = training_split(corpus, cell.recipe.sampling_temperature, cell.seed, cell.few_shot, target)
    train = encoder.with_labels(split, labels, keep=split is corpus.train)
    trained, history = fit(
        model, train, cell.recipe, run, cell.seed, accelerator, checkpoint=checkpoint_folder(folder), key=cell.key,
        read=(train, encoder(corpus.dev)), dev_f1=dev_f1, on_epoch=on_epoch, title=cell.name,
    )  # fmt: skip
    began = time.perf_counter()
    scored = score_splits(trained, encoder, labels, splits, accelerator, run.evaluation_tokens, f"{cell.name} scoring")
    resources = Resources(
        train_seconds=sum(history.seconds),
        score_seconds=time.perf_counter() - began,
        peak_memory=_peak_memory(accelerator),
        device=_device_name(accelerator),
        processes=accelerator.num_processes,
        threads=torch.get_num_threads(),
    )
    if accelerator.is_main_process and wants_weights(scored):
        tagger = accelerator.unwrap_model(trained)
        setattr(tagger.config, starts.WINDOW, cell.recipe.max_length)
        starts.save(tagger, encoder.tokenizer, folder / "model")
    accelerator.free_memory()
    return CellResult(cell, labels, history, scored, resources, folder / "model")


def _peak_memory(accelerator: Accelerator) -> int:
    if accelerator.device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes on Linux


def _device_name(accelerator: Accelerator) -> str:
    return torch.cuda.get_device_name() if accelerator.device.type == "cuda" else str(accelerator.device.type)


def make_accelerator(recipe: Recipe, run: DeviceOptions) -> Accelerator:
    """The accelerator of a process: made here alone, of the recipe and the device, whatever the environment says.

    Raises InputError when the device cannot compute, or not in that precision, or where `environment.clean` does.
    """
    environment.clean()
    environment.tell()
    device.tell_of_trouble(run.device)
    torch.set_float32_matmul_precision("highest")  # no TF32, whatever ran before in this process
    precision = {"fp32": "no"}.get(recipe.precision, recipe.precision)
    try:
        accelerator = Accelerator(
            cpu=run.device == "cpu",
            mixed_precision=precision,
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),  # micro-batches are ours
            dynamo_backend="no",
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
    except ValueError as error:  # accelerate's own words
        raise InputError(f"precision={recipe.precision!r} is not allowed here: {error}", "precision") from error
    device.check(accelerator.device)
    if precision != "no" and not accelerator.native_amp:
        # accelerate would silently compute in fp32, and the cell would say otherwise
        raise InputError(
            f"precision={recipe.precision!r} is not allowed on {accelerator.device}: fp32 or bf16", "precision"
        )
    return accelerator


def make_training_accelerator(recipe: Recipe, run: RunOptions) -> Accelerator:
    """`make_accelerator` for fine-tuning; raises InputError also where layers are to be compiled and cannot be."""
    accelerator = make_accelerator(recipe, run)
    if run.compile:
        check_can_compile(accelerator.device)
    return accelerator


def check_can_compile(device: torch.device) -> None:
    """Raise InputError where layers cannot be compiled for a device."""
    if device.type != "cuda":
        raise InputError(f"compile=true is not allowed on {device}: it is for a GPU", "compile")
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", ""), "gcc", "clang"))), None)
    if compiler is None:
        raise InputError("compile=true is not allowed here: it needs a C compiler, gcc or clang on the PATH", "compile")
    headers = sysconfig.get_path("include", "posix_prefix")
    reading = [compiler, "-I", headers, "-include", "Python.h", "-E", "-xc", os.devnull]
    if subprocess.run(reading, capture_output=True).returncode:
        raise InputError(
            f"compile=true is not allowed here: it needs Python's headers, but {compiler} finds no Python.h in "
            f"{headers} (the system's package python3-dev has it)",
            "compile",
        )
