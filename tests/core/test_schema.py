"""Tags that hold a value for each language."""

from hypothesis import given
from hypothesis import strategies as st

from nertransfer.core import schema

VALUES = st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), st.text(max_size=70))


@given(VALUES)
def test_what_is_packed_is_unpacked(values: dict[str, str]) -> None:
    tags = schema.packed(schema.CORPUS_DIGESTS, values)
    assert schema.unpacked(tags | {"source": "hau"}, schema.CORPUS_DIGESTS) == values


def test_few_languages_are_one_tag_and_many_are_none_that_mlflow_refuses() -> None:
    digests = {f"lang{number}.test": f"{number:064x}" for number in range(400)}
    assert list(schema.packed(schema.PREDICTIONS_DIGESTS, dict(list(digests.items())[:40]))) == ["predictions_digests"]
    tags = schema.packed(schema.PREDICTIONS_DIGESTS, digests)
    assert list(tags)[:2] == ["predictions_digests", "predictions_digests/2"]
    assert max(map(len, tags.values())) <= 5000  # what MLflow takes on every store
    assert schema.unpacked(tags, schema.PREDICTIONS_DIGESTS) == digests
    assert schema.packed(schema.FAMILIES, {}) == {}


def test_runs_with_a_tag_for_each_language_are_read_still() -> None:
    tags = {"corpus_digest/hau": "1", "corpus_digest/swa": "2", "family/hau": "Chadic", "train_digest/hau": "3",
            "train_digest": "4", "predictions_digest/hau.test": "5"}  # fmt: skip
    assert schema.unpacked(tags, schema.CORPUS_DIGESTS) == {"hau": "1", "swa": "2"}
    assert schema.unpacked(tags, schema.FAMILIES) == {"hau": "Chadic"}
    assert schema.unpacked(tags, schema.TRAIN_DIGESTS) == {"hau": "3"}
    assert schema.unpacked(tags, schema.PREDICTIONS_DIGESTS) == {"hau.test": "5"}
    # one that was cut short and goes on has both
    both = tags | schema.packed(schema.CORPUS_DIGESTS, {"hau": "changed"})
    assert schema.unpacked(both, schema.CORPUS_DIGESTS) == {"hau": "changed", "swa": "2"}


def test_a_tag_that_somebody_edited_says_nothing() -> None:
    for text in ("", "hau", "[1]", "null"):
        assert schema.unpacked({schema.CORPUS_DIGESTS: text}, schema.CORPUS_DIGESTS) == {}
