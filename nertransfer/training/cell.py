"""The identity of a cell, its key, and where its checkpoint and weights are kept. No tracking: it needs no MLflow."""

import functools
import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from nertransfer.core.errors import InputError
from nertransfer.core.files import make_folder
from nertransfer.core.grid import AFTER, ALONE, NONE, FewShot
from nertransfer.core.options import Recipe
from nertransfer.corpora.corpus import Corpus
from nertransfer.encoders import starts
from nertransfer.training.checkpoint import Checkpoint

RESULT_VERSION = 3
"""Raised by hand whenever a change of this code may change numbers; part of every cell key."""


_VERSIONED = ("torch", "transformers", "tokenizers", "accelerate")


@dataclass(frozen=True)
class Cell:
    """One fine-tuning. ``identity`` is the start's, so a renamed start is the same cell only by ``key``."""

    start: starts.Start
    identity: starts.Identity
    source: str
    seed: int
    recipe: Recipe
    corpus_digests: tuple[str, ...]
    few_shot: FewShot | None = None
    few_shot_digest: str = ""
    """Of the train split that the few sentences are drawn from."""

    @property
    def configuration(self) -> str:
        source = self.few_shot.with_source(self.source) if self.few_shot else self.source
        return f"{self.start.name}-{source}"

    @property
    def own(self) -> str:
        """What the cell has labelled sentences of: its source, or without one the language of the few."""
        return self.few_shot.language if self.few_shot and self.source == NONE else self.source

    @property
    def first_stage(self) -> "Cell | None":
        """The cell whose weights this one goes on from."""
        if self.few_shot is None or self.few_shot.mode != AFTER:
            return None
        return replace(self, few_shot=None, few_shot_digest="")

    @property
    def name(self) -> str:
        """Short run name, such as ``swa-hau-s3``."""
        return f"{self.configuration}-s{self.seed}"

    @property
    def place(self) -> tuple[str, str, str]:
        """What makes two finished runs the same for a study: key, start's name, source's name."""
        return self.key, self.start.name, self.source

    @property
    def key(self) -> str:
        """Digest of all that can change the cell's weights: start, data, recipe, seed, versions."""
        parts = {
            "start": self.identity.digest,
            "corpus": self.corpus_digests,
            "recipe": self.recipe.identity,
            "seed": self.seed,
            "versions": _versions(),
            "result_version": RESULT_VERSION,
        }
        if self.few_shot:
            parts["few_shot"] = [self.few_shot_digest, self.few_shot.sentences, self.few_shot.mode]
        return _digest(parts)[:32]


@functools.cache
def _versions() -> dict[str, str]:
    return {name: version(name).partition("+")[0] for name in _VERSIONED}


def recipe_digest(recipe: Recipe) -> str:
    """Sixteen hexadecimal digits that stand for a recipe."""
    return _digest(recipe.identity)[:16]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def few_shot_fits(target: Corpus, sentences: int) -> None:
    """Raises InputError where the target has fewer train sentences than are asked for."""
    there = len(target.train.sentences)
    if sentences > there:
        raise InputError(
            f"few_shot_sentences={sentences} is not allowed: the train split of {target.language} has {there}",
            "few_shot_sentences", str(sentences),
        )  # fmt: skip


def make_cell(
    start: starts.Start,
    identity: starts.Identity,
    corpus: Corpus,
    seed: int,
    recipe: Recipe,
    few_shot: FewShot | None = None,
    target: Corpus | None = None,
) -> Cell:
    """The cell of a start on a corpus. The dev split is part of it only where it chooses the epoch.

    ``few_shot``: sentences of ``target`` that are used besides; alone, ``corpus`` is the target's. Raises InputError
    when the recipe's window is longer than the start takes, or the target has fewer sentences than are asked for.
    """
    if few_shot and target:
        few_shot_fits(target, few_shot.sentences)
    if recipe.max_length > identity.max_length:
        raise InputError(
            f"max_length={recipe.max_length} is not allowed: the start {start.name} takes at most "
            f"{identity.max_length} sub-tokens",
            "max_length",
        )
    if identity.commit:  # every later load takes the very commit that was identified
        start = replace(start, revision=identity.commit)
    digests = (corpus.train.digest, *((corpus.dev.digest,) if recipe.epoch_choice == "best" else ()))
    if few_shot is None or target is None:
        return Cell(start, identity, corpus.language, seed, recipe, digests)
    source = NONE if few_shot.mode == ALONE else corpus.language
    return Cell(start, identity, source, seed, recipe, digests, few_shot, target.train.digest)


def cell_folder(work_dir: Path, key: str) -> Path:
    """Where a cell keeps its checkpoint and, until they are registered, its weights."""
    return work_dir / "cells" / key


def checkpoint(work_dir: Path, key: str) -> Checkpoint:
    """What a cell that is cut short goes on from."""
    return Checkpoint(cell_folder(work_dir, key) / "checkpoint", key)


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
