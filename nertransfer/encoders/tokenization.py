"""Sentences and a tokenizer -> windows of sub-tokens -> padded batches. Loses no word.

A sentence that is longer than the window is cut into overlapping windows, between words. Each
word belongs to exactly one window, the one that shows most of its context on its poorer side;
its first sub-token there carries its label (Devlin et al. 2019, section 5.3). A word that the
tokenizer turns into nothing becomes one unknown token.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from nertransfer.core.errors import InputError
from nertransfer.corpora.words import ids_around_words, window_batches, window_bounds, word_pieces

IGNORED = -100
"""Label of positions that carry none; the default ``ignore_index`` of torch's cross-entropy."""


@dataclass(frozen=True)
class Window:
    """A row of a batch.

    ``ids``: sub-token ids with the special ones. ``positions[i]`` is the place in ``ids`` of
    the first sub-token of the word ``words[i]``, counted over the whole split from 0, and
    ``ends[i]`` the place behind its last; only words that belong to this window are listed.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    ends: tuple[int, ...]
    words: tuple[int, ...]


@dataclass(frozen=True)
class Encoded:
    """One split, ready for any model with this tokenizer.

    ``labels``: int64 array over all words of the split (IGNORED where the model has no such
    label), or None. ``sentence_starts``: index of each sentence's first word, plus the total.
    What `encode` counts of its sentences: ``unknown_words``, which have letters that the start's vocabulary lacks (an
    unknown sub-token, or none at all), and ``cut_words``, which have more sub-tokens than a window holds, so that only
    the first ones are read.
    """

    windows: tuple[Window, ...]
    labels: np.ndarray | None
    sentence_starts: np.ndarray
    pad_id: int
    unknown_words: int = 0
    cut_words: int = 0

    @property
    def number_of_words(self) -> int:
        return int(self.sentence_starts[-1])


def encode(
    sentences: Sequence[Sequence[str]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    tags: Sequence[Sequence[str]] | None = None,
    label_ids: dict[str, int] | None = None,
) -> Encoded:
    """Encode the words of each sentence; with ``tags`` and ``label_ids`` also their labels.

    Each distinct word is tokenised once, in one batched call, as it would be inside the sentence
    (`words.word_pieces`).
    Raises InputError when ``max_length`` is beyond what the tokenizer's model takes or leaves
    no room for words.
    """
    limit = tokenizer.model_max_length
    if max_length > limit:
        raise InputError(f"max_length={max_length} is not allowed: the start takes at most {limit} sub-tokens")
    prefix, suffix = special_ids(tokenizer)
    room = max_length - len(prefix) - len(suffix)
    if room < 1:
        raise InputError(f"max_length={max_length} is not allowed: leaves no room for words")
    pieces = _pieces_of_words(sentences, tokenizer)
    if tokenizer.unk_token_id is None and any(not ids for ids in pieces.values()):
        raise InputError("some words tokenise to nothing, and the start's tokenizer has no unknown token")
    unread = {word for word, ids in pieces.items() if not ids or tokenizer.unk_token_id in ids}
    unknown_words = sum(word in unread for words in sentences for word in words)
    cut_words = sum(len(pieces[word]) > room for words in sentences for word in words)
    known = {word: ids[:room] or (tokenizer.unk_token_id,) for word, ids in pieces.items()}

    windows: list[Window] = []
    starts = np.zeros(len(sentences) + 1, dtype=np.int64)
    for number, words in enumerate(sentences):
        first = int(starts[number])
        starts[number + 1] = first + len(words)
        lengths = [len(known[word]) for word in words]
        for begin, end, own_begin, own_end in window_bounds(lengths, room):
            ids = list(prefix)
            positions: list[int] = []
            ends: list[int] = []
            for i in range(begin, end):
                if own_begin <= i < own_end:
                    positions.append(len(ids))
                    ends.append(len(ids) + lengths[i])
                ids.extend(known[words[i]])
            ids.extend(suffix)
            own = range(first + own_begin, first + own_end)
            windows.append(Window(tuple(ids), tuple(positions), tuple(ends), tuple(own)))

    owned = sum(len(window.words) for window in windows)
    assert owned == starts[-1], f"{owned} words in windows, {starts[-1]} in sentences"
    labels = None
    if tags is not None and label_ids is not None:
        labels = np.fromiter((label_ids.get(t, IGNORED) for ts in tags for t in ts), np.int64, int(starts[-1]))
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    return Encoded(tuple(windows), labels, starts, pad_id, unknown_words, cut_words)


def joined(parts: Sequence[Encoded]) -> Encoded:
    """Several splits behind one another as one, without labels and counts, for what is done with all at once.

    All are of one tokenizer, and there is at least one.
    """
    starts = np.cumsum([0, *(part.number_of_words for part in parts)])
    windows = tuple(
        replace(window, words=tuple(word + start for word in window.words))
        for part, start in zip(parts, starts.tolist(), strict=False)
        for window in part.windows
    )
    sentences = [part.sentence_starts[:-1] + start for part, start in zip(parts, starts, strict=False)]
    return Encoded(windows, None, np.concatenate([*sentences, starts[-1:]]), parts[0].pad_id)


def special_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """`words.ids_around_words`; raises InputError where the tokenizer cannot be used for tagging."""
    with _readable(tokenizer):
        return ids_around_words(tokenizer)


@contextmanager
def _readable(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    try:
        yield
    except (AssertionError, ValueError) as error:
        kind = type(tokenizer).__name__
        raise InputError(f"the start's tokenizer, {kind}, cannot read sentences split into words: {error}") from None


def _pieces_of_words(
    sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase
) -> dict[str, tuple[int, ...]]:
    words = list(dict.fromkeys(word for sentence in sentences for word in sentence))
    known = [word for word in words if word]  # some tokenizers refuse the empty string
    pieces: dict[str, tuple[int, ...]] = dict.fromkeys(words, ())
    if known:
        with _readable(tokenizer):
            ids = word_pieces(tokenizer, known)
        pieces |= {word: tuple(i) for word, i in zip(known, ids, strict=True)}
    return pieces


@dataclass(frozen=True)
class Batch:
    """Padded rows of equal length.

    ``input_ids`` and ``attention_mask``: int64 [rows, length]; ``labels``: int64
    [rows, length], IGNORED where no word's first sub-token stands. ``rows``, ``columns`` and
    ``words``: one entry a labelled word, where it stands and its index in the split.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    words: torch.Tensor


def collate(encoded: Encoded, indices: Sequence[int]) -> Batch:
    """The windows with the given indices as one padded batch on the CPU."""
    windows = [encoded.windows[i] for i in indices]
    length = max((len(w.ids) for w in windows), default=1)
    ids = np.full((len(windows), length), encoded.pad_id, dtype=np.int64)
    mask = np.zeros((len(windows), length), dtype=np.int64)
    labels = np.full((len(windows), length), IGNORED, dtype=np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        mask[row, : len(window.ids)] = 1
    rows = np.repeat(np.arange(len(windows)), [len(w.positions) for w in windows])
    columns = np.fromiter((p for w in windows for p in w.positions), np.int64, len(rows))
    words = np.fromiter((n for w in windows for n in w.words), np.int64, len(rows))
    if encoded.labels is not None:
        labels[rows, columns] = encoded.labels[words]
    return Batch(*map(torch.from_numpy, (ids, mask, labels, rows, columns, words)))


def token_budget_batches(
    encoded: Encoded, tokens: int, some: Sequence[int] | None = None, one_length: bool = False
) -> Iterator[list[int]]:
    """Indices of windows, longest first, in batches of at most ``tokens`` slots, padding included.

    Of ``some`` windows, None: of all. ``one_length``: without any padding.
    """
    indices = range(len(encoded.windows)) if some is None else some
    for batch in window_batches([len(encoded.windows[i].ids) for i in indices], tokens, one_length):
        yield [indices[i] for i in batch]


MEGABATCH = 20
"""Batches that are sorted by length together: little padding left, order still random."""


def epoch_batches(encoded: Encoded, batch_size: int, generator: torch.Generator) -> list[list[int]]:
    """One epoch's batches of window indices, in random order, of similar lengths within a batch.

    Windows are shuffled, cut into groups of MEGABATCH batches, sorted by length within a
    group, cut into batches, and the batches shuffled.
    """
    order = torch.randperm(len(encoded.windows), generator=generator).tolist()
    group = batch_size * MEGABATCH
    batches: list[list[int]] = []
    for begin in range(0, len(order), group):
        part = sorted(order[begin : begin + group], key=lambda i: len(encoded.windows[i].ids))
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
