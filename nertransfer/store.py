"""The MLflow store: which one, how to open it, and whole result lists instead of pages.

Knows nothing of studies, cells or scores, and imports no model library, so that writers
(`nertransfer.tracking`) and readers (`analysis.results`) open the store in the same way.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from nertransfer import schema
from nertransfer.config import DataOptions, TrackingOptions
from nertransfer.errors import InputError

DEFAULT_URI = "sqlite:///mlflow.db"
RUNS_PER_PAGE = 50_000  # the most that MLflow hands over at once
VERSIONS_PER_PAGE = 10_000
FIRST_CONTACT_RETRIES = "2"
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_NOISY = ("mlflow", "alembic")


def resolve_uri(options: TrackingOptions) -> str:
    """The store's address: the option, else ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db``."""
    return options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "").strip() or DEFAULT_URI


def study_name(data: DataOptions, tracking: TrackingOptions) -> str:
    """The study's name: the option, else the name of the data."""
    return tracking.study or data.name


def public_uri(uri: str) -> str:
    """``uri`` without a user name and password in it, to be shown to people."""
    parts = urlsplit(uri)
    return uri.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1) if "@" in parts.netloc else uri


def client(uri: str, must_exist: bool = False) -> MlflowClient:
    """A client of the store at ``uri`` that has answered once.

    A database file that does not exist is made, unless ``must_exist``: readers create nothing.
    Raises InputError when the store cannot be opened or does not answer.
    """
    for name in _NOISY:  # a fresh database reports every step of its making
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger(name).level))
    database = _sqlite_file(uri)
    if database is not None:
        _check_database(uri, database, must_exist)
    try:
        with _exclusive(database), _few_retries():
            made = MlflowClient(tracking_uri=uri, registry_uri=uri)
            made.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise InputError(_trouble(uri, error)) from None
    return made


def _sqlite_file(uri: str) -> Path | None:
    """The file of a sqlite address; None for servers, other databases and databases in memory."""
    scheme, separator, rest = uri.partition(":///")
    if not separator or not scheme.startswith("sqlite"):
        return None
    name = unquote(rest.partition("?")[0])
    return Path(name) if name and name != ":memory:" else None


def _check_database(uri: str, database: Path, must_exist: bool) -> None:
    """Raise InputError for a database file that cannot be what is meant."""
    if not database.parent.is_dir():
        raise InputError(f"tracking_uri={uri}: the folder {database.parent} does not exist")
    if database.is_dir():
        raise InputError(f"tracking_uri={uri}: {database} is a folder, not a database")
    if must_exist and not _has_tables(database):
        raise InputError(
            f"tracking_uri={uri}: there is no MLflow database {database} here ({Path.cwd()}); "
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
    return FileLock(f"{database}.lock")


@contextmanager
def _few_retries() -> Iterator[None]:
    """A wrong address shows within seconds; once a server has answered, MLflow's patience is back."""
    if _RETRIES in os.environ:
        yield
        return
    os.environ[_RETRIES] = FIRST_CONTACT_RETRIES
    try:
        yield
    finally:
        os.environ.pop(_RETRIES, None)


def _trouble(uri: str, error: Exception) -> str:
    """What to tell people whose store does not open."""
    shown = public_uri(uri)
    lines = [line.strip() for line in str(error).replace(uri, shown).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    if not uri.startswith(("http://", "https://")):
        return f"tracking_uri={shown}: the store cannot be opened: {reason}"
    if "failed with exception" in reason:  # MLflow's words for all trouble below HTTP, a page long
        reason = "no server answers there" if "refused" in reason else reason.rpartition("(Caused by ")[2][:300]
    start = f"tracking_uri={shown}: {reason.partition(' Response body')[0].rstrip('.')}"
    port = urlsplit(uri).port
    command = f"mlflow server --backend-store-uri {DEFAULT_URI}{f' --port {port}' if port else ''}"
    return f"{start}. Is the server running? Start one with: {command}"


# --- whole lists -----------------------------------------------------------------------------


def all_runs(client: MlflowClient, experiment_id: str, condition: str = "") -> list[Run]:
    """Every active run of an experiment that meets an MLflow filter, over all pages."""
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], condition, max_results=RUNS_PER_PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def all_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version of a registered model, over all pages; none where there is no such model."""
    versions: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=VERSIONS_PER_PAGE, page_token=token)
        versions += page
        token = page.token
        if not token:
            return versions


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
