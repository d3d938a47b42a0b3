"""What a wheel contains besides the package: the project's own folder, as nertransfer/project.

`analysis` and `entrypoints` are common names, which an installed package must not claim for everybody: from a wheel
they are importable only in processes of the command ``nertransfer``, which puts that folder on its path.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PROJECT = ("analysis", "entrypoints", "studies", "MLproject", "conda.yaml", "constraints.txt")


class BuildWithProject(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in PROJECT:
            source, target = ROOT / name, Path(self.build_lib) / "nertransfer" / "project" / name
            if source.is_dir():
                leave_out = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, target, dirs_exist_ok=True, ignore=leave_out)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)


setup(cmdclass={"build_py": BuildWithProject})
