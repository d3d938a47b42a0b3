"""MLflow's global addresses: the study's inside the block, and afterwards what they were before it."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from nertransfer.core.options import TrackingOptions
from nertransfer.tracking import addresses
from nertransfer.tracking.global_state import fluent

STORE = "sqlite:////somewhere/mlflow.db"


@pytest.fixture(autouse=True)
def no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set before a test."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)


def test_what_was_not_set_is_not_set_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.set_tracking_uri(None)
    with fluent(STORE):
        assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == STORE
    monkeypatch.chdir(tmp_path)  # the default is that of the folder, here and in a child
    assert not mlflow.is_tracking_uri_set() and str(tmp_path) in addresses.resolve_uri(TrackingOptions())
    child = "import os; print(*(name for name in os.environ if name.startswith('MLFLOW_') and name.endswith('_URI')))"
    assert subprocess.check_output([sys.executable, "-c", child], text=True).strip() == ""


def test_what_the_environment_says_goes_on_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.set_tracking_uri(None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///one.db")
    with fluent(STORE):
        assert mlflow.get_tracking_uri() == STORE
    assert os.environ["MLFLOW_TRACKING_URI"] == "sqlite:///one.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///two.db")
    assert mlflow.get_tracking_uri() == "sqlite:///two.db"


def test_addresses_of_ones_own_come_back_also_after_an_error() -> None:
    mlflow.set_tracking_uri("sqlite:///runs.db")
    mlflow.set_registry_uri("sqlite:///models.db")
    with pytest.raises(KeyError), fluent(STORE):
        assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == STORE
        raise KeyError
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == ("sqlite:///runs.db", "sqlite:///models.db")
