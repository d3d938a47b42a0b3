"""What a command prints on a terminal: each of its lines once, whatever bars are drawn, and nothing of libraries."""

import logging
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from folder_store import make_store
from project_scripts import ROOT
from terminal import terminal
from tiny import save_tiny_corpora, save_tiny_start

from nertransfer.core import console

LANGUAGES = ("aaa", "bbb")
SETTINGS = ["--data", "data", "--device", "cpu", "--max_length", "32", "--epochs", "2", "--batch_size", "8"]
BAR = re.compile(r"\d+%\||\[\d\d:\d\d|^worker \d+:|^: ")
OURS = re.compile(
    r"\d+ cells?: |\[\d+/\d+\] |ner-|\d+ cells? run, |report: |where the time went: |[a-z ]+ \d+\.\d s +\d|"
    r"importing, reading, |in MLflow |means over seeds|champions compared|every cell|charts|tiny-"
)
"""How our lines begin."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("console")
    save_tiny_start(folder / "tiny")
    save_tiny_corpora(folder / "data", LANGUAGES)
    make_store(folder)
    return folder


def shown(python: str, folder: Path, *arguments: str) -> list[str]:
    """The lines of a command that succeeds, without bars."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MPLCONFIGDIR": str(folder)}
    command = [python, str(ROOT / "entrypoints" / f"{arguments[0]}.py"), *arguments[1:]]
    with terminal(command, folder, environment) as screen:
        assert screen.wait() == 0, screen.lines
    return [line for line in screen.lines if not BAR.search(line)]


def test_a_terminal_shows_each_line_once_and_nothing_of_libraries(python: str, folder: Path) -> None:
    study = shown(python, folder, "study", *SETTINGS, "--starts", "tiny=tiny", "--seeds", "0,1", "--workers", "2")
    ended = [line for line in study if re.match(r"\[\d/4\] ", line)]
    assert sorted(line[:5] for line in ended) == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    trained = shown(python, folder, "train", *SETTINGS, "--start", "tiny=tiny", "--seed", "7", "--source", "aaa")
    analysed = shown(python, folder, "analyse", "--data", "data")
    assert len(trained) == len(analysed) == 1
    for lines in (study, trained, analysed):
        assert [line for line, times in Counter(lines).items() if times > 1] == []
        assert [line for line in lines if not OURS.match(line)] == []


def test_a_line_stands_above_the_bar_and_not_behind_it() -> None:
    program = (
        "import logging; from nertransfer.core import console; console.prepare()\n"
        "with console.progress_bar(9, 'work', 'step') as bar:\n"
        "    bar.update(); bar.refresh(); logging.getLogger('nertransfer').info('a line'); bar.update()\n"
    )
    with terminal([sys.executable, "-c", program], ROOT, os.environ) as screen:
        assert screen.wait() == 0
    assert screen.lines.count("a line") == 1  # not glued to a bar
    assert sum("work:" in line for line in screen.lines) >= 2  # drawn again below it


def test_a_record_that_a_library_has_printed_itself_is_not_printed_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = logging.getLogger("some_library")
    monkeypatch.setattr(library, "handlers", [logging.StreamHandler()])
    lines = console.LinesAboveBars()
    for name in ("some_library", "some_library.part", "another"):
        lines.handle(logging.LogRecord(name, logging.WARNING, "", 0, f"of {name}", None, None))
    assert capsys.readouterr().err == "of another\n"


def test_libraries_are_quiet_but_for_what_a_user_must_see() -> None:
    """In a process of its own, for they read the variables when they are imported."""
    program = """if True:
        from nertransfer.core import console
        console.prepare()
        import logging, types, warnings
        import huggingface_hub, transformers
        from mlflow.store.tracking.rest_store import RestStore
        from mlflow.tracking._tracking_service.client import TrackingServiceClient
        from transformers.utils import logging as theirs
        for name, level in (("mlflow.store.db.utils", "info"), ("alembic.runtime.migration", "info"),
                            ("huggingface_hub.utils._http", "warning"), ("matplotlib.font_manager", "warning"),
                            ("accelerate.utils", "warning")):
            getattr(logging.getLogger(name), level)("noise of %s", name)
        theirs.get_logger("transformers.modeling_utils").warning("noise of a report of loading")
        warnings.warn("noise for developers", FutureWarning)
        store = RestStore(lambda: None)
        TrackingServiceClient._log_url(types.SimpleNamespace(store=store), "run")
        logging.getLogger("urllib3").warning("a warning")
        warnings.warn("a number overflows", RuntimeWarning)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and "noise" not in done.stderr.replace('warn("noise', "")
    assert "a warning" in done.stderr and "RuntimeWarning: a number overflows" in done.stderr
