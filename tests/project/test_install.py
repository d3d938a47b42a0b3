"""What an install needs and asks for: `make` on a disk that is full or not, builds of PyTorch, what the index has."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from absent import absent
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project_scripts import ROOT

GB = 1 << 20  # in the blocks of df


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make` reads, and a Python whose environments are empty folders."""
    for name in ("Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    program(tmp_path / "python", '[ "$1" = -m ] && mkdir -p "$3" || true')
    return tmp_path


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def make(checkout: Path, *arguments: str, disks: dict[str, tuple[str, float]] | None = None) -> tuple[int, str, str]:
    """Exit status, output and errors of make. ``disks``: by folder the mount point and GB that are free there."""
    known = (disks or {}).items()
    cases = "".join(f'"{place}") echo "/dev/x 1 1 {int(free * GB)} 1% {disk}";;\n' for place, (disk, free) in known)
    program(checkout / "bin" / "df", f'echo header\ncase "$2" in\n{cases}*) exit 1;; esac')
    places = {"PATH": f"{checkout}/bin:{os.environ['PATH']}", "TMPDIR": "/t", "PIP_CACHE_DIR": "/c"}
    around = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", f"PYTHON={checkout}/python", *arguments], cwd=checkout, env=around | places, capture_output=True,
        text=True,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("build", "disks", "error"),
    [
        ("", {".": ("/", 11.9), "/t": ("/", 11.9), "/c": ("/", 11.9)}, "/ has 11 GB free, and the install needs 12"),
        ("", {".": ("/big", 50), "/t": ("/t", 2), "/c": ("/big", 50)}, "/t has 2 GB free, and the install needs 3"),
        ("cpu", {".": ("/", 4.9), "/t": ("/", 4.9), "/c": ("/", 4.9)}, "/ has 4 GB free, and the install needs 5"),
        ("", {".": ("/", 12), "/t": ("/", 12), "/c": ("/", 12)}, ""),
        ("", {".": ("/big", 6), "/t": ("/tmp", 3), "/c": ("/home", 3)}, ""),
        ("cpu", {".": ("/", 5), "/t": ("/", 5), "/c": ("/", 5)}, ""),
        ("", {}, ""),
    ],
    ids=["all on one", "temporary folder", "CPU", "enough", "enough on three", "enough for CPU", "not known"],
)
def test_a_disk_with_too_little_space_is_told_before_anything_is_made(
    build: str, disks: dict[str, tuple[str, float]], error: str, checkout: Path
) -> None:
    status, output, errors = make(checkout, f"TORCH={build}", ".venv/python.stamp", disks=disks)
    assert (status == 0) == (error == "") == (checkout / ".venv").exists()
    if error:
        assert errors.startswith(f"error: disk {error} GB there, for .venv, what pip downloads (TMPDIR) and keeps")
        assert output == ""
    else:
        assert errors == "" and " GB of disk, " in output


def test_make_takes_the_build_of_pytorch_that_is_asked_for_and_keeps_it(checkout: Path) -> None:
    def installed(*arguments: str) -> list[str]:
        said = make(checkout, "-n", *arguments)[1]
        return re.findall(r"-m pip install .*? --no-compile (.*?) *(?:&&|; \}|$)", said, re.MULTILINE)

    pin = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    (checkout / "pyproject.toml").touch()
    index = "--extra-index-url https://download.pytorch.org/whl"
    assert installed("study", "TORCH=cu126")[0] == f"-c constraints.txt '{pin}+cu126' {index}/cu126"
    rest = ["-c constraints.txt uv", "-c constraints.txt -e '.[test]'"]
    assert installed("test") == [f"-c constraints.txt '{pin}'", *rest]
    (checkout / ".venv").mkdir()
    for name in ("python", "torch-cpu", "study"):
        (checkout / ".venv" / f"{name}.stamp").touch()
    assert installed("study") == []
    assert installed("-B", "study")[0] == f"-c constraints.txt '{pin}+cpu' {index}/cpu"


@pytest.mark.parametrize("trouble", ["", "no network", "Hash mismatch for `idna==3.20`"])
def test_uv_installs_all_but_pytorch_and_pip_does_where_uv_cannot(trouble: str, checkout: Path) -> None:
    """But nobody what is not as it was tested."""
    (checkout / "pyproject.toml").touch()
    called = checkout / "called"
    program(checkout / ".venv" / "bin" / "python", f'[ "$2" = pip ] && echo pip "$@" >>{called} || true')
    fails = f"echo '{trouble}' >&2; exit 2" if trouble else "true"
    program(checkout / ".venv" / "bin" / "uv", f'echo uv "$@" >>{called}; {fails}')
    for name in ("python", "torch"):
        (checkout / ".venv" / f"{name}.stamp").touch()
    status, output, errors = make(checkout, ".venv/study.stamp")
    by_pip = trouble == "no network"
    assert (status == 0) == (not trouble or by_pip) == (checkout / ".venv" / "study.stamp").exists()
    assert ("pip does it, which takes minutes" in output) == by_pip and trouble in errors
    calls = [(line.split()[0], line.split()[-1]) for line in called.read_text().splitlines()]
    assert calls == [("pip", "uv"), ("uv", "."), *([("pip", ".")] if by_pip else [])]


def test_the_builds_that_are_documented_are_of_the_tested_version() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    found = re.findall(r"'torch==([\d.]+)\+(\w+)' --extra-index-url \S+/whl/(\w+)", page)
    assert {version for version, _, _ in found} == {known_versions()["torch"]} and all(a == b for _, a, b in found)
    assert f"All are version {known_versions()['torch']}," in page


# --- the index ----------------------------------------------------------------------------------------------------

CONSTRAINTS = ROOT / "constraints.txt"
NO_WHEELS = ("seqeval", "lang2vec")
"""Pure Python, and on the index as sources alone."""
OF_THE_PLATFORM = re.compile(r"nvidia-|cuda-|triton$|setuptools$")
"""What PyTorch brings along by itself, other things on other machines."""


def resolved(requirements: str, python: str, folder: Path) -> dict[str, str]:
    """Package -> version, as `mlflow run --env-manager uv` would install them; fails where there is no wheel."""
    from uv import find_uv_bin

    (folder / "requirements.in").write_text(requirements, encoding="utf-8")
    sources = [word for name in NO_WHEELS for word in ("--no-binary", name)]
    done = subprocess.run(
        [find_uv_bin(), "pip", "compile", "requirements.in", "--python-version", python, "--python-platform", "linux",
         "--only-binary", ":all:", *sources, "--no-header", "--no-annotate", "--no-python-downloads", "--quiet"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    if "error sending request" in done.stderr or "Failed to fetch" in done.stderr:
        absent(f"the package index cannot be asked: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    pairs = [line.split(" ")[0].split("==") for line in done.stdout.splitlines()]
    return {canonicalize_name(name): version for name, version in pairs}


def known_versions() -> dict[str, str]:
    lines = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {canonicalize_name((one := Requirement(line)).name): str(one.specifier)[2:] for line in lines}


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_conda_yaml_resolves_to_the_tested_versions(python: str, tmp_path: Path) -> None:
    asked = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    assert asked[0] == f"-c {CONSTRAINTS.name}"
    shutil.copy(CONSTRAINTS, tmp_path)
    found = resolved("\n".join(asked), python, tmp_path)
    assert found.keys() >= {canonicalize_name(Requirement(line).name) for line in asked[1:]}
    assert {
        name: version for name, version in found.items() if not OF_THE_PLATFORM.match(name)
    }.items() <= known_versions().items()


def test_what_is_installed_fits_together_and_is_of_the_tested_versions() -> None:
    """Without a network."""
    from uv import find_uv_bin

    python = ["--python", sys.executable]
    done = subprocess.run([find_uv_bin(), "pip", "check", *python], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [find_uv_bin(), "pip", "freeze", "--exclude-editable", *python], capture_output=True, text=True, check=True
    ).stdout
    pairs = (line.split("==") for line in listed.splitlines() if "==" in line)
    found = {canonicalize_name(name): version for name, version in pairs}
    known = known_versions()
    mine = {name: (version, known[name]) for name, version in found.items() if name in known}  # others may be added
    other = {name: pair for name, pair in mine.items() if pair[0].partition("+")[0] != pair[1]}
    assert len(mine) > 100 and not other


def test_every_tested_version_has_its_hashes() -> None:
    """Without a network."""
    text = (ROOT / "hashes.txt").read_text(encoding="utf-8")
    found = dict(re.findall(r"^([a-z][\w.-]*)==(\S+)[^\n]*\\\n(?= +--hash=sha256:[0-9a-f]{64}\b)", text, re.MULTILINE))
    known = known_versions()
    assert {n: v for n, v in known.items() if not (OF_THE_PLATFORM.match(n) or n == "torch")}.items() <= found.items()
    assert {n for n in found if n not in known} <= {"colorama", "httpx2-jsfetch", "pywin32", "tzdata", "waitress"}


def test_every_tested_version_can_be_had_for_the_newest_python(tmp_path: Path) -> None:
    assert resolved(CONSTRAINTS.read_text(encoding="utf-8"), "3.13", tmp_path).items() >= known_versions().items()
