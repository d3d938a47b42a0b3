"""The work folder: where a cell keeps its checkpoint and weights, the right to work there, and what goes at the end."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from nertransfer.folders import make_folder


def cell_folder(work_dir: Path, key: str) -> Path:
    """Where a cell keeps its checkpoint and, until they are registered, its weights."""
    return work_dir / "cells" / key


def weights_folder(work_dir: Path, key: str) -> Path:
    return cell_folder(work_dir, key) / "model"


def cell_lock(work_dir: Path, key: str, timeout: float = -1) -> FileLock:
    """The right to work in a cell's folder: two studies may have a cell in common, and one ``work_dir``."""
    path = cell_folder(work_dir, key).with_suffix(".lock")
    make_folder(path.parent, "work_dir")
    return FileLock(path, timeout)


def tidy(work_dir: Path, keys: Iterable[str], keep_weights: bool) -> None:
    """Delete what finished cells, given by their keys, have left in ``work_dir``: weights, and what a kill just before
    the end left over.

    The best of their seeds are in the artifact store by now. Folders that another process works in are left alone.
    """
    for key in keys:
        try:
            with cell_lock(work_dir, key, timeout=0):
                for path in cell_folder(work_dir, key).glob("*"):
                    if path != weights_folder(work_dir, key):
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                if not keep_weights:
                    shutil.rmtree(cell_folder(work_dir, key), ignore_errors=True)
        except (Timeout, FileNotFoundError):  # another study that shares the folder is at work in it, or tidies too
            continue
