"""An interrupt that is not lost: Python drops an exception that is raised inside a destructor."""

_asked = False
_handled = False


def handle(_signal: int, _frame: object) -> None:
    """Signal handler: interrupt now, and remember it for `check` in case this one is dropped."""
    global _asked, _handled
    _asked = _handled = True
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
