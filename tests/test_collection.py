"""Looking for unreachable objects rarely: while asked for, and as before afterwards."""

import gc

import pytest

from analysis.collection import collected_rarely


def test_it_is_as_before_afterwards_also_where_something_fails() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with collected_rarely():
        assert gc.get_threshold() > before and gc.get_freeze_count() > frozen and gc.isenabled()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
    with pytest.raises(KeyError), collected_rarely():
        raise KeyError
    assert gc.get_threshold() == before
