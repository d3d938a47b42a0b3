"""Figures drawn side by side, in processes of their own: drawing is what takes longest in a report. What takes long and
needs nothing of the rest is computed there too."""

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from threadpoolctl import threadpool_limits

from analysis.collection import collect_rarely
from nertransfer.processes import cores, process_pool

Result = TypeVar("Result")
Encoded = tuple[bytes, bytes]
"""PNG and PDF of a figure."""
_PROCESSES = min(4, cores())


@dataclass(frozen=True)
class Drawing:
    """A call of `analysis.plots`: which figure, and what it is given."""

    kind: Literal["heatmap", "intervals", "scatter", "projections", "learning_curves"]
    arguments: Sequence[Any]
    options: Mapping[str, Any] = field(default_factory=dict)


def prepare() -> None:
    """Start the processes, so that they import while the study is read; this one does not wait for them."""
    pool = _pool()

    def start() -> None:
        with suppress(RuntimeError):  # this process ends already, for the study cannot be read
            for _ in range(_PROCESSES):
                pool.submit(int)

    # no daemon: the process would end while others start, and take away what they, and it, wait for
    threading.Thread(target=start, name="processes for drawing").start()


def beside(function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
    """Call a function of a module in one of the processes, while this one goes on."""
    return _pool().submit(_alone, function, *arguments)


def _alone(function: Callable[..., Result], *arguments: Any) -> Result:
    """With one thread for linear algebra: with several, processes that share the cores wait for one another."""
    with threadpool_limits(1):
        return function(*arguments)


def begun(drawings: Mapping[str, Drawing]) -> "dict[str, Future[Encoded]]":
    """Have all drawings drawn, while this process goes on."""
    return {stem: _pool().submit(_encode, drawing) for stem, drawing in drawings.items()}


def encoded(drawn: "Mapping[str, Future[Encoded]]") -> dict[str, bytes]:
    """PNG and PDF of every drawing by file name, the key with ``.png`` and ``.pdf``, once they are ready."""
    files = {}
    for stem, future in drawn.items():
        files[f"{stem}.png"], files[f"{stem}.pdf"] = future.result()
    return files


def _encode(drawing: Drawing) -> Encoded:
    from analysis import plots  # the processes have it; the one that has figures drawn does without

    return plots.encoded(getattr(plots, drawing.kind)(*drawing.arguments, **drawing.options))


@functools.cache
def _pool() -> ProcessPoolExecutor:
    """One for all reports of this process."""
    return process_pool(_PROCESSES, collect_rarely, preload=["analysis.plots", "analysis.error_pages"])
