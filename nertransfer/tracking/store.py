"""The MLflow store: which one, how to open it, patience with it, and whole result lists instead of pages.

Knows nothing of cells or scores, and imports no model library, so that writers
(`nertransfer.tracking.runs`) and readers (`analysis.reading.read`) open the store in the same way.
"""

import functools
import itertools
import logging
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import urlsplit

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus, Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from mlflow.tracking._tracking_service.utils import _SERVER_ARTIFACT_ROOT_ENV_VAR
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_IS_EXTERNAL
from requests.utils import get_environ_proxies
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from nertransfer.core import schema
from nertransfer.core.errors import InputError, in_one_line
from nertransfer.core.options import DataOptions, TrackingOptions, check_study
from nertransfer.tracking import secrets
from nertransfer.tracking.addresses import DEFAULT_URI, database_of, is_served, public_uri
from nertransfer.tracking.patience import PATIENCE_SECONDS, PatientClient, patiently

RUNS_PER_PAGE = 50_000  # the most that MLflow hands over at once
VERSIONS_PER_PAGE = 10_000
RETRIES = "2"
"""How often MLflow itself repeats a request; what takes longer is waited for by `PatientClient`, which says so."""
SQLITE = b"SQLite format 3\0"
"""How every database file begins."""
CONNECT_SECONDS = 5.0
"""A server that takes longer to accept a connection is taken for one that is not there."""
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433, "http": 80, "https": 443}
"""Where servers listen, unless the address says so."""
ARTIFACTS = "mlruns"
"""MLflow's name of the folder with the files of runs and models."""

FINISHED = " and attributes.status = 'FINISHED'"
"""Ends the condition of a search for runs that have come to their end."""

logger = logging.getLogger("nertransfer")
Found = TypeVar("Found")


def study_name(data: DataOptions, tracking: TrackingOptions, without: str = "") -> str:
    """The study's name: the option, else the name of the data, or ``without`` where there are none.

    Raises InputError where the name of the data can be no study's, and where nothing says it.
    """
    name = tracking.study or data.name or without
    if not name:
        raise InputError("give study=<experiment name>, or data=<corpora>, whose name is then used", "study")
    return name if tracking.study else check_study(name, "study (from data)")


def client(uri: str, must_exist: bool = False, patient: bool = False) -> MlflowClient:
    """A client of the store at ``uri``, which has answered once.

    A database file that does not exist is made by the first call of the client, so that bad input, found before, makes
    none; with ``must_exist`` it is an error: readers create nothing. Later calls wait for a server that goes away; the
    first does so only where it is ``patient``, for a worker that begins in the middle. Raises InputError when the store
    cannot be opened or does not answer; of a file that does not exist yet, its first call does.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
    secrets.note([uri])
    database = database_of(uri)
    if database is not None:
        _check_database(uri, database, must_exist)
        if not _has_tables(database) and os.access(database.parent, os.W_OK):
            return cast(MlflowClient, PatientClient(functools.cache(lambda: _answering(uri, database, patient)), uri))
    if not patient:
        _check_connection(uri)
    made = _answering(uri, database, patient)
    return cast(MlflowClient, PatientClient(lambda: made, uri))


def _check_connection(uri: str) -> None:
    """Raise InputError where nobody answers at the address of a server within seconds: libraries try for minutes."""
    if "://" not in uri or database_of(uri) is not None or (is_served(uri) and get_environ_proxies(uri)):
        return
    try:
        url = make_url(uri)  # of HTTP, too
    except ArgumentError:  # told when it is opened
        return
    port = url.port or _PORTS.get(url.drivername.partition("+")[0])
    if not url.host or port is None or "," in url.host:  # a socket of this machine, or several servers
        return
    try:
        socket.create_connection((url.host, port), CONNECT_SECONDS).close()
    except OSError as error:
        if is_served(uri) and not isinstance(error, TimeoutError):  # MLflow itself finds that out at once
            return
        raise InputError(
            f"tracking_uri={public_uri(uri)}: no server answers at {url.host}:{port} ({error})", "tracking_uri"
        ) from None


def _answering(uri: str, database: Path | None, patient: bool) -> MlflowClient:
    try:
        with _exclusive(database), _making(database), _artifacts_beside(database):
            made = MlflowClient(tracking_uri=uri, registry_uri=uri)
            patiently(lambda: made.search_experiments(max_results=1), PATIENCE_SECONDS if patient else 0)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise InputError(_trouble(uri, error), "tracking_uri") from None
    return made


@contextmanager
def _artifacts_beside(database: Path | None) -> Iterator[None]:
    """What opens a database file meanwhile puts the files of new experiments into ``mlruns`` beside it, and not into
    that of the folder where the process happens to stand."""
    if database is None or _SERVER_ARTIFACT_ROOT_ENV_VAR in os.environ:
        yield
        return
    os.environ[_SERVER_ARTIFACT_ROOT_ENV_VAR] = str(database.absolute().parent / ARTIFACTS)
    try:
        yield
    finally:
        del os.environ[_SERVER_ARTIFACT_ROOT_ENV_VAR]


@dataclass(frozen=True)
class Study:
    """An open study: the client and the MLflow experiment all its runs are in.

    An experiment that is not ``known`` is made when it is first asked for, so that bad input, found before, makes none.
    """

    client: MlflowClient
    known: str | None
    name: str

    @functools.cached_property
    def experiment_id(self) -> str:
        """Raises InputError where it can be neither found nor made."""
        return self.existing_id or _experiment(self.client, self.name)

    @property
    def existing_id(self) -> str | None:
        """The experiment's id, None where there is none yet."""
        known = self.__dict__.get("experiment_id", self.known)  # it may have been made since
        if known is None and exists(self.uri):
            found = find_study(self.client, self.name)
            return found.known if found else None
        return known

    @property
    def uri(self) -> str:
        return self.client.tracking_uri


def find_study(client: MlflowClient, name: str) -> Study | None:
    """The study called ``name``, or None. Raises InputError when it was deleted."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return None
    if experiment.lifecycle_stage != "active":
        raise InputError(
            f"study {name!r} was deleted on the tracking server; restore it or choose another name", "study"
        )
    return Study(client, experiment.experiment_id, name)


def as_called_now(study: Study) -> Study:
    """The same study under its present name: people rename experiments in MLflow, also while cells run."""
    name = study.client.get_experiment(study.experiment_id).name
    if name == study.name:
        return study
    logger.warning("study %s is called %s now, in MLflow", study.name, name)
    return Study(study.client, study.experiment_id, name)


def open_study(client: MlflowClient, name: str) -> Study:
    """The study called ``name``, made where it does not exist. Raises InputError when it was deleted."""
    found = find_study(client, name) if exists(client.tracking_uri) else None
    return found or Study(client, None, name)


def _experiment(client: MlflowClient, name: str) -> str:
    """The id of a new experiment of that name, or of one that another process has just made."""
    try:
        return client.create_experiment(name)
    except MlflowException as error:
        found = find_study(client, name)
        if found is None:
            raise InputError(f"study {name!r} cannot be made: {in_one_line(error)}", "study") from None
        return found.experiment_id


def exists(uri: str) -> bool:
    """Whether there is a store to read; a server counts as one, a database file only once it is made."""
    database = database_of(uri)
    return database is None or _has_tables(database)


def _check_database(uri: str, database: Path, must_exist: bool) -> None:
    """Raise InputError for a database file that cannot be what is meant."""
    shown = public_uri(uri)
    if not database.parent.is_dir():
        raise InputError(f"tracking_uri={shown}: the folder {database.parent} does not exist")
    if database.is_dir():
        raise InputError(f"tracking_uri={shown}: {database} is a folder, not a database")
    if database.is_file() and database.stat().st_size:
        with database.open("rb") as file:
            if file.read(len(SQLITE)) != SQLITE:
                raise InputError(f"tracking_uri={shown}: the store cannot be opened: it is not a database of SQLite")
    if must_exist and not _has_tables(database):
        raise InputError(
            f"tracking_uri={shown}: there is no MLflow database {database.absolute()}; "
            "run a study first, or name the store that has one"
        )


def _has_tables(database: Path) -> bool:
    """Whether the file exists and holds anything; a file that is no database is left for MLflow to refuse."""
    if not database.is_file() or database.stat().st_size == 0:
        return False
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute("select 1 from sqlite_master").fetchone() is not None
    except sqlite3.DatabaseError:
        return True


def _exclusive(database: Path | None) -> FileLock | nullcontext[None]:
    """One process at a time: several that meet a fresh sqlite file would break its schema."""
    if database is None or not os.access(database.parent, os.W_OK):
        return nullcontext()  # nobody can make a database in a folder that is not writable
    lock = Path(f"{database}.lock")
    if lock.exists() and not os.access(lock, os.W_OK) and _has_tables(database):
        return nullcontext()  # somebody else's, who has made the database
    return FileLock(lock)


@contextmanager
def _making(database: Path | None) -> Iterator[None]:
    """Mark a database while it is made: what a kill leaves half made opens for nobody, so it is made anew.

    The mark is set only where there was no database, and removed before anybody else may write. One that is left over
    says nothing of a database that was made since.
    """
    mark = None if database is None else Path(f"{database}.making")
    if database is None or mark is None or not os.access(database.parent, os.W_OK):
        yield
        return
    if mark.exists() and _has_tables(database) and not _is_made(database):
        _set_aside(database)
    if not _has_tables(database):
        mark.touch()
    yield  # an error leaves the mark: nothing was made
    mark.unlink(missing_ok=True)


def _is_made(database: Path) -> bool:
    """Whether MLflow has made a database to the end: the first experiment comes after all tables."""
    try:
        # not read-only: what a kill has left in a journal is taken back, as whoever opens it next would
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=rw", uri=True)) as connection:
            tables = connection.execute("select 1 from sqlite_master where name = 'experiments'")
            return bool(tables.fetchone() and connection.execute("select 1 from experiments").fetchone())
    except sqlite3.DatabaseError:  # no database, or one that is being written to: MLflow says which
        return True


def _set_aside(database: Path) -> None:
    """Move a database that is half made out of the way, under a name that nothing has."""
    names = (f"{database}.half-made{f'-{number}' if number > 1 else ''}" for number in itertools.count(1))
    aside = next(name for name in names if not Path(name).exists())
    for suffix in ("-journal", "-wal", "-shm", ""):
        if (part := Path(f"{database}{suffix}")).exists():
            part.replace(f"{aside}{suffix}")
    logger.warning("%s was left half made by a process that was killed: kept as %s, and made anew", database, aside)


def _trouble(uri: str, error: Exception) -> str:
    """What to tell people whose store does not open."""
    shown = public_uri(uri)
    lines = [line.strip() for line in secrets.hide(str(error)).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    if not is_served(uri):
        return f"tracking_uri={shown}: the store cannot be opened: {reason}"
    if "failed with exception" in reason:  # MLflow's words for all trouble below HTTP, a page long
        reason = "no server answers there" if "refused" in reason else reason.rpartition("(Caused by ")[2][:300]
    start = f"tracking_uri={shown}: {reason.partition(' Response body')[0].rstrip('.')}"
    port = urlsplit(uri).port
    command = f"mlflow server --backend-store-uri {DEFAULT_URI}{f' --port {port}' if port else ''}"
    return f"{start}. Is the server running? Start one with: {command}"


# --- whole lists -----------------------------------------------------------------------------


def _over_all_pages(search: Callable[[str | None], PagedList[Found]]) -> list[Found]:
    """All that is found; ``search`` gives the page of a token, at first of none."""
    page = search(None)
    found: list[Found] = list(page)
    while page.token:
        page = search(page.token)
        found += page
    return found


def all_runs(client: MlflowClient, experiment_id: str, condition: str = "") -> list[Run]:
    """Every active run of an experiment that meets an MLflow filter, over all pages."""
    return _over_all_pages(
        lambda token: client.search_runs([experiment_id], condition, max_results=RUNS_PER_PAGE, page_token=token)
    )


def study_runs(study: Study, condition: str = "") -> list[Run]:
    """Every active run of a study that meets an MLflow filter; none where the study is not made yet."""
    experiment_id = study.existing_id
    return [] if experiment_id is None else all_runs(study.client, experiment_id, condition)


def kind_runs(study: Study, kind: str, condition: str = "") -> list[Run]:
    """All runs of one kind in the study, oldest first; ``condition`` is a further MLflow filter."""
    runs = study_runs(study, f"tags.{schema.KIND} = '{kind}'{condition}")
    return sorted(runs, key=lambda run: (run.info.end_time or 0, run.info.start_time, run.info.run_id))


def delete_twins(study: Study) -> None:
    """Delete runs that are twins of finished ones: what one call made twice, as a server does that is late, or behind a
    proxy that repeats requests."""
    client = study.client
    for run in study_runs(study, "attributes.status != 'FINISHED'"):
        if not (request := run.data.tags.get(schema.REQUEST)):
            continue
        twins = study_runs(study, f"attributes.status = 'FINISHED' and tags.{schema.REQUEST} = '{request}'")
        others = [twin.info for twin in twins if twin.info.run_id != run.info.run_id]  # it may have ended just now
        if run.info.start_time not in {other.start_time for other in others}:  # its tags were copied, say
            continue
        if run.data.tags.get(schema.KIND) == schema.KIND_CLAIMS:
            client.set_terminated(run.info.run_id, "FINISHED")  # both hold them
        else:
            client.delete_run(run.info.run_id)


def all_logged_models(study: Study) -> list[LoggedModel]:
    """Every LoggedModel of a study, over all pages."""
    return _over_all_pages(lambda token: study.client.search_logged_models([study.experiment_id], page_token=token))


def has_weights_of_its_own(model: LoggedModel) -> bool:
    """Whether weights were stored in a LoggedModel; MLflow calls it external until all files are uploaded, and studies
    of older versions left it pending."""
    external = model.tags.get(MLFLOW_MODEL_IS_EXTERNAL, "").lower() == "true"
    return bool(model.status == LoggedModelStatus.READY) and not external


def all_models(client: MlflowClient) -> list[str]:
    """The name of every registered model, over all pages, sorted."""
    found: list[RegisteredModel] = _over_all_pages(lambda token: client.search_registered_models(page_token=token))
    return sorted(model.name for model in found)


def all_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version of a registered model, over all pages; none where there is no such model."""
    quote = '"' if "'" in name else "'"  # somebody else's model may be called anything
    condition = f"name = {quote}{name}{quote}"
    return _over_all_pages(
        lambda token: client.search_model_versions(condition, max_results=VERSIONS_PER_PAGE, page_token=token)
    )


def run_of_version(version: ModelVersion, client: MlflowClient) -> Run | None:
    """The run that made a version; None where it was deleted for good, and of a version that was made by hand."""
    try:
        return client.get_run(version.run_id) if version.run_id else None
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def inherited_run(client: MlflowClient, experiment_id: str) -> str | None:
    """The run that ``mlflow run`` opened for this process, if it is in the experiment and still unused.

    A run with a kind has been taken already, by an earlier step of the same process or by its parent.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException:
        return None
    fresh = schema.KIND not in run.data.tags
    return run_id if fresh and run.info.experiment_id == experiment_id else None
