"""What ``mlflow run`` gives a command besides its parameters: the folder of its user, an experiment, and a run.

MLflow starts a command in the project's folder, which for a git address is a temporary one, and tells it the run that
it has opened, the experiment and the store in variables. Imports MLflow only where there is something to look up.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nertransfer.core import markdown, schema
from nertransfer.core.errors import InputError, in_one_line
from nertransfer.core.options import TrackingOptions
from nertransfer.tracking import secrets, ui_links
from nertransfer.tracking.addresses import VARIABLE, absolute, given_uri, public_tags, public_uri
from nertransfer.tracking.project import (
    DEFAULT_EXPERIMENT,
    EXPERIMENT,
    EXPERIMENT_NAME,
    RUN,
    OpenedRun,
    opened_run,
)

if TYPE_CHECKING:
    from nertransfer.tracking.store import Run

logger = logging.getLogger("nertransfer")
_DRAWN_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")
"""How MLflow calls a run that nobody has named."""


# --- the folder ------------------------------------------------------------------------------------------------------


def enter() -> None:
    """Work from here on in the folder where ``mlflow run`` was called, so that paths mean what its user meant.

    Does nothing where this process was started otherwise, and where that folder cannot be known.
    """
    if folder := _users_folder():
        os.chdir(folder)
        if address := os.environ.get(VARIABLE, "").strip():
            os.environ[VARIABLE] = absolute(address)


def _users_folder() -> Path | None:
    """The working folder of the process that opened this command's run: the nearest ancestor that was started without
    the run's id."""
    run_id = os.environ.get(RUN)
    if not run_id:
        return None
    import psutil

    this = psutil.Process()
    try:
        for process in (this, *this.parents()):
            if process.environ().get(RUN) != run_id:
                # a variable that was set in this very process was set by no launcher
                return None if process == this else Path(process.cwd())
    except (psutil.Error, OSError):  # of another user, as in a container or on a cluster
        pass
    return None


# --- the experiment --------------------------------------------------------------------------------------------------


def with_study(texts: Mapping[str, str], from_file: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a command line with the study that MLflow's experiment names, if it names one.

    ``mlflow run --experiment-name`` counts like a parameter, MLFLOW_EXPERIMENT_NAME less than one and than a study
    file. Raises InputError where a parameter names another study.
    """
    variable = os.environ.get(EXPERIMENT_NAME, "").strip()
    name = _experiment() or variable
    for read in (EXPERIMENT, EXPERIMENT_NAME):
        os.environ.pop(read, None)  # workers and tasks are told the study
    given = texts.get("study", "") or (from_file.get("study", "") if name == variable else "")
    if not name or name == given:
        return dict(texts)
    if not given:
        logger.info("study=%s, the experiment that MLflow was given", name)
        return {**texts, "study": name}
    if name == variable:
        logger.info("study=%s; %s=%s is not used", given, EXPERIMENT_NAME, variable)
        return dict(texts)
    raise InputError(
        f"study={given!r} is not allowed: MLflow was given the experiment {name!r}; give one of the two", "study"
    )


def _experiment() -> str:
    """The name of the experiment that ``mlflow run`` was given; empty for the default one and where there is none."""
    experiment_id = os.environ.get(EXPERIMENT, "").strip()
    if experiment_id in ("", DEFAULT_EXPERIMENT):
        return ""
    from mlflow.exceptions import MlflowException

    from nertransfer.tracking.store import client

    try:
        return str(client(given_uri(), must_exist=True).get_experiment(experiment_id).name)
    except (InputError, MlflowException):
        return ""  # of another store


@contextmanager
def noted(config: object) -> Iterator[None]:
    """Around a command: the run that ``mlflow run`` opened for it gets a name and, at the end, a note with links to the
    results, unless the command has made it the run of a result.

    Raises InputError where that run is in a store whose address was given from a folder that cannot be known.
    """
    opened = opened_run()
    if opened is None:
        yield
        return
    if _DRAWN_NAME.fullmatch(opened.run.info.run_name or ""):
        _attempt(lambda: opened.store.update_run(opened.run.info.run_id, name=_title(opened.run, config)))
    _attempt(lambda: _clean(opened))
    problem = ""
    try:
        yield
    except BaseException as error:
        problem = secrets.hide(str(error) if isinstance(error, InputError) else in_one_line(error))
        raise
    finally:
        _attempt(lambda: _note(opened, config, problem))


def _attempt(call: Any) -> None:
    """What only describes a command does not end it."""
    from mlflow.exceptions import MlflowException

    try:
        call()
    except (InputError, MlflowException) as error:
        logger.warning("the run that MLflow opened for this command is not described: %s", error)


def _clean(opened: OpenedRun) -> None:
    """Take passwords out of the address of the project's repository, which MLflow has stored as it was given."""
    tags = opened.run.data.tags
    for name, value in public_tags(tags).items():
        if value != tags[name]:
            opened.store.set_tag(opened.run.info.run_id, name, value)


def _title(run: "Run", config: object) -> str:
    """``study planted``, ``predict ner-hau``: the entry point, and what it works on."""
    entry_point = run.data.tags.get("mlflow.project.entryPoint", "")
    return " ".join(filter(None, ["study" if entry_point == "main" else entry_point, subject(config)]))


def subject(config: object) -> str:
    """What a command works on: a study, corpora, a model or a language, as its parameters call it; may be empty."""
    which = getattr(config, "which", None)
    words = (
        getattr(getattr(config, "tracking", None), "study", ""),
        getattr(getattr(config, "data", None), "name", ""),
        which and (which.model or schema.model_name(which.language)),
        getattr(config, "language", ""),
    )
    return str(next(filter(None, words), ""))


def _note(opened: OpenedRun, config: Any, problem: str) -> None:
    """Describe the run, unless it has become that of a result."""
    store, run_id = opened.store, opened.run.info.run_id
    if schema.KIND in store.get_run(run_id).data.tags:
        return
    lines = [f"It ended early: {markdown.escape(problem)}"] if problem else []
    tags = {schema.KIND: schema.KIND_COMMAND}
    tracking = getattr(config, "tracking", None)
    if isinstance(tracking, TrackingOptions):
        where, study = _results(opened, config, tracking)
        lines.append(where)
        tags |= {schema.STUDY: study} if study else {}
    else:
        lines.append(f"This command tracks no results. [All studies]({ui_links.experiments_page('')}).")
    for name, text in (tags | {schema.NOTE: "\n\n".join(lines)}).items():
        store.set_tag(run_id, name, text)


def _results(opened: OpenedRun, config: Any, tracking: TrackingOptions) -> tuple[str, str]:
    """Where the results of a command are, as Markdown, and the name of their study; none where there is none yet."""
    from nertransfer.commands import mlflow_pages
    from nertransfer.tracking import study_data
    from nertransfer.tracking.addresses import resolve_uri

    uri = resolve_uri(tracking)
    if uri != opened.store.tracking_uri:
        return f"Its results are in another store: {markdown.escape(public_uri(uri))}", tracking.study
    try:
        study = study_data.chosen(opened.store, config.data, tracking)
    except InputError:
        return f"It has no results. [All studies]({ui_links.experiments_page('')}).", ""
    experiment = opened.store.get_experiment(study.experiment_id)
    links = [f"- [{title}]({address})" for title, address in mlflow_pages.of_experiment(opened.store, "", experiment)]
    return "\n".join([f"Its results are in the study **{markdown.escape(study.name)}**:", "", *links]), study.name
