"""One cell from claim to delivery: what a worker, a Slurm task and the ``train`` entry point do alike.

claim -> run -> fine-tune (from the checkpoint where there is one) -> write what was measured to disk
-> deliver -> end the claim -> finish the run. At whichever step it is cut short, the next attempt
takes the same run up and repeats nothing that is on disk.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from accelerate import Accelerator
from mlflow.entities import LoggedModelStatus
from transformers import PreTrainedModel

from nertransfer.core import schema
from nertransfer.core.commandline import flat
from nertransfer.core.config import TrainConfig
from nertransfer.core.files import make_folder
from nertransfer.core.grid import ALONE, NONE, FewShot, is_zero_shot, languages_of
from nertransfer.core.options import DataOptions, RunOptions
from nertransfer.core.schema import ALL
from nertransfer.corpora import corpus as corpora_of
from nertransfer.encoders import starts
from nertransfer.registry import weights as cell_weights
from nertransfer.scoring import measurements
from nertransfer.scoring.scores import Scored
from nertransfer.studies.planning import (
    Plan,
    cell_of,
    known_languages,
    languages_to_load,
    pick,
    pick_sources,
)
from nertransfer.tracking import store_files
from nertransfer.tracking.claims import FINISHED, Claim, Claims, Heart, Owner
from nertransfer.tracking.runs import (
    LiveCurves,
    below,
    cell_tags,
    configuration_params,
    deliver,
    few_shot_tags,
    is_scored,
    known_epochs,
    log,
    logged_model,
    mark_as_asked,
    mark_dead_runs_killed,
    open_run,
    provenance_file,
    runs_of,
)
from nertransfer.tracking.store import Run, Study
from nertransfer.tracking.system_metrics import sampled
from nertransfer.training import cell as cells
from nertransfer.training import run_cell as cell_run
from nertransfer.training.cell import Cell
from nertransfer.training.finetune import History, Machine
from nertransfer.training.planted_starts import resolve_starts
from nertransfer.training.run_cell import CellData, CellResult, Encoder, Hooks, run_cell

logger = logging.getLogger("nertransfer")

FOUND, TAKEN, RAN, DELIVERED = "found", "taken", "ran", "delivered"
"""What became of a cell: it was finished already, another process has it, it ran, or only its delivery was left."""


@dataclass(frozen=True)
class Outcome:
    """``state`` is one of the above; ``summary`` one line for people; seconds of wall time of this attempt in training,
    in scoring, and of the whole from claim to delivery."""

    cell: str
    state: str
    summary: str = ""
    train_seconds: float = 0.0
    score_seconds: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Work:
    """What all cells of a study have in common. ``params``: the resolved configuration, as it is tracked.

    ``keep_weights``: also those of seeds that another one beats; ``keep_few_shot``: also those of cells with a few
    sentences of a target, which none is registered of."""

    plan: Plan
    data: DataOptions
    run: RunOptions
    params: Mapping[str, str]
    selection_split: str = "dev"
    keep_weights: bool = False
    keep_few_shot: bool = False
    parent: str = ""
    """The study's run; empty: there is none."""


class Runner:
    """Runs cells one by one; keeps the tokenizer and the encoded corpora of the last start's vocabulary at hand.

    ``study`` is None on all but the main process of a cell that several processes share.
    """

    def __init__(self, work: Work, study: Study | None, accelerator: Accelerator) -> None:
        self.work, self.study, self.accelerator = work, study, accelerator
        self._machine, self._work_dir = Machine(work.run, accelerator), Path(work.data.work_dir)
        self._encoder: tuple[object, Encoder] | None = None
        self._curves: LiveCurves | None = None

    @contextmanager
    def beating(self) -> Iterator["Runner"]:
        """While the block lasts, the store hears that this process lives, and sees the curves grow."""
        if self.study is None:
            yield self
            return
        with Heart(self.study, Owner.this_process(), self.flush_curves):
            yield self

    def run(self, cell: Cell, even_if_finished: bool = False) -> Outcome:
        """Claim, run and deliver one cell. ``even_if_finished``: for its weights, which are gone.

        Raises what fine-tuning and scoring raise, after the run is marked and the claim given back.
        """
        began = time.monotonic()
        outcome = self._run(cell, even_if_finished)
        seconds = time.monotonic() - began
        # of a cell that went on, the training that was done before is none of them
        now = min(outcome.train_seconds, seconds - outcome.score_seconds)
        return replace(outcome, train_seconds=now, seconds=seconds)

    def _run(self, cell: Cell, even_if_finished: bool) -> Outcome:
        if self.study is None:
            if self._from_main(0) == 1:
                self._measure(cell, self.work.plan.data_of(cell))
            return Outcome(cell.name, RAN)
        claims = Claims(self.study, Owner.this_process())
        claim = claims.take(claim_name(cell))
        if claim is None:
            self._from_main(0)
            return Outcome(cell.name, TAKEN)
        how = "cut short"
        try:
            with cells.cell_lock(self._work_dir, cell.key):
                earlier = self._marked(runs_of(self.study, cell), claim)
                finished = [r for r in earlier if r.info.status == "FINISHED" and is_scored(r, self.work.plan.targets)]
                if finished and not even_if_finished:
                    self._from_main(0)
                    mark_as_asked(self.study, finished[-1:], self.work.parent)
                    how = "found finished"
                    return Outcome(cell.name, FOUND)
                # a run that was cut short goes on; one that waits in a queue is this one's
                cut = [run for run in earlier if run.info.status in ("KILLED", "SCHEDULED", "RUNNING")]
                again = cut[-1].info.run_id if cut else None
                attempts = int(cut[-1].data.tags.get(schema.ATTEMPTS, 0)) + 1 if cut else 1
                outcome = self._tracked(cell, again, attempts, even_if_finished, lambda: claim.end(FINISHED))
                how = FINISHED
                return outcome
        finally:
            if how != FINISHED:
                claim.give_up(how)

    def _marked(self, runs: list[Run], claim: Claim) -> list[Run]:
        """The runs of a cell, now that this process has the claim on it, one of them marked as finished if need be.

        All is delivered before a claim ends as finished; then the run is marked, unless its process ends in between.
        """
        assert self.study is not None
        delivered = [r for r in runs if r.info.status == "RUNNING" and is_scored(r, self.work.plan.targets)]
        if not delivered or claim.end_before() != FINISHED:
            return runs
        last = delivered[-1].info.run_id
        self.study.client.set_terminated(last, "FINISHED")
        return [self.study.client.get_run(last) if run.info.run_id == last else run for run in runs]

    def _from_main(self, code: int) -> int:
        """The main process's number on every process."""
        if self.accelerator.num_processes == 1:
            return code
        import torch

        flag = torch.tensor(code if self.accelerator.is_main_process else 0, device=self.accelerator.device)
        return int(self.accelerator.reduce(flag, reduction="sum").item())

    def _tracked(
        self, cell: Cell, again: str | None, attempts: int, for_weights: bool, end_claim: Callable[[], bool]
    ) -> Outcome:
        work, study = self.work, self.study
        assert study is not None
        tags = tags_of(work, cell)
        own_tags = tags | {schema.ATTEMPTS: str(attempts)} | below(work.parent)
        # by name: another source with the same sentences has the same key and folder, but other targets
        waiting = cells.cell_folder(self._work_dir, cell.key) / f"measured-{cell.name}.json"
        with open_run(study, schema.KIND_CELL, cell.name, own_tags, again) as run_id:
            own = {schema.START: cell.start.name, schema.SOURCE: cell.source, schema.SEED: str(cell.seed)}
            resolved = dict(work.params) | own | few_shot_tags(cell)
            params = configuration_params(resolved)
            known = study.client.get_run(run_id).data.params if again else {}  # what a param was first, it stays
            log(study.client, run_id, params={k: v for k, v in params.items() if k not in known})
            curves = LiveCurves(study.client, run_id, known_epochs(study.client, run_id) if again else 0)
            data = work.plan.data_of(cell)
            found = measurements.read(waiting, cell.key, [split.digest for split in data.splits])
            outcome = Outcome(cell.name, DELIVERED)
            self._from_main(0 if found else 1)
            if found is None:
                try:
                    self._curves = curves
                    with sampled(study, run_id, goes_on=again is not None):
                        result = self._measure(cell, data, curves, for_weights)
                except FloatingPointError:
                    cells.checkpoint(self._work_dir, cell.key).clear()  # it may hold what the loss came from
                    raise
                finally:
                    self._curves = None
                found = cell_run.of_cell(result, data.corpus)
                found.files |= provenance_file(resolved)
                measurements.write(found, waiting)
                seconds = result.resources.train_seconds, result.resources.score_seconds
                outcome = Outcome(cell.name, RAN, summary(result), *seconds)
            model_id = logged_model(study, run_id, cell.name, tags, params, fresh=again is None)
            deliver(study.client, run_id, found, model_id, curves.known_epochs, work.data.data)
            study.client.finalize_logged_model(model_id, LoggedModelStatus.READY)
            if not end_claim():
                raise RuntimeError("this process was taken for dead, and another one works on the cell now")
        waiting.unlink()
        cells.checkpoint(self._work_dir, cell.key).clear()
        kept = self._keeps_beaten(cell) or not cells.weights_folder(self._work_dir, cell.key).is_dir()
        if not kept and cell.few_shot is None:
            cell_weights.discard_beaten(study, cell, self._work_dir, work.selection_split)
        return outcome

    def _keeps_beaten(self, cell: Cell) -> bool:
        return self.work.keep_weights or self.work.plan.is_gone_on_from(cell)  # `cell.tidy` removes the latter

    def _wants_weights(self, cell: Cell, for_weights: bool, scored: Sequence[Scored]) -> bool:
        """Whether to save the weights: not of a seed that is beaten already, for that takes as long as scoring."""
        work = self.work
        if cell.few_shot is not None:
            return work.keep_few_shot
        if self._keeps_beaten(cell) or for_weights or self.study is None:
            return True
        chosen_by = (s for s in scored if (s.split.language, s.split.name) == (cell.source, work.selection_split))
        f1 = next(chosen_by).scores.default[ALL].f1
        tags = tags_of(work, cell)
        return not cell_weights.is_beaten(self.study, cell, tags, f1, self._work_dir, work.selection_split)

    def flush_curves(self) -> None:
        """Show how far the cell has come."""
        if self._curves is not None:
            self._curves.flush()

    def _measure(
        self, cell: Cell, data: CellData, curves: LiveCurves | None = None, for_weights: bool = False
    ) -> CellResult:
        def on_epoch(history: History) -> None:
            if curves is not None:
                curves.latest = cell_run.curve(history, cell.recipe)

        first, seconds = cell.first_stage, 0.0

        def begin(labels: Sequence[str]) -> PreTrainedModel:
            nonlocal seconds
            assert first is not None
            with self._weights_of(first) as (weights, seconds):
                return starts.load_for_further_tagging(starts.Start(first.name, str(weights)), labels, cell.seed)

        hooks = Hooks(begin if first else None, on_epoch, partial(self._wants_weights, cell, for_weights))
        result = run_cell(cell, data, self._machine, self._work_dir, self._encoder_of(cell), hooks)
        result.resources.train_seconds += seconds
        if seconds:
            result.resources.energy = math.nan  # that of the first training was not measured
        return result

    @contextmanager
    def _weights_of(self, cell: Cell) -> Iterator[tuple[Path, float]]:
        """The weights of a cell without tracking it: as it left them, else trained now; and seconds of that.

        While the block lasts nobody else works in its folder. All processes of a cell come here together.
        """
        weights, seconds = cells.weights_folder(self._work_dir, cell.key), 0.0
        checkpoint = cells.checkpoint(self._work_dir, cell.key)
        main = self.study is not None
        with cells.cell_lock(self._work_dir, cell.key) if main else nullcontext():
            if not self._from_main(int(weights.is_dir())):
                data = replace(self.work.plan.data_of(cell), splits=())  # it is not scored
                try:
                    result = run_cell(cell, data, self._machine, self._work_dir, self._encoder_of(cell))
                except FloatingPointError:
                    checkpoint.clear()
                    raise
                seconds = result.resources.train_seconds
                self.accelerator.wait_for_everyone()  # the weights are written by one process, and read by all
                if main:
                    checkpoint.clear()
            yield weights, seconds
            self.accelerator.wait_for_everyone()

    def _encoder_of(self, cell: Cell) -> Encoder:
        vocabulary = cell.identity.vocabulary, cell.recipe.max_length
        if self._encoder is None or self._encoder[0] != vocabulary:
            self._encoder = (vocabulary, Encoder(starts.load_tokenizer(cell.start), cell.recipe.max_length))
        return self._encoder[1]


def claim_name(cell: Cell) -> str:
    """What is claimed by who runs a cell: its place, so that a renamed start is another one."""
    return sha256("/".join(cell.place).encode()).hexdigest()[:24]


def tags_of(work: Work, cell: Cell) -> dict[str, str]:
    """The tags of a cell's run."""
    own = {*languages_of(cell.source), *([cell.few_shot.language] if cell.few_shot else work.plan.targets)}
    corpora = {name: corpus for name, corpus in work.plan.corpora.items() if name in own}
    return cell_tags(cell, corpora, known_languages(work.data))


def summary(result: CellResult) -> str:
    """One line for people: source F1, mean zero-shot F1, or that of the target of which it has sentences, seconds."""
    cell = result.cell
    tests = {s.split.language: s.scores.default[ALL].f1 for s in result.scored if s.split.name == "test"}
    parts = [f"{cell.name}:"]
    if cell.source == cell.own and cell.own in tests:
        parts.append(f"source F1 {100 * tests[cell.own]:.1f} %,")
    others = {name: f1 for name, f1 in tests.items() if is_zero_shot(cell.source, name)}
    if cell.few_shot:
        parts.append(f"{cell.few_shot.language} F1 {100 * tests[cell.few_shot.language]:.1f} %,")
    elif others:
        parts.append(f"zero-shot mean {100 * sum(others.values()) / len(others):.1f} % of {len(others)},")
    parts.append(f"{result.resources.train_seconds + result.resources.score_seconds:.1f} s")
    return " ".join(parts)


def train(config: TrainConfig, study: Study | None, accelerator: Accelerator) -> Outcome:
    """Run one cell and track it, unless it is finished or taken. ``study`` is None on all but the main process."""
    if study is not None:
        store_files.check(study)
    plan = train_plan(config, accelerator)
    if study is not None:
        make_folder(Path(config.data.work_dir), "work_dir")
    params = {name: value for name, value in flat(config).items() if not name.startswith("few_shot_")}
    keep = config.keep_weights
    parent = os.environ.get(schema.PARENT_VARIABLE, "")
    work = Work(plan, config.data, config.run, params, config.selection_split, keep, keep, parent)
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
