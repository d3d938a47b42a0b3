"""What is computed beside a report, in processes of their own: figures, which take longest, and whatever needs no rest.

Also how often Python looks for garbage meanwhile: frames make many objects, and few cycles.
"""

import functools
import gc
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from threadpoolctl import threadpool_limits

from nertransfer.core.processes import cores, process_pool

Result = TypeVar("Result")
Encoded = dict[str, bytes]
"""Files of a figure by what their names end in: ``.png``, ``.pdf``, of a heat map also ``-column.pdf``."""
_PROCESSES = min(4, cores())


@dataclass(frozen=True)
class Drawing:
    """A call of `analysis.report.plots`: which figure, and what it is given."""

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
    """The files of every drawing by name, the key with their endings, once they are ready."""
    return {f"{stem}{ending}": content for stem, one in drawn.items() for ending, content in one.result().items()}


def _encode(drawing: Drawing) -> Encoded:
    from analysis.report import plots  # the processes have it; the one that has figures drawn does without

    draw = getattr(plots, drawing.kind)
    png, pdf = plots.encoded(draw(*drawing.arguments, **drawing.options))
    files = {".png": png, ".pdf": pdf}
    if drawing.kind == "heatmap":
        files["-column.pdf"] = plots.pdf(draw(*drawing.arguments, **drawing.options, width=plots.COLUMN))
    return files


@functools.cache
def _pool() -> ProcessPoolExecutor:
    """One for all reports of this process."""
    return process_pool(
        _PROCESSES, collect_rarely, preload=["analysis.report.plots", "analysis.report.html.error_pages"]
    )


_THRESHOLDS = (100_000, 20, 10)
"""New objects before the young are looked through, and how often that is done before older ones are, too."""


def collect_rarely() -> None:
    """Do it rarely, and leave out what there is already: with so much imported it takes a fifth of a report's time."""
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


@contextmanager
def collected_rarely() -> Iterator[None]:
    """`collect_rarely` for a while; then as before. What was left out before stays so, and so does the rest then."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    collect_rarely()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
        gc.set_threshold(*before)
