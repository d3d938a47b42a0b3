"""The grid of a study in names alone: which start is fine-tuned on which source.

Knows no checkpoint and no corpus, so that a plan, a study and a report agree on the grid
without loading anything.
"""

from collections.abc import Sequence

BASE = "base"
"""The start that others are compared with: the encoder before it was adapted to a language."""
OWN = "own"
"""Word among the starts: for every source the start that was adapted to that language."""


def pairs(starts: Sequence[str], sources: Sequence[str], pivots: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Every (start name, source) of a study once, sorted by start in order of appearance, then by source.

    Each start is fine-tuned on each source; `OWN` stands for the start named as the source. On a
    pivot, the own start of every source is fine-tuned too.
    """
    found = [(source if start == OWN else start, source) for start in starts for source in sources]
    found += [(language, pivot) for pivot in pivots for language in sources]
    names = list(dict.fromkeys(start for start, _ in found))
    languages = list(dict.fromkeys([*sources, *pivots]))
    return sorted(set(found), key=lambda pair: (names.index(pair[0]), languages.index(pair[1])))


def start_names(starts: Sequence[str], sources: Sequence[str], pivots: Sequence[str] = ()) -> list[str]:
    """The starts of a study, each once, in the order of `pairs`."""
    return list(dict.fromkeys(start for start, _ in pairs(starts, sources, pivots)))
