"""Several processes for one cell: what the launcher makes of how they end."""

from pathlib import Path

import pytest

from nertransfer import launch
from nertransfer.slurm_task import TAKEN_STATUS

SCRIPT = f"""
import os, signal, sys
if os.environ["RANK"] == "0":
    sys.exit({TAKEN_STATUS})
signal.pause()
"""


@pytest.mark.parametrize("gpus", [0, 2], ids=["torchrun", "accelerate"])
def test_the_launcher_ends_with_the_status_of_the_process_that_ended_first(
    gpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(launch, "gpus", lambda _device: gpus)
    assert launch.relaunch(2, str(script), [], "auto") == TAKEN_STATUS
    assert "Traceback" not in capfd.readouterr().err


PROGRAM = """
import os, sys
from nertransfer import commandline
from nertransfer.config import TrainConfig
from nertransfer.errors import InputError

def main(config):
    if os.environ["RANK"] in os.environ["FAILING"]:
        raise InputError("no such file")
    import time
    time.sleep(600)

commandline.MAIN_SECONDS = float(os.environ["PATIENCE"])
commandline.run(TrainConfig, main, "", ["--source", "hau"], shared=True)
"""


@pytest.mark.parametrize(("failing", "patience"), [("01", "600"), ("1", "0")], ids=["all", "one that is not the main"])
def test_what_is_wrong_with_the_input_is_told_once(
    failing: str, patience: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(PROGRAM)
    monkeypatch.setenv("FAILING", failing)
    monkeypatch.setenv("PATIENCE", patience)
    assert launch.relaunch(2, str(script), [], "cpu") == 2
    assert capfd.readouterr().err.count("error: no such file") == 1
