"""The words of an embedding and its files: written by `nertransfer.studies.embeddings`, read by the analyses.

``words.parquet`` has a row for each stored vector: language, sentence (from 0, in the split), word (from 0, in the
sentence), category, tag (B or I) and form, the word as it is written. ``vectors.safetensors`` has a tensor for each
language, rows in that order. ``centres.parquet`` has the mean over all words, stored or not, of every language and
category, and how many they are.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy

from nertransfer.core.schema import CENTRES_FILE, VECTORS_FILE, WORDS_FILE
from nertransfer.corpora.corpus import Split
from nertransfer.corpora.words import spans

COLUMNS = ("language", "sentence", "word", "category", "tag", "form")
_TYPES = dict(zip(COLUMNS, (pa.string(), pa.int32(), pa.int32(), pa.string(), pa.string(), pa.string()), strict=True))


@dataclass(frozen=True)
class EntityWords:
    """Entity words of one split, in order: ``rows`` as `COLUMNS`, ``places`` (int64) their indices over its words."""

    rows: list[tuple[str, int, int, str, str, str]]
    places: np.ndarray

    @property
    def categories(self) -> list[str]:
        """Category of every word."""
        return [row[3] for row in self.rows]


def entity_words(split: Split) -> EntityWords:
    """Every word of every entity; a stray I- tag begins an entity, and its word counts as B."""
    rows, places, offset = [], [], 0
    for number, sentence in enumerate(split.sentences):
        for begin, end, category in spans(sentence.tags):
            for i in range(begin, end):
                tag = "B" if i == begin else "I"
                rows.append((split.language, number, i, category, tag, sentence.words[i]))
                places.append(offset + i)
        offset += len(sentence.words)
    return EntityWords(rows, np.array(places, dtype=np.int64))


def chosen(words: EntityWords, most: int) -> np.ndarray:
    """Rows to store, increasing: at most ``most`` of every category, 0: all.

    Drawn by language and category alone, so that all models store the same words of a split.
    """
    categories = np.array(words.categories, dtype=object)
    kept = np.ones(len(categories), dtype=bool)
    for category in sorted(set(words.categories)) if most else ():
        places = np.flatnonzero(categories == category)
        if len(places) > most:
            seed = hashlib.sha256(f"{words.rows[0][0]}\n{category}".encode()).digest()[:8]
            rng = np.random.default_rng(int.from_bytes(seed, "big"))
            kept[places] = False
            kept[rng.choice(places, most, replace=False)] = True
    return np.flatnonzero(kept)


def centres(words: EntityWords, vectors: np.ndarray) -> dict[str, tuple[int, np.ndarray]]:
    """Number of words and their mean vector (float32 [size]) by category; ``vectors`` [words, size]."""
    categories = np.array(words.categories, dtype=object)
    return {
        name: (int((categories == name).sum()), vectors[categories == name].mean(axis=0, dtype=np.float64))
        for name in sorted(set(words.categories))
    }


def digest(stored: Sequence[EntityWords]) -> str:
    """SHA-256 over the rows of all languages: equal where the same words stand in the same rows."""
    return hashlib.sha256(repr([words.rows for words in stored]).encode()).hexdigest()


def subset(words: EntityWords, rows: np.ndarray) -> EntityWords:
    """The given rows."""
    return EntityWords([words.rows[i] for i in rows], words.places[rows])


def to_files(
    stored: Sequence[EntityWords],
    vectors: Mapping[str, np.ndarray],
    means: Mapping[str, Mapping[str, tuple[int, np.ndarray]]],
) -> dict[str, bytes]:
    """The files of an embedding by name; ``vectors`` (float32 [words, size]) and ``means`` (`centres`) by language."""
    columns = list(zip(*(row for words in stored for row in words.rows), strict=True)) or [()] * len(COLUMNS)
    words = pa.table({name: pa.array(values, _TYPES[name]) for name, values in zip(COLUMNS, columns, strict=True)})
    groups = [(language, category, *one) for language, by in means.items() for category, one in by.items()]
    table = pa.table(
        {
            "language": pa.array([g[0] for g in groups], pa.string()),
            "category": pa.array([g[1] for g in groups], pa.string()),
            "words": pa.array([g[2] for g in groups], pa.int64()),
            "centre": pa.array([g[3].astype(np.float32) for g in groups], pa.list_(pa.float32())),
        }
    )
    contiguous = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in vectors.items()}
    return {
        VECTORS_FILE: safetensors.numpy.save(contiguous),
        WORDS_FILE: _parquet(words),
        CENTRES_FILE: _parquet(table),
    }


def _parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def read_words(content: bytes) -> pa.Table:
    """The rows of ``words.parquet``."""
    return pq.read_table(io.BytesIO(content), use_threads=False)


def read_vectors(content: bytes, languages: Sequence[str]) -> np.ndarray:
    """The vectors of ``vectors.safetensors``, float32 [words, size], the given languages one after the other."""
    tensors = safetensors.numpy.load(content)
    return np.concatenate([tensors[language] for language in languages])


def read_centres(content: bytes) -> dict[tuple[str, str], tuple[int, np.ndarray]]:
    """Number of words and mean vector (float32 [size]) by (language, category)."""
    columns = pq.read_table(io.BytesIO(content), use_threads=False).to_pydict()
    keys = zip(columns["language"], columns["category"], strict=True)
    values = zip(columns["words"], columns["centre"], strict=True)
    return {key: (n, np.array(centre, dtype=np.float32)) for key, (n, centre) in zip(keys, values, strict=True)}
