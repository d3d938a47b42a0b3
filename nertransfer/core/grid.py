"""The grid of a study in names alone: which start is fine-tuned on which source.

Knows no checkpoint and no corpus, so that a plan, a study and a report agree on the grid
without loading anything.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nertransfer.core.errors import InputError

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
START_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,47}")
"""What a start, or a system whose predictions are imported, may be called."""


def check_code(code: str, parameter: str = "", item: str = "") -> str:
    """``code`` itself if it can name a language; raises InputError otherwise.

    Codes become file names, metric keys and registered model names, so they are a letter
    followed by at most 31 letters, digits, ``_`` or ``-``; `grid.NONE` is none. ``parameter`` and ``item`` say where
    it stood.
    """
    if code == NONE:
        raise InputError(
            f"language {code!r} is not a usable code: the word means no source; give the corpus another name",
            parameter, item or code,
        )  # fmt: skip
    if not _CODE.fullmatch(code):
        raise InputError(
            f"language {code!r} is not a usable code: a letter, then at most 31 letters, "
            "digits, '_' or '-' (for example 'swa')",
            parameter,
            item or code,
        )
    return code


BASE = "base"
"""The start that others are compared with: the encoder before it was adapted to a language."""
OWN = "own"
"""Word among the starts: for every source the start that was adapted to that language."""
SEPARATOR = "+"
"""Between the languages of a source of several: ``hau+swa``."""
NONE = "none"
"""Source of a cell without transfer: a few sentences of the target alone; and of a system that was trained on no source
in particular, whose predictions were imported."""
ADDED, AFTER, ALONE = "added", "after", "alone"
"""How a few sentences of a target are used: in one training with the source's, in a second one after the source's, or
without a source."""


def languages_of(source: str) -> tuple[str, ...]:
    """The languages whose train splits a source is made of; none of `NONE`."""
    return () if source == NONE else tuple(source.split(SEPARATOR))


def is_several(source: str) -> bool:
    """Whether a source is made of several languages."""
    return SEPARATOR in source


def is_language(source: str) -> bool:
    """Whether a source is one language: neither several, nor `NONE`."""
    return source != NONE and not is_several(source)


def is_zero_shot(source: str, target: str) -> bool:
    """Whether no language of the target is among those of the source."""
    return set(languages_of(source)).isdisjoint(languages_of(target))


@dataclass(frozen=True)
class FewShot:
    """So many sentences of a target's train split, and how they are used: `ADDED`, `AFTER` or `ALONE`."""

    language: str
    sentences: int
    mode: str

    def with_source(self, source: str) -> str:
        """The source's name with the sentences': ``hau+50swa``, ``hau-then-50swa``, ``none+50swa``."""
        return f"{source}{'-then-' if self.mode == AFTER else SEPARATOR}{self.sentences}{self.language}"

    def after(self, source: str) -> str:
        """What a cell is fine-tuned on, in Markdown: the source's words, and how the sentences come to it."""
        sentences = f"**{self.sentences} sentences of {self.language}**"
        return {
            ADDED: f"{source} with {sentences} added", AFTER: f"{source}, then on {sentences}",
            ALONE: f"{sentences} alone",
        }[self.mode]  # fmt: skip


Place = tuple[str, str, int]
"""(start, source, seed): a place in the grid of a study."""
FewShotPlace = tuple[str, str, int, FewShot]
Configuration = tuple[str, str, FewShot | None]
"""Start, source, and the sentences of a target that are used besides, if any."""


def pairs(starts: Sequence[str], sources: Sequence[str], pivots: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Every (start name, source) of a study once, sorted by start in order of appearance, then by source.

    Each start is fine-tuned on each source; `OWN` stands for the start named as the source, which a source of several
    languages has not. On a pivot, the own start of every source is fine-tuned too.
    """
    single = [source for source in sources if is_language(source)]
    found = [
        (source if start == OWN else start, source)
        for start in starts
        for source in (single if start == OWN else sources)
    ]
    found += [(language, pivot) for pivot in pivots for language in single]
    names = list(dict.fromkeys(start for start, _ in found))
    languages = list(dict.fromkeys([*sources, *pivots]))
    return sorted(set(found), key=lambda pair: (names.index(pair[0]), languages.index(pair[1])))


def start_names(starts: Sequence[str], sources: Sequence[str], pivots: Sequence[str] = ()) -> list[str]:
    """The starts of a study, each once, in the order of `pairs`."""
    return list(dict.fromkeys(start for start, _ in pairs(starts, sources, pivots)))


def configurations(
    found: Sequence[tuple[str, str]], languages: Sequence[str], sentences: Sequence[int], mode: str
) -> list[Configuration]:
    """Every configuration of a study: each of `pairs`, followed by itself with a few sentences of each language.

    Such a language is never among those of the source, and no sentences is the pair itself. Without transfer, as what
    the others are compared with, each start gets the sentences alone; these come last.
    """
    points = [(language, number) for number in sentences if number for language in languages]
    listed: list[Configuration] = []
    for start, source in found:
        listed.append((start, source, None))
        listed += [(start, source, FewShot(x, n, mode)) for x, n in points if is_zero_shot(source, x)]
    for start in dict.fromkeys(start for start, _ in found):
        listed += [(start, NONE, FewShot(x, n, ALONE)) for x, n in points]
    return listed
