"""Accelerators: what device trains and scores, in which precision. The one place that makes them."""

import os
import shutil
import subprocess
import sysconfig
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs

from nertransfer.core import environment
from nertransfer.core.errors import InputError
from nertransfer.core.options import DeviceOptions, Recipe, RunOptions
from nertransfer.encoders import device

PATIENCE = timedelta(days=7)
"""So long the other processes of a cell wait for the main one: alone it waits for whoever else works on the cell or
on its start, and for a server that is away. Where one has ended the launcher ends them all, so nothing needs less."""


def make_accelerator(recipe: Recipe, run: DeviceOptions) -> Accelerator:
    """The accelerator of a process: made here alone, of the recipe and the device, whatever the environment says.

    Raises InputError when the device cannot compute, or not in that precision, or where `environment.clean` does.
    """
    environment.clean()
    environment.tell()
    device.tell_of_trouble(run.device)
    torch.set_float32_matmul_precision("highest")  # no TF32, whatever ran before in this process
    precision = {"fp32": "no"}.get(recipe.precision, recipe.precision)
    try:
        accelerator = Accelerator(
            cpu=run.device == "cpu",
            mixed_precision=precision,
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),  # micro-batches are ours
            dynamo_backend="no",
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
    except ValueError as error:  # accelerate's own words
        raise InputError(f"precision={recipe.precision!r} is not allowed here: {error}", "precision") from error
    device.check(accelerator.device)
    if precision != "no" and not accelerator.native_amp:
        # accelerate would silently compute in fp32, and the cell would say otherwise
        raise InputError(
            f"precision={recipe.precision!r} is not allowed on {accelerator.device}: fp32 or bf16", "precision"
        )
    return accelerator


def make_training_accelerator(recipe: Recipe, run: RunOptions) -> Accelerator:
    """`make_accelerator` for fine-tuning; raises InputError also where layers are to be compiled and cannot be."""
    accelerator = make_accelerator(recipe, run)
    if run.compile:
        check_can_compile(accelerator.device)
    return accelerator


def check_can_compile(device: torch.device) -> None:
    """Raise InputError where layers cannot be compiled for a device."""
    if device.type != "cuda":
        raise InputError(f"compile=true is not allowed on {device}: it is for a GPU", "compile")
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", ""), "gcc", "clang"))), None)
    if compiler is None:
        raise InputError("compile=true is not allowed here: it needs a C compiler, gcc or clang on the PATH", "compile")
    headers = sysconfig.get_path("include", "posix_prefix")
    reading = [compiler, "-I", headers, "-include", "Python.h", "-E", "-xc", os.devnull]
    if subprocess.run(reading, capture_output=True).returncode:
        raise InputError(
            f"compile=true is not allowed here: it needs Python's headers, but {compiler} finds no Python.h in "
            f"{headers} (the system's package python3-dev has it)",
            "compile",
        )
