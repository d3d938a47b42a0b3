"""Corpora in any of the field's formats -> a folder of our own, which every command reads; with a table of what was
done. Nothing is guessed, dropped or converted without a line that says so.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from nertransfer.core.config import ConvertConfig
from nertransfer.core.errors import InputError
from nertransfer.core.files import decode, make_folder, read
from nertransfer.core.options import FormatOptions
from nertransfer.core.text import aligned, count, did_you_mean
from nertransfer.corpora import conll
from nertransfer.corpora.conversion import columns, layouts, records, schemes, tables
from nertransfer.corpora.conversion.layouts import Found
from nertransfer.corpora.conversion.records import Record
from nertransfer.corpora.conversion.schemes import AUTO, Span
from nertransfer.corpora.labels import category_of

SEPARATORS_OF_WORDS = frozenset(" \t\r\n")


@dataclass(frozen=True)
class Part:
    """One split, read: its records, and what was read how, in words."""

    found: Found
    records: list[Record]
    how: str
    counts: Counter[str]


@dataclass
class Conversion:
    """What a conversion made: entities by split and category, what was done to each split, and remarks."""

    rows: list[tuple[Part, Counter[str]]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def text(self) -> str:
        """A table of the splits, and below it what was done."""
        categories = sorted({name for _, entities in self.rows for name in entities})
        lines = [["language", "split", "sentences", "words", "entities", *categories]]
        for part, entities in self.rows:
            words = sum(len(one.words) for one in part.records)
            numbers = [len(part.records), words, entities.total(), *(entities[name] for name in categories)]
            lines.append([part.found.language, part.found.split, *(f"{n:,}" for n in numbers)])
        done = [
            f"{part.found.language} {part.found.split}: {'; '.join([part.how, *told(part.counts)])}"
            for part, _ in self.rows
        ]
        return "\n\n".join("\n".join(one) for one in ([aligned(lines, {0, 1})], done, self.remarks) if one)


def told(counts: Mapping[str, int]) -> list[str]:
    """What was done, and how often."""
    return [f"{what}: {n:,}" for what, n in counts.items() if n]


def convert(config: ConvertConfig) -> Conversion:
    """Convert, and write ``config.output`` as a whole or not at all.

    Raises InputError, naming file and line, on whatever does not fit; then nothing is written.
    """
    output = Path(config.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"output={config.output!r} is there already; name a new folder, or remove it first", "output")
    root = Path(config.input)
    if not root.exists():
        near = [one.name for one in root.parent.iterdir()] if root.parent.is_dir() else []
        raise InputError(f"input={config.input!r} does not exist{did_you_mean(root.name, near)}", "input")
    rename = pairs(config.rename, "rename")
    asked = columns.parse_columns(config.reading.columns)
    found = [_read(one, asked, config) for one in layouts.find(root, config.language, rename)]
    result = Conversion()
    entities = _entities(found, config.reading.scheme, result)
    entities = _mapped(found, entities, config.reading)
    texts = [_text(part, spans) for part, spans in zip(found, entities, strict=True)]
    result.rows = [
        (part, Counter(category for one in spans for *_, category in one))
        for part, spans in zip(found, entities, strict=True)
    ]
    result.remarks += _missing(found) + _unequal(result.rows)
    _write(output, [(part.found, text) for part, text in zip(found, texts, strict=True)])
    return result


def pairs(given: Sequence[str], parameter: str) -> dict[str, str]:
    """``a=b,c=d`` as names and values; raises InputError on anything else, and on a name that is there twice."""
    found = {}
    for one in given:
        name, equals, value = (part.strip() for part in one.partition("="))
        if not (name and equals and value) or name in found:
            raise InputError(
                f"{parameter}={','.join(given)!r} is not allowed: such as a=b,c=d, each name once", parameter
            )
        found[name] = value
    return found


# --- reading ------------------------------------------------------------------------------------------


def _read(found: Found, asked: columns.Columns | None, config: ConvertConfig) -> Part:
    counts: Counter[str] = Counter()
    there: list[Record] = []
    hows = []
    for path in found.files:
        suffix = path.suffix.lower()
        if suffix in layouts.TABLES:
            items, names = tables.read(path)
            there += records.read(items, str(path), config.reading.overlaps, config.reading.labels or names, counts)
            hows.append(f"{path.name}, rows of a dataset")
        elif suffix in layouts.RECORDS:
            text = decode(read(path, "input"), path)
            items = records.of_json(text, str(path))
            there += records.read(items, str(path), config.reading.overlaps, config.reading.labels, counts)
            hows.append(f"{path.name}, JSON")
        else:
            rows = columns.read(decode(read(path, "input"), path), str(path), asked, counts)
            there += [Record(words, tagged) for words, tagged in zip(rows.words, rows.tagged, strict=True)]
            hows.append(f"{path.name}, {rows.columns}")
    return Part(found, there, "; ".join(dict.fromkeys(hows)), counts)


# --- entities -----------------------------------------------------------------------------------------


def _entities(found: Sequence[Part], scheme: str, result: Conversion) -> list[list[tuple[Span, ...]]]:
    """The entities of every record of every part, from tags in the scheme of their language."""
    detected: dict[str, schemes.Detected] = {}
    for language in layouts.languages([part.found for part in found]):
        tagged = [one.tagged for part in found if part.found.language == language for one in part.records if one.tagged]
        if tagged:
            one = schemes.detect(tagged) if scheme == AUTO else schemes.Detected(scheme, "asked for")
            detected[language] = one
            result.remarks.append(f"{language}: tags are {one.scheme.upper()} ({one.why})")
    return [
        [
            one.entities
            if one.tagged is None
            else tuple(schemes.spans(one.tagged, detected[part.found.language].scheme, part.counts))
            for one in part.records
        ]
        for part in found
    ]


def _mapped(
    found: Sequence[Part], entities: list[list[tuple[Span, ...]]], asked: FormatOptions
) -> list[list[tuple[Span, ...]]]:
    """The entities under their new categories, without those that are not kept."""
    names = Renaming.of({category for spans in entities for one in spans for *_, category in one}, asked)
    return [[names.spans(one, part.counts) for one in spans] for part, spans in zip(found, entities, strict=True)]


@dataclass(frozen=True)
class Renaming:
    """New names of categories, and which of these are kept."""

    names: Mapping[str, str]
    kept: Set[str]

    @classmethod
    def of(cls, there: Set[str], asked: FormatOptions) -> "Renaming":
        """What is asked for, of the categories that are there.

        Raises InputError on a name that none has, and on a category that cannot be called so.
        """
        names = pairs(asked.categories, "categories")
        for name in names:
            if name not in there:
                near = did_you_mean(name, there)
                listed = ", ".join(sorted(there)) or "no entities"
                raise InputError(f"categories: no entity is {name!r}; there are {listed}{near}", "categories")
        after = {names.get(name, name) for name in there} - {schemes.OUTSIDE}
        if unknown := [name for name in asked.keep if name not in after]:
            listed = ", ".join(sorted(after)) or "no entities"
            raise InputError(f"keep: no entity is {unknown[0]!r}; there are {listed}", "keep")
        kept = set(asked.keep) or after
        for name in sorted(kept):
            try:
                category_of(f"B-{name}")
            except InputError as error:
                cure = f"categories={name}=<new name>"
                raise InputError(
                    f"category {name!r} cannot be called so: {error}; {cure} renames it", "categories"
                ) from None
        return cls(names, kept)

    def category(self, old: str, counts: Counter[str]) -> str:
        """The new name of an entity's category; none where the entity is left out. ``counts`` what was done."""
        name = self.names.get(old, old)
        if name not in self.kept:
            counts[f"entities {old} made {schemes.OUTSIDE}"] += 1
            return ""
        if old != name:
            counts[f"entities {old} made {name}"] += 1
        return name

    def spans(self, found: Iterable[Span], counts: Counter[str]) -> tuple[Span, ...]:
        """The entities under their new categories, without those that are left out."""
        named = [(begin, end, self.category(category, counts)) for begin, end, category in found]
        return tuple(one for one in named if one[2])


# --- writing ------------------------------------------------------------------------------------------


def _text(part: Part, entities: Sequence[Sequence[Span]]) -> str:
    """The file of one split; raises InputError where a word cannot be written, or where it would not be read back."""
    lines = []
    for one, spans in zip(part.records, entities, strict=True):
        for i, word in enumerate(one.words):
            if SEPARATORS_OF_WORDS & set(word) or word == conll.DOCUMENT_START:
                where = one.tagged.where(i) if one.tagged else str(part.found.files[0])
                raise InputError(f"{where}: the word {word!r} cannot stand in a column")
        lines += [f"{word} {tag}\n" for word, tag in zip(one.words, schemes.tags(len(one.words), spans), strict=True)]
        lines.append("\n")
    text = "".join(lines)
    name = f"{part.found.language} {part.found.split}, converted"
    read_back, _ = conll.parse(text.encode(), name)
    for one, sentence in zip(part.records, read_back, strict=True):
        if one.words != sentence.words:
            raise InputError(f"{name}: {' '.join(one.words)!r} would be read as {' '.join(sentence.words)!r}")
    return text


def _write(output: Path, files: Sequence[tuple[Found, str]]) -> None:
    make_folder(output.absolute().parent, "output")
    beside = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.absolute().parent))
    try:
        for found, text in files:
            folder = beside / found.language
            folder.mkdir(exist_ok=True)
            (folder / f"{found.split}.txt").write_text(text, encoding="utf-8", newline="\n")
        if output.is_dir():
            output.rmdir()  # it is empty
        beside.chmod(0o755)
        beside.rename(output)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _missing(found: Sequence[Part]) -> list[str]:
    remarks = []
    for language in layouts.languages([part.found for part in found]):
        there = {part.found.split for part in found if part.found.language == language}
        absent = [split for split in ("train", "dev", "test") if split not in there]
        if absent == ["train", "dev"]:
            remarks.append(f"{language}: test alone; it can be a target, and no source")
        elif absent:
            remarks.append(
                f"{language}: no {' and no '.join(absent)}; every language needs train, dev and test, or test alone"
            )
    return remarks


def _unequal(rows: Sequence[tuple[Part, Counter[str]]]) -> list[str]:
    """Which categories a language lacks that others have: F1 on them is 0 where it is the source."""
    there: dict[str, set[str]] = {}
    for part, entities in rows:
        there.setdefault(part.found.language, set()).update(entities)
    every = set().union(*there.values())
    lacking = {language: sorted(every - names) for language, names in there.items() if every - names}
    return [
        f"{language}: no {', '.join(names)}, which {count(len(there) - 1, 'other language')} "
        f"{'has' if len(there) == 2 else 'or some of them have'}; keep=<categories> limits all to what they share"
        for language, names in lacking.items()
    ]
