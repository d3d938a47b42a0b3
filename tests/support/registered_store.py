"""A store with registered tiny models, made in this process: a cell is fine-tuned in a second."""

from pathlib import Path

import mlflow
import pytest
from folder_store import opened
from tiny import save_tiny_corpora, save_tiny_start

from nertransfer.core.commandline import build
from nertransfer.core.config import TrainConfig
from nertransfer.corpora.corpus import load
from nertransfer.registry import register as registration
from nertransfer.registry.aliases import Change
from nertransfer.studies import runner
from nertransfer.studies import study as studies
from nertransfer.tracking import runs
from nertransfer.tracking.store import Study

SETTINGS = {"epochs": "6", "learning_rate": "5e-3", "batch_size": "8", "max_length": "32", "device": "cpu",
            "start": "tiny=tiny", "data": "data", "source": "aaa", "keep_weights": "true"}  # fmt: skip
FIRST = "first"


def make_data(folder: Path) -> None:
    """A start, ``tiny``, and corpora, ``data``; the tests work in their folder."""
    save_tiny_start(folder / "tiny")
    save_tiny_corpora(folder / "data")


def make(folder: Path) -> Path:
    """A folder with a study of one registered cell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_data(folder)
        study = opened(folder, FIRST)
        train(study, 0)
        register(study)
    return folder


def opened_for_mlflow(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    """The study, from its folder, which MLflow's own functions work on, too."""
    patch.chdir(folder)
    study = opened(folder, FIRST)
    mlflow.set_tracking_uri(study.uri)
    mlflow.set_registry_uri(study.uri)
    return study


def train(study: Study, seed: int, **changes: str) -> None:
    config = build(TrainConfig, SETTINGS | {"seed": str(seed)} | changes)
    runner.train(config, study, studies.make_accelerator(config.recipe, config.run))


def register(study: Study, *replace: str) -> list[Change]:
    """What registering changes; with the corpora at hand."""
    corpora = load(build(TrainConfig, SETTINGS).data)
    cells = runs.finished_places(study)
    return registration.register(study, cells, Path("work"), replace=replace, corpora=corpora)
