"""Tracking server -> the results of a study as tidy frames, with one search for all cells. Writes nothing."""

from collections.abc import Mapping, Sequence

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from analysis.reading.frames import (
    cell_row,
    cell_values,
    cells_frame,
    digest_rows,
    duplicate_rows,
    inconsistent_rows,
    melt,
    melted_scores,
    unaligned_rows,
    unknown_rows,
    wide_scores,
)
from analysis.reading.order import Order, families_of, planned_few_shot, planned_grid
from analysis.reading.results import (
    CELL,
    CELL_COLUMNS,
    FEW_SHOT,
    FRAME_COLUMNS,
    OVERALL_COLUMNS,
    OVERALL_MEASURES,
    FewShotResults,
    StudyResults,
    packed_values,
)
from nertransfer.core import grid, schema
from nertransfer.core.errors import InputError
from nertransfer.core.grid import FewShotPlace
from nertransfer.core.schema import ALL
from nertransfer.encoders.catalogue import is_on_hub
from nertransfer.tracking.current_cells import (
    current_cells,
    current_few_shot_cells,
    few_shot_place_of,
    of_planned_recipe,
    place_of,
)
from nertransfer.tracking.store import all_runs, client


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
    systems = {place[:2]: run.data.tags for place, run in kept.items() if schema.SYSTEM in run.data.tags}
    order = Order(planned, kept, scores, systems)
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
        corpora=packed_values([*few_shot_kept.values(), *kept.values()], schema.CORPUS_DIGESTS),
        locations={
            run.data.tags[schema.START]: run.data.tags[schema.START_LOCATION]
            for run in kept.values()
            if is_on_hub(run.data.tags)
        },
        artifacts={place: run.info.artifact_uri for place, run in kept.items()},
        imported=next((r.info.artifact_uri for r in reversed(studies) if schema.IMPORTED in r.data.tags), ""),
        warnings=warnings + inconsistent_rows([*kept.values(), *few_shot_kept.values()]),
        unions=order.sort(wide_scores(unions, schema.CATEGORY_MEASURES, FRAME_COLUMNS)),
        unknown_words=order.sort(unknown_rows(kept)),
        systems=frozenset(systems),
        without_seed=frozenset(pair for pair, tags in systems.items() if schema.WITHOUT_SEED in tags),
        unaligned=order.sort(unaligned_rows(kept)),
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
    found: list[grid.Configuration] = list(dict.fromkeys((start, source, few) for start, source, _, few in kept))
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
