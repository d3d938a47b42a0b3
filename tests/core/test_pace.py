"""How long the rest of a study takes: by the cells that ran last."""

import pytest

from nertransfer.core.console import LEAST, Display, Pace


def test_cells_of_one_length_take_as_long_as_those_before() -> None:
    pace = Pace(10, at_once=1, began=100.0)
    for number in range(1, 4):
        pace.ended(100.0 + 20.0 * number)
    assert pace.left == pytest.approx(7 * 20.0)


def test_cells_that_are_found_finished_are_no_pace() -> None:
    pace = Pace(12, at_once=1, began=0.0)
    for number in range(8):
        pace.ended(0.1 * number, ran=False)
    assert pace.left is None
    pace.ended(60.0)
    assert pace.left == pytest.approx(3 * 60.0)


def test_a_change_of_pace_is_followed() -> None:
    pace, now = Pace(100, at_once=1, began=0.0), 0.0
    for seconds in [5.0] * 30 + [50.0] * LEAST:
        now += seconds
        pace.ended(now)
    assert pace.left == pytest.approx((70 - LEAST) * 50.0)


def test_what_other_workers_have_done_counts_when_the_first_cell_ends() -> None:
    pace = Pace(8, at_once=2, began=0.0)
    for fraction in (0.0, 0.5, 0.9):
        pace.progress(0, "a", fraction)
        pace.progress(1, "b", fraction)
    pace.progress(1, "b scoring", 0.1)
    pace.ended(30.0, worker=0)
    assert pace.left == pytest.approx(6 / 2 * 30.0)


def test_a_cell_that_went_on_from_a_checkpoint_counts_with_what_was_left_of_it() -> None:
    pace = Pace(3, at_once=1, began=0.0)
    pace.progress(0, "a", 0.8)
    pace.ended(10.0, worker=0)
    assert pace.left == pytest.approx(2 * 50.0)


def test_a_cell_that_is_tried_again_in_another_worker_leaves_nothing_behind() -> None:
    pace = Pace(2, at_once=1, began=0.0)
    pace.progress(0, "a", 0.0)
    pace.progress(0, "a", 0.5)
    pace.idle(0)
    pace.progress(0, "b", 0.0)
    pace.ended(10.0, worker=0)
    assert pace.left == pytest.approx(10.0)


def test_nothing_is_left_at_the_end() -> None:
    pace = Pace(1, at_once=1, began=0.0)
    pace.ended(5.0)
    assert pace.left is None


def test_the_first_steps_tell_how_long_all_takes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("nertransfer.core.console.time.monotonic", lambda: now)
    caplog.set_level("INFO", "nertransfer")
    with Display(40, 2, watched=False) as display:
        display.progress(0, "a", 0, 100)
        display.progress(1, "b", 0, 100)
        now += 30.0
        display.progress(0, "a", 10, 100)
        display.progress(1, "b", 10, 100)
        now += 30.0
        display.progress(1, "b", 20, 100)
    first = [record.getMessage() for record in caplog.records if "first steps" in record.getMessage()]
    assert first == ["about 1 h 40 min for 40 cells at the pace of the first steps"]
