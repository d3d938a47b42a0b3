"""Tracking server -> tidy frames. Reads all cells with one search; writes nothing."""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from analysis.embedded import Embedded
from analysis.resampling import SentenceCounts, gathered
from nertransfer import embedded_words, grid, schema, store_files
from nertransfer.catalogue import is_on_hub
from nertransfer.counts import Entities
from nertransfer.current import (
    AnyPlace,
    current_cells,
    current_few_shot_cells,
    few_shot_place_of,
    of_planned_recipe,
    place_of,
)
from nertransfer.errors import InputError
from nertransfer.grid import FewShotPlace, Place
from nertransfer.labels import ALL
from nertransfer.languages import LANGUAGES
from nertransfer.predicted_entities import from_text, to_bytes
from nertransfer.store import all_runs, client

CELL = ["start", "source", "seed"]
FRAME_COLUMNS = [*CELL, "target", "split", "category", *schema.CATEGORY_MEASURES]
OVERALL_MEASURES = [m for m in schema.OVERALL_MEASURES if m not in schema.CATEGORY_MEASURES]
OVERALL_COLUMNS = [*CELL, "target", "split", *OVERALL_MEASURES]
CELL_COLUMNS = [
    *CELL, "status", "used", "run_id", "run_name", "cell_key", "start_fingerprint", "recipe_digest",
    "ended", "seconds", "train_seconds", "score_seconds",
]  # fmt: skip
FEW_SHOT = [schema.FEW_SHOT_LANGUAGE, schema.FEW_SHOT_SENTENCES, schema.FEW_SHOT_MODE]
"""Columns that tell cells with a few sentences of a target apart."""
DUPLICATE_COLUMNS = [*CELL, "run_id", "kept_run_id", "reason"]
EMBEDDING_COLUMNS = ["model", *CELL, "layers", "split", "used", "reason", "run_id", "ended"]
DIGEST_COLUMNS = [*CELL, "target", "split", "digest"]


@dataclass(frozen=True)
class FewShotResults:
    """The cells that also had a few sentences of a target, apart from all others: they belong to no transfer matrix.

    ``frame``, ``overall``, ``cells``, ``duplicates`` and ``digests`` as of `StudyResults`, with the columns `FEW_SHOT`
    behind. ``plan``: the planned configurations; what exists where no study was planned. ``epochs_on_target``: whether
    used cells without a source chose their epoch on the target's dev split, all of it labelled.
    """

    frame: pd.DataFrame
    overall: pd.DataFrame
    cells: pd.DataFrame
    duplicates: pd.DataFrame
    digests: pd.DataFrame
    plan: list[grid.Configuration]
    epochs_on_target: bool


@dataclass(frozen=True)
class StudyResults:
    """All that a study has on the tracking server.

    ``frame``: a row per (start, source, seed, target, split, category), category ``ALL`` for all
    together; precision, recall and F1 as fractions, support in entities. ``overall``: a row per
    (start, source, seed, target, split) with strict and span scores and the rate of invalid tags.
    ``cells``: a row per run, ``used`` where its scores are in the frames, seconds of wall time,
    ``ended`` in UTC. ``duplicates``: finished runs of the planned recipe that are not used. ``digests``: a row per
    (start, source, seed, target, split) of the used runs, ``digest`` equal where the predicted tags are. ``plan``: the
    planned grid, lists by ``starts``, ``sources``, ``pivots``, ``targets``, ``seeds`` and ``pairs`` of (start,
    source); the product of what exists where no study was planned. ``languages``: all of them in the order of
    every table. ``families`` and ``corpora`` (digest): by language, where known. ``locations``: hub id of the
    starts that are from the hub. ``artifacts``: address by (start, source, seed) of the used runs. ``imported``:
    address of the artifacts of the last import, or nothing. ``warnings``: what else is odd, in words. ``unions``: rows
    as of ``frame`` whose target is a source of several languages, on which its best seed is chosen. ``few_shot``: cells
    with a few sentences of a target.
    """

    study: str
    experiment_id: str
    frame: pd.DataFrame
    overall: pd.DataFrame
    cells: pd.DataFrame
    duplicates: pd.DataFrame
    digests: pd.DataFrame
    plan: dict[str, list]
    planned: bool
    languages: list[str]
    families: dict[str, str]
    corpora: dict[str, str]
    locations: dict[str, str]
    artifacts: dict[Place, str]
    imported: str
    warnings: list[str]
    unions: pd.DataFrame
    few_shot: FewShotResults


def read(tracking_uri: str, study: str) -> StudyResults:
    """Read the study called ``study``.

    All frames are sorted (starts as planned with ``base`` first, languages, seed, split, category
    with ``ALL`` first), so they do not depend on the order of the runs. Raises InputError when
    there is no such store or study, or when no cell of it is finished.
    """
    server = client(tracking_uri, must_exist=True)
    experiment_id = _experiment_id(server, study)
    # MLflow's filters know no "or", and no "in" for tags
    conditions = [f"tags.{schema.KIND} = '{kind}'" for kind in (schema.KIND_CELL, schema.KIND_STUDY)]
    runs = [run for condition in conditions for run in all_runs(server, experiment_id, condition)]
    runs.sort(key=lambda run: (run.info.end_time or 0, run.info.start_time, run.info.run_id))
    return from_runs(study, experiment_id, runs)


def from_runs(study: str, experiment_id: str, runs: Sequence[Run]) -> StudyResults:
    """The results in ``runs``, oldest first. Raises InputError when no cell is finished."""
    every_cell = [run for run in runs if run.data.tags.get(schema.KIND) == schema.KIND_CELL]
    cells = [run for run in every_cell if place_of(run) is not None]
    few_shot = [run for run in every_cell if few_shot_place_of(run) is not None]
    warnings = [
        f"run {run.info.run_id} has no readable start, source and seed tags; ignored"
        for run in every_cell
        if place_of(run) is None and few_shot_place_of(run) is None
    ]
    studies = [run for run in runs if run.data.tags.get(schema.KIND) == schema.KIND_STUDY]
    finished = [run for run in [*cells, *few_shot] if run.info.status == "FINISHED"]
    kept = current_cells(finished, studies)
    few_shot_kept = current_few_shot_cells(finished, studies)
    counting = of_planned_recipe(finished, studies)
    if others := len(finished) - len(counting):
        warnings.append(f"{others} finished cells have another recipe than the latest study and are left out")
    if not kept:
        states = pd.Series([run.info.status for run in cells], dtype=str).value_counts()
        found = ", ".join(f"{n} {status}" for status, n in sorted(states.items())) or "no cell at all"
        raise InputError(f"study {study!r} has no finished cell to analyse (found: {found})")
    scores = pd.concat([melt(run, place) for place, run in kept.items()], ignore_index=True)
    several = scores["target"].map(grid.is_several)
    scores, unions = scores[~several], scores[several]
    planned = planned_grid(studies)
    families = families_of([*cells, *few_shot])
    order = Order(planned, kept, scores)
    return StudyResults(
        study=study,
        experiment_id=experiment_id,
        frame=order.sort(wide_scores(scores, schema.CATEGORY_MEASURES, FRAME_COLUMNS)),
        overall=order.sort(wide_scores(scores[scores["category"] == ALL], OVERALL_MEASURES, OVERALL_COLUMNS)),
        cells=order.sort(cells_frame(cells, kept)),
        duplicates=order.sort(duplicate_rows(counting, kept, place_of)),
        digests=order.sort(digest_rows(kept)),
        plan=order.grid(),
        planned=planned is not None,
        languages=order.languages,
        families={name: families[name] for name in order.languages if name in families},
        corpora=by_prefix([*few_shot_kept.values(), *kept.values()], schema.CORPUS_DIGEST),
        locations={
            run.data.tags[schema.START]: run.data.tags[schema.START_LOCATION]
            for run in kept.values()
            if is_on_hub(run.data.tags)
        },
        artifacts={place: run.info.artifact_uri for place, run in kept.items()},
        imported=next((r.info.artifact_uri for r in reversed(studies) if schema.IMPORTED in r.data.tags), ""),
        warnings=warnings + inconsistent_rows([*kept.values(), *few_shot_kept.values()]),
        unions=order.sort(wide_scores(unions, schema.CATEGORY_MEASURES, FRAME_COLUMNS)),
        few_shot=_few_shot(few_shot, counting, few_shot_kept, planned_few_shot(studies), order),
    )


def _experiment_id(server: MlflowClient, study: str) -> str:
    experiment = server.get_experiment_by_name(study)
    if experiment is not None and experiment.lifecycle_stage == "active":
        return experiment.experiment_id
    names = sorted(e.name for e in server.search_experiments() if e.name != schema.REGISTRY_EXPERIMENT)
    deleted = " was deleted" if experiment is not None else " does not exist"
    raise InputError(f"study {study!r}{deleted} on this tracking server; existing ones: {', '.join(names) or 'none'}")


def _few_shot(
    cells: Sequence[Run],
    counting: Sequence[Run],
    kept: Mapping[FewShotPlace, Run],
    planned: list[grid.Configuration] | None,
    order: "Order",
) -> FewShotResults:
    melted = [melt(run, cell_values(place)) for place, run in kept.items()]
    scores = pd.concat([melted_scores([], FEW_SHOT), *melted], ignore_index=True)
    overall = scores[(scores["category"] == ALL) & ~scores["target"].map(grid.is_several).astype(bool)]
    rows = [cell_row(run, run in kept.values()) for run in cells]
    values = [cell_values(place)[len(CELL) :] for run in cells if (place := few_shot_place_of(run)) is not None]
    told = pd.DataFrame(rows, columns=CELL_COLUMNS).join(pd.DataFrame(values, columns=FEW_SHOT))
    found = list(dict.fromkeys((start, source, few) for start, source, _, few in kept))
    return FewShotResults(
        frame=order.sort(wide_scores(scores, schema.CATEGORY_MEASURES, [*FRAME_COLUMNS, *FEW_SHOT])),
        overall=order.sort(wide_scores(overall, OVERALL_MEASURES, [*OVERALL_COLUMNS, *FEW_SHOT])),
        cells=order.sort(told),
        duplicates=order.sort(duplicate_rows(counting, kept, few_shot_place_of, FEW_SHOT)),
        digests=order.sort(digest_rows(kept, FEW_SHOT)),
        plan=found if planned is None else planned,
        epochs_on_target=any(
            few.mode == grid.ALONE and run.data.params.get(f"{schema.CONFIG}epoch_choice") == "best"
            for (*_, few), run in kept.items()
        ),
    )


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


# --- the grid, and the order of everything --------------------------------------------------------


def planned_grid(studies: Sequence[Run]) -> dict[str, list] | None:
    """Starts, sources, targets and seeds of the latest study run that tells them; None without one."""
    names = ("starts", "sources", "targets", "seeds", "pivots")
    for run in sorted(studies, key=lambda run: (run.info.start_time, run.info.run_id), reverse=True):
        # a study without pivots may have been tracked before there were any
        texts = [run.data.params.get(schema.CONFIG + name, "") for name in names]
        lists = [[part.strip() for part in text.split(",") if part.strip()] for text in texts]
        axes: dict[str, list] = dict(zip(names, lists, strict=True))
        pivots = axes["pivots"]
        needed = [values for name, values in axes.items() if name != "pivots"]
        if all(needed) and all(seed.isdecimal() for seed in axes["seeds"]):
            pairs = grid.pairs(axes["starts"], axes["sources"], pivots)
            return {
                "starts": list(dict.fromkeys(start for start, _ in pairs)),
                "sources": list(dict.fromkeys([*axes["sources"], *pivots])),
                "pivots": pivots,
                "targets": axes["targets"],
                "seeds": sorted(int(seed) for seed in axes["seeds"]),
                "pairs": pairs,
            }
    return None


def planned_few_shot(studies: Sequence[Run]) -> list[grid.Configuration] | None:
    """The configurations with a few sentences of a target that the latest study run tells; None without one."""
    latest = max(studies, key=lambda run: (run.info.start_time, run.info.run_id), default=None)
    axes = None if latest is None else planned_grid([latest])
    if latest is None or axes is None:
        return None
    names = (schema.FEW_SHOT_LANGUAGE + "s", schema.FEW_SHOT_SENTENCES, schema.FEW_SHOT_MODE)
    languages, sentences, mode = (latest.data.params.get(schema.CONFIG + name, "") for name in names)
    numbers = [int(text) for text in sentences.split(",") if text.strip().isdecimal()]
    wanted = [text.strip() for text in languages.split(",") if text.strip()]
    return [one for one in grid.configurations(axes["pairs"], wanted, numbers, mode) if one[2] is not None]


def families_of(cells: Sequence[Run]) -> dict[str, str]:
    """Family by language: as the runs' tags say (the newest wins), else as the list of known languages does."""
    return {code: language.family for code, language in LANGUAGES.items()} | by_prefix(cells, schema.FAMILY)


def by_prefix(runs: Iterable[Run], prefix: str) -> dict[str, str]:
    """What the tags that begin so say, by the rest of their names; the last run wins."""
    return {
        key.removeprefix(prefix): value
        for run in runs
        for key, value in run.data.tags.items()
        if key.startswith(prefix) and value
    }


class Order:
    """The order of starts and languages, the same in every frame."""

    def __init__(
        self,
        planned: Mapping[str, list] | None,
        kept: Iterable[tuple[str, str, int]],
        scores: pd.DataFrame,
    ) -> None:
        identities = list(kept)
        planned = planned or {}
        self._found = {
            "starts": sorted({start for start, _, _ in identities}),
            "sources": sorted({source for _, source, _ in identities}),
            "targets": sorted(set(scores["target"])),
            "seeds": sorted({seed for _, _, seed in identities}),
        }
        self._planned = planned
        starts = dict.fromkeys([*planned.get("starts", []), *self._found["starts"]])
        self.starts = sorted(starts, key=lambda name: name != grid.BASE)  # stable: the rest keeps its order
        axes = ("sources", "targets")
        given = [name for found in (planned, self._found) for axis in axes for name in found.get(axis, [])]
        self.languages = list(dict.fromkeys(given))

    def grid(self) -> dict[str, list]:
        """The planned grid in this order; without a plan, what was found."""
        axes = {name: list(self._planned.get(name) or found) for name, found in self._found.items()}
        axes["starts"].sort(key=self.starts.index)
        axes["sources"].sort(key=self.languages.index)
        axes["targets"].sort(key=self.languages.index)
        pairs = self._planned.get("pairs") or grid.pairs(axes["starts"], axes["sources"])
        ranked = sorted(pairs, key=lambda pair: (self.starts.index(pair[0]), self.languages.index(pair[1])))
        return axes | {"pairs": ranked, "pivots": list(self._planned.get("pivots", []))}

    def sort(self, frame: pd.DataFrame) -> pd.DataFrame:
        return _sorted(frame, self.starts, self.languages)


def _sorted(frame: pd.DataFrame, starts: Sequence[str], languages: Sequence[str]) -> pd.DataFrame:
    """The frame's rows in order of all columns that name something, index renewed."""
    ranks = {
        "start": {name: i for i, name in enumerate(starts)},
        "source": {name: i for i, name in enumerate(languages)},
        "target": {name: i for i, name in enumerate(languages)},
        schema.FEW_SHOT_LANGUAGE: {name: i for i, name in enumerate(languages)},
        "split": {name: i for i, name in enumerate(schema.SCORED_SPLITS)},
    }
    by = [
        c
        for c in ("start", "source", *FEW_SHOT, "seed", "target", "split", "category", "ended", "run_id")
        if c in frame
    ]

    def key(column: pd.Series) -> pd.Series:
        if column.name in ranks:  # a failed cell may name what is nowhere else: last
            return column.map(ranks[str(column.name)]).fillna(len(ranks[str(column.name)])).astype(float)
        if column.name == "ended":  # what still runs ends after all that has
            return column.where(column != "", "running")
        return column.where(column != ALL, "") if column.name == "category" else column

    return frame.sort_values(by, key=key, kind="stable", ignore_index=True)


def in_order(found: StudyResults, languages: Sequence[str]) -> StudyResults:
    """The same results with the languages in another order, everywhere. Raises ValueError on other ones."""
    if sorted(languages) != sorted(found.languages):
        raise ValueError(f"{languages} are not the languages of the study, {found.languages}")
    starts = list(dict.fromkeys([*found.plan["starts"], *found.frame["start"]]))
    every = ("frame", "overall", "cells", "duplicates", "digests")
    frames = {name: _sorted(getattr(found, name), starts, languages) for name in (*every, "unions")}
    few = found.few_shot
    ordered = {name: _sorted(getattr(few, name), starts, languages) for name in every}
    rank = list(languages).index
    plan = found.plan | {axis: sorted(found.plan[axis], key=rank) for axis in ("sources", "targets", "pivots")}
    plan["pairs"] = sorted(found.plan["pairs"], key=lambda pair: (starts.index(pair[0]), rank(pair[1])))
    return replace(found, **frames, plan=plan, languages=list(languages), few_shot=replace(few, **ordered))


def language_order(found: StudyResults, order: str) -> list[str]:
    """The languages as ``given`` by the study, or by ``family`` or ``region``, then by name; unknown ones last."""
    if order == "given":
        return found.languages
    regions = {code: language.region for code, language in LANGUAGES.items()}
    groups = {"family": found.families, "region": regions}[order]
    return sorted(found.languages, key=lambda name: (name not in groups, groups.get(name, ""), name))


# --- runs -----------------------------------------------------------------------------------------


def cells_frame(cells: Sequence[Run], kept: Mapping[tuple[str, str, int] | None, Run]) -> pd.DataFrame:
    used = {run.info.run_id for run in kept.values()}
    return pd.DataFrame([cell_row(run, run.info.run_id in used) for run in cells], columns=CELL_COLUMNS)


def cell_row(run: Run, used: bool) -> tuple:
    """`CELL_COLUMNS` of a run."""
    info, tags, metrics = run.info, run.data.tags, run.data.metrics
    seconds = (info.end_time - info.start_time) / 1000 if info.end_time else float("nan")
    ended = utc(info.end_time) if info.end_time else ""
    return (
        tags[schema.START], tags[schema.SOURCE], int(tags[schema.SEED]), info.status, used, info.run_id,
        info.run_name or "", tags.get(schema.CELL_KEY, ""), tags.get(schema.START_FINGERPRINT, ""),
        tags.get(schema.RECIPE_DIGEST, ""), ended, seconds, metrics.get("train_seconds", float("nan")),
        metrics.get("score_seconds", float("nan")),
    )  # fmt: skip


def digest_rows(kept: Mapping[AnyPlace, Run], further: Sequence[str] = ()) -> pd.DataFrame:
    rows = []
    for place, run in kept.items():
        for name, digest in by_prefix([run], schema.PREDICTIONS_DIGEST).items():
            target, _, split = name.rpartition(".")
            if not grid.is_several(schema.restored(target)):  # what is predicted on its parts, once more
                rows.append((*cell_values(place), target, split, digest))
    return pd.DataFrame(rows, columns=[*CELL, *further, *DIGEST_COLUMNS[len(CELL) :]])


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
    recipes = {run.data.tags.get(schema.RECIPE_DIGEST) for run in kept}
    if len(recipes) > 1:
        found.append(f"recipes differ: the cells were fine-tuned with {len(recipes)} different recipes (see cells.csv)")
    found += _several(kept, schema.CORPUS_DIGEST, "corpora differ: {} has {} different digests among the cells")
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


def _several(kept: Sequence[Run], prefix: str, message: str) -> list[str]:
    values: dict[str, set[str]] = {}
    for run in kept:
        for key, value in run.data.tags.items():
            if key.startswith(prefix):
                values.setdefault(key.removeprefix(prefix), set()).add(value)
    return [message.format(name, len(found)) for name, found in sorted(values.items()) if len(found) > 1]


# --- artifacts ------------------------------------------------------------------------------------


def sentence_counts(found: StudyResults, uri: str, split: str) -> dict[str, SentenceCounts]:
    """Entities by sentence of every target's ``split``, of those used runs that have them, by target."""
    contents = _fetched(
        {place: f"{address}/{schema.SENTENCE_COUNTS}" for place, address in found.artifacts.items()}, uri
    )
    there = {place: content for place, content in contents.items() if content is not None}
    try:
        return gathered(there, split)
    except ValueError:  # a file that cannot be read, or cells that were scored on different corpora: the audit tells
        return {}


def predicted_entities(found: StudyResults, uri: str, split: str) -> dict[Place, bytes]:
    """The file of predicted entities (`nertransfer.predicted_entities`) of every used run, in the order of the frame.

    Made here from the predictions word by word for runs that are older than it, which takes long.
    """
    places = list(found.frame[CELL].drop_duplicates().itertuples(index=False, name=None))
    contents = _fetched({place: f"{found.artifacts[place]}/{schema.PREDICTED_ENTITIES}" for place in places}, uri)
    scored = found.digests[found.digests["split"] == split]
    older = {
        (
            (start, source, seed),
            target,
        ): f"{found.artifacts[start, source, seed]}/{schema.PREDICTIONS}/{target}.{split}.txt"
        for start, source, seed, target in scored[[*CELL, "target"]].itertuples(index=False, name=None)
        if contents[start, source, seed] is None
    }
    texts: dict[Place, dict[tuple[str, str], Entities]] = {}
    for (place, target), text in _fetched(older, uri).items():
        if text is not None:
            texts.setdefault(place, {})[target, split] = from_text(text.decode())
    contents |= {place: to_bytes(entities) for place, entities in texts.items()}
    return {place: content for place, content in contents.items() if content is not None}


def import_tables(found: StudyResults, uri: str) -> dict[str, pd.DataFrame]:
    """Of the last import: what could not be read (``unfit``); reported values that are not those counted."""
    names = {"unfit": schema.UNFIT_FILE, "disagreements": schema.DISAGREEMENTS_FILE}
    if not found.imported:
        return {}
    contents = _fetched({name: f"{found.imported}/{file}" for name, file in names.items()}, uri)
    return {name: pd.read_csv(io.BytesIO(text)) for name, text in contents.items() if text is not None}


def embeddings(found: StudyResults, uri: str) -> tuple[pd.DataFrame, Iterator[Embedded]]:
    """Every finished embedding run of the study, and those that are used, read one at a time.

    Used are the latest run of every model and layers, of the words that most models have, where corpus and weights are
    those of the scores. The layers that most models have come first, starts before cells, seeds of a cell together.
    """
    server = client(uri, must_exist=True)
    condition = f"tags.{schema.KIND} = '{schema.KIND_EMBEDDING}' and attributes.status = 'FINISHED'"
    runs = sorted(all_runs(server, found.experiment_id, condition), key=lambda r: (-r.info.end_time, r.info.run_id))
    reasons: dict[str, str] = {run.info.run_id: _stale(run, found) for run in runs}
    fit = [run for run in runs if not reasons[run.info.run_id]]
    words = _commonest(run.data.tags[schema.WORDS_DIGEST] for run in fit)
    latest: dict[tuple, Run] = {}
    for run in fit:
        if run.data.tags[schema.WORDS_DIGEST] != words:
            reasons[run.info.run_id] = "other words than most models have"
        elif latest.setdefault((_embedded_place(run), run.data.tags[schema.LAYERS]), run) is not run:
            reasons[run.info.run_id] = "embedded again later"
    layers = _commonest(layers for _, layers in latest)
    starts = list(dict.fromkeys([*found.plan["starts"], *(place[1] for place, _ in latest)]))
    order = {name: i for i, name in enumerate(found.languages)}

    def rank(key: tuple) -> tuple:
        (name, start, source, seed), own = key
        return own != layers, own, source != "", starts.index(start), order.get(source, len(order)), source, seed, name

    used = [latest[key] for key in sorted(latest, key=rank)]
    shown = [*used, *(run for run in runs if reasons[run.info.run_id])]
    rows = []
    for run in shown:
        name, start, source, seed = _embedded_place(run)
        reason, tags = reasons[run.info.run_id], run.data.tags
        rows.append(
            (name, start, source, None if seed < 0 else seed, tags[schema.LAYERS], tags.get("split", ""), not reason,
             reason, run.info.run_id, utc(run.info.end_time))
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=EMBEDDING_COLUMNS).astype({"seed": "Int64"})
    return table, (_embedded(run, uri) for run in used)


def _commonest(values: Iterable[str]) -> str:
    """The value that occurs most, the first of those that do."""
    return next((value for value, _ in Counter(values).most_common(1)), "")


def _embedded_place(run: Run) -> tuple[str, str, str, int]:
    """Name, start, source (empty: a start alone) and seed (-1) of an embedded model."""
    tags = run.data.tags
    return tags[schema.MODEL], tags[schema.START], tags.get(schema.SOURCE, ""), int(tags.get(schema.SEED, -1))


def _stale(run: Run, found: StudyResults) -> str:
    """Why an embedding does not go with the scores; empty where it does."""
    tags = run.data.tags
    other = [name for name, digest in by_prefix([run], schema.CORPUS_DIGEST).items()
             if found.corpora.get(name, digest) != digest]  # fmt: skip
    if other:
        return f"the corpus of {', '.join(sorted(other))} is not the one that was scored"
    used = found.cells[found.cells["used"]]
    if schema.SOURCE in tags:
        return "" if tags[schema.CELL_KEY] in set(used["cell_key"]) else "its cell is not among those that count"
    weights = set(used.loc[used["start"] == tags[schema.START], "start_fingerprint"]) - {""}
    fingerprint = run.data.params.get(schema.CONFIG + "fingerprint")
    return "the cells began from other weights" if weights and fingerprint not in weights else ""


def _embedded(run: Run, uri: str) -> Embedded:
    """Raises InputError where its files are not there."""
    names = (schema.WORDS_FILE, schema.VECTORS_FILE, schema.CENTRES_FILE)
    contents = _fetched({name: f"{run.info.artifact_uri}/{name}" for name in names}, uri)
    gone = [name for name, content in contents.items() if content is None]
    if gone:
        which = f"run {run.info.run_id} of kind {schema.KIND_EMBEDDING} lacks {', '.join(gone)}"
        moved = store_files.displaced(uri, run.info.artifact_uri)
        raise InputError(f"{which}: {store_files.not_there(uri, run.info.artifact_uri) if moved else 'delete it'}")
    words, vectors, centres = (content for content in contents.values() if content is not None)
    frame = embedded_words.read_words(words).to_pandas()
    name, start, source, seed = _embedded_place(run)
    return Embedded(
        name, start, source or None, None if seed < 0 else seed, run.data.tags[schema.LAYERS], frame,
        embedded_words.read_vectors(vectors, list(dict.fromkeys(frame["language"]))),
        embedded_words.read_centres(centres),
    )  # fmt: skip


Key = TypeVar("Key")


def _fetched(addresses: Mapping[Key, str], uri: str) -> dict[Key, bytes | None]:
    """The contents of artifacts, None where there is none; several at a time where they are not on this machine."""

    def one(address: str) -> bytes | None:
        if (path := store_files.local_path(address)) is not None:
            return path.read_bytes() if path.is_file() else None
        try:
            return Path(download_artifacts(artifact_uri=address, tracking_uri=uri)).read_bytes()
        except MlflowException:
            return None

    with ThreadPoolExecutor(8) as threads:
        found = dict(zip(addresses, threads.map(one, addresses.values()), strict=True))
    if missing := next((addresses[key] for key, content in found.items() if content is None), ""):
        store_files.tell(uri, missing)
    return found
