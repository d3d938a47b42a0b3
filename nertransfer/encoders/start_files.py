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

from nertransfer.encoders.catalogue import HUB_ID

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
PYTORCH = ("pytorch_model.bin", "pytorch_model.bin.index.json")
"""Weights in one file, and the index of weights in several."""
_SHARD = re.compile(r"(model|pytorch_model)-\d+-of-\d+\.(safetensors|bin)")
_VOCABULARY = re.compile(r"^(tokenizer|vocab|merges|sentencepiece|spiece|source|bpe)")
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
    folder = Path(location)
    if folder.is_dir():
        found = _checked(folder, None)
        if check is not None:
            check(folder)
        return found
    if not HUB_ID.fullmatch(location):
        raise NotHere("there is no such folder")
    local = local_only or is_offline_mode()
    with _in_words(location, revision, local_only):
        commit = _commit(location, revision, local)
        folder = _configuration(location, commit, local)
        if check is not None and (folder / "config.json").is_file():
            check(folder)
        return _files(location, commit, local)


@contextmanager
def _in_words(location: str, revision: str | None, local_only: bool) -> Iterator[None]:
    """Errors of the hub's library as ValueError or NotHere."""
    try:
        yield
    except RevisionNotFoundError:
        raise ValueError(f"the hub's repository has no revision {revision!r}") from None
    except GatedRepoError:
        raise ValueError(
            "the hub gives it only to those who have accepted its terms: do that on its page, then log in with "
            "'hf auth login' or set HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        raise ValueError(
            f"there is no folder of that name here ({Path.cwd()}), and the hub has no such repository, or it is "
            "private and HF_TOKEN does not open it"
        ) from None
    except (RevisionResolutionError, LocalEntryNotFoundError) as error:
        there = "only a part of it is" if isinstance(error, IncompleteSnapshotError) else "it is not"
        raise NotHere(
            f"{there} in the Hugging Face cache on this machine, and {_unreachable(error, local_only)}; without a "
            "network give a folder saved by save_pretrained, or a cache (HF_HOME) that was filled elsewhere"
        ) from None


@functools.cache
def _commit(location: str, revision: str | None, local: bool) -> str:
    """The commit of a revision, asked once in a process."""
    return HfApi().resolve_revision(location, revision=revision, local_files_only=local).resolved


def _configuration(location: str, commit: str, local: bool) -> Path:
    """The folder of a commit in the cache, with the configuration in it. What the hub says of the commit's files is
    kept in the cache, too."""
    only = ["config.json"]
    with _no_bars():
        return Path(snapshot_download(location, revision=commit, local_files_only=local, allow_patterns=only))


@functools.cache
def _files(location: str, commit: str, local: bool) -> StartFiles:
    """The files of a commit. The hub is not asked again about one that was downloaded whole."""
    folder = _configuration(location, commit, local)
    try:
        names = [file.path for file in get_cached_repo_tree(location, revision=commit)]
    except CachedRepoTreeNotFoundError:  # the hub was not asked, and another program filled the cache
        return _checked(folder, None, commit, whole=False)
    download = functools.partial(snapshot_download, location, revision=commit)
    try:
        download(local_files_only=True, allow_patterns=needed(names))
    except LocalEntryNotFoundError:
        if not local:
            download(allow_patterns=needed(names))
        else:  # another program may have left out what we can do without
            download(local_files_only=True, allow_patterns=essential(names))
    return _checked(folder, names, commit)


def _unreachable(error: Exception, local_only: bool) -> str:
    """Why the hub was of no help, in words."""
    cause = error.__cause__ or error
    if local_only:
        return "this command downloads nothing"
    if is_offline_mode():
        return "HF_HUB_OFFLINE is set"
    if isinstance(cause, HfHubHTTPError):
        return f"the hub answers with status {cause.response.status_code}"
    return f"the hub cannot be reached ({type(cause).__name__})"


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
    other = [n for n in top if not n.endswith((*_WEIGHTS, *_NEEDLESS)) and n not in (SAFETENSORS[1], PYTORCH[1])]
    return [*other, *_weights(top)]


def essential(names: Collection[str]) -> list[str]:
    """Those of the needed files that no start can do without: configuration, weights, vocabulary."""
    found = needed(names)
    return [name for name in found if name == "config.json" or name in _weights(found) or _VOCABULARY.search(name)]


def _weights(names: Collection[str]) -> list[str]:
    """The files with the weights, in one format."""
    main = next((name for name in (*SAFETENSORS, *PYTORCH) if name in names), "")
    suffix = ".safetensors" if main in SAFETENSORS else ".bin"
    shards = [name for name in names if main.endswith(".json") and _SHARD.fullmatch(name) and name.endswith(suffix)]
    return [main, *shards] if main else []


def _checked(folder: Path, names: Collection[str] | None, commit: str | None = None, whole: bool = True) -> StartFiles:
    """The files in a folder; raises ValueError where there is no configuration, or there are no weights.

    ``names``: all there are of the commit; None: those in the folder. ``whole``: the hub has no others; else raises
    IncompleteSnapshotError where there are no weights."""
    if not (folder / "config.json").is_file() and whole:
        raise ValueError("there is no config.json; a start is saved by save_pretrained")
    for name in (*SAFETENSORS, *PYTORCH):
        if (folder / name).is_file():
            _check_beginning(folder / name)
            return StartFiles(folder, name in SAFETENSORS, commit)
    if not whole:
        raise IncompleteSnapshotError("no weights", snapshot_path=str(folder))
    others = sorted(n for n in names or [path.name for path in folder.iterdir()] if n.endswith(_WEIGHTS))
    unread = [n for n in (*SAFETENSORS, *PYTORCH) if n in others]
    there = f"; {unread[0]} is no file" if unread else f"; there is {', '.join(others)}" if others else ""
    raise ValueError(f"there are no weights: neither {SAFETENSORS[0]} nor {PYTORCH[0]}{there}")


def _check_beginning(path: Path) -> None:
    """Raise ValueError where a file begins as no weights do."""
    with path.open("rb") as file:
        beginning = file.read(40)
    if beginning.startswith(b"version https://git-lfs"):  # cloned without large files
        raise ValueError(f"{path.name} is a pointer of Git LFS, not the weights: run 'git lfs pull' in the folder")
    if path.name == PYTORCH[0] and not beginning.startswith((b"PK", b"\x80")):  # a zip archive, or an older pickle
        raise ValueError(f"{path.name} is damaged, or is not a checkpoint of PyTorch: get it anew")


def size(files: StartFiles) -> int:
    """Bytes of the weights."""
    ending = "*.safetensors" if files.safetensors else "pytorch_model*.bin"
    return sum(path.stat().st_size for path in files.folder.glob(ending))
