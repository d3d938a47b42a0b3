"""MLflow's fluent API, which has its addresses from global state, used on a store without a trace in the process."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow

from nertransfer.encoders import starts

_TRACKING, _REGISTRY = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
"""Variables that MLflow sets when its global addresses are set, and takes them from where they are not."""


@contextmanager
def fluent(uri: str) -> Iterator[None]:
    """The fluent API reads its address from global state, and asks the hub for a card of what was trained here."""
    log = logging.getLogger("mlflow.transformers")
    level = log.level
    with _environment(_TRACKING, _REGISTRY, "HF_HUB_OFFLINE"), _global_addresses(uri), starts.quiet():
        os.environ["HF_HUB_OFFLINE"] = "1"
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)


@contextmanager
def _environment(*names: str) -> Iterator[None]:
    """Afterwards these variables are as they were before."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _global_addresses(uri: str) -> Iterator[None]:
    """MLflow's global addresses of runs and of models are ``uri``; afterwards what they were, or not set."""
    tracking = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    registry = mlflow.get_registry_uri()
    registry = None if registry in (mlflow.get_tracking_uri(), os.environ.get(_REGISTRY)) else registry
    tracking = None if tracking == os.environ.get(_TRACKING) else tracking
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(tracking)
        mlflow.set_registry_uri(registry)
