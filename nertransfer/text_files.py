"""Bytes of a text file -> its text, or an error that says where they are none."""

from pathlib import Path

from nertransfer.errors import InputError

BYTE_ORDER_MARK = "\ufeff"


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
