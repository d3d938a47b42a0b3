"""Tag schemes -> IOB2: which scheme a corpus is in, and its entities. Pure.

IOB2 begins every entity with B-; IOB1 only one that follows another of its category; BIOES and BILOU also mark the last
word and entities of one word (BMES writes M- for I-); in IO nothing separates neighbours of one category.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nertransfer.core.errors import InputError
from nertransfer.corpora.words import OUTSIDE

AUTO = "auto"
SCHEMES = ("iob2", "iob1", "bioes", "bilou", "io")
_MEANS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
"""What the prefixes stand for: begin, inside, end, single."""
_PREFIXES = {"bioes": "BIMES", "bilou": "BILU", "iob2": "BI", "iob1": "BI", "io": "I"}

Span = tuple[int, int, str]
"""First word, the one after the last, category."""


@dataclass(frozen=True)
class Tagged:
    """The tags of a sentence as they were written; ``place``: the number of the file, and the line of every tag."""

    tags: tuple[str, ...]
    file: str
    lines: tuple[int, ...]

    def where(self, i: int) -> str:
        return f"{self.file}:{self.lines[i]}"


class Detected(NamedTuple):
    """A scheme and why it was taken, in words."""

    scheme: str
    why: str


def split(tag: str) -> tuple[str, str]:
    """Prefix and category of a tag: ``B-PER`` gives B and PER; without a prefix it is a category, ``O`` is neither."""
    if tag == OUTSIDE:
        return "", ""
    prefix, dash, category = tag.partition("-")
    if dash and prefix in _MEANS and category:
        return prefix, category
    return "", tag


def detect(sentences: Iterable[Tagged]) -> Detected:
    """The scheme of all ``sentences`` of a language, which must be one.

    Raises InputError that names a line where prefixes of several schemes occur, or tags with and without one.
    """
    first: dict[str, str] = {}
    strays, others, outside = 0, 0, 0  # I- that continues nothing; B- that does not follow its own category; O
    for sentence in sentences:
        before = ""
        for i, tag in enumerate(sentence.tags):
            prefix, category = split(tag)
            if tag != OUTSIDE:
                first.setdefault(prefix or "none", sentence.where(i))
            strays += prefix == "I" and before != category
            others += prefix == "B" and before != category
            outside += tag == OUTSIDE
            before = category
    there = set(first)
    if not there:
        return Detected("iob2", "no entity, so any scheme")
    if "none" in there:
        if there != {"none"}:
            other = next(name for name in first if name != "none")
            raise InputError(
                f"{first['none']}: a tag without a prefix, and {first[other]}: one with {other}-; all tags must be of "
                "one scheme", "scheme",
            )  # fmt: skip
        if not outside:
            raise InputError(
                f"{first['none']}: no tag is {OUTSIDE}, and none has a prefix; name the column of the tags with "
                "columns=, or give scheme=io", "scheme",
            )  # fmt: skip
        return Detected("io", "no tag has a prefix")
    bioes, bilou = there & set("EMS"), there & set("LU")
    if bioes and bilou:
        one, other = next(p for p in first if p in bioes), next(p for p in first if p in bilou)
        raise InputError(
            f"{first[one]}: {one}- of BIOES, and {first[other]}: {other}- of BILOU; all tags must be of one scheme",
            "scheme",
        )
    if bioes or bilou:
        name = "bioes" if bioes else "bilou"
        return Detected(name, f"there are tags with {'-, '.join(sorted(bioes or bilou))}-")
    if there == {"I"}:
        return Detected("io", "there are only I- tags")
    if strays and not others:
        return Detected("iob1", "B- stands only behind an entity of its category")
    if strays:
        return Detected("iob2", f"most entities begin with B-; {strays:,} begin with I-")
    return Detected("iob2", "every entity begins with B-")


def spans(sentence: Tagged, scheme: str, counts: Counter[str]) -> list[Span]:
    """The entities of a sentence in ``scheme``.

    ``counts``: how many begin with I- in IOB2, which has no such ones, and are read all the same. Raises InputError
    that names the line of a tag that is not in the scheme, and of an entity that has no end in BIOES or BILOU.
    """
    found: list[Span] = []
    open_at: int | None = None
    before = ""
    marked = scheme in ("bioes", "bilou")
    for i, tag in enumerate(sentence.tags):
        prefix, category = split(tag)
        if tag != OUTSIDE and (prefix not in _PREFIXES[scheme] or not (prefix or scheme == "io")):
            allowed = ", ".join(f"{one}-" for one in _PREFIXES[scheme])
            raise InputError(f"{sentence.where(i)}: tag {tag!r} is not of scheme {scheme}: O, or {allowed}", "scheme")
        kind = _MEANS.get(prefix, "I")
        if marked:
            inside = open_at is not None
            follows = inside and category == before and kind in "IE"
            if inside and not follows:
                raise InputError(f"{sentence.where(i)}: {tag} follows {before}, which has no end before it", "scheme")
            if tag != OUTSIDE and not inside and kind in "IE":
                raise InputError(f"{sentence.where(i)}: {tag} continues nothing", "scheme")
            if kind == "B" and tag != OUTSIDE:
                open_at, before = i, category
            elif kind == "S":
                found.append((i, i + 1, category))
            elif kind == "E" and open_at is not None:
                found.append((open_at, i + 1, category))
                open_at = None
            continue
        if tag == OUTSIDE:
            before = ""
        elif kind == "B" or category != before:
            if kind != "B" and scheme == "iob2":
                counts["entities that begin with I-, read as B-"] += 1
            found.append((i, i + 1, category))
            before = category
        else:
            found[-1] = (found[-1][0], i + 1, category)
    if marked and open_at is not None:
        raise InputError(f"{sentence.where(len(sentence.tags) - 1)}: the sentence ends inside {before}", "scheme")
    return found


def tags(length: int, entities: Sequence[Span]) -> tuple[str, ...]:
    """IOB2 tags of a sentence of ``length`` words."""
    found = [OUTSIDE] * length
    for begin, end, category in entities:
        found[begin:end] = [f"B-{category}", *[f"I-{category}"] * (end - begin - 1)]
    return tuple(found)
