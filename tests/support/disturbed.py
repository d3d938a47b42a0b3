"""A small study in processes of its own, to be killed and left without a server, and what must come of it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from folder_store import make_store
from project_scripts import ROOT
from tiny import save_tiny_corpora, save_tiny_start

from nertransfer.core import schema
from nertransfer.tracking.claims import Owner
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import (
    Study,
    all_logged_models,
    all_runs,
    all_versions,
    client,
    exists,
    find_study,
    open_study,
)

SOURCES = ("qka", "qke", "qsa")
STUDY = f"""\
study: killed
data: data
starts: [tiny=tiny]
sources: [{", ".join(SOURCES)}]
targets: [qka, qsa]
seeds: [0, 1]
workers: 2
recipe: {{epochs: 4, batch_size: 8, max_length: 32, learning_rate: 5e-3, warmup_ratio: 0.0}}
checkpoint_minutes: 0
device: cpu
"""


def make_folder(folder: Path) -> Path:
    """A folder with a study file, a start and corpora."""
    save_tiny_start(folder / "tiny")
    save_tiny_corpora(folder / "data", SOURCES, 120)
    for path in (folder / "data").glob("*/*.txt"):  # corpora that are the same would be the same cells
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{path.parent.name} O\ndo O\n\n")
    (folder / "study.yaml").write_text(STUDY)
    make_store(folder)
    return folder


def begin(folder: Path, python: str, store: str = "") -> subprocess.Popen[str]:
    """Start the study in a process of its own; what it says is added to ``said.txt``."""
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": store or f"sqlite:///{folder}/mlflow.db",
        "OMP_NUM_THREADS": "2",  # one for each of two workers
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [python, str(ROOT / "entrypoints" / "study.py"), "--study_file", "study.yaml"]
    with (folder / "said.txt").open("a") as said:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said, text=True)


def finish(running: subprocess.Popen[str], folder: Path, timeout: float = 300) -> None:
    status = running.wait(timeout)
    assert status == 0, (folder / "said.txt").read_text()[-4000:]


def opened(folder: Path, store: str = "") -> Study:
    return open_study(client(store or f"sqlite:///{folder}/mlflow.db"), "killed")


def results_of(folder: Path) -> bytes:
    return (folder / "reports" / "killed" / "results.csv").read_bytes()


def registry_of(study: Study) -> dict[str, object]:
    """Everything the registry says that is not an id, a time or the memory used."""
    found: dict[str, object] = {}
    for source in SOURCES:
        name = schema.model_name(source)
        versions = all_versions(study.client, name)
        found[name] = sorted(
            (int(v.version), tuple(sorted(v.tags.items())), v.description.partition("## Resources")[0])
            for v in versions
        )
        found[f"{name} aliases"] = {k: int(v) for k, v in study.client.get_registered_model(name).aliases.items()}
    return found


def check_whole(study: Study, folder: Path) -> None:
    """Every cell once, nothing left running, weights of the best seeds alone."""
    runs = cell_runs(study, "FINISHED")
    names = [run.info.run_name for run in runs]
    assert sorted(names) == sorted(f"tiny-{source}-s{seed}" for source in SOURCES for seed in (0, 1))
    left = [run.info.status for run in all_runs(study.client, study.experiment_id)]
    assert not {"RUNNING", "SCHEDULED"} & set(left)
    models = [model.source_run_id for model in all_logged_models(study)]
    assert set(models) >= {run.info.run_id for run in runs} and len(set(models)) == len(models)
    curves = {run.info.run_name: study.client.get_metric_history(run.info.run_id, schema.SPEED) for run in runs}
    assert all([metric.step for metric in curve] == [1, 2, 3, 4] for curve in curves.values())
    weights = [path for part in ("mlruns", "mlartifacts", "work") for path in (folder / part).rglob("*.safetensors")]
    assert len(weights) == len(SOURCES), weights


def workers_of(folder: Path, store: str = "") -> list[int]:
    """Numbers of the processes that work on a cell, by what the cells' runs say."""
    store, me = store or f"sqlite:///{folder}/mlflow.db", Owner.this_process()
    study = find_study(client(store), "killed") if exists(store) else None
    if study is None:
        return []
    owners = [owner for run in cell_runs(study, "RUNNING") if (owner := Owner.of_run(run)) is not None]
    return [owner.pid for owner in owners if owner.is_alive({}, me)]


def wait_until(condition: Callable[[], object], timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


class Server:
    """An MLflow server with a database and proxied artifacts, which can be stopped and started again."""

    def __init__(self, folder: Path, python: str, database: str = "") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.python, self.uri = folder, python, f"http://127.0.0.1:{self.port}"
        self.database = database or f"sqlite:///{folder}/server.db"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--workers",
            "1",
            "--backend-store-uri",
            self.database,
            "--artifacts-destination",
            str(self.folder / "mlartifacts"),
        ]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.txt").open("a") as said:
            self.process = subprocess.Popen(
                [self.python, "-m", "mlflow", *command], env=environment, stdout=said, stderr=said,
                process_group=0, cwd=self.folder,
            )  # fmt: skip
        wait_until(self.answers)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
