"""The project's own files agree with one another: pins, MLproject, entry points, no machine's paths."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from documented import SCRIPTS, docstring
from mlflow.projects import env_type
from mlflow.projects._project_spec import Project, load_project
from mlflow.utils.environment import _PythonEnv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project_scripts import MAKE, REQUIRED, ROOT

from nertransfer.core import config
from nertransfer.core.commandline import build, given, parameters

# --- pins ------------------------------------------------------------------------------------------


def pins(lines: list[str]) -> dict[str, str]:
    """Package -> version; fails unless every line is one exact pin and no package is named twice."""
    found: dict[str, str] = {}
    for line in lines:
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        name = canonicalize_name(requirement.name)
        assert specifier.operator == "==" and "*" not in specifier.version, f"{line} is no exact pin"
        assert name not in found, f"{name} is pinned twice"
        found[name] = specifier.version
    return found


def project_metadata() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def constraint_pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return pins([line for line in lines if line.strip() and not line.startswith("#")])


def conda_dependencies() -> list[object]:
    return yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))["dependencies"]


CARD = {"mlflow", "torch", "transformers", "accelerate", "seqeval", "pandas", "scikit-learn", "matplotlib", "pytest"}
"""What the project was asked to have in its environment."""


def test_the_tested_versions_are_the_same_everywhere_and_within_the_ranges() -> None:
    project, constraints = project_metadata(), constraint_pins()
    conda = pins([line for line in conda_dependencies()[-1]["pip"] if not line.startswith("-c ")])
    direct = [Requirement(text) for text in project["dependencies"]]
    assert conda.keys() >= CARD
    names = [canonicalize_name(name) for name in [*(one.name for one in direct), "pytest"]]
    assert conda == {name: constraints[name] for name in names}
    extras = [Requirement(text) for texts in project["optional-dependencies"].values() for text in texts]
    for one in [*direct, *extras]:
        tested = constraints[canonicalize_name(one.name)]
        assert tested in one.specifier, one
        # nothing older is claimed than what is tested, and no next major version
        assert {bound.operator for bound in one.specifier} == {">=", "<"}, one
        assert next(bound.version for bound in one.specifier if bound.operator == ">=") == tested


def test_an_inexact_or_doubled_pin_is_noticed() -> None:
    for lines in (["torch>=2"], ["torch==2.*"], ["torch==2.0", "Torch==2.1"]):
        with pytest.raises(AssertionError):
            pins(lines)


def test_mlflow_reads_the_environment_without_conda() -> None:
    environment = _PythonEnv.get_dependencies_from_conda_yaml(ROOT / "conda.yaml")
    assert environment["python"] == "3.11"
    assert environment["build_dependencies"] == ["pip"]
    assert environment["dependencies"] == conda_dependencies()[-1]["pip"]
    assert [d for d in conda_dependencies() if isinstance(d, str)] == ["python=3.11", "pip"]


def test_makefile_takes_torch_from_the_constraints() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "/^torch==/p" in makefile and "torch" in constraint_pins()


# --- MLproject -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project(str(ROOT))


def test_the_reference_is_the_generated_one() -> None:
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == MAKE.reference(), "run: make reference"
    assert (ROOT / "docs" / "modules.md").read_text(encoding="utf-8") == MAKE.modules(), "run: make reference"


def test_a_person_can_read_mlproject(project: Project) -> None:
    assert len((ROOT / "MLproject").read_text(encoding="utf-8").splitlines()) <= 150
    declared = [one for entry in project._entry_points.values() for one in entry.parameters.values()]
    assert declared and all(one.default != "" for one in declared)  # a run would store it


@pytest.mark.parametrize("name", MAKE.ENTRY_POINTS)
def test_mlproject_declares_parameters_with_their_defaults_and_types(project: Project, name: str) -> None:
    known = {p.name: p for p in parameters(MAKE.ENTRY_POINTS[name][1])}
    for one in project.get_entry_point(name).parameters.values():
        assert one.type == ("float" if known[one.name].annotation in (int, float) else "string")
        if one.default is None:
            assert known[one.name].text in (None, "")  # needed here
        else:
            assert str(one.default) == known[one.name].text


def test_mlflow_loads_the_project(project: Project) -> None:
    assert project.name == "nertransfer"
    assert project.env_type == env_type.CONDA
    assert set(project._entry_points) == set(MAKE.ENTRY_POINTS)
    written = (ROOT / "MLproject").read_text(encoding="utf-8")
    # MLflow quotes values for the shell; a quote around {x} would be undone by them
    assert not re.search(r"['\"]\{\w+\}|\{\w+\}['\"]", written)


def test_main_is_the_study(project: Project) -> None:
    main, study = project.get_entry_point("main"), project.get_entry_point("study")
    assert main.command == study.command and main.parameters == study.parameters == {}  # a study file may give any


@pytest.mark.parametrize("name", MAKE.ENTRY_POINTS)
def test_what_is_needed_alone_gives_the_default_configuration(project: Project, name: str) -> None:
    script, configuration = MAKE.ENTRY_POINTS[name]
    entry = project.get_entry_point(name)
    needed = {p.name: REQUIRED[p.name] for p in parameters(configuration) if p.text is None}
    needed |= {one: REQUIRED[one] for one, declared in entry.parameters.items() if declared.default is None}
    python, path, *arguments = shlex.split(entry.compute_command(needed, None))
    assert (python, path) == ("python", f"entrypoints/{script}.py")
    assert build(configuration, given(configuration, arguments).texts) == build(configuration, needed)


@pytest.mark.parametrize("name", MAKE.ENTRY_POINTS)
def test_values_reach_the_program_unchanged(project: Project, name: str) -> None:
    """Spaces, quotes, dollars and braces survive MLflow's formatting and the shell."""
    odd = """my data; $HOME "x" 'y' {z}"""
    configuration = MAKE.ENTRY_POINTS[name][1]
    there = {p.name for p in parameters(configuration)}
    parameter = next(name for name in ("data", "input", "host", "tracking_uri") if name in there)
    entry = project.get_entry_point(name)
    values = {one: REQUIRED[one] for one, declared in entry.parameters.items() if declared.default is None}
    arguments = shlex.split(entry.compute_command(values | {parameter: odd}, None))[2:]
    assert given(configuration, arguments).texts[parameter] == odd


def test_what_mlproject_does_not_declare_reaches_the_program_under_the_name_it_is_typed_with(project: Project) -> None:
    """MLflow appends it."""
    typed = {"study-file": "my study.yaml", "seed": "1-3", "few-shot-mode": "after", "output": "out"}
    arguments = shlex.split(project.get_entry_point("study").compute_command(typed, None))[2:]
    assert given(config.StudyConfig, arguments).texts == {
        "study_file": "my study.yaml", "seeds": "1-3", "few_shot_mode": "after", "output": "out",
    }  # fmt: skip


# --- entry points -----------------------------------------------------------------------------------------


def test_every_script_is_an_entry_point() -> None:
    assert {path.stem for path in SCRIPTS} <= {script for script, _ in MAKE.ENTRY_POINTS.values()}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_is_short_and_opens_with_its_commands(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
    assert f"python entrypoints/{path.stem}.py" in docstring(path)
    assert f"mlflow run . -e {path.stem} " in docstring(path)


# --- make ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "planted"),
    [
        ("", True), ("--seeds 0", True), ("--study mydata --plan", True), ("plan=true", True), ("--data x", False),
        ("--data=x", False), ("data=x", False), ("--study_file a", False), ("--study-file a", False),
        ("--study-file=a", False), ("study_file=a", False), ("study-file=a", False), ("studies/x.yaml --plan", False),
    ],
)  # fmt: skip
def test_make_study_takes_the_planted_study_unless_it_is_told_another(arguments: str, planted: bool) -> None:
    listed = subprocess.run(
        ["make", "-n", "study", f"ARGS={arguments}", "PYTHON=python3"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    (line,) = [line for line in listed.splitlines() if "entrypoints/study.py" in line]
    words = line.split("entrypoints/study.py")[1].split()
    assert words == [*(["--study_file", "studies/planted.yaml"] if planted else []), *arguments.split()]


# --- files -------------------------------------------------------------------------------------------------


MACHINE_PATH = re.compile(r"(?<![\w.~}\])>/-])/(?:home|root|work|tmp)/\w")


def test_machine_path_pattern() -> None:
    for text in ("see /" + "home/me", '"/' + 'tmp/x"', "=/" + "work/a", "file:///" + "root/b"):
        assert MACHINE_PATH.search(text.replace("file://", "")), text
    for text in ("/" + "work/", "shared/" + "work/x", "https://x.org/" + "home/y", "<dir>/" + "tmp/x", "./" + "tmp/x"):
        assert not MACHINE_PATH.search(text), text


def test_no_path_of_one_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project is not known")
    # safe.directory: the checkout may belong to another user than the one who tests
    listing = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert ROOT / "pyproject.toml" in files
    found = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not a text file
        lines = [line.strip() for line in text.splitlines() if MACHINE_PATH.search(line)]
        found += [f"{path.relative_to(ROOT)}: {line}" for line in lines]
    assert found == []


def test_what_is_published_names_one_version() -> None:
    """CITATION.cff, pyproject.toml and the changelog."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["title"], cited["version"], cited["license"]) == (
        project["name"], project["version"], project["license"],
    )  # fmt: skip


def test_the_workflow_and_the_forms_of_github_are_whole() -> None:
    """The workflow runs .ci/run, with the programs that .ci/run would install as root."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["test"]["steps"]
    assert steps[-1]["run"] == ".ci/run" and workflow["permissions"] == {"contents": "read"}
    (programs,) = (step["run"] for step in steps if "apt-get" in step.get("run", ""))
    (installed,) = re.findall(r"--no-install-recommends (.*)", programs)
    wanted = " ".join(re.findall(r"missing\+=\((.*?)\)", (ROOT / ".ci/run").read_text(encoding="utf-8"))).split()
    assert set(wanted) - set(installed.split()) == {"chromium", "gcc", "libc6-dev"}  # the machines of GitHub have these
    forms = [ROOT / f".github/ISSUE_TEMPLATE/{name}.yml" for name in ("reproduce", "corpus")]
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert form["name"] and form["description"] and all(one["attributes"]["label"] for one in form["body"])
