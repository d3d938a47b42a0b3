"""A table of scores as CSV -> the reported scores of every cell. What does not fit is an error, or is listed.

The columns are those of the report's ``results.csv``, of which `NEEDED` suffice: so a study's scores, or those of a
paper, are analysed where no predictions are at hand.
"""

import csv
import hashlib
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nertransfer.core import grid, schema
from nertransfer.core.errors import InputError
from nertransfer.core.files import decode, read
from nertransfer.core.schema import ALL
from nertransfer.core.text import count
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.labels import category_of, spans
from nertransfer.scoring.measurements import Measurements, Point, milliseconds
from nertransfer.studies.published.files import CellName, Unfit

NEEDED = ("start", "source", "seed", "target", schema.F1)
OPTIONAL = {"split": "test", "category": ALL, schema.PRECISION: "", schema.RECALL: "", schema.SUPPORT: ""}
"""What a row without the column, or with nothing in it, is taken to have."""
FEW_SHOT = (schema.FEW_SHOT_LANGUAGE, schema.FEW_SHOT_SENTENCES, schema.FEW_SHOT_MODE)
UNREAD = (schema.SOURCE_LANGUAGES,)
"""Of the columns of ``results.csv``, those that say nothing more."""
FORMAT = 1
"""Part of every key: raised when what is made of a row changes."""

Row = tuple[str, str, str, dict[str, float]]
"""Target, split, category, and what was measured: fractions, support in entities."""


@dataclass(frozen=True)
class Table:
    """The rows of every cell, in the order of the file, and what of it is left out."""

    cells: Mapping[CellName, Sequence[Row]]
    unfit: Sequence[Unfit]


def parse(path: Path) -> Table:
    """Read a table of scores.

    F1, precision and recall are fractions. Raises InputError, naming the line, on a column that is missing, a value
    that does not fit, a score that is there twice, and one of a category without that of all of them together.
    """
    reader = csv.reader(io.StringIO(decode(read(path), path), newline=""), strict=True)
    header = next(reader, [])
    columns = _columns(header, path)
    cells: dict[CellName, list[Row]] = {}
    seen: dict[tuple, int] = {}
    few_shot = []
    try:
        for fields in reader:
            line = reader.line_num
            if not any(fields):
                continue
            if len(fields) != len(header):
                there, wanted = count(len(fields), "field"), len(header)
                raise InputError(f"{path}:{line}: {there}; the header has {wanted}", "results")
            row = {name: fields[place].strip() for name, place in columns.items()}
            if any(row.get(name) for name in FEW_SHOT):
                few_shot.append(line)
                continue
            cell, values = _parsed(row, f"{path}:{line}")
            place = (cell, *values[:3])
            if (before := seen.setdefault(place, line)) != line:
                raise InputError(f"{path}:{line}: this score is there twice, also in line {before}", "results")
            cells.setdefault(cell, []).append(values)
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not CSV: {error}", "results") from None
    for (cell, target, split, category), line in seen.items():
        if category != ALL and (cell, target, split, ALL) not in seen:
            raise InputError(
                f"{path}:{line}: a score of {category} and none of {ALL} for the same start, source, seed, target and "
                "split", "results",
            )  # fmt: skip
    if not cells:
        raise InputError(f"results={str(path)!r} has no score", "results")
    unfit = [
        Unfit(path.name, f"column {name!r} is not read")
        for name in header
        if name not in (*NEEDED, *OPTIONAL, *FEW_SHOT, *UNREAD)
    ]
    if few_shot:
        those = f"{count(len(few_shot), 'row')} with sentences of a target, the first in line {few_shot[0]}"
        unfit.append(Unfit(path.name, f"{those}: such cells are not imported"))
    return Table(cells, unfit)


def _columns(header: Sequence[str], path: Path) -> dict[str, int]:
    """The place of every column that is read."""
    if missing := [name for name in NEEDED if name not in header]:
        commas = "" if len(header) > 1 else "; columns are separated by commas"
        raise InputError(
            f"{path}:1: no column {', '.join(missing)}; a table of scores has {', '.join(NEEDED)}, and may have "
            f"{', '.join(OPTIONAL)}{commas}", "results",
        )  # fmt: skip
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"{path}:1: column {', '.join(twice)} is there twice", "results")
    return {name: place for place, name in enumerate(header) if name in (*NEEDED, *OPTIONAL, *FEW_SHOT)}


def _parsed(row: Mapping[str, str], where: str) -> tuple[CellName, Row]:
    try:
        start = grid.check_code(row["start"], "start")
        source, target = (
            grid.SEPARATOR.join(grid.check_code(code, axis) for code in grid.languages_of(row[axis]) or ("",))
            for axis in ("source", "target")
        )
        given = {name: row.get(name) or value for name, value in OPTIONAL.items()}
        category_of("O" if given["category"] == ALL else f"B-{given['category']}")
    except InputError as error:
        raise InputError(f"{where}: {error}", "results") from None
    if not (row["seed"].isascii() and row["seed"].isdecimal()):
        raise InputError(f"{where}: seed {row['seed']!r} is not a whole number of 0 or more", "results")
    if given["split"] not in schema.SCORED_SPLITS:
        allowed = " or ".join(schema.SCORED_SPLITS)
        raise InputError(f"{where}: split {given['split']!r} is not {allowed}", "results")
    values = {name: _number(row[name], name, where) for name in schema.CATEGORY_MEASURES if row.get(name)}
    if schema.F1 not in values:
        raise InputError(f"{where}: no {schema.F1}; leave out the rows of scores that are missing", "results")
    return CellName(source, start, int(row["seed"]), 0), (target, given["split"], given["category"], values)


def _number(text: str, name: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if name == schema.SUPPORT:
        if not (value >= 0 and value.is_integer()):
            raise InputError(f"{where}: {name} {text!r} is not a number of entities", "results")
    elif not 0 <= value <= 1:
        percent = "; scores are not in percent here" if value > 1 else ""
        raise InputError(f"{where}: {name} {text!r} is not a fraction from 0 to 1{percent}", "results")
    return value


def languages(cell: CellName, rows: Sequence[Row]) -> frozenset[str]:
    """All that a cell was fine-tuned and scored on."""
    return frozenset(code for name in (cell.source, *(row[0] for row in rows)) for code in grid.languages_of(name))


def check_support(found: Table, corpora: Mapping[str, Corpus], path: Path) -> None:
    """Raise InputError where the scores are of other entities than the corpora have; what tells no support passes."""
    counted: dict[tuple[str, str], Counter[str]] = {}
    for cell, rows in found.cells.items():
        for target, split, category, values in rows:
            parts = [(code, split) for code in grid.languages_of(target)]
            for code, name in parts:
                if (code, name) not in counted:
                    tags = (sentence.tags for sentence in corpora[code].splits[name].sentences)
                    counted[code, name] = Counter(kind for one in tags for *_, kind in spans(one))
            there = sum(counted[part].total() if category == ALL else counted[part][category] for part in parts)
            if values.get(schema.SUPPORT, there) != there:
                entities = count(there, "entity", "entities")
                raise InputError(
                    f"{path}: start {cell.start}, source {cell.source}, seed {cell.seed}, target {target}, {split}, "
                    f"{category}: support {values[schema.SUPPORT]:.0f}, and the corpus has {entities}; "
                    "leave data out, or name the corpora of these scores", "data",
                )  # fmt: skip


def measure(cell: CellName, rows: Sequence[Row]) -> Measurements:
    """The scores of one cell as they were reported; the key stands for all of them."""
    lines = ["target,split,category," + ",".join(schema.CATEGORY_MEASURES)]
    for target, split, category, values in rows:
        there = (repr(values[name]) if name in values else "" for name in schema.CATEGORY_MEASURES)
        lines.append(f"{target},{split},{category},{','.join(there)}")
    text = "\n".join(lines) + "\n"
    ordered = "\n".join(sorted(lines))  # whatever the order of the file
    key = hashlib.sha256(f"table {FORMAT} {cell} {ordered}".encode()).hexdigest()[:32]
    now = milliseconds()
    points = [
        Point(schema.ScoreName(split, name, target, category).key, value, now)
        for target, split, category, values in rows
        for name, value in values.items()
    ]
    points += [
        Point(schema.source_f1(split), values[schema.F1], now)
        for target, split, category, values in rows
        if target == cell.source and category == ALL
    ]
    return Measurements(key, points, files={schema.REPORTED_FILE: text})
