"""A Python that is warm: it imports once what takes seconds, and runs every command in a fork of itself.

`Warm` makes stand-ins for ``python`` and for console scripts such as ``mlflow``. With their folder first in PATH a
command does what it would do as a process of its own: with its arguments, environment, folder, streams, process group,
exit status and signals. Processes that `multiprocessing` forks from its server begin warm as well.

This file is also the warm process's own program: ``python warm.py FOLDER WORKERS MODULE...``. Where there is a warm
Python with libraries alone (`BASE`), others are forks of it, which import what depends on environment and checkout.
"""

import atexit
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path

PROJECT = (
    "nertransfer.studies.study", "nertransfer.studies.adaptation", "nertransfer.serving.export",
    "nertransfer.studies.published.importing", "nertransfer.serving.prediction", "nertransfer.studies.embeddings",
    "nertransfer.studies.rescoring", "analysis.report.report", "analysis.report.plots",
    "analysis.report.html.error_pages",
    "matplotlib.backends.backend_pdf", "matplotlib.backends.backend_agg", "lightgbm", "sklearn.linear_model",
    "seqeval.metrics", "mlflow.cli", "mlflow.projects.backend.local", "mlflow.models.cli",
    "mlflow.pyfunc.scoring_server", "transformers.models.xlm_roberta.modeling_xlm_roberta",
    "transformers.generation.utils", "git",
    "mlflow.store.tracking.sqlalchemy_store", "sqlalchemy.dialects.sqlite", "foreknown",
)  # fmt: skip
"""What the project's commands import, and what each would find out for itself."""
LIBRARIES = (
    "torch", "torch._dynamo", "scipy.stats", "pandas", "pyarrow.parquet", "sklearn.linear_model",
    "matplotlib.backends.backend_pdf", "matplotlib.backends.backend_agg", "lightgbm", "seqeval.metrics", "mlflow.cli",
    "mlflow.projects.backend.local", "mlflow.models.cli", "mlflow.pyfunc.scoring_server", "git", "statsmodels.api",
    "mlflow.store.tracking.sqlalchemy_store", "sqlalchemy.dialects.sqlite", "tokenizers", "safetensors.torch",
)  # fmt: skip
"""What others import first, of which nothing depends on variables that tests change."""
BASE = "NERTRANSFER_TEST_PYTHON"
"""The variable that names the Python of a `Warm` with `LIBRARIES`."""
MOST_STREAMS = 250
"""Open files that a command inherits, at most; Linux passes no more at a time."""
READY = b"ready\n"
CLIENT = """\
#!{python} -IS
import json, os, signal, socket, sys
def is_passed(number):
    try:
        return os.get_inheritable(number)
    except OSError:
        return False
streams = [0, 1, 2, *(number for number in sorted(map(int, os.listdir("/dev/fd"))) if number > 2 and is_passed(number))]
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    request = json.dumps([sys.argv, os.getcwd(), os.getpgrp(), dict(os.environ), streams]).encode()
    socket.send_fds(server, [len(request).to_bytes(4, "big")], streams)
    server.sendall(request)
    answer = server.makefile("rb")
    process = int(answer.readline())
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(name, lambda number, _: os.kill(process, number))
    sys.exit(int(answer.readline()))
"""


class Warm:
    """Started when it is entered, with ``environment`` and the modules imported; stopped when it is left.

    ``workers``: whether it has a server for the forks of `multiprocessing`.
    """

    def __init__(
        self, modules: Sequence[str], environment: Mapping[str, str], scripts: Sequence[str] = (), workers: bool = True
    ) -> None:
        self.modules, self.environment, self.workers = modules, environment, workers
        self.folder = Path(tempfile.mkdtemp(prefix="warm-"))  # a short path: those of sockets are limited
        self._log = self.folder / "log"  # of workers, too: they are forked from it and not from their command
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        text = CLIENT.format(python=sys.executable, address=str(self.folder / "socket"))
        for name in ("python", *scripts):
            (self.bin / name).write_text(text, encoding="utf-8")
            (self.bin / name).chmod(0o755)

    @property
    def path(self) -> str:
        """PATH for those who are to find the stand-ins."""
        return f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    def __enter__(self) -> "Warm":
        self.start()
        assert self._process.stdout is not None
        if self._process.stdout.readline() != READY:
            raise RuntimeError(f"the warm Python did not start: {self._log.read_text()}")
        return self

    def start(self) -> None:
        """Start it, without waiting: what asks it meanwhile waits."""
        python = self.environment.get(BASE, sys.executable)
        command = [python, __file__, str(self.folder), str(int(self.workers)), *self.modules]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                cwd=self.folder,
            )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()  # at its end it ends
        self._process.wait(60)
        self._process.stdout.close()
        shutil.rmtree(self.folder)


# --- the warm process ---------------------------------------------------------------------------------------


def _listen(folder: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/socket")
    listener.listen(64)
    return listener


def _serve(listener: socket.socket) -> tuple[list[str], str, int, dict[str, str]]:
    """Wait for commands. Returns in a fork of this process, with what one asks for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that attend to a command
    os.write(1, READY)
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _attend(connection)
        connection.close()


def _attend(connection: socket.socket) -> tuple[list[str], str, int, dict[str, str]]:
    """Fork the command's process, and tell the client its number and its end. Returns in that process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, streams, _, _ = socket.recv_fds(connection, 4, MOST_STREAMS)
    with connection.makefile("rb") as file:
        *request, numbers = json.loads(file.read(int.from_bytes(head, "big")))
    if process := os.fork():
        connection.sendall(f"{process}\n".encode())
        threading.Thread(target=_end_with_client, args=(connection, process), daemon=True).start()
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        connection.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
        os._exit(0)
    connection.close()
    kept = [fcntl.fcntl(stream, fcntl.F_DUPFD_CLOEXEC, max(numbers) + 1) for stream in streams]
    for stream in streams:
        os.close(stream)
    for number, stream in zip(numbers, kept, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    return request[0], request[1], request[2], request[3]


def _end_with_client(connection: socket.socket, process: int) -> None:
    """Kill the command's process when its client has been killed."""
    connection.recv(1)  # says nothing more: it has gone
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _run(arguments: list[str], folder: str, group: int, environment: dict[str, str]) -> None:
    """Do what ``python`` or the console script of that name does."""
    from multiprocessing import process

    with suppress(OSError):
        os.setpgid(0, group)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if hub := sys.modules.get("huggingface_hub.constants"):  # reads it when it is imported
        hub.HF_HUB_OFFLINE = environment.get("HF_HUB_OFFLINE") == "1"  # type: ignore[attr-defined]
    process.ORIGINAL_DIR = folder  # type: ignore[attr-defined]  # where processes of this one begin
    program, sys.argv = Path(arguments[0]), arguments
    added = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [path for path in added if path and path not in sys.path]
    if "nertransfer" not in sys.modules and (known := sys.modules.get("mlflow.data.dataset_source_registry")):
        known._dataset_source_registry.register_entrypoints()  # type: ignore[attr-defined]
    sys.executable = str(program.with_name("python"))
    if program.name != "python":
        script = next(iter(entry_points(group="console_scripts", name=program.name)))
        sys.exit(script.load()())
    sys.argv = arguments[1:]
    while sys.argv[0] in ("-u", "-B"):  # not after the start
        del sys.argv[0]
    if sys.argv[0] == "-c":
        code = sys.argv.pop(1)
        exec(code, {"__name__": "__main__"})
    elif sys.argv[0] == "-m":
        sys.path[0] = folder
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
        runpy.run_path(sys.argv[0], run_name="__main__")


def _warm_up(modules: Sequence[str], python: str, workers: bool) -> None:
    for name in modules:
        importlib.import_module(name)
    if not any(name.startswith("nertransfer.") for name in modules):
        _forget_project()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page
    sys.executable = python  # what workers start is warm, too
    if workers:
        _warm_workers()


def _forget_project() -> None:
    """Undo that MLflow imports a plugin of the installed project: a fork may belong to another checkout of it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "nertransfer"]:
        del sys.modules[name]
    if known := sys.modules.get("mlflow.data.dataset_source_registry"):
        known._dataset_source_registry.sources = [  # type: ignore[attr-defined]
            source for source in known._dataset_source_registry.sources  # type: ignore[attr-defined]
            if source.__module__.partition(".")[0] != "nertransfer"
        ]  # fmt: skip


def _warm_workers() -> None:
    """Have multiprocessing's server for forks be a fork of this process, the only one for all commands."""
    from multiprocessing import forkserver, resource_tracker, util

    resource_tracker.ensure_running()
    spawn = util.spawnv_passfds

    def fork(path: object, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
        process = os.fork()
        if process == 0:
            for first, last in pairwise([2, *sorted(descriptors), os.sysconf("SC_OPEN_MAX")]):
                os.closerange(first + 1, last)
            with suppress(SystemExit):
                exec(arguments[-1], {})  # python -c <this>
            os._exit(0)
        return process

    util.spawnv_passfds = fork
    forkserver.ensure_running()
    util.spawnv_passfds = spawn
    server = forkserver._forkserver
    server.ensure_running = forkserver.ensure_running = lambda: None  # it is no child of those that ask


def _main() -> None:
    code = 0
    try:
        listener = _listen(sys.argv[1])
        _warm_up(sys.argv[3:], str(Path(sys.argv[1], "bin", "python")), workers=sys.argv[2] == "1")
        _run(*_serve(listener))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    with suppress(BrokenPipeError):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # tearing down all that was imported takes half a second


if __name__ == "__main__":
    _main()
