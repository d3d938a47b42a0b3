"""What a command prints: each of its lines once, above the bars of a terminal, and of libraries what a user must see.

Libraries report every step of making a database, addresses of every run, what a checkpoint has besides the encoder.
They read most of the variables when they are imported, so `prepare` comes first: in commands, workers and pools.
"""

import logging
import os
import sys
import warnings

QUIET = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for every run on a server
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # two bars a file, however small
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "TRANSFORMERS_VERBOSITY": "error",  # `nertransfer.starts` checks itself what a checkpoint lacks
    "HF_HUB_VERBOSITY": "error",  # a download that fails for good raises
}
"""Environment variables that keep libraries quiet; one that is set already stays as it is."""
LEVELS = {
    "nertransfer": logging.INFO,
    "accelerate": logging.ERROR,  # warns at every checkpoint with tied weights
    "alembic": logging.WARNING,
    "matplotlib.font_manager": logging.ERROR,  # says that it looks for fonts
    "mlflow": logging.WARNING,
}
"""Levels of loggers; all others print warnings."""
FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
"""Kinds of Python's warnings that tell nothing about a user's work; shown where ``python -W`` or PYTHONWARNINGS ask."""


class LinesAboveBars(logging.Handler):
    """Prints records on the standard error, on a terminal above the bars that are drawn there.

    A record that a library's own handler has printed is left out.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if _has_been_printed(record):
            return
        try:
            line = self.format(record)
            if sys.stderr.isatty():
                from tqdm import tqdm

                tqdm.write(line, file=sys.stderr)
            else:
                print(line, file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


def _has_been_printed(record: logging.LogRecord) -> bool:
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger is not logging.root:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                return True
        logger = logger.parent
    return False


def prepare(form: str = "%(message)s", anew: bool = False) -> None:
    """Print from now on as this module says. ``form``: of a line; ``anew``: in place of the handlers that are there."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(format=form, level=logging.WARNING, handlers=[LinesAboveBars()], force=anew)
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    if not sys.warnoptions:
        for kind in FOR_DEVELOPERS:
            warnings.simplefilter("ignore", kind)
