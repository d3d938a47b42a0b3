"""Files of runs and models, by the address of their folder: MLflow would look up its scores, too, for every file.

``address`` is a run's ``artifact_uri`` or a model's ``artifact_location``, ``path`` one below it.
"""

import tempfile
from pathlib import Path

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from nertransfer import store_files
from nertransfer.store import MlflowClient, as_patiently


def exists(client: MlflowClient, address: str, path: str) -> bool:
    """Whether there is a file ``path``."""
    repository, folder = _repository(client, address), path.rpartition("/")[0]
    return path in [one.path for one in as_patiently(client, lambda: repository.list_artifacts(folder or None))]


def read(client: MlflowClient, address: str, path: str) -> bytes | None:
    """The content of a file; None where it is not there, which is said once of a store that was moved or copied."""
    if not exists(client, address, path):
        store_files.tell(client.tracking_uri, address)
        return None
    with tempfile.TemporaryDirectory() as local:
        fetched = as_patiently(client, lambda: _repository(client, address).download_artifacts(path, local))
        return Path(fetched).read_bytes()


def write(client: MlflowClient, address: str, path: str, text: str) -> None:
    """Put a text file at ``path``, in place of what is there."""
    folder, _, name = path.rpartition("/")
    with tempfile.TemporaryDirectory() as local:
        file = Path(local) / name
        file.write_text(text, encoding="utf-8")
        as_patiently(client, lambda: _repository(client, address).log_artifact(str(file), folder or None))


def _repository(client: MlflowClient, address: str) -> ArtifactRepository:
    return get_artifact_repository(address, tracking_uri=client.tracking_uri)
