"""Words of a text, windows over them and their batches, entities among tags. Pure, standard library only.

The file also travels with every registered model (`nertransfer.registry.tagger` loads it from beside itself), so it
imports nothing of ours: what a registered model reads and returns is what training and scoring mean by it.
"""

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

OUTSIDE = "O"

SEES_PADDING = frozenset({"convbert", "funnel", "nystromformer"})
"""Model types that let the padding behind a window into its words, by convolutions or pooling, whatever the mask says:
their windows are tagged in batches of one length, so that what a text gets does not depend on its neighbours."""

APOSTROPHES = frozenset("'`´‘’ʼʻ")
"""Part of the word they touch, at its edges too: Luo *ng'*, Hausa *'yan*, Igbo *n'ime*."""

Place = tuple[int, int]
"""Where a word stands in its text: first character and the one after its last, in code points."""


@functools.lru_cache(maxsize=65536)
def _kind(character: str) -> str:
    """What a character makes: ``space``, ``word``, ``symbol``, ``mark`` (joins what is before it) or punctuation.

    Of punctuation the kind is the character itself, so that equal neighbours are one word and others are not.
    """
    category = unicodedata.category(character)
    if character.isspace():
        return "space"
    if character in APOSTROPHES:
        return "word"
    if category[0] == "M" or category == "Cf":
        return "mark"
    if category in ("So", "Sk"):
        return "symbol"
    return character if category[0] in "PS" else "word"


def split_text(text: str) -> list[Place]:
    """The words of raw text as MasakhaNER has them: at white space, and around every punctuation mark.

    Apostrophes belong to words; a run of one punctuation mark is one word, and so is a run of emoji. Combining marks
    and invisible characters stay with what precedes them. Every character but white space is in exactly one word.
    (Of MasakhaNER's 425 thousand train words none holds any other punctuation, and numbers are cut at theirs.)
    """
    places: list[Place] = []
    begin, current = 0, "space"
    for i, character in enumerate(text):
        kind = _kind(character)
        if kind == "mark":
            kind = "word" if current == "space" else current
        if kind != current:
            if current != "space":
                places.append((begin, i))
            begin, current = i, kind
    if current != "space":
        places.append((begin, len(text)))
    return places


def split_words(text: str) -> list[Place]:
    """The words of text that is split already: what stands between spaces, tabs and line ends, and nothing else."""
    places: list[Place] = []
    begin = -1
    for i, character in enumerate(text):
        if character in " \t\r\n":
            if begin >= 0:
                places.append((begin, i))
            begin = -1
        elif begin < 0:
            begin = i
    if begin >= 0:
        places.append((begin, len(text)))
    return places


def word_pieces(tokenizer: Any, words: Sequence[str]) -> list[list[int]]:
    """Sub-tokens of each word as it stands behind another one in a text, without the special ones around a text.

    No word of a text is a special token: one that is spelled like it, such as ``<pad>`` or ``[SEP]``, is cut into
    ordinary sub-tokens. Where the tokenizer has none for it, the unknown token takes its place (or nothing, where
    there is no unknown token). Else models that count positions by their padding would count wrong behind it, and a
    text could end a sentence for the model.
    """
    found = _pieces(tokenizer, words)
    special = set(tokenizer.all_special_ids)
    odd = [i for i, pieces in enumerate(found) if not special.isdisjoint(pieces)]
    if odd:
        unknown = tokenizer.unk_token_id
        instead = [] if unknown is None else [unknown]
        for i, pieces in zip(odd, _pieces(tokenizer, [words[i] for i in odd], plain=True), strict=True):
            found[i] = [new for piece in pieces for new in (instead if piece in special else [piece])]
    return found


def _pieces(tokenizer: Any, words: Sequence[str], special: bool = False, plain: bool = False) -> list[list[int]]:
    """What the tokenizer makes of each word. ``special``: with the special tokens around it; ``plain``: special tokens
    in the text itself are ordinary text."""
    more = {"split_special_tokens": True} if plain else {}
    if needs_spaces(tokenizer):
        return _ids(tokenizer, [f" {word}" for word in words], add_special_tokens=special, **more)
    return _ids(tokenizer, [[word] for word in words], split=True, add_special_tokens=special, **more)


def needs_spaces(tokenizer: Any) -> bool:
    """Whether the tokenizer runs words together that it is given one by one, for the space before a word is a part of
    it (byte pairs of ModernBERT and Gemma, bytes of ByT5): then each is given with a space before it."""
    return (
        _ids(tokenizer, ["a", "a"], split=True)
        != _ids(tokenizer, "a a")
        == (_ids(tokenizer, "a") + _ids(tokenizer, " a"))
    )


def _ids(tokenizer: Any, text: Any, split: bool = False, add_special_tokens: bool = False, **more: bool) -> Any:
    return tokenizer(
        text, is_split_into_words=split, add_special_tokens=add_special_tokens, return_attention_mask=False,
        return_token_type_ids=False, **more,
    )["input_ids"]  # fmt: skip


def ids_around_words(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Ids the tokenizer puts before and after one sequence, such as <s> and </s>.

    Raises ValueError where it changes words when it adds them.
    """
    (bare,), (full,) = (_pieces(tokenizer, ["a"], special) for special in (False, True))
    for offset in range(len(full) - len(bare) + 1):
        if full[offset : offset + len(bare)] == bare:
            return full[:offset], full[offset + len(bare) :]
    raise ValueError("the tokenizer changes words when it adds special tokens")


def window_bounds(lengths: Sequence[int], room: int) -> list[tuple[int, int, int, int]]:
    """Windows over words of the given lengths (sub-tokens, each from 1 to ``room``).

    Returns (begin, end, own_begin, own_end) per window: it shows words begin..end and owns
    own_begin..own_end. Consecutive windows overlap by at most a quarter of ``room``, cut
    between words; the owned ranges follow each other without gap or overlap.
    """
    if not lengths:
        return []
    shown: list[tuple[int, int]] = []
    begin = 0
    while True:
        end, used = begin, 0
        while end < len(lengths) and used + lengths[end] <= room:
            used += lengths[end]
            end += 1
        shown.append((begin, end))
        if end == len(lengths):
            break
        overlap, following = 0, end
        while following - 1 > begin and overlap + lengths[following - 1] <= room // 4:
            following -= 1
            overlap += lengths[following]
        # the next window must reach further than this one, whatever the words' lengths
        begin = following if _fits_one_more(lengths, following, end, room) else end
    bounds: list[tuple[int, int, int, int]] = []
    own_begin = 0
    for number, (begin, end) in enumerate(shown):
        if number + 1 < len(shown):
            next_begin = shown[number + 1][0]
            own_end = next_begin + (end - next_begin + 1) // 2  # the middle of the overlap
        else:
            own_end = end
        bounds.append((begin, end, own_begin, own_end))
        own_begin = own_end
    return bounds


def _fits_one_more(lengths: Sequence[int], begin: int, end: int, room: int) -> bool:
    return sum(lengths[begin : end + 1]) <= room


def window_batches(lengths: Sequence[int], slots: int, one_length: bool = False) -> Iterator[list[int]]:
    """Indices of windows of the given lengths (sub-tokens), longest first, in batches of at most ``slots``.

    Padding counts, and a window that is longer is a batch of its own. ``one_length``: without any padding.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    begin = 0
    while begin < len(order):
        longest = lengths[order[begin]]
        end = min(len(order), begin + max(1, slots // longest))
        if one_length:
            end = next((i for i in range(begin, end) if lengths[order[i]] != longest), end)
        yield order[begin:end]
        begin = end


def is_stray(previous: str, tag: str) -> bool:
    """Whether ``tag`` is an I- tag that continues nothing: invalid in IOB2.

    ``previous`` is the tag of the word before it, ``O`` at the start of a sentence.
    """
    return tag.startswith("I-") and previous[2:] != tag[2:]


def spans(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Entities of one sentence as (first word, end word exclusive, category).

    A stray I- tag begins an entity, as in conlleval and seqeval's default mode.
    """
    found: list[tuple[int, int, str]] = []
    for i, tag in enumerate(tags):
        if tag == OUTSIDE:
            continue
        if tag.startswith("B-") or is_stray(tags[i - 1] if i else OUTSIDE, tag):
            found.append((i, i + 1, tag[2:]))
        else:
            first, _, category = found[-1]
            found[-1] = (first, i + 1, category)
    return found
