"""A model and an encoded split -> one tag per word. No metrics, no files."""

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator
from tqdm import tqdm

from nertransfer.config import ScoringOptions
from nertransfer.encoding import Encoded, collate, token_budget_batches
from nertransfer.unpadded import CPU_TOKENS, logits_at, sees_padding


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
