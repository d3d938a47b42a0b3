"""Encoders without arithmetic on padding: a batch's windows run as one row of real sub-tokens.

Linear layers, norms and embeddings see the row as it is; attention runs window by window, through
transformers' registry of attention functions. No model code is copied and no model is changed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface, PreTrainedModel

from nertransfer.core.errors import InputError
from nertransfer.corpora.words import SEES_PADDING
from nertransfer.encoders.dropout import drop

ATTENTION = "nertransfer_unpadded"
"""Name of the attention function; no mask function has it, so models build no mask."""

CPU_TOKENS = 2048
"""Most sub-tokens that a CPU takes at a time: more no longer fit its caches, and need more memory for nothing."""

_LIKE_BERT = "encoder.layer.{last}.attention.output"
_LAST_ROWS = {
    "bert": _LIKE_BERT,
    "camembert": _LIKE_BERT,
    "electra": _LIKE_BERT,
    "roberta": _LIKE_BERT,
    "xlm-roberta": _LIKE_BERT,
    "distilbert": "transformer.layer.{last}.sa_layer_norm",
    "modernbert": "final_norm",
}
"""Model types that run unpadded. The named module of the encoder comes after its last attention,
and it and all that follows treat every sub-token alone: they need only the rows asked for."""


@dataclass(frozen=True)
class Packing:
    """Where the windows stand in the row.

    ``runs``: (windows, length) of neighbours of equal length, in order; ``position_ids``: int64
    [total], the place of each sub-token in its window, on the CPU.
    """

    runs: tuple[tuple[int, int], ...]
    position_ids: torch.Tensor


def pack(lengths: Sequence[int], tokens: int = 256) -> Packing:
    """Describe a row of windows of the given lengths (sub-tokens, at least 1 each), in this order.

    Neighbours of equal length share a call of the attention, as many as have ``tokens`` sub-tokens
    together, so windows are best sorted by length. Any order and any ``tokens`` give the same logits.
    """
    runs: list[tuple[int, int]] = []
    for length in lengths:
        if runs and runs[-1][1] == length and (runs[-1][0] + 1) * length <= tokens:
            runs[-1] = (runs[-1][0] + 1, length)
        else:
            runs.append((1, length))
    sizes = np.asarray(lengths, dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    return Packing(tuple(runs), torch.from_numpy(np.arange(sizes.sum()) - np.repeat(starts, sizes)))


def supports(model: torch.nn.Module) -> bool:
    """Whether `forward` gives this model's logits; False also where layers are recomputed in the backward pass."""
    inner = _unwrapped(model)
    return (
        isinstance(inner, PreTrainedModel)
        and inner.config.model_type in _LAST_ROWS
        and not getattr(inner.config, "is_decoder", False)
        and not inner.is_activation_checkpointing
    )


def sees_padding(model: torch.nn.Module) -> bool:
    """Whether words of this model change with the padding behind their window (`words.SEES_PADDING`)."""
    return getattr(getattr(_unwrapped(model), "config", None), "model_type", "") in SEES_PADDING


def forward(
    model: torch.nn.Module, input_ids: torch.Tensor, packing: Packing, positions: torch.Tensor | None = None
) -> torch.Tensor:
    """Logits [total, labels] of the row ``input_ids`` (int64 [total]); with ``positions`` [n, labels], of those alone.

    ``model`` is one that `supports` accepts, under any wrapper that passes arguments on;
    ``positions`` are places in the row (int64 [n], on the model's device). What follows the last
    attention is computed for them only, so dropout draws other numbers than without.
    """
    inner = _unwrapped(model)
    with _attention(inner), _only_rows(inner.base_model, positions):
        output = model(input_ids=input_ids[None], **_places(inner, input_ids, packing))
    return output.logits[0]


def logits_at(
    model: torch.nn.Module,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
    device: torch.device,
) -> torch.Tensor:
    """Logits [n, labels] at the places (``rows``, ``columns``) of a batch that is padded behind its windows.

    All tensors are int64 and on the CPU, the model on ``device``. On a CPU without arithmetic on padding where the
    model can; on a GPU with it, where many small calls would cost more than the little padding of sorted batches.
    """
    if device.type == "cpu" and supports(model):
        lengths = attention_mask.sum(dim=1)
        positions = (lengths.cumsum(0) - lengths)[rows] + columns
        return forward(model, input_ids[attention_mask.bool()], pack(lengths.tolist()), positions)
    logits = model(
        input_ids=input_ids.to(device, non_blocking=True), attention_mask=attention_mask.to(device, non_blocking=True)
    ).logits
    return logits[rows.to(device, non_blocking=True), columns.to(device, non_blocking=True)]


def hidden_states(
    model: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor, device: torch.device
) -> tuple[torch.Tensor, ...]:
    """What the encoder ``model`` makes of the real sub-tokens of a batch that is padded behind its windows.

    One tensor [total, size] for the embeddings' output and one for each layer, in the order of the layers; sub-tokens
    row by row. Padding is computed as in `logits_at`.
    """
    real = attention_mask.bool()
    if device.type == "cpu" and supports(model):
        ids, packing = input_ids[real], pack(attention_mask.sum(dim=1).tolist())
        with _attention(model):
            output = model(input_ids=ids[None], output_hidden_states=True, **_places(model, ids, packing))
        return tuple(states[0] for states in output.hidden_states)
    output = model(input_ids=input_ids.to(device), attention_mask=attention_mask.to(device), output_hidden_states=True)
    there, length = real.to(device), real.shape[1]
    if shorter := next((states.shape[1] for states in output.hidden_states if states.shape[1] < length), 0):
        raise InputError(
            f"a layer of {model.config.model_type} has {shorter} states for {length} sub-tokens: it merges them, so "
            "that words have no vectors of their own"
        )
    return tuple(states[:, :length][there] for states in output.hidden_states)  # BigBird pads once more


def first_position(model: PreTrainedModel) -> int:
    """The position of a row's first sub-token: XLM-R and its kin count from behind the padding's."""
    return getattr(model.base_model.embeddings, "padding_idx", -1) + 1


def _places(model: PreTrainedModel, input_ids: torch.Tensor, packing: Packing) -> dict[str, Any]:
    """Arguments that tell an encoder where the sub-tokens of the row stand."""
    position_ids = packing.position_ids.to(input_ids.device, non_blocking=True) + first_position(model)
    return {"position_ids": position_ids[None], "packing": packing}


def _unwrapped(model: torch.nn.Module) -> Any:
    """The model inside the wrappers of several processes."""
    while not isinstance(model, PreTrainedModel) and isinstance(getattr(model, "module", None), torch.nn.Module):
        model = model.module
    return model


@contextmanager
def _attention(model: PreTrainedModel) -> Iterator[None]:
    """Let the model attend window by window; its configuration is as before afterwards."""
    usual = model.config._attn_implementation
    model.config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        model.config._attn_implementation = usual


@contextmanager
def _only_rows(encoder: PreTrainedModel, positions: torch.Tensor | None) -> Iterator[None]:
    """Cut the row to ``positions`` after the encoder's last attention."""
    if positions is None:
        yield
        return
    path = _LAST_ROWS[encoder.config.model_type].format(last=encoder.config.num_hidden_layers - 1)
    handle = encoder.get_submodule(path).register_forward_pre_hook(
        lambda _, hidden: tuple(states.index_select(1, positions) for states in hidden)
    )
    try:
        yield
    finally:
        handle.remove()


def _attend(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    packing: Packing,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each window: query, key and value [1, heads, total, size] -> [1, total, heads, size].

    Sub-tokens nearer than ``sliding_window`` see each other, with None all of a window.
    """
    heads, size = query.shape[1], query.shape[3]
    sizes = [windows * length for windows, length in packing.runs]
    parts = (states[0].transpose(0, 1).split(sizes) for states in (query, key, value))
    longest = max(length for _, length in packing.runs)
    far = None
    if sliding_window is not None and longest > sliding_window:
        places = torch.arange(longest, device=query.device)
        far = (places[:, None] - places).abs() >= sliding_window
    outputs = []
    for (windows, length), *run in zip(packing.runs, *parts, strict=True):
        # written out, for torch's scaled_dot_product_attention is slower here, most of all with dropout
        q, k, v = (
            states.reshape(windows, length, heads, size).transpose(1, 2).reshape(windows * heads, length, size)
            for states in run
        )
        scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=scaling or size**-0.5)
        if far is not None and length > sliding_window:
            scores = scores.masked_fill(far[:length, :length], -torch.inf)
        attended = torch.bmm(drop(scores.softmax(-1), dropout), v)
        attended = attended.view(windows, heads, length, size).transpose(1, 2)
        outputs.append(attended.reshape(windows * length, heads, size))
    return torch.cat(outputs)[None], None


AttentionInterface.register(ATTENTION, _attend)
