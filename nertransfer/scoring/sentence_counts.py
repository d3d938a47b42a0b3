"""The file of entities counted by sentence: written with every cell, read by the analyses for resampling.

Parquet, columns ``target``, ``split``, ``category``, ``sentence`` (from 0), ``gold``, ``predicted``, ``correct``; rows
of zeros are left out, and the metadata says how many sentences every split has.
"""

import io
import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nertransfer.scoring.scores import Counts

COLUMNS = ("gold", "predicted", "correct")
SENTENCES = b"sentences"


def to_bytes(found: Mapping[tuple[str, str], Counts]) -> bytes:
    """The file of one cell; ``found`` by (target, split)."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("place", "category", "sentence", *COLUMNS)}
    categories = sorted({name for counts in found.values() for name in counts.categories})
    for place, counts in enumerate(found.values()):
        sentence, column = np.nonzero(counts.gold + counts.predicted)
        renamed = np.array([categories.index(name) for name in counts.categories], dtype=np.int16)
        parts["place"].append(np.full(len(sentence), place, dtype=np.int16))
        parts["category"].append(renamed[column])
        parts["sentence"].append(sentence.astype(np.int32))
        for name in COLUMNS:
            parts[name].append(getattr(counts, name)[sentence, column].astype(np.int16))
    arrays = {name: np.concatenate(values) if values else np.empty(0, np.int16) for name, values in parts.items()}
    places = list(found)

    def names(indices: np.ndarray, texts: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int16()), pa.array(texts, pa.string()))

    columns = {
        "target": names(arrays["place"], [target for target, _ in places]).cast(pa.string()),
        "split": names(arrays["place"], [split for _, split in places]).cast(pa.string()),
        "category": names(arrays["category"], categories).cast(pa.string()),
        "sentence": pa.array(arrays["sentence"], pa.int32()),
        **{name: pa.array(arrays[name], pa.int16()) for name in COLUMNS},
    }
    sentences = {f"{target}.{split}": len(counts.gold) for (target, split), counts in found.items()}
    table = pa.table(columns).replace_schema_metadata({SENTENCES: json.dumps(sentences).encode()})
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


NAMES = ("target", "split", "category")


def from_bytes(content: bytes) -> tuple[pa.Table, dict[str, int]]:
    """The columns of a file, names as dictionaries, and the number of sentences by ``<target>.<split>``."""
    table = pq.read_table(io.BytesIO(content), read_dictionary=list(NAMES), use_threads=False)
    return table, json.loads(table.schema.metadata[SENTENCES])
