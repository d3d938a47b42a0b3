"""The files of a store that is a database file: whether they are where it says, and whether it may be written.

MLflow keeps whole addresses of runs and models. A database that was moved, or copied with the folders beside it, goes
on naming the old place: what is read is not there, and what is written lands in the original. Servers, and artifacts
that are not on a disk of this machine, are never judged.
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from nertransfer.core import schema
from nertransfer.core.errors import InputError
from nertransfer.tracking import project
from nertransfer.tracking.addresses import database_of, public_uri
from nertransfer.tracking.patience import as_patiently
from nertransfer.tracking.store import FINISHED, MlflowClient, Study

logger = logging.getLogger("nertransfer")

LOOKED_AT = 5
"""So many of the oldest finished cells of a study say where its files are: each has files from its first day on."""
_told: set[str] = set()


def local_path(address: str) -> Path | None:
    """The path on this machine that an artifact address means; None for any other kind of address."""
    if address.startswith("file:"):
        parts = urlsplit(address)
        return Path(url2pathname(parts.path)) if parts.netloc in ("", "localhost") else None
    return Path(url2pathname(address)) if address and ":/" not in address else None


@dataclass(frozen=True)
class Displaced:
    """A store whose files are not where its database says.

    ``tracked``: the folder that the database names. ``lies``: the folder that has the same files, which is that of the
    ``database``; None where they are not there either. ``is_copy``: they are in ``tracked`` as well.
    """

    database: Path
    tracked: Path
    lies: Path | None
    is_copy: bool = False

    @property
    def shortly(self) -> str:
        """What seems to have happened, beside other words."""
        return f"the store seems to have been moved from {self.tracked} to {self.lies}: run the entry point relocate"

    @property
    def text(self) -> str:
        """What seems to have happened and how to cure it, in one line."""
        parameters = {"tracking_uri": f"sqlite:///{quote(str(self.database))}"}
        command = project.command("relocate", parameters | ({} if self.lies else {"new": "FOLDER"}))
        if self.lies is None:
            return (
                f"the store seems to have been moved: its files are tracked in {self.tracked}, which is not there, nor "
                f"are they beside its database; name the folder that has them now with: {command}"
            )
        if self.is_copy:
            return (
                f"the store seems to be a copy: its files are tracked in {self.tracked}, which is still there, and lie "
                f"in {self.lies}, too; make the copy a store of its own with: {command}"
            )
        return (
            f"the store seems to have been moved: its files are tracked in {self.tracked}, and lie in {self.lies}; "
            f"bring its addresses in line with: {command}"
        )


def displaced(uri: str, address: str, home: Path | None = None) -> Displaced | None:
    """What seems to have happened to the store at ``uri`` by the address of one run's or model's artifacts; None where
    they are in their place, or nothing can be said.

    Files below ``home`` are in their place, whether they are there or not: the database's own folder unless told.
    """
    database, path = database_of(uri), local_path(address)
    if database is None or path is None:
        return None
    database, path = database.resolve(), _whole(path)
    home = home or database.parent
    if path.resolve().is_relative_to(home):
        return None
    for tracked, part in _places(path):
        if (home / part).exists():
            is_there = path.exists()
            same = is_there and path.samefile(home / part)
            return None if same else Displaced(database, tracked, home, is_there)
    whole = _of_experiment(path)
    return None if whole.exists() else Displaced(database, whole, None)


def _whole(path: Path) -> Path:
    """The folder of a run's or model's artifacts, of a path in there as well."""
    parts = path.parts
    return Path(*parts[: len(parts) - parts[::-1].index("artifacts")]) if "artifacts" in parts else path


def _places(path: Path) -> Iterator[tuple[Path, Path]]:
    """A path cut in two, the longest second part first; that has the run's or model's id, which is nobody else's."""
    parts = path.parts
    for cut in range(1, len(parts) - 1):
        yield Path(*parts[:cut]), Path(*parts[cut:])


def _of_experiment(path: Path) -> Path:
    """The experiment's folder: ``<id>/artifacts`` of a run lies there, or ``models/<id>/artifacts`` of a model."""
    folder = path.parent.parent
    return folder.parent if folder.name == "models" else folder


def displaced_folder(uri: str, folder: Path) -> Displaced | None:
    """`displaced`, by a folder that was tracked, such as that of the corpora, and is not there."""
    database = database_of(uri)
    if database is None or folder.exists():
        return None
    database = database.resolve()
    parts = folder.parts
    cuts = ((Path(*parts[:cut]), Path(*parts[cut:])) for cut in range(1, len(parts)))
    found = next((old for old, part in cuts if (database.parent / part).is_dir()), None)
    return Displaced(database, found, database.parent) if found else None


def displaced_study(study: Study) -> Displaced | None:
    """`displaced`, by the oldest finished cells of a study; None also where it has none."""
    if database_of(study.uri) is None or study.existing_id is None:
        return None
    condition = f"tags.{schema.KIND} = '{schema.KIND_CELL}'{FINISHED}"
    runs = study.client.search_runs(
        [study.existing_id], condition, max_results=LOOKED_AT, order_by=["attributes.start_time ASC"]
    )
    return next(filter(None, (displaced(study.uri, run.info.artifact_uri) for run in runs)), None)


# --- reading ------------------------------------------------------------------------------------------------------


def not_there(uri: str, address: str) -> str:
    """In words: nothing is at an address, and what seems to have happened to the store where that is the reason."""
    path, found = local_path(address), displaced(uri, address)
    return f"there is nothing at {path or address}{f'; {found.text}' if found else ''}"


def tell(uri: str, address: str) -> None:
    """Say once that the store was moved or copied, where the address of something that is looked for says so."""
    if found := displaced(uri, address):
        tell_once(found)


def tell_once(found: Displaced) -> None:
    if found.text not in _told:
        _told.add(found.text)
        logger.warning("%s", found.text)


def tell_of(study: Study) -> None:
    """`tell`, by the study's finished cells."""
    if found := displaced_study(study):
        tell_once(found)


# --- writing ------------------------------------------------------------------------------------------------------


def check_database(uri: str) -> None:
    """Raise InputError where the store is a database file that this process may only read."""
    if reason := _read_only(uri):
        raise InputError(f"tracking_uri={public_uri(uri)}: {reason}", "tracking_uri")


def check(study: Study) -> None:
    """Raise InputError, before any work, where the store may only be read, or what is written would land elsewhere."""
    check_database(study.uri)
    if reason := _misplaced(study):
        raise InputError(reason, "tracking_uri")


def unfit(study: Study, told: bool = False) -> str:
    """Why nothing should be written to a study; empty where it may. ``told``: the cure is left out where `tell` has
    said it."""
    return _read_only(study.uri) or _misplaced(study, told)


def _misplaced(study: Study, told: bool = False) -> str:
    """Why what is written to a study would not land in its folder; empty where it would."""
    if found := displaced_study(study):
        return found.text.partition(":")[0] if told and found.text in _told else found.text
    if database_of(study.uri) is None or study.existing_id is None:
        return ""
    folder = local_path(study.client.get_experiment(study.existing_id).artifact_location)
    return "" if folder is None or _may_write(folder) else f"nothing can be written into {folder}"


def _read_only(uri: str) -> str:
    """SQLite writes a journal beside the database, so that its folder matters, too."""
    database = database_of(uri)
    if database is None or not database.parent.is_dir():
        return ""
    if database.exists() and not os.access(database, os.W_OK):
        return f"the store is read-only: nothing can be written to {database.resolve()}"
    if not os.access(database.parent, os.W_OK):
        return f"the store is read-only: nothing can be written into {database.resolve().parent}"
    return ""


def _may_write(folder: Path) -> bool:
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return os.access(there, os.W_OK)


def exists(client: MlflowClient, address: str, path: str) -> bool:
    """Whether there is a file ``path``."""
    repository, folder = _repository(client, address), path.rpartition("/")[0]
    return path in [one.path for one in as_patiently(client, lambda: repository.list_artifacts(folder or None))]


def read(client: MlflowClient, address: str, path: str) -> bytes | None:
    """The content of a file; None where it is not there, which is said once of a store that was moved or copied."""
    if not exists(client, address, path):
        tell(client.tracking_uri, address)
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
