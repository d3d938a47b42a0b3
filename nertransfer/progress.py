"""Progress bars: one look everywhere, quiet where nobody watches."""

import sys

from tqdm import tqdm


def progress_bar(total: int, title: str, unit: str, initial: int = 0, show: bool = True) -> tqdm:
    """A bar with rate and remaining time; in a log file it prints a line every half minute at most."""
    watched = sys.stderr.isatty()
    return tqdm(
        total=total, initial=initial, desc=title, unit=unit, leave=False, disable=not show,
        mininterval=0.5 if watched else 30, dynamic_ncols=watched,
    )  # fmt: skip
