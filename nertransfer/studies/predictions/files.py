"""Folders of predictions as people have them -> which file is of which target and split. No file is read."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from nertransfer.core.errors import InputError
from nertransfer.core.files import entries
from nertransfer.core.schema import SCORED_SPLITS
from nertransfer.core.text import did_you_mean
from nertransfer.corpora.conversion import layouts

READ = (*layouts.COLUMNS, *layouts.RECORDS)
"""Endings of files that are read."""
_GIVEN = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):(.+)")


@dataclass(frozen=True, order=True)
class Part:
    """The predictions on one split of one target."""

    target: str
    split: str
    path: Path


@dataclass(frozen=True)
class Unread:
    """A file that is not read, and why."""

    path: str
    reason: str


def find(given: Sequence[str], split: str, targets: Collection[str]) -> tuple[list[Part], list[Unread]]:
    """The files of what is given: a folder or a file, or ``<target>:<file>`` each; and those of a folder that are not
    read.

    ``split``: of files that name none; ``targets``: the languages that have corpora. Raises InputError where there is
    nothing to read, where a file is of an unknown target, and where two are of the same target and split.
    """
    parts: list[Part] = []
    unread: list[Unread] = []
    for one in given:
        path, named = Path(one), _GIVEN.fullmatch(one)
        if path.is_dir():
            _below(path, split, targets, parts, unread)
        elif named and not path.exists():
            target, path = named[1], Path(named[2])
            if target not in targets:
                raise InputError(
                    f"predictions={one!r}: there is no corpus of {target}; there are {', '.join(targets)}"
                    f"{did_you_mean(target, targets)}", "predictions", one,
                )  # fmt: skip
            if not path.is_file():
                raise InputError(f"predictions={one!r}: {path} {_is_no_file(path)}", "predictions", one)
            _check_ending(path)
            own = layouts.split_off(path.stem)[1]
            parts.append(Part(target, own if own in SCORED_SPLITS else split, path))
        elif path.is_file():
            _check_ending(path)
            place = _place(path, Path(path.name), split, targets)
            if isinstance(place, str):
                raise InputError(f"predictions={one!r}: {place}; give <target>:{one}", "predictions", one)
            parts.append(place)
        else:
            hint = "" if named else "; a folder, or <target>:<file>"
            raise InputError(f"predictions={one!r} {_is_no_file(path)}{hint}", "predictions", one)
    if not parts:
        listed = "; ".join(f"{one.path}: {one.reason}" for one in unread[:3])
        shown = ",".join(given)
        raise InputError(
            f"predictions={shown!r} has no file that is read: <target>.txt, <target>.jsonl or <target>/<file>, with "
            f"targets {', '.join(targets)}{f' ({listed})' if listed else ''}", "predictions",
        )  # fmt: skip
    for i, part in enumerate(sorted(parts)):
        for other in sorted(parts)[i + 1 :]:
            if (part.target, part.split) == (other.target, other.split):
                raise InputError(
                    f"{part.path} and {other.path} are both predictions on {part.target} {part.split}; leave one out",
                    "predictions",
                )
    return sorted(parts), unread


def _is_no_file(path: Path) -> str:
    return "is no file" if path.exists() else "does not exist"


def _check_ending(path: Path) -> None:
    if path.suffix.lower() in layouts.ARCHIVES:
        raise InputError(f"predictions={str(path)!r} is an archive; unpack it first", "predictions")


def _below(root: Path, split: str, targets: Collection[str], parts: list[Part], unread: list[Unread]) -> None:
    for path in entries(root, "predictions"):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            inside = [path]
        elif path.name in targets:
            inside = [one for one in entries(path, "predictions") if not one.name.startswith(".")]
        else:
            near = did_you_mean(path.name, targets)
            unread.append(Unread(str(path), f"a folder that is called like no language of the corpora{near}"))
            continue
        for one in inside:
            if not one.is_file():
                unread.append(Unread(str(one), "no file"))
            elif one.suffix.lower() not in READ:
                unread.append(Unread(str(one), f"its name ends in none of {', '.join(READ)}"))
            else:
                place = _place(one, one.relative_to(root), split, targets)
                if isinstance(place, str):
                    unread.append(Unread(str(one), place))
                else:
                    parts.append(place)


def _place(path: Path, below: Path, split: str, targets: Collection[str]) -> Part | str:
    """The target and split that a path below the folder names; or why it names none."""
    ending = (".train", ".testa", ".testb")
    rest, own = layouts.split_off(below.name if below.suffix in ending else below.stem)
    folder = below.parts[0] if len(below.parts) > 1 else ""
    named = {name for name in (folder, rest) if name in targets}
    if len(named) > 1:
        return f"its folder names {folder}, and it {rest}"
    if not named:
        near = did_you_mean(rest, targets) if rest else ""
        return f"its name is that of no language of the corpora{near}"
    if own == "train":
        return "no system is scored on train"
    return Part(named.pop(), own or split, path)
