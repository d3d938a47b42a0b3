"""What an executor needs of this machine is looked at before any work is done; arrays are as large as Slurm takes."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from folder_store import opened

from nertransfer.core.commandline import build
from nertransfer.core.config import StudyConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import SlurmOptions
from nertransfer.studies import study as studies
from nertransfer.studies.executors import slurm
from nertransfer.tracking import project

LACKING = {
    "no submitit": "needs submitit: pip install",
    "no slurm": "needs sbatch, squeue, scancel on the PATH",
    "no checkout": "only from a checkout or a wheel",
    "no lasting checkout": "need the project in a folder that all machines see and that stays",
}


@pytest.mark.parametrize(
    ("lacks", "given"),
    [
        ("no submitit", {"executor": "slurm"}),
        ("no slurm", {"executor": "slurm"}),
        ("no checkout", {"executor": "slurm"}),
        ("no checkout", {"executor": "script"}),
        ("no checkout", {"num_processes": "2"}),
        ("no lasting checkout", {"executor": "slurm"}),
        ("no lasting checkout", {"executor": "script"}),
    ],
)
def test_what_an_executor_lacks_is_said_before_anything_is_made(
    lacks: str, given: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted starts, for one, take minutes."""
    monkeypatch.chdir(tmp_path)
    if lacks == "no submitit":
        monkeypatch.setitem(sys.modules, "submitit", None)
    elif lacks == "no slurm":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif lacks == "no lasting checkout":
        monkeypatch.setattr(project, "is_temporary", lambda: True)
    else:
        monkeypatch.setattr(slurm, "PROJECT", tmp_path / "site-packages")
    config = build(StudyConfig, {"data": "planted", "device": "cpu", **given})
    run = studies.write_study_scripts if config.executor == "script" else studies.run_study
    study = opened(tmp_path, "planted")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=LACKING[lacks]):
        run(config, study)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("said", "size"),
    [("MaxArraySize            = 5001\nMaxJobCount = 7", 5001), ("slurm_load_ctl_conf error", slurm.ARRAY_SIZE)],
)
def test_an_array_has_as_many_tasks_as_the_cluster_takes(
    said: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho '{said}'\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.array_size(SlurmOptions()) == size
    assert slurm.array_size(SlurmOptions(slurm_array_size=7)) == 7
    scontrol.unlink()
    assert slurm.array_size(SlurmOptions()) == slurm.ARRAY_SIZE


def test_a_cluster_without_arrays_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho MaxArraySize = 0\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="takes no job arrays"):
        slurm.array_size(SlurmOptions())


@pytest.mark.parametrize(("setup", "mode"), [("export TOKEN=abc", 0o600), ("", 0o644)])
def test_a_script_with_lines_that_may_be_secret_is_its_owners_alone(setup: str, mode: int, tmp_path: Path) -> None:
    study = SimpleNamespace(name="mine", uri="http://host:5000")
    before = os.umask(0o022)
    try:
        options = SlurmOptions(slurm_setup=setup, slurm_array_size=5)
        (script,) = slurm.write_scripts([["python", "train.py"]], options, tmp_path, study)  # type: ignore[arg-type]
    finally:
        os.umask(before)
    assert script.stat().st_mode & 0o777 == mode
    assert (setup in script.read_text()) and "export MLFLOW_TRACKING_URI=http://host:5000" in script.read_text()


class Limited(slurm.Cluster):
    """Slurm lets its user have ``room`` tasks in the queue; ``arrays``: sizes of those that were taken."""

    def __init__(self, room: int) -> None:
        names = [f"cell{i}" for i in range(10)]
        super().__init__(None, SlurmOptions(), Path(), {name: ["train"] for name in names}, {})  # type: ignore[arg-type]
        self._most = self._size = 8
        self._waiting = [(SimpleNamespace(name=name), 1) for name in names]  # type: ignore[misc]
        self.room, self.arrays, self.parallel = room, list[int](), set[int]()

    def _executor_jobs(self, tasks: Sequence[object], parallel: int) -> list[str]:
        self.parallel.add(parallel)
        if len(tasks) > self.room:
            raise slurm._NoRoom("Job violates accounting/QOS policy (job submit limit)")
        self.room -= len(tasks)
        self.arrays.append(len(tasks))
        return [f"{len(self.arrays)}_{i}" for i in range(len(tasks))]

    def _announce(self, cell: object, task: str) -> None: ...


def test_what_a_users_limit_does_not_allow_waits_until_tasks_have_ended() -> None:
    queue = Limited(room=5)
    submitted = [one.cell.name for one in queue._submit(queued=False)]
    assert queue.arrays == [4] and submitted == ["cell0", "cell1", "cell2", "cell3"]  # 8 were too many
    assert queue._submit(queued=True) == []
    queue.room += 4
    assert queue._submit(queued=True) == []  # not one task at a time: an array needs room as a whole
    queue.room += 4
    submitted += [one.cell.name for one in queue._submit(queued=True)]
    assert queue.arrays == [4, 6] and submitted == [f"cell{i}" for i in range(10)]


def test_all_arrays_together_run_no_more_tasks_than_asked_for() -> None:
    queue = Limited(room=10)
    queue._submit(queued=False)
    assert queue.arrays == [8, 2] and queue.parallel == {SlurmOptions.slurm_parallel // 2}


def test_tasks_wait_while_another_study_fills_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "others", lambda: True)
    queue = Limited(room=0)
    assert queue._submit(queued=False) == [] and len(queue._waiting) == 10


def test_a_user_who_may_submit_nothing_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "others", lambda: False)
    with pytest.raises(InputError, match="cannot be submitted: Job violates"):
        Limited(room=0)._submit(queued=False)
