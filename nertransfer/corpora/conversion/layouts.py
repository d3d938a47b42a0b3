"""Folders of corpora as people have them -> which files are the train, dev and test split of which language. No file is
read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nertransfer.core import grid
from nertransfer.core.errors import InputError
from nertransfer.core.files import entries
from nertransfer.core.schema import SPLITS

SPLIT_WORDS = {
    "train": "train", "training": "train",
    "dev": "dev", "development": "dev", "valid": "dev", "validation": "dev", "val": "dev", "testa": "dev",
    "test": "test", "testing": "test", "testb": "test",
}  # fmt: skip
COLUMNS = (".txt", ".conll", ".conllu", ".iob", ".iob2", ".bio", ".tsv", ".train", ".testa", ".testb")
RECORDS = (".json", ".jsonl", ".ndjson")
TABLES = (".parquet", ".arrow")
ARCHIVES = (".zip", ".gz", ".tar", ".tgz", ".bz2", ".xz", ".7z")
_SHARD = re.compile(r"-(\d{5})-of-\d{5}$")
_GENERIC = frozenset({"data", "corpus", "corpora", "ner", "conll", "iob2"})
"""Names of files and folders that name no language."""
DEEPEST = 3


@dataclass(frozen=True)
class Found:
    """The files of a split, in order: several where it is in pieces."""

    language: str
    split: str
    files: tuple[Path, ...]


def find(root: Path, language: str, rename: Mapping[str, str]) -> list[Found]:
    """Every split below ``root``, or the file ``root``, by language, then train, dev, test.

    ``language``: of files that name none; ``rename``: codes by the names that were found. Raises InputError where there
    is no file, where one names no split or no language, and where two are the same split.
    """
    files = [root] if root.is_file() else _below(root, 0)
    if root.is_file() and root.suffix in ARCHIVES:
        raise InputError(f"input={str(root)!r} is an archive; unpack it first", "input")
    usable = [path for path in files if path.suffix.lower() in (*COLUMNS, *RECORDS, *TABLES)]
    named = {path: _place(path.relative_to(root) if path != root else Path(path.name)) for path in usable}
    splits = {path: place for path, place in named.items() if place[1]}
    if not splits:
        archives = [path.name for path in files if path.suffix in ARCHIVES]
        unpack = f"; unpack {', '.join(archives[:3])} first" if archives else ""
        there = ", ".join(sorted(path.name for path in files)[:5]) or "nothing"
        raise InputError(
            f"input={str(root)!r} has no file with train, dev or test in its name, of type {', '.join(COLUMNS[:7])}, "
            f"{', '.join(RECORDS)}, {', '.join(TABLES)}; it has {there}{unpack}", "input",
        )  # fmt: skip
    found: dict[tuple[str, str], list[tuple[int, Path]]] = {}
    for path, (name, split, shard) in splits.items():
        code = rename.get(name, name) or language
        if not code:
            raise InputError(f"{path}: nothing says which language this is; give language=<code>", "language")
        found.setdefault((grid.check_code(code, "rename"), split), []).append((shard, path))
    if unknown := sorted(set(rename) - {name for name, *_ in splits.values()}):
        there = ", ".join(sorted({name for name, *_ in splits.values() if name}))
        raise InputError(f"rename={unknown[0]!r}: the input has no such language; it has {there or 'none'}", "rename")
    for (code, split), parts in found.items():
        numbers = [shard for shard, _ in parts]
        if len(set(numbers)) < len(numbers):
            paths = " and ".join(str(path) for _, path in sorted(parts)[:2])
            raise InputError(
                f"{paths} are both the {split} split of {code}; leave one out, or rename its language", "input"
            )
    ordered = sorted(found, key=lambda key: (key[0], SPLITS.index(key[1])))
    return [Found(*key, tuple(path for _, path in sorted(found[key]))) for key in ordered]


def _below(folder: Path, depth: int) -> list[Path]:
    found: list[Path] = []
    for path in entries(folder, "input"):
        if path.name.startswith((".", "_")):
            continue
        if path.is_dir():
            found += _below(path, depth + 1) if depth < DEEPEST else []
        else:
            found.append(path)
    return found


def _place(path: Path) -> tuple[str, str, int]:
    """Language, split and number of a piece that a path below the input names; empty where it names none."""
    shard = _SHARD.search(path.stem)
    name = _SHARD.sub("", path.stem) if path.suffix not in (".train", ".testa", ".testb") else path.name
    language, split = split_off(name)
    for folder in reversed(path.parts[:-1]):
        if split and language:
            break
        rest, other = split_off(folder)
        split = split or other
        language = language or rest
    return language, split, int(shard[1]) if shard else 0


def split_off(name: str) -> tuple[str, str]:
    """The name without the word for a split, and that split: ``en_ewt-ud-train`` is train of ``en_ewt-ud``."""
    parts = re.split(r"([._\-\s]+)", name)
    places = [i for i, part in enumerate(parts) if part.lower() in SPLIT_WORDS]
    if len(places) != 1:
        rest, split = name, ""
    else:
        split = SPLIT_WORDS[parts[places[0]].lower()]
        rest = "".join(parts[: max(places[0] - 1, 0)] + parts[places[0] + 1 :]).strip("._- ")
        rest = rest.removesuffix("-ud")  # as Universal Dependencies names files
    return ("" if rest.lower() in _GENERIC or rest.isdigit() else rest), split


def languages(found: Sequence[Found]) -> list[str]:
    return list(dict.fromkeys(one.language for one in found))
