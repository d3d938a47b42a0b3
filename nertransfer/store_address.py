"""Which MLflow store is meant, by its address alone: nothing is opened, and nothing large is imported."""

import os
from urllib.parse import urlsplit

from nertransfer.config import StoreOptions

DEFAULT_URI = "sqlite:///mlflow.db"


def resolve_uri(options: StoreOptions) -> str:
    """The store's address: the option, else ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db``."""
    return options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "").strip() or DEFAULT_URI


def public_uri(uri: str) -> str:
    """``uri`` without a user name and password in it, to be shown to people."""
    parts = urlsplit(uri)
    return uri.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1) if "@" in parts.netloc else uri


def is_served(uri: str) -> bool:
    """Whether a server has the store; otherwise this process opens the database itself."""
    return uri.startswith(("http://", "https://"))
