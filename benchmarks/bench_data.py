"""Which real corpora a benchmark reads: a folder, or MasakhaNER 1.0, found before anything is measured."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus

VARIABLE = "NERTRANSFER_DATA"
MASAKHANER = "masakhaner"


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The option ``--data`` of a benchmark."""
    parser.add_argument(
        "--data",
        help=f"folder of corpora <language>/{{train,dev,test}}.txt; without it ${VARIABLE}/{MASAKHANER}; without that "
        "variable MasakhaNER 1.0, which is downloaded once",
    )


def folder(parser: argparse.ArgumentParser, given: str | None) -> Path:
    """The folder that ``--data`` means; ends the program with one line where there is none."""
    around = os.environ.get(VARIABLE, "")
    data = given or (str(Path(around) / MASAKHANER) if around else MASAKHANER)
    try:
        return corpus.folder_of(DataOptions(data))
    except InputError as error:
        parser.error(str(error))


def run(main: Callable[[], None]) -> None:
    """A benchmark's program: what is wrong with its input is told in one line."""
    try:
        main()
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
