"""What a person sees while cells run: a line for every worker, a bar over all, the time that is left."""

import logging
import sys
import time
from contextlib import ExitStack

from tqdm import tqdm

from nertransfer.nouns import count
from nertransfer.pace import Pace

logger = logging.getLogger("nertransfer")

LINES_APART_SECONDS = 60.0
"""Without a terminal: how often a line says what the workers are at."""
FIRST_GUESS_SECONDS = 20.0
"""So long after the start a line says how long all cells take, if none has ended before."""
CELLS_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
"""Without the bar's own remaining time, which is by the mean of all cells."""


def duration(seconds: float) -> str:
    """``3 h 20 min``, ``4 min 5 s`` or ``12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Display:
    """Shows the progress of ``total`` cells on ``workers`` workers; drawn on a terminal, in lines elsewhere.

    ``at_once``: how many cells run at the same time where that is not the number of workers.
    """

    def __init__(self, total: int, workers: int, watched: bool | None = None, at_once: int = 0) -> None:
        self._total, self._done = total, 0
        self._pace = Pace(total, at_once or workers, time.monotonic())
        self._watched = sys.stderr.isatty() if watched is None else watched
        self._doing: dict[int, str] = {}
        self._told = self._began = time.monotonic()
        self._guessed = False
        self._stack = ExitStack()
        if self._watched:
            self._bar = self._stack.enter_context(
                tqdm(total=total, desc="cells", bar_format=CELLS_BAR, dynamic_ncols=True, position=0)
            )
            self._lines = [
                self._stack.enter_context(tqdm(bar_format="{desc}", position=i + 1, leave=False, dynamic_ncols=True))
                for i in range(workers)
            ]

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def progress(self, worker: int, title: str, done: int, of: int) -> None:
        """A worker has come so far with what is called ``title``."""
        self._pace.progress(worker, title, done / of if of else 0.0)
        self._guess()
        self._doing[worker] = f"{title} {100 * done // of} %" if of else title
        if self._watched:
            self._lines[worker].set_description_str(f"  worker {worker}: {self._doing[worker]}")
        elif time.monotonic() - self._told >= LINES_APART_SECONDS:
            self._told = time.monotonic()
            logger.info("    %s", "; ".join(self._doing[w] for w in sorted(self._doing)))

    def _guess(self) -> None:
        now = time.monotonic()
        if self._guessed or self._done or now - self._began < FIRST_GUESS_SECONDS:
            return
        if (seconds := self._pace.first_guess(now)) is not None:
            self._guessed = True
            logger.info("about %s for %s at the pace of the first steps", duration(seconds), count(self._total, "cell"))

    def idle(self, worker: int) -> None:
        """A worker has nothing to do."""
        self._pace.idle(worker)
        self._doing.pop(worker, None)
        if self._watched:
            self._lines[worker].set_description_str(f"  worker {worker}: waiting")

    def ended(self, summary: str, worker: int | None = None, ran: bool = True) -> None:
        """One more cell is done with; ``summary`` says how. ``worker``: who had it; ``ran``: it was worked on."""
        self._done += 1
        self._pace.ended(time.monotonic(), worker, ran)
        left = "" if self._pace.left is None else f", about {duration(self._pace.left)} left"
        if worker is not None:
            self.idle(worker)
        if self._watched:
            self._bar.set_postfix_str(left.removeprefix(", "), refresh=False)
            self._bar.update()
        logger.info("[%d/%d] %s%s", self._done, self._total, summary, left)
        self._told = time.monotonic()
