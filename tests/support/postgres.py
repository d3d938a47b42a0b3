"""A PostgreSQL of its own for a test, from the programs of the machine, without a password."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

NAME = "tests"
PATIENCE_SECONDS = 60


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None where they are not installed. Debian keeps them out of PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((place for place in places if (place / "postgres").is_file()), None)


class Postgres:
    """Answers at 127.0.0.1 between `start` and `stop`; its data stay in between, until `remove`."""

    def __init__(self, folder_of_programs: Path) -> None:
        self._programs = folder_of_programs
        # a folder of its own: its user, which is never root, sees none of the tests'
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._as: dict[str, object] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres" if "postgres" in {one.pw_name for one in pwd.getpwall()} else "nobody")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        options = ["-A", "trust", "-U", NAME, "--no-sync", "--encoding=UTF8", "--locale=C"]
        self._run([self._programs / "initdb", "-D", self._folder / "data", *options])

    def _run(self, command: list[object]) -> None:
        with (self._folder / "log").open("ab") as log:
            subprocess.run(list(map(str, command)), check=True, stdout=log, stderr=log, cwd="/", **self._as)  # type: ignore[call-overload]

    @property
    def uri(self) -> str:
        """As MLflow and SQLAlchemy take it."""
        return f"postgresql://{NAME}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": self._folder, "fsync": "off"}
        command = [self._programs / "postgres", "-D", self._folder / "data", "-p", self.port]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                list(map(str, command)), stdout=log, stderr=log, cwd="/", **self._as  # type: ignore[call-overload]
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            said = (self._folder / "log").read_text()
            assert self._process.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # ends its clients' connections
            self._process.wait(PATIENCE_SECONDS)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)
