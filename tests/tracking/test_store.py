"""The store: which one, opened safely, refused clearly."""

import multiprocessing
import os
import signal
import socket
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from project_scripts import ROOT

from nertransfer.core import processes
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions, TrackingOptions
from nertransfer.registry import packaging
from nertransfer.tracking import addresses, store
from nertransfer.tracking.patience import PatientClient
from nertransfer.tracking.store import client


def sqlite(path: Path) -> str:
    return f"sqlite:///{path}"


def test_address_is_the_option_then_the_variable_then_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert addresses.resolve_uri(TrackingOptions()) == f"sqlite:///{Path.cwd()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://one:5000")
    assert addresses.resolve_uri(TrackingOptions()) == "http://one:5000"
    assert addresses.resolve_uri(TrackingOptions(tracking_uri="http://two:5000")) == "http://two:5000"


def test_study_is_the_option_or_the_name_of_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    assert store.study_name(DataOptions(data=str(folder)), TrackingOptions()) == "mine"
    assert store.study_name(DataOptions(data=str(folder)), TrackingOptions(study="other")) == "other"
    odd = DataOptions(data=str(tmp_path / "a\nb"))
    with pytest.raises(InputError, match=r"study \(from data\)='a.*b' is not allowed"):
        store.study_name(odd, TrackingOptions())
    assert store.study_name(odd, TrackingOptions(study="other")) == "other"


def test_readers_create_nothing(tmp_path: Path) -> None:
    missing = tmp_path / "none.db"
    empty = tmp_path / "empty.db"
    empty.touch()
    for path in (missing, empty):
        with pytest.raises(InputError, match="there is no MLflow database"):
            store.client(sqlite(path), must_exist=True)
    assert [p.name for p in tmp_path.iterdir()] == ["empty.db"]
    assert empty.stat().st_size == 0


def test_a_store_and_a_study_are_made_when_they_are_used(tmp_path: Path) -> None:
    uri = sqlite(tmp_path / "new.db")
    study = store.open_study(store.client(uri), "new")
    assert study.uri == uri and not list(tmp_path.iterdir())
    assert study.client.get_experiment(study.experiment_id).name == "new"
    other = store.open_study(store.client(uri), "other")
    assert store.study_runs(other) == [] and store.find_study(other.client, "other") is None
    assert store.open_study(other.client, "other").experiment_id == other.experiment_id != study.experiment_id


def test_files_of_a_study_lie_beside_its_database_from_wherever_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    monkeypatch.chdir(tmp_path)
    uri = addresses.resolve_uri(TrackingOptions(tracking_uri="sqlite:///store/mlflow.db"))
    study = store.open_study(store.client(uri), "new")
    where = study.client.get_experiment(study.experiment_id).artifact_location
    assert where == f"{tmp_path}/store/mlruns/{study.experiment_id}"


@pytest.mark.parametrize(
    "command",
    [
        "study --data typo", "train --data typo --source hau", "evaluate --data typo --model x",
        "embed --models x --tracking_uri sqlite:///typo.db", "adapt --language hau --text typo",
        "import_results --results typo --data planted",
    ],
)  # fmt: skip
def test_bad_input_leaves_nothing_behind(command: str, tmp_path: Path, python: str) -> None:
    script, *arguments = command.split()
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    path = ROOT / "entrypoints" / f"{script}.py"
    done = subprocess.run(
        [python, str(path), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2 and "typo" in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"the folder {tmp_path / 'no'} does not exist"):
        store.client(sqlite(tmp_path / "no" / "mlflow.db"))
    with pytest.raises(InputError, match="is a folder, not a database"):
        store.client(sqlite(tmp_path))


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("no database\n" * 200, encoding="utf-8")
    with pytest.raises(InputError, match="cannot be opened"):
        store.client(sqlite(path), must_exist=True)
    assert path.read_text(encoding="utf-8") == "no database\n" * 200


def test_a_server_that_is_not_there_is_reported_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as caught:
            store.client(f"http://me:secret@127.0.0.1:{port}")
    assert f"http://127.0.0.1:{port}" in str(caught.value)
    assert f"mlflow server --backend-store-uri sqlite:///mlflow.db --port {port}" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("postgresql://me:word@127.0.0.1/db", "127.0.0.1:5432"), ("mysql+pymysql://127.0.0.1:7/db", "127.0.0.1:7"),
        ("http://127.0.0.1", "127.0.0.1:80"), ("https://[::1]:7/mlflow", "::1:7"),
    ],
)  # fmt: skip
def test_a_server_that_accepts_no_connection_is_told_before_anybody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, uri: str, place: str
) -> None:
    asked: list[tuple] = []

    def silent(address: tuple, timeout: float) -> None:
        asked.append((*address, timeout))
        raise TimeoutError("timed out")

    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(store.socket, "create_connection", silent)
    monkeypatch.setattr(store, "MlflowClient", None)
    with pytest.raises(InputError, match=r"no server answers at .* \(timed out\)") as raised:
        store.client(uri)
    assert place in str(raised.value) and "word" not in str(raised.value) and asked[0][2] <= 5


def _open_and_write(uri: str, name: str) -> None:
    store.client(uri).create_experiment(name)


def test_several_processes_may_open_a_fresh_database(tmp_path: Path) -> None:
    uri = sqlite(tmp_path / "fresh.db")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_open_and_write, args=(uri, f"e{i}")) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(90)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    opened = store.client(uri, must_exist=True)
    names = {experiment.name for experiment in opened.search_experiments()}
    assert {"e0", "e1", "e2"} <= names
    assert store.all_versions(opened, "ner-hau") == []
    experiment = opened.get_experiment_by_name("e0").experiment_id
    assert store.all_runs(opened, experiment) == []


def test_a_database_whose_making_was_killed_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = tmp_path / "mlflow.db"
    kept = tmp_path / "mlflow.db.half-made"
    kept.write_text("from an earlier time")

    def killed(tracking_uri: str, registry_uri: str) -> None:
        with sqlite3.connect(database) as connection:  # one table of many
            connection.execute("create table scheduler_leases (name text)")
        raise OSError("as if killed")

    with monkeypatch.context() as patched:
        patched.setattr(store, "MlflowClient", killed)
        with pytest.raises(InputError, match="as if killed"):
            client(f"sqlite:///{database}").search_experiments()
    opened = client(f"sqlite:///{database}")
    made = opened.create_experiment("study")
    assert client(f"sqlite:///{database}").get_experiment(made).name == "study"  # and it is left alone from then on
    assert kept.read_text() == "from an earlier time" and f"kept as {kept}-2, and made anew" in caplog.text
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock", kept.name, f"{kept.name}-2"}


def test_a_mark_that_a_kill_has_left_takes_no_good_database_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uri = sqlite(tmp_path / "mlflow.db")
    (tmp_path / "mlflow.db.making").touch()
    MlflowClient(tracking_uri=uri).create_experiment("precious")
    names = {one.name for one in client(uri, must_exist=True).search_experiments()}
    assert names == {"Default", "precious"}
    assert not [record for record in caplog.records if record.name == "nertransfer"]
    assert not list(tmp_path.glob("*.half-made*")) and not (tmp_path / "mlflow.db.making").exists()


def test_only_an_unused_run_of_the_experiment_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = store.client(sqlite(tmp_path / "runs.db"))
    here, there = opened.create_experiment("here", str(tmp_path)), opened.create_experiment("there", str(tmp_path))
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    assert store.inherited_run(opened, here) is None
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    assert store.inherited_run(opened, here) is None
    run_id = opened.create_run(here).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert store.inherited_run(opened, here) == run_id
    assert store.inherited_run(opened, there) is None
    opened.set_tag(run_id, "kind", "study")
    assert store.inherited_run(opened, here) is None


@pytest.mark.parametrize(
    ("uri", "interrupts_sent", "gone_through"),
    [("sqlite:///mlflow.db", 1, True), ("sqlite:///mlflow.db", 2, False), ("http://127.0.0.1:5000", 1, False)],
)
def test_the_first_interrupt_waits_for_the_end_of_a_call_to_a_database(
    uri: str, interrupts_sent: int, gone_through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in the middle would leave it locked; a server has its own, and may be silent for minutes."""
    done: list[str] = []

    class Client:
        def set_tag(self, name: str) -> None:
            for _ in range(interrupts_sent):
                processes.handle_interrupt(signal.SIGINT, None)
            done.append(name)

    made: Any = Client()
    with pytest.raises(KeyboardInterrupt):
        PatientClient(lambda: made, uri).set_tag("whole")
    assert (done == ["whole"]) == gone_through
    done.clear()
    monkeypatch.setattr(packaging.Model, "log", lambda **given: made.set_tag("whole"))
    monkeypatch.setattr(packaging.mlflow, "get_tracking_uri", lambda: uri)
    with pytest.raises(KeyboardInterrupt):  # weights are stored by MLflow itself
        packaging.log(SimpleNamespace(model=SimpleNamespace()), "name", "", [])
    assert (done == ["whole"]) == gone_through
    with pytest.raises(KeyboardInterrupt):  # outside of a call at once
        processes.handle_interrupt(signal.SIGINT, None)
    with suppress(KeyboardInterrupt):
        processes.check_interrupt()
