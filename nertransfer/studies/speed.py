"""How fast this device trains and scores models of some size: a few steps on random weights, in a process of their own.

How long a step takes depends on the shapes and not on the numbers, so neither weights nor texts are needed. The process
ends with what it has taken of the device's memory.
"""

import copy
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

import numpy as np
import torch
from accelerate import Accelerator
from transformers import AutoModelForTokenClassification, PreTrainedConfig, PreTrainedModel

from nertransfer.core import console, processes
from nertransfer.core.options import Recipe, RunOptions
from nertransfer.encoders.inference import predict
from nertransfer.encoders.tokenization import Batch, Encoded, Window, collate
from nertransfer.training.accelerator import make_training_accelerator
from nertransfer.training.finetune import Machine, Training, fit
from nertransfer.training.speedups import can_trim

TRAINING_SECONDS, SCORING_SECONDS = 6.0, 2.0
"""About so long is measured for a kind of model, at most."""
GIVEN_UP_SECONDS, ENDING_SECONDS = 90.0, 5.0
LABELS = ("O", *(f"{prefix}-{n}" for n in range(4) for prefix in "BI"))
FIRST_ID = 5
"""Ids below are special in most vocabularies."""
VOCABULARY = 8000
"""About as many sub-tokens occur in a language's corpus."""
STEPS = 5
LEAST_ROWS = 5
"""What a step takes however short it is shows in the difference from one row to so many."""


@dataclass(frozen=True)
class Speed:
    """In seconds: ``step``, what an optimiser step takes however short it is; ``trained`` and ``scored``, what each
    sub-token adds in training and in scoring."""

    step: float
    trained: float
    scored: float


@dataclass(frozen=True)
class Asked:
    """What is measured: a model of this ``config`` on windows of these ``lengths``, in sub-tokens, of which each word
    has ``per_word``; ``threads`` of the processor."""

    config: PreTrainedConfig
    lengths: Sequence[int]
    per_word: float
    recipe: Recipe
    run: RunOptions
    threads: int


def measured(asked: Asked, seconds: float = 1.0) -> Speed:
    """The speed of a model on this device; ``seconds``: this fraction of the usual time is measured.

    Raises RuntimeError with the reason where nothing can be measured, as where its memory does not suffice.
    """
    context = multiprocessing.get_context(processes.start_method())
    ours, theirs = context.Pipe(duplex=False)
    # every context has processes: only the class that mypy takes it for has none
    process = context.Process(target=_answer, args=(theirs, asked, seconds), daemon=True)  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    try:
        if not ours.poll(GIVEN_UP_SECONDS):
            process.kill()
            raise RuntimeError(f"it takes longer than {GIVEN_UP_SECONDS:.0f} s")
        answer = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the process that measures ended with status {process.exitcode}") from None
    finally:
        process.join(ENDING_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        ours.close()
    if isinstance(answer, str):
        raise RuntimeError(answer)
    return answer


def _answer(connection: Connection, asked: Asked, seconds: float) -> None:
    console.prepare()
    console.tell(lambda *_: None)
    torch.set_num_threads(asked.threads)
    try:
        connection.send(measure(asked, seconds))
    except Exception as error:
        lines = str(error).strip().splitlines()
        connection.send(lines[0] if lines else type(error).__name__)


def measure(asked: Asked, seconds: float = 1.0) -> Speed:
    """`measured`, in this very process."""
    accelerator = make_training_accelerator(asked.recipe, asked.run)
    machine = Machine(replace(asked.run, dev_each_epoch=False, checkpoint_minutes=-1.0), accelerator)  # steps alone
    model = _model(asked.config, trims=asked.recipe.weight_decay == 0)
    some = _encoded(model, _middle(asked.lengths, asked.recipe.batch_size), asked.per_word)
    if accelerator.device.type == "cuda":
        steps = [_recorded_step(model, some, rows, asked.recipe, machine) for rows in (1, len(some.windows))]
    else:
        steps = _steps(model, some, asked.recipe, TRAINING_SECONDS * seconds, machine)
    (fewest, short), (most, long) = steps[0], steps[-1]
    step, trained = 0.0, long / most
    if most > fewest and 0 < (slope := (long - short) / (most - fewest)) <= trained:  # else it is within the noise
        step, trained = short - slope * fewest, slope
    return Speed(step, trained, _scoring(model, asked, SCORING_SECONDS * seconds, accelerator))


def _recorded_step(
    model: PreTrainedModel, some: Encoded, rows: int, recipe: Recipe, machine: Machine
) -> tuple[int, float]:
    """Sub-tokens and seconds of a step on so many rows, once it is replayed (`nertransfer.training.speedups`)."""
    train = replace(some, windows=some.windows[:rows])
    recipe = replace(recipe, batch_size=rows, epochs=4, epoch_choice="last")
    _, history = fit(model, Training(train, recipe, 0, read=(some,)), machine)
    return history.tokens, history.seconds[-1]


def _steps(
    model: PreTrainedModel, some: Encoded, recipe: Recipe, seconds: float, machine: Machine
) -> list[tuple[int, float]]:
    """Sub-tokens and seconds of a step on one row, and of one on as many as the time allows."""
    began: list[float] = []
    rows: list[int] = []

    def batch(_train: Encoded, _indices: Sequence[int], _seed: int) -> Batch:
        began.append(time.perf_counter())
        left = seconds - (began[-1] - began[0])
        if len(began) == 3:
            one = began[2] - began[1]
            most = max(LEAST_ROWS if one < GIVEN_UP_SECONDS / 10 else 1, int(left / one / 2))
            rows.append(min(len(some.windows), most))
        else:  # once more where there is time: what else the machine does makes a step slower, and nothing quicker
            again = len(began) == STEPS and left > began[3] - began[2]
            rows.append(rows[2] if again else 1)
        return collate(some, range(rows[-1]))

    train = replace(some, windows=(some.windows * STEPS)[:STEPS])
    recipe = replace(recipe, batch_size=1, epochs=1, epoch_choice="last")
    _, history = fit(model, Training(train, recipe, 0, read=(some,), make_batch=batch), machine)
    ends = [*began[1:], began[0] + history.seconds[0]]
    took: dict[int, float] = {}
    steps = list(zip(rows, began, ends, strict=True))
    for number, begin, end in steps[1:]:  # the first also makes what is made on first use
        took[number] = min(end - begin, took.get(number, end - begin))
    return [(sum(len(w.ids) for w in some.windows[:number]), took[number]) for number in sorted(took)]


def _scoring(model: PreTrainedModel, asked: Asked, seconds: float, accelerator: Accelerator) -> float:
    """Seconds a sub-token."""
    model = model.to(accelerator.device)
    took, rows = 0.0, 8
    while True:
        some = _encoded(model, _middle(asked.lengths, rows), asked.per_word)
        began = time.perf_counter()
        predict(model, some, LABELS, accelerator, asked.run.evaluation_tokens)
        took = time.perf_counter() - began
        tokens = sum(len(window.ids) for window in some.windows)
        seconds -= took
        if seconds < 4 * took or rows >= 512:
            return took / tokens
        rows *= 4


def _middle(lengths: Sequence[int], rows: int) -> list[int]:
    """The lengths of so many windows around the median, in no order; repeated where there are not as many."""
    ordered = sorted(list(lengths) * -(-rows // len(lengths)))
    first = (len(ordered) - rows) // 2
    return np.random.default_rng(0).permutation(ordered[first : first + rows]).tolist()


def _encoded(model: PreTrainedModel, lengths: Sequence[int], per_word: float) -> Encoded:
    """Windows of random ids with a label on the first sub-token of every word."""
    draw = np.random.default_rng(0)
    vocabulary = model.get_input_embeddings().num_embeddings
    windows: list[Window] = []
    words = 0
    starts = [0]
    for length in lengths:
        ids = draw.integers(min(FIRST_ID, vocabulary - 1), vocabulary, length)
        positions = np.unique(np.arange(1, max(2, length - 1), max(1.0, per_word)).astype(int))
        ends = [*positions[1:].tolist(), length]
        number = range(words, words + len(positions))
        windows.append(Window(tuple(ids.tolist()), tuple(positions.tolist()), tuple(ends), tuple(number)))
        words += len(positions)
        starts.append(words)
    pad = getattr(model.config, "pad_token_id", None) or 0
    return Encoded(tuple(windows), draw.integers(0, len(LABELS), words), np.asarray(starts), pad)


def _model(config: PreTrainedConfig, trims: bool) -> PreTrainedModel:
    """A tagger with random weights; with few word embeddings where only those that occur are trained anyway."""
    config = copy.deepcopy(config)
    config.num_labels = len(LABELS)
    if not trims or config.vocab_size <= VOCABULARY:
        return AutoModelForTokenClassification.from_config(config, dtype=torch.float32)
    small = copy.deepcopy(config)
    small.vocab_size = VOCABULARY
    if (small.pad_token_id or 0) >= VOCABULARY:
        small.pad_token_id = 0
    model = AutoModelForTokenClassification.from_config(small, dtype=torch.float32)
    return model if can_trim(model) else _model(config, trims=False)
