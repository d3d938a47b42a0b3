"""Entities counted by sentence, of all cells of a study: gathered from their files, resampled together. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nertransfer.core.grid import Place
from nertransfer.scoring import sentence_counts


@dataclass(frozen=True)
class SentenceCounts:
    """One split of one target: ``gold`` is (sentences, categories), ``predicted`` and ``correct`` are
    (cells, sentences, categories); ``cells`` are (start, source, seed)."""

    cells: list[Place]
    categories: list[str]
    gold: np.ndarray
    predicted: np.ndarray
    correct: np.ndarray

    def of(self, category: str | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gold (sentences,), predicted and correct (cells, sentences) of a category; None: of all together."""
        if category is None:
            return self.gold.sum(axis=1), self.predicted.sum(axis=2), self.correct.sum(axis=2)
        column = self.categories.index(category)
        return self.gold[:, column], self.predicted[:, :, column], self.correct[:, :, column]


def gathered(files: Mapping[Place, bytes], split: str) -> dict[str, SentenceCounts]:
    """The counts of every target's ``split`` in the files of cells (`nertransfer.scoring.sentence_counts`), by target.

    Cells are in the order of ``files``. Raises ValueError where two cells disagree on the gold entities: they were
    scored on different corpora.
    """
    read = {place: sentence_counts.from_bytes(content) for place, content in files.items()}
    tables = {place: columns_of(table) for place, (table, _) in read.items()}
    categories = sorted({name for _, names in tables.values() for name in names["category"]})
    found: dict[str, SentenceCounts] = {}
    for target in sorted({name.rpartition(".")[0] for _, sizes in read.values() for name in sizes}):
        cells = [place for place, (_, sizes) in read.items() if f"{target}.{split}" in sizes]
        if not cells:
            continue
        size = read[cells[0]][1][f"{target}.{split}"]
        if any(read[place][1][f"{target}.{split}"] != size for place in cells):
            raise ValueError(f"{target}: cells were scored on different numbers of sentences")
        arrays = {name: np.zeros((len(cells), size, len(categories)), np.int16) for name in sentence_counts.COLUMNS}
        for i, place in enumerate(cells):
            columns, names = tables[place]
            if target not in names["target"] or split not in names["split"]:  # no entity on either side
                continue
            ours = (columns["target"] == names["target"].index(target)) & (
                columns["split"] == names["split"].index(split)
            )
            places = np.array([categories.index(name) for name in names["category"]])
            column = places[columns["category"][ours]]
            for name, array in arrays.items():
                array[i, columns["sentence"][ours], column] = columns[name][ours]
        gold = arrays["gold"]
        if (gold != gold[:1]).any():
            raise ValueError(f"{target}: cells were scored on corpora with different entities")
        there = (gold[0].any(axis=0)) | (arrays["predicted"].any(axis=(0, 1)))
        kept = [name for name, used in zip(categories, there, strict=True) if used]
        found[target] = SentenceCounts(
            cells, kept, gold[0][:, there], arrays["predicted"][:, :, there], arrays["correct"][:, :, there]
        )
    return found


def columns_of(table: pa.Table) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Integer columns; those that name something as indices into lists of names."""
    columns, names = {}, {}
    for name in table.column_names:
        array = table[name].combine_chunks()
        if name in sentence_counts.NAMES:
            if isinstance(array, pa.ChunkedArray):
                array = array.unify_dictionaries().combine_chunks()
            names[name] = array.dictionary.to_pylist()
            array = array.indices
        columns[name] = array.to_numpy(zero_copy_only=False)
    return columns, names
