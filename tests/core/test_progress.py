"""Progress bars where nobody watches: what ends up in a log file."""

import pytest

from nertransfer.core import console


def work(steps: int) -> None:
    with console.progress_bar(steps, "predicting", "text") as bar:
        for _ in range(steps):
            bar.update()


def test_a_log_has_nothing_of_work_that_is_soon_done(capsys: pytest.CaptureFixture[str]) -> None:
    work(3)
    assert capsys.readouterr().err == ""


def test_a_log_has_lines_below_one_another(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LOG_SECONDS", 0)  # else one each half minute
    work(3)
    text = capsys.readouterr().err
    assert "\r" not in text and text.endswith("\n")
    assert [line.split(" [")[0].split()[-1] for line in text.splitlines()] == ["0/3", "1/3", "2/3", "3/3"]
    assert all(line.startswith("predicting: ") and "text" in line for line in text.splitlines())
