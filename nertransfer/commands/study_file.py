"""A study file -> parameter texts, each with the line it stands on.

The keys of the YAML are the parameters of the ``study`` entry point, with dashes or underscores; ``recipe`` and
``slurm`` may be mappings. Values are taken as they are written (``no`` is the language, not a boolean),
so a study file and a command line mean the same.
"""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from nertransfer.core import files
from nertransfer.core.errors import InputError
from nertransfer.core.files import PROJECT, decode
from nertransfer.core.options import CORPUS_NAMES, Recipe
from nertransfer.core.text import called, did_you_mean
from nertransfer.tracking import secrets

logger = logging.getLogger("nertransfer")

GROUPS = {"recipe": "", "slurm": "slurm_"}
"""Keys that may hold a mapping, and what is put before its keys to make parameters of them."""
LARGEST = 100_000
"""Bytes of a study file, at most: people write them by hand, and PyYAML reads 30,000 in a second."""


@dataclass
class StudyFile:
    """``texts`` by parameter as on a command line; ``lines`` by parameter, and by (parameter, list item)."""

    path: Path
    texts: dict[str, str] = field(default_factory=dict)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)

    def place(self, parameter: str, item: str = "") -> str:
        """``file:line`` of what the parameter, or one item of its list, was given; empty where it was not."""
        line = self.lines.get((parameter, item)) or self.lines.get((parameter, ""))
        return f"{self.path}:{line}" if line else ""


def find(name: str) -> Path:
    """The study file of that name: in the working folder, else the project's own, such as ``studies/planted.yaml``."""
    own = PROJECT / name
    if Path(name).exists() or not own.is_file():
        return Path(name)
    logger.info("study_file=%s, that of the project in %s", name, PROJECT)
    return own


def read(path: Path, known: Collection[str]) -> StudyFile:
    """Read a study file whose parameters must be among ``known``.

    Raises InputError with file and line: not a file, larger than `LARGEST`, not UTF-8, not YAML, not a mapping, an
    unknown or repeated key, an empty list, a value that is neither text nor a list of texts.
    """
    try:
        text = decode(files.read(path, "study_file", LARGEST), path)
    except InputError as error:
        near = f"; did you mean data={path}?" if path.is_dir() or str(path) in CORPUS_NAMES else ""
        raise InputError(f"{error}{near}", "study_file") from None
    try:
        secrets.note(text.splitlines())
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise InputError(f"{path}: not a study file: it is nested too deeply") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"{path}:{line}: not YAML: {error.reason}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InputError(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{path}:1: a study file is a mapping such as 'data: masakhaner', one parameter a line")
    found = StudyFile(path)
    for written, key, value in _entries(root, path):
        name = called(written, [*known, *GROUPS]) or written
        if name in GROUPS and (isinstance(value, yaml.MappingNode) or name not in known):
            _add_group(found, name, key, value, known)
        else:
            _add(found, name, written, key, value, known)
    secrets.note(found.texts.values())  # as they are once YAML has read them
    return found


def _entries(mapping: yaml.MappingNode, path: Path) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    for key, value in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{path}:{_line(key)}: a key must be the name of a parameter")
        yield key.value, key, value


def _add_group(found: StudyFile, group: str, key: yaml.Node, value: yaml.Node, known: Collection[str]) -> None:
    prefix = GROUPS[group]
    allowed = [n for n in known if n.startswith(prefix)] if prefix else [f.name for f in fields(Recipe)]
    if not isinstance(value, yaml.MappingNode) or not value.value:
        names = ", ".join(name.removeprefix(prefix) for name in allowed)
        raise InputError(f"{found.path}:{_line(key)}: {group!r} has nothing in it; it holds some of {names}")
    for inner, inner_key, inner_value in _entries(value, found.path):
        if (group, inner) == ("recipe", "name"):
            _add(found, group, "recipe.name", inner_key, inner_value, known)
        else:
            name = called(prefix + inner, allowed) or prefix + inner
            _add(found, name, f"{group}.{inner}", inner_key, inner_value, allowed)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _add(
    found: StudyFile, parameter: str, shown: str, key: yaml.Node, value: yaml.Node, known: Collection[str]
) -> None:
    where = f"{found.path}:{_line(key)}"
    if parameter not in known or parameter == "study_file":
        names = [name for name in known if name != "study_file"]
        raise InputError(f"{where}: unknown key {shown!r}: one of {', '.join(names)}{did_you_mean(parameter, names)}")
    if parameter in found.texts:
        raise InputError(f"{where}: {shown!r} stands here twice")
    found.lines[(parameter, "")] = _line(key)
    if isinstance(value, yaml.ScalarNode):
        if value.tag == "tag:yaml.org,2002:null" or not value.value.strip():
            raise InputError(f"{where}: {shown!r} has no value; leave the key out for the default")
        found.texts[parameter] = value.value
        return
    if not isinstance(value, yaml.SequenceNode) or not all(isinstance(i, yaml.ScalarNode) for i in value.value):
        raise InputError(f"{where}: {shown!r} must be a value or a list of values")
    items = [item.value.strip() for item in value.value]
    for item, node in zip(items, value.value, strict=True):
        if not item or "," in item:
            raise InputError(f"{found.path}:{_line(node)}: {item!r} cannot be an item of {shown!r}: no text or a ','")
        found.lines[(parameter, item)] = _line(node)
    if not items:
        raise InputError(f"{where}: the list {shown!r} is empty; leave the key out for the default")
    found.texts[parameter] = ",".join(items)
