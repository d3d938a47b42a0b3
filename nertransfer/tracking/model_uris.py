"""From the address of a model that exists, such as ``models:/ner-hau@champion``, to its version, its run, its files."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models.model import MLMODEL_FILE_NAME

from nertransfer.core import schema
from nertransfer.core.errors import InputError
from nertransfer.core.options import ModelOptions
from nertransfer.core.text import did_you_mean
from nertransfer.encoders import starts
from nertransfer.tracking import store_files
from nertransfer.tracking.global_state import fluent
from nertransfer.tracking.store import (
    MlflowClient,
    ModelVersion,
    Run,
    all_models,
    has_weights_of_its_own,
    run_of_version,
)
from nertransfer.training.cell import weights_folder

NOT_STORED = "its weights are not stored (only those of the best seeds are)"


def origin(model: str, client: MlflowClient) -> tuple[Run | None, ModelVersion | None]:
    """The cell's run that a model was made by, and its version where it was named as one.

    ``model``: ``runs:/<run id>``, ``models:/<name>@<alias>`` or ``models:/<name>/<version>``. There is no run where
    somebody has deleted that of a version for good. Raises InputError when there is no such thing, or it is not from a
    cell.
    """
    try:
        version = _version(model, client) if model.startswith("models:/") else None
        if version is not None:
            run = run_of_version(version, client)
            if run is None and schema.CELL_KEY in version.tags:
                return None, version
        else:
            run = client.get_run(model.partition(":/")[2].strip("/"))
    except MlflowException as error:
        raise InputError(
            f"model={model!r} is not there: {str(error).splitlines()[0]}; "
            f"registered models: {', '.join(_registered(client)) or 'none yet'}", "model",
        ) from error  # fmt: skip
    if run is None or schema.CELL_KEY not in run.data.tags:
        raise InputError(f"model={model!r} is not allowed: it was not made by a cell", "model")
    return run, version


def run_of(model: str, client: MlflowClient) -> Run | None:
    """The cell's run behind a model as `origin` takes it; None for any other model, and where the registry does not
    know. Raises InputError for a run that is not there or no cell."""
    if not model.startswith(("runs:/", "models:/")):
        return None
    try:
        return origin(model, client)[0]
    except InputError:
        if model.startswith("models:/"):  # whoever loads it says what there is
            return None
        raise


def fixed(version: ModelVersion) -> str:
    """The address of a version that stays the same when an alias moves."""
    return f"models:/{version.name}/{version.version}"


def pinned(model: str, client: MlflowClient) -> str:
    """A registered model's address by version, also where it was given by alias; as it is where there is none."""
    try:
        return fixed(_version(model, client))
    except MlflowException:  # whoever loads it says what there is
        return model


def _version(model: str, client: MlflowClient) -> ModelVersion:
    name = model.removeprefix("models:/").strip("/")
    if "@" in name:
        return client.get_model_version_by_alias(*name.split("@", 1))
    return client.get_model_version(*name.partition("/")[::2])


@contextmanager
def local_copy(model: str, client: MlflowClient, work_dir: Path) -> Iterator[starts.Start]:
    """A model as a start that can be loaded; what was downloaded is gone when the block ends.

    ``model``: ``runs:/<run id>`` of a cell, ``models:/<name>@<alias>`` (or ``/<version>``), or whatever
    `starts.resolve` takes. Raises InputError when it is not there; says which registered models there are.
    """
    if not model.startswith(("runs:/", "models:/")):
        yield starts.resolve(model)
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            start = _fetch(model, client, work_dir, Path(folder))
        except MlflowException as error:
            raise InputError(
                f"model={model!r} cannot be loaded: {str(error).splitlines()[0]}; "
                f"registered models: {', '.join(_registered(client)) or 'none yet'}"
            ) from error
        yield start


def _fetch(model: str, client: MlflowClient, work_dir: Path, folder: Path) -> starts.Start:
    name = model.partition(":/")[2].strip("/")
    if model.startswith("runs:/"):
        run = run_of(model, client)
        assert run is not None
        name, folder_of_cell = run.info.run_name, weights_folder(work_dir, run.data.tags[schema.CELL_KEY])
        if folder_of_cell.is_dir():
            return starts.Start(name, str(folder_of_cell))
        if not _is_stored(run, client):
            raise MlflowException(f"{NOT_STORED}, nor in {folder_of_cell.absolute()}")
        model = f"models:/{run.data.tags[schema.MODEL_URI]}"
    address = _address(model, client)
    if not store_files.exists(client, address, MLMODEL_FILE_NAME):
        where = store_files.not_there(client.tracking_uri, address)
        raise InputError(f"model={model!r} cannot be loaded: {where}", "model")
    store_files.tell(client.tracking_uri, address)  # of a copy: these are the original's
    # registered models are looked up at the global address, whatever tracking_uri says
    with fluent(client.tracking_uri):
        mlflow.artifacts.download_artifacts(artifact_uri=model, dst_path=str(folder), tracking_uri=client.tracking_uri)
    weights = folder / "model"
    if not (weights / "config.json").is_file():
        raise MlflowException(f"its files are not whole: {address} has no weights")
    # MLflow keeps the tokenizer beside the model; transformers expects both in one folder
    shutil.copytree(folder / "components" / "tokenizer", weights, dirs_exist_ok=True)
    return starts.Start(starts.slug(name), str(weights))


def _is_stored(run: Run, client: MlflowClient) -> bool:
    """Whether the weights of a cell were ever stored; their files may be gone since."""
    try:
        model = client.get_logged_model(run.data.tags.get(schema.MODEL_URI, ""))
    except MlflowException:  # it has none, as an imported cell, or it was deleted
        return False
    return has_weights_of_its_own(model)


def _address(model: str, client: MlflowClient) -> str:
    """Where the artifact store has the files of a version, or of a LoggedModel."""
    name = model.removeprefix("models:/").strip("/")
    if "/" not in name and "@" not in name:
        return str(client.get_logged_model(name).artifact_location)
    version = _version(model, client)
    return str(client.get_model_version_download_uri(version.name, version.version))


def _registered(client: MlflowClient) -> list[str]:
    models = [client.get_registered_model(name) for name in all_models(client)]
    return [f"models:/{model.name}@{alias}" for model in models for alias in sorted(model.aliases)]


_PREFIX = schema.model_name("")
_ALIAS = schema.start_alias("")


def address(which: ModelOptions, client: MlflowClient) -> str:
    """``which.model``, or else the address of the language's registered model: of ``start``, or the champion.

    Raises InputError, naming what there is, when there is none.
    """
    if which.model:
        return which.model
    languages = [name.removeprefix(_PREFIX) for name in names(client)]
    if not which.language:
        raise InputError(f"neither language nor model is given; {_list('registered languages', languages)}", "language")
    if which.language not in languages:
        raise InputError(
            f"language={which.language!r} has no registered model; {_list('registered languages', languages)}"
            f"{did_you_mean(which.language, languages)}",
            "language",
        )
    name = schema.model_name(which.language)
    aliases = client.get_registered_model(name).aliases
    alias = schema.start_alias(which.start) if which.start else schema.CHAMPION
    if alias not in aliases:
        known = sorted(alias.removeprefix(_ALIAS) for alias in aliases if alias.startswith(_ALIAS))
        near = did_you_mean(which.start, known) if which.start else ""
        wanted = f"start={which.start!r} is" if which.start else f"a {schema.CHAMPION} is"
        listed = _list("registered starts", known)
        raise InputError(f"{wanted} not registered for {which.language}; {listed}{near}", "start")
    return f"models:/{name}@{alias}"


def names(client: MlflowClient) -> list[str]:
    """The registered models that are called as ours are, sorted; others may share the store."""
    return [name for name in all_models(client) if name.startswith(_PREFIX)]


def _list(title: str, found: Sequence[str]) -> str:
    return f"{title}: {', '.join(found) or 'none yet'}"
