"""Writes a tracked model to a folder that transformers loads on its own and a model hub shows; uploads it if asked."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from nertransfer.core import schema
from nertransfer.core.config import ExportConfig
from nertransfer.core.errors import InputError
from nertransfer.core.files import make_folder, only_maker
from nertransfer.core.grid import languages_of
from nertransfer.encoders import starts
from nertransfer.registry import card_facts, model_card, standalone
from nertransfer.serving import onnx_graph
from nertransfer.tracking import model_uris, study_data
from nertransfer.tracking.secrets import hide
from nertransfer.tracking.store import MlflowClient, ModelVersion, Run, Study

logger = logging.getLogger("nertransfer")

MANIFEST = "nertransfer_export.json"
"""Lists every file of an export with its SHA-256: a folder is overwritten only where nothing else is in it."""
TOKEN = "HF_TOKEN"
FORGOTTEN = (
    "## What is not known any more\n\nThe run that made this version, `{}`, was deleted from its tracking store. What "
    "stands above was written when the version was registered. Scores that it does not have, the predictions, the "
    "resources used and the versions of libraries are gone."
)
"""The end of a card whose run was deleted; the run's id is to be filled in."""


def export(config: ExportConfig, client: MlflowClient) -> Path:
    """Write the model that the configuration names; returns its folder.

    Weights (safetensors, whole vocabulary), tokenizer, configuration with the labels, and the model card as README.md.
    The folder appears whole or not at all. Raises InputError, before anything is written, when the model is not there,
    when the folder holds what no export has written, or when there is no token to upload with.
    """
    token = _token(config.push_to)
    onnx_graph.check(config.variant)
    address = model_uris.address(config.which, client)
    run, version = model_uris.origin(address, client)
    # weights and card of one version, if the alias moves
    model = model_uris.fixed(version) if version else address
    if run is not None:
        study = Study(client, run.info.experiment_id, client.get_experiment(run.info.experiment_id).name)
        config = _settled(config, study, run)
        fill: Callable[[Path, starts.Start], None] = partial(_fill, config, study, run, version)
    else:
        assert version is not None
        logger.warning("the run of %s was deleted: the card is what the registry kept of it", model)
        fill = partial(_fill_without_run, config, version)
    folder = Path(config.output).absolute() / _folder_name(address, run)
    _check_ours(folder)  # also before there is a lock
    make_folder(folder.parent, "output")
    with only_maker(folder):
        _recover(folder)
        _check_ours(folder)
        with model_uris.local_copy(model, client, Path(config.data.work_dir)) as start:
            _write_whole(folder, lambda part: fill(part, start))
    if config.push_to:
        _push(folder, config.push_to, token)
    return folder


def _settled(config: ExportConfig, study: Study, run: Run) -> ExportConfig:
    """The configuration with the corpora that the model's cell was made on; without where they are not there.

    Raises InputError where the study or the data that are given are not the model's.
    """
    if config.tracking.study not in ("", study.name):
        raise InputError(f"study={config.tracking.study!r} is not the model's: that is of {study.name}", "study")
    whose = f"study {study.name}"
    if config.data.data:
        sources = languages_of(run.data.tags.get(schema.SOURCE, ""))
        known = study_data.digests_of([run])
        study_data.check(config.data, {name: known[name] for name in sources if name in known}, whose)
        return config
    try:
        recorded = study_data.recorded([run]) or study_data.of_study(study)
        return replace(config, data=study_data.options(config.data, recorded, whose, study.uri))
    except InputError as error:
        logger.warning("%s", error)
        return config


def _folder_name(address: str, run: Run | None) -> str:
    """ner-hau-champion, ner-hau-3, or a run's name; people may rename runs as they like."""
    if run is None or address.startswith("models:/"):
        return starts.slug(address.removeprefix("models:/"))
    return starts.slug(run.info.run_name) or run.info.run_id


def _save(folder: Path, start: starts.Start) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    model, tokenizer, _ = starts.load_tagger(start)
    with starts.quiet():
        model.save_pretrained(folder)
        standalone.ready(tokenizer).save_pretrained(folder)
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)  # it was for its owner alone
    return model, tokenizer


def _fill_without_run(config: ExportConfig, version: ModelVersion, folder: Path, start: starts.Start) -> None:
    """The export of a version whose run was deleted for good: its card is its description."""
    model, tokenizer = _save(folder, start)
    more = ""
    if config.variant != "torch":
        more = "\n" + onnx_graph.write(model, tokenizer, folder, config.variant, [])
    text = f"{version.description.rstrip()}\n{more}\n{FORGOTTEN.format(version.run_id)}\n"
    (folder / "README.md").write_text(text, encoding="utf-8")
    _list(folder, config, "", version)


def _fill(
    config: ExportConfig, study: Study, run: Run, version: ModelVersion | None, folder: Path, start: starts.Start
) -> None:
    model, tokenizer = _save(folder, start)
    selection_split = version.tags.get(schema.SELECTION_SPLIT, "") if version else ""
    corpora = card_facts.corpora_at_hand(config.data)
    card = card_facts.collect(study, run, _rivals(study, run, version), selection_split, corpora)
    more = ""
    if config.variant != "torch":
        sentences = card_facts.predictions(study, run, card.source)
        more = onnx_graph.write(model, tokenizer, folder, config.variant, sentences)
    text = model_card.readme(card, model_card.hub_snippet(card, config.push_to or "."), more)
    (folder / "README.md").write_text(text, encoding="utf-8")
    _list(folder, config, run.info.run_name, version, run.data.tags[schema.CELL_KEY])


def _list(folder: Path, config: ExportConfig, model: str, version: ModelVersion | None, key: str = "") -> None:
    """Write the manifest; the cell's ``key`` is the version's unless told."""
    manifest = {
        "model": model,
        "registered": f"{version.name} version {version.version}" if version else "",
        schema.CELL_KEY: key or (version.tags[schema.CELL_KEY] if version else ""),
        "variant": config.variant,
        "files": _digests(folder),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _rivals(study: Study, run: Run, version: ModelVersion | None) -> list[Run]:
    """The seeds that the version was compared with when it was registered; of a run, all that there are."""
    found = card_facts.rivals_of(study, run)
    if version is None or schema.SEEDS_COMPARED not in version.tags:
        return found
    seeds = version.tags[schema.SEEDS_COMPARED].split(",")
    return [one for one in found if one.data.tags[schema.SEED] in seeds]


# --- the folder -----------------------------------------------------------------------------------------------------


def _beside(folder: Path, what: str) -> Path:
    """A hidden name in the same folder: ``.part`` while it is written, ``.old`` while it is replaced."""
    return folder.with_name(f".{folder.name}.{what}")


def _recover(folder: Path) -> None:
    """Put right what an export that was killed has left."""
    old = _beside(folder, "old")
    if old.is_dir() and not folder.exists():  # killed between the two renames
        old.rename(folder)
    for what in ("part", "old"):
        shutil.rmtree(_beside(folder, what), ignore_errors=True)


def _check_ours(folder: Path) -> None:
    """Raise InputError unless the folder is absent, empty, or just as an export has left it."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"output: {folder} is a file; choose another output", "output")
    present = _digests(folder)
    if not present and not (folder / MANIFEST).exists():
        return
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        known: Mapping[str, str] = dict(files)
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"output: {folder} was not written by export (it has no readable {MANIFEST}); move it away or choose "
            "another output", "output",
        ) from None  # fmt: skip
    changed = sorted(name for name in known.keys() | present.keys() if known.get(name) != present.get(name))
    if changed:
        raise InputError(
            f"output: {folder} has been changed since it was exported ({', '.join(changed[:5])}); move it away or "
            "choose another output", "output",
        )  # fmt: skip


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the manifest, by path inside the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    found = {}
    for path in paths:
        with path.open("rb") as file:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _write_whole(folder: Path, fill: Callable[[Path], None]) -> None:
    part = _beside(folder, "part")
    part.mkdir()
    try:
        fill(part)
        if folder.exists():
            folder.rename(_beside(folder, "old"))
        part.rename(folder)
    finally:
        _recover(folder)


# --- the hub --------------------------------------------------------------------------------------------------------


def _token(push_to: str) -> str:
    if not push_to:
        return ""
    try:
        validate_repo_id(push_to)
    except HFValidationError as error:
        raise InputError(f"push_to={push_to!r} is not allowed: {error}", "push_to") from None
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise InputError(f"push_to={push_to} needs a token of the hub that may write there, in {TOKEN}", "push_to")
    return token


def _push(folder: Path, repository: str, token: str) -> None:
    """Upload the folder as one commit; a repository that does not exist is made, and is private."""
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        graphs = list(onnx_graph.FILES.values())  # of another variant, exported before
        api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Export of nertransfer", delete_patterns=graphs
        )
    except (HTTPError, OSError) as error:
        reason = hide(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
        raise InputError(
            f"push_to={repository}: {reason}; the export itself is whole, in {folder}", "push_to"
        ) from None  # fmt: skip
