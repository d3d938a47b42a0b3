"""A target without gold entities: its F1 is not defined, and in no number of a report."""

import numpy as np
import pytest
from audit_runs import CELLS, Cell, cell_run, plan_run, study, valid

from analysis.reading.results import StudyResults
from analysis.report import study_analysis
from analysis.report.study_analysis import Computed
from analysis.transfer import matrices
from nertransfer.core.errors import InputError


def without_entities(*empty: str, f1: float = 0.0) -> StudyResults:
    """The planned study with targets that have no gold entity in test."""

    def scores(cell: Cell) -> dict[str, float]:
        found = dict(valid(cell))
        for target in empty:
            found |= {f"test_f1/{target}": f1, f"test_support/{target}": 0.0}
        return found

    return study([plan_run(), *(cell_run(cell, scores(cell)) for cell in CELLS)])


def analysed(found: StudyResults) -> Computed:
    beside = study_analysis.Beside({}, "not at hand", {})
    return study_analysis.compute(study_analysis.basis(found), beside)


def test_it_is_listed_and_not_averaged_over() -> None:
    whole, found = analysed(without_entities()), analysed(without_entities("zed"))
    mean = found.matrices["base"]["ALL"].mean
    assert "zed" not in mean.columns and "zed" in whole.matrices["base"]["ALL"].mean.columns
    inner = found.matrices["base"]["ALL"].inner("mean")
    kept = whole.matrices["base"]["ALL"].mean.loc[inner.index, inner.columns]
    others = np.array([[source != target for target in kept.columns] for source in kept.index])
    # over the targets that have entities
    np.testing.assert_allclose(mean["zero-shot"].iloc[:-1], kept.where(others).mean(axis=1))
    assert inner.notna().all(axis=None) and mean["zero-shot"].notna().all()
    for table in (found.intervals, found.best, found.differences, found.ranks):
        assert "zed" not in set(table["target"])
    assert [one.kind for one in found.findings if one.title == "1 target without entities"] == ["undefined"]
    assert not len(found.missing)
    assert (found.found.frame["target"] == "zed").any()  # what was stored can be looked up


def test_predicted_entities_do_not_make_it_defined() -> None:
    """Whether a model finds nothing, rightly, or too much: recall has nothing to be a share of."""
    frame = without_entities("zed").frame
    assert matrices.undefined(frame) == ["zed"]
    one_predicts = frame.copy()
    one_predicts.loc[(frame["target"] == "zed") & (frame["seed"] == frame["seed"].min()), "precision"] = 0.5
    assert matrices.undefined(one_predicts) == ["zed"]


def test_where_the_number_of_gold_entities_is_not_known_it_counts_as_some() -> None:
    frame = without_entities("zed").frame
    assert matrices.undefined(frame.assign(support=np.nan)) == []
    assert matrices.undefined(frame, "dev") == []


def test_a_study_without_any_entity_is_refused() -> None:
    targets = sorted(set(without_entities().frame["target"]))
    with pytest.raises(InputError, match=r"no target of study .* has an entity in its test split"):
        analysed(without_entities(*targets))
