"""The file of predicted entities: written with every cell, read by the error analysis, which needs no word again.

Parquet, a row per entity in default mode: ``target``, ``split``, ``category``, ``first`` (its first word, counted from
0 over the whole split) and ``words`` (how many it has); the metadata says how many words every split has.
"""

import io
import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nertransfer.scoring.scores import Entities, entities
from nertransfer.scoring.sentence_counts import NAMES

WORDS = b"words"


def to_bytes(found: Mapping[tuple[str, str], Entities]) -> bytes:
    """The file of one cell; ``found`` by (target, split)."""
    sizes = [len(one.first) for one in found.values()]
    categories = sorted({name for one in found.values() for name in one.categories})
    renamed = [np.array([categories.index(name) for name in one.categories], np.int16) for one in found.values()]
    category = [places[one.category] for places, one in zip(renamed, found.values(), strict=True) if len(places)]

    def joined(parts: list[np.ndarray], kind: type) -> np.ndarray:
        return np.concatenate(parts).astype(kind) if parts else np.empty(0, kind)

    def names(indices: np.ndarray, texts: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int16()), pa.array(texts, pa.string()))

    place = np.repeat(np.arange(len(found)), sizes).astype(np.int16)
    columns = {
        "target": names(place, [target for target, _ in found]).cast(pa.string()),
        "split": names(place, [split for _, split in found]).cast(pa.string()),
        "category": names(joined(category, np.int16), categories).cast(pa.string()),
        "first": pa.array(joined([one.first for one in found.values()], np.int32)),
        "words": pa.array(joined([one.end - one.first for one in found.values()], np.int32)),
    }
    words = {f"{target}.{split}": one.words for (target, split), one in found.items()}
    stream = io.BytesIO()
    table = pa.table(columns).replace_schema_metadata({WORDS: json.dumps(words).encode()})
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def from_bytes(content: bytes) -> tuple[pa.Table, dict[str, int]]:
    """The columns of a file, names as dictionaries, and the number of words by ``<target>.<split>``."""
    table = pq.read_table(io.BytesIO(content), read_dictionary=list(NAMES), use_threads=False)
    return table, json.loads(table.schema.metadata[WORDS])


def from_text(text: str) -> Entities:
    """The predicted entities of a file of predictions, as `measurements.prediction_text` writes it."""
    return entities([[line.rsplit(" ", 1)[-1] for line in one.split("\n")] for one in text.split("\n\n") if one])
