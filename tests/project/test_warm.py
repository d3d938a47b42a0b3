"""The warm Pythons of the tests run the code of whoever asks them."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from project_scripts import ROOT
from warm import BASE

SEEN = """
import sys
import nertransfer.core.errors
from mlflow.data.dataset_source_registry import get_registered_sources
print(nertransfer.__file__)
names = [source.__module__ for source in get_registered_sources() if "nertransfer" in source.__module__]
print(*(sys.modules[name].__file__ for name in names))
"""


def test_a_python_with_libraries_alone_runs_the_checkout_of_its_caller(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "nertransfer", tmp_path / "nertransfer", ignore=shutil.ignore_patterns("__pycache__"))
    python = os.environ.get(BASE, sys.executable)
    done = subprocess.run(
        [python, "-c", SEEN], env=os.environ | {"PYTHONPATH": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    package, source = done.stdout.split()
    assert package == str(tmp_path / "nertransfer" / "__init__.py")
    assert source == str(tmp_path / "nertransfer" / "tracking" / "corpus_source.py")


def test_a_process_with_many_open_files_passes_them_on() -> None:
    """As `multiprocessing` does with the pipes of its server."""
    read, first = os.pipe()
    write = fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, 600)
    try:
        python = os.environ.get(BASE, sys.executable)
        subprocess.run([python, "-c", f"import os; os.write({write}, b'here')"], pass_fds=[write], check=True)
        assert os.read(read, 10) == b"here"
    finally:
        for one in (read, first, write):
            os.close(one)
