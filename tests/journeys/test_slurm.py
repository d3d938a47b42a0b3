"""Studies on a real Slurm: an array that finishes, a cell that fails, a time limit, a cancelled task, plain scripts."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from absent import absent
from folder_store import make_store, opened
from project_scripts import ROOT
from slurm_cluster import SlurmCluster, missing_programs
from tiny import save_tiny_corpora, save_tiny_start

from nertransfer.core import schema
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import Study

CELL = {"starts": "tiny=tiny", "data": "data", "max_length": "32", "epochs": "2", "batch_size": "8",
        "learning_rate": "5e-3", "device": "cpu", "study": "array"}  # fmt: skip
SLURM = {"executor": "slurm", "slurm_minutes": "5", "slurm_gpus": "1", "slurm_cpus": "1", "slurm_memory_gb": "0",
         "slurm_deadline_minutes": "0.05"}  # fmt: skip


@pytest.fixture(scope="module")
def slurm() -> Iterator[SlurmCluster]:
    missing = missing_programs()
    if missing:
        reason = f"no Slurm on this machine ({', '.join(missing)} missing); on Debian: apt-get install munge slurm-wlm"
        absent(reason)
    with SlurmCluster() as cluster:
        yield cluster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_tiny_start(tmp_path / "tiny")
    save_tiny_corpora(tmp_path / "data")
    make_store(tmp_path)
    return tmp_path


def begin(folder: Path, cluster: SlurmCluster, python: str, **parameters: str) -> subprocess.Popen[str]:
    """Start the study with ``python``, which its tasks are run by, too."""
    environment = os.environ | cluster.environment | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip
    given = [text for name, value in (CELL | SLURM | parameters).items() for text in (f"--{name}", value)]
    command = [python, str(ROOT / "entrypoints" / "study.py"), *given]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(running: subprocess.Popen[str], status: int = 0) -> str:
    said, _ = running.communicate(timeout=300)
    assert running.returncode == status, said[-4000:]
    return said


Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found], timeout: float = 300) -> Found:
    """What the condition gives as soon as it holds."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)
    return found


def scores_of(study: Study) -> dict[str, dict[str, float]]:
    return {
        run.info.run_name: {k: v for k, v in run.data.metrics.items() if k.startswith(("test_", "dev_", "train_loss"))}
        for run in cell_runs(study, "FINISHED")
    }


def test_an_array_of_six_cells_finishes_and_a_failing_one_is_reported(
    slurm: SlurmCluster, folder: Path, python: str
) -> None:
    said = finish(begin(folder, slurm, python))
    study = opened(folder, "array")
    runs = cell_runs(study, "FINISHED")
    assert len(runs) == 6 and "6 cells run, 0 done before, 0 failed" in said
    assert "4 tasks submitted as job" in said and "2 tasks submitted as job" in said  # more than an array takes here
    tasks = {run.data.tags[schema.SLURM_JOB] for run in runs}
    assert len(tasks) == 6 and len({task.partition("_")[0] for task in tasks}) == 2
    assert (folder / "reports" / "array" / "index.html").is_file()
    # the same once more, but one cell is not finished and its folder cannot be made
    removed = next(run for run in runs if run.info.run_name == "tiny-aaa-s0")
    study.client.delete_run(removed.info.run_id)
    place = folder / "work" / "cells" / removed.data.tags["cell_key"]
    shutil.rmtree(place, ignore_errors=True)
    place.write_text("a file where the cell's folder should be")
    said = finish(begin(folder, slurm, python), status=1)
    assert "tiny-aaa-s0 failed, tried once more" in said
    assert re.search(r"failed: tiny-aaa-s0: NotADirectory.*\(log: /.*/slurm/array/\d+_0_log.out\)", said), said
    assert len(cell_runs(study, "FAILED")) == 2 and len(cell_runs(study, "FINISHED")) == 5


def test_a_cell_at_its_time_limit_is_requeued_and_ends_with_the_same_numbers(
    slurm: SlurmCluster, folder: Path, python: str
) -> None:
    """It is held at its first checkpoint until Slurm speaks of the limit: so it lasts that long on every machine."""
    cell = {"epochs": "40", "sources": "aaa", "seeds": "0", "targets": "aaa", "checkpoint_minutes": "0"}
    finish(begin(folder, slurm, python, **cell, executor="local", study="whole"))
    running = begin(folder, slurm, python, **cell, slurm_minutes="10", slurm_signal_seconds="270")
    wait_until(lambda: list((folder / "work" / "cells").glob("*/checkpoint/state.json")))
    study = opened(folder, "array")
    (run,) = cell_runs(study, "RUNNING")
    process, task = psutil.Process(json.loads(run.data.tags[schema.PROCESS])["pid"]), run.data.tags[schema.SLURM_JOB]
    process.suspend()
    log = folder / "work" / "slurm" / "array" / f"{task}_0_log.out"
    slurm.call("scontrol", "update", f"JobId={task}", "TimeLimit=4")  # minutes; Slurm looks every half minute
    wait_until(lambda: "this job is timed-out" in log.read_text())
    process.resume()
    wait_until(lambda: "Requeued job" in log.read_text())
    slurm.call("scontrol", "update", f"JobId={task}", "TimeLimit=30")
    assert "1 cell run" in finish(running)
    (run,) = cell_runs(study, "FINISHED")
    assert run.data.tags[schema.SLURM_JOB] == task and run.data.tags[schema.ATTEMPTS] == "2"
    assert scores_of(study) == scores_of(opened(folder, "whole"))
    assert len(study.client.get_metric_history(run.info.run_id, schema.SPEED)) == 40  # no epoch twice


def test_a_cancelled_task_is_noticed_and_its_cell_listed(slurm: SlurmCluster, folder: Path, python: str) -> None:
    """While it trains, and, at the second attempt, as soon as it is submitted."""
    cell = {"epochs": "100000", "sources": "aaa", "seeds": "0", "targets": "aaa"}
    running = begin(folder, slurm, python, **cell)
    study = opened(folder, "array")

    def tasks(*states: str) -> set[str]:
        return {run.data.tags[schema.SLURM_JOB] for state in states for run in cell_runs(study, state)}

    # a run that has just been announced is RUNNING for a moment, too, but no task has attempted it
    wait_until(lambda: any(schema.ATTEMPTS in run.data.tags for run in cell_runs(study, "RUNNING")))
    (first,) = tasks("RUNNING")
    slurm.call("scancel", first)
    (second,) = wait_until(lambda: tasks("RUNNING", "SCHEDULED") - {first})
    slurm.call("scancel", second)
    noticed = time.monotonic()
    said = finish(running, status=1)
    assert time.monotonic() - noticed < 60
    assert re.search(r"failed: tiny-aaa-s0: task \d+ ended without a result \(squeue: CANCELLED\)", said), said
    assert cell_runs(study, "RUNNING") == cell_runs(study, "SCHEDULED") == []
    for process in psutil.process_iter():  # a warm process is no child of its task, so that Slurm does not end it
        with suppress(psutil.Error):
            if process.cwd() == str(folder):
                process.kill()


def test_what_cells_need_this_machine_need_not_have(slurm: SlurmCluster, folder: Path, python: str) -> None:
    for needs in ({"precision": "fp16"}, {"compile": "true"}):
        said = finish(begin(folder, slurm, python, device="auto", sources="aaa", executor="script", **needs))
        assert re.search(r"\d cells in 1 array;", said), said


def test_plain_scripts_run_the_cells_and_the_study_then_finds_them(
    slurm: SlurmCluster, folder: Path, python: str
) -> None:
    cell = {"sources": "aaa", "seeds": "0,1", "targets": "aaa", "epochs": "60", "checkpoint_minutes": "0"}
    said = finish(begin(folder, slurm, python, **cell, executor="script"))
    assert "2 cells in 1 array;" in said
    (script,) = (folder / "work" / "slurm" / "array").glob("cells-*.sbatch")
    assert str(script) in said
    subprocess.run(["bash", "-n", str(script)], check=True)
    job = slurm.call("sbatch", str(script)).split()[-1]
    study = opened(folder, "array")
    wait_until(lambda: list((folder / "work" / "cells").glob("*/checkpoint/state.json")))
    slurm.call("scancel", "--batch", "--signal=USR1", job)  # as shortly before the time limit
    wait_until(lambda: not slurm.call("squeue", "--noheader", "--jobs", job).strip())
    attempts = [int(run.data.tags[schema.ATTEMPTS]) for run in cell_runs(study, "FINISHED")]
    assert len(attempts) == 2 and max(attempts) > 1  # requeued, in the same run
    said = finish(begin(folder, slurm, python, **cell, executor="local"))
    assert "0 cells run, 2 done before, 0 failed" in said
