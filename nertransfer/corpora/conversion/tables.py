"""Parquet and Arrow files of Hugging Face datasets -> records, and the names of their numbered tags."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nertransfer.core.errors import InputError
from nertransfer.corpora.conversion.records import TAGS


def read(path: Path) -> tuple[Iterator[tuple[int, Any]], tuple[str, ...]]:
    """The rows of a file with their numbers from 1, and what the numbers of its tags mean, where it says so.

    Raises InputError where the file cannot be read.
    """
    import pyarrow as pa  # takes a second to load
    from pyarrow import parquet

    try:
        if path.suffix.lower() == ".parquet":
            table = parquet.read_table(path)
        else:
            with pa.memory_map(str(path)) as file:
                table = pa.ipc.open_stream(file).read_all()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as {path.suffix.removeprefix('.')}: {error}") from None
    return iter(enumerate(table.to_pylist(), start=1)), _names(table.schema.metadata or {})


def _names(metadata: dict[bytes, bytes]) -> tuple[str, ...]:
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return ()
    for key in TAGS:
        inner = (features.get(key) or {}).get("feature") if isinstance(features.get(key), dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("names"), list):
            return tuple(map(str, inner["names"]))
    return ()
