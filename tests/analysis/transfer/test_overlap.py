"""Overlap of entities: equal to the published tables, to small examples and to a count in plain Python."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.transfer import overlap
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.core.schema import ALL
from nertransfer.corpora import corpus, description
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Corpus, Split

# Published tables, github.com/Michael-Beukman/NERTransfer, analysis/v50/data_all.csv and data_<category>.csv: the
# header names the columns, the first column the rows.
PUBLISHED = {
    ALL: """\
,wol,pcm,yor,hau,ibo,luo,lug,kin,swa,amh
wol,3185,617,547,809,437,82,280,816,930,0
pcm,278,10080,2890,2079,2812,581,1514,2641,2693,0
yor,238,2784,9633,2110,2358,385,947,2325,3213,0
hau,265,2460,2674,9756,2027,456,1035,2315,4143,0
ibo,182,3425,2498,2234,8112,488,1179,2190,2701,0
luo,90,1305,1251,609,568,3932,821,1032,1480,0
lug,172,2791,1595,1713,1172,607,6902,2906,2787,0
kin,291,2544,2014,1781,1192,427,1373,8848,3081,0
swa,271,2817,2749,3059,1561,678,1436,2926,9891,0
amh,0,0,0,0,0,0,0,0,0,5604
""",
    "DATE": """\
,wol,pcm,yor,hau,ibo,luo,lug,kin,swa,amh
wol,534,330,422,111,256,30,121,464,250,0
pcm,96,2320,1338,267,353,120,423,761,506,0
yor,94,968,3451,245,353,112,298,716,471,0
hau,70,851,1214,2384,380,107,323,684,472,0
ibo,61,790,1055,239,1674,83,276,637,460,0
luo,47,551,639,181,241,697,192,546,333,0
lug,65,920,870,323,292,106,1280,845,474,0
kin,95,903,1156,282,393,119,408,1777,539,0
swa,86,1079,1217,333,389,124,419,872,1406,0
amh,0,0,0,0,0,0,0,0,0,1356
""",
    "LOC": """\
,wol,pcm,yor,hau,ibo,luo,lug,kin,swa,amh
wol,866,19,15,36,9,2,1,110,92,0
pcm,20,1704,608,687,432,191,247,1045,1004,0
yor,21,793,2377,790,433,86,247,1109,1565,0
hau,28,748,693,3361,313,114,250,1062,1891,0
ibo,24,901,576,704,2016,102,255,1066,1132,0
luo,3,234,329,197,48,1434,163,216,576,0
lug,6,571,339,474,146,145,1203,1162,1250,0
kin,10,357,277,515,108,114,257,2645,1139,0
swa,38,718,720,1094,255,225,328,1297,3635,0
amh,0,0,0,0,0,0,0,0,0,2009
""",
    "ORG": """\
,wol,pcm,yor,hau,ibo,luo,lug,kin,swa,amh
wol,393,117,39,57,70,7,41,61,169,0
pcm,47,1902,531,228,1101,127,342,392,338,0
yor,35,551,2020,250,830,87,162,211,470,0
hau,42,328,395,1542,591,45,95,150,556,0
ibo,17,914,466,297,1865,97,263,260,349,0
luo,3,234,179,61,116,858,113,107,262,0
lug,20,672,233,171,407,148,1470,478,347,0
kin,62,664,369,166,467,89,278,2008,590,0
swa,20,435,450,369,351,100,171,235,2119,0
amh,0,0,0,0,0,0,0,0,0,961
""",
    "PER": """\
,wol,pcm,yor,hau,ibo,luo,lug,kin,swa,amh
wol,1392,151,71,605,102,43,117,181,419,0
pcm,115,4154,413,897,926,143,502,443,845,0
yor,88,472,1785,825,742,100,240,289,707,0
hau,125,533,372,2469,743,190,367,419,1224,0
ibo,80,820,401,994,2557,206,385,227,760,0
luo,37,286,104,170,163,943,353,163,309,0
lug,81,628,153,745,327,208,2949,421,716,0
kin,124,620,212,818,224,105,430,2418,813,0
swa,127,585,362,1263,566,229,518,522,2731,0
amh,0,0,0,0,0,0,0,0,0,1278
""",
}

Tagged = Sequence[str]
"""Sentences such as ``"in/O Lagos/B-LOC"``."""


def sentence_of(text: str) -> Sentence:
    pairs = [word.rsplit("/", 1) for word in text.split()]
    return Sentence(tuple(word for word, _ in pairs), tuple(tag for _, tag in pairs))


def corpus_of(language: str, train: Tagged = (), test: Tagged = (), dev: Tagged = ()) -> Corpus:
    texts = {"train": train, "dev": dev, "test": test}
    return Corpus(language, {n: Split(language, n, tuple(map(sentence_of, t)), "") for n, t in texts.items()})


def overlaps_of(train: Tagged, test: Tagged, dev: Tagged = ()) -> pd.DataFrame:
    """`overlaps` of a source with only ``train`` and a target with only ``test``; both have ``dev``."""
    return overlap.overlaps({"src": corpus_of("src", train, dev=dev), "tgt": corpus_of("tgt", test=test, dev=dev)})


def numbers(found: pd.DataFrame, category: str = ALL, source: str = "src", target: str = "tgt") -> dict[str, tuple]:
    """(shared, total) by unit."""
    rows = found[(found["source"] == source) & (found["target"] == target) & (found["category"] == category)]
    return {row.unit: (row.shared, row.total) for row in rows.itertuples()}


# --- the published study --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def masakhaner(shared_data: Path) -> dict[str, Corpus]:
    languages = tuple(PUBLISHED[ALL].split("\n")[0].strip(",").split(","))
    options = DataOptions(data=str(shared_data / "masakhaner"), languages=languages, allow_empty_words=True)
    return corpus.load(options)


@pytest.mark.parametrize("category", list(PUBLISHED))
def test_every_published_count_comes_out(masakhaner: dict[str, Corpus], category: str) -> None:
    header, *rows = csv.reader(io.StringIO(PUBLISHED[category]))
    found = overlap.published_overlaps(masakhaner, [category])[category]
    assert list(found.columns) == list(found.index) == header[1:] == [row[0] for row in rows]
    assert found.to_numpy().tolist() == [[int(cell) for cell in row[1:]] for row in rows]


def test_published_counts_take_all_splits_and_every_occurrence_of_the_column_language() -> None:
    corpora = {
        "row": corpus_of("row", train=["Lagos/B-LOC"], test=["Ali/B-PER"], dev=["x/O"]),
        "col": corpus_of("col", train=["Ali/B-PER Ali/I-PER"], test=["Ali/B-LOC Lagos/B-LOC"], dev=["Lagos/I-LOC"]),
    }
    # Ali as LOC is not in the row language
    assert overlap.published_overlaps(corpora, [ALL])[ALL].loc["row", "col"] == 2 + 2
    assert overlap.published_overlaps(corpora, ["PER"])["PER"].loc["row", "col"] == 2
    assert overlap.published_overlaps(corpora, [ALL])[ALL].loc["col", "row"] == 2
    assert overlap.published_overlaps(corpora, [ALL])[ALL].loc["col", "col"] == 5


def test_a_category_that_no_corpus_has_is_told() -> None:
    corpora = {"one": corpus_of("one", train=["Ali/B-PER"], test=["Ali/B-PER"])}
    for refused in (
        lambda: overlap.published_overlaps(corpora, ["PERS"])["PERS"],
        lambda: overlap.pivot(overlap.overlaps(corpora), "PERS"),
    ):
        with pytest.raises(InputError, match="category='PERS'") as told:
            refused()
        assert told.value.parameter == "category"


# --- train of the source against test of the target --------------------------------------------------


def test_every_unit_on_an_example() -> None:
    train = ["Ali/B-PER Musa/I-PER", "in/O New/B-LOC York/I-LOC", "Ali/B-PER", "Unilag/B-ORG"]
    test = [
        "Ali/B-PER Musa/I-PER saw/O Ali/B-PER Musa/I-PER",  # the whole name is in train, twice here
        "Musa/B-PER",  # a token of train, but no entity of train
        "York/B-LOC New/I-LOC",  # the tokens of an entity of train, in another order
        "Unilag/B-LOC",  # in train with another category
        "Ali/B-PER in/O",  # an entity of its own in train
    ]
    found = overlaps_of(train, test)
    assert numbers(found) == {
        "token occurrences": (4 + 1 + 2 + 1, 9),
        "token types": (4, 5),  # Ali, Musa, York, New; not Unilag
        "entities": (2 + 1, 6),
        "entity types": (2, 5),
    }
    assert numbers(found, "PER") == {
        "token occurrences": (6, 6),
        "token types": (2, 2),
        "entities": (3, 4),
        "entity types": (2, 3),
    }
    assert numbers(found, "LOC") == {
        "token occurrences": (2, 3),
        "token types": (2, 3),
        "entities": (0, 2),
        "entity types": (0, 2),
    }
    assert set(numbers(found, "ORG").values()) == {(0, 0)}
    assert found[(found["target"] == "tgt") & (found["category"] == "ORG")]["fraction"].isna().all()


def test_a_stray_tag_begins_an_entity() -> None:
    found = numbers(overlaps_of(["Ali/B-PER", "Lagos/B-LOC"], ["Ali/I-PER Lagos/I-LOC"]))
    assert found["entities"] == found["token occurrences"] == (2, 2)


def test_an_entity_is_its_words_and_not_their_text_run_together() -> None:
    found = numbers(overlaps_of(["Ab/B-PER cd/I-PER"], ["Abcd/B-PER", "A/B-PER bcd/I-PER", "Ab/B-PER", "cd/B-PER"]))
    assert found["entities"] == (0, 4) and found["token occurrences"] == (2, 5)


def test_words_outside_entities_are_not_shared() -> None:
    assert numbers(overlaps_of(["May/O came/O"], ["May/B-DATE"]))["token occurrences"] == (0, 1)
    assert numbers(overlaps_of(["May/B-DATE"], ["May/O"]))["token occurrences"] == (0, 0)


@pytest.mark.parametrize("other", ["ali", "Alí", "Ali\u0301"])
def test_forms_are_compared_as_they_stand(other: str) -> None:
    assert numbers(overlaps_of(["Ali/B-PER"], [f"{other}/B-PER"]))["token types"] == (0, 1)


def test_dev_is_not_looked_at() -> None:
    found = overlaps_of(["Ali/B-PER"], ["Musa/B-PER"], dev=["Musa/B-PER", "Ali/B-DATE"])
    assert numbers(found)["token occurrences"] == (0, 1)
    assert list(dict.fromkeys(found["category"])) == [ALL, "PER"]


def test_rows_come_in_the_order_of_the_languages() -> None:
    corpora = {code: corpus_of(code, ["a/B-X b/B-C"], ["a/B-X"]) for code in ("yor", "amh")}
    found = overlap.overlaps(corpora)
    assert list(found.columns) == ["source", "target", "category", "unit", "shared", "total", "fraction"]
    assert [tuple(row) for row in found[["source", "target", "category", "unit"]].itertuples(index=False)] == [
        (source, target, category, unit)
        for source in ("yor", "amh")
        for target in ("yor", "amh")
        for category in (ALL, "C", "X")
        for unit in ("token occurrences", "token types", "entities", "entity types")
    ]


def test_pivot_has_sources_as_rows_in_the_order_of_the_languages() -> None:
    corpora = {
        "yor": corpus_of("yor", ["a/B-PER b/B-PER"], ["a/B-PER c/B-PER b/B-PER c/B-PER"]),
        "amh": corpus_of("amh", ["c/B-PER"], ["c/B-LOC"]),
    }
    matrix = overlap.pivot(overlap.overlaps(corpora), "PER", "token types")
    assert (list(matrix.index), matrix.index.name) == (["yor", "amh"], "source")
    assert (list(matrix.columns), matrix.columns.name) == (["yor", "amh"], "target")
    assert matrix["yor"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert matrix["amh"].isna().all()  # its test split has no PER
    assert overlap.pivot(overlap.overlaps(corpora), ALL, "token occurrences").loc["amh", "yor"] == 0.5
    with pytest.raises(ValueError, match="unit 'types'"):
        overlap.pivot(overlap.overlaps(corpora), "PER", "types")  # type: ignore[arg-type]


def test_exposure_is_to_the_languages_own_train_split() -> None:
    corpora = {
        "hau": corpus_of(
            "hau", ["Ali/B-PER Musa/I-PER"], ["Ali/B-PER Musa/I-PER", "Ali/B-PER", "Ali/B-PER Musa/I-PER", "Kano/B-LOC"]
        ),
        "swa": corpus_of("swa", ["Ali/B-PER"], ["x/O"]),
    }
    rows = overlap.train_exposure(overlap.overlaps(corpora)).to_dict("records")
    found = {(row["language"], row["category"]): (row["seen"], row["entities"], row["fraction"]) for row in rows}
    assert list(found) == [(language, category) for language in ("hau", "swa") for category in (ALL, "LOC", "PER")]
    assert found["hau", ALL] == (2, 4, 0.5) and found["hau", "PER"] == (2, 3, pytest.approx(2 / 3))
    assert found["swa", ALL][:2] == (0, 0) and math.isnan(found["swa", ALL][2])


def test_exposure_is_not_known_where_a_language_has_test_alone() -> None:
    corpora = {"hau": corpus_of("hau", ["Ali/B-PER"], ["Ali/B-PER"]), "zul": corpus_of("zul", [], ["Ali/B-PER"])}
    table = overlap.train_exposure(overlap.overlaps(corpora)).set_index(["language", "category"])
    assert table.loc[("hau", ALL), ["seen", "fraction"]].tolist() == [1, 1.0]
    assert table.loc[("zul", ALL), ["seen", "fraction"]].isna().all() and table.loc[("zul", ALL), "entities"] == 1


def test_training_sizes_count_entity_tokens_of_train() -> None:
    corpora = {
        "yor": corpus_of("yor", ["Ali/B-PER Musa/I-PER and/O Ali/B-PER"], ["x/B-PER"], ["x/B-PER"]),
        "amh": corpus_of("amh", ["x/O"], ["x/B-PER"]),
    }
    assert overlap.training_sizes(corpora).to_dict() == {"yor": 3, "amh": 0}
    assert list(overlap.training_sizes(corpora).index) == ["yor", "amh"]


def test_totals_of_real_corpora_are_those_of_the_corpus_table(masakhaner: dict[str, Corpus]) -> None:
    found = overlap.overlaps(masakhaner)
    mentions = found[(found["unit"] == "entities") & (found["source"] == "swa")].set_index(["target", "category"])
    for row in description.summary_rows(masakhaner):
        if row["split"] == "test":
            assert mentions.loc[(row["language"], ALL), "total"] == row["entities"]
            assert mentions.loc[(row["language"], "PER"), "total"] == row["entities_PER"]
    # Amharic has a script of its own
    matrix = overlap.pivot(found)
    assert matrix["amh"].drop("amh").eq(0).all() and matrix.loc["amh"].drop("amh").eq(0).all()


# --- what holds for any corpora ---------------------------------------------------------------------

TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
SENTENCE = st.lists(st.tuples(st.sampled_from("abcd"), TAGS), min_size=1, max_size=5).map(
    lambda pairs: " ".join(f"{word}/{tag}" for word, tag in pairs)
)
TEXT = st.lists(SENTENCE, max_size=5)
CORPORA = st.tuples(*[st.tuples(TEXT, TEXT, TEXT)] * 2).map(
    lambda texts: {code: corpus_of(code, *parts) for code, parts in zip(("one", "two"), texts, strict=True)}
)
some_examples = settings(max_examples=60, deadline=None)


def tokens_in(split: Split, category: str = ALL) -> list[tuple]:
    pairs = [(w, t[2:]) for s in split.sentences for w, t in zip(s.words, s.tags, strict=True) if t != "O"]
    return [pair for pair in pairs if category in (ALL, pair[1])]


def entities_in(split: Split, category: str = ALL) -> list[tuple]:
    """Entities by walking over the words; deliberately not by the project's spans."""
    found: list[tuple] = []
    for sentence in split.sentences:
        open_category = None
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            if tag == "O":
                open_category = None
            elif tag == f"I-{open_category}":
                found[-1] = ((*found[-1][0], word), open_category)
            else:
                open_category = tag[2:]
                found.append(((word,), open_category))
    return [entity for entity in found if category in (ALL, entity[1])]


@some_examples
@given(CORPORA)
def test_counts_are_those_of_plain_python(corpora: dict[str, Corpus]) -> None:
    found = overlap.overlaps(corpora)
    present = list(dict.fromkeys(found["category"]))
    for source in corpora:
        for target in corpora:
            for category in present:
                expected: dict[str, tuple[int, int]] = {}
                for units, listed in zip(
                    (("token occurrences", "token types"), ("entities", "entity types")),
                    (tokens_in, entities_in),
                    strict=True,
                ):
                    asked = listed(corpora[target].test, category)
                    known = listed(corpora[source].train, category)
                    expected[units[0]] = (sum(x in known for x in asked), len(asked))
                    expected[units[1]] = (len(set(asked) & set(known)), len(set(asked)))
                assert numbers(found, category, source, target) == expected
    published = overlap.published_overlaps(corpora, [ALL])[ALL]
    everything = {c: [x for s in corpora[c].splits.values() for x in tokens_in(s)] for c in corpora}
    for row in corpora:
        for column in corpora:
            assert published.loc[row, column] == sum(x in everything[row] for x in everything[column])


@some_examples
@given(CORPORA)
def test_fractions_are_of_the_total_and_all_is_the_sum_of_the_categories(corpora: dict[str, Corpus]) -> None:
    found = overlap.overlaps(corpora)
    untrained = found["source"].map({name: not one.train.sentences for name, one in corpora.items()})
    assert found["fraction"].isna().eq((found["total"] == 0) | untrained).all()
    there = found.dropna()
    assert there["fraction"].between(0, 1).all()
    assert (there["fraction"] * there["total"]).tolist() == pytest.approx(there["shared"].tolist())
    key = ["source", "target", "unit"]
    whole = found[found["category"] == ALL].set_index(key)[["shared", "total"]]
    parts = found[found["category"] != ALL].groupby(key)[["shared", "total"]].sum()
    assert parts.reindex(whole.index, fill_value=0).equals(whole)
    # dev may have categories of its own
    present = {category for c in corpora.values() for split in c.splits.values() for _, category in tokens_in(split)}
    published = sum(overlap.published_overlaps(corpora, [category])[category].to_numpy() for category in present)
    assert (overlap.published_overlaps(corpora, [ALL])[ALL].to_numpy() == published).all()


@some_examples
@given(TEXT, TEXT)
def test_a_test_split_is_wholly_in_a_train_split_that_contains_it(train: list[str], test: list[str]) -> None:
    found = overlap.overlaps({"one": corpus_of("one", train + test, test)})
    assert found["shared"].equals(found["total"])
    two = {"one": corpus_of("one", train, test), "two": corpus_of("two", test)}
    published = overlap.published_overlaps(two, [ALL])[ALL]
    assert published.loc["one", "two"] == published.loc["two", "two"]


@some_examples
@given(CORPORA, SENTENCE)
def test_a_further_sentence_of_the_source_never_lowers_an_overlap(corpora: dict[str, Corpus], added: str) -> None:
    one = corpora["one"]
    train = Split("one", "train", (*one.train.sentences, sentence_of(added)), "")
    more = {**corpora, "one": Corpus("one", {**one.splits, "train": train})}
    key = ["source", "target", "category", "unit"]
    before, after = (overlap.overlaps(c).set_index(key) for c in (corpora, more))
    after = after.loc[before.index]  # the sentence may bring a category
    assert (after["shared"] >= before["shared"]).all()
    assert after["total"].equals(before["total"])
    published = [overlap.published_overlaps(c, [ALL])[ALL].loc["one"] for c in (corpora, more)]
    assert (published[1] >= published[0]).all()


@some_examples
@given(CORPORA, st.randoms(use_true_random=False), st.permutations(["one", "two"]))
def test_the_order_of_sentences_and_languages_changes_no_number(
    corpora: dict[str, Corpus], random: Random, order: list[str]
) -> None:
    mixed = {}
    for code in order:
        splits = corpora[code].splits
        mixed[code] = Corpus(
            code,
            {
                name: Split(code, name, tuple(random.sample(split.sentences, len(split.sentences))), "")
                for name, split in splits.items()
            },
        )
    key = ["source", "target", "category", "unit"]
    before, after = (overlap.overlaps(c).set_index(key) for c in (corpora, mixed))
    pd.testing.assert_frame_equal(before, after.loc[before.index], check_exact=True)
    published = overlap.published_overlaps(corpora, [ALL])[ALL]
    assert overlap.published_overlaps(mixed, [ALL])[ALL].loc[["one", "two"], ["one", "two"]].equals(published)
    assert overlap.training_sizes(mixed)[["one", "two"]].equals(overlap.training_sizes(corpora))
