"""One CoNLL file -> sentences. Strict: what does not fit is an error with file and line, or a finding."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from nertransfer.core.errors import InputError
from nertransfer.core.files import BYTE_ORDER_MARK, decode
from nertransfer.corpora import labels
from nertransfer.corpora.labels import category_of

# Python's own str.split() and str.splitlines() also cut at U+00A0, U+0085, U+2028 and others,
# which occur inside words; only these separate columns.
SEPARATORS = re.compile(r"[ \t]+")


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """The lines of a text that are not white space alone, with their numbers from 1."""
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def running_lines(text: str, path: str | Path, parameter: str, instead: str) -> list[tuple[int, str]]:
    """The `numbered_lines` of running text.

    Raises InputError where every one ends in an IOB2 tag, as CoNLL columns do: ``instead`` says what to give.
    """
    lines = numbered_lines(text)
    if lines and all(_ends_in_tag(line) for _, line in lines):
        raise InputError(f"{path}:{lines[0][0]}: every line ends in an IOB2 tag; {instead}", parameter)
    return lines


_MARKUP = re.compile(r"\s*<(\?xml|!doctype|html|head|body|corpus|document)\b", re.IGNORECASE)


def structure_of(text: str) -> str:
    """What a text is where it is no running text but ``JSON``, ``XML or HTML`` or ``a table``; else empty."""
    lines = [line for _, line in numbered_lines(text)]
    if _MARKUP.match(text):
        return "XML or HTML"
    if lines and lines[0].lstrip()[:1] in ("{", "[") and (all(map(_is_json, lines)) or _is_json(text)):
        return "JSON"
    tabs = {line.rstrip("\r").count("\t") for line in lines}
    if len(lines) > 1 and len(tabs) == 1 and tabs != {0}:
        return "a table"
    return ""


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _ends_in_tag(line: str) -> bool:
    columns = SEPARATORS.split(line.strip())
    try:
        category_of(columns[-1])
    except InputError:
        return False
    return len(columns) > 1


DOCUMENT_START = "-DOCSTART-"
PROBLEMS_SHOWN = 5
LONGEST_SENTENCE = 32_767
"""Words: so many entities of one sentence can be counted (`nertransfer.scoring.sentence_counts`)."""
LEAST_NUMBERS = 4
"""Words of a file that are numbers or ids, more than half of it, make its first column one of them."""
LONG_SENTENCE = 500
"""Words: longer ones are told, for the empty lines between sentences may be missing."""
_NUMBER_OF_WORD = re.compile(r"\d+([-.]\d+)*")
_CONVERT = "the word must stand in the first column; the entry point convert reads other columns"
LINES_KEPT = 5
"""Of every kind of finding, so many line numbers are kept as examples."""

_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode categories: controls, format and zero-width characters, and spaces other than U+0020."""


@dataclass(frozen=True)
class Sentence:
    """Words and their IOB2 tags, equal in number, at least one; raises InputError otherwise."""

    words: tuple[str, ...]
    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.words or len(self.words) != len(self.tags):
            raise InputError(
                f"a sentence has {len(self.words)} words and {len(self.tags)} tags; it needs equally many, at least one"
            )


@dataclass(frozen=True)
class Seen:
    """How often something odd occurs in a file, and the numbers of the first few lines (from 1)."""

    count: int = 0
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Odd things of one file that were read as they stand. The metadata says what each one means."""

    path: str = ""
    stray_tags: Seen = field(default=Seen(), metadata={"means": "I- tag that continues nothing; begins an entity"})
    invisible: Seen = field(
        default=Seen(), metadata={"means": "word with a control, zero-width or unusual space character; kept"}
    )
    byte_order_marks: Seen = field(
        default=Seen(), metadata={"means": "byte-order mark: removed at the start of the file, kept inside a word"}
    )
    replacements: Seen = field(default=Seen(), metadata={"means": "word with U+FFFD: text was lost before; kept"})
    not_nfc: Seen = field(default=Seen(), metadata={"means": "word not in Unicode normal form NFC; kept as it is"})
    empty_words: Seen = field(
        default=Seen(), metadata={"means": "tag without a word; kept as an empty word, scored as an unknown word"}
    )
    uneven_columns: Seen = field(
        default=Seen(), metadata={"means": "line with more or fewer columns than the first; first and last are read"}
    )
    long_sentences: Seen = field(
        default=Seen(),
        metadata={
            "means": f"sentence of more than {LONG_SENTENCE} words; an empty line ends a sentence: is one missing?"
        },
    )
    document_starts: Seen = field(default=Seen(), metadata={"means": f"{DOCUMENT_START} line; ends a sentence"})


FINDINGS = {f.name: str(f.metadata["means"]) for f in fields(Findings) if f.metadata}
"""The kinds of findings and what each one means."""


# --- one file -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """What one line says. ``boundary``: it ends a sentence; ``problem``: why it cannot be read."""

    word: str = ""
    tag: str = ""
    columns: int = 0
    boundary: bool = False
    oddities: tuple[str, ...] = ()
    problem: str = ""


def _read_line(line: str, allow_empty_words: bool) -> _Line:
    """What a line says; ``line`` is without its newline."""
    text = line.rstrip(" \t\r")
    if not text:
        return _Line(boundary=True)
    if "\r" in text:  # taken as white space, it would hide the words between the first and the last column
        return _Line(problem="a carriage return inside the line; lines end with \\n or \\r\\n")
    columns = SEPARATORS.split(text)
    if columns[0] == DOCUMENT_START:
        return _Line(boundary=True, oddities=("document_starts",))
    if len(columns) == 1:
        hint = ""
        if any(unicodedata.category(c) == "Zs" for c in text):
            hint = ", and this one has another kind of space"
        return _Line(problem=f"no tag column in {text!r}; columns are separated by spaces or tabs{hint}")
    word, tag = columns[0], columns[-1]
    try:
        labels.category_of(tag)
    except InputError as error:
        return _Line(problem=str(error))
    if not word and len(columns) > 2:
        # Indented, or an empty word and further columns: reading either way could lose a word.
        return _Line(problem="begins with a separator; the word must stand in the first column")
    if not word and not allow_empty_words:
        way_out = "write one, or pass allow_empty_words=true to score it as an unknown word"
        return _Line(problem=f"the tag {tag} has no word; {way_out}")
    return _Line(word, tag, len(columns), oddities=_oddities(word))


def _oddities(word: str) -> tuple[str, ...]:
    """Names of the `Findings` that one word gives."""
    if not word:
        return ("empty_words",)
    if word.isascii() and word.isprintable():
        return ()
    found = []
    if any(unicodedata.category(c) in _INVISIBLE for c in word):
        found.append("invisible")
    if BYTE_ORDER_MARK in word:
        found.append("byte_order_marks")
    if "\ufffd" in word:
        found.append("replacements")
    if not unicodedata.is_normalized("NFC", word):
        found.append("not_nfc")
    return tuple(found)


def parse(
    data: bytes, path: str | Path, allow_empty_words: bool = False, allow_uneven_columns: bool = False
) -> tuple[tuple[Sentence, ...], Findings]:
    """The sentences of one file from its bytes, and what is odd in it; ``path`` is only for messages.

    Raises InputError that names file and line (the first few of all problems) for bytes that
    are not UTF-8, a missing tag column, a tag that is not IOB2, a tag without a word (unless
    allowed), a number of columns that changes (unless allowed: a word with a space in it looks
    like that), a sentence of more than `LONGEST_SENTENCE` words, a first column that holds no words, and a file
    without a sentence.
    """
    path = str(path)
    text = decode(data, path)
    problems: list[tuple[int, str]] = []
    counts: Counter[str] = Counter()
    lines: dict[str, list[int]] = {}

    def note(kind: str, number: int) -> None:
        counts[kind] += 1
        examples = lines.setdefault(kind, [])
        if len(examples) < LINES_KEPT and number not in examples:
            examples.append(number)

    if text.startswith(BYTE_ORDER_MARK):
        text = text[1:]
        note("byte_order_marks", 1)

    known: dict[str, _Line] = {}  # lines repeat: each distinct one is examined once
    sentences: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    previous = labels.OUTSIDE
    first: tuple[int, int] | None = None  # number and columns of the first line with a word
    begun = 1  # number of the line that the sentence begins at

    def finish() -> None:
        if words:
            if len(words) > LONGEST_SENTENCE:
                problems.append((begun, f"a sentence of {len(words):,} words; a line without words ends a sentence"))
            if len(words) > LONG_SENTENCE:
                note("long_sentences", begun)
            sentences.append(Sentence(tuple(words), tuple(tags)))
            words.clear()
            tags.clear()

    for number, raw in enumerate(text.split("\n"), start=1):
        line = known.get(raw)
        if line is None:
            line = known[raw] = _read_line(raw, allow_empty_words)
        for kind in line.oddities:
            note(kind, number)
        if line.boundary:
            finish()
            previous = labels.OUTSIDE
            continue
        if line.problem:
            problems.append((number, line.problem))
            continue
        if first is None:
            first = (number, line.columns)
        if line.columns != first[1]:
            if allow_uneven_columns:
                note("uneven_columns", number)
            else:
                problems.append((number, _uneven(raw, line.columns, *first)))
        if not words:
            begun = number
        if line.tag[0] == "I" and labels.is_stray(previous, line.tag):
            note("stray_tags", number)
        previous = line.tag
        words.append(line.word)
        tags.append(line.tag)
    finish()
    if problems:
        raise InputError(_together(path, problems))
    if not sentences:
        raise InputError(f"{path}:1: the file has no sentence; it needs at least one line with a word and its tag")
    if first and (problem := not_words([sentence.words for sentence in sentences])):
        raise InputError(f"{path}:{first[0]}: {problem}")
    return tuple(sentences), Findings(path, **{k: Seen(n, tuple(lines[k])) for k, n in counts.items()})


def not_words(sentences: Sequence[Sequence[str]]) -> str:
    """Why the first column of a file, by sentence, cannot be words, and what to do; empty where it can.

    Numbers of words, as CoNLL-U and UNER have them, and ids of sentences stand in it for most of the file; WikiANN's
    words all begin with their language.
    """
    every = [word for words in sentences for word in words]
    numbers = [word for word in every if _NUMBER_OF_WORD.fullmatch(word)]
    counted = tuple(map(str, range(1, max(map(len, sentences)) + 1)))
    counts = len(counted) > 1 and all(tuple(words) == counted[: len(words)] for words in sentences)
    if counts or (len(numbers) >= LEAST_NUMBERS and 2 * len(numbers) > len(every)):
        return f"the first column holds numbers ({', '.join(numbers[:3])}) and no words; {_CONVERT}"
    repeating = [words for words in sentences if len(words) > 1]
    ids = all(len(set(words)) == 1 and re.search(r"\d", words[0]) for words in repeating)
    if ids and sum(map(len, repeating)) > LEAST_NUMBERS:
        return f"the first column is the same in all of a sentence ({repeating[0][0]!r}), as an id is; {_CONVERT}"
    code = re.match("[a-z-]{2,12}:", every[0])
    if len(every) > 1 and code and all(word.startswith(code[0]) for word in every):
        return f"every word of the file begins with {code[0]!r}; take that away, or let the entry point convert do it"
    return ""


def _uneven(line: str, columns: int, first_number: int, first_columns: int) -> str:
    return (
        f"{columns} columns in {line.rstrip()!r}, but line {first_number} has {first_columns}; "
        "every line needs the same number, and a word may not contain a space or tab"
    )


def _together(path: str, problems: Sequence[tuple[int, str]]) -> str:
    shown = [f"{path}:{number}: {problem}" for number, problem in problems[:PROBLEMS_SHOWN]]
    if len(problems) > PROBLEMS_SHOWN:
        shown.append(f"{path}: and {len(problems) - PROBLEMS_SHOWN} more lines like these")
    return "\n".join(shown)
