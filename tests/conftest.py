"""Fixtures for all tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: more threads only get in each other's way
os.environ["MATPLOTLIBRC"] = os.path.dirname(__file__)

import gc
import shutil
import sys
from collections.abc import Iterator
from multiprocessing import forkserver, spawn
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from absent import absent
from warm import BASE, LIBRARIES, PROJECT, Warm

from nertransfer.studies.executors.local import PRELOADED

if TYPE_CHECKING:
    from nertransfer.tracking.store import Study  # imports MLflow, which few tests need

ROOT = Path(__file__).resolve().parents[1]
LONGEST = (
    "test_slurm.py", "test_documented_commands.py", "test_main_job.py", "test_study.py", "test_kill.py",
    "test_importing.py", "test_published_grid.py", "test_benchmarks.py", "test_export.py", "test_beyond_one_source.py",
)  # fmt: skip
"""Few tests that take minutes: they begin first, so that no process has one left when the other has nothing."""


def pytest_configure(config: pytest.Config) -> None:
    """The process that has others run tests starts a Python for them that has imported libraries."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        base = Warm(LIBRARIES, os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}, workers=False)
        base.start()
        os.environ[BASE] = str(base.bin / "python")
        config.add_cleanup(base.stop)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))  # stable: the rest keeps its order


def pytest_sessionstart() -> None:
    """Multiprocessing's server for forks starts but once: it imports for workers and for figures, whoever comes first.

    Else every worker of a study imports for ten seconds where a report was written before.
    """
    if python := os.environ.get(BASE):
        spawn.set_executable(python)
    preloaded = [*PRELOADED, "analysis.report.plots", "analysis.report.html.error_pages", "foreknown"]
    forkserver.set_forkserver_preload(preloaded)
    forkserver.set_forkserver_preload = lambda _modules: None


def pytest_collection_finish() -> None:
    """Looking for garbage need not look at half a million objects of libraries."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _global_addresses_of_mlflow() -> Iterator[None]:
    """A test that sets them, or the variables that MLflow sets with them, does not decide where the next one looks."""
    before = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    yield
    if (mlflow := sys.modules.get("mlflow")) is not None:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(autouse=True)
def _no_looking_for_garbage() -> None:
    """Accelerate has it looked for twice a cell, and that takes longer than the cell."""
    if (memory := sys.modules.get("accelerate.utils.memory")) is not None:
        memory.gc = SimpleNamespace(collect=lambda: 0)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _no_memory_of_the_hub() -> Iterator[None]:
    """A process looks a start of the hub up once; each test has a hub of its own."""
    yield
    if (files := sys.modules.get("nertransfer.encoders.start_files")) is not None:
        files._commit.cache_clear()
        files._files.cache_clear()


@pytest.fixture
def here(finished: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> "Study":
    """The study of a module whose ``finished`` is the folder of one, opened in there, to be read only."""
    from folder_store import opened

    monkeypatch.chdir(finished)
    return opened(finished, request.module.SETTINGS["study"])


@pytest.fixture
def fresh(finished: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> "Study":
    """An empty study beside the start and data of the finished one."""
    from folder_store import opened

    for name in ("tiny", "data"):
        shutil.copytree(finished / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return opened(tmp_path, request.module.SETTINGS["study"])


@pytest.fixture(scope="session")
def python() -> Iterator[str]:
    """A Python that is warm."""
    with Warm(PROJECT, os.environ | {"PYTHONPATH": str(ROOT)}) as warm:
        yield str(warm.bin / "python")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real corpora: $NERTRANSFER_DATA, else ``../shared/data``; relative to the checkout.

    Skips where it is absent, and fails in CI (CI=true), which must not skip.
    """
    folder = ROOT / (os.environ.get("NERTRANSFER_DATA") or "../shared/data")
    if not (folder / "masakhaner").is_dir():
        reason = f"real corpora are absent: {folder}/masakhaner does not exist; set NERTRANSFER_DATA"
        absent(reason)
    return folder
