"""Write docs/reference.md from nertransfer/core/config.py, and docs/modules.md from docstrings and imports.

    make reference
    python docs/make_reference.py

The test suite compares the committed files with what this script would write.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # works in a bare checkout: the configurations need the standard library only

from nertransfer.core import config  # noqa: E402
from nertransfer.core.commandline import (  # noqa: E402
    Parameter,
    parameters,
)

ENTRY_POINTS: dict[str, tuple[str, type]] = {
    "main": ("study", config.StudyConfig),
    "study": ("study", config.StudyConfig),
    "data": ("data", config.DataConfig),
    "convert": ("convert", config.ConvertConfig),
    "adapt": ("adapt", config.AdaptConfig),
    "train": ("train", config.TrainConfig),
    "evaluate": ("evaluate", config.EvaluateConfig),
    "embed": ("embed", config.EmbedConfig),
    "register": ("register", config.RegisterConfig),
    "models": ("models", config.ModelsConfig),
    "rollback": ("rollback", config.RollbackConfig),
    "export": ("export", config.ExportConfig),
    "predict": ("predict", config.PredictConfig),
    "serve": ("serve", config.ServeConfig),
    "ui": ("ui", config.UiConfig),
    "import_results": ("import_results", config.ImportConfig),
    "import_predictions": ("import_predictions", config.PredictionsConfig),
    "analyse": ("analyse", config.AnalyseConfig),
    "rank": ("rank", config.RankConfig),
    "relocate": ("relocate", config.RelocateConfig),
}
"""Entry point -> (script in entrypoints/ without .py, its configuration)."""

COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:mlflow|python) ")
"""How a line of a script's docstring begins that is a command."""

REFERENCE_HEADER = """\
# Entry points and their parameters

Made by docs/make_reference.py from nertransfer/core/config.py: change that, then `make reference`. `mlflow run . -e
<name> -P <parameter>=<value>` and `python entrypoints/<name>.py --<parameter> <value>` mean the same. Lists are
comma-separated, whole numbers also ranges (`seeds=1-3`), an empty value is "not given". Without `-e`, `mlflow run .` is
`study`.

A name may have dashes for underscores, and be in the singular or plural; `--plan` alone is `--plan true`. Where a table
says so, a value may stand without its name: `study.py mystudy.yaml`. There are `--help` and `--version`.

`train` and `data` need `data`, `adapt` needs `text`; `study` takes the planted corpora where it is
given none, and says so. `analyse`, `rank`, `embed`, `register`, `models` and `export` take the corpora that their study
or model was made on, from whichever folder they are started, and refuse others; a copy, or some of the languages, is no
other. `evaluate` takes them as well, and scores on any others that it is given. A store's only study need not be named.

| exit status | means |
|---|---|
| 0 | done |
| 1 | something failed, in whole or in part; one line says what, and where the stack trace is |
| 2 | refused: a parameter, a file or a store is wrong, as one line says; nothing was changed |
| 75 | `train` alone: another process works on the cell |
| 130 | interrupted, by Ctrl-C or SIGTERM; the same command goes on |
| 141 | nobody reads what it prints, as behind `\\| head` |
"""


def reference() -> str:
    """The whole text of docs/reference.md: what an entry point does, its commands, every parameter."""
    parts = [REFERENCE_HEADER]
    for name, (script, configuration) in ENTRY_POINTS.items():
        if name == "main":  # `mlflow run .` without -e, the same as study
            continue
        opening = ast.get_docstring(ast.parse((ROOT / "entrypoints" / f"{script}.py").read_text(encoding="utf-8")))
        lines = [line.strip() for line in (opening or "").splitlines()]
        commands = "\n".join(line for line in lines if COMMAND.match(line))
        what = re.sub("\n{3,}", "\n\n", "\n".join(line for line in lines if line not in commands.splitlines())).strip()
        rows = [_row(p, p.name == getattr(configuration, "POSITIONAL", "")) for p in parameters(configuration)]
        table = "\n".join(["| parameter | default | means |", "|---|---|---|", *rows])
        parts.append(f"## {name}\n\n{_cell(what)}\n\n```bash\n{commands}\n```\n\n{table}\n")
    return "\n".join(parts)


def _row(p: Parameter, nameless: bool) -> str:
    default = "required" if p.text is None else f"`{p.text}`" if p.text else ""
    return f"| `{p.name}` | {default} | {_cell(p.help)}{'; may stand without its name' if nameless else ''} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


MODULES_HEADER = """\
# Modules

Made by docs/make_reference.py from the code: the layers from `pyproject.toml`, the arrows from the imports, the
sentences from the docstrings. [architecture.md](architecture.md) explains them. An arrow means "imports"; what can be
reached by other arrows is not drawn again.
"""


def modules() -> str:
    """The whole text of docs/modules.md: the layers as a picture, and every module with its first sentence."""
    arrows = _arrows()
    parts = [MODULES_HEADER]
    for package in ("nertransfer", "analysis"):
        parts.append(f"## {package}\n\n```mermaid\nflowchart TD")
        contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
        layers = next(c["layers"] for c in contracts["contracts"] if c.get("containers") == [package])
        rooms = [room for layer in layers for room in layer.split(" | ")]
        parts += [f"    {room}" for room in rooms]
        parts += [f"    {a} --> {b}" for a in rooms for b in rooms if (f"{package}.{a}", f"{package}.{b}") in arrows]
        parts.append("```\n")
        for room in rooms:
            rows = [f"| `{name}` | {_cell(sentence)} |" for name, sentence in _sentences(ROOT / package / room)]
            parts.append("\n".join([f"### {package}.{room}\n", "| module | |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def _sentences(folder: Path) -> Iterator[tuple[str, str]]:
    """Every module below a folder, by its path there, with the first sentence of its docstring."""
    for path in sorted(folder.rglob("*.py")):
        if path.name != "__init__.py":
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            sentence = re.split(r"(?<!al\.)(?<=[.?])\s", text.split("\n\n")[0])[0]
            yield path.relative_to(folder).as_posix(), " ".join(sentence.split())


def _arrows() -> set[tuple[str, str]]:
    """Pairs of packages of which the first imports the second, without those that others imply."""
    direct = {
        (".".join(path.relative_to(ROOT).parts[:2]), ".".join(node.module.split(".")[:2]))
        for package in ("nertransfer", "analysis")
        for path in (ROOT / package).rglob("*/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    direct = {(a, b) for a, b in direct if a != b}
    every = set(direct)
    while more := {(a, d) for a, b in every for c, d in every if b == c} - every:
        every |= more
    return {(a, b) for a, b in direct if not any((a, c) in every and (c, b) in every for c in {b for _, b in direct})}


if __name__ == "__main__":
    (ROOT / "docs" / "reference.md").write_text(reference(), encoding="utf-8")
    (ROOT / "docs" / "modules.md").write_text(modules(), encoding="utf-8")
