"""A command on a terminal of its own, and the lines that a person has seen there."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROWS, COLUMNS = 40, 160
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """What a process writes on it; ``process`` runs with it as its input, output and errors."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._raw = b""
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, process_group=0
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nobody has the other end any more
            while data := os.read(self._ours, 1 << 16):
                self._raw += data

    def wait(self, seconds: float = 120) -> int:
        """The exit status, once all that was written has been read."""
        status = self.process.wait(seconds)
        self._reader.join(10)
        return status

    @property
    def lines(self) -> list[str]:
        """Every text between two moves of the cursor to the start of a line, bars included."""
        text = _CONTROL.sub("", self._raw.decode(errors="replace"))
        return [part.strip() for part in re.split(r"[\r\n]+", text) if part.strip()]


@contextlib.contextmanager
def terminal(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """A command that is killed at the end of the block if it has not ended."""
    shown = Terminal(command, folder, environment)
    try:
        yield shown
    finally:
        if shown.process.poll() is None:
            shown.process.kill()
        shown.process.wait()
