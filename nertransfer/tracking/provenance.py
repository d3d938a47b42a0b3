"""How a run was made, in one file of it: what changes no score, and so stands in no param or tag of its own."""

import functools
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import distributions

import psutil

from nertransfer.core import schema
from nertransfer.tracking.claims import Owner

_BEFORE = "environment.json"
"""The file with the packages, in runs that were tracked before there was one for all."""


def text(configuration: Mapping[str, str]) -> str:
    """The file's content: ``configuration`` (by parameter, as text), this process, its Python, machine and packages."""
    process = {name: value for name, value in asdict(Owner.this_process()).items() if name != "since" and value != ""}
    return json.dumps({"configuration": dict(configuration), "process": process, **environment()}, indent=1)


@functools.cache
def environment() -> dict[str, object]:
    """Interpreter, machine and the versions of every installed package."""
    packages = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def packages(read: Callable[[str], bytes | None]) -> dict[str, str]:
    """Version by installed package of the process that made a run; ``read`` gives a file of the run, None for none."""
    content = read(schema.PROVENANCE) or read(_BEFORE)
    return json.loads(content)["packages"] if content else {}
