"""What the audit of corpora finds: repeated sentences, stray gold tags."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parsed_corpora import corpus_of, parsed, split_of

from analysis.audit.corpora import (
    disagreeing_sentences,
    like_names,
    repeated_inside,
    repeated_sentences,
    stray_gold_tags,
)
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus, description
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.description import duplicates

SPLIT_PAIRS = [("train", "dev"), ("train", "test"), ("dev", "test")]


def counts(table: pd.DataFrame) -> dict[tuple[str, str, str, str], tuple[int, int]]:
    """(repeated, sentences) by (source, target, earlier, later), in the order of the rows."""
    return {(r.source, r.target, r.earlier, r.later): (r.repeated, r.sentences) for r in table.itertuples()}


def test_repeated_sentences_of_an_example() -> None:
    corpora = {
        "yor": corpus_of("yor", ["a b", "c"], ["a b", "e"], ["a b", "a b", "e", "a", "b a"]),
        "amh": corpus_of("amh", ["e", "f g"], ["h"], ["f", "c", "i"]),
    }
    found = repeated_sentences(corpora)
    assert list(counts(found).items()) == [
        (("yor", "yor", "train", "dev"), (1, 2)),
        (("yor", "yor", "train", "test"), (2, 5)),  # each time it occurs
        (("yor", "yor", "dev", "test"), (3, 5)),
        (("amh", "amh", "train", "dev"), (0, 1)),
        (("amh", "amh", "train", "test"), (0, 3)),
        (("amh", "amh", "dev", "test"), (0, 3)),
        (("yor", "amh", "train", "test"), (1, 3)),
        (("amh", "yor", "train", "test"), (1, 5)),
    ]
    assert found["percent"].tolist() == pytest.approx([50, 40, 60, 0, 0, 0, 100 / 3, 20])


def test_between_languages_only_what_repeats_from_train_to_test_is_listed() -> None:
    corpora = {
        "yor": corpus_of("yor", ["a"], ["b"], ["c"]),
        "amh": corpus_of("amh", ["c"], ["a"], ["b"]),
    }
    across = [key for key in counts(repeated_sentences(corpora)) if key[0] != key[1]]
    assert across == [("amh", "yor", "train", "test")]


def test_sentences_repeat_whatever_their_tags() -> None:
    tagged = corpus_of("swa", ["a b"], ["x"], ["y"])
    tagged = Corpus("swa", {**tagged.splits, "test": split_of("swa", "test", ["a b"], tag="B-PER")})
    assert counts(repeated_sentences({"swa": tagged}))["swa", "swa", "train", "test"] == (1, 1)


TEXT = st.lists(st.sampled_from(["a", "b", "a b", "b a", "c"]), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({code: st.tuples(TEXT, TEXT, TEXT) for code in ("one", "two")}))
def test_repeats_of_train_are_the_duplicates_of_the_corpus_and_order_does_not_matter(
    texts: dict[str, tuple[list[str], list[str], list[str]]],
) -> None:
    corpora = {code: corpus_of(code, *parts) for code, parts in texts.items()}
    found = counts(repeated_sentences(corpora))
    for code in corpora:
        assert {later: found[code, code, "train", later][0] for later in ("dev", "test")} == duplicates(corpora[code])
        for earlier, later in SPLIT_PAIRS:
            repeated, sentences = found[code, code, earlier, later]
            assert 0 <= repeated <= sentences == len(corpora[code].splits[later].sentences)
    turned = {code: corpus_of(code, *(part[::-1] for part in parts)) for code, parts in texts.items()}
    assert counts(repeated_sentences(turned)) == found


def test_stray_tags_are_counted_with_the_line_of_the_first() -> None:
    clean = "a B-PER\nb I-PER\n"
    stray = "a B-PER\n\nb I-PER\nc I-LOC\nd I-LOC\n"  # after a sentence's end; after another category
    corpora = {
        code: Corpus(code, {n: parsed(code, n, text) for n, text in zip(("train", "dev", "test"), texts, strict=True)})
        for code, texts in {"yor": (clean, clean, stray), "amh": (stray, clean, clean), "hau": (clean,) * 3}.items()
    }
    found = stray_gold_tags(corpora)
    assert found.to_dict("list") == {
        "language": ["yor", "amh"],
        "split": ["test", "train"],
        "stray_tags": [2, 2],
        "first_line": [3, 3],
    }


def test_stray_tags_of_no_file_are_counted_without_a_line() -> None:
    strays = split_of("swa", "dev", ["a b", "c"], tag="I-PER")  # one in each sentence
    made = Corpus("swa", {**corpus_of("swa", ["a"], ["b"], ["c"]).splits, "dev": strays})
    found = stray_gold_tags({"swa": made})
    assert found[["language", "split", "stray_tags"]].values.tolist() == [["swa", "dev", 2]]
    assert found["first_line"].isna().all()


def test_corpora_without_stray_tags_have_no_rows() -> None:
    found = stray_gold_tags({"swa": corpus_of("swa", ["a"], ["b"], ["c"])})
    assert found.empty and list(found.columns) == ["language", "split", "stray_tags", "first_line"]


def test_sentences_repeated_inside_a_split_and_those_annotated_in_two_ways_of_real_corpora(shared_data: Path) -> None:
    names = ("ibo", "kin", "luo", "swa")
    corpora = corpus.load(DataOptions(data=str(shared_data / "masakhaner"), languages=names))
    inside = repeated_inside(corpora).set_index(["language", "split"])
    assert inside.loc[("kin", "test"), ["repeated", "sentences"]].tolist() == [36, 605]
    assert inside.loc[("ibo", "test"), ["repeated", "sentences"]].tolist() == [24, 638]
    told = disagreeing_sentences(corpora)
    assert told[told["split"] == "train"].groupby("language").size().to_dict() == {
        "ibo": 3, "kin": 3, "luo": 2, "swa": 1
    }  # fmt: skip


def test_sentences_with_other_tags_are_repeated_and_disagree() -> None:
    splits = corpus_of("swa", ["a b", "c", "a b", "a b"], ["x"], ["y"]).splits
    other = split_of("swa", "train", ["a b"], tag="B-PER").sentences
    train = replace(splits["train"], sentences=splits["train"].sentences + other)
    corpora = {"swa": Corpus("swa", {**splits, "train": train})}
    assert repeated_inside(corpora).values.tolist() == [["swa", "train", 3, 5, 60.0]]
    assert disagreeing_sentences(corpora).values.tolist() == [["swa", "train", "a b", 4, 2]]
    assert disagreeing_sentences({"swa": Corpus("swa", splits)}).empty


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        ({"hau": ["PER", "LOC"], "swa": ["per", "LOC"]}, [("PER", "per")]),
        ({"hau": ["PER"], "swa": ["PERSON"]}, [("PER", "PERSON")]),
        ({"hau": ["GPE-LOC"], "swa": ["GPE_LOC"]}, [("GPE-LOC", "GPE_LOC")]),
        ({"hau": ["PER", "ORG"], "swa": ["LOC", "DATE"]}, []),
        ({"hau": ["PER", "per"], "swa": ["PER"]}, []),  # hau tells them apart
        ({"hau": ["OR"], "swa": ["ORG"]}, []),
        ({"hau": ["PER"], "swa": ["PERCENT"]}, []),
        ({"amh": ["ሰው", "ቦታ"], "hau": ["人名"]}, []),
        ({"hau": ["Organisation"], "swa": ["ORGANIZATION"]}, [("ORGANIZATION", "Organisation")]),
    ],
)
def test_names_that_may_be_one_category(names: dict[str, list[str]], alike: list[tuple[str, str]]) -> None:
    assert list(like_names(names)[["category", "like"]].itertuples(index=False, name=None)) == alike


def test_stray_tags_of_real_corpora_stand_at_the_line_named(shared_data: Path) -> None:
    corpora = corpus.load(DataOptions(data=str(shared_data / "masakhaner"), allow_empty_words=True))
    found = stray_gold_tags(corpora)
    assert len(found)
    for row in found.itertuples():
        path = shared_data / "masakhaner" / str(row.language) / f"{row.split}.txt"
        lines = path.read_text(encoding="utf-8").split("\n")
        before, tag = lines[row.first_line - 2].split(" ")[-1], lines[row.first_line - 1].split(" ")[-1]
        assert tag.startswith("I-") and before[2:] != tag[2:]
    told = {(row.language, row.split): row.stray_tags for row in found.itertuples()}
    rows = description.summary_rows(corpora)
    assert told == {(row["language"], row["split"]): row["stray_tags"] for row in rows if row["stray_tags"]}
