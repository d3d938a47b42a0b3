"""The only writer of runs: one run and one LoggedModel a cell, wide metric keys, datasets linked.

Everything goes through an explicit MlflowClient with explicit experiment and run ids; the
global state of ``mlflow.start_run`` is never used, so a process can work on many runs and
inherits nothing by accident.
"""

import json
import os
import platform
import socket
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, LoggedModelOutput, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags

from nertransfer import schema
from nertransfer.cell import Cell, CellResult, Resources, Scored, recipe_digest
from nertransfer.corpus import Corpus
from nertransfer.errors import InputError
from nertransfer.finetune import History, learning_rate
from nertransfer.labels import ALL
from nertransfer.languages import LANGUAGES, Language
from nertransfer.store import all_runs, inherited_run, public_uri

NOTE = "mlflow.note.content"
METRICS_PER_BATCH = 1000  # limits of one log_batch call
PARAMS_PER_BATCH = 100
CURVE_POINTS = 200
"""At most so many points of the loss curve are logged; each is the mean over the steps since the last."""


@dataclass(frozen=True)
class Study:
    """An open study: the client and the MLflow experiment all its runs are in."""

    client: MlflowClient
    experiment_id: str
    name: str

    @property
    def uri(self) -> str:
        return self.client.tracking_uri


def open_study(client: MlflowClient, name: str) -> Study:
    """The study called ``name``, made where it does not exist. Raises InputError when it was deleted."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return Study(client, client.create_experiment(name), name)
        except MlflowException:  # another process was faster
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        raise InputError(f"study {name!r} was deleted on the tracking server; restore it or choose another name")
    return Study(client, experiment.experiment_id, name)


@contextmanager
def open_run(study: Study, kind: str, name: str, tags: Mapping[str, str] | None = None) -> Iterator[str]:
    """A run of the study: FINISHED when the block ends, KILLED on an interrupt, FAILED on an error.

    A run that ``mlflow run`` has opened for this process is taken up when it is in the study's
    experiment and nothing has been tracked in it yet; otherwise a new one is made. Yields its id.
    """
    client = study.client
    tags = {schema.KIND: kind, schema.HOST: socket.gethostname(), schema.PID: str(os.getpid())} | dict(tags or {})
    run_id = inherited_run(client, study.experiment_id)
    if run_id is None:
        run_id = client.create_run(study.experiment_id, tags=resolve_tags() | tags, run_name=name).info.run_id
    else:
        client.update_run(run_id, status="RUNNING", name=name)
        log(client, run_id, tags=tags)
    try:
        yield run_id
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        if not killed:
            log(client, run_id, tags={"error": f"{type(error).__name__}: {error}"[:5000]})
            client.log_text(run_id, traceback.format_exc(), "error.txt")
        client.set_terminated(run_id, "KILLED" if killed else "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


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


def configuration_params(flat: Mapping[str, str]) -> dict[str, str]:
    """The resolved configuration as params, under their own prefix: ``mlflow run`` logs the bare names."""
    shown = {name: public_uri(value) if name == "tracking_uri" else value for name, value in flat.items()}
    return {schema.CONFIG + name: value for name, value in shown.items()}


# --- cells -----------------------------------------------------------------------------------


def cell_tags(
    cell: Cell, corpora: Mapping[str, Corpus], families: Mapping[str, Language] = LANGUAGES
) -> dict[str, str]:
    """The tags that say which cell a run is; digests and families of every language it meets."""
    return (
        {
            schema.START: cell.start.name,
            schema.SOURCE: cell.source,
            schema.SEED: str(cell.seed),
            schema.CONFIGURATION: cell.configuration,
            schema.CELL_KEY: cell.key,
            schema.START_FINGERPRINT: cell.identity.fingerprint,
            schema.RECIPE_DIGEST: recipe_digest(cell.recipe),
            "start_location": cell.start.location,
        }
        | ({"start_revision": cell.start.revision} if cell.start.revision else {})
        | {schema.CORPUS_DIGEST + name: corpus.digest for name, corpus in corpora.items()}
        | {schema.FAMILY + name: families[name].family for name in corpora if name in families}
    )


def curve_metrics(history: History, total_steps: int, recipe: object, since_epoch: int = 0) -> list[Metric]:
    """Loss and learning rate over optimiser steps, speed and dev F1 over epochs, from epoch ``since_epoch`` on.

    ``train_loss`` in nats per labelled word, ``tokens_per_second`` in real sub-tokens.
    """
    now = _now()
    every = max(1, total_steps // CURVE_POINTS)
    first = since_epoch * history.steps_per_epoch
    metrics: list[Metric] = []
    for end in range(every, len(history.losses) + 1, every):
        if end <= first:
            continue
        window = history.losses[end - every : end]
        metrics.append(Metric("train_loss", sum(window) / len(window), now, end))
        metrics.append(Metric("learning_rate", learning_rate(end - 1, total_steps, recipe), now, end))  # type: ignore[arg-type]
    for epoch in range(since_epoch, history.epochs):
        metrics.append(Metric("tokens_per_second", history.tokens / max(history.seconds[epoch], 1e-9), now, epoch + 1))
        if epoch < len(history.dev_f1):
            metrics.append(Metric("epoch_dev_f1", history.dev_f1[epoch], now, epoch + 1))
    return metrics


class CellRecorder:
    """Writes one cell's run as it goes on: curves after every epoch, everything else at the end."""

    def __init__(self, study: Study, run_id: str, cell: Cell) -> None:
        self.study, self.run_id, self.cell = study, run_id, cell
        self._epochs_logged = 0

    def on_epoch(self, history: History) -> None:
        """Log the curves of the epochs that are new; after a resume that is all of them."""
        total = history.steps_per_epoch * self.cell.recipe.epochs
        metrics = curve_metrics(history, total, self.cell.recipe, self._epochs_logged)
        log(self.study.client, self.run_id, metrics)
        self._epochs_logged = history.epochs

    def finish(self, result: CellResult) -> str:
        """Log scores, predictions and resources; returns the id of the cell's LoggedModel."""
        client, run_id, cell = self.study.client, self.run_id, self.cell
        if self._epochs_logged < result.history.epochs:
            self.on_epoch(result.history)
        tags = {
            name: value for name, value in client.get_run(run_id).data.tags.items() if not name.startswith("mlflow.")
        }
        model = client.create_logged_model(
            self.study.experiment_id, name=cell.name, source_run_id=run_id, tags=tags, model_type="token-classification"
        )
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        log_scores(client, run_id, result.scored, model.model_id)
        log(
            client,
            run_id,
            resource_metrics(result.resources)
            + [Metric("kept_epoch", result.history.kept_epoch, _now(), 0)]
            + [
                Metric(f"source_{s.split.name}_f1", s.scores.default[ALL].f1, _now(), 0)
                for s in result.scored
                if s.split.language == cell.source
            ],
            tags={schema.MODEL_URI: model.model_id, NOTE: cell_note(result)},
        )
        return model.model_id


def resource_metrics(resources: Resources) -> list[Metric]:
    """Seconds, bytes and counts a cell needed."""
    values = {
        "train_seconds": resources.train_seconds,
        "score_seconds": resources.score_seconds,
        "peak_memory_bytes": resources.peak_memory,
        "processes": resources.processes,
        "threads": resources.threads,
    }
    return [Metric(name, float(value), _now(), 0) for name, value in values.items()]


def log_scores(client: MlflowClient, run_id: str, scored: Sequence[Scored], model_id: str | None = None) -> None:
    """Log all scores as metrics tied to their datasets, and predictions and full tables as artifacts."""
    inputs, metrics = [], []
    for one in scored:
        dataset = _dataset(one)
        inputs.append(DatasetInput(dataset, []))
        metrics += [
            Metric(
                name.key, value, _now(), 0, model_id=model_id, dataset_name=dataset.name, dataset_digest=dataset.digest
            )
            for name, value in score_values(one)
        ]
    client.log_inputs(run_id, datasets=inputs)
    log(client, run_id, metrics)
    with tempfile.TemporaryDirectory() as folder:
        predictions = Path(folder) / schema.PREDICTIONS
        predictions.mkdir()
        for one in scored:
            path = predictions / f"{one.split.language}.{one.split.name}.txt"
            path.write_text(prediction_text(one), encoding="utf-8")
        (Path(folder) / schema.SCORES_FILE).write_text(scores_csv(scored), encoding="utf-8")
        (Path(folder) / "environment.json").write_text(json.dumps(environment(), indent=1), encoding="utf-8")
        client.log_artifacts(run_id, folder)


def _dataset(one: Scored) -> Dataset:
    split = one.split
    profile = {"sentences": len(split.sentences), "words": split.number_of_words,
               "entities": one.scores.default[ALL].support}  # fmt: skip
    return Dataset(
        name=f"{split.language}.{split.name}",
        digest=split.digest[:36],
        source_type="conll",
        source=json.dumps({"language": split.language, "split": split.name, "sha256": split.digest}),
        profile=json.dumps(profile),
    )


def score_values(one: Scored) -> list[tuple[schema.ScoreName, float]]:
    """Every score metric of one target and split, with its name."""
    scores, split, target = one.scores, one.split.name, one.split.language
    found: list[tuple[schema.ScoreName, float]] = []
    for category, value in scores.default.items():
        found += [
            (schema.ScoreName(split, measure, target, category), float(getattr(value, measure)))
            for measure in schema.CATEGORY_MEASURES
        ]
    overall = {f"strict_{m}": getattr(scores.strict[ALL], m) for m in (schema.PRECISION, schema.RECALL, schema.F1)}
    overall |= {"span_f1": scores.span_f1, "invalid_tag_rate": scores.invalid_tag_rate}
    return found + [(schema.ScoreName(split, measure, target), float(v)) for measure, v in overall.items()]


def prediction_text(one: Scored) -> str:
    """CoNLL columns word, gold tag, predicted tag; a blank line after each sentence."""
    return "".join(
        "".join(f"{w} {g} {p}\n" for w, g, p in zip(s.words, s.tags, predicted, strict=True)) + "\n"
        for s, predicted in zip(one.split.sentences, one.predicted, strict=True)
    )


def scores_csv(scored: Sequence[Scored]) -> str:
    """All scores, both modes, every category; fractions at full precision."""
    lines = ["target,split,mode,category,precision,recall,f1,support"]
    for one in scored:
        for mode, table in (("default", one.scores.default), ("strict", one.scores.strict)):
            lines += [
                f"{one.split.language},{one.split.name},{mode},{category},{v.precision!r},{v.recall!r},{v.f1!r},{v.support}"
                for category, v in table.items()
            ]
    return "\n".join(lines) + "\n"


def cell_note(result: CellResult) -> str:
    """The run's note: what it is, and its test scores."""
    cell = result.cell
    tests = [s for s in result.scored if s.split.name == "test"]
    return (
        f"**{cell.start.name}** fine-tuned on **{cell.source}**, seed {cell.seed}. Entity-level micro scores "
        f"on the test splits, percent (seqeval, default mode).\n\n{scores_table(tests, cell.source)}"
    )


def scores_table(scored: Sequence[Scored], source: str = "") -> str:
    """Scores in percent as a Markdown table, a row per target and split; F1 for each category."""
    categories = sorted({c for s in scored for c in s.scores.default} - {ALL})
    header = ["target", "split", "F1", "precision", "recall", *categories, "entities"]
    rows = []
    for s in scored:
        total = s.scores.default[ALL]
        per = [f"{100 * s.scores.default[c].f1:.1f}" if c in s.scores.default else "" for c in categories]
        name = s.split.language + (" (source)" if s.split.language == source else "")
        values = [f"{100 * v:.1f}" for v in (total.f1, total.precision, total.recall)]
        rows.append([name, s.split.name, *values, *per, str(total.support)])
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


def environment() -> dict[str, object]:
    """Interpreter, machine and the versions of every installed package."""
    packages = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def _now() -> int:
    return int(time.time() * 1000)


# --- what is there already -----------------------------------------------------------------------


def kind_runs(study: Study, kind: str, condition: str = "") -> list[Run]:
    """All runs of one kind in the study, oldest first; ``condition`` is a further MLflow filter."""
    runs = all_runs(study.client, study.experiment_id, f"tags.{schema.KIND} = '{kind}'{condition}")
    return sorted(runs, key=lambda run: (run.info.end_time or 0, run.info.start_time, run.info.run_id))


def cell_runs(study: Study, status: str) -> list[Run]:
    """All cell runs of the study with a status, oldest first."""
    return kind_runs(study, schema.KIND_CELL, f" and attributes.status = '{status}'")


def finished_cells(study: Study, targets: Mapping[str, Corpus]) -> dict[tuple[str, str, str], Run]:
    """The newest finished run by (cell key, start, source), of those that scored every target as it is now.

    The names are part of it: a start or a source under another name is another place in the grid.
    """
    digests = {schema.CORPUS_DIGEST + name: corpus.digest for name, corpus in targets.items()}
    return {
        (run.data.tags[schema.CELL_KEY], run.data.tags[schema.START], run.data.tags[schema.SOURCE]): run
        for run in cell_runs(study, "FINISHED")
        if digests.items() <= run.data.tags.items()
        and all(schema.ScoreName("test", schema.F1, target).key in run.data.metrics for target in targets)
    }


def mark_as_asked(study: Study, runs: Iterable[Run]) -> None:
    """Note that these finished cells were asked for now: they count, whatever ran in between."""
    now = str(_now())
    for run in runs:
        study.client.set_tag(run.info.run_id, schema.ASKED_AT, now)


def bury_the_dead(study: Study) -> list[str]:
    """Mark as KILLED the runs that a process of this machine left RUNNING; returns their names."""
    buried = []
    for run in all_runs(study.client, study.experiment_id, "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        here = schema.PID in tags and tags.get(schema.HOST) == socket.gethostname()
        if here and not _alive(int(tags.get(schema.PID, "0")), run.info.start_time):
            study.client.set_terminated(run.info.run_id, "KILLED")
            buried.append(run.info.run_name)
    return buried


def _alive(pid: int, run_started: int) -> bool:
    """Whether the process that opened the run still lives; a younger process has only inherited its number."""
    try:
        return psutil.Process(pid).create_time() * 1000 <= run_started + 1000
    except psutil.NoSuchProcess:
        return False
