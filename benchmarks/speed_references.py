"""What nertransfer is raced against, written down plainly: the published way, and that of transformers' examples.

Nothing here comes from nertransfer. ``published`` is Beukman (2021), after the scripts of Adelani et al. (2021): every
sentence padded to the window, words tokenised one by one, AdamW as a loop over tensors. ``example`` is transformers'
run_ner: batched tokenisation, batches padded to their longest row, torch's own AdamW. Both share the loop below.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, pipeline

IGNORED = -100
Tags = list[list[str | None]]
"""One tag a word, sentence by sentence; None where the contender gave none."""


@dataclass(frozen=True)
class Row:
    """A sentence for training: sub-token ids, and labels of equal number, IGNORED but on first sub-tokens."""

    ids: Sequence[int]
    labels: Sequence[int]


@dataclass(frozen=True)
class Features:
    """A sentence for tagging: sub-token ids; ``positions[i]`` is word i's first sub-token, None where it has none."""

    ids: list[int]
    positions: list[int | None]


def random_batches(rows: int, batch_size: int, seed: int) -> list[list[int]]:
    """Indices of the rows in random order, cut into batches."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed)).tolist()
    return [order[i : i + batch_size] for i in range(0, rows, batch_size)]


def train(
    model: PreTrainedModel,
    rows: Sequence[Row],
    batches: Sequence[Sequence[int]],
    optimiser: torch.optim.Optimizer,
    pad_id: int,
    length: int | None,
    max_norm: float = 1.0,
) -> list[float]:
    """One step a batch, learning rate linear to 0; rows are padded to ``length``, None: to the batch's longest."""
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: (len(batches) - step) / len(batches))
    model.train()
    losses = []
    for batch in batches:
        ids, mask, labels = (t.to(model.device) for t in _padded([rows[i] for i in batch], pad_id, length))
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimiser.step()
        rate.step()
        model.zero_grad()
        losses.append(loss.item())
    return losses


def published_optimiser(model: PreTrainedModel, learning_rate: float) -> torch.optim.Optimizer:
    """A loop over tensors, as the AdamW that transformers had."""
    return torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0, foreach=False, fused=False)


def example_optimiser(model: PreTrainedModel, learning_rate: float) -> torch.optim.Optimizer:
    """torch's AdamW with its defaults."""
    return torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)


def published_features(
    sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, length: int
) -> list[Features]:
    """Word by word; a word that tokenises to nothing becomes the unknown token; cut at ``length``."""
    found = []
    for words in sentences:
        pieces: list[str] = []
        positions: list[int | None] = []
        for word in words:
            positions.append(1 + len(pieces))
            pieces.extend(tokenizer.tokenize(word) or [tokenizer.unk_token])
        pieces = [tokenizer.cls_token, *pieces[: length - 2], tokenizer.sep_token]
        last = len(pieces) - 1
        places = [place if place is not None and place < last else None for place in positions]
        found.append(Features(tokenizer.convert_tokens_to_ids(pieces), places))
    return found


def example_features(
    sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, length: int
) -> list[Features]:
    """All sentences in one call; a word that tokenises to nothing is left out; cut at ``length``."""
    encoded = tokenizer(
        [list(words) for words in sentences], is_split_into_words=True, truncation=True, max_length=length
    )
    found = []
    for number, words in enumerate(sentences):
        positions: list[int | None] = [None] * len(words)
        for place, word in enumerate(encoded.word_ids(number)):
            if word is not None and positions[word] is None:
                positions[word] = place
        found.append(Features(encoded["input_ids"][number], positions))
    return found


def tag(
    model: PreTrainedModel,
    features: Sequence[Features],
    labels: Sequence[str],
    pad_id: int,
    length: int | None,
    batch_size: int = 8,
) -> Tags:
    """The most probable label of every word, in batches in the order of the file."""
    model.eval()
    tags: Tags = []
    for begin in range(0, len(features), batch_size):
        part = features[begin : begin + batch_size]
        rows = [Row(f.ids, [IGNORED] * len(f.ids)) for f in part]
        ids, mask, _ = (t.to(model.device) for t in _padded(rows, pad_id, length))
        with torch.no_grad():
            best = model(input_ids=ids, attention_mask=mask).logits.argmax(-1).tolist()
        for row, feature in zip(best, part, strict=True):
            tags.append([None if place is None else labels[row[place]] for place in feature.positions])
    return tags


def pipeline_tags(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]
) -> Tags:
    """transformers' pipeline, one sentence at a time; a word's tag is that of its first sub-token."""
    tagger = pipeline("token-classification", model=model, tokenizer=tokenizer, device=model.device, ignore_labels=[])
    tags: Tags = []
    for words in sentences:
        (found,) = tagger(list(words), is_split_into_words=True)
        by_start = {entry["start"]: entry["entity"] for entry in reversed(found)}
        tags.append([by_start.get(start) for start in _starts(words)])
    return tags


def _starts(words: Sequence[str]) -> Iterator[int]:
    """Where each word begins when all are joined by spaces."""
    start = 0
    for word in words:
        yield start
        start += len(word) + 1


def _padded(rows: Sequence[Row], pad_id: int, length: int | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, attention mask and labels, int64 [rows, length]."""
    length = length or max(len(row.ids) for row in rows)
    missing = [length - len(row.ids) for row in rows]
    ids = [[*row.ids, *[pad_id] * n] for row, n in zip(rows, missing, strict=True)]
    mask = [[1] * len(row.ids) + [0] * n for row, n in zip(rows, missing, strict=True)]
    labels = [[*row.labels, *[IGNORED] * n] for row, n in zip(rows, missing, strict=True)]
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(labels)
