"""One cell: from a start and a corpus to weights, predictions, scores, and what was measured."""

import itertools
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from nertransfer.core import schema
from nertransfer.core.console import progress_bar
from nertransfer.core.options import Recipe
from nertransfer.core.schema import ALL, SCORED_SPLITS
from nertransfer.corpora.corpus import Corpus, Split
from nertransfer.corpora.labels import label_list
from nertransfer.corpora.words import fitting_rule
from nertransfer.encoders import starts
from nertransfer.encoders.inference import predict
from nertransfer.encoders.tokenization import Encoded, encode, joined
from nertransfer.scoring.measurements import Measurements, Point, milliseconds, of_scores, scores_table, unscored
from nertransfer.scoring.reference import score
from nertransfer.scoring.scores import Scored, compared
from nertransfer.training.cell import Cell, checkpoint, weights_folder
from nertransfer.training.energy import Meter
from nertransfer.training.finetune import Callbacks, History, Machine, Training, fit, learning_rate
from nertransfer.training.sampling import training_split


@dataclass
class Resources:
    """Wall seconds of the phases; ``peak_memory`` in bytes, of the GPU where there is one, else of the process;
    ``energy`` of both phases in joules, NaN where it was not measured as a whole."""

    train_seconds: float = 0.0
    score_seconds: float = 0.0
    peak_memory: int = 0
    device: str = ""
    processes: int = 1
    threads: int = 1
    energy: float = math.nan


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
        one = compared(split, list(itertools.islice(tags, len(split.sentences))))
        if one.scores.words != split.number_of_words:
            raise RuntimeError(f"{one.scores.words} words scored of {split.number_of_words} in {split.language}")
        found.append(replace(one, unknown_words=rows.unknown_words, cut_words=rows.cut_words))
    return found


def splits_of(
    corpora: Mapping[str, Corpus], targets: Sequence[str], names: Sequence[str] = SCORED_SPLITS
) -> list[Split]:
    """The splits to score, target by target, where they are there: of some languages test alone."""
    splits = [corpora[target].splits[name] for target in targets for name in names]
    return [split for split in splits if split.sentences]


@dataclass(frozen=True)
class CellData:
    """What a cell is made of: the ``corpus`` it is fine-tuned and chosen on, the ``splits`` it is scored on, and the
    corpus of the ``target`` of which it has a few sentences, whose categories are labels, too."""

    corpus: Corpus
    splits: Sequence[Split] = ()
    target: Corpus | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return label_list(sorted({*self.corpus.categories, *(self.target.categories if self.target else ())}))


@dataclass(frozen=True)
class Hooks:
    """What the caller does within a cell: ``begin`` gives the model of the first stage, for its labels
    (`Cell.first_stage`); ``on_epoch`` is told of every epoch; ``wants_weights`` decides with all that was scored."""

    begin: Callable[[Sequence[str]], PreTrainedModel] | None = None
    on_epoch: Callable[[History], None] | None = None
    wants_weights: Callable[[Sequence[Scored]], bool] = lambda _: True


def run_cell(
    cell: Cell, data: CellData, machine: Machine, work_dir: Path, encoder: Encoder, hooks: Hooks = Hooks()
) -> CellResult:
    """Fine-tune, score while the model is in memory, save the weights in ``work_dir`` if the scores are worth it.

    ``work_dir`` also holds the checkpoint from which an interrupted cell goes on; the caller clears it
    (`nertransfer.training.cell.checkpoint`) once the result is safe. All processes return the same result; only the
    main one writes.
    """
    run, accelerator, labels, dev = machine.run, machine.accelerator, data.labels, data.corpus.dev
    model = hooks.begin(labels) if hooks.begin else starts.load_for_tagging(cell.start, labels, cell.seed)
    if accelerator.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def dev_f1(trained: torch.nn.Module) -> float:
        predicted = predict(trained, encoder(dev), labels, accelerator, run.evaluation_tokens)
        return score([s.tags for s in dev.sentences], predicted).default[ALL].f1

    split = training_split(data.corpus, cell.recipe.sampling_temperature, cell.seed, cell.few_shot, data.target)
    train = encoder.with_labels(split, labels, keep=split is data.corpus.train)
    training = Training(train, cell.recipe, cell.seed, read=(train, encoder(dev)))
    callbacks = Callbacks(dev_f1, hooks.on_epoch)
    saved = checkpoint(work_dir, cell.key)
    goes_on = saved.is_begun
    with _meter(accelerator) as meter:
        trained, history = fit(model, training, machine, saved, callbacks, cell.name)
        began = time.perf_counter()
        title = f"{cell.name} scoring"
        scored = score_splits(trained, encoder, labels, data.splits, accelerator, run.evaluation_tokens, title)
        resources = Resources(
            train_seconds=sum(history.seconds),
            score_seconds=time.perf_counter() - began,
            peak_memory=_peak_memory(accelerator),
            device=_device_name(accelerator),
            processes=accelerator.num_processes,
            threads=torch.get_num_threads(),
            energy=math.nan if goes_on else meter.joules(),
        )
    weights = weights_folder(work_dir, cell.key)
    if accelerator.is_main_process and hooks.wants_weights(scored):
        tagger = accelerator.unwrap_model(trained)
        setattr(tagger.config, starts.WINDOW, cell.recipe.max_length)
        rule, found = fitting_rule([sentence.words for sentence in data.corpus.train.sentences])
        setattr(tagger.config, starts.WORDS, {"rule": rule, "found": round(found, 4)})
        starts.save(tagger, encoder.tokenizer, weights)
    accelerator.free_memory()
    return CellResult(cell, labels, history, scored, resources, weights)


def _meter(accelerator: Accelerator) -> Meter:
    """Of all processes of the cell: those on one machine, a GPU each."""
    number = accelerator.num_processes
    return Meter(range(number) if accelerator.device.type == "cuda" else (), number)


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


CURVE_POINTS = 100
"""At most so many points of the loss curve are kept; each is the mean over the steps since the last."""


def of_cell(result: CellResult, source: Corpus) -> Measurements:
    """The curves, scores, predictions and resources of a finished cell, which was fine-tuned on ``source``."""
    cell, now = result.cell, milliseconds()
    found = of_scores(result.scored, cell.key)
    parts = [part.train for part in source.parts or (source,)]
    found.datasets += map(unscored, parts)
    found.points = curve(result.history, cell.recipe) + found.points + resource_points(result.resources)
    found.points.append(Point("kept_epoch", result.history.kept_epoch, now))
    found.points += [
        Point(schema.source_f1(s.split.name), s.scores.default[ALL].f1, now)
        for s in result.scored
        if s.split.language == cell.own
    ]
    found.tags |= {schema.NOTE: cell_note(result), schema.DEVICE: result.resources.device}
    return found


def curve(history: History, recipe: Recipe) -> list[Point]:
    """Loss and learning rate over optimiser steps, speed and dev F1 over epochs.

    ``train_loss`` in nats per labelled word, ``tokens_per_second`` in real sub-tokens.
    """
    now, total = milliseconds(), history.steps_per_epoch * recipe.epochs
    every = max(1, -(-total // CURVE_POINTS))
    points: list[Point] = []
    steps = len(history.losses)
    ends = [*range(every, steps + 1, every), *([steps] if steps == total and steps % every else [])]
    for begin, end in zip([0, *ends], ends, strict=False):
        window, epoch = history.losses[begin:end], (end - 1) // history.steps_per_epoch + 1
        points.append(Point("train_loss", sum(window) / len(window), now, end, epoch=epoch))
        points.append(Point("learning_rate", learning_rate(end - 1, total, recipe), now, end, epoch=epoch))
    for epoch, seconds in enumerate(history.seconds, start=1):
        points.append(Point(schema.SPEED, history.tokens / max(seconds, 1e-9), now, epoch, epoch=epoch))
        if epoch <= len(history.dev_f1):
            points.append(Point("epoch_dev_f1", history.dev_f1[epoch - 1], now, epoch, epoch=epoch))
    return points


def resource_points(resources: Resources) -> list[Point]:
    """Seconds, bytes and counts a cell needed."""
    values = {
        "train_seconds": resources.train_seconds,
        "score_seconds": resources.score_seconds,
        "peak_memory_bytes": resources.peak_memory,
        "processes": resources.processes,
        "threads": resources.threads,
    }
    if not math.isnan(resources.energy):
        values[schema.ENERGY] = resources.energy
    now = milliseconds()
    return [Point(name, float(value), now) for name, value in values.items()]


def cell_note(result: CellResult) -> str:
    """The run's note: what it is, and its test scores."""
    cell = result.cell
    tests = [s for s in result.scored if s.split.name == "test"]
    source = f"**{cell.source}**"
    told = cell.few_shot.after(source) if cell.few_shot else source
    return (
        f"**{cell.start.name}** fine-tuned on {told}, seed {cell.seed}. Entity-level micro scores "
        f"on the test splits, percent (seqeval, default mode).\n\n{scores_table(tests, cell.own)}"
    )
