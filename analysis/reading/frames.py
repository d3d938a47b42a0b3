"""Runs -> frames: long and wide scores, duplicates, digests, what disagrees. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import pandas as pd
from mlflow.entities import Run

from analysis.reading.results import (
    CELL,
    CELL_COLUMNS,
    DIGEST_COLUMNS,
    DUPLICATE_COLUMNS,
    FEW_SHOT,
    UNALIGNED_COLUMNS,
    UNKNOWN_COLUMNS,
    StudyResults,
    packed_values,
)
from nertransfer.core import grid, schema
from nertransfer.core.grid import FewShotPlace, Place
from nertransfer.tracking.current_cells import AnyPlace


def cell_values(place: Place | FewShotPlace) -> tuple:
    """A place as the columns `CELL`, and `FEW_SHOT` where it has them."""
    if len(place) == len(CELL):
        return place
    *cell, few = place
    return *cell, few.language, few.sentences, few.mode  # type: ignore[union-attr]


# --- scores ------------------------------------------------------------------------------------


def melt(run: Run, place: tuple) -> pd.DataFrame:
    """The score metrics of a run, a row per metric: place, target, split, category, measure, value."""
    names = ((schema.parse_score_key(key), value) for key, value in run.data.metrics.items())
    rows = [(*place, n.target, n.split, n.category, n.measure, value) for n, value in names if n is not None]
    return melted_scores(rows, FEW_SHOT if len(place) > len(CELL) else [])


def melted_scores(rows: list[tuple], further: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*CELL, *further, "target", "split", "category", "measure", "value"])


def every_score(found: StudyResults) -> pd.DataFrame:
    """All scores for a table: those of the matrices, those on several languages together, and with a few sentences.

    The columns ``source_languages`` and `FEW_SHOT` come last; the latter are empty for ordinary cells.
    """
    return with_few_shot(pd.concat([found.frame, found.unions], ignore_index=True), found.few_shot.frame)


def every_duplicate(found: StudyResults) -> pd.DataFrame:
    """All duplicates; with the columns of `with_few_shot` where some are of cells with a few sentences."""
    few = found.few_shot.duplicates
    return with_few_shot(found.duplicates, few) if len(few) else found.duplicates


def with_few_shot(ordinary: pd.DataFrame, few_shot: pd.DataFrame) -> pd.DataFrame:
    """The rows of ordinary cells and those with `FEW_SHOT` below each other; `schema.SOURCE_LANGUAGES` is added."""
    own = [column for column in ordinary.columns if column not in FEW_SHOT]
    empty = dict(zip(FEW_SHOT, ("", pd.NA, ""), strict=True))
    parts = [ordinary.assign(**empty)] + ([few_shot] if len(few_shot) else [])
    table = pd.concat([part.astype({schema.FEW_SHOT_SENTENCES: "Int64"}) for part in parts], ignore_index=True)
    table[schema.SOURCE_LANGUAGES] = [",".join(grid.languages_of(source)) for source in table["source"]]
    return table[[*own, schema.SOURCE_LANGUAGES, *FEW_SHOT]]


def wide_scores(scores: pd.DataFrame, measures: Iterable[str], columns: list[str]) -> pd.DataFrame:
    """One column per measure. Rows without an F1 are left out: such a split counts as not scored."""
    measures = list(measures)
    index = [name for name in columns if name not in measures]
    chosen = scores[scores["measure"].isin(measures)]
    wide = chosen.pivot(index=index, columns="measure", values="value").reindex(columns=measures)
    if schema.F1 in measures:
        wide = wide[wide[schema.F1].notna()]
    wide = wide.astype(float).reset_index().rename_axis(columns=None)
    if schema.SUPPORT in measures and wide[schema.SUPPORT].notna().all():
        wide[schema.SUPPORT] = wide[schema.SUPPORT].round().astype("int64")
    return wide[columns]


# --- runs -----------------------------------------------------------------------------------------


def cells_frame(cells: Sequence[Run], kept: Mapping[Place, Run]) -> pd.DataFrame:
    used = {run.info.run_id for run in kept.values()}
    return pd.DataFrame([cell_row(run, run.info.run_id in used) for run in cells], columns=CELL_COLUMNS)


def cell_row(run: Run, used: bool) -> tuple:
    """`CELL_COLUMNS` of a run."""
    info, tags, metrics = run.info, run.data.tags, run.data.metrics
    seconds = (info.end_time - info.start_time) / 1000 if info.end_time else float("nan")
    ended = utc(info.end_time) if info.end_time else ""
    energy = metrics.get(schema.ENERGY, float("nan"))
    return (
        tags[schema.START], tags[schema.SOURCE], int(tags[schema.SEED]), info.status, used, info.run_id,
        info.run_name or "", tags.get(schema.CELL_KEY, ""), tags.get(schema.START_FINGERPRINT, ""),
        tags.get(schema.RECIPE_DIGEST, ""), ended, seconds, metrics.get("train_seconds", float("nan")),
        metrics.get("score_seconds", float("nan")), energy,
        schema.f1_per_kwh(metrics.get(schema.source_f1("test"), float("nan")), energy),
    )  # fmt: skip


def digest_rows(kept: Mapping[AnyPlace, Run], further: Sequence[str] = ()) -> pd.DataFrame:
    rows = []
    for place, run in kept.items():
        for name, digest in packed_values([run], schema.PREDICTIONS_DIGESTS).items():
            target, _, split = name.rpartition(".")
            if not grid.is_several(schema.restored(target)):  # what is predicted on its parts, once more
                rows.append((*cell_values(place), target, split, digest))
    return pd.DataFrame(rows, columns=[*CELL, *further, *DIGEST_COLUMNS[len(CELL) :]])


def unknown_rows(kept: Mapping[Place, Run]) -> pd.DataFrame:
    """`UNKNOWN_COLUMNS` of the used runs."""
    return pd.DataFrame(_by_split(kept, schema.UNKNOWN_WORDS), columns=UNKNOWN_COLUMNS)


def unaligned_rows(kept: Mapping[Place, Run]) -> pd.DataFrame:
    """`UNALIGNED_COLUMNS` of the used runs."""
    return pd.DataFrame(_by_split(kept, schema.UNALIGNED), columns=UNALIGNED_COLUMNS).astype({"strings": int})


def _by_split(kept: Mapping[Place, Run], prefix: str) -> list[tuple]:
    """Place, target, split and value of the metrics ``<prefix><target>.<split>``."""
    return [
        (*place, target, split, value)
        for place, run in kept.items()
        for name, value in run.data.metrics.items()
        if name.startswith(prefix)
        for target, _, split in [name.removeprefix(prefix).rpartition(".")]
        if not grid.is_several(schema.restored(target))
    ]


def utc(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duplicate_rows(
    counting: Sequence[Run],
    kept: Mapping[AnyPlace, Run],
    place_in: Callable[[Run], AnyPlace | None],
    further: Sequence[str] = (),
) -> pd.DataFrame:
    """Runs of a cell that has a later one, among the finished ones that can count: those of the planned recipe."""
    rows = []
    for run in counting:
        place = place_in(run)
        latest = None if place is None else kept.get(place)
        if place is None or latest is None or run is latest:
            continue
        same = run.data.tags.get(schema.CELL_KEY) == latest.data.tags.get(schema.CELL_KEY)
        reason = "same cell key, run again" if same else "another cell key: start, data or recipe differ"
        rows.append((*cell_values(place), run.info.run_id, latest.info.run_id, reason))
    return pd.DataFrame(rows, columns=[*CELL, *further, *DUPLICATE_COLUMNS[len(CELL) :]])


def inconsistent_rows(kept: Sequence[Run]) -> list[str]:
    """What makes the used runs less comparable than a table suggests, in words."""
    found = []
    recipes = {run.data.tags.get(schema.RECIPE_DIGEST) for run in kept if schema.SYSTEM not in run.data.tags}
    if len(recipes) > 1:
        found.append(f"recipes differ: the cells were fine-tuned with {len(recipes)} different recipes (see cells.csv)")
    found += _several(kept, schema.CORPUS_DIGESTS, "corpora differ: {} has {} different digests among the cells")
    starts: dict[str, set[str]] = {}
    fingerprints: dict[str, set[str]] = {}
    for run in kept:
        fingerprint = run.data.tags.get(schema.START_FINGERPRINT)
        if fingerprint:
            starts.setdefault(run.data.tags[schema.START], set()).add(fingerprint)
            fingerprints.setdefault(fingerprint, set()).add(run.data.tags[schema.START])
    for start, several in sorted(starts.items()):
        if len(several) > 1:
            found.append(f"weights differ: start {start} has {len(several)} different fingerprints among the cells")
    for names in sorted(sorted(names) for names in fingerprints.values() if len(names) > 1):
        found.append(f"same weights: starts {' and '.join(names)} have the same weights under different names")
    return found


def _several(kept: Sequence[Run], tag: str, message: str) -> list[str]:
    values: dict[str, set[str]] = {}
    for run in kept:
        for key, value in schema.unpacked(run.data.tags, tag).items():
            values.setdefault(key, set()).add(value)
    return [message.format(name, len(found)) for name, found in sorted(values.items()) if len(found) > 1]
