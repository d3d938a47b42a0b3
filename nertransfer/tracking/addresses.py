"""Which MLflow store is meant, by its address alone: nothing is opened, and nothing large is imported."""

import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from nertransfer.core.options import StoreOptions

DEFAULT_URI = "sqlite:///mlflow.db"
VARIABLE = "MLFLOW_TRACKING_URI"
"""Where MLflow keeps the address of its store; ``mlflow run`` sets it for the command that it starts."""


def resolve_uri(options: StoreOptions) -> str:
    """The store's address: the option, else ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db``; a database file by
    its whole path, so that it is the same one from every folder."""
    return absolute(options.tracking_uri or os.environ.get(VARIABLE, "").strip() or DEFAULT_URI)


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
    """``uri`` without a user name and password in it, to be shown to people."""
    parts = urlsplit(uri)
    return uri.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1) if "@" in parts.netloc else uri


def is_served(uri: str) -> bool:
    """Whether a server has the store; otherwise this process opens the database itself."""
    return uri.startswith(("http://", "https://"))
