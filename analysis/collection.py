"""How often Python looks for objects that only refer to one another."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

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
