"""What another study tells of transfer, for those who have none: its scores and features as a small file.

The file has no texts: of every language the hashes of its names (`features.names_of`), and of pairs their closeness.
"""

import base64
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.ranking import mixed
from analysis.ranking.features import HASH_BYTES, Known
from analysis.ranking.mixed import CLOSENESS, Mixed, Rows
from nertransfer.core.errors import InputError
from nertransfer.core.files import read as read_file
from nertransfer.core.grid import check_code
from nertransfer.corpora.languages import LANGUAGES

PUBLISHED = "published"
SHIPPED = {PUBLISHED: Path(__file__).with_name("published.json")}
VERSION = 1
MOST_BYTES = 16 * 2**20
"""Of a file: the shipped one has a hundredth of that."""
COLUMNS = ["start", "source", "target", *CLOSENESS, "f1"]
LONGEST_SHOWN = 40
"""Characters of a wrong value that are told."""
JSON_NAMES = {str: "text", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class Prior:
    """What a study tells.

    ``rows``: zero-shot scores of all starts, means over seeds; ``names``: hashes of the names of the sources, as far as
    their texts were at hand; ``lineages`` of languages that the project's table lacks; ``start``: the one that is meant
    where none is named; ``cited``: where the scores are from.
    """

    name: str
    cited: str
    start: str
    rows: Rows
    names: Mapping[str, frozenset[int]]
    lineages: Mapping[str, tuple[str, ...]]

    @property
    def sources(self) -> list[str]:
        return list(dict.fromkeys(self.rows.source))


def text(prior: Prior) -> str:
    """The file of a prior, JSON. Its coefficients are for readers: they are computed again from the scores."""
    rows, model = prior.rows, Mixed(prior.rows)
    n = len(prior.sources)
    asked = Rows(
        np.array([prior.start] * n, object), np.array(prior.sources, object), np.array(["new"] * n, object),
        np.full((n, len(CLOSENESS)), np.nan), np.full(n, np.nan),
    )  # fmt: skip
    effects = model.parts(asked)[:, mixed.PARTS.index("source")]
    scores = [
        [start, source, target, *(None if value != value else round(float(value), 5) for value in close), round(f1, 2)]
        for start, source, target, close, f1 in zip(
            rows.start, rows.source, rows.target, rows.closeness, rows.f1.tolist(), strict=True
        )
    ]
    content = {
        "version": VERSION,
        "name": prior.name,
        "cited": prior.cited,
        "start": prior.start,
        "columns": COLUMNS,
        "coefficients": {
            "points of a standard deviation of closeness": dict(
                zip(CLOSENESS, np.round(model.weights(), 3).tolist(), strict=True)
            ),
            "points of a source": dict(zip(prior.sources, np.round(effects, 2).tolist(), strict=True)),
        },
        "lineages": {code: list(lineage) for code, lineage in prior.lineages.items()},
        "names": {code: _packed(hashes) for code, hashes in prior.names.items()},
    }
    head = json.dumps(content, indent=1, ensure_ascii=False)[:-2]
    lines = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in scores)
    return f'{head},\n "scores": [\n  {lines}\n ]\n}}\n'


def is_file(given: str) -> bool:
    """Whether a prior is shipped or a file; else it can only be a study."""
    return given in SHIPPED or Path(given).is_file() or given.endswith(".json")


def read(given: str) -> Prior:
    """A shipped prior by its name, or the file of one. Raises InputError for any other file, and says what is wrong."""
    data = read_file(SHIPPED.get(given, Path(given)), "prior", MOST_BYTES)
    try:
        return _prior(_json(data))
    except ValueError as error:
        raise InputError(f"prior={given!r} is no prior: {error}; rank writes one with save_prior", "prior") from None


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None


def _prior(content: object) -> Prior:
    """A prior from the content of its file. Raises ValueError for what is missing or not as `text` writes it."""
    if not isinstance(content, dict) or "version" not in content:
        raise ValueError("it has no version")
    if content["version"] != VERSION:
        raise ValueError(f"its version is {_shown(content['version'])}, and {VERSION} is read")
    of = {"name": str, "cited": str, "start": str, "columns": list, "lineages": dict, "names": dict, "scores": list}
    for name, kind in of.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"{name} is {'missing' if name not in content else f'not {JSON_NAMES[kind]}'}")
        if kind is str and not (content[name] and content[name].isprintable()):
            raise ValueError(f"{name} is empty, or has characters that cannot be printed")
    if content["columns"] != COLUMNS:
        raise ValueError(f"columns are not {', '.join(COLUMNS)}")
    scores = [_score(row, f"scores, row {i}") for i, row in enumerate(content["scores"], start=1)]
    places = [row[:3] for row in scores]
    if twice := next((place for place, n in Counter(places).items() if n > 1), None):
        raise ValueError(f"it has two scores of {'-'.join(twice[:2])} on {twice[2]}")
    if content["start"] not in {start for start, _, _ in places}:
        raise ValueError(f"it has no score of its start {content['start']}")
    f1 = np.array([row[-1] for row in scores])
    if f1.max() <= 1:
        raise ValueError("no F1 is above 1; F1 is in percent")
    names = [np.array(column, object) for column in zip(*places, strict=True)]
    closeness = np.array([row[3] for row in scores], float)
    lineages = {code: tuple(lineage) for code, lineage in content["lineages"].items() if _is_lineage(code, lineage)}
    hashes = {code: _unpacked(code, packed) for code, packed in content["names"].items()}
    rows = Rows(names[0], names[1], names[2], closeness, f1)
    return Prior(content["name"], content["cited"], content["start"], rows, hashes, lineages)


def _score(row: object, where: str) -> tuple[str, str, str, list[float], float]:
    """Start, source, target, closeness (`CLOSENESS`,) and F1 of a row. Raises ValueError, naming ``where`` it is."""
    if not isinstance(row, list) or len(row) != len(COLUMNS):
        raise ValueError(f"{where}: not a list of {len(COLUMNS)} values")
    start, source, target, *close, f1 = row
    if not isinstance(start, str) or not start or not start.isprintable():
        raise ValueError(f"{where}: start {_shown(start)} is not a name")
    for code in (source, target):
        try:
            check_code(code if isinstance(code, str) else "")
        except InputError:
            raise ValueError(f"{where}: {_shown(code)} is not the code of a language") from None
    if source == target:
        raise ValueError(f"{where}: {source} is source and target, and not zero-shot")
    for name, value in zip(CLOSENESS, close, strict=True):
        if value is not None and not _is_number(value, -1, 1):
            raise ValueError(f"{where}: {name} {_shown(value)} is neither null nor a number from -1 to 1")
    if not _is_number(f1, 0, 100):
        raise ValueError(f"{where}: f1 {_shown(f1)} is not a number from 0 to 100")
    return start, source, target, [np.nan if value is None else float(value) for value in close], float(f1)


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _is_lineage(code: str, lineage: object) -> bool:
    if not isinstance(lineage, list) or not all(isinstance(part, str) and part.isprintable() for part in lineage):
        raise ValueError(f"lineages: that of {_shown(code)} is not a list of names")
    return True


def _shown(value: object) -> str:
    """A value as JSON, shortened and in one line."""
    told = json.dumps(value)
    return told if len(told) <= LONGEST_SHOWN else f"{told[:LONGEST_SHOWN]} ..."


def of_study(
    name: str,
    cited: str,
    start: str,
    means: Mapping[str, pd.DataFrame],
    features: pd.DataFrame,
    known: Mapping[str, Known],
) -> Prior:
    """The prior of a study: transfer matrices by start, `pairs.feature_table`, and what is known of its languages."""
    rows = mixed.zero_shot(means, features)
    names = {code: known[code].names for code in dict.fromkeys(rows.source) if code in known}
    lineages = {code: one.lineage for code, one in known.items() if one.lineage and code not in LANGUAGES}
    return Prior(name, cited, start, rows, {code: one for code, one in names.items() if one is not None}, lineages)


def _packed(hashes: frozenset[int]) -> str:
    return base64.b64encode(b"".join(one.to_bytes(HASH_BYTES, "big") for one in sorted(hashes))).decode()


def _unpacked(code: str, text: object) -> frozenset[int]:
    try:
        data = base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except ValueError:
        data = b"?"
    if len(data) % HASH_BYTES:
        raise ValueError(f"names: those of {_shown(code)} are not hashes in base64")
    return frozenset(int.from_bytes(data[i : i + HASH_BYTES], "big") for i in range(0, len(data), HASH_BYTES))
