"""Processes: how many there are, and pools of them that end with the one that made them, also where it was killed."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launched() -> int:
    """How many processes a launcher (torchrun, accelerate) started this one among; 0 where none did."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 0


def is_main() -> bool:
    """Whether this is the main process of those that a launcher started; a process that none started is."""
    return not launched() or int(os.environ.get("RANK", os.environ["LOCAL_RANK"])) == 0


def process_pool(
    processes: int,
    begin: Callable[..., None] | None = None,
    arguments: Sequence[Any] = (),
    preload: Sequence[str] = (),
) -> ProcessPoolExecutor:
    """A pool of so many processes, never forked from this one, which may have threads.

    ``begin`` is called in each with ``arguments`` before anything else; ``preload``: modules that all need.
    """
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    if os.name == "posix" and preload:
        context.set_forkserver_preload(list(preload))
    return ProcessPoolExecutor(processes, context, _begin, (begin, tuple(arguments)))


def _begin(begin: Callable[..., None] | None, arguments: Sequence[Any]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*arguments)


def _end_with_parent() -> None:
    """Wait for the end of the process that made this one; for work it would wait for ever, for it holds both ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
