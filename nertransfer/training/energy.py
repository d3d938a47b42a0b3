"""Energy that a computation takes, as far as the machine counts it.

Processors count theirs by RAPL, which Linux shows below /sys/class/powercap (readable by root alone on most machines);
NVIDIA's GPUs since Volta by NVML, where the package nvidia-ml-py is installed. Of the processors' energy a process has
the share that it has of the time in which processors work.
"""

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import torch

RAPL = Path("/sys/class/powercap")
SAMPLING_SECONDS = 60.0
"""Between two readings: a counter of RAPL begins anew after 20 minutes or more, at 200 W."""


class Meter:
    """Measures from its making until `joules`, within a ``with`` block.

    ``gpus``: CUDA's numbers of the GPUs that work for this process alone. ``processes``: how many like this one work on
    the same.
    """

    def __init__(self, gpus: Sequence[int] = (), processes: int = 1, rapl: Path = RAPL) -> None:
        self._counters = [_Zone(zone) for zone in sorted(rapl.glob("intel-rapl:?")) if _can_read(zone)]
        self._gpus = [counter for number in gpus if (counter := _gpu_counter(number)) is not None]
        self._processes, self._all_gpus = processes, len(self._gpus) == len(gpus)
        self._time, self._busy = _own_seconds(), _busy_seconds()
        self._before = [read() for read in self._gpus]
        self._ended = threading.Event()
        if self._counters:
            threading.Thread(target=self._sample, daemon=True, name="energy").start()

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLING_SECONDS):
            for counter in self._counters:
                counter.read()

    def joules(self) -> float:
        """Energy so far of processors and GPUs; NaN where one of them is not counted."""
        if not self._counters or not self._all_gpus:
            return math.nan
        own, busy = self._processes * (_own_seconds() - self._time), _busy_seconds() - self._busy
        share = min(1.0, own / busy) if busy > 0 else 1.0
        of_gpus = sum(read() - before for read, before in zip(self._gpus, self._before, strict=True))
        return share * sum(counter.read() for counter in self._counters) + of_gpus


class _Zone:
    """A counter of RAPL, of one processor with its cores, caches and memory controller."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range = int((folder / "max_energy_range_uj").read_text())
        self._last, self._sum = int(self._file.read_text()), 0
        self._lock = threading.Lock()

    def read(self) -> float:
        """Joules since it was made."""
        with self._lock, suppress(OSError, ValueError):
            now = int(self._file.read_text())
            self._sum += now - self._last + (self._range if now < self._last else 0)
            self._last = now
        return self._sum / 1e6


def _can_read(folder: Path) -> bool:
    """Whether it is a processor's counter, and may be read."""
    try:
        name = (folder / "name").read_text().strip()
        return name.startswith("package") and bool((folder / "energy_uj").read_text())
    except OSError:
        return False


def _gpu_counter(number: int) -> Callable[[], float] | None:
    """Reads joules that a GPU has taken since its driver was loaded; None where they are not counted."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(number).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # no package, no driver, or a GPU that does not count
        return None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3


def _own_seconds() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
