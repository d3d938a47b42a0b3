"""What finished cells leave on the disk."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from nertransfer import registry, schema
from nertransfer.finetune import clear_checkpoint


def run_with(key: str) -> SimpleNamespace:
    return SimpleNamespace(data=SimpleNamespace(tags={schema.CELL_KEY: key}))


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A work folder in which a kill, just before the cell's end, has left what it could."""
    folder = registry.cell_folder(tmp_path, "key")
    for name in ("model", "model.new", "checkpoint", "checkpoint.new", "checkpoint.old"):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.safetensors").write_text("weights")
    (folder / "measured.json").write_text("{}")
    return tmp_path


def weights_in(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.rglob("*.safetensors"))


def test_finished_cells_leave_nothing_on_the_disk(left: Path) -> None:
    registry.tidy(left, [run_with("key"), run_with("never-here")], keep_weights=False)  # type: ignore[list-item]
    assert list((left / "cells").glob("*/*")) == []


def test_weights_that_are_to_be_kept_are_kept_alone(left: Path) -> None:
    registry.tidy(left, [run_with("key")], keep_weights=True)  # type: ignore[list-item]
    assert weights_in(left) == ["model"]
    assert not (registry.cell_folder(left, "key") / "measured.json").exists()


def test_a_folder_that_another_process_works_in_is_left_alone(left: Path) -> None:
    with registry.cell_lock(left, "key"):
        registry.tidy(left, [run_with("key")], keep_weights=False)  # type: ignore[list-item]
    assert len(weights_in(left)) == 5


def test_a_cleared_checkpoint_leaves_nothing_of_a_save_that_was_cut_short(left: Path) -> None:
    folder = registry.cell_folder(left, "key")
    clear_checkpoint(folder / "checkpoint")
    assert weights_in(left) == ["model", "model.new"]
