"""A tagger as a graph for ONNX Runtime, whole or with 8-bit weights, and what that costs and gains on a CPU.

PyTorch's own exporter writes the graph, ONNX Runtime quantises it (dynamic quantisation: weights in int8, activations
on the fly). Of what is maintained, this is what runs without Python and without a GPU library; it needs the extra
``onnx`` of this project.
"""

import importlib.util
import logging
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from nertransfer.core.errors import InputError
from nertransfer.core.files import installing
from nertransfer.core.schema import ALL
from nertransfer.encoders import starts
from nertransfer.encoders.tokenization import Encoded, collate, encode, token_budget_batches
from nertransfer.encoders.unpadded import CPU_TOKENS, sees_padding
from nertransfer.registry import snippets
from nertransfer.scoring.reference import score
from nertransfer.scoring.subsets import Tagged

NEEDED = ("onnx", "onnxscript", "onnxruntime")
FILES = {"onnx": "onnx/model.onnx", "onnx-int8": "onnx/model_quantized.onnx"}
"""Where the hub expects them."""
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "logits"
ROUNDS = 5
"""Of timing, in turns, so that other work on the machine meets both; the fastest counts."""


def check(variant: str) -> None:
    """Raise InputError where a variant needs libraries that are not installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if variant in FILES and missing:
        raise InputError(
            f"variant={variant} needs {', '.join(missing)}: {installing('onnx')}, or variant=torch",
            "variant",
        )


def write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    variant: str,
    sentences: Sequence[Tagged],
) -> str:
    """Write the graph into an export's folder; returns a section of the card, with F1 and speed beside PyTorch's.

    ``sentences``: the source's test split, words and gold tags; both models tag it, on this CPU and with as many
    threads as PyTorch has here.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it leaves an id and a database in the home folder
    import onnxruntime

    model = model.eval().cpu()
    path = folder / FILES[variant]
    path.parent.mkdir(parents=True, exist_ok=True)
    if variant == "onnx":
        _trace(model, tokenizer, path)
    else:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:  # a large graph is several files
            whole = Path(temporary) / "whole.onnx"
            _trace(model, tokenizer, whole)
            _quantise(whole, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors: it warns of every input that a graph does not use
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def by_torch(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits.numpy()

    def by_onnx(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return session.run([OUTPUT], dict(zip(INPUTS, (ids, mask), strict=True)))[0]

    return _section(
        variant, path, folder, _measure(model, tokenizer, (by_torch, by_onnx), sentences), not tokenizer.is_fast
    )


class _Logits(torch.nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = {"attention_mask": attention_mask}
        if self.model.config.model_type == "xlnet":  # the exporter has no rule for 1.0 minus a mask of integers
            mask = {"input_mask": (attention_mask == 0).float()}
        return self.model(input_ids=input_ids, **mask).logits


def _trace(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Write the graph; weights of more than 1.5 GiB, near to what one such file can hold, go into a file beside it.

    Raises InputError where PyTorch's exporter cannot write this model.
    """
    try:
        with _exportable(model):
            _export(model, tokenizer, path)
    except Exception as error:  # whatever step of the exporter fails
        cause = str(error.__cause__ or error).strip().partition("\n")[0]
        kind = model.config.model_type
        raise InputError(f"PyTorch cannot write {kind} as a graph ({cause}); give variant=torch", "variant") from error


@contextmanager
def _exportable(model: PreTrainedModel) -> Iterator[None]:
    """T5 and its kin with attention written out: the exporter refuses what else they do to its shape."""
    usual = model.config._attn_implementation
    if "t5" in model.config.model_type:
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


def _export(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=tokenizer.model_max_length)
    ids = torch.full((2, min(8, tokenizer.model_max_length)), tokenizer.unk_token_id or 0)
    with warnings.catch_warnings(), _hushed("torch.onnx"):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Logits(model).eval(), (ids, torch.ones_like(ids)), path, input_names=INPUTS, output_names=[OUTPUT],
            dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}), dynamo=True, external_data=False,
            verbose=False,
        )  # fmt: skip


def _quantise(whole: Path, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _hushed(""):  # it advises preparations that a graph of PyTorch does not need
        quantize_dynamic(whole, path, weight_type=QuantType.QInt8)


@contextmanager
def _hushed(name: str) -> Iterator[None]:
    """Errors alone from a logger."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


Tagger = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _measure(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, taggers: Sequence[Tagger], sentences: Sequence[Tagged]
) -> list[tuple[float, float]]:
    """(F1, sentences a second) of every tagger; nothing where there is nothing to tag."""
    if not sentences:
        return []
    window = getattr(model.config, starts.WINDOW, None) or tokenizer.model_max_length
    encoded = encode([words for words, _, _ in sentences], tokenizer, window)
    gold = [list(tags) for _, tags, _ in sentences]
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    batches = list(token_budget_batches(encoded, CPU_TOKENS, one_length=sees_padding(model)))
    tagged = [_tag(tagger, encoded, batches, labels) for tagger in taggers]  # warms them up, too
    seconds = [math.inf] * len(taggers)
    for _ in range(ROUNDS):
        for i, tagger in enumerate(taggers):
            began = time.perf_counter()
            _tag(tagger, encoded, batches, labels)
            seconds[i] = min(seconds[i], time.perf_counter() - began)
    f1 = [score(gold, predicted).default[ALL].f1 for predicted in tagged]
    return [(value, len(sentences) / least) for value, least in zip(f1, seconds, strict=True)]


def _tag(tagger: Tagger, encoded: Encoded, batches: Sequence[list[int]], labels: Sequence[str]) -> list[list[str]]:
    best = np.zeros(encoded.number_of_words, dtype=np.int64)
    for indices in batches:
        batch = collate(encoded, indices)
        logits = tagger(batch.input_ids.numpy(), batch.attention_mask.numpy())
        best[batch.words.numpy()] = logits[batch.rows.numpy(), batch.columns.numpy()].argmax(-1)
    names = np.array(labels, dtype=object)[best]
    ends = encoded.sentence_starts
    return [names[ends[i] : ends[i + 1]].tolist() for i in range(len(ends) - 1)]


def _section(
    variant: str, path: Path, folder: Path, measured: Sequence[tuple[float, float]], python_tokenizer: bool
) -> str:
    kind = "weights in 8 bits, dynamic quantisation" if variant == "onnx-int8" else "32-bit floats"
    files = sorted(path.parent.glob(f"{path.name}*"))
    size, before = sum(file.stat().st_size for file in files), (folder / "model.safetensors").stat().st_size
    name, *more = (file.relative_to(folder).as_posix() for file in files)
    beside = "".join(f", with its weights in `{one}`" for one in more)
    lines = [
        f"## ONNX Runtime\n\n`{name}`{beside}: {kind}; {size / 2**20:.1f} MiB, where the weights for PyTorch have "
        f"{before / 2**20:.1f} MiB. Inputs `{INPUTS[0]}` and `{INPUTS[1]}`, output `{OUTPUT}`."
    ]
    if measured:
        (torch_f1, torch_speed), (f1, speed) = measured
        lines.append(
            f"On the source's test split: F1 {100 * f1:.2f} %, {100 * (f1 - torch_f1):+.2f} points beside PyTorch's "
            f"{100 * torch_f1:.2f} %. {speed:,.0f} sentences a second, {speed / torch_speed:.2f} times PyTorch's "
            f"{torch_speed:,.0f}, on a CPU with {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}, "
            f"in the same padded batches, the fastest of {ROUNDS} rounds."
        )
    else:
        lines.append("F1 and speed were not measured: the predictions on the test split are not kept.")
    snippet = snippets.word_by_word_with_onnx if python_tokenizer else snippets.with_onnx
    lines.append(f"```python\n{snippet(name, INPUTS, OUTPUT, 'A sentence to tag .')}\n```")
    return "\n\n".join(lines)
