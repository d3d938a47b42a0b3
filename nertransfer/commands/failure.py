"""What a command says when something fails that is no bad input: one line, and a file that has the stack trace."""

import os
import sqlite3
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from nertransfer.commands.project_run import subject
from nertransfer.core.errors import InputError, in_one_line
from nertransfer.core.options import StoreOptions
from nertransfer.tracking import secrets
from nertransfer.tracking.addresses import database_of, resolve_uri


def told(error: BaseException, command: str, config: object = None) -> str:
    """What failed, what the library said last, and the file with the stack trace, in one line without secrets.

    The file is in ``<work_dir>/logs`` where that is there, else in the folder for temporary files; where neither can be
    written, as on a full disk, the trace follows the line.
    """
    what = " ".join(filter(None, (command, subject(config))))
    line = secrets.hide(f"error: {what} failed: {in_one_line(error)}{damage(config)}")
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


def damage(config: object) -> str:
    """What is wrong with the database file of a command that has failed, to be said behind why it failed: of one that
    is damaged a part may be missing, so that the reason is not what it seems. Empty where nothing is."""
    options = getattr(config, "tracking", None)
    try:
        database = database_of(resolve_uri(options)) if isinstance(options, StoreOptions) else None
    except InputError:  # which is why it failed
        return ""
    if database is None or not database.is_file():
        return ""
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            found = str(connection.execute("pragma quick_check(1)").fetchone()[0]).splitlines()[-1]
    except sqlite3.OperationalError:  # it is locked, or may not be read
        return ""
    except sqlite3.DatabaseError as error:
        found = str(error)
    return "" if found == "ok" else f"; the database {database} is damaged ({found}): take a copy of it from before"


def _folders(config: object) -> Iterator[Path]:
    work = getattr(getattr(config, "data", None), "work_dir", "")
    if work and (logs := Path(work).absolute() / "logs").is_dir():
        yield logs
    try:
        yield Path(tempfile.gettempdir()).absolute()
    except OSError:  # not one that can be written
        return
