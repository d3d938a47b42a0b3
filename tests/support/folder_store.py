"""The store that lies in a folder of a test."""

import functools
import shutil
import tempfile
from pathlib import Path

from nertransfer.commands.relocation import relocate
from nertransfer.core.config import RelocateConfig
from nertransfer.tracking.store import Study, client, open_study


def opened(folder: Path, name: str) -> Study:
    """A study in the folder's store; MLflow keeps stores by address, so the folder is absolute."""
    return open_study(client(f"sqlite:///{make_store(folder)}"), name)


def make_store(folder: Path) -> Path:
    """The folder's database, which is made if there is none."""
    database = folder / "mlflow.db"
    if not database.exists():
        database.write_bytes(_empty())
    return database


def copied(folder: Path, new: Path) -> None:
    """Copy a folder with a store; the copy is a store of its own."""
    shutil.copytree(folder, new)
    relocate(RelocateConfig(), f"sqlite:///{new}/mlflow.db")


@functools.cache
def _empty() -> bytes:
    """A database without runs, which takes MLflow a second of computing to make."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "mlflow.db"
        client(f"sqlite:///{database}").search_experiments()
        return database.read_bytes()
