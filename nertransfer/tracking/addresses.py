"""Which MLflow store is meant, by its address alone, and what of an address may be shown: nothing is opened.

Nothing large is imported, unless a database on a server is meant.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from nertransfer.core.errors import InputError
from nertransfer.core.options import StoreOptions

DEFAULT_URI = "sqlite:///mlflow.db"
VARIABLE = "MLFLOW_TRACKING_URI"
"""Where MLflow keeps the address of its store; ``mlflow run`` sets it for the command that it starts."""
HARMLESS = frozenset({
    "application_name", "cache", "charset", "check_same_thread", "client_encoding", "connect_timeout", "driver",
    "Encrypt", "mode", "sslmode", "timeout", "TrustServerCertificate",
})  # fmt: skip
"""Names of settings in an address that are shown; all others may hold a secret."""
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*", re.ASCII)
_DATABASES = ("mssql", "mysql", "postgresql", "sqlite")
"""What MLflow opens with SQLAlchemy."""
_SSH = re.compile(r"[\w.-]+@[\w.-]+:[^@]*")
"""As git writes addresses of SSH: user@host:path, which have no password."""


def resolve_uri(options: StoreOptions) -> str:
    """The store's address: the option, else ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db``; a database file by
    its whole path, so that it is the same one from every folder. Raises InputError as `checked` does."""
    return checked(options.tracking_uri, "tracking_uri") if options.tracking_uri else given_uri()


def given_uri() -> str:
    """`resolve_uri` where the option is not given."""
    return checked(os.environ.get(VARIABLE, "").strip() or DEFAULT_URI, VARIABLE)


def checked(uri: str, name: str) -> str:
    """`absolute`, of an address that is read in only one way.

    Raises InputError, without the address, where it cannot be read, and where a part of the password could be taken for
    the host. ``name``: the parameter or variable that holds it.
    """
    try:
        _public(uri)
    except ValueError:
        raise InputError(
            f"{name}={public_uri(uri)} cannot be read: write scheme://user:password@host:port/name, with a port up to "
            "65535, and in user and password @ : / ? # [ ] % as %40 %3A %2F %3F %23 %5B %5D %25",
            "tracking_uri",
        ) from None
    return absolute(uri)


def absolute(uri: str) -> str:
    """``uri`` with the whole path of a database file that it gives from the working folder; any other as it is."""
    database = database_of(uri)
    if database is None or database.is_absolute():
        return uri
    scheme, _, rest = uri.partition(":///")
    _, mark, query = rest.partition("?")
    return f"{scheme}:///{quote(Path(os.path.abspath(database)).as_posix(), safe='/:')}{mark}{query}"


def database_of(uri: str) -> Path | None:
    """The file of a sqlite address; None for servers, other databases and databases in memory."""
    scheme, separator, rest = uri.partition(":///")
    if not separator or not scheme.startswith("sqlite"):
        return None
    name = unquote(rest.partition("?")[0])
    return Path(name) if name and name != ":memory:" and not name.startswith("file:") else None


def public_uri(uri: str) -> str:
    """An address of a store or of a git repository as it may be shown and stored: without user name, password and all
    settings that are not `HARMLESS`. Of one that cannot be read in only one way, its scheme and ``...``."""
    try:
        return _public(uri)
    except ValueError:
        scheme, mark, _ = uri.partition("://")
        return f"{scheme}://..." if mark and _SCHEME.fullmatch(scheme) else "..."


def public_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """MLflow's tags of a run; where its code comes from, as `public_uri`."""
    return {
        name: public_uri(value) if name.startswith(("mlflow.source.", "mlflow.git")) and "://" in value else value
        for name, value in tags.items()
    }


def _public(uri: str) -> str:
    """Built from what the library that opens the address takes it for. Raises ValueError."""
    scheme, mark, rest = uri.partition("://")
    if not mark:  # a folder, databricks, or a repository by SSH
        if "@" in uri and not uri.startswith(("/", ".")) and not _SSH.fullmatch(uri):
            raise ValueError(uri)
        return uri
    if not _SCHEME.fullmatch(scheme):
        raise ValueError(scheme)
    parts = urlsplit(uri)  # MLflow does so, too, of every kind
    if scheme.partition("+")[0] not in _DATABASES:
        if "@" in rest.removeprefix(parts.netloc) or parts.netloc.count("@") > 1:
            raise ValueError(scheme)
        if is_served(uri) and (not parts.hostname or parts.port == 0):
            raise ValueError(scheme)
        place = parts.netloc.rpartition("@")[2] + parts.path
        fragment = f"#{parts.fragment}" if parts.fragment and "=" not in parts.fragment else ""  # a folder, for git
        return f"{scheme}://{place}{_shown(parts.query)}{fragment}"
    if rest.startswith("/") and scheme.startswith("sqlite"):
        path, _, query = rest.partition("?")
        return f"{scheme}://{path}{_shown(query)}"
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
    except ArgumentError as error:
        raise ValueError(scheme) from error
    if rest.count("@") > 1 if url.username is not None else "@" in rest.partition("?")[0]:
        raise ValueError(scheme)
    bare = URL.create(scheme, host=url.host, port=url.port, database=url.database).render_as_string()
    # what SQLAlchemy takes for the password may have a question mark, too
    return bare + _shown(rest.rpartition("@")[2].partition("?")[2] if url.query else "")


def _shown(query: str) -> str:
    kept = "&".join(item for item in query.split("&") if item.partition("=")[0] in HARMLESS)
    return f"?{kept}" if kept else ""


def is_served(uri: str) -> bool:
    """Whether a server has the store; otherwise this process opens the database itself."""
    return uri.startswith(("http://", "https://"))
