"""What a command prints: each line once, of libraries what users must see, and progress."""

import io
import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from nertransfer.core.text import count, duration

QUIET = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for every run on a server
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # two bars a file, however small
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "TRANSFORMERS_VERBOSITY": "error",  # `nertransfer.encoders.starts` checks itself what a checkpoint lacks
    "HF_HUB_VERBOSITY": "error",  # a download that fails for good raises
}
"""Environment variables that keep libraries quiet; one that is set already stays as it is."""
LEVELS = {
    "nertransfer": logging.INFO,
    "accelerate": logging.ERROR,  # warns at every checkpoint with tied weights
    "alembic": logging.WARNING,
    "matplotlib.font_manager": logging.ERROR,  # says that it looks for fonts
    "mlflow": logging.WARNING,
}
"""Levels of loggers; all others print warnings."""
FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
"""Kinds of Python's warnings that tell nothing about a user's work; shown where ``python -W`` or PYTHONWARNINGS ask."""


class LinesAboveBars(logging.Handler):
    """Prints records on the standard error, on a terminal above the bars that are drawn there.

    A record that a library's own handler has printed is left out.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if _has_been_printed(record):
            return
        try:
            line = self.format(record)
            if sys.stderr.isatty():
                from tqdm import tqdm

                tqdm.write(line, file=sys.stderr)
            else:
                print(line, file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


def _has_been_printed(record: logging.LogRecord) -> bool:
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger is not logging.root:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                return True
        logger = logger.parent
    return False


def prepare(form: str = "%(message)s", anew: bool = False) -> None:
    """Print from now on as this module says. ``form``: of a line; ``anew``: in place of the handlers that are there."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(format=form, level=logging.WARNING, handlers=[LinesAboveBars()], force=anew)
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    if not sys.warnoptions:
        for kind in FOR_DEVELOPERS:
            warnings.simplefilter("ignore", kind)


Listener = Callable[[str, int, int], None]
"""(title, done, of how many)"""

LOG_SECONDS = 30.0
_listener: Listener | None = None


def tell(listener: Listener | None) -> None:
    """From now on bars of this process are not drawn but told to ``listener``, twice a second at most."""
    global _listener
    _listener = listener


class _Told(tqdm):
    """A bar that is told instead of drawn."""

    def display(self, *_: Any, **__: Any) -> bool:
        if _listener is not None and not self.disable:
            _listener(self.desc.removesuffix(": "), int(self.n), int(self.total or 0))
        return True


class _Logged(tqdm):
    """A bar in a log file: a line now and then, below one another; none of work that is done before the first."""

    def display(self, *_: Any, **__: Any) -> bool:
        print(self, file=self.fp, flush=True)
        return True

    def close(self) -> None:
        self.delay = math.inf  # as if it had never been drawn: there is nothing to wipe out
        super().close()


def progress_bar(total: int, title: str, unit: str, initial: int = 0, show: bool = True) -> tqdm:
    """A bar with rate and remaining time; in a log file it prints a line every half minute at most."""
    common: dict[str, Any] = {"total": total, "initial": initial, "desc": title, "unit": unit, "leave": False}
    if _listener is not None:
        return _Told(file=io.StringIO(), mininterval=0.5, disable=not show, **common)
    if sys.stderr.isatty():
        return tqdm(disable=not show, mininterval=0.5, dynamic_ncols=True, **common)
    return _Logged(disable=not show, mininterval=LOG_SECONDS, delay=LOG_SECONDS, **common)


logger = logging.getLogger("nertransfer")

LINES_APART_SECONDS = 60.0
"""Without a terminal: how often a line says what the workers are at."""
FIRST_GUESS_SECONDS = 20.0
"""So long after the start a line says how long all cells take, if none has ended before."""
CELLS_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
"""Without the bar's own remaining time, which is by the mean of all cells."""


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


ROUNDS = 2
LEAST = 5
"""The pace is that of so many rounds of cells, and of at least so many cells."""


@dataclass
class _AtWork:
    """``first`` and ``now``: fractions that were done when the cell was first seen, and are done now."""

    title: str
    first: float
    now: float


@dataclass
class Pace:
    """``total`` cells, ``at_once`` of them at the same time; ``began`` and ``now`` in seconds of any clock.

    Work is counted in cells: those that ran, and fractions of those at work. A cell that went on from a checkpoint
    counts with what was left of it, and one that was found finished, or failed, not at all.
    """

    total: int
    at_once: int
    began: float
    _work: float = 0.0
    _ended: int = 0
    _at_work: dict[int, _AtWork] = field(default_factory=dict)
    _marks: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._marks.append((self.began, 0.0))

    def progress(self, worker: int, title: str, fraction: float) -> None:
        """A worker has done this fraction of what is called ``title``: a cell's training, and then its scoring."""
        known = self._at_work.get(worker)
        if known is None:
            self._at_work[worker] = _AtWork(title, fraction, fraction)
        else:
            known.now = fraction if title == known.title else 1.0

    def ended(self, now: float, worker: int | None = None, ran: bool = True) -> None:
        """One more cell is done with: the ``worker``'s, where its progress was told. ``ran``: it was worked on."""
        self._ended += 1
        cell = self._at_work.pop(worker, None) if worker is not None else None
        if ran:
            self._work += 1.0 - (cell.first if cell else 0.0)
            self._marks.append((now, self._work + self._partial))
            del self._marks[: -1 - max(LEAST, ROUNDS * self.at_once)]

    def idle(self, worker: int) -> None:
        """A worker has no cell any more."""
        self._at_work.pop(worker, None)

    @property
    def _partial(self) -> float:
        return sum(cell.now - cell.first for cell in self._at_work.values())

    def first_guess(self, now: float) -> float | None:
        """Seconds of all cells, by the fractions done before one has ended; None until every worker has some."""
        begun = all(cell.now > cell.first for cell in self._at_work.values())
        return (now - self.began) / self._partial * self.total if self._at_work and begun else None

    @property
    def left(self) -> float | None:
        """Seconds from the last end of a cell to the end of all; None where nothing is known or nothing is left."""
        (first, before), (last, work) = self._marks[0], self._marks[-1]
        rest = self.total - self._ended - sum(cell.now for cell in self._at_work.values())
        if self._ended >= self.total or last <= first or work <= before:
            return None
        return max(0.0, rest) * (last - first) / (work - before)
