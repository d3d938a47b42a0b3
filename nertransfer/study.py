"""Plans the grid of a study and runs what is missing, one cell after the other."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from nertransfer import corpus as corpora_of
from nertransfer import planted_starts, registry, schema, starts
from nertransfer.cell import (
    Cell,
    CellResult,
    Encoder,
    checkpoint_folder,
    make_accelerator,
    make_cell,
    recipe_digest,
    run_cell,
    splits_of,
)
from nertransfer.commandline import flat
from nertransfer.config import PLANTED, DataOptions, RunOptions, StudyConfig, TrainConfig
from nertransfer.corpus import Corpus
from nertransfer.errors import InputError
from nertransfer.finetune import clear_checkpoint
from nertransfer.languages import LANGUAGES, Language
from nertransfer.planted import LANGUAGES as PLANTED_LANGUAGES
from nertransfer.tracking import (
    CellRecorder,
    Study,
    bury_the_dead,
    cell_tags,
    configuration_params,
    finished_cells,
    log,
    mark_as_asked,
    open_run,
)

logger = logging.getLogger("nertransfer")


def known_languages(data: DataOptions) -> Mapping[str, Language]:
    """Names and families of the languages that the data may have."""
    return {language.code: language for language in PLANTED_LANGUAGES} if data.data == PLANTED else LANGUAGES


def resolve_starts(texts: Sequence[str], data: DataOptions, accelerator: Accelerator) -> list[starts.Start]:
    """The starts that the texts name; those of the planted corpora are trained where they do not exist yet."""
    if data.data != PLANTED:
        return starts.resolve_all(texts)
    return planted_starts.resolve_all(texts, data, accelerator)


@dataclass(frozen=True)
class Plan:
    """A resolved grid: every cell with its source, and the corpora that are scored."""

    cells: list[Cell]
    corpora: dict[str, Corpus]
    targets: dict[str, Corpus]


def languages_to_load(data: DataOptions, *wanted: Sequence[str]) -> DataOptions:
    """The data options, limited to the languages that are wanted where all groups are named."""
    from dataclasses import replace

    if data.languages or not all(wanted):
        return data
    return replace(data, languages=tuple(dict.fromkeys(name for group in wanted for name in group)))


def pick(parameter: str, names: Sequence[str], corpora: Mapping[str, Corpus]) -> list[str]:
    """The named languages, or all; raises InputError on one that is not among the corpora."""
    unknown = [name for name in names if name not in corpora]
    if unknown:
        raise InputError(f"{parameter}={','.join(unknown)} is not in the data: one of {', '.join(corpora)}")
    return list(names) or list(corpora)


def plan(config: StudyConfig, accelerator: Accelerator) -> Plan:
    """Read all corpora and starts, strictly, and lay out the grid: by start, then source, then seed."""
    corpora = corpora_of.load(languages_to_load(config.data, config.sources, config.targets))
    sources = pick("sources", config.sources, corpora)
    targets = pick("targets", config.targets, corpora)
    found = resolve_starts(config.starts, config.data, accelerator)
    identities = {start.name: starts.identify(start) for start in found}
    _warn_about_twins(identities)
    cells = [
        make_cell(start, identities[start.name], corpora[source], seed, config.recipe)
        for start in found
        for source in sources
        for seed in config.seeds
    ]
    used = {name: corpora[name] for name in corpora if name in sources or name in targets}
    return Plan(cells, used, {name: corpora[name] for name in targets})


def _warn_about_twins(identities: Mapping[str, starts.Identity]) -> None:
    by_fingerprint: dict[str, list[str]] = {}
    for name, identity in identities.items():
        by_fingerprint.setdefault(identity.fingerprint, []).append(name)
    for names in by_fingerprint.values():
        if len(names) > 1:
            logger.warning("starts %s have the same weights under different names", " and ".join(names))


def train(config: TrainConfig, study: Study | None, accelerator: Accelerator) -> CellResult | None:
    """Run one cell and track it; None when the store has it already. ``study`` is None on all but the main process."""
    corpora = corpora_of.load(languages_to_load(config.data, (config.source,), config.targets))
    pick("source", (config.source,), corpora)
    targets = pick("targets", config.targets, corpora)
    start = resolve_starts((config.start,), config.data, accelerator)[0]
    cell = make_cell(start, starts.identify(start), corpora[config.source], config.seed, config.recipe)
    planned = Plan([cell], corpora, {name: corpora[name] for name in targets})
    found = finished_cells(study, planned.targets).get(cell.place) if study is not None else None
    if study is not None and found is not None:
        mark_as_asked(study, [found])
    if _tell_all(accelerator, found is not None):
        return None
    return _Runner(planned, config.data, config.run, flat(config), study, accelerator).run(cell)


def _tell_all(accelerator: Accelerator, value: bool) -> bool:
    """The main process's value on every process."""
    if accelerator.num_processes == 1:
        return value
    import torch

    flag = torch.tensor(int(value and accelerator.is_main_process), device=accelerator.device)
    return bool(accelerator.reduce(flag, reduction="sum").item())


@dataclass
class Outcome:
    """What a study did: cells run now, cells found done, and names and errors of those that failed."""

    ran: list[str]
    found: list[str]
    failed: dict[str, str]
    changes: list[registry.Change]


def run_study(config: StudyConfig, study: Study) -> Outcome:
    """Run every cell that the store lacks, register the best seeds, and keep only their weights.

    A cell that fails does not stop the others; the best of those that finished are registered. A
    best seed whose weights are gone, because another seed was the best before, is fine-tuned again.
    """
    accelerator = make_accelerator(config.recipe, config.run)
    planned = plan(config, accelerator)
    work_dir = Path(config.data.work_dir)
    resolved = flat(config) | {
        "starts": ",".join(dict.fromkeys(cell.start.name for cell in planned.cells)),
        "sources": ",".join(dict.fromkeys(cell.source for cell in planned.cells)),
        "targets": ",".join(planned.targets),
    }
    tags = {"languages": ",".join(planned.corpora), schema.RECIPE_DIGEST: recipe_digest(config.recipe)}
    with open_run(study, schema.KIND_STUDY, "study", tags) as run_id:
        log(study.client, run_id, params=configuration_params(resolved))
        for name in bury_the_dead(study):
            logger.warning("run %s was left running by a process that is gone; marked as killed", name)
        done = finished_cells(study, planned.targets)
        missing = [cell for cell in planned.cells if cell.place not in done]
        outcome = Outcome([], [cell.name for cell in planned.cells if cell.place in done], {}, [])
        mark_as_asked(study, (done[cell.place] for cell in planned.cells if cell.place in done))
        logger.info("%d cells: %d done, %d to run", len(planned.cells), len(outcome.found), len(missing))
        runner = _Runner(planned, config.data, config.run, flat(config), study, accelerator)
        _run_all(runner, missing, outcome)
        cells = registry.finished_places(study)
        lost = {c.key for c in registry.without_weights(study, cells, work_dir, config.selection_split)}
        again = [cell for cell in planned.cells if cell.key in lost and cell.name not in outcome.failed]
        if again:
            logger.info("weights of %s are gone; fine-tuning again", ", ".join(cell.name for cell in again))
            _run_all(runner, again, outcome)
            cells = registry.finished_places(study)
        if cells:
            outcome.changes = registry.register(study, cells, work_dir, config.selection_split)
        registry.discard_weights(work_dir, cells.values())
    return outcome


def _run_all(runner: "_Runner", cells: Sequence[Cell], outcome: Outcome) -> None:
    """Run cells one after the other; those that fail are noted in the outcome."""
    began = time.monotonic()
    for number, cell in enumerate(cells, start=1):
        try:
            result = runner.run(cell)
        except InputError:
            raise
        except Exception as error:
            logger.error("%s failed: %s: %s", cell.name, type(error).__name__, error)
            outcome.failed[cell.name] = f"{type(error).__name__}: {error}"
            continue
        outcome.ran.append(cell.name)
        left = (time.monotonic() - began) / number * (len(cells) - number)
        logger.info("[%d/%d] %s, about %s left", number, len(cells), summary(result), _duration(left))


def summary(result: CellResult) -> str:
    """One line for people: source F1, mean zero-shot F1, seconds."""
    tests = {s.split.language: s.scores.default["ALL"].f1 for s in result.scored if s.split.name == "test"}
    own = tests.pop(result.cell.source, None)
    parts = [f"{result.cell.name}:"]
    if own is not None:
        parts.append(f"source F1 {100 * own:.1f} %,")
    if tests:
        parts.append(f"zero-shot mean {100 * sum(tests.values()) / len(tests):.1f} % of {len(tests)},")
    parts.append(f"{result.resources.train_seconds + result.resources.score_seconds:.1f} s")
    return " ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )


class _Runner:
    """Runs cells one by one; keeps the tokenizer and the encoded corpora of the start at hand."""

    def __init__(
        self,
        planned: Plan,
        data: DataOptions,
        run: RunOptions,
        params: Mapping[str, str],
        study: Study | None,
        accelerator: Accelerator,
    ) -> None:
        self.planned, self.data, self.options, self.params = planned, data, run, params
        self.study, self.accelerator = study, accelerator
        self._encoder: tuple[str, Encoder] | None = None

    def run(self, cell: Cell) -> CellResult:
        """Fine-tune, score and track one cell."""
        if self.study is None:
            return self._measure(cell, None)
        corpora = {n: c for n, c in self.planned.corpora.items() if n == cell.source or n in self.planned.targets}
        tags = cell_tags(cell, corpora, known_languages(self.data))
        with open_run(self.study, schema.KIND_CELL, cell.name, tags) as run_id:
            own = {schema.START: cell.start.name, schema.SOURCE: cell.source, schema.SEED: str(cell.seed)}
            params = {k: v for k, v in self.params.items() if k not in ("starts", "sources", "seeds")}
            log(self.study.client, run_id, params=configuration_params(params | own))
            recorder = CellRecorder(self.study, run_id, cell)
            result = self._measure(cell, recorder)
            recorder.finish(result)
        clear_checkpoint(checkpoint_folder(self._folder(cell)))  # everything is in the store now
        return result

    def _folder(self, cell: Cell) -> Path:
        return registry.cell_folder(Path(self.data.work_dir), cell.key)

    def _measure(self, cell: Cell, recorder: CellRecorder | None) -> CellResult:
        # the source's own splits are always scored: the best seed is chosen on them
        splits = splits_of(self.planned.corpora, list(dict.fromkeys([*self.planned.targets, cell.source])))
        return run_cell(
            cell, self.planned.corpora[cell.source], splits, self.options, self.accelerator, self._folder(cell),
            self._encoder_of(cell), recorder.on_epoch if recorder else None,
        )  # fmt: skip

    def _encoder_of(self, cell: Cell) -> Encoder:
        if self._encoder is None or self._encoder[0] != cell.identity.digest:
            self._encoder = (cell.identity.digest, Encoder(starts.load_tokenizer(cell.start), cell.recipe.max_length))
        return self._encoder[1]
