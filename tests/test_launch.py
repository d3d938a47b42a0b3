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
