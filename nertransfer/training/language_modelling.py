"""Masked-language modelling: adapt a start to a language's text, or pre-train a small base.

Objective and masking as in BERT (Devlin et al. 2019, section 3.1): of the chosen sub-tokens 80 % become the
mask, 10 % a random sub-token, 10 % stay; by transformers' DataCollatorForLanguageModeling.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerBase

from nertransfer.core.errors import InputError
from nertransfer.encoders.tokenization import Batch, Encoded, Window, collate, special_ids
from nertransfer.training.finetune import BatchMaker


def encode_text(lines: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoded:
    """Plain lines as windows without labels; a line longer than the window is cut into several.

    Raises InputError when no line has a sub-token.
    """
    prefix, suffix = special_ids(tokenizer)
    room = max_length - len(prefix) - len(suffix)
    pieces = tokenizer(list(lines), add_special_tokens=False, verbose=False)["input_ids"] if lines else []
    windows = tuple(
        Window((*prefix, *ids[begin : begin + room], *suffix), (), (), ())
        for ids in pieces
        for begin in range(0, len(ids), room)
    )
    if not windows:
        raise InputError("the text has no line with a word in it")
    return Encoded(windows, None, np.zeros(1, np.int64), tokenizer.pad_token_id)


def masked_batches(tokenizer: PreTrainedTokenizerBase, masking: float) -> BatchMaker:
    """A maker of batches that hides the fraction ``masking`` of sub-tokens and labels them."""
    if tokenizer.mask_token_id is None:
        raise InputError("the start's tokenizer has no mask token; it cannot be adapted by masked-language modelling")
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=masking)
    special = torch.tensor(sorted(set(tokenizer.all_special_ids)))

    def make(encoded: Encoded, indices: Sequence[int], seed: int) -> Batch:
        batch = collate(encoded, indices)
        collator.generator = torch.Generator().manual_seed(seed)
        hidden, labels = collator.torch_mask_tokens(batch.input_ids.clone(), torch.isin(batch.input_ids, special))
        return replace(batch, input_ids=hidden, labels=labels)

    return make
