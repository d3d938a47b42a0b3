"""What submitit runs inside a Slurm task: one command, that ends politely and is requeued at the time limit.

Imports nothing of ours: it is loaded before anything that takes long.
"""

import subprocess
import time
from dataclasses import dataclass
from typing import Any

TAKEN_STATUS = 75
"""Exit status of ``train`` when another process works on the cell: EX_TEMPFAIL of sysexits.h."""


@dataclass
class Task:
    """A command as a submitit callable. Called, it raises RuntimeError when the command fails."""

    command: list[str]
    _running: Any = None

    def __call__(self) -> None:
        self._running = subprocess.Popen(self.command)
        # polled: a wait that `checkpoint` interrupts would keep it from waiting itself
        while (status := self._running.poll()) is None:
            time.sleep(0.2)
        if status not in (0, TAKEN_STATUS):
            raise RuntimeError(f"the task ended with status {status}")

    def checkpoint(self) -> Any:
        """Called by submitit shortly before the time limit: stop, and have the same command run again."""
        from submitit.helpers import DelayedSubmission

        if self._running is not None:
            self._running.terminate()
            try:
                self._running.wait(60)
            except subprocess.TimeoutExpired:
                self._running.kill()
        return DelayedSubmission(Task(self.command))
