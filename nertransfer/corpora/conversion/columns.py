"""CoNLL-like columns of any kind -> words and tags as they were written, with the line of each. Pure.

Reads what the strict reader (`nertransfer.corpora.conll`) refuses: comments, header lines, columns in another order,
words with a language in front as WikiANN has them.
"""

import re
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

from nertransfer.core.errors import InputError
from nertransfer.core.files import BYTE_ORDER_MARK
from nertransfer.core.text import count
from nertransfer.corpora.conll import DOCUMENT_START, SEPARATORS
from nertransfer.corpora.conversion.schemes import Tagged
from nertransfer.corpora.words import OUTSIDE

_GLOBAL_COLUMNS = re.compile(r"#\s*global\.columns\s*=\s*(.+)")
_NAMES = {
    "word": ("word", "words", "token", "tokens", "form", "text"),
    "tag": ("tag", "tags", "ner", "ner_tag", "ner_tags", "label", "labels", "misc"),
}
_CONLL_U_LINE = re.compile(r"\d+[-.]\d+")
_PREFIXED = re.compile(r"[a-z]{2,3}(?:-[a-z]+)?:")
COMMENT = "#"


@dataclass(frozen=True)
class Columns:
    """Which columns hold the word and the tag, counted from 1; a negative one counts from the end."""

    word: int
    tag: int

    def __str__(self) -> str:
        names = {-1: "the last one"}
        return f"word in column {self.word}, tag in {names.get(self.tag, f'column {self.tag}')}"


@dataclass(frozen=True)
class Rows:
    """One file, read: ``words`` of every sentence and their `Tagged`; ``columns``: those that were read, in words."""

    words: list[tuple[str, ...]]
    tagged: list[Tagged]
    columns: str


def parse_columns(text: str) -> Columns | None:
    """``word:2,tag:3``, or nothing; raises InputError on anything else."""
    if not text.strip():
        return None
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition(":"))
        axis = next((axis for axis, names in _NAMES.items() if name.lower() in names), None)
        if axis is None or axis in found or not re.fullmatch(r"-?[1-9][0-9]?", number):
            raise InputError(
                f"columns={text!r} is not allowed: such as word:2,tag:3, counted from 1, or from the end with -1",
                "columns",
            )
        found[axis] = int(number)
    if set(found) != set(_NAMES):
        raise InputError(f"columns={text!r} is not allowed: both word and tag, such as word:2,tag:3", "columns")
    return Columns(found["word"], found["tag"])


def read(
    text: str, path: str, asked: Columns | None, counts: Counter[str], words_of_corpus: Set[str] = frozenset()
) -> Rows:
    """Read one file. Without ``asked`` the columns are those that the file names itself, else the first and the last.

    ``counts`` of what was left out: comments, a header, prefixes of words. ``words_of_corpus``: where the words are
    known, so that one may be empty, or begin as a comment does. Raises InputError that names the line of
    what does not fit.
    """
    lines = text.removeprefix(BYTE_ORDER_MARK).split("\n")
    columns, header = _columns(lines, path, asked)
    words: list[tuple[str, ...]] = []
    tagged: list[Tagged] = []
    block: list[tuple[str, str, int]] = []

    def finish() -> None:
        if block:
            words.append(tuple(word for word, _, _ in block))
            tagged.append(Tagged(tuple(tag for _, tag, _ in block), path, tuple(number for *_, number in block)))
            block.clear()

    rows = [(number, _fields(line)) for number, line in enumerate(lines, start=1)]
    plain = [(number, fields) for number, fields in rows if fields and not _may_be_comment(fields) and number != header]
    first, width = (plain[0][0], len(plain[0][1])) if plain else (0, 0)
    known = {_at(fields, columns.tag) for _, fields in plain}
    for number, fields in rows:
        if not fields or fields[0] == DOCUMENT_START:
            finish()
        elif number == header:
            counts["header lines left out"] += 1
        elif _may_be_comment(fields) and (
            len(fields) != width
            or (_at(fields, columns.tag) not in known and _at(fields, columns.word) not in words_of_corpus)
        ):
            counts["comment lines left out"] += 1
        elif columns.word != 1 and _CONLL_U_LINE.fullmatch(fields[0]) and len(fields) > 2:
            counts["CoNLL-U lines of several words or none left out"] += 1
        else:
            if len(fields) != width:
                raise InputError(f"{path}:{number}: {count(len(fields), 'column')}, but line {first} has {width}")
            word, tag = (_at(fields, place) for place in (columns.word, columns.tag))
            if word is None or tag is None or len({columns.word % (width + 1), columns.tag % (width + 1)}) < 2:
                raise InputError(
                    f"{path}:{number}: {count(len(fields), 'column')}; wanted: {columns}; name others with "
                    "columns=word:<number>,tag:<number>", "columns",
                )  # fmt: skip
            if not (word.strip() or word in words_of_corpus):
                raise InputError(f"{path}:{number}: the tag {tag} has no word")
            block.append((word, OUTSIDE if tag in ("_", "") else tag, number))
    finish()
    if not words:
        raise InputError(f"{path}:1: no sentence; a line needs a word and its tag")
    return Rows(_without_prefix(words, counts), tagged, str(columns))


def _fields(line: str) -> list[str]:
    line = line.rstrip(" \t\r")
    if not line:
        return []
    return line.split("\t") if "\t" in line else SEPARATORS.split(line)


def _at(fields: Sequence[str], place: int) -> str | None:
    """The field at a place that is counted from 1, or from the end with -1; None where there is none."""
    i = place - 1 if place > 0 else len(fields) + place
    return fields[i] if 0 <= i < len(fields) else None


def _may_be_comment(fields: Sequence[str]) -> bool:
    """A word may begin with it, too: such a line has as many columns as the others, and a tag that others have."""
    return fields[0].startswith(COMMENT)


def _columns(lines: list[str], path: str, asked: Columns | None) -> tuple[Columns, int]:
    """The columns to read, and the number of the header's line, or 0."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if named := _GLOBAL_COLUMNS.fullmatch(line.strip()):
            found = _named(named[1].split())
            return asked or found or Columns(1, -1), 0
        if line.startswith(COMMENT):
            continue
        found = _named(_fields(line))
        if found is not None:
            return asked or found, number
        break
    if asked is None and (numbered := _numbered(lines)):
        return numbered, 0
    return asked or Columns(1, -1), 0


def _named(fields: list[str]) -> Columns | None:
    """The columns by names of a header; None where it has not one of each."""
    places = {}
    for axis, names in _NAMES.items():
        there = [i for i, field in enumerate(fields, start=1) if field.lower().rpartition(":")[2] in names]
        if len(there) != 1:
            return None
        places[axis] = there[0]
    return Columns(places["word"], places["tag"])


def _numbered(lines: list[str]) -> Columns | None:
    """Word in the second column and tag in the third, where the first one counts 1, 2, ... as in CoNLL-U and UNER."""
    first: list[str] = []
    for line in lines:
        if line.startswith(COMMENT):
            continue
        if not line.strip():
            if first:
                break
            continue
        first.append(_fields(line)[0])
    if len(first) > 1 and first == [str(i) for i in range(1, len(first) + 1)]:
        return Columns(2, 3)
    return None


def _without_prefix(words: list[tuple[str, ...]], counts: Counter[str]) -> list[tuple[str, ...]]:
    """The words without the language in front of each, where every word of the file has the same, as in WikiANN."""
    found = _PREFIXED.match(words[0][0])
    if found is None or not all(word.startswith(found[0]) and word != found[0] for one in words for word in one):
        return words
    counts[f"words that began with {found[0]!r}, which was taken away"] += sum(map(len, words))
    return [tuple(word[len(found[0]) :] for word in one) for one in words]
