"""What an executor needs of this machine is looked at before any work is done."""

import sys
from pathlib import Path

import pytest
from folder_store import opened

from nertransfer import cluster
from nertransfer import study as studies
from nertransfer.commandline import build
from nertransfer.config import StudyConfig
from nertransfer.errors import InputError

LACKING = {
    "no submitit": "needs submitit: pip install",
    "no slurm": "needs sbatch, squeue, scancel on the PATH",
    "no checkout": "only from a checkout",
}


@pytest.mark.parametrize(
    ("lacks", "given"),
    [
        ("no submitit", {"executor": "slurm"}),
        ("no slurm", {"executor": "slurm"}),
        ("no checkout", {"executor": "slurm"}),
        ("no checkout", {"executor": "script"}),
        ("no checkout", {"num_processes": "2"}),
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
    else:
        monkeypatch.setattr(cluster, "__file__", str(tmp_path / "site-packages" / "nertransfer" / "cluster.py"))
    config = build(StudyConfig, {"data": "planted", "device": "cpu", **given})
    run = studies.write_study_scripts if config.executor == "script" else studies.run_study
    study = opened(tmp_path, "planted")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=LACKING[lacks]):
        run(config, study)
    assert sorted(tmp_path.rglob("*")) == before
