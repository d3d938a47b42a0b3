"""IOB2: what is a tag, what is stray, which spans a sequence has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nertransfer.core import schema
from nertransfer.core.errors import InputError
from nertransfer.corpora.labels import categories_of, category_of, label_list, stray_positions
from nertransfer.corpora.words import spans
from nertransfer.studies import planning

TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])


@pytest.mark.parametrize(
    "tag", ["", "o", "B", "B-", "I_PER", "E-PER", "B-ALL", "B-A/B", "B-a b", "PER", "B-é", "B-" + "C" * 101]
)
def test_what_is_not_a_tag_is_refused_with_the_tag_in_the_message(tag: str) -> None:
    with pytest.raises(InputError, match="is not O, B-<category> or I-<category>"):
        category_of(tag)


def test_a_category_may_be_as_long_as_the_name_of_a_metric_has_room_for() -> None:
    longest = schema.ScoreName("test", schema.PRECISION, "l" * planning.LONGEST_SOURCE, category_of("B-" + "C" * 100))
    assert len(longest.key) <= 250


def test_label_list_starts_with_o_and_pairs_b_and_i() -> None:
    assert label_list(categories_of(["I-LOC", "O", "B-DATE"])) == ("O", "B-DATE", "I-DATE", "B-LOC", "I-LOC")


def test_spans_of_a_sentence_with_every_kind_of_boundary() -> None:
    tags = ["I-PER", "I-PER", "B-PER", "I-LOC", "O", "I-LOC", "B-LOC", "I-LOC"]
    assert spans(tags) == [(0, 2, "PER"), (2, 3, "PER"), (3, 4, "LOC"), (5, 6, "LOC"), (6, 8, "LOC")]
    assert stray_positions(tags) == [0, 3, 5]


@given(st.lists(TAGS))
def test_spans_cover_exactly_the_tagged_words(tags: list[str]) -> None:
    covered = [i for first, end, _ in spans(tags) for i in range(first, end)]
    assert covered == [i for i, tag in enumerate(tags) if tag != "O"]
    starts = sum(tag.startswith("B-") for tag in tags) + len(stray_positions(tags))
    assert len(spans(tags)) == starts
