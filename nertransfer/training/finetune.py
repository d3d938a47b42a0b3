"""The training loop, on Accelerate. No tracking, no scoring, no corpora: tensors in, weights out."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn import functional
from tqdm import tqdm

from nertransfer.core import processes
from nertransfer.core.console import progress_bar
from nertransfer.core.options import Recipe, RunOptions
from nertransfer.encoders.dropout import quick_dropout
from nertransfer.encoders.tokenization import IGNORED, Batch, Encoded, collate, epoch_batches
from nertransfer.encoders.unpadded import CPU_TOKENS, first_position, logits_at
from nertransfer.training.checkpoint import Checkpoint
from nertransfer.training.seeding import mixed
from nertransfer.training.speedups import (
    RECORDABLE,
    CapturedSteps,
    CompiledLayers,
    CudaGraphs,
    Recorder,
    Trimming,
    can_trim,
)

logger = logging.getLogger("nertransfer")

BatchMaker = Callable[[Encoded, Sequence[int], int], Batch]
"""(split, window indices, seed of the batch) -> batch with labels."""


@dataclass
class History:
    """What happened. One entry a step: ``losses`` (mean cross-entropy per labelled word, nats);
    one an epoch: ``seconds`` (wall time of the training steps) and, where asked for, ``dev_f1``.
    ``tokens`` is the number of real sub-tokens of one epoch. ``kept_epoch`` counts from 1."""

    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    dev_f1: list[float] = field(default_factory=list)
    tokens: int = 0
    steps_per_epoch: int = 0
    kept_epoch: int = 0

    @property
    def epochs(self) -> int:
        return len(self.seconds)

    @staticmethod
    def saved(found: dict[str, Any]) -> "History":
        """From what `dataclasses.asdict` gave; raises TypeError or ValueError where it is not that of whole epochs."""
        history = History(**found)
        whole = len(history.losses) == history.epochs * history.steps_per_epoch
        if found.keys() != {one.name for one in fields(History)} or not whole:
            raise ValueError("its history is not that of whole epochs")
        return history


def learning_rate(step: int, total: int, recipe: Recipe) -> float:
    """Rate of optimiser step ``step`` of ``total`` (from 0): linear warm-up, then linear to 0."""
    warmup = round(recipe.warmup_ratio * total)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    return recipe.learning_rate * (total - step) / max(1, total - warmup)


def collate_labels(encoded: Encoded, indices: Sequence[int], _seed: int) -> Batch:
    """Batches of fine-tuning: the gold label on each word's first sub-token."""
    return collate(encoded, indices)


@dataclass(frozen=True)
class Training:
    """What decides the weights that a model is trained to.

    ``read`` is all that the model sees until it is returned, ``train`` included: without weight decay only the word
    embeddings that occur there are trained, which changes nothing (`nertransfer.training.speedups`); empty: anything
    may be seen.
    """

    train: Encoded
    recipe: Recipe
    seed: int
    read: Sequence[Encoded] = ()
    make_batch: BatchMaker = collate_labels


@dataclass(frozen=True)
class Machine:
    """What computes, and how: it changes no result beyond float order."""

    run: RunOptions
    accelerator: Accelerator


@dataclass(frozen=True)
class Callbacks:
    """What is called after an epoch: ``dev_f1`` where the run or the recipe wants it, ``on_epoch`` on the main process
    always."""

    dev_f1: Callable[[torch.nn.Module], float] | None = None
    on_epoch: Callable[[History], None] | None = None


def fit(
    model: torch.nn.Module,
    training: Training,
    machine: Machine,
    checkpoint: Checkpoint | None = None,
    callbacks: Callbacks = Callbacks(),
    title: str = "",
) -> tuple[torch.nn.Module, History]:
    """Train ``model`` and return it, prepared on the device, with the history.

    The loss is the mean cross-entropy over the labelled positions of a whole batch. The same
    ``training`` gives the same weights, bit for bit on a CPU with the same number of threads, also
    when the work was cut short and goes on from ``checkpoint``, which the caller clears. Processes share the rows of
    every batch, so the loss and its gradient are those of one process up to float order and dropout.
    Raises FloatingPointError when the loss is no longer finite.
    """
    train, recipe, read, accelerator = training.train, training.recipe, training.read, machine.accelerator
    # a checkpoint holds every model the accelerator knows: forget those of earlier work that ended or failed
    accelerator.free_memory()
    wants_dev = machine.run.dev_each_epoch or recipe.epoch_choice == "best"
    if wants_dev and callbacks.dev_f1 is None:
        raise ValueError("dev_f1 is needed to follow or choose epochs")
    trimming = None
    if read and recipe.weight_decay == 0 and can_trim(model):
        ids = {encoded.pad_id for encoded in read} | {i for e in read for w in e.windows for i in w.ids}
        trimming = Trimming(model, ids)
        if checkpoint is not None:  # one fits no other rows
            checkpoint = replace(checkpoint, key=f"{checkpoint.key} with rows {mixed(*sorted(ids))}")
    optimiser = torch.optim.AdamW(_parameter_groups(model, recipe.weight_decay), lr=recipe.learning_rate, fused=True)
    model, optimiser = accelerator.prepare(model, optimiser)
    torch.manual_seed(mixed(training.seed, _DROPOUT, accelerator.process_index))
    history = History(tokens=sum(len(w.ids) for w in train.windows))
    best: dict[str, torch.Tensor] = {}
    if checkpoint is not None and (saved := checkpoint.restore(accelerator, History.saved)) is not None:
        history, best = saved
    prepared = Prepared(model, optimiser, training, machine)
    captured = None
    if training.make_batch is collate_labels and can_capture(prepared):
        captured = capture(prepared, CudaGraphs(accelerator.device))
    elif machine.run.compile and accelerator.is_main_process:
        logger.warning("%s: compile=true changes nothing here, for these steps cannot be recorded", title)
    history.steps_per_epoch = -(-len(train.windows) // recipe.batch_size)
    total = recipe.epochs * history.steps_per_epoch
    last_saved = time.monotonic()
    with progress_bar(total, title, "step", len(history.losses), show=accelerator.is_main_process) as bar:
        for epoch in range(history.epochs, recipe.epochs):
            processes.check_interrupt()
            began = time.perf_counter()
            losses = _train_epoch(prepared, epoch, bar, captured)
            history.losses += losses
            history.seconds.append(time.perf_counter() - began)
            history.kept_epoch = epoch + 1 if recipe.epoch_choice == "last" else history.kept_epoch
            if wants_dev:
                assert callbacks.dev_f1 is not None
                history.dev_f1.append(callbacks.dev_f1(model))
                if recipe.epoch_choice == "best" and history.dev_f1[-1] > max(history.dev_f1[:-1], default=-1.0):
                    history.kept_epoch = epoch + 1
                    best = _copy_of_weights(accelerator, model)
            bar.set_postfix(loss=f"{np.mean(losses):.4f}", epoch=f"{epoch + 1}/{recipe.epochs}")
            if callbacks.on_epoch is not None and accelerator.is_main_process:
                callbacks.on_epoch(history)
            # a long training is also saved at its very end, for what comes after it may fail
            waited = sum(history.seconds) if epoch + 1 == recipe.epochs else time.monotonic() - last_saved
            every = machine.run.checkpoint_minutes
            if checkpoint is not None and every >= 0 and _agree(accelerator, waited >= 60 * every):
                checkpoint.save(accelerator, asdict(history), best)
                last_saved = time.monotonic()
    if best:
        accelerator.unwrap_model(model).load_state_dict(best)
    if trimming is not None:
        trimming.restore(accelerator.unwrap_model(model))
    return model, history


_ORDER, _BATCH, _DROPOUT = range(3)
"""What a random stream is for; keeps streams of one seed apart."""


def _parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay on matrices only, not on biases and layer norms, as in transformers' Trainer."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


@dataclass(frozen=True)
class Prepared:
    """What every step needs; model and optimiser are prepared on the accelerator's device."""

    model: torch.nn.Module
    optimiser: torch.optim.Optimizer
    training: Training
    machine: Machine


def _train_epoch(prepared: Prepared, epoch: int, bar: tqdm, captured: CapturedSteps | None) -> list[float]:
    training, accelerator = prepared.training, prepared.machine.accelerator
    recipe, seed = training.recipe, training.seed
    prepared.model.train()
    order = torch.Generator().manual_seed(mixed(seed, _ORDER, epoch))
    batches = epoch_batches(training.train, recipe.batch_size, order)
    first, total = epoch * len(batches), recipe.epochs * len(batches)
    rates = [learning_rate(first + number, total, recipe) for number in range(len(batches))]
    if captured is not None:
        losses = captured(batches, rates, bar.update)
    else:
        shares: list[torch.Tensor] = []
        with quick_dropout(prepared.model) if accelerator.device.type == "cpu" else nullcontext():
            for number, (indices, rate) in enumerate(zip(batches, rates, strict=True)):
                for group in prepared.optimiser.param_groups:
                    group["lr"] = rate
                batch = training.make_batch(training.train, indices, mixed(seed, _BATCH, first + number))
                shares.append(_step(prepared, batch))
                bar.update()
        losses = torch.stack(shares)  # the only transfer from the device in an epoch
    if accelerator.num_processes > 1:
        losses = accelerator.reduce(losses, reduction="sum")
    values = losses.cpu().tolist()
    if not np.all(np.isfinite(values)):
        first = int(np.argmin(np.isfinite(values)))
        other = "" if recipe.precision == "fp32" else " or use precision=fp32"
        raise FloatingPointError(
            f"the loss is not finite at step {first + 1} of epoch {epoch + 1}: "
            f"lower learning_rate={recipe.learning_rate}{other}"
        )
    return values


def _step(prepared: Prepared, batch: Batch) -> torch.Tensor:
    """One optimiser step on one global batch; returns this process's share of its mean loss."""
    model, machine = prepared.model, prepared.machine
    accelerator = machine.accelerator
    labelled = max(1, int((batch.labels != IGNORED).sum()))
    share = torch.zeros((), device=accelerator.device)
    micro_batches = list(_micro_batches(batch, machine.run.gradient_accumulation, accelerator))
    for number, (input_ids, attention_mask, labels) in enumerate(micro_batches):
        last = number + 1 == len(micro_batches)
        with nullcontext() if last else accelerator.no_sync(model):
            rows, columns = (labels != IGNORED).nonzero(as_tuple=True)
            logits = logits_at(model, input_ids, attention_mask, rows, columns, accelerator.device)
            gold = labels[rows, columns].to(accelerator.device, non_blocking=True)
            summed = functional.cross_entropy(logits.float(), gold, reduction="sum")
            loss = summed / labelled
            # processes average their gradients; the sum is wanted
            accelerator.backward(loss * accelerator.num_processes)
        share += loss.detach()
    _update(prepared)
    return share


def _update(prepared: Prepared) -> None:
    prepared.machine.accelerator.unscale_gradients(prepared.optimiser)
    _clip_gradients(prepared.model, prepared.training.recipe.max_grad_norm)
    prepared.optimiser.step()
    prepared.optimiser.zero_grad()


def can_capture(prepared: Prepared) -> bool:
    """Whether a step is one pass on one GPU, and the same kernels every time: fp16 skips steps that overflow."""
    run, accelerator = prepared.machine.run, prepared.machine.accelerator
    config = getattr(accelerator.unwrap_model(prepared.model), "config", None)
    known = getattr(config, "model_type", "") in RECORDABLE
    once = accelerator.num_processes == 1 and run.gradient_accumulation == 1
    return accelerator.device.type == "cuda" and known and once and prepared.training.recipe.precision != "fp16"


def capture(prepared: Prepared, recorder: Recorder) -> CapturedSteps:
    """The steps of `_step` for ``recorder``: on padded batches, every number of which stays on the device."""
    model, training, accelerator = prepared.model, prepared.training, prepared.machine.accelerator
    rate = torch.tensor(training.recipe.learning_rate, device=accelerator.device)
    for group in prepared.optimiser.param_groups:  # also those of a checkpoint
        group["lr"], group["capturable"] = rate, rate.is_cuda
    layers = CompiledLayers(model) if prepared.machine.run.compile else None

    def step(input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with layers.in_use() if layers else nullcontext():
            logits = model(input_ids=input_ids, attention_mask=attention_mask).logits
        gold = labels.flatten()
        summed = functional.cross_entropy(logits.float().flatten(0, 1), gold, ignore_index=IGNORED, reduction="sum")
        loss = summed / (gold != IGNORED).sum().clamp(min=1)
        accelerator.backward(loss)
        _update(prepared)
        return loss.detach()

    inner = accelerator.unwrap_model(model)
    first = first_position(inner)
    # padding takes the position before the first one, but only where the model knows it as padding
    limit = inner.config.max_position_embeddings - (0 if first == training.train.pad_id + 1 else first)
    return CapturedSteps(training.train, training.recipe.batch_size, step, rate, recorder, limit)


def _clip_gradients(model: torch.nn.Module, most: float) -> None:
    """Scale all gradients so that their norm is at most ``most``.

    That of a matrix is summed over its rows in double precision, where rows of zeros change no digit of the result:
    the embeddings of words that do not occur may be there or not (`nertransfer.training.speedups`). On a GPU, where
    nothing is bit for bit, a few kernels take all matrices.
    """
    parameters = [p for p in model.parameters() if p.grad is not None]
    gradients = [p.grad for p in parameters if p.grad is not None]
    if gradients[0].is_cuda:
        norm = torch.nn.utils.get_total_norm(gradients)
    else:
        squares = torch.stack([torch.linalg.vector_norm(g, dim=-1).double().square().sum() for g in gradients])
        norm = squares.sum().sqrt().float()
    torch.nn.utils.clip_grads_with_norm_(parameters, most, norm)


def _micro_batches(
    batch: Batch, accumulation: int, accelerator: Accelerator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """This process's rows in micro-batches (input ids, attention mask, labels).

    There are as many as are asked for, on a CPU also enough to keep each near CPU_TOKENS slots. All processes must run
    equally many passes, so one that has no row left runs the batch's first row without labels.
    """
    rows = len(batch.input_ids)
    mine = list(range(accelerator.process_index, rows, accelerator.num_processes))
    most = -(-rows // accelerator.num_processes)
    if accelerator.device.type == "cpu":
        accumulation = max(accumulation, -(-most * batch.input_ids.shape[1] // CPU_TOKENS))
    size = -(-most // accumulation)
    for begin in range(0, most, size):
        taken = mine[begin : begin + size]
        labels = batch.labels[taken] if taken else torch.full_like(batch.labels[:1], IGNORED)
        yield batch.input_ids[taken or [0]], batch.attention_mask[taken or [0]], labels


def _copy_of_weights(accelerator: Accelerator, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: t.detach().cpu().clone() for name, t in accelerator.unwrap_model(model).state_dict().items()}


def _agree(accelerator: Accelerator, due: bool) -> bool:
    """The main process's word on whether a checkpoint is due: clocks differ between processes."""
    if accelerator.num_processes == 1:
        return due
    flag = torch.tensor(int(due and accelerator.is_main_process), device=accelerator.device)
    return bool(accelerator.reduce(flag, reduction="sum").item())
