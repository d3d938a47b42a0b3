"""What a cell or an evaluation measured, as plain values: to be written to disk, and to a tracking server.

No tracking library here: a machine without a server computes the same, and what could not be
delivered waits on disk (`write`, `read`) for one that answers.
"""

import base64
import hashlib
import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nertransfer.core import markdown, schema
from nertransfer.core.files import whole_file
from nertransfer.core.schema import ALL
from nertransfer.corpora.corpus import Split
from nertransfer.corpora.words import spans
from nertransfer.scoring import predicted_entities, sentence_counts
from nertransfer.scoring.scores import Scored

logger = logging.getLogger("nertransfer")
FORMAT = 2
"""Of the file that `write` makes; another one is not read."""
BYTES = "base64"


@dataclass(frozen=True)
class Point:
    """One value of a metric. ``time`` in ms since 1970; ``dataset`` names one of the datasets, or nothing;
    ``epoch`` is the one it belongs to, counted from 1, or 0 for what is measured once."""

    name: str
    value: float
    time: int
    step: int = 0
    dataset: str = ""
    epoch: int = 0


@dataclass(frozen=True)
class Dataset:
    """A split: ``name`` is ``<language>.<split>``, ``digest`` its SHA-256, sizes as counts."""

    name: str
    language: str
    split: str
    digest: str
    sentences: int
    words: int
    entities: int


@dataclass
class Measurements:
    """Everything that is written about one run at its end; ``files`` are texts and bytes by name."""

    key: str
    points: list[Point] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, str | bytes] = field(default_factory=dict)


def of_scores(scored: Sequence[Scored], key: str = "") -> Measurements:
    """All scores tied to their datasets, predictions word by word and as entities, counts by sentence, full tables."""
    now, found = milliseconds(), Measurements(key)
    digests: dict[str, str] = {}
    for one in scored:
        scored_on = dataset(one.split, one.scores.default[ALL].support)
        found.datasets.append(scored_on)
        found.points += [Point(name.key, value, now, dataset=scored_on.name) for name, value in score_values(one)]
        unknown = one.unknown_words / max(one.split.number_of_words, 1)
        if unknown >= schema.LEAST_UNKNOWN:
            found.points.append(Point(schema.UNKNOWN_WORDS + scored_on.name, unknown, now, dataset=scored_on.name))
        found.files[f"{schema.PREDICTIONS}/{scored_on.name}.txt"] = prediction_text(one)
        digests[scored_on.name] = predictions_digest(one.predicted, one.unaligned)
        if strings := sum(map(len, one.unaligned)):
            found.points.append(Point(schema.UNALIGNED + scored_on.name, float(strings), now, dataset=scored_on.name))
    found.tags |= schema.packed(schema.PREDICTIONS_DIGESTS, digests)
    found.files[schema.SCORES_FILE] = scores_csv(scored)
    found.files[schema.SENTENCE_COUNTS] = sentence_counts.to_bytes(
        {(one.split.language, one.split.name): one.counts for one in scored}
    )
    found.files[schema.PREDICTED_ENTITIES] = predicted_entities.to_bytes(
        {(one.split.language, one.split.name): one.entities for one in scored}
    )
    return found


def dataset(split: Split, entities: int) -> Dataset:
    """A split with so many entities."""
    return Dataset(
        f"{schema.stored(split.language)}.{split.name}", split.language, split.name, split.digest, len(split.sentences),
        split.number_of_words, entities,
    )  # fmt: skip


def unscored(split: Split) -> Dataset:
    """A split that no model was scored on."""
    return dataset(split, sum(len(spans(sentence.tags)) for sentence in split.sentences))


def score_values(one: Scored) -> list[tuple[schema.ScoreName, float]]:
    """Every score metric of one target and split, with its name."""
    scores, split, target = one.scores, one.split.name, one.split.language
    found: list[tuple[schema.ScoreName, float]] = []
    for category, value in scores.default.items():
        found += [
            (schema.ScoreName(split, measure, target, category), float(getattr(value, measure)))
            for measure in schema.CATEGORY_MEASURES
        ]
    overall = {f"strict_{m}": getattr(scores.strict[ALL], m) for m in (schema.PRECISION, schema.RECALL, schema.F1)}
    overall |= {"span_f1": scores.span_f1, "invalid_tag_rate": scores.invalid_tag_rate}
    return found + [(schema.ScoreName(split, measure, target), float(v)) for measure, v in overall.items()]


def in_reading_order(points: Iterable[Point]) -> list[Point]:
    """F1 of the source and of every target first, then curves and resources, then all other scores.

    MLflow's pages show metrics in the order in which they came.
    """
    return sorted(points, key=lambda point: _rank(point.name))


def _rank(name: str) -> int:
    score = schema.parse_score_key(name)
    if score is None:
        return 0 if name in map(schema.source_f1, schema.SCORED_SPLITS) else 3
    if score.measure != schema.F1:
        return 5
    return 4 if score.category != ALL else 1 if score.split == "test" else 2


def prediction_text(one: Scored) -> str:
    """CoNLL columns word, gold tag, predicted tag; a blank line after each sentence."""
    return "".join(
        "".join(f"{w} {g} {p}\n" for w, g, p in zip(s.words, s.tags, predicted, strict=True)) + "\n"
        for s, predicted in zip(one.split.sentences, one.predicted, strict=True)
    )


def read_predictions(text: str) -> list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    """The inverse of `prediction_text`: words, gold tags and predicted tags of every sentence."""
    sentences = [block.split("\n") for block in text.removesuffix("\n\n").split("\n\n")] if text else []
    return [tuple(zip(*(line.rsplit(" ", 2) for line in lines), strict=True)) for lines in sentences]  # type: ignore[misc]


def predictions_digest(predicted: Sequence[Sequence[str]], unaligned: Sequence[Sequence[str]] = ()) -> str:
    """Sixteen hexadecimal digits that stand for the predictions on a split: equal tags, equal digits.

    ``unaligned`` as of `nertransfer.scoring.scores.count`."""
    text = "\n".join(" ".join(tags) for tags in predicted)
    if any(unaligned):
        text += "\n\n" + "\n".join(" ".join(sorted(names)) for names in unaligned)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def scores_csv(scored: Sequence[Scored]) -> str:
    """All scores, both modes, every category; fractions at full precision."""
    lines = ["target,split,mode,category,precision,recall,f1,support"]
    for one in scored:
        for mode, table in (("default", one.scores.default), ("strict", one.scores.strict)):
            lines += [
                f"{one.split.language},{one.split.name},{mode},{category},{v.precision!r},{v.recall!r},{v.f1!r},{v.support}"
                for category, v in table.items()
            ]
    return "\n".join(lines) + "\n"


def scores_table(scored: Sequence[Scored], source: str = "") -> str:
    """Scores in percent as a Markdown table, a row per target and split; F1 for each category."""
    categories = sorted({c for s in scored for c in s.scores.default} - {ALL})
    header = ["target", "split", "F1", "precision", "recall", *categories, "entities"]
    rows = []
    for s in scored:
        total = s.scores.default[ALL]
        per = [f"{100 * s.scores.default[c].f1:.1f}" if c in s.scores.default else "" for c in categories]
        name = s.split.language + (" (source)" if s.split.language == source else "")
        values = [f"{100 * v:.1f}" for v in (total.f1, total.precision, total.recall)]
        rows.append([name, s.split.name, *values, *per, str(total.support)])
    return markdown.table(header, rows)


def milliseconds() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


# --- on disk -------------------------------------------------------------------------------------


def write(found: Measurements, path: Path) -> None:
    """Write to ``path``; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        json.dump({"format": FORMAT} | asdict(found), file, default=_as_text)


def _as_text(content: bytes) -> dict[str, str]:
    return {BYTES: base64.b64encode(content).decode()}


def read(path: Path, key: str, datasets: Iterable[str]) -> Measurements | None:
    """What `write` left of the cell with this key; None where nothing fits.

    ``datasets``: digests of the splits that must have been scored.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT or found["key"] != key:
            return None
        known = [Dataset(**one) for one in found["datasets"]]
        points = [Point(**one) for one in found["points"]]
        tags: dict[str, str] = dict(found["tags"])
        files = {
            name: base64.b64decode(content[BYTES]) if isinstance(content, dict) else content
            for name, content in found["files"].items()
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s is of no use, and the cell is measured anew: %s: %s", path, type(error).__name__, error)
        return None
    if not set(datasets) <= {one.digest for one in known}:
        return None
    return Measurements(key, points, known, tags, files)
