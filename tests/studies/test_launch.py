"""Several processes for one cell: what the launcher makes of how they end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from accelerate_config import CONFIG_FILE
from project_scripts import ROOT

from nertransfer.encoders import device
from nertransfer.studies.executors import launch
from nertransfer.studies.executors.slurm_task import TAKEN_STATUS

SCRIPT = f"""
import os, signal, sys
if os.environ["RANK"] == "0":
    sys.exit({TAKEN_STATUS})
signal.pause()
"""


@pytest.mark.parametrize("gpus", [0, 2], ids=["CPU", "GPUs"])
def test_the_launcher_ends_with_the_status_of_the_process_that_ended_first(
    gpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(device, "gpus", lambda _device: gpus)
    assert launch.relaunch(2, str(script), [], "auto") == TAKEN_STATUS
    assert "Traceback" not in capfd.readouterr().err


SETTINGS = """
import os
from nertransfer.commands import run
from nertransfer.core.config import TrainConfig

def main(config):
    settings = sorted(name for name in os.environ if name.startswith(("ACCELERATE_", "FSDP_", "TORCHDYNAMO_")))
    print(f"rank {os.environ['RANK']}: {settings}", flush=True)

run.run(TrainConfig, main, "", ["--source", "hau", "--data", "mine"], shared=True)
"""


@pytest.mark.parametrize(
    "launcher",
    [[], ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]],
    ids=["ours", "accelerate launch"],
)
def test_processes_know_nothing_of_what_accelerate_config_has_written(
    launcher: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Accelerate's own launcher turns its file into variables; ours does not read it."""
    script = tmp_path / "train.py"
    script.write_text(SETTINGS)
    (tmp_path / "accelerate").mkdir()
    (tmp_path / "accelerate" / "default_config.yaml").write_text(CONFIG_FILE)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
    if launcher:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, *launcher, str(script)], env=environment, check=True)
    else:
        monkeypatch.setattr(device, "gpus", lambda _device: 2)
        assert launch.relaunch(2, str(script), [], "auto") == 0
    said = capfd.readouterr()
    assert sorted(said.out.splitlines()) == ["rank 0: []", "rank 1: []"]
    (line,) = [line for line in said.err.splitlines() if line.startswith("ignoring environment variables")]
    assert "TORCHDYNAMO_DISABLE" in line and ("ACCELERATE_MIXED_PRECISION" in line) == bool(launcher)


PROGRAM = """
import os, sys
from nertransfer.commands import run
from nertransfer.core.config import TrainConfig
from nertransfer.core.errors import InputError

def main(config):
    if os.environ["RANK"] in os.environ["FAILING"]:
        raise InputError("no such file")
    import time
    time.sleep(600)

run.MAIN_SECONDS = float(os.environ["PATIENCE"])
run.run(TrainConfig, main, "", ["--source", "hau", "--data", "mine"], shared=True)
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


# --- killed -------------------------------------------------------------------------------------------------------

BEGIN = """
import sys
from nertransfer.core import processes
from nertransfer.studies.executors import launch
import signal
signal.signal(signal.SIGINT, processes.handle_interrupt)
signal.signal(signal.SIGTERM, processes.handle_interrupt_once)
launch.relaunch(2, sys.argv[1], [], "cpu")
"""
WAITS = """
import os, time
from nertransfer.commands import run
from nertransfer.core import processes
from nertransfer.core.config import TrainConfig

def main(config):
    if os.environ["BLOCKED"]:
        from torch import distributed
        distributed.init_process_group("gloo")
    os.write(1, b"%d\\n" % os.getpid())  # at once, for both write
    if os.environ["BLOCKED"] and os.environ["RANK"] == "1":
        distributed.barrier()
    time.sleep(600)

run.run(TrainConfig, main, "", ["--source", "hau", "--data", "mine"], shared=True)
"""


@pytest.mark.parametrize(
    ("victim", "number", "blocked"),
    [
        ("parent", signal.SIGKILL, False),
        ("parent", signal.SIGTERM, False),
        ("launcher", signal.SIGKILL, True),
    ],
)
def test_no_process_is_left_of_a_cell_that_is_killed(
    victim: str, number: signal.Signals, blocked: bool, tmp_path: Path
) -> None:
    """Of the command, the launcher it starts and the launcher's two processes; one may wait for the other for ever."""
    script = tmp_path / "train.py"
    script.write_text(WAITS)
    parent = subprocess.Popen(
        [sys.executable, "-c", BEGIN, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "BLOCKED": "yes" if blocked else ""}, process_group=0,
    )  # fmt: skip
    assert parent.stdout is not None
    processes = [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]
    (launcher,) = {process.ppid() for process in processes}
    processes.append(psutil.Process(launcher))
    os.kill(parent.pid if victim == "parent" else launcher, number)
    _, left = psutil.wait_procs(processes, timeout=30)
    for process in left:
        process.kill()
    parent.wait(30)
    assert not left
