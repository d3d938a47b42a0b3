"""The file of predicted entities: written with every cell, read by the error analysis, which needs no word again.

Parquet, a row per entity in default mode: ``target``, ``split``, ``category``, ``first`` (its first word, counted from
0 over the whole split) and ``words`` (how many it has); the metadata says how many words every split has.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from nertransfer.scoring import sentence_counts
from nertransfer.scoring.scores import Entities, entities
from nertransfer.scoring.sentence_counts import named, written

WORDS = b"words"


def to_bytes(found: Mapping[tuple[str, str], Entities]) -> bytes:
    """The file of one cell; ``found`` by (target, split)."""
    sizes = [len(one.first) for one in found.values()]
    categories = sorted({name for one in found.values() for name in one.categories})
    renamed = [np.array([categories.index(name) for name in one.categories], np.int32) for one in found.values()]
    category = [places[one.category] for places, one in zip(renamed, found.values(), strict=True) if len(places)]

    def joined(parts: list[np.ndarray], kind: type) -> np.ndarray:
        return np.concatenate(parts).astype(kind) if parts else np.empty(0, kind)

    place = np.repeat(np.arange(len(found)), sizes).astype(np.int32)
    columns = named(list(found), place, categories, joined(category, np.int32)) | {
        "first": pa.array(joined([one.first for one in found.values()], np.int32)),
        "words": pa.array(joined([one.end - one.first for one in found.values()], np.int32)),
    }
    return written(columns, WORDS, {place: one.words for place, one in found.items()})


def from_bytes(content: bytes) -> tuple[pa.Table, dict[str, int]]:
    """The columns of a file, names as dictionaries, and the number of words by ``<target>.<split>``."""
    return sentence_counts.from_bytes(content, WORDS)


def from_text(text: str) -> Entities:
    """The predicted entities of a file of predictions, as `measurements.prediction_text` writes it."""
    return entities([[line.rsplit(" ", 1)[-1] for line in one.split("\n")] for one in text.split("\n\n") if one])
