"""MLflow's own server for the pages of a store, in this very process: it ends with it, and needs no other one."""

import os
import socket
import uuid
import warnings
from pathlib import Path
from typing import Any

from mlflow.environment_variables import _MLFLOW_IN_JOB_EXECUTOR, _MLFLOW_SERVER_BOOT_ID
from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR
from mlflow.server.constants import ARTIFACTS_DESTINATION_ENV_VAR, SERVE_ARTIFACTS_ENV_VAR

from nertransfer.commands import mlflow_pages
from nertransfer.serving import limits
from nertransfer.tracking.addresses import database_of
from nertransfer.tracking.store import MlflowClient


def serve(store: MlflowClient, listening: socket.socket) -> None:
    """Print the pages of the studies of a database and answer at a socket until Ctrl-C or SIGTERM."""
    host, port = listening.getsockname()[:2]
    print(mlflow_pages.overview(store, f"http://{host}:{port}", " (Ctrl-C stops)"), flush=True)
    limits.run(_application(store.tracking_uri), listening)


def _application(uri: str) -> Any:
    """MLflow's application, which is set up by variables, as the command ``mlflow server`` does."""
    database = database_of(uri)
    folder = database.absolute().parent if database else Path.cwd()
    os.environ |= {
        BACKEND_STORE_URI_ENV_VAR: uri,
        REGISTRY_STORE_URI_ENV_VAR: uri,
        ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        ARTIFACTS_DESTINATION_ENV_VAR: str(folder / "mlartifacts"),
        SERVE_ARTIFACTS_ENV_VAR: "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # processes for what nobody asked for
        _MLFLOW_IN_JOB_EXECUTOR.name: "false",
        _MLFLOW_SERVER_BOOT_ID.name: uuid.uuid4().hex,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one library about another one
        from mlflow import server
        from mlflow.server import security
        from mlflow.server.fastapi_app import app
    if not server.is_running_as_server:  # it was loaded before these variables were set, and is told now
        server.is_running_as_server = True
        security.init_security_middleware(server.app)
    return app
