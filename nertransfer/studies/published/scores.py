"""Published result files of one cell -> measurements: scored anew against the gold corpus, compared with the report.

No model library and no tracking: many cells are measured at once, in processes that start fast.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nertransfer.core import schema
from nertransfer.core.errors import InputError
from nertransfer.core.files import read
from nertransfer.core.schema import ALL
from nertransfer.core.text import count
from nertransfer.corpora.corpus import Split
from nertransfer.corpora.words import OUTSIDE
from nertransfer.scoring import scores
from nertransfer.scoring.measurements import Measurements, Point, dataset, milliseconds, of_scores
from nertransfer.scoring.scores import Score, Scored
from nertransfer.studies.published import files as published_files

FORMAT = 1
"""Part of every key: raised when the measurements of an import change."""
TOLERANCE = 1e-9
DISAGREEMENT_COLUMNS = ("cell", "target", "split", "category", "measure", "reported", "rescored", "remark")


@dataclass(frozen=True)
class Files:
    """The folders of one cell: its own, and by target those of the same model on other languages."""

    cell: published_files.CellName
    folder: Path
    targets: Mapping[str, Path]


@dataclass(frozen=True)
class Disagreement:
    """A reported value that is not what the predictions give, or predictions that do not fit the corpus."""

    cell: str
    target: str
    split: str
    category: str = ""
    measure: str = ""
    reported: float | None = None
    rescored: float | None = None
    remark: str = ""


@dataclass
class Imported:
    """One cell: what is written about it, and where reported and counted values differ."""

    files: Files
    measured: Measurements
    start_location: str
    disagreements: list[Disagreement] = field(default_factory=list)


def name_of(cell: published_files.CellName) -> str:
    """The name of a cell's run, as for cells of our own."""
    return f"{cell.start}-{cell.source}-s{cell.seed}"


class Gold:
    """The dev and test splits of every language, with the entities of the test splits found once."""

    def __init__(self, splits: Mapping[tuple[str, str], Split]) -> None:
        self.splits = splits
        self._entities: dict[str, scores.Entities] = {}

    def entities(self, language: str) -> scores.Entities:
        if language not in self._entities:
            tags = [sentence.tags for sentence in self.splits[language, "test"].sentences]
            self._entities[language] = scores.entities(tags)
        return self._entities[language]


def key_of(files: Files, gold: Gold) -> str:
    """Digest of the result files of the cell and of the corpora that it is scored against."""
    found = hashlib.sha256(f"import {FORMAT}".encode())
    for name, path in sorted(_result_files(files)):
        found.update(f"\n{name} {hashlib.sha256(read(path)).hexdigest()}".encode())
    for language, split in sorted(gold.splits):
        if language == files.cell.source or language in files.targets:
            found.update(f"\n{language} {split} {gold.splits[language, split].digest}".encode())
    return found.hexdigest()[:32]


def _result_files(files: Files) -> Iterator[tuple[str, Path]]:
    for name in (*published_files.CELL_FILES, published_files.CONFIG_FILE):
        if (files.folder / name).is_file():
            yield f"{files.folder.name}/{name}", files.folder / name
    for folder in files.targets.values():
        yield from ((f"{folder.name}/{name}", folder / name) for name in published_files.TARGET_FILES)


def measure(files: Files, gold: Gold, key: str) -> Imported:
    """Score every target of a cell.

    Raises InputError, naming file and line, where the fine-tuning's own files cannot be read; another target's are told
    as a disagreement.
    """
    scored: list[Scored] = []
    reported: list[tuple[str, str, published_files.Reported]] = []
    found = Imported(files, Measurements(key), published_files.read_start(files.folder))
    folders = {files.cell.source: files.folder} | {
        target: folder for target, folder in files.targets.items() if target != files.cell.source
    }
    for target, folder in folders.items():
        try:
            there = _read(folder / "test_results.txt")
            reported.append((target, "test", there))
            one = _scored(folder / "test_predictions.txt", target, gold, found)
        except InputError as error:
            if target == files.cell.source:
                raise
            _unfit(found, target, str(error))  # one target that cannot be read costs no other
            continue
        if one is not None:
            scored.append(one)
            found.disagreements += _compared(name_of(files.cell), one, there)
    _compare_twins(files, found)
    source = files.cell.source
    dev = _read(files.folder / "eval_results.txt")
    reported.append((source, "dev", dev))
    found.measured = of_scores(scored, key)
    _add_dev(found, gold.splits[source, "dev"], dev)
    found.measured.files[schema.REPORTED_FILE] = _reported_csv(reported)
    for target, split, there in reported:
        found.measured.points += _reported_points(target, split, there)
    found.measured.points += [
        Point(schema.source_f1(split), value, milliseconds())
        for split, value in (("dev", dev.f1), ("test", _own_test(scored, source)))
        if value is not None
    ]
    return found


def _own_test(scored: list[Scored], source: str) -> float | None:
    return next((one.scores.default[ALL].f1 for one in scored if one.split.language == source), None)


def _read(path: Path) -> published_files.Reported:
    return published_files.parse_results(published_files.read_text(path), path)


def _scored(path: Path, target: str, gold: Gold, found: Imported) -> Scored | None:
    """The predictions of a file beside the gold tags; None, and a disagreement, where they are of other sentences."""
    split = gold.splits[target, "test"]
    read = published_files.read_predictions(path)
    predicted, untagged = [], 0
    first = 0
    ends = read.sentence_ends
    if len(ends) != len(split.sentences):
        there = count(len(ends), "sentence")
        _unfit(found, target, f"{path.name} has {there}, the corpus {len(split.sentences)}")
        return None
    for number, (sentence, end) in enumerate(zip(split.sentences, ends, strict=True), start=1):
        words, tags = read.words[first:end], read.tags[first:end]
        if tuple(words) != sentence.words[: len(words)]:
            _unfit(found, target, f"sentence {number} of {path.name} is not that of the corpus")
            return None
        # the published code wrote no line for words beyond its window
        missing = len(sentence.words) - len(words)
        untagged += missing
        predicted.append(tags + [OUTSIDE] * missing)
        first = end
    if untagged:
        remark = f"no predicted tag of {count(untagged, 'word')}; taken as {OUTSIDE}"
        found.disagreements.append(Disagreement(name_of(found.files.cell), target, "test", remark=remark))
    return scores.compared(split, predicted, gold.entities(target))


def _unfit(found: Imported, target: str, remark: str) -> None:
    text = f"not scored anew: {remark}"
    found.disagreements.append(Disagreement(name_of(found.files.cell), target, "test", remark=text))


def _compared(cell: str, one: Scored, reported: published_files.Reported) -> Iterator[Disagreement]:
    """Every reported value that differs from the counted one by more than its printed precision."""
    target, split = one.split.language, one.split.name
    table = one.scores.default
    for measure in (schema.F1, schema.PRECISION, schema.RECALL):
        there, counted = getattr(reported, measure), getattr(table[ALL], measure)
        if not abs(there - counted) <= TOLERANCE:  # also where it is not a number
            yield Disagreement(cell, target, split, ALL, measure, there, counted)
    half = 0.5 * 10.0**-reported.decimals + TOLERANCE
    for category in sorted({*reported.categories, *table} - {ALL}):
        line, mine = reported.categories.get(category), table.get(category)
        if line is None or mine is None:
            side = "the report" if line is None else "the corpus and the predictions"
            yield Disagreement(cell, target, split, category, remark=f"category is not in {side}")
            continue
        for measure in (schema.PRECISION, schema.RECALL, schema.F1):
            if not abs(getattr(line, measure) - getattr(mine, measure)) <= half:
                yield Disagreement(
                    cell, target, split, category, measure, getattr(line, measure), getattr(mine, measure)
                )
        if line.support != mine.support:
            yield Disagreement(cell, target, split, category, schema.SUPPORT, line.support, mine.support)


def _compare_twins(files: Files, found: Imported) -> None:
    """The source was scored twice, with fine-tuning and among the targets: both must say the same."""
    twin = files.targets.get(files.cell.source)
    if twin is None:
        return
    for name in ("test_results.txt", "test_predictions.txt"):
        if read(files.folder / name) != read(twin / name):
            remark = f"{name} of the fine-tuning differs from that of v20; the former counts"
            found.disagreements.append(
                Disagreement(name_of(files.cell), files.cell.source, "test", remark=remark)
            )  # fmt: skip


def _add_dev(found: Imported, split: Split, reported: published_files.Reported) -> None:
    """The dev scores as they were reported: their predictions were not published."""
    tags = [sentence.tags for sentence in split.sentences]
    gold = scores.entities(tags)
    support = {name: int((gold.category == i).sum()) for i, name in enumerate(gold.categories)}
    cell, language, now = name_of(found.files.cell), split.language, milliseconds()
    for category in sorted({*support, *reported.categories}):
        there = reported.categories[category].support if category in reported.categories else 0
        if there != support.get(category, 0):
            found.disagreements.append(
                Disagreement(
                    cell, language, "dev", category, schema.SUPPORT, there, support.get(category, 0),
                    "supports of the report and of the corpus",
                )
            )  # fmt: skip
    scored_on = dataset(split, len(gold.first))
    found.measured.datasets.append(scored_on)
    values = {measure: getattr(reported, measure) for measure in (schema.F1, schema.PRECISION, schema.RECALL)}
    for measure, value in (values | {schema.SUPPORT: float(len(gold.first))}).items():
        key = schema.ScoreName("dev", measure, language).key
        found.measured.points.append(Point(key, value, now, dataset=scored_on.name))


def _reported_csv(reported: Sequence[tuple[str, str, published_files.Reported]]) -> str:
    """Everything that was reported, as printed: fractions, the categories to two decimals; loss in nats."""
    lines = ["target,split,category,precision,recall,f1,support,loss"]
    for target, split, one in reported:
        lines.append(f"{target},{split},{ALL},{one.precision!r},{one.recall!r},{one.f1!r},,{one.loss!r}")
        lines += [
            f"{target},{split},{category},{line.precision!r},{line.recall!r},{line.f1!r},{line.support},"
            for category, line in one.categories.items()
        ]
    return "\n".join(lines) + "\n"


def _reported_points(target: str, split: str, reported: published_files.Reported) -> Iterator[Point]:
    now = milliseconds()
    for measure in (schema.F1, schema.PRECISION, schema.RECALL):
        key = schema.ScoreName(split, measure, target).key
        yield Point(schema.REPORTED + key, getattr(reported, measure), now)


def measure_baseline(name: published_files.BaselineName, path: Path) -> Measurements:
    """Test scores of a replicate as they were reported, categories to the printed decimals: there is nothing to count
    anew. Raises InputError, naming file and line, where the file cannot be read."""
    text, language = published_files.read_text(path), name.language
    reported = published_files.parse_results(text, path)
    key = hashlib.sha256(f"baseline {name} {text}".encode()).hexdigest()[:32]
    found, now = Measurements(key), milliseconds()
    found.files[schema.REPORTED_FILE] = _reported_csv([(language, "test", reported)])
    support = sum(line.support for line in reported.categories.values())
    table = {ALL: Score(reported.precision, reported.recall, reported.f1, support)}
    for category, line in (table | dict(reported.categories)).items():
        for measure in schema.CATEGORY_MEASURES:
            metric = schema.ScoreName("test", measure, language, category).key
            found.points.append(Point(metric, float(getattr(line, measure)), now))
    found.points += _reported_points(language, "test", reported)
    return found


# --- many cells, in processes of their own ---------------------------------------------------------

_gold: Gold | None = None
_known: frozenset[str] = frozenset()


def begin(splits: Mapping[tuple[str, str], Split], known: frozenset[str]) -> None:
    """In a worker: what all its cells need. ``known``: keys that are tracked already."""
    global _gold, _known
    _gold, _known = Gold(splits), known


def measure_one(files: Files) -> Imported | str | InputError:
    """In a worker: one cell; its key where that is known already, and the error where a file cannot be read."""
    assert _gold is not None
    try:
        key = key_of(files, _gold)
        return key if key in _known else measure(files, _gold, key)
    except InputError as error:
        return error
