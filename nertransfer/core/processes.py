"""Processes: how many there are, pools of them that end with their maker, and interrupts of which none is lost."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from nertransfer.core import console
from nertransfer.core.files import PROJECT

STARTED_BY = "NERTRANSFER_STARTED_BY"
"""Variable with the number of the process that starts another one, which is to end with it."""
LOOK_SECONDS = 0.5
STARTS = 5
"""How often the start of a process is tried."""
END_SECONDS = 10.0
"""A process whose parent has gone has so long to end politely, as it does on SIGTERM."""


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launched() -> int:
    """How many processes a launcher (torchrun, accelerate) started this one among; 0 where none did."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 0


def is_main() -> bool:
    """Whether this is the main process of those that a launcher started; a process that none started is."""
    return not launched() or int(os.environ.get("RANK", os.environ["LOCAL_RANK"])) == 0


def start_method() -> str:
    """How a process is started that this one, which may have threads, is not forked from.

    From a server without threads where there is one. Not on a Mac: its libraries do not survive a fork either, which is
    why Python itself forks no more there.
    """
    return "forkserver" if os.name == "posix" and sys.platform != "darwin" else "spawn"


def start_importing(modules: Sequence[str]) -> None:
    """Start importing now what all processes need, beside whatever comes first here; costs nothing to call twice."""
    if start_method() != "forkserver":
        return
    from multiprocessing import forkserver  # not on every system

    multiprocessing.set_forkserver_preload(list(modules))
    # a terminal sends Ctrl-C to all, a cluster SIGTERM: the server ends with the last process it is for, not before
    with deaf_to(signal.SIGINT, signal.SIGTERM), _this_project_first():
        forkserver.ensure_running()


@contextmanager
def _this_project_first() -> Iterator[None]:
    """What is started meanwhile imports this project, also where another checkout of it is installed."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), before]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextmanager
def deaf_to(*signals: signal.Signals) -> Iterator[None]:
    """What is started meanwhile, by the main thread, hears no such signals until it sets a handler itself.

    In the middle of an import Ctrl-C would be a stack trace of something that is told to end anyway.
    """
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def process_pool(
    processes: int,
    begin: Callable[..., None] | None = None,
    arguments: Sequence[Any] = (),
    preload: Sequence[str] = (),
) -> ProcessPoolExecutor:
    """A pool of so many processes, never forked from this one, which may have threads.

    ``begin`` is called in each with ``arguments`` before anything else; ``preload``: modules that all need.
    """
    start_importing(preload)
    return ProcessPoolExecutor(
        processes, multiprocessing.get_context(start_method()), _begin, (begin, tuple(arguments))
    )


def begin(process: Any) -> None:
    """Start a process; anew where the server that forks it was killed meanwhile, for Python starts another one."""
    for left in reversed(range(STARTS)):
        try:
            return process.start()
        except (EOFError, OSError):
            if not left:
                raise
            time.sleep(LOOK_SECONDS)


def _begin(begin: Callable[..., None] | None, arguments: Sequence[Any]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # ends at once: whoever made the pool waits for what is at work
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    console.prepare()
    if begin is not None:
        begin(*arguments)


def _end_with_parent() -> None:
    """Wait for the end of the process that made this one; for work it would wait for ever, for it holds both ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def end_with_parent() -> None:
    """From now on this process ends with the one that started it, also where that is killed and this one is blocked.

    First as on SIGTERM, so that a run is marked and a claim given back; after `END_SECONDS` at once. The parent gives
    its number in `STARTED_BY`, where it may be gone before this call.
    """
    started_by, parent = int(os.environ.pop(STARTED_BY, "0")), os.getppid()
    gone = bool(started_by) and started_by != parent and not _is_running(started_by)
    threading.Thread(target=_end_after, args=(parent, gone), daemon=True).start()


def _is_running(number: int) -> bool:
    import psutil  # not where only the command line is looked at

    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end_after(parent: int, gone: bool) -> None:
    while not gone:
        time.sleep(LOOK_SECONDS)
        gone = os.getppid() != parent  # of a process whose parent has ended it is another one's number
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_SECONDS)
    os._exit(1)


# --- interrupts ------------------------------------------------------------------------------------------------------

_asked = _handled = _waits = False
_blocks = 0


def handle_interrupt(_signal: int, _frame: object) -> None:
    """Signal handler: interrupt now, or at the end of `put_off_interrupts`, and remember it for
    `check_interrupt` in case it is dropped: Python drops what is raised inside a destructor."""
    global _asked, _handled, _waits
    _asked = _handled = True
    if _blocks and not _waits:
        _waits = True
        return
    raise KeyboardInterrupt


def handle_interrupt_once(signal: int, frame: object) -> None:
    """Like `handle_interrupt` for the first signal; later ones are ignored, so that they do not cut short
    what it set off."""
    if not _handled:
        handle_interrupt(signal, frame)


def check_interrupt() -> None:
    """Raise KeyboardInterrupt once if one was asked for and did not get through."""
    global _asked
    if _asked:
        _asked = False
        raise KeyboardInterrupt


@contextmanager
def put_off_interrupts() -> Iterator[None]:
    """The first interrupt that comes while the block lasts is raised at its end, a second one at once.

    For what must not stay half done, such as a call that holds a lock on a database: the exception's own stack keeps
    what it was in the middle of.
    """
    global _blocks, _waits
    if threading.current_thread() is not threading.main_thread():  # no signal interrupts another one
        yield
        return
    _blocks += 1
    try:
        yield
    finally:
        _blocks -= 1
        if _waits and not _blocks:
            _waits = False
            raise KeyboardInterrupt
