"""Patience with a store that is away or loses its answers: calls are repeated, and what they make is made once."""

import functools
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar, cast

import requests
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException, RestException

from nertransfer.core import processes, schema
from nertransfer.tracking.addresses import is_served

_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
"""How often MLflow itself repeats a request."""
PATIENCE_SECONDS = 900.0
"""A server that is away for less costs waiting; after that what was measured stays on disk and the work fails."""
HURRY_SECONDS = 30.0
FIRST_PAUSE_SECONDS, PAUSE_SECONDS = 0.25, 5.0
"""Between two calls: short at first, for most of what is lost is there at once, then longer and longer."""
BROKEN_CALLS, SECOND_CALLS = 2, 20
"""So often a call is repeated that a server answers with an error of its own, and that was second (`was_second`)."""
_AWAY = (408, 429, 502, 503, 504)
"""HTTP statuses of a server, or a proxy before it, that may answer later."""

logger = logging.getLogger("nertransfer")
Found = TypeVar("Found")


def impatient(client: MlflowClient) -> MlflowClient:
    """The same client with little patience: to mark what failed, perhaps because the server is gone."""
    return (
        cast(MlflowClient, PatientClient(client._made, client.tracking_uri, HURRY_SECONDS))
        if _is_patient(client)
        else client
    )


_alone = threading.RLock()


@contextmanager
def _unrepeated(uri: str) -> Iterator[None]:
    """MLflow itself repeats no request to a server meanwhile: it would make what it creates a second time."""
    if not is_served(uri):
        yield
        return
    with _alone:
        usual = os.environ.get(_RETRIES)
        os.environ[_RETRIES] = "0"
        try:
            yield
        finally:
            os.environ.pop(_RETRIES)
            os.environ |= {} if usual is None else {_RETRIES: usual}


def _is_patient(client: object) -> bool:
    return isinstance(client, PatientClient)


def uninterrupted(uri: str) -> AbstractContextManager[None]:
    """Around a call to the store: where this process has the database open itself, an interrupt in the middle would
    leave it locked, and waits for the end. A server may be silent for minutes."""
    return nullcontext() if is_served(uri) else processes.put_off_interrupts()


class PatientClient:
    """An MlflowClient whose calls are repeated while the server is away, for `PATIENCE_SECONDS` each, and are not
    interrupted (`uninterrupted`).

    An answer that is lost says nothing of what was done: what a call creates is looked up before it is made again.
    """

    def __init__(
        self,
        made: Callable[[], MlflowClient],
        tracking_uri: str,
        patience: float = PATIENCE_SECONDS,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        """``made`` gives the client of that address, the same whenever it is asked."""
        self._made, self.tracking_uri, self._patience, self._pause = made, tracking_uri, patience, pause

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._made(), name)
        if not callable(found):
            return found
        return functools.partial(self._gone if name.startswith("delete_") else self._repeated, found)

    def _once(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with uninterrupted(self.tracking_uri):
            return call(*arguments, **options)

    def _repeated(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return patiently(lambda: self._once(call, *arguments, **options), self._patience, self._pause)

    def _created(self, call: Callable[..., Found], there: Callable[[], Found | None], **options: Any) -> Found:
        def create() -> Found:
            with _unrepeated(self.tracking_uri):
                return self._once(call, **options)

        return patiently(create, self._patience, self._pause, lambda: self._once(there))

    def _gone(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Delete what may be deleted already, by a call whose answer was lost."""

        def delete() -> None:
            try:
                with _unrepeated(self.tracking_uri):
                    self._once(call, *arguments, **options)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise

        patiently(delete, self._patience, self._pause)

    def create_experiment(self, name: str, artifact_location: str | None = None, **options: Any) -> str:
        """As `MlflowClient.create_experiment`."""
        client = self._made()

        def there() -> str | None:
            found = client.get_experiment_by_name(name)
            return found.experiment_id if found else None

        return self._created(client.create_experiment, there, name=name, artifact_location=artifact_location, **options)

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: dict[str, str] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """As `MlflowClient.create_run`. A run is known by a tag of its own."""
        client, request = self._made(), uuid.uuid4().hex

        def there() -> Run | None:
            return next(iter(client.search_runs([experiment_id], f"tags.{schema.REQUEST} = '{request}'")), None)

        return self._created(
            client.create_run, there, experiment_id=experiment_id, run_name=run_name,
            start_time=start_time or int(1000 * time.time()), tags=(tags or {}) | {schema.REQUEST: request},
        )  # fmt: skip

    def create_logged_model(self, experiment_id: str, name: str, source_run_id: str, **options: Any) -> LoggedModel:
        """As `MlflowClient.create_logged_model`. A model is known by its run and name."""
        client = self._made()

        def there() -> LoggedModel | None:
            made = client.search_logged_models([experiment_id], filter_string=f"source_run_id = '{source_run_id}'")
            return next((model for model in made if model.name == name), None)

        return self._created(
            client.create_logged_model, there, experiment_id=experiment_id, name=name, source_run_id=source_run_id,
            **options,
        )  # fmt: skip

    def log_outputs(self, run_id: str, models: list[LoggedModelOutput]) -> None:
        """As `MlflowClient.log_outputs`; what is an output of the run already stays one."""
        client = self._made()

        def log() -> None:
            try:
                client.log_outputs(run_id, models)
            except MlflowException as error:
                if not _is_second(error, "inputs "):
                    raise

        self._repeated(log)

    def create_registered_model(self, name: str, **options: Any) -> RegisteredModel:
        """As `MlflowClient.create_registered_model`."""
        client = self._made()

        def there() -> RegisteredModel | None:
            try:
                return client.get_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return None

        return self._created(client.create_registered_model, there, name=name, **options)

    def create_model_version(self, name: str, source: str, run_id: str | None = None, **options: Any) -> ModelVersion:
        """As `MlflowClient.create_model_version`. A version is known by its source, and was not there before."""
        client, condition = self._made(), f"name = '{name}'"
        before = {one.version for one in self._repeated(client.search_model_versions, condition)}

        def there() -> ModelVersion | None:
            versions = client.search_model_versions(condition)
            return next((one for one in versions if one.version not in before and one.source == source), None)

        return self._created(client.create_model_version, there, name=name, source=source, run_id=run_id, **options)


def patiently(
    call: Callable[[], Found],
    patience: float = PATIENCE_SECONDS,
    pause: float = PAUSE_SECONDS,
    there: Callable[[], Found | None] = lambda: None,
) -> Found:
    """The result of ``call``, repeated while the store is away, for ``patience`` seconds, in the end every ``pause``.

    ``there`` looks up, before a call is repeated, whether it was done although its answer was lost; what it gives is
    the result then, unless None.
    """
    began = time.monotonic()
    told, broken, second, lost, wait = False, 0, 0, False, min(FIRST_PAUSE_SECONDS, pause)
    while True:
        try:
            found = (there() if lost else None) or call()
        except Exception as error:
            away = is_away(error)
            broken += (failed := _is_broken(error))
            second += (was_late := was_second(error))
            again = away or (was_late and second <= SECOND_CALLS) or (failed and broken <= BROKEN_CALLS)
            if not again or time.monotonic() - began > patience:
                raise
            lost = True
            if away and not told:
                logger.warning("the tracking server does not answer; waiting for it")
                told = True
            time.sleep(wait)
            wait = min(2 * wait, pause)
        else:
            if told:
                logger.warning("the tracking server answers again after %.0f s", time.monotonic() - began)
            return found


def as_patiently(client: MlflowClient, call: Callable[[], Any]) -> Any:
    """`patiently`, for as long as the calls of the client themselves are repeated."""
    return patiently(call, client._patience, client._pause) if isinstance(client, PatientClient) else patiently(call)


def is_away(error: Exception) -> bool:
    """Whether a call failed because nobody answered, or nobody who could do it now, rather than at its content."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in _AWAY
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return True
    if not isinstance(error, MlflowException):
        return False
    text = str(error)
    if "sqlite3." in text:  # MLflow calls all that goes wrong with a database unavailable; only this passes
        return "sqlite3.OperationalError" in text and ("locked" in text or "busy" in text)
    lost = "failed with exception" in text or "failed with timeout exception" in text
    busy = error.error_code in ("TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")
    # what a proxy answers while the server behind it restarts is no JSON, and has no name in MLflow
    return lost or busy or any(f"failed with error code {status} " in text for status in _AWAY)


def _is_broken(error: Exception) -> bool:
    """Whether a server failed at a call for a reason of its own, which may have passed the next time."""
    own = isinstance(error, RestException) and error.error_code == "INTERNAL_ERROR"
    return own or (isinstance(error, MlflowException) and "failed with error code 500 " in str(error))


def was_second(error: Exception) -> bool:
    """Whether a call failed as the same row was just added, by another process or by the last call of a killed one.

    MLflow looks before it adds, and of two that find nothing the later one fails. The next time it finds the row.
    """
    return _is_second(error)


def _is_second(error: Exception, table: str = "") -> bool:
    text = str(error) if isinstance(error, MlflowException) else ""
    return f"INSERT INTO {table}" in text and ("UNIQUE" in text or "unique" in text or "Duplicate entry" in text)
