"""Folders and text files: writable before work begins, one maker at a time, UTF-8 or an error that says where not."""

import hashlib
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from filelock import FileLock, Timeout

from nertransfer.core.errors import InputError

BYTE_ORDER_MARK = "\ufeff"


def read(path: Path, parameter: str = "", at_most: int | None = None) -> bytes:
    """The bytes of a file that somebody gave. ``at_most``: bytes that are taken.

    Raises InputError, for the ``parameter`` that named it, where it cannot be read or is larger, and for what is no
    file, such as a folder or a pipe, in which a reader may wait for ever.
    """
    shown = f"{parameter}={str(path)!r}" if parameter else str(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{shown} cannot be read: it is {'a folder' if path.is_dir() else 'no file'}", parameter)
        if at_most is not None and found.st_size > at_most:
            size = f"{found.st_size / 1000:,.0f} kB, and at most {at_most / 1000:,.0f} are read"
            raise InputError(f"{shown} is not allowed: it has {size}", parameter)
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}", parameter) from error


def entries(folder: Path, parameter: str = "") -> list[Path]:
    """What is in a folder that somebody gave, sorted; raises InputError where that cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        shown = f"{parameter}={str(folder)!r}" if parameter else str(folder)
        raise InputError(f"{shown} cannot be read: {error.strerror}", parameter) from error


def decode(data: bytes, path: str | Path, parameter: str = "") -> str:
    """``data`` as UTF-8, with its byte-order mark and line ends as they are.

    Raises InputError, for the ``parameter`` that named the file, that says which line and byte are not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: not UTF-8: byte 0x{data[error.start]:02x} at byte offset {error.start} of the file; "
            "save the file as UTF-8", parameter,
        ) from None  # fmt: skip


logger = logging.getLogger("nertransfer")

_CHECKOUT, _PACKAGED = Path(__file__).resolve().parents[2], Path(__file__).resolve().parents[1] / "project"
PROJECT = _CHECKOUT if (_CHECKOUT / "MLproject").is_file() else _PACKAGED
"""The folder with the entry points, `analysis` and the study files: the checkout, or what a wheel has of it."""
IS_CHECKOUT = PROJECT == _CHECKOUT


def installing(extra: str) -> str:
    """The command that installs an extra of this project, be it a checkout or an installed wheel."""
    return f"pip install -c constraints.txt -e '.[{extra}]'" if IS_CHECKOUT else f"pip install 'nertransfer[{extra}]'"


def safe_name(name: str) -> str:
    """``name`` where it can name a file anywhere; else its harmless characters and a digest."""
    harmless = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".")
    if harmless == name and 0 < len(name) <= 100:
        return name
    return f"{harmless[:80].strip('_') or 'unnamed'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def make_folder(folder: Path, parameter: str) -> None:
    """Make a folder if need be; raises InputError, for the ``parameter`` that asked for it, where nothing can be
    written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{parameter}: the folder {folder} cannot be made: {error.strerror}", parameter) from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"{parameter}: nothing can be written into {folder}", parameter)


def flush(folder: Path) -> None:
    """Returns when every file in a folder is on the disk: what is renamed then is whole also after a loss of power."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


BESIDE = ".new"
"""Ends the name of what is not whole yet."""


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text to write; the file appears at ``path``, whole and on the disk, when the block ends without error."""
    fresh = path.with_name(path.name + BESIDE)
    with fresh.open("w", encoding="utf-8") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


@contextmanager
def only_maker(path: Path) -> Iterator[None]:
    """While the block lasts no other process makes ``path``, whose folder exists; waits for who does, and says so."""
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("another process makes %s: waiting for it", path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
