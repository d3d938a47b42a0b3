"""Which starts are on the hub: what tables and cards link to."""

import pytest

from nertransfer.core import schema
from nertransfer.encoders.catalogue import CATALOGUE, is_on_hub

REVISION, IMPORTED = {schema.START_REVISION: "0123abc"}, {schema.IMPORTED: "true"}


@pytest.mark.parametrize(
    ("location", "further", "there"),
    [
        ("starts/hau", {}, False),  # a folder that looks like a hub id
        ("hau", {}, False),
        ("/models/hau", {}, False),
        ("owner/model", REVISION, True),
        ("owner/model", IMPORTED, True),
        ("bert-base-multilingual-cased", IMPORTED, True),
        ("/models/hau", IMPORTED, False),
        ("../hau", IMPORTED, False),
        (CATALOGUE["base"], {}, True),
        (CATALOGUE["swa"], {}, True),
        ("", REVISION, False),
        ("", IMPORTED, False),
    ],
)
def test_a_start_is_on_the_hub_by_what_its_run_says(location: str, further: dict[str, str], there: bool) -> None:
    assert is_on_hub({schema.START_LOCATION: location} | further) == there


def test_a_run_that_does_not_say_where_its_start_is_from_has_none_on_the_hub() -> None:
    assert not is_on_hub(REVISION | IMPORTED)
