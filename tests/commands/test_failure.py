"""What a command says when something fails that is no bad input."""

import errno
import os
import re
import sys
import tempfile
from pathlib import Path

import pytest
from analysis_store import log_cell
from entry_points import start
from folder_store import opened

from nertransfer.commands import run
from nertransfer.core.config import DataConfig
from nertransfer.core.errors import in_one_line
from nertransfer.tracking import secrets

ADDRESS = "postgresql://me:s3cret-w0rd@host/db"
LINE = "error: data planted failed: RuntimeError: cannot read postgresql://me:...@host/db"


def main(_config: DataConfig) -> None:
    try:
        Path("nosuch/file").read_bytes()
    except OSError as error:
        raise RuntimeError(f"cannot read {ADDRESS}\n[SQL: of many lines]") from error


def failing(work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    secrets.note([ADDRESS])
    monkeypatch.setattr(sys, "argv", ["entrypoints/data.py"])
    with pytest.raises(SystemExit) as end:
        run.run(DataConfig, main, "", ["data=planted", f"work_dir={work}"])
    assert end.value.code == 1
    return capsys.readouterr().err


def test_a_failure_is_one_line_and_a_file_with_the_stack_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for folder in (tmp_path, tmp_path / "work" / "logs"):  # the second one is there when a study has run
        said = failing(tmp_path / "work", monkeypatch, capsys)
        assert said.startswith(f"{LINE} (stack trace: ") and said.endswith(")\n") and said.count("\n") == 1, said
        log = Path(re.findall(r"trace: (.+)\)", said)[0])
        assert log.parent == folder and log.stat().st_mode & 0o077 == 0
        trace = log.read_text()
        assert "FileNotFoundError" in trace and "[SQL: of many lines]" in trace and "s3cret" not in trace
        (tmp_path / "work" / "logs").mkdir(parents=True, exist_ok=True)


def test_a_stack_trace_that_cannot_be_kept_follows_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    first, *others = failing(tmp_path, monkeypatch, capsys).splitlines()
    assert first == LINE
    assert "FileNotFoundError: [Errno 2] No such file or directory: 'nosuch/file'" in others
    assert not any("s3cret" in line for line in others)


def test_a_damaged_database_is_named_behind_what_seems_to_be_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = opened(tmp_path, "mine")
    log_cell(study.client, study.experiment_id, ("base", "aaa", 0), ["aaa"])
    database = tmp_path / "mlflow.db"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    whole = database.read_bytes()
    for number, damage in enumerate((whole[: len(whole) // 3], whole[:8192] + bytes(len(whole) - 8192))):
        copy = tmp_path / f"{number}.db"
        copy.write_bytes(damage)
        assert start("analyse", f"tracking_uri=sqlite:///{copy}") != 0
        said = capsys.readouterr().err
        assert (said.count("\n") == 1 and "damaged" in said) or "malformed" in said, said


def test_of_a_copy_that_failed_both_files_are_named(tmp_path: Path) -> None:
    """The disk of the second one is full."""
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "made.csv", None, "/full/made.csv")
    assert in_one_line(error) == "OSError: made.csv -> /full/made.csv: No space left on device"
    assert in_one_line(OSError(errno.ENOSPC, "full", "made.csv")) == "OSError: made.csv: full"
    assert in_one_line(OSError(errno.ENOSPC, "full")) == "OSError: full"
