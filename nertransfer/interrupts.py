"""Interrupts at the right moment: none is lost, for Python drops an exception that is raised inside a destructor, and
none strikes where it would do harm."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_asked = _handled = _waits = False
_blocks = 0


def handle(_signal: int, _frame: object) -> None:
    """Signal handler: interrupt now, or at the end of `put_off`, and remember it for `check` in case it is dropped."""
    global _asked, _handled, _waits
    _asked = _handled = True
    if _blocks and not _waits:
        _waits = True
        return
    raise KeyboardInterrupt


def handle_once(signal: int, frame: object) -> None:
    """Like `handle` for the first signal; later ones are ignored, so that they do not cut short what it set off."""
    if not _handled:
        handle(signal, frame)


def check() -> None:
    """Raise KeyboardInterrupt once if one was asked for and did not get through."""
    global _asked
    if _asked:
        _asked = False
        raise KeyboardInterrupt


@contextmanager
def put_off() -> Iterator[None]:
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
