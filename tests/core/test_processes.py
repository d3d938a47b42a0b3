"""Pools of processes: they end with the one that made them, whatever ended it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from project_scripts import ROOT

from nertransfer.core import processes
from nertransfer.core.processes import process_pool, start_method

MADE = """
import os, signal, sys
from nertransfer.core.processes import process_pool
if __name__ == "__main__":
    pool = process_pool(2, os.putenv, ("BEGUN", "yes"))
    print(*{pool.submit(os.getpid).result() for _ in range(20)}, flush=True)
    sys.stdin.read()
"""


def test_processes_of_a_killed_one_end(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(MADE)
    running = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    children = [psutil.Process(int(pid)) for pid in running.stdout.readline().split()]
    assert children and all(child.is_running() for child in children)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    _, left = psutil.wait_procs(children, timeout=60)
    for child in left:
        child.kill()
    assert not left


def test_each_begins_with_what_it_is_given() -> None:
    with process_pool(1, os.putenv, ("BEGUN", "yes")) as pool:
        assert pool.submit(subprocess.check_output, ["printenv", "BEGUN"]).result() == b"yes\n"


IMPORTS = """
import signal
from nertransfer.core.processes import handle_interrupt, start_importing
signal.signal(signal.SIGTERM, handle_interrupt)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it runs in the background ignore it
start_importing(["slow"])
try:
    print("ready", flush=True)
    signal.pause()
except KeyboardInterrupt:
    pass
"""
SLOW = """
import sys
print("begun", flush=True)
sys.stdin.read(1)
print("done", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_starts_processes_goes_on_when_all_are_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    """Without it nobody would hear of how those it has started end; an import it is at would end in a stack trace."""
    (tmp_path / "script.py").write_text(IMPORTS)
    (tmp_path / "slow.py").write_text(SLOW)
    running = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0,
    )  # fmt: skip
    assert running.stdout is not None
    assert {running.stdout.readline() for _ in range(2)} == {"begun\n", "ready\n"}
    os.killpg(running.pid, number)
    assert running.communicate(".", timeout=60) == ("done\n", "")


@pytest.mark.parametrize(("platform", "method"), [("linux", "forkserver"), ("darwin", "spawn")])
def test_nothing_is_forked_on_a_mac(monkeypatch: pytest.MonkeyPatch, platform: str, method: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert start_method() == method


WORKER = """
import multiprocessing, sys
sys.path.insert(0, {root!r})
from nertransfer.core.processes import start_importing, start_method

def where():
    print(sys.modules["nertransfer"].__path__[0], flush=True)

if __name__ == "__main__":
    start_importing(["nertransfer.core.errors"])
    worker = multiprocessing.get_context(start_method()).Process(target=where)
    worker.start()
    worker.join()
"""


def test_workers_import_the_project_that_starts_them_and_not_the_one_that_is_installed(tmp_path: Path) -> None:
    (tmp_path / "installed" / "nertransfer" / "core").mkdir(parents=True)
    for package in ("nertransfer", "nertransfer/core", "nertransfer/core/errors"):
        (tmp_path / "installed" / package).mkdir(exist_ok=True)
        (tmp_path / "installed" / package / "__init__.py").touch()
    (tmp_path / "script.py").write_text(WORKER.format(root=str(ROOT)))
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (str(ROOT / "nertransfer"), "")


def test_a_process_is_started_anew_where_its_server_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.0)

    class Process:
        def __init__(self, *errors: Exception) -> None:
            self.errors, self.started = list(errors), False

        def start(self) -> None:
            if self.errors:
                raise self.errors.pop()
            self.started = True

    process = Process(EOFError("unexpected EOF"), ConnectionRefusedError())
    processes.begin(process)
    assert process.started
    with pytest.raises(EOFError):
        processes.begin(Process(*[EOFError()] * processes.STARTS))
