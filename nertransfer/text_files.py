"""Bytes of a text file -> its text and lines, or an error that says where they are none."""

import re
from pathlib import Path

from nertransfer.errors import InputError
from nertransfer.labels import category_of

BYTE_ORDER_MARK = "\ufeff"

# Python's own str.split() and str.splitlines() also cut at U+00A0, U+0085, U+2028 and others,
# which occur inside words; only these separate columns.
SEPARATORS = re.compile(r"[ \t]+")


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


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """The lines of a text that are not white space alone, with their numbers from 1."""
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def running_lines(text: str, path: str | Path, parameter: str, instead: str) -> list[tuple[int, str]]:
    """The `numbered_lines` of running text.

    Raises InputError where every one ends in an IOB2 tag, as CoNLL columns do: ``instead`` says what to give.
    """
    lines = numbered_lines(text)
    if lines and all(_ends_in_tag(line) for _, line in lines):
        raise InputError(f"{path}:{lines[0][0]}: every line ends in an IOB2 tag; {instead}", parameter)
    return lines


def _ends_in_tag(line: str) -> bool:
    columns = SEPARATORS.split(line.strip())
    try:
        category_of(columns[-1])
    except InputError:
        return False
    return len(columns) > 1
