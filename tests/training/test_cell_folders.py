"""What finished cells leave on the disk."""

from pathlib import Path

import pytest

from nertransfer.training import cell


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A work folder in which a kill, just before the cell's end, has left what it could."""
    folder = cell.cell_folder(tmp_path, "key")
    for name in ("model", "model.new", "checkpoint", "checkpoint.new", "checkpoint.old"):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.safetensors").write_text("weights")
    (folder / "measured.json").write_text("{}")
    return tmp_path


def weights_in(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.rglob("*.safetensors"))


def test_finished_cells_leave_nothing_on_the_disk(left: Path) -> None:
    cell.tidy(left, ["key", "never-here"], keep_weights=False)
    assert list((left / "cells").glob("*/*")) == []


def test_weights_that_are_to_be_kept_are_kept_alone(left: Path) -> None:
    cell.tidy(left, ["key"], keep_weights=True)
    assert weights_in(left) == ["model"]
    assert not (cell.cell_folder(left, "key") / "measured.json").exists()


def test_a_folder_that_another_process_works_in_is_left_alone(left: Path) -> None:
    with cell.cell_lock(left, "key"):
        cell.tidy(left, ["key"], keep_weights=False)
    assert len(weights_in(left)) == 5


def test_a_cleared_checkpoint_leaves_nothing_of_a_save_that_was_cut_short(left: Path) -> None:
    cell.checkpoint(left, "key").clear()
    assert weights_in(left) == ["model", "model.new"]
