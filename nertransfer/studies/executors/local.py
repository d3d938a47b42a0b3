"""Workers on this machine: one process each, with its own GPU or its share of the processor's threads.

The parent hands out one cell at a time and learns what became of it; who works on which cell is
settled in the tracking store (`nertransfer.tracking.claims`), so several parents may work on one study. A
worker whose parent dies stops by itself.
"""

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

from nertransfer.core import processes
from nertransfer.core.console import Display
from nertransfer.core.errors import InputError, in_one_line

logger = logging.getLogger("nertransfer")

PRELOADED = ["nertransfer.studies.study", "mlflow.store.tracking.sqlalchemy_store"]
"""Imported once by the process that workers are forked from."""
ATTEMPTS = 2
_DEVICES = "CUDA_VISIBLE_DEVICES"
STOP_SECONDS = 30.0
"""A worker that was asked to stop has so long to mark its run and give its claim back."""


def prepare() -> None:
    """Start importing for the workers now, beside whatever the parent does first. Costs nothing to call twice."""
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # looking for GPUs must not start CUDA there
    processes.start_importing(PRELOADED)


@dataclass(frozen=True)
class Seat:
    """What a worker computes with: numbers of its GPUs, and threads of the processor."""

    gpus: tuple[int, ...]
    threads: int


def seats(workers: int, num_processes: int, gpus: int, threads: int) -> list[Seat]:
    """Share GPUs and threads out. ``workers`` 0: one for every ``num_processes`` GPUs, one without a GPU.

    More workers than GPUs share them in turn. Raises InputError where a cell would need more GPUs than there are.
    """
    if 0 < gpus < num_processes:
        raise InputError(f"num_processes={num_processes} is not allowed: there are {gpus} GPUs here", "num_processes")
    groups = max(1, gpus // num_processes)
    count = workers or groups
    return [
        Seat(
            tuple(range(n % groups * num_processes, (n % groups + 1) * num_processes)) if gpus else (),
            max(1, threads // count),
        )
        for n in range(count)
    ]


@dataclass
class Results:
    """By name of the cell: outcomes of those that ended, errors of those that failed twice, cells others have."""

    ended: list[Any]
    failed: dict[str, str]
    taken: list[Any]


class _Worker:
    def __init__(self, number: int, seat: Seat, make: Callable[[], Callable], logs: Path) -> None:
        context = multiprocessing.get_context("spawn" if seat.gpus else processes.start_method())
        self.connection, theirs = context.Pipe()
        self.number = number
        with _visible(seat.gpus), processes.deaf_to(signal.SIGINT):
            arguments = theirs, make, seat, logs, number, dict(os.environ)
            # every context has processes: only the class that mypy takes it for has none
            self.process = context.Process(  # type: ignore[attr-defined]
                target=_serve, args=arguments, name=f"worker-{number}", daemon=True
            )
            processes.begin(self.process)
        theirs.close()
        self.cell: Any = None
        self.last_start = ""

    def give(self, cell: Any) -> None:
        self.cell, self.last_start = cell, cell.start.name
        with suppress(OSError):  # a dead one is noticed where all are listened to
            self.connection.send(cell)


def run(
    cells: Sequence[Any],
    make: Callable[[], Callable[[Any], Any]],
    places: Sequence[Seat],
    logs: Path,
    on_ended: Callable[[Any], None] = lambda cell: None,
) -> Results:
    """Have every cell run; returns when all have ended, failed twice or turned out to be somebody else's.

    ``make`` is called once in every worker (so it must be picklable) and gives the function that runs a
    cell and returns its outcome; ``on_ended`` is called here with every cell that ended. An interrupt
    stops the workers first.
    """
    prepare()
    queue = deque(cells)
    attempts: dict[str, int] = {}
    results = Results([], {}, [])
    workers: dict[int, _Worker] = {}
    places = places[: max(1, len(cells))]
    with Display(len(cells), len(places)) as display:
        try:
            while queue or any(worker.cell is not None for worker in workers.values()):
                for number, seat in enumerate(places):
                    idle = number not in workers or workers[number].cell is None
                    if queue and idle:
                        if number not in workers:
                            workers[number] = _Worker(number, seat, make, logs)
                        workers[number].give(_next(queue, workers[number].last_start))
                for worker in _ready(workers):
                    message = _receive(worker)
                    if message[0] == "progress":
                        display.progress(worker.number, *message[1:])
                    if message[0] in ("progress", "nothing"):
                        continue
                    cell, worker.cell = worker.cell, None
                    if message[0] in ("gone", "failed"):
                        worker.process.join(STOP_SECONDS)
                        worker.connection.close()
                        del workers[worker.number]
                    if cell is None:
                        continue
                    if message[0] == "outcome":
                        _note(message[1], cell, results, display, worker.number)
                        if queue:
                            worker.give(_next(queue, worker.last_start))
                        if message[1].state != "taken":
                            on_ended(cell)
                        continue
                    display.idle(worker.number)
                    attempts[cell.name] = attempts.get(cell.name, 0) + 1
                    log = log_file(logs, cell.name)
                    if attempts[cell.name] < ATTEMPTS:
                        logger.warning("%s failed, tried once more: %s (log: %s)", cell.name, message[1], log)
                        queue.append(cell)
                    else:
                        results.failed[cell.name] = f"{message[1]} (log: {log})"
                        display.ended(f"{cell.name} failed: {message[1]}", ran=False)
        finally:
            _stop(workers.values())
    return results


def log_file(logs: Path, cell: str) -> Path:
    """Where a cell's worker writes what it has to say."""
    return logs / f"{cell}.log"


def _note(outcome: Any, cell: Any, results: Results, display: Display, worker: int) -> None:
    if outcome.state == "taken":
        results.taken.append(cell)
        display.ended(f"{cell.name}: another process works on it", worker, ran=False)
    else:
        results.ended.append(outcome)
        display.ended(outcome.summary or f"{cell.name}: {outcome.state}", worker, ran=outcome.state == "ran")


def _next(queue: deque, last_start: str) -> Any:
    """The next cell, of the start the worker has had last if there is one."""
    for position, cell in enumerate(queue):
        if cell.start.name == last_start:
            del queue[position]
            return cell
    return queue.popleft()


def _ready(workers: Mapping[int, _Worker]) -> list[_Worker]:
    by_handle: dict[Connection | int, _Worker] = {worker.connection: worker for worker in workers.values()}
    by_handle |= {worker.process.sentinel: worker for worker in workers.values()}
    ready = cast(list[Connection | int], wait(list(by_handle), timeout=1.0))  # some of those it is given
    return list(dict.fromkeys(by_handle[handle] for handle in ready))


def _receive(worker: _Worker) -> tuple:
    """The worker's next message, or ("gone", why) when it is dead and has nothing more to say."""
    try:
        if worker.connection.poll():
            return worker.connection.recv()
    except (EOFError, OSError):
        pass
    else:
        if worker.process.is_alive():
            return ("nothing",)
    worker.process.join(STOP_SECONDS)
    code = worker.process.exitcode
    why = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
    return ("gone", f"its worker {why}")


@contextmanager
def _visible(gpus: Sequence[int]) -> Iterator[None]:
    """What is started meanwhile sees these GPUs alone, of those that this process sees: set before CUDA looks."""
    before = os.environ.get(_DEVICES)
    if gpus:
        seen = [name.strip() for name in before.split(",")] if before else []
        os.environ[_DEVICES] = ",".join(seen[n] if seen else str(n) for n in gpus)
    try:
        yield
    finally:
        if gpus:
            os.environ.pop(_DEVICES)
            os.environ |= {_DEVICES: before} if before is not None else {}


def _stop(workers: Any) -> None:
    for worker in workers:
        if worker.cell is not None and worker.process.is_alive():
            worker.process.terminate()
        worker.connection.close()
    for worker in workers:
        worker.process.join(STOP_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


# --- in the worker --------------------------------------------------------------------------------


def _serve(
    connection: Connection, make: Callable[[], Callable], seat: Seat, logs: Path, number: int, environment: dict
) -> None:
    """A worker's life: make what runs cells, then run what comes until the parent hangs up."""
    from nertransfer.core import console, processes
    from nertransfer.tracking import secrets

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, processes.handle_interrupt_once)
    os.environ.clear()
    os.environ.update(environment)
    os.environ.pop("MLFLOW_RUN_ID", None)  # the parent's
    secrets.guard("stdout", "stderr")
    console.prepare("%(asctime)s %(message)s", anew=True)
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    lock = threading.Lock()

    def say(*message: Any) -> None:
        try:
            with lock:
                connection.send(message)
        except OSError:  # the parent is gone
            raise KeyboardInterrupt from None

    console.tell(lambda title, done, of: say("progress", title, done, of))
    work = None
    try:
        while True:
            cell = connection.recv()
            try:
                logs.mkdir(parents=True, exist_ok=True)
                _write_to(log_file(logs, cell.name))
                if work is None:  # not before: what goes wrong then is told with a cell, and stands in its log
                    import torch

                    torch.set_num_threads(seat.threads)
                    work = make()
                    gc.freeze()  # half a million objects of libraries that no later collection need look at
                say("outcome", work(cell))
            except Exception as error:
                say("failed", secrets.hide(in_one_line(error)))
                with suppress(OSError):  # the log may be on the full disk that was the reason
                    traceback.print_exc()
                return  # what broke one cell may have broken the process: the next one gets a fresh worker
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _write_to(path: Path) -> None:
    """From now on everything this process prints, libraries in C included, goes to the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)  # as a polite end: the run is marked, the claim given back
    threading.Event().wait(STOP_SECONDS)
    os._exit(1)
