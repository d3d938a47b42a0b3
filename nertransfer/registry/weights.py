"""The weights of finished cells: in the work folder until they are stored with MLflow, of the best seeds alone."""

import dataclasses
import functools
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from importlib.metadata import version
from pathlib import Path

import transformers
from filelock import Timeout
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException
from mlflow.models.model import MLMODEL_FILE_NAME

from nertransfer.core import schema
from nertransfer.core.errors import InputError
from nertransfer.encoders import python_tokenizers, starts
from nertransfer.registry import packaging, standalone
from nertransfer.registry.selection import Choice, choose, lineage, lineage_of
from nertransfer.tracking import runs, store_files
from nertransfer.tracking.current_cells import current_cells
from nertransfer.tracking.global_state import fluent
from nertransfer.tracking.patience import impatient, patiently
from nertransfer.tracking.runs import logged_model
from nertransfer.tracking.store import MlflowClient, Run, Study, all_logged_models, has_weights_of_its_own
from nertransfer.training.cell import Cell, cell_lock, weights_folder

logger = logging.getLogger("nertransfer")

AGGREGATION = "first"
"""How transformers' pipeline merges sub-tokens: a word has the label of its first one, as in training. With a tokenizer
that is written in Python the pipeline cannot merge them, and its flavor gives a label a sub-token."""

REQUIREMENTS = ("mlflow", "torch", "transformers", "accelerate", "safetensors", "pandas")


def has_weights(study: Study, run: Run, work_dir: Path) -> bool:
    """Whether the weights of a finished cell are at hand: in the artifact store, or still in ``work_dir``."""
    return weights_folder(work_dir, run.data.tags[schema.CELL_KEY]).is_dir() or _is_stored(study, run)


def _is_stored(study: Study, run: Run) -> bool:
    """Whether the artifact store has a cell's weights."""
    model = find_model(study.client, run.data.tags.get(schema.MODEL_URI, ""))
    return model is not None and has_files(study.client, model)


def has_files(client: MlflowClient, model: LoggedModel) -> bool:
    """Whether the files of a LoggedModel are there, all of them."""
    return has_weights_of_its_own(model) and store_files.exists(client, model.artifact_location, MLMODEL_FILE_NAME)


def find_model(client: MlflowClient, model_id: str) -> LoggedModel | None:
    """A LoggedModel; None for no id, as that of a cell that was imported, and where it was deleted."""
    try:
        return client.get_logged_model(model_id) if model_id else None
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def delete_twin_models(study: Study, cells: Iterable[Run]) -> None:
    """Delete LoggedModels that one call has made twice: of one run and name, without weights, and not the one that a
    finished cell names, or else the oldest."""
    own = {run.data.tags.get(schema.MODEL_URI) for run in cells}
    known: set[tuple[str | None, str]] = set()
    models = all_logged_models(study)
    for model in sorted(models, key=lambda one: (one.model_id not in own, one.creation_timestamp, one.model_id)):
        alike = model.source_run_id, model.name
        if alike in known and not has_weights_of_its_own(model):
            study.client.delete_logged_model(model.model_id)
        known.add(alike)


def store_best(study: Study, cell: Cell, seeds: Sequence[int], work_dir: Path, selection_split: str) -> None:
    """Store the weights of the best seed of a cell's start and source, for `register` to find them stored.

    Nothing is stored before all ``seeds`` have finished. Not needed, but it takes its time while other cells are
    fine-tuned rather than at the end.
    """
    rivals = current_cells(runs.rivals(study, cell), [])
    if not set(seeds) <= {seed for _, _, seed in rivals}:
        return
    for choice in choose(rivals, selection_split):
        if weights_folder(work_dir, choice.key).is_dir() and not _is_stored(study, choice.run):
            store(study, choice, work_dir)


def store(study: Study, choice: Choice, work_dir: Path) -> None:
    """Put the weights under the cell's LoggedModel, made anew where it was deleted; both its flavors return entity
    spans."""
    model, tokenizer, _ = starts.load_tagger(starts.Start("weights", str(weights_folder(work_dir, choice.key))))
    pipeline = transformers.pipeline(
        "token-classification", model=model, tokenizer=standalone.ready(tokenizer),
        aggregation_strategy=AGGREGATION if tokenizer.is_fast else "none",
    )  # fmt: skip
    tags, name = choice.run.data.tags, f"{choice.start}-{choice.source}-s{choice.seed}"
    if not tokenizer.is_fast:  # for the card
        tags[schema.PYTHON_TOKENIZER] = type(tokenizer).__name__
        study.client.set_tag(choice.run.info.run_id, schema.PYTHON_TOKENIZER, tags[schema.PYTHON_TOKENIZER])
    if find_model(study.client, tags.get(schema.MODEL_URI, "")) is None:
        own = {key: value for key, value in tags.items() if not key.startswith("mlflow.")}
        params = choice.run.data.params
        tags[schema.MODEL_URI] = logged_model(study, choice.run.info.run_id, name, own, params, fresh=False)
        study.client.set_tag(choice.run.info.run_id, schema.MODEL_URI, tags[schema.MODEL_URI])
    with fluent(study.uri):
        needed = _requirements((*REQUIREMENTS, *python_tokenizers.packages(tokenizer)))
        patiently(lambda: packaging.log(pipeline, name, tags[schema.MODEL_URI], needed))


@functools.cache
def _requirements(names: tuple[str, ...]) -> list[str]:
    return [f"{name}=={version(name).partition('+')[0]}" for name in names]


def is_beaten(
    study: Study, cell: Cell, tags: Mapping[str, str], f1: float, work_dir: Path, selection_split: str
) -> bool:
    """Whether a finished seed that was made from the same as the cell, and whose weights are at hand, is chosen before
    it; no, where that cannot be looked up. ``tags``: those of the cell's run; ``f1``: the cell's on the selection
    split."""
    made_from = lineage(tags, {}, "").made_from
    study = dataclasses.replace(study, client=impatient(study.client))  # what the cell measured is not on disk yet
    try:
        others = [
            run
            for run in runs.rivals(study, cell)
            if run.data.tags[schema.SEED] != str(cell.seed) and lineage_of(run).made_from == made_from
        ]
        return any(
            choice.beats(f1, cell.seed) and has_weights(study, choice.run, work_dir)
            for choice in choose(current_cells(others, []), selection_split)
        )
    except Exception as error:  # whatever it is: it costs a save, and no work
        logger.warning("other seeds than that of %s cannot be looked up: %s", cell.name, error)
        return False


def discard_beaten(study: Study, cell: Cell, work_dir: Path, selection_split: str) -> None:
    """Delete the local weights of every finished seed of the cell's start and source but the best so far whose weights
    are at hand.

    Weights that another cell goes on from at this moment stay, for `tidy`, and so do all where the seeds cannot be
    looked up: the cell has finished.
    """
    try:
        rivals = runs.rivals(study, cell)
        at_hand = [run for run in rivals if has_weights(study, run, work_dir)]
        kept = {choice.key for choice in choose(current_cells(at_hand, []), selection_split)}
    except (InputError, MlflowException) as error:
        logger.warning("weights of seeds beside that of %s stay for now: %s", cell.name, error)
        return
    for key in {run.data.tags[schema.CELL_KEY] for run in rivals} - kept:
        # its own lock this process may hold already
        with suppress(Timeout), nullcontext() if key == cell.key else cell_lock(work_dir, key, timeout=0):
            shutil.rmtree(weights_folder(work_dir, key), ignore_errors=True)
