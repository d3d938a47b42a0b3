"""The only writer of runs: one run and one LoggedModel a cell, wide metric keys, datasets linked.

Everything goes through an explicit MlflowClient with explicit experiment and run ids; the
global state of ``mlflow.start_run`` is never used, so a process can work on many runs and
inherits nothing by accident.
"""

import json
import logging
import os
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunTag
from mlflow.tracking.context.registry import resolve_tags
from mlflow.types.schema import Array, ColSpec, DataType, Schema
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_MODEL_IS_EXTERNAL, MLFLOW_PARENT_RUN_ID

from nertransfer.core import schema
from nertransfer.core.grid import Place, is_several, languages_of
from nertransfer.core.options import CORPUS_NAMES, Recipe, RunOptions, SlurmOptions
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.languages import LANGUAGES, Language
from nertransfer.scoring import measurements
from nertransfer.scoring.measurements import Measurements, Point, milliseconds
from nertransfer.tracking import claims, provenance, secrets
from nertransfer.tracking.addresses import public_tags, public_uri
from nertransfer.tracking.claims import Owner
from nertransfer.tracking.corpus_source import CorpusSource
from nertransfer.tracking.current_cells import current_cells
from nertransfer.tracking.patience import impatient
from nertransfer.tracking.store import Run, Study, delete_twins, inherited_run, kind_runs, study_runs
from nertransfer.training.cell import Cell, recipe_digest

logger = logging.getLogger("nertransfer")

METRICS_PER_BATCH = 1000  # limits of one log_batch call
PARAMS_PER_BATCH = 100
PRIVATE = ("slurm_setup", "slurm_options")
"""Parameters that are not tracked: they say nothing of a result, and may hold passwords."""
HOW = (
    "again", "executor", "keep_weights", "num_processes", "output", "plan", "replace", "selection_split", "study",
    "study_file", "tracking_uri", "workers",
    *(one.name for options in (RunOptions, SlurmOptions) for one in fields(options)),
)  # fmt: skip
"""Parameters of how a run is made and where: they stand in its provenance, and not among its params."""


@contextmanager
def open_run(
    study: Study, kind: str, name: str, tags: Mapping[str, str] | None = None, again: str | None = None
) -> Iterator[str]:
    """A run of the study: FINISHED when the block ends, KILLED on an interrupt, FAILED on an error.

    On both it is left alone where another process has taken it up meanwhile, because this one seemed to be dead.
    ``again`` is a run that was cut short and goes on. Without it, a run that ``mlflow run`` has opened for this
    process is taken up when it is in the study's experiment and nothing has been tracked in it yet; otherwise a
    new one is made. Yields its id.
    """
    client = study.client
    tags = {schema.KIND: kind} | Owner.this_process().tags | dict(tags or {})
    run_id = again or inherited_run(client, study.experiment_id)
    if run_id is None:
        tags = public_tags(resolve_tags()) | tags
        run_id = client.create_run(study.experiment_id, tags=tags, run_name=name).info.run_id
    else:
        client.update_run(run_id, status="RUNNING", name=name)
        log(client, run_id, tags=tags)
    try:
        yield run_id
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        client = impatient(client)
        if client.get_run(run_id).data.tags.get(schema.OWNER) != tags[schema.OWNER]:
            raise
        if not killed:
            log(client, run_id, tags={"error": secrets.hide(f"{type(error).__name__}: {error}")[:5000]})
        client.set_terminated(run_id, "KILLED" if killed else "FAILED")
        if not killed:
            with suppress(Exception):  # the artifact store may be what failed
                client.log_text(run_id, secrets.hide(traceback.format_exc()), "error.txt")
        raise
    client.set_terminated(run_id, "FINISHED")
    if kind != schema.KIND_CELL:  # of those there are many; the run of their study looks for all
        delete_twins(study)


def log(
    client: MlflowClient,
    run_id: str,
    metrics: Sequence[Metric] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log any number of metrics, params and tags in as few calls as the server's limits allow."""
    all_params = [Param(k, v) for k, v in (params or {}).items()]
    all_tags = [RunTag(k, v) for k, v in (tags or {}).items()]
    while metrics or all_params or all_tags:
        client.log_batch(
            run_id, metrics[:METRICS_PER_BATCH], all_params[:PARAMS_PER_BATCH], all_tags[:PARAMS_PER_BATCH]
        )
        metrics = metrics[METRICS_PER_BATCH:]
        all_params, all_tags = all_params[PARAMS_PER_BATCH:], all_tags[PARAMS_PER_BATCH:]


def log_values(client: MlflowClient, run_id: str, values: Mapping[str, float]) -> None:
    """Log metrics that have one value."""
    now = milliseconds()
    log(client, run_id, [Metric(name, value, now, 0) for name, value in values.items()])


def configuration_params(flat: Mapping[str, str]) -> dict[str, str]:
    """What is computed, as params: recipe, data and place in the grid, under their own prefix, for ``mlflow run`` logs
    the bare names. What has no value is left out.

    Folders that later commands look for have their whole path, so that they are found from elsewhere, too.
    """
    return {schema.CONFIG + name: value for name, value in _public(flat).items() if name not in HOW}


def provenance_file(flat: Mapping[str, str]) -> dict[str, str]:
    """The file, by its name, that says how this process makes a run with the resolved configuration."""
    return {schema.PROVENANCE: provenance.text(_public(flat))}


def _public(flat: Mapping[str, str]) -> dict[str, str]:
    return {name: _tracked(name, value) for name, value in flat.items() if value and name not in PRIVATE}


def _tracked(name: str, value: str) -> str:
    if name == "tracking_uri":
        return public_uri(value)
    folder = name == "work_dir" or (name == "data" and value not in ("", *CORPUS_NAMES))
    return os.path.abspath(value) if folder else value


# --- cells -----------------------------------------------------------------------------------


def cell_tags(
    cell: Cell, corpora: Mapping[str, Corpus], families: Mapping[str, Language] = LANGUAGES
) -> dict[str, str]:
    """The tags that say which cell a run is; digests and families of every language it meets."""
    return (
        {
            schema.START: cell.start.name,
            schema.SOURCE: cell.source,
            schema.SOURCE_LANGUAGES: ",".join(languages_of(cell.source)),
            schema.SEED: str(cell.seed),
            schema.CONFIGURATION: cell.configuration,
            schema.CELL_KEY: cell.key,
            schema.START_FINGERPRINT: cell.identity.fingerprint,
            schema.RECIPE_DIGEST: recipe_digest(cell.recipe),
            schema.TRAIN_DIGEST: cell.corpus_digests[0],
            schema.START_LOCATION: cell.start.location,
        }
        | ({schema.START_REVISION: cell.start.revision} if cell.start.revision else {})
        | few_shot_tags(cell)
        | schema.packed(schema.TRAIN_DIGESTS, _train_digests(cell.source, corpora))
        | schema.packed(schema.CORPUS_DIGESTS, {name: corpus.digest for name, corpus in corpora.items()})
        | schema.packed(schema.FAMILIES, {name: families[name].family for name in corpora if name in families})
    )


def _train_digests(source: str, corpora: Mapping[str, Corpus]) -> dict[str, str]:
    """Of each language of a source of several; that of the whole is no file's."""
    names = languages_of(source) if is_several(source) else ()
    return {name: corpora[name].train.digest for name in names}


def few_shot_tags(cell: Cell) -> dict[str, str]:
    """The tags, and parameters, of a cell with a few sentences of a target; none of another."""
    few = cell.few_shot
    if few is None:
        return {}
    return {
        schema.FEW_SHOT_LANGUAGE: few.language,
        schema.FEW_SHOT_SENTENCES: str(few.sentences),
        schema.FEW_SHOT_MODE: few.mode,
    }


def deliver(
    client: MlflowClient, run_id: str, found: Measurements, model_id: str = "", known_epochs: int = 0, data: str = ""
) -> None:
    """Write measurements to a run. Doing so twice leaves what doing it once leaves.

    Scores are tied to their datasets, and to the LoggedModel where there is one; the curves of the
    first ``known_epochs`` epochs are there already. ``data``: where the corpora are from, as that parameter says.
    """
    tags = found.tags | ({schema.MODEL_URI: model_id} if model_id else {})
    datasets = {one.name: _dataset(one, data) for one in found.datasets}
    if datasets:
        inputs = [
            DatasetInput(datasets[one.name], [InputTag(MLFLOW_DATASET_CONTEXT, _CONTEXTS[one.split])])
            for one in found.datasets
        ]
        client.log_inputs(run_id, datasets=inputs)
    points = [point for point in found.points if not 0 < point.epoch <= known_epochs]
    ordered = measurements.in_reading_order(points)
    log(client, run_id, [_metric(point, datasets, model_id) for point in ordered], tags=tags)
    if not found.files:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, content in found.files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        client.log_artifacts(run_id, folder)


def _metric(point: Point, datasets: Mapping[str, Dataset], model_id: str) -> Metric:
    if not point.dataset:
        return Metric(point.name, point.value, point.time, point.step)
    dataset = datasets[point.dataset]
    return Metric(
        point.name, point.value, point.time, point.step, model_id=model_id or None, dataset_name=dataset.name,
        dataset_digest=dataset.digest,
    )  # fmt: skip


_CONTEXTS = {"train": "training", "dev": "validation", "test": "test"}
"""MLflow's word for what a run uses a split for, by the split's name."""
_COLUMNS = Schema([ColSpec(Array(DataType.string), "words"), ColSpec(Array(DataType.string), "tags")])


def _dataset(one: measurements.Dataset, data: str) -> Dataset:
    source = CorpusSource(one.language, one.split, one.digest, _tracked("data", data))
    return Dataset(
        name=one.name,
        digest=one.digest[:36],
        source_type=source._get_source_type(),
        source=source.to_json(),
        schema=json.dumps({"mlflow_colspec": _COLUMNS.to_dict()}),
        profile=json.dumps({"sentences": one.sentences, "words": one.words, "entities": one.entities}),
    )


_PLACE = (
    schema.START, schema.SOURCE, schema.SEED, schema.FEW_SHOT_LANGUAGE, schema.FEW_SHOT_SENTENCES, schema.FEW_SHOT_MODE,
)  # fmt: skip
_RECIPE = tuple(one.name for one in fields(Recipe))


def logged_model(
    study: Study, run_id: str, name: str, tags: Mapping[str, str], params: Mapping[str, str], fresh: bool
) -> str:
    """The id of the run's LoggedModel, made where there is none; a ``fresh`` run cannot have one.

    Its params are the cell's place in the grid, from its ``tags``, and the recipe, from the run's ``params``. Before
    weights are stored in it, and for good where they are not, it is an external model in MLflow's terms.
    """
    client = study.client
    if not fresh:
        made = client.search_logged_models([study.experiment_id], filter_string=f"source_run_id = '{run_id}'")
        if made:  # by a call that was done twice there are two
            return min(made, key=lambda one: (one.creation_timestamp, one.model_id)).model_id
    place = {key: tags[key] for key in _PLACE if key in tags}
    recipe = {key: params[schema.CONFIG + key] for key in _RECIPE if schema.CONFIG + key in params}
    model = client.create_logged_model(
        study.experiment_id, name=name, source_run_id=run_id, tags={**tags, MLFLOW_MODEL_IS_EXTERNAL: "true"},
        params=place | recipe, model_type="token-classification",
    )  # fmt: skip
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return model.model_id


class LiveCurves:
    """Shows the curves of a cell while it is fine-tuned: what is new at every heartbeat."""

    def __init__(self, client: MlflowClient, run_id: str, known_epochs: int) -> None:
        self._client, self._run_id, self.known_epochs = client, run_id, known_epochs
        self.latest: list[Point] = []

    def flush(self) -> None:
        """Log the epochs that are new."""
        points = [point for point in self.latest if point.epoch > self.known_epochs]
        log(self._client, self._run_id, [_metric(point, {}, "") for point in points])
        self.known_epochs = max((point.epoch for point in points), default=self.known_epochs)


def known_epochs(client: MlflowClient, run_id: str) -> int:
    """How many epochs' curves a run has."""
    return max((metric.step for metric in client.get_metric_history(run_id, schema.SPEED)), default=0)


# --- what is there already -----------------------------------------------------------------------


def cell_runs(study: Study, status: str, condition: str = "") -> list[Run]:
    """All cell runs of the study with a status, oldest first; ``condition`` as for `kind_runs`."""
    return kind_runs(study, schema.KIND_CELL, f" and attributes.status = '{status}'{condition}")


def finished_cells(study: Study, targets: Mapping[str, Corpus]) -> dict[tuple[str, str, str], Run]:
    """The newest finished run by `Cell.place`, of those that scored every target as it is now.

    The names are part of it: a start or a source under another name is another place in the grid.
    """
    return scored_cells(cell_runs(study, "FINISHED"), targets)


def scored_cells(finished: Iterable[Run], targets: Mapping[str, Corpus]) -> dict[tuple[str, str, str], Run]:
    """`finished_cells`, of finished runs that are given, oldest first."""
    return {place_in_store(run): run for run in finished if is_scored(run, targets)}


def place_in_store(run: Run) -> tuple[str, str, str]:
    """`Cell.place` of a cell's run; that of no cell where its tags do not say."""
    return tuple(run.data.tags.get(name, "") for name in (schema.CELL_KEY, schema.START, schema.SOURCE))


_TOLD_BY = (
    schema.CELL_KEY, schema.START, schema.SOURCE, schema.SEED, schema.START_FINGERPRINT, schema.RECIPE_DIGEST,
)  # fmt: skip


def says_what_it_is(run: Run) -> bool:
    """Whether a cell's run still has the tags without which it counts nowhere: people edit them in MLflow."""
    return all(run.data.tags.get(name) for name in _TOLD_BY)


def is_scored(run: Run, targets: Mapping[str, Corpus]) -> bool:
    """Whether a run says which cell it is and scored every target, as its corpus is now.

    One with a few sentences of a target is scored on that target alone, which is among them.
    """
    if few := run.data.tags.get(schema.FEW_SHOT_LANGUAGE):
        targets = {name: corpus for name, corpus in targets.items() if name == few}
    digests = {name: corpus.digest for name, corpus in targets.items()}
    return (
        says_what_it_is(run)
        and digests.items() <= schema.unpacked(run.data.tags, schema.CORPUS_DIGESTS).items()
        and all(schema.ScoreName("test", schema.F1, target).key in run.data.metrics for target in targets)
    )


def runs_of(study: Study, cell: Cell) -> list[Run]:
    """All runs of one cell under these names, oldest first."""
    runs = kind_runs(study, schema.KIND_CELL, f" and tags.{schema.CELL_KEY} = '{cell.key}'")
    return [run for run in runs if place_in_store(run) == cell.place]


def mark_as_asked(study: Study, runs: Iterable[Run], parent: str = "") -> None:
    """Note that these finished cells were asked for now: they count, whatever ran in between.

    ``parent``: the run of the study that asks, below which MLflow shows them from now on; empty: none does.
    """
    tags = {schema.ASKED_AT: str(milliseconds())} | below(parent)
    for run in runs:
        log(study.client, run.info.run_id, tags=tags)


def below(parent: str) -> dict[str, str]:
    """The tag of a run that MLflow shows below another one, by its id; none without one."""
    return {MLFLOW_PARENT_RUN_ID: parent} if parent else {}


def was_found(study: Study, cell: Cell, since: int) -> bool:
    """Whether a cell was not run but only asked for (`mark_as_asked`) since then, in milliseconds since 1970."""
    finished = [run for run in runs_of(study, cell) if run.info.status == "FINISHED"]
    return any(int(run.data.tags.get(schema.ASKED_AT, 0)) >= since for run in finished[-1:])


_WITH_HEART = (schema.KIND_CELL, schema.KIND_STUDY)
"""Kinds of runs whose processes send heartbeats while they work."""


def mark_dead_runs_killed(study: Study) -> list[str]:
    """Mark as KILLED the runs that dead processes left RUNNING; returns their names.

    A process of this machine is asked for by its number; one of another machine is dead when its
    heartbeat is older than `claims.EXPIRY_SECONDS`.
    """
    me, dead = Owner.this_process(), []
    beats = claims.heartbeats(claims.claim_runs(study))
    for run in study_runs(study, "attributes.status = 'RUNNING'"):
        owner = Owner.of_run(run)
        limit = claims.EXPIRY_SECONDS if run.data.tags.get(schema.KIND) in _WITH_HEART else float("inf")
        if owner is None or owner.is_alive(beats, me, limit):
            continue
        if study.client.get_run(run.info.run_id).info.status == "RUNNING":  # nor finished since, just before its end
            study.client.set_terminated(run.info.run_id, "KILLED")
            dead.append(run.info.run_name)
            logger.warning("run %s was left running by a process that is gone; marked as killed", run.info.run_name)
    return dead


def finished_places(study: Study) -> dict[Place, Run]:
    """The finished run that counts for every (start, source, seed) of the study.

    None with sentences of a target, and none that was imported: of those there are no weights.
    """
    return places(study, cell_runs(study, "FINISHED"))


def places(study: Study, finished: Iterable[Run]) -> dict[Place, Run]:
    """`finished_places`, of all finished cells of the study: looking them up, with all their scores, takes its time."""
    return current_cells(_trained(finished), kind_runs(study, schema.KIND_STUDY))


def few_shot_runs(finished: Iterable[Run]) -> list[Run]:
    """Of finished cells those with a few sentences of a target; none of them is registered."""
    return [run for run in _trained(finished) if schema.FEW_SHOT_LANGUAGE in run.data.tags]


def rivals(study: Study, cell: Cell) -> list[Run]:
    """The finished seeds of the cell's start and source, same weights, corpus and recipe."""
    wanted = {
        schema.START: cell.start.name,
        schema.SOURCE: cell.source,
        schema.START_FINGERPRINT: cell.identity.fingerprint,
        schema.RECIPE_DIGEST: recipe_digest(cell.recipe),
        schema.TRAIN_DIGEST: cell.corpus_digests[0],
    }
    condition = "".join(f" and tags.{name} = '{value}'" for name, value in wanted.items())
    return _trained(cell_runs(study, "FINISHED", condition))


def _trained(runs: Iterable[Run]) -> list[Run]:
    """Those that were fine-tuned here rather than imported, and say what they are."""
    return [run for run in runs if schema.IMPORTED not in run.data.tags and says_what_it_is(run)]
