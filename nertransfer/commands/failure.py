"""What a command says when something fails that is no bad input: one line, and a file that has the stack trace."""

import os
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from nertransfer.commands.project_run import subject
from nertransfer.core.errors import in_one_line
from nertransfer.tracking import secrets


def told(error: BaseException, command: str, config: object = None) -> str:
    """What failed, what the library said last, and the file with the stack trace, in one line without secrets.

    The file is in ``<work_dir>/logs`` where that is there, else in the folder for temporary files; where neither can be
    written, as on a full disk, the trace follows the line.
    """
    what = " ".join(filter(None, (command, subject(config))))
    line = secrets.hide(f"error: {what} failed: {in_one_line(error)}")
    trace = secrets.hide("".join(traceback.format_exception(error)))
    for folder in _folders(config):
        try:
            number, name = tempfile.mkstemp(".log", f"nertransfer-{command}-", folder)
        except OSError:
            continue
        try:
            with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{what}\n{trace}")
            return f"{line} (stack trace: {name})"
        except OSError:
            os.unlink(name)
    return f"{line}\n{trace.rstrip()}"


def _folders(config: object) -> Iterator[Path]:
    work = getattr(getattr(config, "data", None), "work_dir", "")
    if work and (logs := Path(work).absolute() / "logs").is_dir():
        yield logs
    try:
        yield Path(tempfile.gettempdir()).absolute()
    except OSError:  # not one that can be written
        return
