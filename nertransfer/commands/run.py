"""Runs an entry point: command line and study file -> configuration -> its work, every end with its exit status."""

import gc
import logging
import os
import select
import signal
import sys
import time
import typing
from collections.abc import Callable, Sequence
from pathlib import Path

from nertransfer.commands import failure, project_run
from nertransfer.core import commandline, console, environment, processes
from nertransfer.core.commandline import T, build, given, help_text, parameters, version
from nertransfer.core.errors import InputError
from nertransfer.tracking import secrets

logger = logging.getLogger("nertransfer")

MAIN_SECONDS = 10.0
"""What goes wrong in several processes of a launcher at once is told by the main one within so long."""


def run(
    config: type[T],
    main: Callable[[T], None],
    description: str,
    argv: Sequence[str] | None = None,
    shared: bool = False,
) -> None:
    """Parse, build, call ``main``, and end with one of the statuses of docs/reference.md; what fails is told in one
    line. ``shared``: several processes of a launcher may share the work.
    """
    # a cluster's polite kill ends a run like Ctrl-C: marked as killed, resumable
    signal.signal(signal.SIGINT, processes.handle_interrupt)  # a second Ctrl-C ends the cleaning up as well
    for name in ("SIGTERM", "SIGUSR2"):  # the latter is how submitit announces a time limit
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), processes.handle_interrupt_once)
    console.prepare()
    secrets.guard("stderr")
    file = built = None
    try:
        environment.clean()  # before a library that reads it is imported, and before a process is started
        project_run.enter()
        if processes.launched() > 1:
            processes.end_with_parent()
        arguments = sys.argv[1:] if argv is None else argv
        secrets.note(arguments)
        typed = given(config, arguments)
        if typed.asked:
            print(f"nertransfer {version()}" if typed.asked == commandline.VERSION else help_text(config, description))
            raise SystemExit(0)
        texts, known = typed.texts, [p.name for p in parameters(config)]
        if "study_file" in texts:
            from nertransfer.commands import study_file  # needs a YAML library, which writing MLproject does not

            file = study_file.read(study_file.find(texts["study_file"]), known)
        from_file = file.texts if file is not None else {}
        if "study" in known:
            texts = project_run.with_study(texts, from_file)
        if file is not None:
            file.lines = {key: line for key, line in file.lines.items() if key[0] not in texts}
        texts = from_file | texts
        if not shared and processes.launched() > 1:
            raise InputError(
                "accelerate launch and torchrun are not allowed here: start it with python, and where cells are to be "
                "shared by processes, with num_processes, a parameter of study and train"
            )
        built = build(config, texts)
        for p in parameters(config):
            if p.unless_given and p.name not in texts and processes.is_main():
                logger.info(p.unless_given)
        if hasattr(built, "run"):  # it computes something
            environment.tell()
        with project_run.noted(built):
            main(built)
        sys.stdout.flush()
        gc.freeze()  # the exit does not look for garbage among what is there: saves a second after a large report
    except InputError as error:
        place = file.place(error.parameter, error.item) if file is not None and error.parameter else ""
        _tell(f"error: {place}{': ' if place else ''}{error}{failure.damage(built)}")
        raise SystemExit(2) from None
    except FloatingPointError as error:  # a training that diverged; the message says what to do
        _tell(f"error: {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        if processes.is_main():
            print("interrupted; run the same command again to continue", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads(sys.stdout):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still writes at the exit
            raise SystemExit(128 + signal.SIGPIPE) from None
        _tell(failure.told(error, Path(sys.argv[0]).stem, built))
        raise SystemExit(1) from None


def _tell(line: str) -> None:
    """Print what went wrong; where several processes share the work, mostly in all of them, once.

    The main one speaks at once, and then its launcher ends the others. One of those that is still there after
    `MAIN_SECONDS` speaks, too: what went wrong went wrong with it alone.
    """
    if not processes.is_main():
        try:
            time.sleep(MAIN_SECONDS)
        except KeyboardInterrupt:
            return
    print(line, file=sys.stderr)


def _nobody_reads(stream: typing.TextIO) -> bool:
    """Whether a stream goes into a pipe whose other end is closed."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except (AttributeError, OSError):  # no poll on this system, or no file behind the stream
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
