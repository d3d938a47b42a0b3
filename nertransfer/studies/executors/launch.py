"""Starts the processes of a multi-process fine-tuning by torchrun, with NCCL on GPUs and gloo on a CPU.

Not by ``accelerate launch``, which reads settings of its own from a file in the home folder. Run as a program, with
torchrun's arguments, it is torchrun, and ends with the status of the process that failed first: on its own torchrun
says 1 whatever happened, and prints a traceback of itself. All end with the process that started them.
"""

import os
import runpy
import subprocess
import sys
from collections.abc import Sequence

from nertransfer.core import processes
from nertransfer.core.errors import InputError
from nertransfer.core.files import PROJECT
from nertransfer.encoders.device import gpus

TORCHRUN = "torch.distributed.run"


def check_world(num_processes: int) -> None:
    """Raise InputError when a launcher started another number of processes than was asked for."""
    launched = processes.launched()
    if num_processes not in (1, launched):
        raise InputError(f"num_processes={num_processes} is not allowed: the launcher started {launched}")


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
    environment.setdefault("OMP_NUM_THREADS", str(max(1, processes.cores() // num_processes)))
    if available:
        from accelerate.utils import check_cuda_p2p_ib_support

        if not check_cuda_p2p_ib_support():  # NCCL does not find out by itself
            environment |= {"NCCL_P2P_DISABLE": "1", "NCCL_IB_DISABLE": "1"}
    environment[processes.STARTED_BY] = str(os.getpid())
    # after `--` no parameter of ours is taken for an abbreviation of one of the launcher's
    command = [sys.executable, "-m", __spec__.name, "--standalone", "--nproc_per_node", str(num_processes), "--"]
    command += [script, *arguments]
    # the checkout need not be installed
    environment["PYTHONPATH"] = os.pathsep.join([str(PROJECT), *filter(None, [environment.get("PYTHONPATH")])])
    running = subprocess.Popen(command, env=environment)
    try:
        return running.wait()
    except KeyboardInterrupt:
        running.terminate()  # the launcher ends its processes in the same polite way
        running.wait()
        raise


def _main(arguments: Sequence[str]) -> None:
    processes.end_with_parent()
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ[processes.STARTED_BY] = str(os.getpid())
    sys.argv = [TORCHRUN, *arguments]
    try:
        runpy.run_module(TORCHRUN, run_name="__main__", alter_sys=True)
    except ChildFailedError as error:
        status = error.get_first_failure()[1].exitcode
        raise SystemExit(status if status > 0 else 128 - status) from None  # a signal's number is negative there
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None


if __name__ == "__main__":
    _main(sys.argv[1:])
