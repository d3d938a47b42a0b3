"""JSON and JSON Lines of annotated text -> words and entities. Pure.

Records are tokens with tags, tokens with spans, or texts with character spans.

Understood are the exports of doccano, Label Studio, spaCy and Prodigy, GLiNER's records, and rows of Hugging Face
datasets.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nertransfer.core.errors import InputError
from nertransfer.core.files import BYTE_ORDER_MARK
from nertransfer.corpora.conversion.schemes import Span, Tagged
from nertransfer.corpora.words import split_text

WORDS = ("tokens", "words", "tokenized_text")
TAGS = ("ner_tags", "tags", "ner", "labels", "entities", "label")
SPANS = ("entities", "spans", "label", "labels", "ner", "annotations")
_BEGIN, _END = ("start", "start_offset"), ("end", "end_offset")
CATEGORY = ("label", "labels", "category", "type", "entity_type", "entity_group")
LINES = (".jsonl", ".ndjson")
"""Endings of files that have a record a line."""
REFUSE, LONGEST = "refuse", "longest"
"""What happens to entities that overlap: an error; or the longest one stays, of equals the first."""


@dataclass(frozen=True)
class Record:
    """A sentence: ``tagged`` where it has tags in some scheme, else its ``entities``."""

    words: tuple[str, ...]
    tagged: Tagged | None = None
    entities: tuple[Span, ...] = ()


def of_json(text: str, path: str, lists: bool = False) -> Iterator[tuple[int, Any]]:
    """The records of a file of JSON, which is a list, or of JSON Lines, with their number: that of the line or item.

    ``lists``: a record may be a list itself, so that one in a line of its own is not the list of all. Raises InputError
    that names the line of what is no JSON.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    if text.lstrip().startswith("[") and not (lists and Path(path).suffix.lower() in LINES):
        try:
            items = json.loads(text)
            yield from enumerate(items, start=1)
            return
        except ValueError as error:
            first = text.lstrip().partition("\n")[0].rstrip()
            if not first.endswith("]") or first == "[]":
                line = getattr(error, "lineno", 1)
                raise InputError(f"{path}:{line}: not JSON: {error}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}:{number}: not JSON: {error}") from None


def read(
    items: Iterator[tuple[int, Any]],
    path: str,
    overlaps: str,
    names: Sequence[str],
    counts: Counter[str],
) -> list[Record]:
    """The sentences of records. ``names``: of tags that are numbers, by number.

    ``counts`` of what was done to the annotation. Raises InputError that names the record of what does not fit.
    """
    found: list[Record] = []
    for number, item in items:
        where = f"{path}:{number}"
        found += _record(item, where, path, number, overlaps, names, counts)
    if not found:
        raise InputError(f"{path}:1: no sentence")
    return found


def _record(
    item: Any, where: str, path: str, number: int, overlaps: str, names: Sequence[str], counts: Counter[str]
) -> list[Record]:
    item = plain(item, where)
    if (tokens := first(item, WORDS, list)) is not None:
        words = item[tokens]
        if not all(isinstance(word, str) and word.strip() for word in words):
            bad = next(word for word in words if not (isinstance(word, str) and word.strip()))
            raise InputError(f"{where}: {tokens} has {short(bad)}, which is no word")
        if not words:
            counts["records without a word left out"] += 1
            return []
        return [of_words(item, tuple(words), where, path, number, overlaps, names, counts)]
    text, spans = text_and_spans(item, where, counts)
    return _of_text(text, spans, where, overlaps, counts)


def plain(item: Any, where: str) -> dict[str, Any]:
    """A record as an object, also of spaCy's training format and of Label Studio's export."""
    if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], dict):
        item = {"text": item[0], **item[1]}  # spaCy's training format
    if not isinstance(item, dict):
        raise InputError(f"{where}: {short(item)} is no record with tokens and tags, or a text and entities")
    if isinstance(item.get("data"), dict) and "annotations" in item:
        item = _label_studio(item, where)
    return item


def text_and_spans(item: Mapping[str, Any], where: str, counts: Counter[str]) -> tuple[str, list[Span]]:
    """The text of a record and its spans of characters, without white space around them."""
    text = item.get("text")
    if not isinstance(text, str):
        raise InputError(
            f"{where}: neither {', '.join(WORDS)} nor text; it has {', '.join(map(str, item)) or 'nothing'}"
        )
    annotated = first(item, SPANS, list)
    if annotated is None:
        raise InputError(f"{where}: no {', '.join(SPANS)} beside text; it has {', '.join(map(str, item))}")
    found = []
    for begin, end, category in [_span(one, where) for one in item[annotated]]:
        if not 0 <= begin < end <= len(text):
            raise InputError(f"{where}: {category} from {begin} to {end} of a text of {len(text)} characters")
        part = text[begin:end]
        new = (begin + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip()))
        if new[0] >= new[1]:
            raise InputError(f"{where}: {category} from {begin} to {end} covers white space alone")
        counts["entities without the white space around them"] += new != (begin, end)
        found.append((*new, category))
    return text, found


def of_words(
    item: Mapping[str, Any], words: tuple[str, ...], where: str, path: str, number: int, overlaps: str,
    names: Sequence[str], counts: Counter[str],
) -> Record:  # fmt: skip
    """The record of ``words`` with the tags or the spans of words that ``item`` has."""
    for key in TAGS:
        tags = item.get(key)
        if not isinstance(tags, list) or (tags and not isinstance(tags[0], str | int)):
            continue
        if len(tags) != len(words):
            raise InputError(f"{where}: {len(words)} words and {len(tags)} {key}")
        if all(isinstance(tag, int) for tag in tags):
            if not names:
                raise InputError(
                    f"{where}: {key} are numbers, and nothing says what they mean; give labels=O,B-PER,I-PER,...",
                    "labels",
                )
            if bad := [tag for tag in tags if not 0 <= tag < len(names)]:
                raise InputError(f"{where}: {key} has {bad[0]}; there are names for 0 to {len(names) - 1}", "labels")
            tags = [names[tag] for tag in tags]
        return Record(words, Tagged(tuple(map(str, tags)), path, (number,) * len(words)))
    annotated = first(item, SPANS, list)
    if annotated is None:
        raise InputError(f"{where}: words without {', '.join(dict.fromkeys([*TAGS, *SPANS]))}")
    entities = []
    for one in item[annotated]:
        begin, end, category = _span(one, where)
        if not 0 <= begin <= end < len(words):
            raise InputError(f"{where}: entity {begin} to {end} of {len(words)} words; both are counted from 0")
        entities.append((begin, end + 1, category))  # GLiNER: the last word belongs to it
    return Record(words, entities=tuple(apart(entities, where, overlaps, counts, words)))


def _label_studio(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A task of Label Studio's export; raises InputError where it has several annotations, or several texts."""
    texts = [value for value in item["data"].values() if isinstance(value, str)]
    done = [one for one in item["annotations"] if not one.get("was_cancelled")]
    if len(done) != 1:
        raise InputError(f"{where}: {len(done)} annotations of one text; export one each")
    text = item["data"].get("text", texts[0] if len(texts) == 1 else None)
    results = [one["value"] for one in done[0].get("result", []) if isinstance(one.get("value"), dict)]
    return {"text": text, "entities": [one for one in results if "start" in one and "end" in one]}


def _span(one: Any, where: str) -> Span:
    if isinstance(one, Mapping):
        places: list[Any] = [next((one[n] for n in names if n in one), None) for names in (_BEGIN, _END, CATEGORY)]
        if isinstance(places[2], list) and len(places[2]) == 1:
            places[2] = places[2][0]
    else:
        places = list(one) if isinstance(one, list) else []
    if (
        len(places) != 3
        or not all(isinstance(place, int) and not isinstance(place, bool) for place in places[:2])
        or not isinstance(places[2], str)
    ):
        raise InputError(f"{where}: {short(one)} is no entity of a start, an end and one label")
    return places[0], places[1], places[2]


def _of_text(text: str, spans: Sequence[Span], where: str, overlaps: str, counts: Counter[str]) -> list[Record]:
    """The lines of a text as sentences, split into words as raw text is."""
    trimmed = apart(spans, where, overlaps, counts, text)
    found, taken, offset = [], 0, 0
    for line in text.split("\n"):
        places = split_text(line)
        here = [(b - offset, e - offset, c) for b, e, c in trimmed if offset <= b < offset + len(line) + 1]
        entities = [_words_of(line, places, span, where) for span in here]
        taken += len(entities)
        if places:
            found.append(Record(tuple(line[b:e] for b, e in places), entities=tuple(entities)))
        offset += len(line) + 1
    assert taken == len(trimmed)
    return found


def _words_of(line: str, places: Sequence[tuple[int, int]], span: Span, where: str) -> Span:
    """The words that a span of characters covers; raises InputError where it covers a part of one."""
    begin, end, category = span
    if end > len(line):
        raise InputError(f"{where}: {category} {line[begin:]!r} goes on in the next line")
    inside = [i for i, (b, e) in enumerate(places) if b < end and e > begin]
    first, last = inside[0], inside[-1]
    for i in (first, last):
        b, e = places[i]
        if b < begin or e > end:
            raise InputError(f"{where}: {category} {line[begin:end]!r} covers a part of the word {line[b:e]!r}")
    return first, last + 1, category


def apart(
    spans: Sequence[Span], where: str, overlaps: str, counts: Counter[str], of: str | Sequence[str]
) -> list[Span]:
    """Entities of which none overlaps another, in order; raises InputError where some do and none may be left out."""
    kept: list[Span] = []
    ordered = sorted(dict.fromkeys(spans), key=lambda span: (span[0] - span[1], span[0]))
    counts["entities that were there twice"] += len(spans) - len(ordered)
    for span in ordered:
        other = next((one for one in kept if one[0] < span[1] and span[0] < one[1]), None)
        if other is None:
            kept.append(span)
        elif overlaps == LONGEST:
            counts["entities left out, which overlap a longer one"] += 1
        else:
            texts = [f"{c} {' '.join(of[b:e]) if not isinstance(of, str) else of[b:e]!r}" for b, e, c in (other, span)]
            raise InputError(
                f"{where}: {texts[0]} and {texts[1]} overlap; overlaps=longest keeps the longest", "overlaps"
            )
    return sorted(kept)


def first(item: Mapping[str, Any], names: Sequence[str], kind: type) -> str | None:
    """The first of ``names`` under which a record has something of a kind."""
    return next((name for name in names if isinstance(item.get(name), kind)), None)


def short(value: object) -> str:
    """A value as JSON, cut to a line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
