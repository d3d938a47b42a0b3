"""Wording: counted nouns, durations, aligned tables, the nearest of some names. Pure."""

import difflib
from collections.abc import Collection, Iterable, Sequence


def count(n: int, noun: str, plural: str = "") -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """``3 h 20 min``, ``4 min 5 s`` or ``12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> str:
    """Rows as lines, cells as wide as the widest of their column: to the left in ``left`` ones, else to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        .rstrip()
        for row in rows
    )  # fmt: skip


CUTOFF = 0.6
"""Least similarity, from 0 to 1, at which `difflib` finds two names alike."""
_FEWEST = 3
"""Letters that a name and its abbreviation share at least."""


def called(typed: str, names: Collection[str]) -> str | None:
    """The one of ``names`` that is typed: with dashes for underscores, in any case, or in the singular or plural.

    Nothing else is taken for a name: an abbreviation may be short for another name tomorrow. None where it is no name.
    """
    wanted = _plain(typed)
    for form in (wanted, f"{wanted}s", wanted.removesuffix("s")):
        for name in names:
            if _plain(name) == form:
                return name
    return None


def did_you_mean(typed: str, names: Iterable[str], before: str = "") -> str:
    """``; did you mean swa?``, to be appended to a message; nothing where no name is near. ``before``: what the name is
    written with, such as ``--``."""
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(_plain(name), name)
    wanted = _plain(typed)
    near = difflib.get_close_matches(wanted, plain, 1, CUTOFF)
    if not near and len(wanted) >= _FEWEST:
        near = [name for name in plain if len(name) >= _FEWEST and (name.startswith(wanted) or wanted.startswith(name))]
    return f"; did you mean {before}{plain[near[0]]}?" if near else ""


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")
