"""The data entry point as a user meets it: what it prints, writes and refuses."""

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from project_scripts import ROOT

ENTRY = ROOT / "entrypoints" / "data.py"
TEXT = "Aisha B-PER\nyana I-LOC\nLa\u200bgos O\n\nNdiyo O\n"


def describe(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs away from the checkout: the entry point must find the library by itself."""
    return subprocess.run([sys.executable, str(ENTRY), *arguments], cwd=cwd, capture_output=True, text=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in ("train", "dev", "test"):
        path = tmp_path / "mine" / "swa" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((TEXT if split != "dev" else "a B-DATE\n\n" + TEXT).encode())
    return tmp_path


def test_prints_a_table_with_findings_and_writes_all_rows(data: Path) -> None:
    done = describe(data, "--data", "mine")
    assert done.returncode == 0, done.stderr
    table, findings, written = done.stdout.strip().split("\n\n")
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == [
        "language", "split", "sentences", "words", "entities", "DATE", "LOC", "PER",
        "stray", "odd", "in", "train", "digest",
    ]  # fmt: skip
    assert rows[1] == ["swa", "train", "2", "4", "2", "0", "1", "1", "1", "1", "-", digest[:12]]
    assert rows[2][:11] == ["swa", "dev", "3", "5", "3", "1", "1", "1", "1", "1", "2"]
    assert len({line.index(digest[:12]) for line in table.splitlines() if digest[:12] in line}) == 1  # aligned
    assert f"  {Path('mine', 'swa', 'dev.txt')}:4 (1 in all)" in findings  # the stray tag
    assert f"  {Path('mine', 'swa', 'train.txt')}:3 (1 in all)" in findings  # the zero-width space
    assert "swa: dev has DATE, which train lacks" in findings
    assert "swa: 2 of 3 sentences of dev stand in train" in findings
    assert "swa: 2 of 2 sentences of test stand in train" in findings
    path = data / "reports" / "mine" / "data.csv"
    assert written == f"Written: {path}"
    with path.open(encoding="utf-8", newline="") as file:
        saved = list(csv.DictReader(file))
    assert [(r["language"], r["split"], r["words"]) for r in saved] == [
        ("swa", "train", "4"), ("swa", "dev", "5"), ("swa", "test", "4")
    ]  # fmt: skip
    assert saved[0]["digest"] == digest and saved[0]["in_train"] == "" and saved[1]["in_train"] == "2"
    assert saved[1]["unseen_categories"] == "DATE"


def test_nothing_odd_says_none(tmp_path: Path) -> None:
    (tmp_path / "swa").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "swa" / f"{split}.txt").write_text(f"{split} B-PER\n")
    assert "Findings: none" in describe(tmp_path, "--data", str(tmp_path), "--output", "out").stdout


def test_a_split_without_entities_is_told(data: Path) -> None:
    (data / "mine" / "swa" / "test.txt").write_text("new O\n")
    assert "swa: test has no entity; F1 on it is not defined" in describe(data, "--data", "mine").stdout


def test_bad_data_ends_with_one_message_and_writes_nothing(data: Path) -> None:
    (data / "mine" / "swa" / "test.txt").write_text("a O\nb\n")
    done = describe(data, "--data", "mine")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {Path('mine', 'swa', 'test.txt')}:2: no tag column")
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert not (data / "reports").exists()


def test_an_output_that_cannot_be_written_is_bad_input(data: Path) -> None:
    (data / "file").write_text("")
    done = describe(data, "--data", "mine", "--output", "file")
    assert done.returncode == 2 and f"error: output: the folder {data}/file/mine cannot be made" in done.stderr
    (data / "out" / "mine" / "data.csv").mkdir(parents=True)
    done = describe(data, "--data", "mine", "--output", "out")
    assert done.returncode == 2
    assert f"error: output: {data}/out/mine/data.csv cannot be written: Is a directory" in done.stderr


def test_help_shows_the_commands(tmp_path: Path) -> None:
    done = describe(tmp_path, "--help")
    assert done.returncode == 0
    assert "python entrypoints/data.py --data" in done.stdout and "mlflow run . -e data" in done.stdout


def test_real_corpora(shared_data: Path, tmp_path: Path) -> None:
    done = describe(tmp_path, "--data", str(shared_data / "masakhaner"), "--languages", "luo,pcm", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:4] for line in done.stdout.splitlines()[1:3]] == [
        ["luo", "train", "644", "18,577"], ["luo", "dev", "92", "2,567"]
    ]  # fmt: skip
    assert "train.txt:11043 (5 in all, also lines 39578, 44393, 44495, 52207)" in done.stdout
    assert (tmp_path / "out" / "masakhaner" / "data.csv").exists()
