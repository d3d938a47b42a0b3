"""Corpora: files -> sentences. Strict, without a tokenizer; nothing is dropped in silence.

A data folder holds ``<language>/{train,dev,test}.txt``. A file has one word a line: the word in
the first column, its IOB2 tag in the last, columns separated by spaces or tabs. An empty line
or one whose first column is ``-DOCSTART-`` ends a sentence. What is wrong raises `InputError`
with file and line; what is merely odd is read as it stands and counted in `Findings`.
"""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nertransfer import fetch, labels, planted_settings
from nertransfer.config import CORPUS_NAMES, PLANTED, DataOptions
from nertransfer.errors import InputError
from nertransfer.folders import make_folder
from nertransfer.grid import is_several, languages_of
from nertransfer.languages import check_code
from nertransfer.near import did_you_mean
from nertransfer.schema import SPLITS
from nertransfer.text_files import BYTE_ORDER_MARK, SEPARATORS, decode

LAYOUT = "<language>/{train,dev,test}.txt"
DOCUMENT_START = "-DOCSTART-"
PROBLEMS_SHOWN = 5
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
    document_starts: Seen = field(default=Seen(), metadata={"means": f"{DOCUMENT_START} line; ends a sentence"})


FINDINGS = {f.name: str(f.metadata["means"]) for f in fields(Findings) if f.metadata}
"""The kinds of findings and what each one means."""


@dataclass(frozen=True)
class Split:
    """One file of a corpus; ``digest`` is the SHA-256 of its bytes, in hexadecimal."""

    language: str
    name: str
    sentences: tuple[Sentence, ...]
    digest: str
    findings: Findings = field(default_factory=Findings)

    @property
    def number_of_words(self) -> int:
        return sum(len(sentence.words) for sentence in self.sentences)

    @property
    def tags(self) -> Iterator[str]:
        """All tags in order, without sentence boundaries."""
        return (tag for sentence in self.sentences for tag in sentence.tags)


@dataclass(frozen=True)
class Corpus:
    """One language's train, dev and test split; raises InputError when one is missing or unknown.

    ``parts``: the corpora of a source of several languages (`union`)."""

    language: str
    splits: Mapping[str, Split]
    parts: tuple["Corpus", ...] = ()

    def __post_init__(self) -> None:
        if set(self.splits) != set(SPLITS):
            raise InputError(f"corpus {self.language} has splits {sorted(self.splits)}; it needs {', '.join(SPLITS)}")

    @property
    def train(self) -> Split:
        return self.splits["train"]

    @property
    def dev(self) -> Split:
        return self.splits["dev"]

    @property
    def test(self) -> Split:
        return self.splits["test"]

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of train, dev and test, in hexadecimal."""
        return _digest([self.splits[name].digest for name in SPLITS])

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories of the train split, sorted: those a model of this source can predict."""
        return labels.categories_of(self.train.tags)

    @property
    def unseen_categories(self) -> dict[str, tuple[str, ...]]:
        """Categories of dev and of test that the train split lacks."""
        known = set(self.categories)
        return {
            name: tuple(c for c in labels.categories_of(self.splits[name].tags) if c not in known)
            for name in ("dev", "test")
        }


def _digest(splits: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(splits).encode()).hexdigest()


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
    like that), a first column that holds no words, and a file without a sentence.
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

    def finish() -> None:
        if words:
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
    if first and (problem := _not_words(sentences)):
        raise InputError(f"{path}:{first[0]}: {problem}")
    return tuple(sentences), Findings(path, **{k: Seen(n, tuple(lines[k])) for k, n in counts.items()})


def _not_words(sentences: Sequence[Sentence]) -> str:
    """Why the first column cannot be words, as in CoNLL-U and WikiANN; empty where it can."""
    longest = max(len(sentence.words) for sentence in sentences)
    if longest < 2:
        return ""
    numbers = tuple(map(str, range(1, longest + 1)))
    if all(sentence.words == numbers[: len(sentence.words)] for sentence in sentences):
        return "the first column of every sentence counts 1, 2, ...; the word must stand in the first column"
    code = re.match("[a-z-]{2,12}:", sentences[0].words[0])
    if code and all(word.startswith(code[0]) for sentence in sentences for word in sentence.words):
        return f"every word of the file begins with {code[0]!r}; take that away"
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


# --- folders --------------------------------------------------------------------------------


def folder_of(options: DataOptions) -> Path:
    """The folder of the asked corpora; downloads or generates those known by name where needed.

    Raises InputError when there is no such folder or a download fails.
    """
    if options.data == PLANTED:
        from nertransfer import planted  # only where it is asked for: it needs numpy

        folder = planted_folder(options)
        if not folder.is_dir():  # those that are there may be read by whoever cannot write
            make_folder(folder.parent, "work_dir")
        planted.write(folder)
        return folder
    if options.data in fetch.LANGUAGES:
        return fetch.ensure(options.data, names(options))
    folder = Path(options.data)
    if not options.data:
        raise InputError("parameter data is missing: a folder or the name of corpora, such as masakhaner", "data")
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(
            f"data={options.data!r} {what}; it must be a folder {LAYOUT}, or one of {PLANTED}, "
            f"{', '.join(fetch.LANGUAGES)}{did_you_mean(options.data, _likely(folder))}",
            "data",
        )
    return folder


def _likely(folder: Path) -> list[str]:
    """What may have been meant by a folder that is not there: corpora known by name, and folders beside it."""
    with suppress(OSError):
        return [*CORPUS_NAMES, *(str(folder.parent / one.name) for one in folder.parent.iterdir() if one.is_dir())]
    return list(CORPUS_NAMES)


def planted_folder(options: DataOptions) -> Path:
    """Where the planted corpora are generated."""
    return Path(options.work_dir) / PLANTED / planted_settings.digest(planted_settings.PlantedSettings())


def names(options: DataOptions) -> tuple[str, ...]:
    """The languages of the asked corpora in their order, without reading, downloading or generating one.

    Raises InputError on a folder that is not there or has no corpora, and on unknown languages.
    """
    if options.data == PLANTED:
        existing: tuple[str, ...] = tuple(sorted(language.code for language in planted_settings.LANGUAGES))
    elif options.data in fetch.LANGUAGES:
        existing = fetch.LANGUAGES[options.data]
    else:
        folder = folder_of(options)
        existing = _languages_in(folder)
        if not existing:
            raise InputError(_no_corpora(folder), "data")
    _check_known(options.languages, existing, options.data)
    return options.languages or existing


def are_at_hand(options: DataOptions) -> bool:
    """Whether the corpora can be read without downloading or generating anything."""
    if options.data == PLANTED:
        return planted_folder(options).is_dir()
    return options.data not in fetch.LANGUAGES or fetch.is_complete(options.data, names(options))


def digests(options: DataOptions) -> dict[str, str]:
    """`Corpus.digest` by language, of the asked corpora that are there or published; reads no sentence, makes nothing.

    Raises InputError as `names` does.
    """
    languages = names(options)
    if options.data in fetch.LANGUAGES:
        known = fetch.registry(options.data)
        return {c: _digest([known[f"{c}/{s}.txt"].removeprefix("sha256:") for s in SPLITS]) for c in languages}
    folder = planted_folder(options) if options.data == PLANTED else Path(options.data)
    found = {}
    for code in languages:
        with suppress(OSError):
            files = [(folder / code / f"{name}.txt").read_bytes() for name in SPLITS]
            found[code] = _digest([hashlib.sha256(data).hexdigest() for data in files])
    return found


def _check_known(asked: Sequence[str], existing: Sequence[str], where: str) -> None:
    unknown = [code for code in asked if code not in existing]
    if unknown:
        raise InputError(
            f"languages={','.join(asked)}: {where} has no {', '.join(unknown)}; it has {', '.join(existing)}"
            f"{did_you_mean(unknown[0], existing)}",
            "languages",
            unknown[0],
        )


def _languages_in(folder: Path) -> tuple[str, ...]:
    """Names of the sub-folders with at least one of the three files, sorted."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError as error:
        raise InputError(f"data folder {folder} cannot be read: {error.strerror}") from error
    # A link that leads nowhere is listed too, so that it is reported as a missing file.
    return tuple(entry.name for entry in entries if any(os.path.lexists(entry / f"{s}.txt") for s in SPLITS))


def _no_corpora(folder: Path) -> str:
    hint = ""
    if any((folder / f"{split}.txt").exists() for split in SPLITS):
        parent, name = folder.resolve().parent, folder.resolve().name
        hint = f"; this looks like the folder of one language: pass data={parent} and languages={name}"
    return f"data folder {folder} has no sub-folder with corpora; it must be laid out as {LAYOUT}{hint}"


def load(options: DataOptions) -> dict[str, Corpus]:
    """The asked corpora by language, in the asked order, or all of them sorted by language.

    All files are read and checked before this returns. Raises InputError for whatever cannot
    be read: a missing folder or file, an unknown language, a line that is not as it should be.
    """
    folder = folder_of(options)
    # The published corpora are pinned by checksum: what is odd in them cannot be corrected, so it is
    # read by a fixed rule and reported. A file of one's own can be corrected, so it is an error there.
    published = options.data in fetch.LANGUAGES
    languages = names(options)
    for code in languages:
        check_code(code)
    missing = [path for c in languages for s in SPLITS if not (path := folder / c / f"{s}.txt").is_file()]
    if missing:
        raise InputError(
            f"missing file {', '.join(map(str, missing))}: every language needs {', '.join(f'{s}.txt' for s in SPLITS)}"
        )
    return {
        code: Corpus(
            code,
            {
                name: read_split(
                    folder / code / f"{name}.txt", code, name, options.allow_empty_words or published, published
                )
                for name in SPLITS
            },
        )
        for code in languages
    }


def union(corpora: Mapping[str, Corpus], source: str) -> Corpus:
    """The corpus of a source: a language's own, or of several, one behind the other, split by split.

    A digest of several is SHA-256 over their names and digests.
    """
    if not is_several(source):
        return corpora[source]
    parts = tuple(corpora[name] for name in languages_of(source))

    def joined(name: str) -> Split:
        splits = [part.splits[name] for part in parts]
        told = "\n".join(f"{split.language} {split.digest}" for split in splits)
        sentences = tuple(sentence for split in splits for sentence in split.sentences)
        return Split(source, name, sentences, hashlib.sha256(told.encode()).hexdigest())

    return Corpus(source, {name: joined(name) for name in SPLITS}, parts)


def read_split(
    path: Path, language: str, name: str, allow_empty_words: bool = False, allow_uneven_columns: bool = False
) -> Split:
    """One file as a split; raises InputError where it cannot be opened and as `parse` does."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    sentences, findings = parse(data, path, allow_empty_words, allow_uneven_columns)
    return Split(language, name, sentences, hashlib.sha256(data).hexdigest(), findings)


# --- descriptions ---------------------------------------------------------------------------

ENTITIES = "entities_"
"""Prefix of the key of a category's entities in a summary row."""


def duplicates(corpus: Corpus) -> dict[str, int]:
    """Number of sentences of dev and of test whose words also stand as a sentence of train."""
    train = {sentence.words for sentence in corpus.train.sentences}
    return {name: sum(s.words in train for s in corpus.splits[name].sentences) for name in ("dev", "test")}


def summary_rows(corpora: Mapping[str, Corpus]) -> list[dict[str, Any]]:
    """One row per (language, split) with the same keys in each; ``digest`` is the full one of the file.

    Keys: language, split, sentences, words, entities, ``entities_<category>`` for every category
    of any corpus, one per kind of `Findings`, in_train (sentences that also stand in train; None
    for train itself), unseen_categories (comma-separated), digest.
    """
    entities = {
        (language, name): Counter(category for s in split.sentences for _, _, category in labels.spans(s.tags))
        for language, corpus in corpora.items()
        for name, split in corpus.splits.items()
    }
    categories = sorted(set().union(*entities.values()))
    rows: list[dict[str, Any]] = []
    for language, corpus in corpora.items():
        repeated, unseen = duplicates(corpus), corpus.unseen_categories
        for name in SPLITS:
            split, counts = corpus.splits[name], entities[language, name]
            rows.append(
                {
                    "language": language,
                    "split": name,
                    "sentences": len(split.sentences),
                    "words": split.number_of_words,
                    "entities": counts.total(),
                    **{ENTITIES + category: counts[category] for category in categories},
                    **{kind: getattr(split.findings, kind).count for kind in FINDINGS},
                    "in_train": repeated.get(name),
                    "unseen_categories": ",".join(unseen.get(name, ())),
                    "digest": split.digest,
                }
            )
    return rows
