"""Looking for unreachable objects rarely: while asked for, and as before afterwards."""

import gc

import pytest

from analysis.report.background import collected_rarely


def test_it_is_as_before_afterwards_also_where_something_fails() -> None:
    gc.unfreeze()  # what the tests themselves leave out
    before = gc.get_threshold()
    with collected_rarely():
        assert gc.get_threshold() > before and gc.get_freeze_count() > 0 and gc.isenabled()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
    gc.freeze()
    with collected_rarely():
        pass
    assert gc.get_freeze_count() > 0
    with pytest.raises(KeyError), collected_rarely():
        raise KeyError
    assert gc.get_threshold() == before
