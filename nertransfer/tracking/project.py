"""This project as ``mlflow run`` starts it: the run that MLflow opened, and how a user calls another entry point."""

import logging
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nertransfer.core import processes
from nertransfer.core.errors import InputError
from nertransfer.core.files import IS_CHECKOUT, PROJECT
from nertransfer.tracking.addresses import VARIABLE, database_of, given_uri, public_uri

if TYPE_CHECKING:
    from nertransfer.tracking.store import MlflowClient, Run

logger = logging.getLogger("nertransfer")

RUN, EXPERIMENT, EXPERIMENT_NAME = "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"
VARIABLES = (RUN, EXPERIMENT, EXPERIMENT_NAME)
DEFAULT_EXPERIMENT = "0"
"""Id of the experiment that ``mlflow run`` takes where none is named."""
_MADE_FOLDER = re.compile(r"tmp\w{8}")
"""How Python calls a temporary folder."""


def command(entry_point: str, parameters: Mapping[str, str]) -> str:
    """What a user types, in any folder, to call an entry point of this project.

    As ``mlflow run`` of the project's address where MLflow has put the project into a temporary folder.
    """
    if is_temporary() and (opened := opened_run()):
        tags = opened.run.data.tags
        given = [text for name, value in parameters.items() for text in ("-P", f"{name}={value}")]
        manager = tags.get("mlflow.project.env", "local")
        address = public_uri(tags["mlflow.source.name"])
        return shlex.join(["mlflow", "run", address, "-e", entry_point, "--env-manager", manager, *given])
    given = [text for name, value in parameters.items() for text in (f"--{name}", value)]
    program = "python" if IS_CHECKOUT else "nertransfer"
    found, here = shutil.which(program), Path(sys.executable).parent
    active = found is not None and Path(found).parent == here
    if not IS_CHECKOUT:
        return shlex.join([program if active else str(here / program), entry_point, *given])
    script = PROJECT / "entrypoints" / f"{entry_point}.py"
    return shlex.join(["python" if active else sys.executable, str(script), *given])


def is_temporary() -> bool:
    """Whether MLflow has fetched the project for this command, into a folder that nobody keeps."""
    made = _MADE_FOLDER.fullmatch(PROJECT.name) and PROJECT.parent == Path(tempfile.gettempdir()).resolve()
    return bool(os.environ.get(RUN) and made)


# --- the run ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenedRun:
    """The run that ``mlflow run`` opened for this command, and the store that it is in."""

    store: "MlflowClient"
    run: "Run"


def opened_run() -> OpenedRun | None:
    run_id = os.environ.get(RUN)
    if not run_id or processes.launched():
        return None
    from mlflow.exceptions import MlflowException

    from nertransfer.tracking.patience import impatient
    from nertransfer.tracking.store import client, exists

    uri, given = given_uri(), database_of(os.environ.get(VARIABLE, ""))
    try:
        if exists(uri):
            store = impatient(client(uri, must_exist=True))
            return OpenedRun(store, store.get_run(run_id))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    if given is not None and not given.is_absolute():
        raise InputError(
            f"{VARIABLE}={public_uri(os.environ[VARIABLE])} was given from a folder that cannot be known here, and "
            f"{public_uri(uri)} does not have the run {run_id} that MLflow opened: give the whole path of the database"
        )
    logger.warning("%s=%s is no run of %s, and is not used", RUN, run_id, public_uri(uri))
    return None
