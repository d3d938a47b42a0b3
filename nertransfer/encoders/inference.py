"""A model and an encoded split -> one tag, or one vector, per word. No metrics, no files."""

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator
from tqdm import tqdm
from transformers import PreTrainedModel

from nertransfer.core.errors import InputError
from nertransfer.core.options import ScoringOptions
from nertransfer.encoders.tokenization import Encoded, collate, token_budget_batches
from nertransfer.encoders.unpadded import CPU_TOKENS, hidden_states, logits_at, sees_padding


def predict(
    model: torch.nn.Module,
    encoded: Encoded,
    labels: Sequence[str],
    accelerator: Accelerator,
    tokens: int = ScoringOptions.evaluation_tokens,
    progress: tqdm | None = None,
) -> list[list[str]]:
    """The most probable label of every word, sentence by sentence.

    ``model`` maps input_ids and attention_mask to logits [rows, length, len(labels)] and sits
    on the accelerator's device; ``tokens`` bounds the slots of a batch, on a CPU ``CPU_TOKENS`` does too.
    Several processes share the batches and all return the whole result. Raises RuntimeError if any word would be left
    without a tag or get more than one.
    """
    # the processes run different numbers of batches, which the synchronising wrapper would wait for
    model = accelerator.unwrap_model(model, keep_fp32_wrapper=True)
    was_training = model.training
    model.eval()
    # two rows: label index + 1, and how often the word was tagged; summed over the processes
    filled = torch.zeros((2, encoded.number_of_words), dtype=torch.int64, device=accelerator.device)
    if accelerator.device.type == "cpu":
        tokens = min(tokens, CPU_TOKENS)
    batches = list(token_budget_batches(encoded, tokens, one_length=sees_padding(model)))
    with torch.inference_mode():
        for indices in batches[accelerator.process_index :: accelerator.num_processes]:
            batch = collate(encoded, indices)
            words = batch.words.to(accelerator.device)
            logits = logits_at(
                model, batch.input_ids, batch.attention_mask, batch.rows, batch.columns, accelerator.device
            )
            best = logits.argmax(-1)
            filled[0].index_add_(0, words, best + 1)
            filled[1].index_add_(0, words, torch.ones_like(words))
            if progress is not None:
                progress.update(len(indices))
    if accelerator.num_processes > 1:
        filled = accelerator.reduce(filled.clone(), reduction="sum")
    model.train(was_training)
    best, count = filled.cpu().numpy()
    if not np.all(count == 1):
        raise RuntimeError(f"{int((count != 1).sum())} of {len(count)} words were not tagged exactly once")
    names = np.array(labels, dtype=object)[best - 1]
    starts = encoded.sentence_starts
    return [names[starts[i] : starts[i + 1]].tolist() for i in range(len(starts) - 1)]


def check_layers(model: PreTrainedModel, layers: Sequence[int]) -> None:
    """Raise InputError where the encoder has no such layer."""
    count = model.config.num_hidden_layers
    for layer in layers:
        if not 1 <= layer <= count + 1:
            raise InputError(
                f"layers={','.join(map(str, layers))} is not allowed: the model has {count} hidden layers, so a "
                f"layer is from 1, the last, to {count}, the first, or {count + 1}, the embeddings",
                "layers", str(layer),
            )  # fmt: skip


def word_vectors(
    model: PreTrainedModel,
    encoded: Encoded,
    words: np.ndarray,
    layers: Sequence[int],
    device: torch.device,
    tokens: int = ScoringOptions.evaluation_tokens,
    progress: tqdm | None = None,
) -> np.ndarray:
    """Contextual vectors of words, float32 [len(words), size].

    A word's vector is the sum of the hidden ``layers`` (counted from the last, which is 1; the last four: Devlin et
    al. 2019, table 7), averaged over the word's sub-tokens, where it stands, in its sentence and nothing else.
    ``words``: int64, increasing indices over the words of the split. ``model`` is an encoder on ``device``; windows
    without a word asked for are not computed; ``tokens`` bounds the slots of a batch, on a CPU ``CPU_TOKENS`` does too.
    Raises InputError where the encoder has no such layer.
    """
    check_layers(model, layers)
    row_of = np.full(encoded.number_of_words, -1, dtype=np.int64)
    row_of[words] = np.arange(len(words))
    found = torch.zeros((len(words), model.config.hidden_size), dtype=torch.float32, device=device)
    filled = np.zeros(len(words), dtype=np.int64)
    if device.type == "cpu":
        tokens = min(tokens, CPU_TOKENS)
    wanted = [any(row_of[w] >= 0 for w in window.words) for window in encoded.windows]
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        some = [i for i, there in enumerate(wanted) if there]
        for indices in token_budget_batches(encoded, tokens, some, sees_padding(model)):
            batch = collate(encoded, indices)
            begin = np.cumsum([0, *(len(encoded.windows[i].ids) for i in indices)])
            # where the sub-tokens of the words stand in the row of real sub-tokens, and whose they are
            places = [
                (int(row_of[word]), offset + first, offset + end)
                for offset, window in zip(begin, (encoded.windows[i] for i in indices), strict=False)
                for word, first, end in zip(window.words, window.positions, window.ends, strict=True)
                if row_of[word] >= 0
            ]
            rows = np.array([row for row, _, _ in places])
            lengths = np.array([end - first for _, first, end in places])
            pieces = torch.from_numpy(np.concatenate([np.arange(first, end) for _, first, end in places])).to(device)
            owners = torch.from_numpy(np.repeat(rows, lengths)).to(device)
            states = hidden_states(model, batch.input_ids, batch.attention_mask, device)
            summed = torch.stack([states[-layer].float().index_select(0, pieces) for layer in layers]).sum(0)
            found.index_add_(0, owners, summed)
            found[torch.from_numpy(rows).to(device)] /= torch.from_numpy(lengths).to(device)[:, None]
            filled[rows] += 1
            if progress is not None:
                progress.update(len(rows))
    model.train(was_training)
    if not np.all(filled == 1):
        raise RuntimeError(f"{int((filled != 1).sum())} of {len(words)} words were not embedded exactly once")
    return found.cpu().numpy()
