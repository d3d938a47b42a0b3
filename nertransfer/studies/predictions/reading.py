"""Files of predictions -> predicted tags of every word, in the order of the corpus. Strict: nothing is guessed.

What is read: columns of words and tags (CoNLL), JSON of tokens or texts with tags or spans, and JSON of strings that
stand somewhere in the sentence.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nertransfer.core.config import PredictionsConfig
from nertransfer.core.errors import InputError
from nertransfer.core.files import decode, read
from nertransfer.core.text import count
from nertransfer.corpora.conll import structure_of
from nertransfer.corpora.conversion import alignment, columns, layouts, records, schemes
from nertransfer.corpora.conversion.converting import Renaming, told
from nertransfer.corpora.conversion.records import WORDS, Record
from nertransfer.corpora.corpus import Corpus, Split
from nertransfer.scoring.scores import Scored, compared
from nertransfer.studies.predictions.files import Part

CONLL, SPANS, STRINGS = "conll", "spans", "strings"
_PREDICTED = ("predictions", "predicted", "prediction", "pred", "predicted_entities")
"""Names under which a record has predictions; what it has beside may be the gold annotation."""
_TEXTS = ("text", "entity", "span", "mention", "word", "name", "value")
"""Names of an entity's own text."""


@dataclass(frozen=True)
class Nowhere:
    """A predicted string that stands nowhere in its sentence, which is counted from 1."""

    target: str
    split: str
    sentence: int
    text: str
    category: str


@dataclass
class Read:
    """The predictions of one file: a record a sentence, and by sentence the strings that stand nowhere in it."""

    part: Part
    split: Split
    how: str
    records: list[Record] = field(default_factory=list)
    nowhere: list[list[tuple[str, str]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Predictions:
    """All that a system predicted, scored; ``told``: what was read how, and what was done, a line each."""

    scored: Sequence[Scored]
    nowhere: Sequence[Nowhere]
    told: Sequence[str]


def read_all(parts: Sequence[Part], corpora: Mapping[str, Corpus], config: PredictionsConfig) -> Predictions:
    """Read and score every file.

    Raises InputError, naming file and line, on whatever does not fit; then nothing has been changed.
    """
    found = [_read(part, corpora[part.target].splits[part.split], config) for part in parts]
    lines = []
    tagged = [one.tagged for file in found for one in file.records if one.tagged]
    scheme: str = config.reading.scheme
    if tagged:
        detected = schemes.detect(tagged) if scheme == schemes.AUTO else schemes.Detected(scheme, "asked for")
        lines.append(f"tags are {detected.scheme.upper()} ({detected.why})")
        scheme = detected.scheme
    names = Renaming.of(_categories(found, scheme), config.reading)
    scored, nowhere = [], []
    for file in found:
        tags = [_tags(one, scheme, names, file.counts) for one in file.records]
        strings = [
            [(text, name) for text, old in one if (name := names.category(old, file.counts))] for one in file.nowhere
        ]
        scored.append(compared(file.split, tags, unaligned=[[name for _, name in one] for one in strings]))
        target, split = file.part.target, file.part.split
        nowhere += [Nowhere(target, split, i, *one) for i, there in enumerate(strings, start=1) for one in there]
        if lost := sum(map(len, strings)):
            file.counts["strings that stand nowhere in their sentence, counted as wrong entities"] += lost
        lines.append("; ".join([f"{target} {split}: {file.part.path}, {file.how}", *told(file.counts)]))
    _check_categories(scored)
    return Predictions(scored, nowhere, [*lines, *_remarks(scored)])


def _read(part: Part, split: Split, config: PredictionsConfig) -> Read:
    if not split.sentences:
        raise InputError(f"{part.path}: the corpus of {part.target} has no {part.split} split", "predictions")
    text = decode(read(part.path, "predictions"), part.path)
    if not text.strip():
        raise InputError(f"{part.path}:1: the file is empty", "predictions")
    asked = config.format
    structure = structure_of(text)
    is_json = part.path.suffix.lower() in layouts.RECORDS or structure == "JSON"
    if structure == "XML or HTML":
        raise InputError(f"{part.path}:1: {structure}; give CoNLL columns, or JSON Lines", "predictions")
    if asked == CONLL or (asked == "auto" and not is_json):
        return _columns(part, split, text, config)
    items = list(records.of_json(text, str(part.path), lists=True))
    kind = _kind(items, str(part.path)) if asked == "auto" else asked
    found = Read(part, split, "JSON")
    _check_number(part, len(items), split)
    for (number, item), sentence in zip(items, split.sentences, strict=True):
        where = f"{part.path}:{number}"
        if kind == STRINGS:
            spans, nowhere = _strings(item, sentence.words, where, config)
            found.records.append(Record(sentence.words, entities=tuple(spans)))
            found.nowhere.append(nowhere)
        else:
            found.records.append(_spans(item, sentence.words, where, part, number, config, found.counts))
    rule = ", in any case" if config.ignore_case else ""
    found.how = f"JSON, strings looked for among the words{rule}" if kind == STRINGS else "JSON, tags or spans"
    return found


# --- columns ----------------------------------------------------------------------------------------------


def _columns(part: Part, split: Split, text: str, config: PredictionsConfig) -> Read:
    counts: Counter[str] = Counter()
    asked = columns.parse_columns(config.reading.columns)
    known = {word for sentence in split.sentences for word in sentence.words}
    rows = columns.read(text, str(part.path), asked, counts, known)
    found = Read(part, split, f"columns, {rows.columns}", counts=counts)
    for number, (words, tagged, sentence) in enumerate(
        zip(rows.words, rows.tagged, split.sentences, strict=False), start=1
    ):
        for i, (word, gold) in enumerate(zip(words, sentence.words, strict=False)):
            if word != gold:
                raise InputError(
                    f"{tagged.where(i)}: the word {word!r}; word {i + 1} of sentence {number} of {part.target} "
                    f"{part.split} is {gold!r}", "predictions",
                )  # fmt: skip
        if len(words) != len(sentence.words):
            here = "ends after" if len(words) < len(sentence.words) else "goes on after"
            shorter = min(len(words), len(sentence.words))
            raise InputError(
                f"{tagged.where(shorter - 1)}: sentence {number} {here} {words[shorter - 1]!r} and has "
                f"{count(len(words), 'word')}; that of {part.target} {part.split} has {len(sentence.words)}",
                "predictions",
            )
    _check_number(part, len(rows.words), split)
    found.records = [Record(words, tagged) for words, tagged in zip(rows.words, rows.tagged, strict=True)]
    return found


def _check_number(part: Part, there: int, split: Split) -> None:
    if there != len(split.sentences):
        raise InputError(
            f"{part.path}: {count(there, 'sentence')}; {part.target} {part.split} has {len(split.sentences)}, and each "
            "needs its predictions, be they none", "predictions",
        )  # fmt: skip


# --- JSON -----------------------------------------------------------------------------------------------------


def _kind(items: Sequence[tuple[int, Any]], path: str) -> str:
    """Whether records have strings, or tags and spans; raises InputError where some have the one, some the other."""
    first: dict[str, int] = {}
    for number, item in items:
        if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], Mapping):
            first.setdefault(SPANS, number)
            continue
        listed = item if isinstance(item, list) else _entities(item) if isinstance(item, Mapping) else []
        if not isinstance(listed, list) or (not listed and isinstance(item, list)):
            continue
        if any(map(_is_string, listed)):
            first.setdefault(STRINGS, number)
        elif listed:
            first.setdefault(SPANS, number)
    if len(first) > 1:
        raise InputError(
            f"{path}:{first[STRINGS]}: entities as strings, and {path}:{first[SPANS]}: as tags or spans; one file has "
            "one form", "format",
        )  # fmt: skip
    bare = all(isinstance(item, list) for _, item in items)
    return next(iter(first), STRINGS if bare else SPANS)


def _predictions(item: Mapping[str, Any]) -> dict[str, Any]:
    """A record without what it has beside its predictions, where these have a name of their own."""
    own = next((name for name in _PREDICTED if isinstance(item.get(name), list)), None)
    if own is None:
        return dict(item)
    value = item[own]
    are_tags = bool(value) and all(isinstance(one, str | int) for one in value)
    left = {name: one for name, one in item.items() if name not in (*records.TAGS, *records.SPANS, *_PREDICTED)}
    words = any(isinstance(item.get(name), list) for name in WORDS)
    return left | {"tags" if are_tags and words else "entities": value}


def _entities(item: Mapping[str, Any]) -> Any:
    item = _predictions(item)
    name = records.first(item, records.SPANS, list)
    return item[name] if name else []


def _is_string(one: Any) -> bool:
    """Whether an entity is a string and its category, and no place."""
    if isinstance(one, Mapping):
        places = ("start", "start_offset", "end", "end_offset")
        return not any(isinstance(one.get(name), int) for name in places) and any(name in one for name in _TEXTS)
    return isinstance(one, list) and len(one) == 2 and all(isinstance(part, str) for part in one)


def _spans(
    item: Any, words: tuple[str, ...], where: str, part: Part, number: int, config: PredictionsConfig,
    counts: Counter[str],
) -> Record:  # fmt: skip
    item = _predictions(records.plain(item, where))
    overlaps = config.reading.overlaps
    if (tokens := records.first(item, WORDS, list)) is not None:
        _check_words(item[tokens], words, where)
        return records.of_words(item, words, where, str(part.path), number, overlaps, config.reading.labels, counts)
    text, spans = records.text_and_spans(item, where, counts)
    found = alignment.of_characters(spans, text, words, config.half_words, where, counts)
    return Record(words, entities=tuple(records.apart(found, where, overlaps, counts, words)))


def _check_words(given: Sequence[Any], words: Sequence[str], where: str) -> None:
    for i, (one, gold) in enumerate(zip(given, words, strict=False), start=1):
        if one != gold:
            raise InputError(f"{where}: word {i} is {records.short(one)}, and the corpus has {gold!r} there")
    if len(given) != len(words):
        raise InputError(f"{where}: {count(len(given), 'word')}, and the sentence of the corpus has {len(words)}")


def _strings(
    item: Any, words: Sequence[str], where: str, config: PredictionsConfig
) -> tuple[list[schemes.Span], list[tuple[str, str]]]:
    listed = item
    if isinstance(item, Mapping):
        item = _predictions(item)
        name = records.first(item, records.SPANS, list)
        if name is None:
            raise InputError(f"{where}: no list of entities; it has {', '.join(map(str, item)) or 'nothing'}")
        listed = item[name]
        if (tokens := records.first(item, WORDS, list)) is not None:
            _check_words(item[tokens], words, where)
        elif isinstance(item.get("text"), str):
            alignment.words_of_characters(item["text"], words, where)
    if not isinstance(listed, list):
        raise InputError(f"{where}: {records.short(item)} is no list of entities; [] says that there are none")
    return alignment.of_strings([_string(one, where) for one in listed], words, config.ignore_case)


def _string(one: Any, where: str) -> tuple[str, str]:
    """Text and category of an entity."""
    parts: list[Any] = one if isinstance(one, list) else []
    if isinstance(one, Mapping):
        label = next((one[name] for name in records.CATEGORY if name in one), None)
        text = next((one[name] for name in _TEXTS if name in one), None)
        parts = [text, label[0] if isinstance(label, list) and len(label) == 1 else label]
    if len(parts) != 2 or not all(isinstance(part, str) for part in parts) or not parts[1].strip():
        raise InputError(
            f'{where}: {records.short(one)} is no entity: ["Kano", "LOC"], or {{"text": "Kano", "label": "LOC"}}'
        )
    return parts[0], parts[1].strip()


# --- categories -------------------------------------------------------------------------------------------------


def _categories(found: Sequence[Read], scheme: str) -> set[str]:
    """Every category of the predictions."""
    counts: Counter[str] = Counter()
    there = {category for file in found for one in file.nowhere for _, category in one}
    for file in found:
        for one in file.records:
            spans = one.entities if one.tagged is None else schemes.spans(one.tagged, scheme, counts)
            there.update(category for *_, category in spans)
    return there


def _tags(one: Record, scheme: str, names: Renaming, counts: Counter[str]) -> list[str]:
    """The predicted IOB2 tags of a sentence. Those that are IOB2 already stay as they are, stray I- tags, too."""
    if (
        one.tagged is not None
        and scheme == "iob2"
        and not names.names
        and all(tag == schemes.OUTSIDE or schemes.split(tag)[1] in names.kept for tag in one.tagged.tags)
    ):
        return list(one.tagged.tags)
    spans = one.entities if one.tagged is None else schemes.spans(one.tagged, scheme, counts)
    return list(schemes.tags(len(one.words), names.spans(spans, counts)))


def _check_categories(scored: Sequence[Scored]) -> None:
    """Raise InputError where no predicted entity has a category that the corpora have: all would be wrong."""
    gold = {name for one in scored for name in _gold(one)}
    predicted = {name for one in scored for name in one.counts.categories if one.counts.predicted.any()} - gold
    shared = {name for one in scored for name, n in _numbers(one).items() if n} & gold
    if predicted and not shared and gold:
        name = sorted(predicted)[0]
        raise InputError(
            f"no predicted entity has a category of the corpora: {', '.join(sorted(predicted))}, and they have "
            f"{', '.join(sorted(gold))}; categories={name}={sorted(gold)[0]},... renames them", "categories",
        )  # fmt: skip


def _gold(one: Scored) -> set[str]:
    there = one.counts.gold.sum(axis=0)
    return {name for name, used in zip(one.counts.categories, there, strict=True) if used}


def _numbers(one: Scored) -> dict[str, int]:
    """How many entities are predicted of each category."""
    return dict(zip(one.counts.categories, map(int, one.counts.predicted.sum(axis=0)), strict=True))


def _remarks(scored: Sequence[Scored]) -> list[str]:
    """What may be a mistake of whoever made the files."""
    lines = []
    numbers: Counter[str] = Counter()
    for one in scored:
        gold = _gold(one)
        numbers.update({name: n for name, n in _numbers(one).items() if name not in gold and n})
    if numbers:
        told_of = ", ".join(f"{name} ({n:,})" for name, n in sorted(numbers.items()))
        lines.append(f"categories that a target does not have, all counted as wrong: {told_of}; categories= renames")
    for one in scored:
        where = f"{one.split.language} {one.split.name}"
        if not one.counts.predicted.any():
            lines.append(f"{where}: no entity is predicted at all")
        elif all(
            tuple(tags) == sentence.tags for tags, sentence in zip(one.predicted, one.split.sentences, strict=True)
        ):
            lines.append(f"{where}: every tag is the gold one; if that is the gold column, columns= names another")
    return lines
