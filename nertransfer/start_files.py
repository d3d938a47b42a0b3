"""Where the files of a start are: a folder, or one commit of a repository of the Hugging Face hub in the hub's cache.

A start of the hub is looked up once in a process, and everything is then read from the folder of that one commit:
configuration, tokenizer and weights agree, whatever the hub has later or a conversion bot has proposed. Weights are
safetensors where that commit has them, else PyTorch's own format, which is read by torch's restricted unpickler.
"""

import functools
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, get_cached_repo_tree, is_offline_mode, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
)
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from nertransfer.catalogue import HUB_ID

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
PYTORCH = ("pytorch_model.bin", "pytorch_model.bin.index.json")
"""Weights in one file, and the index of weights in several."""
_SHARD = re.compile(r"(model|pytorch_model)-\d+-of-\d+\.(safetensors|bin)")
_WEIGHTS = (".safetensors", ".bin", ".h5", ".msgpack", ".ot", ".onnx", ".pt", ".pth", ".ckpt", ".gguf", ".tflite")
_NEEDLESS = (".py", ".md", ".zip", ".gz", ".png", ".jpg", ".gitattributes", ".gitignore")


@dataclass(frozen=True)
class StartFiles:
    """``folder`` with configuration, tokenizer and weights; ``safetensors``: whether the weights are; ``commit`` of the
    hub, where they come from there."""

    folder: Path
    safetensors: bool
    commit: str | None = None


class NotHere(ValueError):
    """The files are not on this machine, and could not be, or were not to be, downloaded."""


Check = Callable[[Path], None]


def locate(location: str, revision: str | None, local_only: bool = False, check: Check | None = None) -> StartFiles:
    """The files of a start: a folder's, or those of a hub id, downloaded where the cache lacks them.

    ``local_only``: download nothing. ``check``: is called with a folder that has the configuration, before the weights
    are downloaded. Raises ValueError with one line for people: no such repository or revision, no access, no weights
    that can be read; NotHere: no network and no copy in the cache, or no such folder.
    """
    if Path(location).is_dir():
        found = _checked(Path(location), None)
        if check is not None:
            check(found.folder)
        return found
    if not HUB_ID.fullmatch(location):
        raise NotHere("there is no such folder")
    return from_hub(location, revision, local_only, check)


@functools.cache
def from_hub(location: str, revision: str | None, local_only: bool, check: Check | None) -> StartFiles:
    """`locate` for a hub id, once in a process."""
    local = local_only or is_offline_mode()
    try:
        commit = HfApi().resolve_revision(location, revision=revision, local_files_only=local).resolved
        folder, names = _snapshot(location, commit, local, check)
        return _checked(folder, names, commit)
    except RevisionNotFoundError:
        raise ValueError(f"the hub's repository has no revision {revision!r}") from None
    except GatedRepoError:
        raise ValueError(
            "the hub gives it only to those who have accepted its terms: do that on its page, then log in with "
            "'hf auth login' or set HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        raise ValueError("the hub has no such repository, or it is private and HF_TOKEN does not open it") from None
    except (RevisionResolutionError, LocalEntryNotFoundError) as error:
        there = "has only a part of it" if isinstance(error, IncompleteSnapshotError) else "lacks it"
        raise NotHere(
            f"the hub's cache on this machine {there}, and {_unreachable(error, local_only)}; without a network give "
            "a folder saved by save_pretrained, or a cache (HF_HOME) that was filled elsewhere"
        ) from None


def _unreachable(error: Exception, local_only: bool) -> str:
    """Why the hub was of no help, in words."""
    cause = error.__cause__ or error
    if local_only:
        return "nothing may be downloaded here"
    if is_offline_mode():
        return "HF_HUB_OFFLINE forbids asking the hub"
    if isinstance(cause, HfHubHTTPError):
        return f"the hub answers with status {cause.response.status_code}"
    return f"the hub cannot be reached ({type(cause).__name__})"


def _snapshot(location: str, commit: str, local: bool, check: Check | None) -> tuple[Path, list[str] | None]:
    """The folder of a commit in the cache, and all files of the commit; None where nobody says which there are.

    What the hub said of them is kept in the cache: it is not asked again about a commit that was downloaded whole, and
    an incomplete download is known as one.
    """
    download = functools.partial(snapshot_download, location, revision=commit)
    with _no_bars():
        folder = Path(download(local_files_only=local, allow_patterns=["config.json"]))  # and the list of files
    if check is not None and (folder / "config.json").is_file():
        check(folder)
    try:
        names = [file.path for file in get_cached_repo_tree(location, revision=commit)]
    except CachedRepoTreeNotFoundError:  # the hub was not asked, and another program filled the cache
        return folder, None
    wanted = needed(names)
    try:
        return Path(download(local_files_only=True, allow_patterns=wanted)), names
    except LocalEntryNotFoundError:
        if local:
            raise
    return Path(download(allow_patterns=wanted)), names


@contextmanager
def _no_bars() -> Iterator[None]:
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()


def needed(names: Collection[str]) -> list[str]:
    """Those of the files of a repository that a start is loaded from: its weights in one format, and all small files.

    Nothing in a folder is needed, nor weights for other libraries, the state of an optimiser, or code.
    """
    top = sorted(name for name in names if "/" not in name)
    formats = (SAFETENSORS, PYTORCH)
    main = next((name for pair in formats for name in pair if name in top), "")
    suffix = ".safetensors" if main in SAFETENSORS else ".bin"
    shards = [name for name in top if main.endswith(".json") and _SHARD.fullmatch(name) and name.endswith(suffix)]
    other = [n for n in top if not n.endswith((*_WEIGHTS, *_NEEDLESS)) and n not in (SAFETENSORS[1], PYTORCH[1])]
    return [*other, *([main] if main else []), *shards]


def _checked(folder: Path, names: Collection[str] | None, commit: str | None = None) -> StartFiles:
    """The files in a folder; raises ValueError where there is no configuration, or there are no weights.

    ``names``: all there are of the commit; None: those in the folder."""
    if not (folder / "config.json").is_file():
        raise ValueError("there is no config.json; a start is saved by save_pretrained")
    for name in (*SAFETENSORS, *PYTORCH):
        if (folder / name).is_file():
            _check_pointer(folder / name)
            return StartFiles(folder, name in SAFETENSORS, commit)
    others = sorted(n for n in names or [path.name for path in folder.iterdir()] if n.endswith(_WEIGHTS))
    there = f"; there is {', '.join(others)}" if others else ""
    raise ValueError(f"there are no weights: neither {SAFETENSORS[0]} nor {PYTORCH[0]}{there}")


def _check_pointer(path: Path) -> None:
    """Raise ValueError where a file was cloned by a git without large files, which leaves a few lines in its place."""
    with path.open("rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            raise ValueError(f"{path.name} is a pointer of Git LFS, not the weights: run 'git lfs pull' in the folder")


def size(files: StartFiles) -> int:
    """Bytes of the weights."""
    ending = "*.safetensors" if files.safetensors else "pytorch_model*.bin"
    return sum(path.stat().st_size for path in files.folder.glob(ending))
