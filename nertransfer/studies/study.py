"""A study from its configuration to registered models: plans the grid and has what is missing run."""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from nertransfer.core import schema
from nertransfer.core.commandline import flat
from nertransfer.core.config import StudyConfig
from nertransfer.core.errors import InputError
from nertransfer.core.files import make_folder
from nertransfer.core.grid import Place
from nertransfer.core.options import PLANTED, TrackingOptions
from nertransfer.core.text import count
from nertransfer.corpora import corpus as corpora_of
from nertransfer.encoders import device
from nertransfer.registry import register
from nertransfer.registry.aliases import Change
from nertransfer.registry.selection import REPLACE_ALL, STUDY_REPLACES, Choice
from nertransfer.registry.weights import discard_beaten, store_best
from nertransfer.studies.executors import local
from nertransfer.studies.executors.slurm import Cluster, write_scripts
from nertransfer.studies.executors.slurm import check as check_executor
from nertransfer.studies.executors.workers import cell_command, make_launcher, make_worker, slurm_folder
from nertransfer.studies.planning import (
    Grid,
    Plan,
    lay_out,
    make_plan,
)
from nertransfer.studies.runner import FOUND, Work, claim_name, tags_of
from nertransfer.studies.timing import CELLS, MAKING, REGISTRY, Timing
from nertransfer.tracking import runs as tracked_runs
from nertransfer.tracking import store_files
from nertransfer.tracking.addresses import public_uri
from nertransfer.tracking.claims import Claims, Heart, Owner, held
from nertransfer.tracking.runs import (
    below,
    cell_runs,
    configuration_params,
    finished_cells,
    log,
    log_values,
    mark_as_asked,
    mark_dead_runs_killed,
    open_run,
    provenance_file,
    scored_cells,
)
from nertransfer.tracking.store import Run, Study, as_called_now
from nertransfer.training.accelerator import make_accelerator, make_training_accelerator
from nertransfer.training.cell import Cell, recipe_digest, tidy
from nertransfer.training.planted_starts import resolve_starts

logger = logging.getLogger("nertransfer")

FIRST_PAUSE_SECONDS, PAUSE_SECONDS = 1.0, 30.0
"""Between two looks at what another process works on: short at first, then longer and longer."""


def write_study_scripts(config: StudyConfig, study: Study) -> tuple[list[Path], int]:
    """Write sbatch files for the cells that are missing; returns the scripts to submit, and how many cells there are.

    Raises InputError where the store's address may hold a secret, which must not be written to a file.
    """
    if public_uri(study.uri) != study.uri:
        raise InputError(
            "executor=script writes the store's address to a file, and this one may hold a password: give it as "
            f"{public_uri(study.uri)}, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or what the "
            "database's driver reads, such as PGPASSWORD, where the tasks run", "tracking_uri",
        )  # fmt: skip
    store_files.check(study)
    plan, _ = _prepare(config, Timing())
    done = finished_cells(study, plan.targets)
    missing = [cell for cell in plan.cells if cell.place not in done]
    commands = [cell_command(config, plan, cell, study) for cell in missing]
    return write_scripts(commands, config.slurm, slurm_folder(config, study), study), len(missing)


@dataclass
class StudyOutcome:
    """What a study did: cells run now, cells found done, errors of those that failed, what the registry changed;
    ``sources`` of all cells; ``run_id`` of the study's run; ``tracking`` has the name that the study has in the end."""

    ran: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    run_id: str = ""
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    timing: Timing = field(default_factory=Timing.since_process_began)


def run_study(config: StudyConfig, study: Study) -> StudyOutcome:
    """Run every cell that the store lacks, register the best seeds, and keep only their weights.

    A cell that fails is tried twice and does not stop the others; its source is not registered before it
    has finished. A best seed whose weights are gone, because another seed was the best before, is
    fine-tuned again. Cells that another process works on are waited for.
    """
    store_files.check(study)
    outcome = StudyOutcome()
    plan, grid = _prepare(config, outcome.timing)
    done = finished_cells(study, plan.targets)
    if config.executor == "local" and any(cell.place not in done for cell in plan.cells):
        make_training_accelerator(config.recipe, config.run)  # raises where this machine cannot compute as cells ask
    outcome.sources = list(dict.fromkeys(cell.source for cell in plan.cells))
    tags = {"languages": ",".join(plan.corpora), schema.RECIPE_DIGEST: recipe_digest(config.recipe)}
    with Heart(study, Owner.this_process()), open_run(study, schema.KIND_STUDY, "study", tags) as run_id:
        log(study.client, run_id, params=configuration_params(flat(config) | grid.params))
        outcome.run_id = run_id
        for name, text in provenance_file(flat(config)).items():
            study.client.log_text(run_id, text, name)
        with outcome.timing.phase(CELLS):
            _run_missing(config, plan, study, done, outcome)
        with outcome.timing.phase(REGISTRY):
            study = as_called_now(study)
            _register(config, plan, study, outcome)
            outcome.tracking = replace(config.tracking, study=as_called_now(study).name)
        log_values(study.client, run_id, {f"seconds/{k}": v for k, v in outcome.timing.parts.items()})
    return outcome


def _prepare(config: StudyConfig, timing: Timing) -> tuple[Plan, Grid]:
    """Read corpora and starts, lay the cells out, see to a place for them and their report. Raises InputError."""
    check_executor(config.executor, config.num_processes)
    grid = lay_out(config)
    with timing.phase("reading corpora"):
        corpora = corpora_of.load(replace(config.data, languages=grid.languages))
    with timing.phase(MAKING if config.data.data == PLANTED else "finding the starts"):
        resolved = resolve_starts(
            list(grid.texts.values()), config.data, lambda: make_accelerator(config.recipe, config.run)
        )
    with timing.phase("planning"):
        plan = make_plan(grid, corpora, resolved, config.recipe)
    make_folder(Path(config.output), "output")  # of the report, which comes when all cells have run
    make_folder(Path(config.data.work_dir), "work_dir")
    return plan, grid


def _run_missing(
    config: StudyConfig, plan: Plan, study: Study, done: Mapping[tuple[str, str, str], Run], outcome: StudyOutcome
) -> None:
    mark_dead_runs_killed(study)
    outcome.found = [cell.name for cell in plan.cells if cell.place in done]
    mark_as_asked(study, (done[cell.place] for cell in plan.cells if cell.place in done), outcome.run_id)
    missing = [cell for cell in plan.cells if cell.place not in done]
    where = f" on {device.name(config.run.device)}" if config.executor == "local" and missing else ""
    logger.info("%s: %d done, %d to run%s", count(len(plan.cells), "cell"), len(outcome.found), len(missing), where)
    _execute(config, plan, study, missing, outcome)


def _execute(
    config: StudyConfig, plan: Plan, study: Study, cells: Sequence[Cell], outcome: StudyOutcome, again: bool = False
) -> None:
    """Have cells run, and wait for those that other processes work on. ``again``: although they are finished."""
    axes = ("starts", "sources", "seeds", "few_shot_languages", "few_shot_sentences", "few_shot_mode")
    params = {k: v for k, v in flat(config).items() if k not in axes}
    keep = config.keep_weights
    work = Work(plan, config.data, config.run, params, config.selection_split, keep, keep, outcome.run_id)
    places: list[local.Seat] = []
    if config.executor == "local":  # a cluster's nodes are not this machine
        gpus = device.gpus(config.run.device)
        places = local.seats(config.workers, config.num_processes, gpus, torch.get_num_threads())[: max(1, len(cells))]
    told = bool(places) and config.num_processes == 1
    logs = Path(config.data.work_dir).absolute() / "logs" / study.name
    where = study.uri, study.experiment_id, study.name
    make: Callable = partial(make_worker, work, *where, again)
    commands: dict[str, list[str]] = {}
    if config.executor == "slurm" or config.num_processes > 1:
        commands = {cell.name: cell_command(config, plan, cell, study, again) for cell in cells}
        make = partial(make_launcher, config.num_processes, config.run.device, commands, *where)
    with _inherited({"MLFLOW_TRACKING_URI": study.uri, schema.PARENT_VARIABLE: outcome.run_id} if commands else {}):
        while cells:
            if config.executor == "slurm":
                tags = {cell.name: tags_of(work, cell) | below(outcome.run_id) for cell in cells}
                results = Cluster(study, config.slurm, slurm_folder(config, study), commands, tags, again).run(
                    cells, plan.targets
                )
            else:
                results = local.run(cells, make, places, logs, _Complete(config, study, cells))
            outcome.failed |= results.failed
            for one in results.ended:
                (outcome.found if one.state == FOUND else outcome.ran).append(one.cell)
                outcome.timing.told = told
                if told:
                    seconds = one.train_seconds + one.score_seconds
                    outcome.timing.working += seconds / len(places)
                    outcome.timing.tracking += (one.seconds - seconds) / len(places)
            cells = results.taken
            if cells:
                logger.info("waiting for %s, which another process works on", ", ".join(cell.name for cell in cells))
                _wait_for_one_of(cells, study)
                mark_dead_runs_killed(study)


@contextmanager
def _inherited(variables: Mapping[str, str]) -> Iterator[None]:
    """Workers and tasks that are started while the block lasts have these variables of the environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ |= {} if value is None else {name: value}


def _wait_for_one_of(cells: Sequence[Cell], study: Study) -> None:
    """Until somebody gives up the claim on one of the cells, finished or not."""
    claims, pause = Claims(study, Owner.this_process()), FIRST_PAUSE_SECONDS
    names = {claim_name(cell) for cell in cells}
    while claims.taken(names) == names:
        time.sleep(pause)
        pause = min(1.5 * pause, PAUSE_SECONDS)


class _Complete:
    """Called with every cell that ended: once none of its start and source is left, those with a few sentences of a
    target included, stores the best weights and deletes the others."""

    def __init__(self, config: StudyConfig, study: Study, cells: Sequence[Cell]) -> None:
        self._config, self._study = config, study
        self._left = Counter((cell.start.name, cell.source) for cell in cells)

    def __call__(self, cell: Cell) -> None:
        pair = cell.start.name, cell.source
        self._left[pair] -= 1
        if self._left[pair]:
            return
        claim = None
        try:
            if claim := Claims(self._study, Owner.this_process()).take(REGISTRY):
                work_dir = Path(self._config.data.work_dir)
                store_best(self._study, cell, self._config.seeds, work_dir, self._config.selection_split)
                if not self._config.keep_weights:
                    discard_beaten(self._study, cell, work_dir, self._config.selection_split)
        except Exception as error:  # registering tries again, and fails if it must; no cell shall stop for it
            logger.warning("weights of %s-%s are not stored yet: %s", *pair, error)
        except BaseException:
            if claim is not None:
                claim.give_up("cut short")
            raise
        if claim is not None:
            claim.end("done")  # however long it takes: left behind, it would keep this very process from registering


def _without_holes(cells: dict[Place, Run], plan: Plan, finished: Sequence[Run]) -> dict[Place, Run]:
    """The finished cells of the sources of which no planned cell is missing."""
    done = scored_cells(finished, plan.targets)
    holes = sorted({cell.source for cell in plan.cells if cell.place not in done and cell.few_shot is None})
    if holes:
        logger.warning(
            "not registered, for cells of it are missing: source %s; the same command tries them again, and the "
            "register entry point takes the best of those that finished", ", ".join(holes),
        )  # fmt: skip
    return {place: run for place, run in cells.items() if place[1] not in holes}


def _candidates(
    config: StudyConfig, plan: Plan, study: Study, finished: Sequence[Run]
) -> tuple[dict[Place, Run], list[Choice]]:
    """Of all ``finished`` cells those to register from, and the best of these whose weights are gone, all of which are
    in the plan.

    Others that would be registered but for their weights are left out: the study cannot make them again, and its own
    models shall not wait for them.
    """
    cells = _without_holes(tracked_runs.places(study, finished), plan, finished)
    planned, work_dir = {cell.key for cell in plan.cells}, Path(config.data.work_dir)
    while True:
        gone = register.without_weights(study, cells, work_dir, config.selection_split)
        runs = {choice.run.info.run_id: choice.run.info.run_name for choice in gone if choice.key not in planned}
        if not runs:
            return cells, gone
        logger.warning(
            "not registered, for they are not of this study's plan and their weights are not here: %s",
            ", ".join(runs.values()),
        )  # fmt: skip
        cells = {place: run for place, run in cells.items() if run.info.run_id not in runs}


def _register(config: StudyConfig, plan: Plan, study: Study, outcome: StudyOutcome) -> None:
    """Register the best seeds, one process at a time.

    A source with a cell that failed is left out, for the best would be the best of an incomplete comparison, and so is
    one whose best weights are gone and could not be made again; its other weights are kept for the next run. The recipe
    was given with the study, so aliases of this study follow it; corpora and starts may have changed unnoticed, and
    aliases of other studies are theirs: those stay, unless ``replace``.
    """
    work_dir = Path(config.data.work_dir)
    with held(study, REGISTRY, "registers models"):
        finished = cell_runs(study, "FINISHED")
        cells, gone = _candidates(config, plan, study, finished)
        lost = {choice.key for choice in gone}
        again = [cell for cell in plan.cells if cell.key in lost and cell.name not in outcome.failed]
        if again:
            logger.info("weights of %s are gone; fine-tuning again", ", ".join(cell.name for cell in again))
            _execute(config, plan, study, again, outcome, again=True)
            finished = cell_runs(study, "FINISHED")
            cells, gone = _candidates(config, plan, study, finished)
        if gone:
            outcome.failed["registry"] = register.nowhere(gone, work_dir)
            sources = {choice.source for choice in gone}
            cells = {place: run for place, run in cells.items() if place[1] not in sources}
        if cells:
            replace_for = REPLACE_ALL if config.replace else STUDY_REPLACES
            try:
                changes = register.register(study, cells, work_dir, config.selection_split, replace_for, plan.corpora)
            except InputError as error:  # the cells are there all the same, and what is not stored is kept
                outcome.failed["registry"] = "; ".join([*filter(None, [outcome.failed.get("registry")]), str(error)])
                return
            outcome.changes = [change for change in changes if not change.failed]
            failures = [change for change in changes if change.failed]
            for name in dict.fromkeys(change.model for change in failures):
                of_model = [change.text for change in failures if change.model == name]
                outcome.failed[f"registry, {name}"] = "; ".join(of_model)
            if failures:
                return  # weights that are not stored are kept: the same command registers them
        ended = [*cells.values(), *tracked_runs.few_shot_runs(finished)]
        tidy(work_dir, (run.data.tags[schema.CELL_KEY] for run in ended), config.keep_weights)
