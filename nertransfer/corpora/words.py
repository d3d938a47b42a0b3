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


_HEADS = ("@", "#")


def split_inside(text: str) -> list[Place]:
    """The words of raw text as `split_text` has them, but with the punctuation inside and at the head of a word left in
    it: ``Al-Nazo``, ``3.5``, ``a_b``, ``@user``, ``#tag``, and the period at the end of ``N.L.``"""
    places: list[Place] = []
    for begin, end in split_text(text):
        if places and places[-1][1] == begin:
            word, part = text[places[-1][0] : begin], text[begin:end]
            if _is_punctuation(part[0]):
                inside = end < len(text) and not text[end].isspace() and not _is_punctuation(text[end])
                together = len(part) == 1 and not _is_punctuation(word[-1]) and (inside or _abbreviates(word + part))
            else:
                joins = len(word) > 1 and _is_punctuation(word[-1]) and not _is_punctuation(word[-2])
                together = word in _HEADS or joins
            if together:
                places[-1] = (places[-1][0], end)
                continue
        places.append((begin, end))
    return places


def _abbreviates(word: str) -> bool:
    """Whether each letter of a word has its period, and there are several."""
    letters = word.removesuffix(".").split(".")
    return len(letters) > 1 and word[-1] == "." and all(len(one) == 1 and one.isalpha() for one in letters)


def _is_punctuation(character: str) -> bool:
    return _kind(character) == character


def split_characters(text: str) -> list[Place]:
    """The words of raw text as `split_text` has them, but every character of a script that is written without spaces
    is a word (with the combining marks behind it): Han, kana, Thai, Lao, Khmer, Burmese, Tibetan."""
    places: list[Place] = []
    for begin, end in split_text(text):
        first = begin
        for i in range(begin + 1, end):
            if (_is_unspaced(text[i]) or _is_unspaced(text[i - 1])) and _kind(text[i]) != "mark":
                places.append((first, i))
                first = i
        places.append((first, end))
    return places


_UNSPACED = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF))
"""Thai, Lao and Tibetan; Burmese; Khmer; kana; Han."""


@functools.lru_cache(maxsize=65536)
def _is_unspaced(character: str) -> bool:
    code = ord(character)
    return any(low <= code <= high for low, high in _UNSPACED) or 0x20000 <= code <= 0x3FFFF


RULES = {"unicode": split_text, "inside": split_inside, "characters": split_characters, "whitespace": split_words}
"""How raw text is cut into words, by name."""
WELL_CUT = 0.95
"""Share of a model's words that should be found in running text."""
_NO_SPACE_BEFORE = frozenset(
    ".,;:!?)]}\u00bb\u201d\u2026\u3001\u3002\uff0c\uff1a\uff1b\uff01\uff1f\uff09\u300d\u300f\u1362\u1363\u1364\u061f\u060c"
)
_NO_SPACE_AFTER = frozenset("([{\u00ab\u201c\uff08\u300c\u300e")


def running_text(words: Sequence[str]) -> tuple[str, list[Place]]:
    """A sentence as it stands in running text, and where its words are.

    One space between words; none before closing and behind opening punctuation, nor between words of scripts that are
    written without spaces.
    """
    parts: list[str] = []
    places: list[Place] = []
    at, before = 0, ""
    for word in words:
        unspaced = before and all(_is_unspaced(end) or end in _NO_SPACE_BEFORE for end in (before[-1], word[0]))
        if before and not unspaced and word not in _NO_SPACE_BEFORE and before not in _NO_SPACE_AFTER:
            parts.append(" ")
            at += 1
        parts.append(word)
        places.append((at, at + len(word)))
        at, before = at + len(word), word
    return "".join(parts), places


def found_again(sentences: Sequence[Sequence[str]], rule: str) -> float:
    """The share of the words of ``sentences`` that `RULES` of this name finds in their `running_text`; 1 of none."""
    found = total = 0
    for sentence in sentences:
        text, places = running_text(sentence)
        total += len(places)
        found += len(set(places).intersection(RULES[rule](text)))
    return found / total if total else 1.0


LOOKED_AT = 1000
"""Sentences that say which rule fits, evenly spaced."""


def fitting_rule(sentences: Sequence[Sequence[str]]) -> tuple[str, float]:
    """The first of the `RULES` that finds most of the words of ``sentences`` again, and their share."""
    sample = sentences[:: -(-len(sentences) // LOOKED_AT) or 1]
    shares = {rule: found_again(sample, rule) for rule in RULES}
    best = max(shares, key=lambda rule: shares[rule])
    return best, shares[best]


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
