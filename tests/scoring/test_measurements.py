"""What was measured: written whole or not at all, read back bit for bit, refused where it does not fit."""

import dataclasses
import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nertransfer.core import schema
from nertransfer.core.options import Recipe
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Split
from nertransfer.scoring import measurements, scores
from nertransfer.scoring.measurements import Dataset, Measurements, Point, read, write
from nertransfer.training.finetune import History, learning_rate
from nertransfer.training.run_cell import CURVE_POINTS, curve

KEY = "0123456789abcdef"
DIGESTS = ("d" * 64, "e" * 64)
SMALL = Measurements(
    KEY,
    [Point("train_loss", 0.1, 1, 10, epoch=1), Point("test_f1/hau", 1 / 3, 2, dataset="hau.test")],
    [Dataset("hau.dev", "hau", "dev", DIGESTS[0], 1, 2, 3), Dataset("hau.test", "hau", "test", DIGESTS[1], 4, 5, 6)],
    {"tag": "value"},
    {"predictions/hau.test.txt": "Mun\u200b B-PER O\n\nfa\u0301 O O\n\n"},
)  # fmt: skip

NUMBERS = st.integers(0, 2**53)
POINTS = st.builds(
    Point, st.text(), st.floats(allow_nan=False, allow_infinity=False), NUMBERS, NUMBERS, st.text(), NUMBERS
)
DATASETS = st.builds(Dataset, st.text(), st.text(), st.text(), st.text(), NUMBERS, NUMBERS, NUMBERS)
TEXTS = st.dictionaries(st.text(), st.text(), max_size=4)
ANY = st.builds(Measurements, st.text(), st.lists(POINTS, max_size=8), st.lists(DATASETS, max_size=4), TEXTS, TEXTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For a test that hypothesis runs many times."""
    return tmp_path_factory.mktemp("measurements")


def bits(found: Measurements) -> list[bytes]:
    return [struct.pack("<d", point.value) for point in found.points]


# --- on disk -----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(ANY)
def test_what_was_written_is_read_back_bit_for_bit(folder: Path, found: Measurements) -> None:
    path = folder / "measured.json"
    write(found, path)
    again = read(path, found.key, [dataset.digest for dataset in found.datasets])
    assert again == found and again is not None and bits(again) == bits(found)
    assert all(type(point.value) is float for point in again.points)


@pytest.mark.parametrize("value", [5e-324, 1.7976931348623157e308, 0.1 + 0.2, -0.0, 1.0, 1e22, 2.0**53 + 2])
def test_extreme_floats_are_read_back_bit_for_bit(tmp_path: Path, value: float) -> None:
    found = Measurements(KEY, [Point("x", value, 0)])
    write(found, tmp_path / "measured.json")
    again = read(tmp_path / "measured.json", KEY, [])
    assert again is not None and bits(again) == bits(found)


def test_some_of_the_scored_datasets_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "that is new" / "measured.json"
    write(SMALL, path)
    for needed in ([], DIGESTS[:1], DIGESTS[1:], DIGESTS[::-1], iter(DIGESTS)):
        assert read(path, KEY, needed) == SMALL
    assert [file.name for file in path.parent.iterdir()] == ["measured.json"]


def test_a_dataset_that_was_not_scored_does_not_fit(tmp_path: Path) -> None:
    write(SMALL, tmp_path / "measured.json")
    assert read(tmp_path / "measured.json", KEY, [*DIGESTS, "f" * 64]) is None
    assert read(tmp_path / "measured.json", KEY, ["f" * 64]) is None


def test_another_cell_does_not_fit(tmp_path: Path) -> None:
    write(SMALL, tmp_path / "measured.json")
    for key in ("", KEY[:-1], KEY.upper()):
        assert read(tmp_path / "measured.json", key, []) is None


def test_another_format_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "measured.json"
    monkeypatch.setattr(measurements, "FORMAT", measurements.FORMAT + 1)
    write(SMALL, path)
    assert read(path, KEY, []) == SMALL
    monkeypatch.undo()
    assert read(path, KEY, []) is None
    path.write_text('{"format": 99, "entries": []}', encoding="utf-8")  # whatever else it is made of
    assert read(path, KEY, []) is None
    path.write_text(json.dumps(dataclasses.asdict(SMALL)), encoding="utf-8")
    assert read(path, KEY, []) is None


def test_what_is_no_such_file_does_not_fit(tmp_path: Path) -> None:
    assert read(tmp_path / "none.json", KEY, []) is None
    assert read(tmp_path / "none" / "none.json", KEY, []) is None
    assert read(tmp_path, KEY, []) is None
    for data in (b"", b"\xff\xfe", b"measured\n", b"{}", b"\x00" * 100):
        (tmp_path / "measured.json").write_bytes(data)
        assert read(tmp_path / "measured.json", KEY, []) is None


def test_of_another_versions_fields_nothing_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "measured.json"
    write(SMALL, path)
    ours = json.loads(path.read_text(encoding="utf-8"))
    for change in ({"points": [{"new": 1}]}, {"datasets": None}, {"tags": 3}, {"files": [1]}, {"files": {"a": {}}}):
        path.write_text(json.dumps(ours | change), encoding="utf-8")
        assert read(path, KEY, DIGESTS) is None
        assert caplog.messages[-1].startswith(f"{path} is of no use, and the cell is measured anew: ")
    assert len(caplog.messages) == 5


def test_a_file_that_was_cut_short_anywhere_does_not_fit(tmp_path: Path) -> None:
    write(SMALL, tmp_path / "measured.json")
    whole = (tmp_path / "measured.json").read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        (tmp_path / "cut.json").write_bytes(whole[:length])
        assert read(tmp_path / "cut.json", KEY, DIGESTS) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_writing_that_is_interrupted_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "measured.json"
    newer = dataclasses.replace(SMALL, tags={"tag": "newer"})

    def half(value: object, file: Any, **_: object) -> None:
        file.write(json.dumps(value)[:200])
        file.flush()
        raise error

    for before in (None, SMALL):
        with monkeypatch.context() as patch:
            patch.setattr(json, "dump", half)
            with pytest.raises(type(error)):
                write(newer, path)
        assert read(path, KEY, DIGESTS) == before and path.exists() == (before is not None)
        write(SMALL, path)
        assert read(path, KEY, DIGESTS) == SMALL and [file.name for file in tmp_path.iterdir()] == ["measured.json"]


# --- curves ------------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, Recipe]:
    """A fine-tuning that is somewhere between two epochs' ends, or over; the loss of step n is n."""
    recipe = Recipe(epochs=draw(st.integers(1, 60)), warmup_ratio=draw(st.sampled_from([0.0, 0.1])))
    steps, epochs = draw(st.integers(1, 300)), draw(st.integers(0, recipe.epochs))
    return History(
        losses=[float(step) for step in range(1, steps * epochs + 1)],
        seconds=[2.0 + epoch for epoch in range(epochs)],
        dev_f1=[epoch / 100 for epoch in range(epochs)] if draw(st.booleans()) else [],
        tokens=1000,
        steps_per_epoch=steps,
    ), recipe


def named(points: list[Point], name: str) -> list[Point]:
    return [point for point in points if point.name == name]


@settings(deadline=None)
@given(histories())
def test_points_of_the_loss_are_few_and_labelled_with_the_epoch_of_their_step(made: tuple[History, Recipe]) -> None:
    history, recipe = made
    points = curve(history, recipe)
    losses, rates = named(points, "train_loss"), named(points, "learning_rate")
    assert len(losses) <= CURVE_POINTS
    assert [point.step for point in rates] == [point.step for point in losses]
    total = history.steps_per_epoch * recipe.epochs
    every = math.ceil(total / CURVE_POINTS)
    ends = [step for step in range(1, len(history.losses) + 1) if step % every == 0 or step == total]
    assert [point.step for point in losses] == ends  # the last step is in it, too
    for point, rate in zip(losses, rates, strict=True):
        assert point.epoch == rate.epoch == math.ceil(point.step / history.steps_per_epoch)
        steps = (point.step - 1) % every + 1  # since the point before
        assert point.value == pytest.approx(point.step - (steps - 1) / 2)  # their mean
        assert rate.value == learning_rate(point.step - 1, total, recipe) > 0
    assert {point.name for point in points} <= {"train_loss", "learning_rate", schema.SPEED, "epoch_dev_f1"}


@settings(deadline=None)
@given(histories())
def test_points_of_an_epoch_are_labelled_with_it(made: tuple[History, Recipe]) -> None:
    history, recipe = made
    points = curve(history, recipe)
    speeds, scores = named(points, schema.SPEED), named(points, "epoch_dev_f1")
    epochs = list(range(1, history.epochs + 1))
    assert [(point.step, point.epoch) for point in speeds] == [(epoch, epoch) for epoch in epochs]
    assert [point.value for point in speeds] == [1000 / seconds for seconds in history.seconds]
    assert [(point.epoch, point.value) for point in scores] == list(enumerate(history.dev_f1, start=1))


@settings(deadline=None)
@given(histories())
def test_a_curve_grows_by_whole_epochs_and_never_changes(made: tuple[History, Recipe]) -> None:
    """What was shown while a cell ran, and what is delivered after that, make one curve."""
    history, recipe = made
    steps, epochs = history.steps_per_epoch, history.epochs // 2
    earlier = dataclasses.replace(
        history, losses=history.losses[: steps * epochs], seconds=history.seconds[:epochs],
        dev_f1=history.dev_f1[:epochs],
    )  # fmt: skip

    def values(points: list[Point]) -> set[tuple]:
        return {(point.name, point.step, point.epoch, point.value) for point in points}

    shown, whole = values(curve(earlier, recipe)), values(curve(history, recipe))
    assert shown == {point for point in whole if point[2] <= epochs}


def test_a_short_curve_has_every_step() -> None:
    history = History(losses=[3.0, 2.0, 1.0, 0.5], seconds=[1.0, 0.0], tokens=10, steps_per_epoch=2)
    points = curve(history, Recipe(epochs=2))
    assert [(p.step, p.epoch, p.value) for p in named(points, "train_loss")] == [
        (1, 1, 3.0), (2, 1, 2.0), (3, 2, 1.0), (4, 2, 0.5),
    ]  # fmt: skip
    assert [p.value for p in named(points, "learning_rate")] == pytest.approx([5e-5, 3.75e-5, 2.5e-5, 1.25e-5])
    assert all(math.isfinite(p.value) for p in points)


def test_before_the_first_step_there_is_no_curve() -> None:
    assert curve(History(), Recipe()) == []


# --- what a start cannot read ---------------------------------------------------------------------


@pytest.mark.parametrize(("unknown", "logged"), [(0, []), (1, [0.25]), (4, [1.0])])
def test_the_share_of_words_that_a_start_cannot_read_is_logged(unknown: int, logged: list[float]) -> None:
    split = Split("hau", "test", (Sentence(("a", "b", "c", "d"), ("B-PER", "O", "O", "O")),), "d" * 64)
    predicted = [["B-PER", "O", "O", "O"]]
    found = scores.entities(predicted)
    counted = scores.count(found, found)
    one = scores.Scored(split, predicted, scores.scores(counted), counted, found, unknown)
    points = measurements.of_scores([one]).points
    assert [point.value for point in points if point.name == "unknown_words/hau.test"] == logged
