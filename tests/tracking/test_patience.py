"""Patience: calls are repeated while a store is away, and what they make is made once."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from folder_store import make_store
from lossy import Lossy
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, LoggedModelOutput
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos import databricks_pb2

from nertransfer.tracking import store
from nertransfer.tracking.patience import BROKEN_CALLS, PatientClient, is_away, patiently


def mlflow_error(message: str, code: str = "INTERNAL_ERROR") -> MlflowException:
    return MlflowException(message, getattr(databricks_pb2, code))


def http_error(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"status {status}", response=response)


AWAY: dict[str, Exception] = {
    "busy": mlflow_error("database is locked", "TEMPORARILY_UNAVAILABLE"),
    "a dataset later": mlflow_error(
        "(sqlite3.OperationalError) database is locked\n[SQL: INSERT INTO datasets (name)]", "TEMPORARILY_UNAVAILABLE"
    ),
    "too late": mlflow_error("", "DEADLINE_EXCEEDED"),
    "too much": mlflow_error("", "RESOURCE_EXHAUSTED"),
    "refused": mlflow_error("API request to http://x:5000/api failed with exception HTTPConnectionPool(host='x')"),
    "silent": mlflow_error("API request to /api/2.0/mlflow/runs/get failed with timeout exception Read timed out."),
    "proxy": mlflow_error("API request to endpoint /api failed with error code 502 != 200. Response body: ''"),
    "connection": requests.ConnectionError("refused"),
    "timeout": requests.ReadTimeout("late"),
    **{
        f"proxy with {status}": mlflow_error(f"API request to endpoint /api failed with error code {status} != 200.")
        for status in (408, 429, 503, 504)
    },
    "gateway": http_error(502),
    "unavailable": http_error(503),
    "too many requests": http_error(429),
}
SECOND = mlflow_error(
    "(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.experiment_id, datasets.name, datasets.digest\n"
    "[SQL: INSERT INTO datasets (dataset_uuid, experiment_id, name) VALUES (?, ?, ?)]",
    "BAD_REQUEST",
)
"""Another process has added the same dataset in the same moment."""
SECOND_TAG = mlflow_error(
    "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block if this flush is "
    "occurring prematurely)\n(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint\n"
    "[SQL: INSERT INTO tags (key, value, run_uuid) VALUES (%s, %s, %s)]",
    "BAD_REQUEST",
)
"""The last request of a process that was killed is done beside the first one of the next."""
WRONG: dict[str, Exception] = {
    "absent": mlflow_error("Run 'x' not found", "RESOURCE_DOES_NOT_EXIST"),
    "param": mlflow_error("Changing param values is not allowed.", "INVALID_PARAMETER_VALUE"),
    "internal": mlflow_error("a bug"),
    "dataset": mlflow_error("(sqlite3.OperationalError) no such table\n[SQL: INSERT INTO datasets (name)]"),
    "name": mlflow_error("Experiment(name=unlocked) already exists: (sqlite3.IntegrityError) UNIQUE constraint failed"),
    "proxy": mlflow_error("API request to endpoint /api failed with error code 403 != 200. Response body: ''"),
    "not found": http_error(404),
    "no answer at all": requests.HTTPError("no response"),
    "program": ValueError("failed with exception"),
}


def answers(*results: Any) -> tuple[Callable[..., Any], list[tuple]]:
    """A call that raises or returns one after the other, the last for ever; and its arguments so far."""
    left: Iterator[Any] = iter(results)
    calls: list[tuple] = []

    def call(*arguments: Any, **options: Any) -> Any:
        calls.append((*arguments, options) if options else arguments)
        result = next(left, results[-1])
        if isinstance(result, BaseException):
            raise result
        return result

    return call, calls


@pytest.mark.parametrize("kind", AWAY)
def test_a_call_is_repeated_while_the_server_is_away(kind: str) -> None:
    assert is_away(AWAY[kind])
    call, calls = answers(AWAY[kind], AWAY[kind], 7)
    assert patiently(call, patience=60, pause=0) == 7 and len(calls) == 3


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_with_a_call_is_raised_at_once(kind: str) -> None:
    assert not is_away(WRONG[kind])
    call, calls = answers(WRONG[kind], 7)
    with pytest.raises(type(WRONG[kind])) as raised:
        patiently(call, patience=60, pause=0)
    assert raised.value is WRONG[kind] and len(calls) == 1


def test_an_interrupt_is_no_reason_to_wait() -> None:
    call, calls = answers(KeyboardInterrupt(), 7)
    with pytest.raises(KeyboardInterrupt):
        patiently(call, patience=60, pause=0)
    assert len(calls) == 1


def test_patience_ends() -> None:
    call, calls = answers(AWAY["refused"])
    with pytest.raises(MlflowException, match="failed with exception"):
        patiently(call, patience=0.05, pause=0)
    assert len(calls) > 1


def test_waiting_and_its_end_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "nertransfer"):
        patiently(answers(7)[0], patience=60, pause=0)
        assert caplog.messages == []
        patiently(answers(AWAY["refused"], AWAY["busy"], AWAY["refused"], 7)[0], patience=60, pause=0)
    assert caplog.messages == [
        "the tracking server does not answer; waiting for it", "the tracking server answers again after 0 s",
    ]  # fmt: skip


def test_a_dataset_that_somebody_else_was_first_to_add_is_found_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "nertransfer"):
        for second in (SECOND, SECOND_TAG):
            assert patiently(answers(second, second, 7)[0], patience=60, pause=0) == 7
        with pytest.raises(MlflowException, match="tags"):
            patiently(answers(SECOND_TAG)[0], patience=60, pause=0)
    assert caplog.messages == [] and not is_away(SECOND)


def test_a_patient_client_repeats_its_calls_with_their_arguments() -> None:
    call, calls = answers(AWAY["connection"], "done")

    class Inner:
        log_param = staticmethod(call)

    inner: Any = Inner()
    patient = PatientClient(lambda: inner, "http://x:5000", patience=60, pause=0)
    assert patient.log_param("run", "key", value="text") == "done"
    assert calls == [("run", "key", {"value": "text"})] * 2
    assert patient.tracking_uri == "http://x:5000"
    with pytest.raises(AttributeError):
        patient.no_such_call  # noqa: B018


def test_a_store_that_was_opened_is_patient(tmp_path: Path) -> None:
    opened: Any = store.client(f"sqlite:///{make_store(tmp_path)}", must_exist=True)
    assert isinstance(opened, PatientClient)
    assert opened.get_experiment("0").name == "Default"


def test_a_server_that_fails_is_asked_again_but_not_for_long() -> None:
    broken = RestException({"error_code": "INTERNAL_ERROR", "message": "a bug"})
    assert patiently(answers(*[broken] * BROKEN_CALLS, 7)[0], patience=60, pause=0) == 7
    call, calls = answers(broken)
    with pytest.raises(RestException):
        patiently(call, patience=60, pause=0)
    assert len(calls) == BROKEN_CALLS + 1


# --- answers that are lost -------------------------------------------------------------------------------------


@pytest.fixture
def plain(tmp_path: Path) -> MlflowClient:
    uri = f"sqlite:///{make_store(tmp_path)}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def patient(plain: MlflowClient) -> PatientClient:
    lossy: Any = Lossy(plain)
    return PatientClient(lambda: lossy, "http://x:5000", patience=60, pause=0)


def test_what_is_created_is_there_once_though_answers_are_lost(patient: PatientClient, plain: MlflowClient) -> None:
    experiment = patient.create_experiment("study")
    assert [one.name for one in plain.search_experiments()] == ["study", "Default"]
    alike: Any = {"tags": {"kind": "cell"}, "run_name": "cell", "start_time": 1}  # as two threads may ask at once
    made = patient.create_run(experiment, **alike).info
    run, other = made.run_id, patient.create_run(experiment, **alike).info.run_id
    assert {one.info.run_id for one in plain.search_runs([experiment])} == {run, other}
    model = patient.create_logged_model(experiment, name="cell", source_run_id=run, tags={"a": "b"}).model_id
    assert [one.model_id for one in plain.search_logged_models([experiment])] == [model]
    patient.log_outputs(run, [LoggedModelOutput(model, step=0)])
    patient.log_outputs(run, [LoggedModelOutput(model, step=0)])
    assert len(plain.get_run(run).outputs.model_outputs) == 1
    for _ in range(2):
        patient.log_inputs(run, datasets=[DatasetInput(Dataset("d", "1", "conll", "{}"), [])])
    assert len(plain.get_run(run).inputs.dataset_inputs) == 1
    assert patient.create_registered_model("ner-aaa", description="one").name == "ner-aaa"
    assert [one.name for one in plain.search_registered_models()] == ["ner-aaa"]
    versions = [
        patient.create_model_version("ner-aaa", source=made.artifact_uri, run_id=run, tags={"n": str(n)})
        for n in range(2)
    ]
    found = {one.version: one.tags["n"] for one in plain.search_model_versions("name = 'ner-aaa'")}
    assert found == {one.version: one.tags["n"] for one in versions} and len(found) == 2


def test_what_is_deleted_may_be_gone_already(patient: PatientClient, plain: MlflowClient) -> None:
    plain.create_registered_model("ner-aaa")
    for _ in range(2):
        patient.delete_registered_model("ner-aaa")
        assert plain.search_registered_models() == []


def test_what_could_not_be_done_is_done_later(plain: MlflowClient) -> None:
    """A proxy that refuses: nothing was made, and the names in use are said as before."""
    call, _ = answers(requests.ConnectionError("refused"), "1")
    plain.create_experiment = call  # type: ignore[method-assign]
    assert PatientClient(lambda: plain, "http://x:5000", patience=60, pause=0).create_experiment("study") == "1"
    plain.create_registered_model("ner-aaa")
    with pytest.raises(MlflowException, match="already exists"):
        PatientClient(lambda: plain, "http://x:5000", patience=60, pause=0).create_registered_model("ner-aaa")


def test_mlflow_itself_repeats_no_request_that_creates_or_deletes(monkeypatch: pytest.MonkeyPatch) -> None:
    name, seen = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", list[str | None]()

    class Inner:
        create_experiment = delete_run = log_batch = staticmethod(lambda *_, **__: seen.append(os.environ.get(name)))

    inner: Any = Inner()
    for usual in ("7", None):
        monkeypatch.setenv(name, "7") if usual else monkeypatch.delenv(name)
        patient = PatientClient(lambda: inner, "http://x:5000", patience=60, pause=0)
        patient.create_experiment("study")
        patient.delete_run("run")
        patient.log_batch("run")
        assert (seen, os.environ.get(name)) == (["0", "0", usual], usual)
        seen.clear()
