"""What ``mlflow run`` gives a command: the folder of its user, an experiment that names the study, a run of its own."""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from folder_store import opened
from project_scripts import ROOT

from nertransfer.commands import project_run
from nertransfer.core import schema
from nertransfer.core.commandline import build
from nertransfer.core.config import ModelsConfig, PredictConfig
from nertransfer.core.errors import InputError
from nertransfer.tracking import project
from nertransfer.tracking.store import Study


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*project.VARIABLES, "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


# --- the folder ------------------------------------------------------------------------------------------------------

ENTERED = (
    "import json, os; from nertransfer.commands import project_run; project_run.enter(); "
    "print(json.dumps([os.getcwd(), os.environ.get('MLFLOW_TRACKING_URI')]))"
)
LAUNCHER = """\
import os, subprocess, sys
project, variable, address, code = sys.argv[1:]
environment = os.environ | {"MLFLOW_TRACKING_URI": address} | ({"MLFLOW_RUN_ID": "1"} if variable else {})
# as MLflow does: through a shell, in the folder of the project
subprocess.run(["bash", "-c", f"true && {sys.executable} -c '{code}' && true"], cwd=project, env=environment)
"""


def entered(user: Path, project: Path, variable: bool, address: str) -> list[str]:
    """The folder and the store's address of a command that a launcher starts in another folder than its own."""
    code = ENTERED.replace("'", '"')
    command = [sys.executable, "-c", LAUNCHER, str(project), "1" if variable else "", address, code]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return json.loads(subprocess.check_output(command, cwd=user, env=environment, text=True))


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("sqlite:///a%20b/my.db?timeout=5", "sqlite:///{user}/a%20b/my.db?timeout=5"),
        ("sqlite:////somewhere/mlflow.db", "sqlite:////somewhere/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_a_command_works_where_the_user_of_mlflow_run_stands(tmp_path: Path, address: str, there: str) -> None:
    user, project = tmp_path / "user", tmp_path / "project"
    user.mkdir(), project.mkdir()
    assert entered(user, project, True, address) == [str(user), there.format(user=user)]
    assert entered(user, project, False, address) == [str(project), address]  # started by something else


def test_a_run_that_was_set_by_hand_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_RUN_ID", "1")
    project_run.enter()
    assert Path.cwd() == tmp_path


# --- the experiment --------------------------------------------------------------------------------------------------


@pytest.fixture
def run_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Study]:
    """Be a command that ``mlflow run`` has started in an experiment; returns the study of that name."""

    def start(experiment: str) -> Study:
        study = opened(tmp_path, experiment)
        made = study.client.create_run(study.experiment_id, run_name="brawny-cub-1", tags={
            "mlflow.project.entryPoint": "main", "mlflow.source.name": "https://me:secret@host/nertransfer.git"
        })  # fmt: skip
        monkeypatch.setenv("MLFLOW_TRACKING_URI", study.uri)
        monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", study.experiment_id)
        return study

    return start


def test_the_experiment_of_mlflow_run_names_the_study(run_in: Callable[[str], Study]) -> None:
    run_in("mine")
    assert project_run.with_study({"seeds": "1"}, {"study": "of the file"}) == {"seeds": "1", "study": "mine"}
    assert "MLFLOW_EXPERIMENT_ID" not in os.environ  # what this command starts is told the study


def test_another_study_beside_the_experiment_is_refused(run_in: Callable[[str], Study]) -> None:
    run_in("mine")
    with pytest.raises(InputError, match="study='other' is not allowed: MLflow was given the experiment 'mine'"):
        project_run.with_study({"study": "other"}, {})


def test_the_default_experiment_names_nothing(run_in: Callable[[str], Study], monkeypatch: pytest.MonkeyPatch) -> None:
    run_in("mine")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    assert project_run.with_study({"study": "other"}, {}) == {"study": "other"}


@pytest.mark.parametrize(
    ("given", "from_file", "study"),
    [({}, {}, "mine"), ({"study": "other"}, {}, "other"), ({}, {"study": "of the file"}, None)],
)
def test_a_variable_names_the_study_that_nothing_else_names(
    given: dict[str, str], from_file: dict[str, str], study: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    assert project_run.with_study(given, from_file).get("study") == study


# --- the run ---------------------------------------------------------------------------------------------------------


def test_the_run_of_a_command_is_named_and_linked_to_its_study(run_in: Callable[[str], Study]) -> None:
    study, run_id = run_in("mine"), os.environ["MLFLOW_RUN_ID"]
    study.client.create_run(study.experiment_id, tags={schema.KIND: schema.KIND_CELL})
    with project_run.noted(build(ModelsConfig, {"study": "mine"})):
        assert study.client.get_run(run_id).info.run_name == "study mine"
    tags = study.client.get_run(run_id).data.tags
    assert tags[schema.KIND] == "command" and tags[schema.STUDY] == "mine"
    assert f"[runs](#/experiments/{study.experiment_id}/runs?" in tags[schema.NOTE]


def test_the_run_of_a_command_that_fails_says_why(run_in: Callable[[str], Study]) -> None:
    study, run_id = run_in("mine"), os.environ["MLFLOW_RUN_ID"]
    study.client.update_run(run_id, name="my name")
    with (
        pytest.raises(InputError),
        project_run.noted(build(PredictConfig, {"language": "hau", "input": "x"})),
    ):
        raise InputError("no <model>")
    run = study.client.get_run(run_id)
    assert run.info.run_name == "my name" and "It ended early: no &lt;model&gt;" in run.data.tags[schema.NOTE]


def test_a_run_that_has_become_a_result_stays_one(run_in: Callable[[str], Study]) -> None:
    study, run_id = run_in("mine"), os.environ["MLFLOW_RUN_ID"]
    with project_run.noted(build(ModelsConfig, {"study": "mine"})):
        study.client.set_tag(run_id, schema.KIND, schema.KIND_CELL)
    tags = study.client.get_run(run_id).data.tags
    assert tags[schema.KIND] == schema.KIND_CELL and schema.NOTE not in tags


def test_results_in_another_store_are_said_to_be_there(run_in: Callable[[str], Study]) -> None:
    study, run_id = run_in("mine"), os.environ["MLFLOW_RUN_ID"]
    with project_run.noted(build(ModelsConfig, {"tracking_uri": "http://me:secret@there:5000"})):
        pass
    note = study.client.get_run(run_id).data.tags[schema.NOTE]
    assert note == "Its results are in another store: http://there:5000"


def test_a_run_of_another_store_is_told_and_not_used(
    run_in: Callable[[str], Study], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = run_in("mine")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    config = build(ModelsConfig, {})
    with caplog.at_level(logging.WARNING, "nertransfer"), project_run.noted(config):
        pass
    assert caplog.messages == [f"MLFLOW_RUN_ID={'0' * 32} is no run of {study.uri}, and is not used"]
    monkeypatch.chdir(ROOT / "tests")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")  # of a folder that nobody can tell
    with pytest.raises(InputError, match="was given from a folder that cannot be known"), project_run.noted(config):
        raise AssertionError("nothing may run")
    assert not (ROOT / "tests" / "mlflow.db").exists()


def test_a_project_that_mlflow_has_fetched_is_called_by_its_address(
    run_in: Callable[[str], Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in("mine")
    assert str(ROOT) in project.command("ui", {"port": "1"})
    fetched = Path(tempfile.gettempdir()).resolve() / "tmpab_1cd2f"
    monkeypatch.setattr(project, "PROJECT", fetched)
    called = project.command("ui", {"port": "1"})
    assert called == "mlflow run https://host/nertransfer.git -e ui --env-manager local -P port=1"


def test_mlflow_run_from_another_folder_reads_and_writes_there(tmp_path: Path) -> None:
    user = tmp_path / "user"
    for split in ("train", "dev", "test"):
        path = user / "corpora" / "swa" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Lagos B-LOC\n\n", encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")} | {"PATH": path}
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", "data", "--env-manager", "local"]
    done = subprocess.run([*command, "-P", "data=corpora"], cwd=user, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert f"Written: {user}/reports/corpora/data.csv" in done.stdout
    assert (user / "reports" / "corpora" / "data.csv").is_file()
    (run,) = opened(user, "unused").client.search_runs(["0"])
    assert (run.info.run_name, run.info.status) == ("data corpora", "FINISHED")
