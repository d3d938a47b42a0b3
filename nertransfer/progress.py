"""Progress bars: one look everywhere, quiet where nobody watches, told to somebody else in a worker."""

import io
import math
import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

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
