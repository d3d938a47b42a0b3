"""Brings the addresses in a store's database in line with where its files are now: after a move, or in a copy."""

import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from nertransfer.core import schema
from nertransfer.core.config import RelocateConfig
from nertransfer.core.errors import InputError
from nertransfer.tracking.addresses import database_of, public_uri
from nertransfer.tracking.corpus_source import CorpusSource
from nertransfer.tracking.secrets import hide
from nertransfer.tracking.store_files import check_database, displaced, local_path

SHOWN = 3
"""So many of the folders that are missing are named."""


@dataclass(frozen=True)
class Column:
    """A column with whole addresses, and what its rows are called; of a table of keys and values only these ``keys``,
    as SQL's LIKE takes them."""

    name: str
    table: str
    column: str
    keys: tuple[str, ...] = ()
    key_column: str = "key"


_OWN = (schema.START_LOCATION, schema.OUTPUT, schema.MODEL)
FILES = (
    Column("runs", "runs", "artifact_uri"),
    Column("models", "logged_models", "artifact_location"),
)
"""Of what has an id of its own in its address, which says for sure whose files lie there."""
ADDRESSES = (
    Column("experiments", "experiments", "artifact_location"),
    *FILES,
    Column("sources of registered versions", "model_versions", "source"),
    Column("registered versions", "model_versions", "storage_location"),
    Column("traces", "trace_tags", "value", ("mlflow.artifactLocation",)),
)
"""All that MLflow looks for files with."""
OWN = (
    Column("parameters of runs", "params", "value", (f"{schema.CONFIG}%",)),
    Column("tags of runs", "tags", "value", _OWN),
    Column("tags of models", "logged_model_tags", "tag_value", _OWN, "tag_key"),
    Column("sources of datasets", "datasets", "dataset_source"),
)
"""What this project tracks itself: folders of corpora, of starts, of the work."""


@dataclass(frozen=True)
class Move:
    """Files that were in the folder ``old``, and are in ``new``: both whole paths."""

    old: Path
    new: Path

    def address(self, text: str) -> str:
        """An address as it is after the move: a path or a ``file:`` address; itself where it is not below ``old``."""
        if not text.startswith("file:"):
            return self._in(text) or text
        path = local_path(text)
        moved = None if path is None else self._in(str(path))
        return text if moved is None else Path(moved).as_uri()

    def value(self, text: str) -> str:
        """A parameter or tag after the move: a path, or several with commas between, each perhaps as ``name=path``.

        A path stays that is at the old place still, and not at the new one.
        """
        listed = re.compile(rf"(^|,)([^,=/]+=)?({re.escape(str(self.old))}(?:/[^,]*)?)(?=,|$)")

        def one(found: re.Match[str]) -> str:
            path = Path(found[3])
            new = self._in(found[3])
            stays = new is None or (path.exists() and not Path(new).exists())
            return found[0] if stays else f"{found[1]}{found[2] or ''}{new}"

        return listed.sub(one, text)

    def _in(self, path: str) -> str | None:
        """None for what is not below ``old``, or is in ``new`` already, which may lie in there."""
        one = Path(path)
        inside = self.new.is_relative_to(self.old) and one.is_relative_to(self.new)
        if inside or not one.is_relative_to(self.old):
            return None
        return str(self.new / one.relative_to(self.old))


@dataclass
class Outcome:
    """What was rewritten, or would be: ``changed`` rows by what they are. ``backup``: the database as it was."""

    moves: Sequence[Move]
    changed: dict[str, int] = field(default_factory=dict)
    backup: Path | None = None

    def text(self, plan: bool) -> str:
        """For people."""
        if not self.changed:
            return "nothing to do: the addresses of this store are in line with where its files are"
        lines = [f"{move.old} -> {move.new}" for move in self.moves]
        lines += [f"  {name:<30} {rows:>6}" for name, rows in self.changed.items()]
        lines += [f"the database as it was: {self.backup}"] if self.backup else []
        return "\n".join([*lines, *(["plan: nothing has been changed"] if plan else [])])


def relocate(config: RelocateConfig, uri: str) -> Outcome:
    """Rewrite the addresses of the store at ``uri`` in one transaction; with ``config.plan`` only count them.

    Before, a database file is copied beside itself. Doing so twice changes nothing more. Raises InputError, before
    anything is changed, where it is not known what was moved, and where the files are not at the new place.
    """
    if not config.plan:
        check_database(uri)
    if config.new and not Path(config.new).is_dir():
        raise InputError(f"new={config.new!r} is not allowed: a folder that exists", "new")
    engine = sqlalchemy.create_engine(uri)
    try:
        with engine.connect() as connection:
            return _relocate(config, uri, connection)
    except SQLAlchemyError as error:
        reason = hide(str(getattr(error, "orig", None) or error).strip().partition("\n")[0])
        raise InputError(f"tracking_uri={public_uri(uri)}: nothing was changed: {reason}", "tracking_uri") from None
    finally:
        engine.dispose()


def _relocate(config: RelocateConfig, uri: str, connection: sqlalchemy.Connection) -> Outcome:
    database = database_of(uri)
    if database is not None and not config.plan:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # nobody adds a run in between
    there = {name: _columns(connection, name) for name in sqlalchemy.inspect(connection).get_table_names()}
    columns = [one for one in (*ADDRESSES, *OWN) if one.column in there.get(one.table, ())]
    addresses = [text for one in FILES if one in columns for text in _values(connection, one)]
    moves = _moves(config, uri, addresses)
    changes = {one: _changes(connection, one, moves) for one in columns}
    files = [pair for one in FILES for pair in changes.get(one, {}).items()]
    _check_files(files, moves)
    if config.old and not any(changes.values()):
        raise InputError(f"nothing in this store is in old={config.old}; {_where(addresses)}", "old")
    outcome = Outcome(moves)
    if any(changes.values()) and database is not None and not config.plan:
        outcome.backup = _backup(database)
    for column, wanted in changes.items():
        rows = sum(_update(connection, column, old, new, config.plan) for old, new in wanted.items())
        outcome.changed |= {column.name: rows} if rows else {}
    connection.commit()
    return outcome


def _columns(connection: sqlalchemy.Connection, table: str) -> set[str]:
    return {one["name"] for one in sqlalchemy.inspect(connection).get_columns(table)}


def _moves(config: RelocateConfig, uri: str, addresses: Iterable[str]) -> list[Move]:
    """What was moved: as it is given, else found by the files that lie beside the database."""
    if config.old and config.new:
        return [Move(Path(os.path.abspath(config.old)), Path(os.path.abspath(config.new)))]
    database = database_of(uri)
    if database is None:
        raise InputError("give old and new: only a database file says where its files should be", "old")
    home = Path(os.path.abspath(config.new)) if config.new else database.resolve().parent
    if config.old:
        return [Move(Path(os.path.abspath(config.old)), home)]
    found = [one for one in (displaced(uri, address, home) for address in addresses) if one is not None]
    lost = Counter(one.tracked for one in found if one.lies is None)
    folders = Counter(one.tracked for one in found if one.lies is not None)
    if lost and not folders:
        folder, runs = lost.most_common(1)[0]
        raise InputError(
            f"old and new cannot be found out: the files of {runs} runs and models are tracked in {folder}, which is "
            f"not there, and none of them is in {home}; give old and new", "old",
        )  # fmt: skip
    # the deepest first: an address below two of them goes with the nearer one
    return [Move(folder, home) for folder in sorted(folders, key=lambda one: -len(one.parts))]


def _where(addresses: Sequence[str]) -> str:
    folders = Counter(path.parent.parent for address in addresses if (path := local_path(address)) is not None)
    listed = ", ".join(str(folder) for folder, _ in folders.most_common(SHOWN))
    return f"its files are in {listed}" if listed else "it has no files on this machine"


def _check_files(pairs: Sequence[tuple[str, str]], moves: Sequence[Move]) -> None:
    """Raise InputError unless the new place has the files: all that are still at the old one, and any at all."""
    if not pairs:
        return
    paths = [(local_path(old), local_path(new)) for old, new in pairs]
    lacking = [new for old, new in paths if old and new and old.exists() and not new.exists()]
    if not lacking and not any(new.exists() for _, new in paths if new):
        lacking = [new for _, new in paths if new]
    if lacking:
        named = ", ".join(map(str, lacking[:SHOWN])) + (" ..." if len(lacking) > SHOWN else "")
        into = " and ".join(str(move.new) for move in moves)
        raise InputError(f"{len(lacking)} folders with files are not in {into}: {named}; bring them there first", "new")


def _values(connection: sqlalchemy.Connection, one: Column) -> list[str]:
    table = sqlalchemy.table(one.table, *map(sqlalchemy.column, {one.column, one.key_column}))
    query = sqlalchemy.select(table.c[one.column]).distinct().where(table.c[one.column].is_not(None), *_of(table, one))
    return [str(value) for value in connection.execute(query).scalars()]


def _of(table: sqlalchemy.TableClause, one: Column) -> list[sqlalchemy.ColumnElement[bool]]:
    """The condition that a row of keys and values is one of the column's."""
    return [sqlalchemy.or_(*(table.c[one.key_column].like(key) for key in one.keys))] if one.keys else []


def _changes(connection: sqlalchemy.Connection, one: Column, moves: Sequence[Move]) -> Mapping[str, str]:
    """The values of a column that change, and what they become."""
    found = {}
    for old in _values(connection, one):
        new = old
        for move in moves:
            new = _moved(new, one, move)
        if new != old:
            found[old] = new
    return found


def _moved(text: str, one: Column, move: Move) -> str:
    """A value of a column after the move."""
    if one in ADDRESSES:
        return move.address(text)
    if one.table != "datasets":
        return move.value(text)
    try:
        source = CorpusSource.from_json(text)
    except (ValueError, TypeError):  # another tool's
        return text
    data = move.value(source.data)
    return text if data == source.data else replace(source, data=data).to_json()


def _update(connection: sqlalchemy.Connection, one: Column, old: str, new: str, plan: bool) -> int:
    """The number of rows with the value ``old``, which then have ``new``."""
    table = sqlalchemy.table(one.table, *map(sqlalchemy.column, {one.column, one.key_column}))
    here = [table.c[one.column] == old, *_of(table, one)]
    if plan:
        counted = sqlalchemy.select(sqlalchemy.func.count()).select_from(table).where(*here)
        return int(connection.execute(counted).scalar_one())
    return int(connection.execute(sqlalchemy.update(table).where(*here).values({one.column: new})).rowcount)


def _backup(database: Path) -> Path:
    """The database copied beside itself, under a name that nothing has."""
    names = (f"{database}.before-relocate{f'-{number}' if number > 1 else ''}" for number in count(1))
    path = next(path for name in names if not (path := Path(name)).exists())
    with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(path)) as new:
        old.backup(new)
    return path.resolve()
