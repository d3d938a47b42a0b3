"""What computes on this machine, in words for people, and why a GPU that is there is not or cannot be used."""

import csv
import functools
import logging
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import torch

from nertransfer.core.errors import InputError

logger = logging.getLogger("nertransfer")

NVIDIA_SMI = "nvidia-smi"
BUILDS = "docs/install.md has the commands"
PATIENCE_SECONDS = 10.0


def name(kind: str) -> str:
    """The GPUs, or the threads of the processor; ``kind``: the parameter ``device``."""
    if number := gpus(kind):
        names = {name for name, _ in _nvidia_gpus()}
        gpu = names.pop() if len(names) == 1 else "GPU"
        return gpu if number == 1 else f"{number} x {gpu}"
    return f"{torch.get_num_threads()} threads of {_processor()}, without a GPU"


def trouble(kind: str) -> str:
    """Why a GPU that is there is not used, and the cure, in one line; nothing where all is well or ``device=cpu``."""
    if kind == "cpu" or gpus(kind) or not (found := _nvidia_gpus()):
        return ""
    gpu, driver = found[0]
    if torch.version.cuda is None:
        return (
            f"{gpu} is not used: PyTorch {torch.__version__} was built without CUDA; install a build with CUDA "
            f"into this environment: {BUILDS}"
        )
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return f"{gpu} is not used: CUDA_VISIBLE_DEVICES={visible!r} hides it"
    return (
        f"{gpu} is not used: its driver {driver} does not serve CUDA {torch.version.cuda}, which PyTorch "
        f"{torch.__version__} was built with; update the driver, or install a PyTorch for an older CUDA: {BUILDS}"
    )


@functools.cache  # once a process
def tell_of_trouble(kind: str) -> None:
    if said := trouble(kind):
        logger.warning(said)


def check(chosen: torch.device) -> None:
    """Raise InputError where PyTorch has chosen a GPU for which it has no code: its first computation would fail."""
    if chosen.type != "cuda" or not (built := torch.cuda.get_arch_list()):
        return
    major, minor = torch.cuda.get_device_capability(chosen)
    if not any(_runs(code, (major, minor)) for code in built):
        raise InputError(
            f"{torch.cuda.get_device_name(chosen)} cannot be used: its compute capability is {major}.{minor}, and "
            f"PyTorch {torch.__version__} was built for {', '.join(built)}; install a build for this GPU: {BUILDS}; "
            "or give device=cpu",
            "device",
        )


def _runs(code: str, capability: tuple[int, int]) -> bool:
    """Whether a GPU runs code for ``sm_75`` and the like: of its generation and not newer, or older ``compute_75``."""
    if not (named := re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", code)):
        return True  # another kind of GPU, as of ROCm
    built = int(named[2]), int(named[3])
    return built <= capability and (named[1] == "compute" or built[0] == capability[0])


@functools.cache
def _nvidia_gpus() -> list[tuple[str, str]]:
    """(name, version of the driver) of every NVIDIA GPU, whether PyTorch can use it or not."""
    if not (command := shutil.which(NVIDIA_SMI)):
        return []
    query = [command, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):  # as where there is a driver and no GPU
        return []
    rows = csv.reader(done.stdout.splitlines(), skipinitialspace=True)
    return [(row[0], row[1]) for row in rows if len(row) == 2]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def gpus(device: str) -> int:
    """How many GPUs a process may use."""
    if device != "auto":
        return 0
    import torch  # seconds, which what only starts others does without

    return torch.cuda.device_count()
