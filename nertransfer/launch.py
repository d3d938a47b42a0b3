"""Starts the processes of a multi-process fine-tuning: accelerate on GPUs, torchrun with gloo on CPU.

Run as a program, with a launcher's module and its arguments, it is that launcher, and ends with the status of the
process that failed first: on its own a launcher says 1 whatever happened, and prints a traceback of itself.
"""

import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from nertransfer import processes
from nertransfer.errors import InputError


def check_world(num_processes: int) -> None:
    """Raise InputError when a launcher started another number of processes than was asked for."""
    launched = processes.launched()
    if num_processes not in (1, launched):
        raise InputError(f"num_processes={num_processes} is not allowed: the launcher started {launched}")


def gpus(device: str) -> int:
    """How many GPUs a process may use."""
    return torch.cuda.device_count() if device == "auto" else 0


def relaunch(num_processes: int, script: str, arguments: Sequence[str], device: str) -> int:
    """Run ``script`` in ``num_processes`` processes and return the exit status, of the one that failed first if any.

    Raises InputError when there are GPUs but fewer than processes.
    """
    available = gpus(device)
    if 0 < available < num_processes:
        raise InputError(
            f"num_processes={num_processes} is not allowed: there are {available} GPUs here", "num_processes"
        )
    environment = dict(os.environ)
    if available:
        launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--main_process_port", "0",
                    "--num_processes", str(num_processes), "--dynamo_backend", "no"]  # fmt: skip
    else:
        # `accelerate launch --cpu` starts a single process whatever number it is given
        launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(num_processes)]
        environment.setdefault("OMP_NUM_THREADS", str(max(1, processes.cores() // num_processes)))
    # after `--` no parameter of ours is taken for an abbreviation of one of the launcher's
    command = [sys.executable, "-m", "nertransfer.launch", *launcher, "--", script, *arguments]
    checkout = str(Path(__file__).resolve().parents[1])  # which need not be installed
    environment["PYTHONPATH"] = os.pathsep.join([checkout, *filter(None, [environment.get("PYTHONPATH")])])
    running = subprocess.Popen(command, env=environment)
    try:
        return running.wait()
    except KeyboardInterrupt:
        running.terminate()  # the launcher ends its processes in the same polite way
        running.wait()
        raise


def _main(launcher: str, arguments: Sequence[str]) -> None:
    sys.argv = [launcher, *arguments]
    try:
        runpy.run_module(launcher, run_name="__main__", alter_sys=True)
    except ChildFailedError as error:
        status = error.get_first_failure()[1].exitcode
        raise SystemExit(status if status > 0 else 128 - status) from None  # a signal's number is negative there
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
