"""What another study tells of transfer, for those who have none: its scores and features as a small file.

The file has no texts: of every language the hashes of its names (`features.names_of`), and of pairs their closeness.
"""

import base64
import json
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
from nertransfer.corpora.languages import LANGUAGES

PUBLISHED = "published"
SHIPPED = {PUBLISHED: Path(__file__).with_name("published.json")}
VERSION = 1


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
        "columns": ["start", "source", "target", *CLOSENESS, "f1"],
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
    """A shipped prior by its name, or the file of one. Raises InputError for a file that is none."""
    path = SHIPPED.get(given, Path(given))
    try:
        content = json.loads(read_file(path, "prior"))
        if content["version"] != VERSION:
            raise InputError(f"prior={given!r} has version {content['version']}; {VERSION} is read", "prior")
        columns, width = content["columns"], 3 + len(CLOSENESS)
        if columns != ["start", "source", "target", *CLOSENESS, "f1"]:
            raise KeyError("columns")
        scores = [row for row in content["scores"] if len(row) == width + 1]
        places = [np.array([str(row[k]) for row in scores], object) for k in range(3)]
        close = np.array([[np.nan if v is None else float(v) for v in row[3:width]] for row in scores], float)
        f1 = np.array([float(row[width]) for row in scores])
        names = {str(code): _unpacked(packed) for code, packed in content["names"].items()}
        lineages = {str(code): tuple(map(str, lineage)) for code, lineage in content["lineages"].items()}
        rows = Rows(places[0], places[1], places[2], close.reshape(len(scores), len(CLOSENESS)), f1)
        return Prior(str(content["name"]), str(content["cited"]), str(content["start"]), rows, names, lineages)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"prior={given!r} is no prior ({type(error).__name__}: {error}); one is written by rank with save_prior",
            "prior",
        ) from None


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


def _unpacked(text: str) -> frozenset[int]:
    data = base64.b64decode(text, validate=True)
    return frozenset(int.from_bytes(data[i : i + HASH_BYTES], "big") for i in range(0, len(data), HASH_BYTES))
