"""Studies that are killed, doubled or left without a server end as if nothing had happened."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import postgres
import pytest
from disturbed import (
    SOURCES,
    Server,
    begin,
    check_whole,
    finish,
    make_folder,
    opened,
    registry_of,
    results_of,
    wait_until,
    workers_of,
)
from faulty_proxy import FAULTS, FaultyProxy
from postgres import Postgres

from nertransfer.core import schema
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import all_runs

VICTIMS = ("parent",) * 4 + ("worker",) * 6
"""Who is killed, in an order that chance decides; the parent where there is no worker."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, python: str) -> Path:
    folder = make_folder(tmp_path_factory.mktemp("undisturbed"))
    finish(begin(folder, python), folder)
    check_whole(opened(folder), folder)
    return folder


@pytest.fixture
def folder(undisturbed: Path, tmp_path: Path) -> Path:
    return make_folder(tmp_path)


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


@pytest.fixture
def database() -> Iterator[Postgres | None]:
    """PostgreSQL; nothing where it is not installed, but in CI that is an error."""
    folder = postgres.programs()
    if folder is None:
        assert os.environ.get("CI") != "true", "PostgreSQL is not installed: Debian's package postgresql"
        yield None
        return
    made = Postgres(folder)
    made.start()
    yield made
    made.remove()


@pytest.fixture
def server(folder: Path, python: str, database: Postgres | None) -> Iterator[Server]:
    made = Server(folder, python, database.uri if database else "")
    made.start()
    yield made
    made.stop()


CREATES = ("experiments/create", "runs/create", "logged-models", "registered-models/create", "model-versions/create",
           "runs/log-inputs", "runs/outputs", "mlflow-artifacts/")  # fmt: skip


def test_a_server_that_goes_away_behind_a_proxy_that_loses_answers_costs_waiting_only(
    undisturbed: Path, folder: Path, python: str, server: Server, database: Postgres | None
) -> None:
    with FaultyProxy(server.uri) as proxy:
        study_through(proxy, undisturbed, folder, python, server, database)
    for create in CREATES:
        assert {fault for fault, kind in proxy.done if f"/{create}" in kind} >= {"lose", "double"}, create
    assert {fault for fault, _ in proxy.done} == set(FAULTS)


def study_through(
    proxy: FaultyProxy, undisturbed: Path, folder: Path, python: str, server: Server, database: Postgres | None
) -> None:
    running = begin(folder, python, proxy.address)
    wait_until(lambda: " tiny-" in (folder / "said.txt").read_text())  # the first cell has ended
    server.stop()

    def logs() -> str:
        return "".join(path.read_text() for path in (folder / "work" / "logs" / "killed").glob("*.log"))

    wait_until(lambda: "the tracking server does not answer; waiting" in logs())
    with pytest.raises(subprocess.TimeoutExpired):  # the study waits
        running.wait(5)
    if database:
        database.stop()
        database.start()
    server.start()
    finish(running, folder)
    assert "answers again" in logs()
    study = opened(folder, server.uri)
    check_whole(study, folder)
    kinds = [run.data.tags[schema.KIND] for run in all_runs(study.client, study.experiment_id)]
    assert sorted(kinds) == ["analysis", *["cell"] * 2 * len(SOURCES), "claims", "study"]
    assert results_of(folder) == results_of(undisturbed)
    assert registry_of(study) == registry_of(opened(undisturbed))
