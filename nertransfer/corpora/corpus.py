"""Corpora: files -> sentences. Strict, without a tokenizer; nothing is dropped in silence.

A data folder holds ``<language>/{train,dev,test}.txt``, or test.txt alone for a language that is only a target. A file
has one word a line: the word in the first column, its IOB2 tag in the last, columns separated by spaces or tabs.
An empty line or one whose first column is ``-DOCSTART-`` ends a sentence. What is wrong raises `InputError` with file
and line; what is merely odd is read as it stands and counted in `Findings`.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nertransfer.core.errors import InputError
from nertransfer.core.files import entries, make_folder, read
from nertransfer.core.grid import check_code, is_several, languages_of
from nertransfer.core.options import CORPUS_NAMES, PLANTED, DataOptions
from nertransfer.core.schema import SPLITS
from nertransfer.core.text import did_you_mean
from nertransfer.corpora import download, labels
from nertransfer.corpora.conll import Findings, Sentence, parse
from nertransfer.corpora.planted import settings

LAYOUT = "<language>/{train,dev,test}.txt"


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

    ``parts``: the corpora of a source of several languages (`union`). Train and dev have no sentence where the language
    is only a target."""

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


# --- folders --------------------------------------------------------------------------------


def folder_of(options: DataOptions) -> Path:
    """The folder of the asked corpora; downloads or generates those known by name where needed.

    Raises InputError when there is no such folder or a download fails.
    """
    if options.data == PLANTED:
        from nertransfer.corpora.planted import corpora as planted_corpora  # only where it is asked for: it needs numpy

        folder = planted_folder(options)
        if not folder.is_dir():  # those that are there may be read by whoever cannot write
            make_folder(folder.parent, "work_dir")
        planted_corpora.write(folder)
        return folder
    if options.data in download.LANGUAGES:
        return download.ensure(options.data, names(options))
    folder = Path(options.data)
    if not options.data:
        raise InputError("parameter data is missing: a folder or the name of corpora, such as masakhaner", "data")
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(
            f"data={options.data!r} {what}; it must be a folder {LAYOUT}, or one of {PLANTED}, "
            f"{', '.join(download.LANGUAGES)}{did_you_mean(options.data, _likely(folder))}",
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
    return Path(options.work_dir) / PLANTED / settings.digest(settings.PlantedSettings())


def names(options: DataOptions) -> tuple[str, ...]:
    """The languages of the asked corpora in their order, without reading, downloading or generating one.

    Raises InputError on a folder that is not there or has no corpora, and on unknown languages.
    """
    if options.data == PLANTED:
        existing: tuple[str, ...] = tuple(sorted(language.code for language in settings.LANGUAGES))
    elif options.data in download.LANGUAGES:
        existing = download.LANGUAGES[options.data]
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
    return options.data not in download.LANGUAGES or download.is_complete(options.data, names(options))


def digests(options: DataOptions) -> dict[str, str]:
    """`Corpus.digest` by language, of the asked corpora that are there or published; reads no sentence, makes nothing.

    Raises InputError as `names` does, and for a file that is there and cannot be read.
    """
    languages = names(options)
    if options.data in download.LANGUAGES:
        known = download.registry(options.data)
        return {c: _digest([known[f"{c}/{s}.txt"].removeprefix("sha256:") for s in SPLITS]) for c in languages}
    folder = planted_folder(options) if options.data == PLANTED else Path(options.data)
    found = {}
    for code in languages:
        alone = _has_test_alone(folder / code)
        files = {name: folder / code / f"{name}.txt" for name in SPLITS}
        if alone or all(map(os.path.lexists, files.values())):
            each = (
                ABSENT if alone and name != "test" else hashlib.sha256(read(files[name])).hexdigest() for name in SPLITS
            )
            found[code] = _digest(list(each))
    return found


ABSENT = ""
"""Digest of a split that is not there."""


def _has_test_alone(folder: Path) -> bool:
    return [name for name in SPLITS if os.path.lexists(folder / f"{name}.txt")] == ["test"]


def targets_alone(options: DataOptions) -> tuple[str, ...]:
    """The languages of the asked corpora that have a test split alone, so that they are targets and no sources."""
    if options.data in CORPUS_NAMES:
        return ()
    return tuple(code for code in names(options) if _has_test_alone(Path(options.data) / code))


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
    # A link that leads nowhere is listed too, so that it is reported as a missing file.
    folders = [entry for entry in entries(folder, "data") if entry.is_dir()]
    return tuple(entry.name for entry in folders if any(os.path.lexists(entry / f"{s}.txt") for s in SPLITS))


def _no_corpora(folder: Path) -> str:
    hint = ""
    if any((folder / f"{split}.txt").exists() for split in SPLITS):
        parent, name = folder.resolve().parent, folder.resolve().name
        hint = f"; this looks like the folder of one language: pass data={parent} and languages={name}"
    hint = hint or "; the entry point convert reads other names, formats and tag schemes"
    return f"data folder {folder} has no sub-folder with corpora; it must be laid out as {LAYOUT}{hint}"


def load(options: DataOptions) -> dict[str, Corpus]:
    """The asked corpora by language, in the asked order, or all of them sorted by language.

    All files are read and checked before this returns. Raises InputError for whatever cannot
    be read: a missing folder or file, an unknown language, a line that is not as it should be.
    """
    folder = folder_of(options)
    # The published corpora are pinned by checksum: what is odd in them cannot be corrected, so it is
    # read by a fixed rule and reported. A file of one's own can be corrected, so it is an error there.
    published = options.data in download.LANGUAGES
    languages = names(options)
    for code in languages:
        check_code(code)
    alone = targets_alone(options)
    missing = [path for c in languages for s in _splits(c, alone) if not (path := folder / c / f"{s}.txt").is_file()]
    if missing:
        raise InputError(
            f"missing file {', '.join(map(str, missing))}: every language needs {', '.join(f'{s}.txt' for s in SPLITS)}"
            f", or test.txt alone if it is only a target{_called_otherwise(missing[0])}"
        )
    return {
        code: Corpus(
            code,
            {
                name: read_split(
                    folder / code / f"{name}.txt", code, name, options.allow_empty_words or published, published
                )
                if name in _splits(code, alone)
                else Split(code, name, (), ABSENT)
                for name in SPLITS
            },
        )
        for code in languages
    }


def _splits(language: str, alone: Collection[str]) -> tuple[str, ...]:
    return ("test",) if language in alone else SPLITS


def _called_otherwise(missing: Path) -> str:
    """What stands beside a file that is missing, where some of it may be the file under another name."""
    with suppress(OSError):
        ours = {f"{name}.txt" for name in SPLITS}
        others = sorted(path.name for path in missing.parent.iterdir() if path.name not in ours)
        if others:
            return f"; there is {', '.join(others[:3])}; the entry point convert reads other names and formats"
    return ""


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
    data = read(path)
    sentences, findings = parse(data, path, allow_empty_words, allow_uneven_columns)
    return Split(language, name, sentences, hashlib.sha256(data).hexdigest(), findings)
