"""What runs a study's cells: workers on this machine, or tasks of Slurm."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from nertransfer.core.commandline import command
from nertransfer.core.config import StudyConfig, TrainConfig
from nertransfer.core.grid import ALONE
from nertransfer.core.options import TrackingOptions
from nertransfer.scoring.measurements import milliseconds
from nertransfer.studies.executors import launch
from nertransfer.studies.executors.slurm import train_script
from nertransfer.studies.executors.slurm_task import TAKEN_STATUS
from nertransfer.studies.planning import Plan
from nertransfer.studies.runner import FOUND, RAN, TAKEN, Outcome, Runner, Work
from nertransfer.tracking.claims import Heart, Owner
from nertransfer.tracking.runs import was_found
from nertransfer.tracking.store import Study, client
from nertransfer.training.accelerator import make_accelerator
from nertransfer.training.cell import Cell


def slurm_folder(config: StudyConfig, study: Study) -> Path:
    """Where the tasks of a study leave their output."""
    return Path(config.data.work_dir).absolute() / "slurm" / study.name


def cell_command(config: StudyConfig, plan: Plan, cell: Cell, study: Study, again: bool = False) -> list[str]:
    """The ``train`` entry point with the parameters of one cell of a study.

    Without the store's address, which may hold a password: that travels in the environment.
    """
    start, few = cell.start, cell.few_shot
    revision = f"@{start.revision}" if start.revision else ""
    train = TrainConfig(
        source=cell.source, start=f"{start.name}={start.location}{revision}", seed=cell.seed, again=again,
        few_shot_language=few.language if few else TrainConfig.few_shot_language,
        few_shot_sentences=few.sentences if few else TrainConfig.few_shot_sentences,
        few_shot_mode=few.mode if few and few.mode != ALONE else TrainConfig.few_shot_mode,
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


def make_worker(work: Work, uri: str, experiment_id: str, name: str, again: bool) -> Callable[[Cell], Outcome]:
    """In a worker: what runs its cells. By the experiment's id, for it may be renamed before the worker begins."""
    study = Study(client(uri, patient=True), experiment_id, name)
    runner = Runner(work, study, make_accelerator(work.plan.cells[0].recipe, work.run))
    Heart(study, Owner.this_process(), runner.flush_curves).start()
    return partial(runner.run, even_if_finished=again)
