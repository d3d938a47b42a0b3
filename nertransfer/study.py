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

import psutil
import torch
from accelerate import Accelerator

from nertransfer import corpus as corpora_of
from nertransfer import device, launch, planted_starts, pool, registry, schema, starts, store_files, trained_cells
from nertransfer.aliases import Change
from nertransfer.best_seeds import Choice
from nertransfer.cell import Cell, make_accelerator, make_training_accelerator, recipe_digest
from nertransfer.cell_folders import tidy
from nertransfer.cell_weights import discard_beaten, store_best
from nertransfer.claims import Claims, Heart, Owner, held
from nertransfer.cluster import Cluster, train_script, write_scripts
from nertransfer.cluster import check as check_executor
from nertransfer.commandline import command, flat
from nertransfer.config import PLANTED, DataOptions, StudyConfig, TrackingOptions, TrainConfig
from nertransfer.display import duration
from nertransfer.errors import InputError
from nertransfer.folders import make_folder
from nertransfer.grid import ALONE, NONE, FewShot, Place, languages_of
from nertransfer.lineage import REPLACE_ALL, STUDY_REPLACES
from nertransfer.measurements import milliseconds
from nertransfer.nouns import count
from nertransfer.planning import (
    Grid,
    Plan,
    cell_of,
    languages_to_load,
    lay_out,
    load_corpora,
    make_plan,
    pick,
    pick_sources,
)
from nertransfer.runner import FOUND, RAN, TAKEN, Outcome, Runner, Work, claim_name, tags_of
from nertransfer.slurm_task import TAKEN_STATUS
from nertransfer.store import Run, Study, as_called_now, client, public_uri
from nertransfer.tracking import (
    cell_runs,
    configuration_params,
    finished_cells,
    log,
    log_values,
    mark_as_asked,
    mark_dead_runs_killed,
    open_run,
    scored_cells,
    was_found,
)

logger = logging.getLogger("nertransfer")

FIRST_PAUSE_SECONDS, PAUSE_SECONDS = 1.0, 30.0
"""Between two looks at what another process works on: short at first, then longer and longer."""


def resolve_starts(texts: Sequence[str], data: DataOptions, make: Callable[[], Accelerator]) -> list[starts.Start]:
    """The starts that the texts name; those of the planted corpora are trained where they do not exist yet, with the
    accelerator that ``make`` then makes."""
    if data.data != PLANTED:
        return starts.resolve_all(texts)
    return planted_starts.resolve_all(texts, data, make())


def train(config: TrainConfig, study: Study | None, accelerator: Accelerator) -> Outcome:
    """Run one cell and track it, unless it is finished or taken. ``study`` is None on all but the main process."""
    if study is not None:
        store_files.check(study)
    plan = train_plan(config, accelerator)
    if study is not None:
        make_folder(Path(config.data.work_dir), "work_dir")
    params = {name: value for name, value in flat(config).items() if not name.startswith("few_shot_")}
    keep = config.keep_weights
    work = Work(plan, config.data, config.run, params, config.selection_split, keep, keep)
    if study is not None:
        mark_dead_runs_killed(study)
    with Runner(work, study, accelerator).beating() as runner:
        return runner.run(plan.cells[0], config.again)


def train_plan(config: TrainConfig, accelerator: Accelerator) -> Plan:
    """The one cell of a training. Raises InputError as laying out a study does."""
    alone, number = config.source == NONE, config.few_shot_sentences
    source = NONE if alone else pick_sources("source", (config.source,), config.data)[0]
    few = (config.few_shot_language,) if number else ()
    pick("few_shot_language", few, corpora_of.names(config.data))
    corpora = corpora_of.load(languages_to_load(config.data, (*languages_of(source), *few), config.targets))
    targets = pick("targets", config.targets, corpora)
    start = resolve_starts((config.start,), config.data, lambda: accelerator)[0]
    shots = FewShot(config.few_shot_language, number, ALONE if alone else config.few_shot_mode) if number else None
    cell = cell_of(
        (start.name, source, shots), config.seed, {start.name: start}, {start.name: starts.identify(start)}, corpora,
        config.recipe,
    )  # fmt: skip
    return Plan([cell], corpora, {name: corpora[name] for name in targets})


def write_study_scripts(config: StudyConfig, study: Study) -> tuple[list[Path], int]:
    """Write sbatch files for the cells that are missing; returns the scripts to submit, and how many cells there are.

    Raises InputError where the store's address holds a password, which must not be written to a file.
    """
    if public_uri(study.uri) != study.uri:
        raise InputError(
            "executor=script writes the store's address to a file, and this one holds a password: leave it out, and "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD where the tasks run", "tracking_uri",
        )  # fmt: skip
    store_files.check(study)
    plan, _ = _prepare(config, Timing())
    done = finished_cells(study, plan.targets)
    missing = [cell for cell in plan.cells if cell.place not in done]
    commands = [cell_command(config, plan, cell, study) for cell in missing]
    return write_scripts(commands, config.slurm, slurm_folder(config, study), study), len(missing)


IMPORTING, MAKING, CELLS, REGISTRY, REPORT = (
    "starting and importing", "making the planted starts", "cells", "registry", "report",
)  # fmt: skip


@dataclass
class Timing:
    """Where the wall time of a study goes.

    ``seconds`` by phase, in order, from the start of the process on. ``working``: seconds that a worker of this
    machine spent in training and scoring on average, and ``tracking``: in everything else that a cell needs, such
    as claiming, loading, tracking and saving; both None where cells ran elsewhere or told no times.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    working: float | None = 0.0
    tracking: float | None = 0.0

    @staticmethod
    def since_process_began() -> "Timing":
        return Timing({IMPORTING: time.time() - psutil.Process().create_time()})

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    @property
    def parts(self) -> dict[str, float]:
        """The phases, with that of the cells split into what workers spend in training and scoring and the rest."""
        parts = dict(self.seconds)
        if CELLS in parts and self.working is not None and self.tracking is not None:
            idle = parts.pop(CELLS) - self.working - self.tracking
            at = list(parts).index(REGISTRY) if REGISTRY in parts else len(parts)
            items = list(parts.items())
            items[at:at] = [
                ("training and scoring cells", self.working),
                ("claims tracking loading saving", self.tracking),
                ("idle workers", idle),
            ]
            parts = dict(items)
        return parts

    @property
    def overhead(self) -> float:
        """Seconds of importing, reading, planning, tracking and registering."""
        apart = (CELLS, MAKING, REPORT)
        return sum(value for name, value in self.seconds.items() if name not in apart) + (self.tracking or 0.0)

    def table(self) -> str:
        """Seconds and percent by phase, for people."""
        total = sum(self.seconds.values())
        lines = [f"where the time went: {duration(total)} of wall time"]
        lines += [f"  {name:<34}{value:8.1f} s {100 * value / total:6.1f} %" for name, value in self.parts.items()]
        if self.working is None:
            return "\n".join(lines)
        lines.append(
            f"  importing, reading, planning, tracking and registry together: {self.overhead:.1f} s, "
            f"{100 * self.overhead / total:.1f} %"
        )
        return "\n".join(lines)


@dataclass
class StudyOutcome:
    """What a study did: cells run now, cells found done, errors of those that failed, what the registry changed;
    ``sources`` of all cells; ``tracking`` has the name that the study has in the end."""

    ran: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
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
        corpora = load_corpora(config.data, grid.languages)
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
    mark_as_asked(study, (done[cell.place] for cell in plan.cells if cell.place in done))
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
    work = Work(plan, config.data, config.run, params, config.selection_split, keep, keep)
    places: list[pool.Seat] = []
    if config.executor == "local":  # a cluster's nodes are not this machine
        gpus = launch.gpus(config.run.device)
        places = pool.seats(config.workers, config.num_processes, gpus, torch.get_num_threads())[: max(1, len(cells))]
    told = bool(places) and config.num_processes == 1
    logs = Path(config.data.work_dir).absolute() / "logs" / study.name
    where = study.uri, study.experiment_id, study.name
    make: Callable = partial(make_worker, work, *where, again)
    commands: dict[str, list[str]] = {}
    if config.executor == "slurm" or config.num_processes > 1:
        commands = {cell.name: cell_command(config, plan, cell, study, again) for cell in cells}
        os.environ["MLFLOW_TRACKING_URI"] = study.uri  # workers and tasks inherit it
        make = partial(make_launcher, config.num_processes, config.run.device, commands, *where)
    while cells:
        if config.executor == "slurm":
            tags = {cell.name: tags_of(work, cell) for cell in cells}
            results = Cluster(study, config.slurm, slurm_folder(config, study), commands, tags, again).run(
                cells, plan.targets
            )
        else:
            results = pool.run(cells, make, places, logs, _Complete(config, study, cells))
        outcome.failed |= results.failed
        for one in results.ended:
            (outcome.found if one.state == FOUND else outcome.ran).append(one.cell)
            seconds = one.train_seconds + one.score_seconds
            if outcome.timing.working is not None and outcome.timing.tracking is not None:
                outcome.timing.working = outcome.timing.working + seconds / len(places) if told else None
                rest = one.seconds - seconds
                outcome.timing.tracking = outcome.timing.tracking + rest / len(places) if told else None
        cells = results.taken
        if cells:
            logger.info("waiting for %s, which another process works on", ", ".join(cell.name for cell in cells))
            _wait_for_one_of(cells, study)
            mark_dead_runs_killed(study)


def _wait_for_one_of(cells: Sequence[Cell], study: Study) -> None:
    """Until somebody gives up the claim on one of the cells, finished or not."""
    claims, pause = Claims(study, Owner.this_process()), FIRST_PAUSE_SECONDS
    names = {claim_name(cell) for cell in cells}
    while claims.taken(names) == names:
        time.sleep(pause)
        pause = min(1.5 * pause, PAUSE_SECONDS)


def slurm_folder(config: StudyConfig, study: Study) -> Path:
    """Where the tasks of a study leave their output."""
    return Path(config.data.work_dir).absolute() / "slurm" / study.name


def cell_command(config: StudyConfig, plan: Plan, cell: Cell, study: Study, again: bool = False) -> list[str]:
    """The ``train`` entry point with the parameters of one cell of a study.

    Without the store's address, which may hold a password: that travels in the environment.
    """
    start, few = cell.start, cell.few_shot
    revision = f"@{start.revision}" if start.revision else ""
    shots = dict(few_shot_language=few.language, few_shot_sentences=few.sentences) if few else {}
    if few and few.mode != ALONE:
        shots["few_shot_mode"] = few.mode
    train = TrainConfig(
        source=cell.source, **shots, start=f"{start.name}={start.location}{revision}", seed=cell.seed, again=again,
        targets=tuple(plan.targets), num_processes=config.num_processes, data=replace(config.data, languages=()),
        recipe=config.recipe, run=config.run, tracking=TrackingOptions(study=study.name),
        selection_split=config.selection_split, keep_weights=config.keep_weights or plan.is_gone_on_from(cell),
    )  # fmt: skip
    return [*train_script(), *command(train)]


def make_launcher(
    num_processes: int, device: str, commands: dict[str, list[str]], uri: str, experiment_id: str, name: str
) -> Callable[[Cell], Outcome]:
    """In a worker: what runs cells that several processes share."""
    study = Study(client(uri, patient=True), experiment_id, name)

    def run(cell: Cell) -> Outcome:
        _, script, *arguments = commands[cell.name]
        began = milliseconds()
        status = launch.relaunch(num_processes, script, arguments, device)
        if status == TAKEN_STATUS:
            return Outcome(cell.name, TAKEN)
        if status:
            raise RuntimeError(f"the processes of the cell ended with status {status}")
        return Outcome(cell.name, FOUND if was_found(study, cell, began) else RAN)

    return run


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


def make_worker(work: Work, uri: str, experiment_id: str, name: str, again: bool) -> Callable[[Cell], Outcome]:
    """In a worker: what runs its cells. By the experiment's id, for it may be renamed before the worker begins."""
    study = Study(client(uri, patient=True), experiment_id, name)
    runner = Runner(work, study, make_accelerator(work.plan.cells[0].recipe, work.run))
    Heart(study, Owner.this_process(), runner.flush_curves).start()
    return partial(runner.run, even_if_finished=again)


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
    cells = _without_holes(trained_cells.places(study, finished), plan, finished)
    planned, work_dir = {cell.key for cell in plan.cells}, Path(config.data.work_dir)
    while True:
        gone = registry.without_weights(study, cells, work_dir, config.selection_split)
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
            outcome.failed["registry"] = registry.nowhere(gone, work_dir)
            sources = {choice.source for choice in gone}
            cells = {place: run for place, run in cells.items() if place[1] not in sources}
        if cells:
            replace_for = REPLACE_ALL if config.replace else STUDY_REPLACES
            try:
                changes = registry.register(study, cells, work_dir, config.selection_split, replace_for, plan.corpora)
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
        ended = [*cells.values(), *trained_cells.few_shot_runs(finished)]
        tidy(work_dir, (run.data.tags[schema.CELL_KEY] for run in ended), config.keep_weights)
