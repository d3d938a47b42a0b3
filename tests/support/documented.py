"""The commands that README.md, docs/*.md and the scripts' docstrings tell people to type."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path

from project_scripts import MAKE, ROOT

from nertransfer.core.commandline import build, given
from nertransfer.core.errors import InputError

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
TUTORIAL = ROOT / "docs" / "tutorial.md"
SCRIPTS = sorted((ROOT / "entrypoints").glob("[!_]*.py"))


@dataclass(frozen=True)
class Command:
    """``line`` as it stands on ``page``, continued lines joined; ``exports``: those before it in its block."""

    page: str
    line: str
    exports: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)

    @property
    def name(self) -> str:
        """The same for commands that differ in spaces and comments alone."""
        return shlex.join(self.words)

    @property
    def variables(self) -> list[str]:
        """The assignments before the program."""
        return list(takewhile(lambda word: re.match(r"[A-Z_]+=", word), self.words))

    @property
    def entry(self) -> tuple[str, object] | None:
        """Entry point and configuration, where the command calls one; raises InputError on what it does not take."""
        words = self.words[len(self.variables) :]
        through_mlflow = words[:3] == ["mlflow", "run", "."]
        if not through_mlflow and (words[0] != "python" or not words[1].startswith("entrypoints/")):
            return None
        name = Path(words[1]).stem
        if through_mlflow:
            name = words[words.index("-e") + 1] if "-e" in words else "main"
        if name not in MAKE.ENTRY_POINTS:
            raise InputError(f"no entry point is called {name}")
        script, configuration = MAKE.ENTRY_POINTS[name]
        words = [value for flag, value in pairwise(words) if flag == "-P"] if through_mlflow else words[2:]
        return script, build(configuration, given(configuration, words).texts)

    @property
    def does(self) -> object:
        """The same for commands that do the same: through MLflow or not, a default given or left out."""
        return self.entry or self.name


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def fenced(text: str) -> list[tuple[str, str]]:
    """Language and code of every block of a page."""
    return re.findall(r"^```(.*?)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[str]:
    """The code of a language on a page."""
    return [code for name, code in fenced(text) if name == language]


def commands() -> list[Command]:
    """All but the tutorial's, in the order of the README, the pages and the scripts."""
    found: list[Command] = []
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8"), "bash") if page != TUTORIAL else ():
            found += _of_block(page.relative_to(ROOT).as_posix(), block)
    for path in SCRIPTS:
        lines = (line.strip() for line in docstring(path).splitlines())
        found += [Command(f"entrypoints/{path.name}", line) for line in lines if MAKE.COMMAND.match(line)]
    return found


def _of_block(page: str, block: str) -> Iterator[Command]:
    exports: list[str] = []
    for line in re.sub(r"\\\n *", "", block).splitlines():
        if not shlex.split(line, comments=True):
            continue
        yield Command(page, line.strip(), tuple(exports))
        if line.startswith("export "):
            exports.append(line)
