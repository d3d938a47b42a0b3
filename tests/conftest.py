"""Fixtures for all tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: more threads only get in each other's way

from pathlib import Path

import pytest
from absent import absent

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real corpora: $NERTRANSFER_DATA, else ``../shared/data``; relative to the checkout.

    Skips where it is absent, and fails in CI (CI=true), which must not skip.
    """
    folder = ROOT / (os.environ.get("NERTRANSFER_DATA") or "../shared/data")
    if not (folder / "masakhaner").is_dir():
        reason = f"real corpora are absent: {folder}/masakhaner does not exist; set NERTRANSFER_DATA"
        absent(reason)
    return folder
