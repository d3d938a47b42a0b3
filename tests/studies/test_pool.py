"""Workers: how seats are shared out, and what becomes of cells whose workers fail, die or find them taken."""

import errno
import os
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from nertransfer.core.errors import InputError
from nertransfer.studies.executors import local
from nertransfer.studies.executors.local import Seat, seats
from nertransfer.studies.runner import RAN, TAKEN, Outcome

ADDRESS = "http://me:s3cret-word@host:5000"


@dataclass(frozen=True)
class Start:
    name: str


@dataclass(frozen=True)
class Job:
    """What the pool needs to know of a cell, and what its worker shall do."""

    name: str
    start: Start = Start("base")
    does: str = "well"


def work(folder: Path, job: Job) -> Outcome:
    with (folder / f"{job.name}.tries").open("a") as tries:
        tries.write(f"{os.getpid()}\n")
    first = len((folder / f"{job.name}.tries").read_text().split()) == 1
    if job.does == "tells":
        print(ADDRESS)
        raise OSError(f"{ADDRESS} does not answer")
    if job.does == "fills the disk":
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, 1)
        os.dup2(full, 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights")
    if job.does == "fails" or (job.does == "fails once" and first):
        raise ValueError("out of luck")
    if job.does == "dies" or (job.does == "dies once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    print(f"{job.name} sees {os.environ.get('CUDA_VISIBLE_DEVICES')}")
    return Outcome(job.name, TAKEN if job.does == "is taken" else RAN)


def make(folder: Path) -> partial:
    return partial(work, folder)


def make_nothing() -> partial:
    raise ValueError("no device")


def run(folder: Path, jobs: list[Job], workers: int = 2) -> local.Results:
    return local.run(jobs, partial(make, folder), [Seat((), 1)] * workers, folder / "logs")


def tries(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.tries").read_text().split()


def test_every_cell_runs_once_in_the_workers_and_leaves_a_log(tmp_path: Path) -> None:
    jobs = [Job(f"c{n}") for n in range(6)]
    results = run(tmp_path, jobs)
    assert sorted(outcome.cell for outcome in results.ended) == [job.name for job in jobs]
    assert not results.failed and not results.taken
    pids = {pid for job in jobs for pid in tries(tmp_path, job.name)}
    assert len(pids) <= 2 and str(os.getpid()) not in pids
    assert "c3 sees" in (tmp_path / "logs" / "c3.log").read_text()


def test_a_cell_that_fails_is_tried_twice_and_the_others_go_on(tmp_path: Path) -> None:
    results = run(tmp_path, [Job("bad", does="fails"), Job("unlucky", does="fails once"), Job("good")])
    assert sorted(outcome.cell for outcome in results.ended) == ["good", "unlucky"]
    assert len(tries(tmp_path, "bad")) == 2 and len(tries(tmp_path, "unlucky")) == 2
    log = tmp_path / "logs" / "bad.log"
    assert results.failed == {"bad": f"ValueError: out of luck (log: {log})"}
    assert log.read_text().count("ValueError: out of luck") == 2


def test_what_a_worker_says_of_its_store_holds_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ADDRESS)
    results = run(tmp_path, [Job("bad", does="tells")], workers=1)
    log = tmp_path / "logs" / "bad.log"
    assert results.failed == {"bad": f"OSError: http://me:...@host:5000 does not answer (log: {log})"}
    text = log.read_text()
    assert text.count("http://me:...@host:5000") == 4 and "s3cret" not in text


def test_a_worker_that_dies_is_replaced_and_its_cell_tried_again(tmp_path: Path) -> None:
    results = run(tmp_path, [Job("deadly", does="dies"), Job("killed", does="dies once"), Job("good")], workers=1)
    assert sorted(outcome.cell for outcome in results.ended) == ["good", "killed"]
    assert results.failed["deadly"].startswith("its worker was killed by signal 9")
    assert len(set(tries(tmp_path, "deadly"))) == 2  # not the same process


def test_a_worker_that_cannot_begin_says_why_and_where(tmp_path: Path) -> None:
    results = local.run([Job("one")], make_nothing, [Seat((), 1)], tmp_path / "logs")
    log = tmp_path / "logs" / "one.log"
    assert results.failed == {"one": f"ValueError: no device (log: {log})"}
    assert log.read_text().count("ValueError: no device") == 2


def test_what_another_process_has_is_handed_back(tmp_path: Path) -> None:
    job = Job("theirs", does="is taken")
    results = run(tmp_path, [job, Job("ours")])
    assert results.taken == [job] and [outcome.cell for outcome in results.ended] == ["ours"]


def test_a_worker_keeps_to_its_start_while_there_are_cells_of_it(tmp_path: Path) -> None:
    jobs = [Job(f"{start}{n}", Start(start)) for n in range(3) for start in ("a", "b")]
    order = [outcome.cell for outcome in run(tmp_path, jobs, workers=1).ended]
    assert order == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_what_is_done_with_every_cell_that_ended_is_done_here(tmp_path: Path) -> None:
    ended: list[tuple[str, int]] = []
    jobs = [Job("one"), Job("two", does="is taken"), Job("three", does="fails")]
    local.run(
        jobs,
        partial(make, tmp_path),
        [Seat((), 1)],
        tmp_path / "logs",
        lambda job: ended.append((job.name, os.getpid())),
    )
    assert ended == [("one", os.getpid())]


@pytest.mark.parametrize(
    ("workers", "num_processes", "gpus", "threads", "expected"),
    [
        (0, 1, 0, 8, [Seat((), 8)]),
        (3, 1, 0, 8, [Seat((), 2)] * 3),
        (16, 1, 0, 8, [Seat((), 1)] * 16),
        (0, 1, 2, 8, [Seat((0,), 4), Seat((1,), 4)]),
        (3, 1, 2, 9, [Seat((0,), 3), Seat((1,), 3), Seat((0,), 3)]),
        (0, 2, 4, 8, [Seat((0, 1), 4), Seat((2, 3), 4)]),
        (0, 3, 4, 8, [Seat((0, 1, 2), 8)]),
        (2, 2, 0, 8, [Seat((), 4)] * 2),
    ],
)
def test_gpus_and_threads_are_shared_out(
    workers: int, num_processes: int, gpus: int, threads: int, expected: list[Seat]
) -> None:
    assert seats(workers, num_processes, gpus, threads) == expected


def test_a_cell_cannot_have_more_gpus_than_there_are() -> None:
    with pytest.raises(InputError, match="num_processes=4 is not allowed: there are 2 GPUs here"):
        seats(0, 4, 2, 8)


@pytest.mark.parametrize(("before", "expected"), [(None, "1,2"), ("4,5,7", "5,7")])
def test_a_worker_sees_its_gpus_of_those_that_the_parent_sees(
    monkeypatch: pytest.MonkeyPatch, before: str | None, expected: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    with local._visible((1, 2)):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == expected
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


def test_a_worker_on_a_full_disk_says_what_has_ended_it(tmp_path: Path) -> None:
    assert "OSError: weights: No space left on device" in run(tmp_path, [Job("a", does="fills the disk")]).failed["a"]
    (tmp_path / "logs").rename(tmp_path / "old logs")
    (tmp_path / "logs").touch()
    assert "FileExistsError: " in run(tmp_path, [Job("b")]).failed["b"]
