"""What a test cannot do without."""

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """Skip the test for want of something; in CI (CI=true), which must not skip, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
