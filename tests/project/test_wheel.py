"""The wheel: built without a warning, installed where nothing else of the project is, and used by its command."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from project_scripts import ROOT
from tiny import save_tiny_corpora, save_tiny_start

SOURCES = ("nertransfer", "analysis", "entrypoints", "studies", "MLproject", "conda.yaml", "constraints.txt",
           "setup.py", "pyproject.toml", "README.md", "LICENSE")  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the checkout, with the setuptools of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    leave_out = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "source" / name, ignore=leave_out)
        else:
            shutil.copy(ROOT / name, folder / "source" / name)
    build = [sys.executable, "-W", "error", "-c", "from setuptools import build_meta; build_meta.build_wheel('..')"]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # else it warns that it compiles nothing
    done = subprocess.run(build, cwd=folder / "source", env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "warning" not in done.stderr.lower(), done.stderr[-3000:]
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has the wheel, and this one's libraries without its project."""
    folder = tmp_path_factory.mktemp("environment")
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--python", str(python), str(wheel)], check=True)
    (site,) = (folder / "venv" / "lib").glob("*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin"


def call(program: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW_"))}
    return subprocess.run([program, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_it_claims_one_name_only(installed: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util as u, nertransfer; print(nertransfer.__path__[0]); "
        "print(*[u.find_spec(n) for n in ('analysis', 'entrypoints', 'tests')])"
    )
    done = call(installed / "python", tmp_path, "-c", code)
    where, others = done.stdout.splitlines()
    assert where.startswith(str(installed.parent)) and others == "None None None"


def test_the_command_lists_and_runs_the_entry_points(installed: Path, tmp_path: Path) -> None:
    said = call(installed / "nertransfer", tmp_path).stdout
    for script in (ROOT / "entrypoints").glob("*.py"):
        assert f"  {script.stem} " in said
    wrong = call(installed / "nertransfer", tmp_path, "studdy")
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: there is no entry point 'studdy'")
    assert wrong.stderr.count("\n") == 1 and "study" in wrong.stderr
    help_text = call(installed / "python", tmp_path, "-m", "nertransfer", "import-results", "--help").stdout
    assert "--results VALUE" in help_text


def test_the_shipped_prior_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    done = call(installed / "nertransfer", tmp_path, "rank", "zul", "--prior", "published")
    assert done.returncode == 0, done.stderr
    assert "Sources for zul from base, by the prior published alone:" in done.stdout
    assert (tmp_path / "reports" / "prior-published" / "recommended" / "zul-base.csv").is_file()


def test_a_study_runs_from_the_wheel_and_is_reported(installed: Path, tmp_path: Path) -> None:
    save_tiny_start(tmp_path / "tiny")
    save_tiny_corpora(tmp_path / "data")
    given = ("--data", "data", "--starts", "tiny=tiny", "--sources", "aaa", "--seeds", "0", "--epochs", "1",
             "--max_length", "32", "--device", "cpu")  # fmt: skip
    described = call(installed / "nertransfer", tmp_path, "data", "data")
    assert described.returncode == 0, described.stderr
    done = call(installed / "nertransfer", tmp_path, "study", *given)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "reports" / "data" / "index.html").is_file()
    assert f"(start it with: {installed / 'nertransfer'} ui --tracking_uri" in done.stdout
    assert str(ROOT) not in done.stdout + done.stderr


def test_what_an_extra_lacks_is_installed_by_the_packages_name(installed: Path, tmp_path: Path) -> None:
    done = call(
        installed / "python", tmp_path, "-c", "from nertransfer.core import files; print(files.installing('onnx'))"
    )
    assert done.stdout == "pip install 'nertransfer[onnx]'\n"
