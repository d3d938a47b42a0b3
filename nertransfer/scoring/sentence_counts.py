"""The file of entities counted by sentence: written with every cell, read by the analyses for resampling.

Parquet, columns ``target``, ``split``, ``category``, ``sentence`` (from 0), ``gold``, ``predicted``, ``correct``; rows
of zeros are left out, and the metadata says how many sentences every split has.
"""

import io
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nertransfer.scoring.scores import Counts

COLUMNS = ("gold", "predicted", "correct")
SENTENCES = b"sentences"


def to_bytes(found: Mapping[tuple[str, str], Counts]) -> bytes:
    """The file of one cell; ``found`` by (target, split). Raises ValueError for counts above 32,767 of one sentence."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("place", "category", "sentence", *COLUMNS)}
    categories = sorted({name for counts in found.values() for name in counts.categories})
    for place, counts in enumerate(found.values()):
        sentence, column = np.nonzero(counts.gold + counts.predicted)
        renamed = np.array([categories.index(name) for name in counts.categories], dtype=np.int32)
        parts["place"].append(np.full(len(sentence), place, dtype=np.int32))
        parts["category"].append(renamed[column])
        parts["sentence"].append(sentence.astype(np.int32))
        for name in COLUMNS:
            parts[name].append(getattr(counts, name)[sentence, column])
    arrays = {name: np.concatenate(values) if values else np.empty(0, np.int32) for name, values in parts.items()}
    columns = named(list(found), arrays["place"], categories, arrays["category"])
    columns |= {"sentence": pa.array(arrays["sentence"], pa.int32())}
    columns |= {name: pa.array(arrays[name], pa.int16()) for name in COLUMNS}
    return written(columns, SENTENCES, {place: len(counts.gold) for place, counts in found.items()})


def named(
    places: Sequence[tuple[str, str]], place: np.ndarray, categories: Sequence[str], category: np.ndarray
) -> dict[str, pa.Array]:
    """The columns `NAMES` of a file: of each row the index of its (target, split) and of its category."""

    def names(indices: np.ndarray, texts: Sequence[str]) -> pa.Array:
        coded = pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(texts, pa.string()))
        return coded.cast(pa.string())

    texts = ([target for target, _ in places], [split for _, split in places], categories)
    return dict(zip(NAMES, map(names, (place, place, category), texts), strict=True))


def written(columns: Mapping[str, pa.Array], what: bytes, sizes: Mapping[tuple[str, str], int]) -> bytes:
    """The file with these columns; the metadata ``what`` has the size of every (target, split)."""
    described = json.dumps({f"{target}.{split}": size for (target, split), size in sizes.items()})
    stream = io.BytesIO()
    table = pa.table(dict(columns)).replace_schema_metadata({what: described.encode()})
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


NAMES = ("target", "split", "category")


def from_bytes(content: bytes, what: bytes = SENTENCES) -> tuple[pa.Table, dict[str, int]]:
    """The columns of a file, names as dictionaries, and the number of sentences, or ``what`` the metadata counts, by
    ``<target>.<split>``."""
    table = pq.read_table(io.BytesIO(content), read_dictionary=list(NAMES), use_threads=False)
    return table, json.loads(table.schema.metadata[what])
