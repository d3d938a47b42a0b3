"""Interleaved measurements, what is computed from them, and what they were made on. Knows no contender."""

import gc
import itertools
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

Measurement = dict[str, float]
"""``cpu_seconds`` and ``wall_seconds``, or ``peak_bytes``, or ``test_f1``."""
Work = Callable[[], Any]
Prepare = Callable[[], Work]
"""Does what is not measured and returns what is."""
Measure = Callable[[str, Work], tuple[Measurement, Any]]

MATRIX = 2048
"""Rows and columns of the matrices whose product gives the peak."""


def timed(_contender: str, work: Work) -> tuple[Measurement, Any]:
    """Processor seconds of all threads and wall seconds of one call, and what it returned."""
    wall, processor = time.perf_counter(), time.process_time()
    output = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return {"cpu_seconds": time.process_time() - processor, "wall_seconds": time.perf_counter() - wall}, output


@dataclass
class Race:
    """``measurements``: of each contender one a round; ``orders``: who ran when; ``outputs``: of the first round."""

    measurements: dict[str, list[Measurement]] = field(default_factory=dict)
    orders: list[list[str]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)


def race(title: str, contenders: Mapping[str, Prepare], rounds: int, measure: Measure = timed) -> Race:
    """Every contender once a round, in another order each round; a line on stderr for each measurement."""
    done = Race({name: [] for name in contenders})
    for number in range(rounds):
        order = list(contenders)
        random.Random(number).shuffle(order)
        done.orders.append(order)
        for name in order:
            gc.collect()
            measured, output = measure(name, contenders[name]())
            done.measurements[name].append(measured)
            done.outputs.setdefault(name, output)
            shown = ", ".join(f"{key} {value:.4g}" for key, value in measured.items())
            print(f"{title}: round {number + 1} of {rounds}, {name}: {shown}", file=sys.stderr, flush=True)
    return done


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles over rounds."""
    lower, median, upper = np.percentile(values, [25, 50, 75]).tolist()
    return {"median": median, "lower_quartile": lower, "upper_quartile": upper}


def summary(measurements: Mapping[str, Sequence[Measurement]]) -> dict[str, dict[str, dict[str, float]]]:
    """Contender -> quantity -> spread."""
    return {
        name: {key: spread([m[key] for m in measured]) for key in measured[0]}
        for name, measured in measurements.items()
    }


def ratios(measurements: Mapping[str, Sequence[Measurement]]) -> dict[str, dict[str, dict[str, Any]]]:
    """``a/b`` -> quantity -> a's over b's in the same round, for each round, and their spread."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for a, b in itertools.combinations(measurements, 2):
        pairs = list(zip(measurements[a], measurements[b], strict=True))
        by_round = {key: [x[key] / y[key] for x, y in pairs] for key in pairs[0][0]}
        found[f"{a}/{b}"] = {key: {"rounds": values, **spread(values)} for key, values in by_round.items()}
    return found


def clock(measured: Measurement, threads: int) -> float:
    """The seconds that rates are of: processor seconds at one thread, which a busy machine disturbs less, else wall."""
    return measured["cpu_seconds" if threads == 1 else "wall_seconds"]


def matmul_peak(threads: int, repeats: int = 4) -> float:
    """Best float32 operations a second of a product of square matrices, at torch's number of threads."""
    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    best = min(clock(timed("", lambda: a @ b)[0], threads) for _ in range(repeats))
    return 2 * MATRIX**3 / best


def training_operations(model: torch.nn.Module, lengths: Sequence[int]) -> float:
    """Floating-point operations that one pass over rows of these lengths asks of training, padding not counted.

    6 for each real sub-token and parameter outside the embeddings (multiply and add; forward once, backward twice),
    plus attention: queries by keys and weights by values, 4 x hidden size x length^2 a layer and row forward, three
    times that with the backward pass. All of the model counts, also what a contender gets around computing.
    """
    parameters = sum(p.numel() for name, p in model.named_parameters() if "embeddings" not in name)
    config = model.config
    squares = sum(length * length for length in lengths)
    return 6 * parameters * sum(lengths) + 12 * config.num_hidden_layers * config.hidden_size * squares


def peak_memory() -> int:
    """Most bytes this process has had resident.

    On Linux VmHWM: what getrusage gives begins at the parent's own peak, for the kernel keeps it across exec.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def hardware(threads: int) -> dict[str, Any]:
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        named = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    return {
        "processor": model,
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": psutil.getloadavg()[0],
        "threads": threads,
    }


def versions(root: Path) -> dict[str, str]:
    """Of Python, the libraries, and the commit of the checkout (``+`` behind it: with changes)."""
    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in ("torch", "transformers", "tokenizers", "accelerate", "numpy")}
    if shutil.which("git") is None:
        return found
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12"], cwd=root, capture_output=True, text=True
    )
    return found | {"commit": commit.stdout.strip()}
