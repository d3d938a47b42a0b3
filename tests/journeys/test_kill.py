"""Studies that are killed, doubled or left without a server end as if nothing had happened."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from folder_store import make_store
from project_scripts import ROOT
from tiny import save_tiny_corpora, save_tiny_start

from nertransfer.core import schema
from nertransfer.tracking.claims import Owner
from nertransfer.tracking.patience import PAUSE_SECONDS
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import Study, all_runs, all_versions, client, exists, find_study, open_study

SOURCES = ("qka", "qke", "qsa", "qse")
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
VICTIMS = ("parent",) * 4 + ("worker",) * 6
"""Who is killed, in an order that chance decides; the parent where there is no worker."""


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
    curves = {run.info.run_name: study.client.get_metric_history(run.info.run_id, schema.SPEED) for run in runs}
    assert all([metric.step for metric in curve] == [1, 2, 3, 4] for curve in curves.values())
    weights = [path for part in ("mlruns", "mlartifacts", "work") for path in (folder / part).rglob("*.safetensors")]
    assert len(weights) == len(SOURCES), weights


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, python: str) -> Path:
    folder = make_folder(tmp_path_factory.mktemp("undisturbed"))
    finish(begin(folder, python), folder)
    check_whole(opened(folder), folder)
    return folder


@pytest.fixture
def folder(undisturbed: Path, tmp_path: Path) -> Path:
    return make_folder(tmp_path)


def workers_of(folder: Path) -> list[int]:
    """Numbers of the processes that work on a cell, by what the cells' runs say."""
    store, me = f"sqlite:///{folder}/mlflow.db", Owner.this_process()
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


def kill_at_random(folder: Path, python: str, chance: random.Random) -> Sequence[str]:
    """Run the study until it is done, killing the parent or a worker at random moments; says who was killed."""
    planned, victims = chance.sample(VICTIMS, len(VICTIMS)), list[str]()
    running = begin(folder, python)
    early = False
    while len(victims) < len(planned):
        if not early:  # mostly once cells are worked on, or all kills would hit what comes before
            wait_until(lambda: workers_of(folder) or running.poll() is not None)  # noqa: B023
        try:
            running.wait(chance.uniform(0, 1.5))
            running, early = begin(folder, python), True  # all is done: left to hit is how that is found
            continue
        except subprocess.TimeoutExpired:
            pass
        workers = workers_of(folder)
        victim = planned[len(victims)] if workers else "parent"
        victims.append(victim)
        if victim == "worker":
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(chance.choice(workers), signal.SIGKILL)
        else:
            running.kill()
            running.wait()
            running, early = begin(folder, python), chance.random() < 0.25
    while (status := running.wait(300)) == 1:  # a cell whose workers died twice is listed as failed
        running = begin(folder, python)
    assert status == 0, (folder / "said.txt").read_text()[-4000:]
    return victims


def test_kills_at_random_moments_change_nothing(undisturbed: Path, folder: Path, python: str) -> None:
    assert set(kill_at_random(folder, python, random.Random(0))) == {"parent", "worker"}
    study = opened(folder)
    check_whole(study, folder)
    assert results_of(folder) == results_of(undisturbed)
    assert registry_of(study) == registry_of(opened(undisturbed))
    resumed = [run for run in cell_runs(study, "FINISHED") if int(run.data.tags[schema.ATTEMPTS]) > 1]
    assert resumed, "no kill has hit a cell"


def test_two_parents_on_one_store_run_every_cell_once(undisturbed: Path, folder: Path, python: str) -> None:
    both = [begin(folder, python), begin(folder, python)]
    for running in both:
        finish(running, folder)
    study = opened(folder)
    check_whole(study, folder)
    assert all(run.data.tags[schema.ATTEMPTS] == "1" for run in cell_runs(study, "FINISHED"))
    assert len({run.data.tags[schema.OWNER] for run in cell_runs(study, "FINISHED")}) > 2  # both had a share
    assert cell_runs(study, "KILLED") == cell_runs(study, "FAILED") == []
    assert results_of(folder) == results_of(undisturbed)
    assert registry_of(study) == registry_of(opened(undisturbed))


class Server:
    """An MLflow server with a database and proxied artifacts, which can be stopped and started again."""

    def __init__(self, folder: Path, python: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.python, self.uri = folder, python, f"http://127.0.0.1:{self.port}"
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
            f"sqlite:///{self.folder}/server.db",
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


@pytest.fixture
def server(folder: Path, python: str) -> Iterator[Server]:
    made = Server(folder, python)
    made.start()
    yield made
    made.stop()


def test_a_server_that_goes_away_costs_waiting_only(
    undisturbed: Path, folder: Path, python: str, server: Server
) -> None:
    running = begin(folder, python, server.uri)
    wait_until(lambda: " tiny-" in (folder / "said.txt").read_text())  # the first cell has ended
    server.stop()

    def logs() -> str:
        return "".join(path.read_text() for path in (folder / "work" / "logs" / "killed").glob("*.log"))

    wait_until(lambda: "the tracking server does not answer; waiting" in logs())
    with pytest.raises(subprocess.TimeoutExpired):  # the study waits
        running.wait(2.5 * PAUSE_SECONDS)
    server.start()
    finish(running, folder)
    assert "answers again" in logs()
    study = opened(folder, server.uri)
    check_whole(study, folder)
    assert results_of(folder) == results_of(undisturbed)
    assert registry_of(study) == registry_of(opened(undisturbed))
