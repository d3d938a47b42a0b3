"""A registered model behind our server or MLflow's, on a free loopback port, and requests to it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 120.0
ENDED = ("Finished server process", "stopped")
"""Last words of MLflow's server and of ours."""


@dataclass(frozen=True)
class Server:
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def post(self, body: str | bytes, content_type: str | None = "application/json") -> tuple[int, str]:
        """Status and text of the answer to one request."""
        data = body.encode("utf-8") if isinstance(body, str) else body
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
            connection.request("POST", "/invocations", data, {"Content-Type": content_type} if content_type else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8")

    def is_up(self, path: str = "/ping") -> bool:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
                connection.request("GET", path)
                return connection.getresponse().status == 200
        except OSError:
            return False

    def stop(self) -> str:
        """Ask politely; returns the log once nothing listens any more."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_SECONDS)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.is_up() or not any(word in self.log.read_text() for word in ENDED):  # MLflow's has a child
            assert time.monotonic() < deadline, f"the server goes on after SIGTERM:\n{self.log.read_text()}"
            time.sleep(0.05)
        return self.log.read_text()


@contextmanager
def serve(model: str, tracking_uri: str, log: Path, by_mlflow: bool = False) -> Iterator[Server]:
    """The serve entry point, or ``mlflow models serve`` as the documentation has it; killed if it still runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scripts = str(Path(sys.executable).parent)  # MLflow starts uvicorn from PATH
    environment = os.environ | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    at = ["--host", "127.0.0.1", "--port", str(port)]
    if by_mlflow:
        environment.pop("PYTHONPATH", None)  # what lies in the model's folder is enough
        command = ["-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local", *at]
    else:
        command = [str(ROOT / "entrypoints" / "serve.py"), "--model", model, *at]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command], env=environment, cwd=log.parent, stdout=out, stderr=out, start_new_session=True
        )
    server = Server(port, process, log)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not server.is_up():
            assert process.poll() is None and time.monotonic() < deadline, f"no server:\n{log.read_text()}"
            time.sleep(0.05)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)
