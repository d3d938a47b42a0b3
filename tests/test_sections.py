"""What a report says in words of the numbers of a study, from tables made by hand."""

import pandas as pd
import pytest

from analysis.computed import Computed


def computed(**fields: object) -> Computed:
    """A `Computed` that has these fields alone."""
    found = object.__new__(Computed)
    found.__dict__.update(fields)
    return found


def intervals(*rows: tuple[int, bool]) -> pd.DataFrame:
    """What texts need of `inference.intervals`."""
    return pd.DataFrame(rows, columns=["n_seeds", "sentences_vary"])


# --- where intervals and p come from -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counted", "end", "drawn"),
    [
        ([True, True], " and a bootstrap of sentences", " and sentences"),
        (
            [True, False],
            ", and a bootstrap of sentences where they are counted",
            ", and sentences where they are counted",
        ),
        ([False, False], " alone", " alone"),
    ],
)
def test_intervals_tests_and_chances_are_called_what_they_are(counted: list[bool], end: str, drawn: str) -> None:
    found = computed(intervals=intervals(*((3, vary) for vary in counted)))
    assert found.interval == f"Student's t over seeds{end}"
    assert found.test == f"Welch's t over seeds{end}"
    assert found.chance == f"bootstrap over seeds{drawn}"
