"""The planted corpora: same bytes everywhere, parameters that do what they say, a signal that can be measured."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from project_scripts import ROOT
from scipy.sparse import csr_matrix
from seqeval.metrics import f1_score
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import SGDClassifier

from nertransfer.core.errors import InputError
from nertransfer.core.grid import check_code
from nertransfer.corpora.labels import category_of, stray_positions
from nertransfer.corpora.languages import LANGUAGES as REAL_LANGUAGES
from nertransfer.corpora.planted import corpora as planted_corpora
from nertransfer.corpora.planted import settings as planted_settings
from nertransfer.corpora.planted.sentences import Sentence
from nertransfer.corpora.planted.settings import CATEGORIES, LANGUAGES, PlantedSettings
from nertransfer.corpora.planted.words import lexicons_of
from nertransfer.corpora.words import spans

DEFAULT = PlantedSettings()
SMALL = PlantedSettings(
    train_sentences=12, dev_sentences=3, test_sentences=4, text_sentences=5, content_words=60, names=12, context_words=3
)
CODES = [language.code for language in LANGUAGES]

GOLDEN_DEFAULT = "b29322f3742e0bd6a3b767f4394a5429dd5963bffe0fa4f1965870af13262772"
GOLDEN_SMALL = "6d184064aff5335abfa9632adeb6de41b59c8c52622ca28924592a5b9bb23ebf"
"""SHA-256 over all written files. A change of these needs a new GENERATOR_VERSION."""


def contents(folder: Path) -> dict[str, bytes]:
    """Path inside the folder -> bytes, of all files, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def fingerprint(folder: Path) -> str:
    return sha256(b"".join(b"%s\0%s\0" % (name.encode(), data) for name, data in contents(folder).items())).hexdigest()


@pytest.fixture(scope="module")
def corpora() -> dict[str, dict[str, list[Sentence]]]:
    """The default corpora: language -> split -> sentences."""
    return {code: planted_corpora.corpus(DEFAULT, code) for code in CODES}


@pytest.fixture(scope="module")
def sentences(corpora: dict[str, dict[str, list[Sentence]]]) -> dict[str, list[Sentence]]:
    """Language -> all labelled sentences."""
    return {code: [s for split in splits.values() for s in split] for code, splits in corpora.items()}


def mean_overlaps(settings: PlantedSettings, column: str = "word_overlap") -> dict[str, float]:
    """Relation -> mean overlap."""
    found: dict[str, list[float]] = {}
    for row in planted_corpora.relatedness(settings):
        found.setdefault(str(row["relation"]), []).append(float(row[column]))
    return {relation: sum(values) / len(values) for relation, values in found.items()}


# --- the same everywhere --------------------------------------------------------------------


def test_the_written_default_corpora_are_golden(tmp_path: Path) -> None:
    assert fingerprint(planted_corpora.write(tmp_path / "a", DEFAULT)) == GOLDEN_DEFAULT


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_order_of_sets_and_hashes_plays_no_part(tmp_path: Path, hash_seed: str) -> None:
    code = (
        "import sys; from pathlib import Path; from nertransfer.corpora.planted import corpora, settings\n"
        f"corpora.write(Path(sys.argv[1]), settings.{SMALL!r})"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True, env=environment)
    assert fingerprint(tmp_path / "a") == GOLDEN_SMALL


def test_another_seed_gives_another_digest_and_other_words() -> None:
    other = dataclasses.replace(SMALL, seed=1)
    digest = planted_settings.digest
    assert digest(other) != digest(SMALL) == digest(dataclasses.replace(SMALL))
    assert not set(planted_corpora.text(other, "qka")) & set(planted_corpora.text(SMALL, "qka"))


def test_a_new_generator_gives_a_new_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = planted_settings.digest(DEFAULT)
    monkeypatch.setattr(planted_settings, "GENERATOR_VERSION", planted_settings.GENERATOR_VERSION + 1)
    assert planted_settings.digest(DEFAULT) != before


def test_labelled_and_unlabelled_text_are_drawn_apart(sentences: dict[str, list[Sentence]]) -> None:
    for code, labelled in sentences.items():
        text = planted_corpora.text(DEFAULT, code)
        long = {line for line in text if line.count(" ") >= 9}
        assert len(text) == DEFAULT.text_sentences and not long & {" ".join(words) for words, _ in labelled}


# --- languages and what they have in common ---------------------------------------------------


def test_languages() -> None:
    assert len(set(CODES)) == 7 and not set(CODES) & set(REAL_LANGUAGES)
    assert all(check_code(code) and "qaa" <= code <= "qtz" for code in CODES)  # ISO 639-3: private use
    assert sorted(Counter(language.family for language in LANGUAGES).values()) == [1, 3, 3]


def test_relatedness_has_every_ordered_pair() -> None:
    rows = planted_corpora.relatedness()
    assert [(r["source"], r["target"]) for r in rows] == [(a, b) for a in CODES for b in CODES]
    assert Counter(r["relation"] for r in rows) == {"same": 7, "family": 12, "unrelated": 18, "isolate": 12}
    assert all(r["word_overlap"] == r["name_overlap"] == 1 for r in rows if r["relation"] == "same")


def test_the_overlaps_are_the_shares_that_were_asked_for() -> None:
    words, names = mean_overlaps(DEFAULT), mean_overlaps(DEFAULT, "name_overlap")
    assert words["family"] == pytest.approx(DEFAULT.family_share + DEFAULT.loan_share, abs=0.02)
    assert words["unrelated"] == pytest.approx(DEFAULT.loan_share, abs=0.01)
    assert words["isolate"] == DEFAULT.isolate_share == 0
    assert names["unrelated"] == pytest.approx(DEFAULT.international_share, abs=0.02)
    assert names["isolate"] == pytest.approx(DEFAULT.isolate_international_share, abs=0.02)


def test_the_text_shares_what_the_lexicons_share() -> None:
    """Measured on running words, without names, numbers and punctuation; so the truth is not only on paper."""
    texts = {c: [w for s in planted_corpora.text(DEFAULT, c) for w in s.split() if w.islower()] for c in CODES}
    for row in planted_corpora.relatedness():
        if "qit" not in (row["source"], row["target"]):
            source, target = set(texts[str(row["source"])]), texts[str(row["target"])]
            measured = sum(word in source for word in target) / len(target)
            assert measured == pytest.approx(float(row["word_overlap"]), abs=0.05), row


@pytest.mark.parametrize(
    ("parameter", "low", "high", "relation", "column"),
    [
        ("family_share", 0.2, 0.9, "family", "word_overlap"),
        ("loan_share", 0.0, 0.3, "unrelated", "word_overlap"),
        ("isolate_share", 0.0, 0.04, "isolate", "word_overlap"),
        ("family_name_share", 0.1, 0.6, "family", "name_overlap"),
        ("international_share", 0.1, 0.5, "unrelated", "name_overlap"),
        ("isolate_international_share", 0.0, 0.2, "isolate", "name_overlap"),
    ],
)
def test_a_share_raises_its_overlap(parameter: str, low: float, high: float, relation: str, column: str) -> None:
    less, more = (
        mean_overlaps(dataclasses.replace(DEFAULT, **{parameter: value}), column)[relation] for value in (low, high)
    )
    assert more - less == pytest.approx(high - low, abs=0.04)


def test_without_shared_words_a_family_is_as_far_as_the_unrelated() -> None:
    for column in ("word_overlap", "name_overlap"):
        found = mean_overlaps(dataclasses.replace(DEFAULT, family_share=0, family_name_share=0), column)
        # Not quite equal: only one of the families writes its months, loans among them, with a capital.
        assert found["family"] == pytest.approx(found["unrelated"], abs=0.002)


# --- sentences ----------------------------------------------------------------------------------

small_settings = st.builds(
    PlantedSettings,
    seed=st.integers(0, 2**32),
    train_sentences=st.just(15),
    dev_sentences=st.just(2),
    test_sentences=st.just(5),
    text_sentences=st.just(3),
    content_words=st.integers(20, 60),
    function_words=st.integers(12, 24),
    context_words=st.integers(2, 5),
    names=st.integers(10, 20),
    family_share=st.floats(0, 0.9),
    loan_share=st.floats(0, 0.1),
    entity_share=st.floats(0, 1),
    no_entity_share=st.floats(0, 1),
    gap_share=st.floats(0, 1),
    context_share=st.floats(0, 1),
    mean_length=st.floats(1, 40),
    longest=st.integers(10, 30),
)


@hypothesis_settings(max_examples=15, deadline=None)
@given(small_settings)
def test_any_settings_give_clean_sentences(settings: PlantedSettings) -> None:
    for code in ("qka", "qso", "qit"):
        for split, made in planted_corpora.corpus(settings, code).items():
            assert len(made) == settings.splits[split]
            for words, tags in made:
                assert 1 <= len(words) == len(tags) <= settings.longest
                assert not stray_positions(tags)
                assert {category_of(tag) for tag in tags} <= {None, *CATEGORIES}
                assert all(1 <= last - first <= 4 for first, last, _ in spans(tags))
                assert all(word.isprintable() and word and " " not in word for word in words)
                assert all(unicodedata.is_normalized("NFC", word) for word in words)


def test_lengths_are_realistic(sentences: dict[str, list[Sentence]]) -> None:
    for made in sentences.values():
        lengths = sorted(len(words) for words, _ in made)
        assert 13 < sum(lengths) / len(lengths) < 17
        assert lengths[0] == 1 and 60 < lengths[-1] <= DEFAULT.longest
        assert lengths[len(lengths) // 2] < sum(lengths) / len(lengths)  # skewed like a log-normal


def test_most_words_are_outside_and_categories_imbalanced(sentences: dict[str, list[Sentence]]) -> None:
    for made in sentences.values():
        tags = [tag for _, tags in made for tag in tags]
        assert 0.09 < sum(tag != "O" for tag in tags) / len(tags) < 0.15
        assert 0.2 < sum(set(tags) == {"O"} for _, tags in made) / len(made) < 0.5
    counts = Counter(c for made in sentences.values() for _, tags in made for _, _, c in spans(tags))
    assert [category for category, _ in counts.most_common()] == ["PER", "LOC", "ORG", "DATE"]
    assert counts["PER"] > 2 * counts["DATE"] > 0


def test_entities_have_one_to_four_words_and_new_names(corpora: dict[str, dict[str, list[Sentence]]]) -> None:
    for code, splits in corpora.items():
        names = {
            split: {(words[first:last], c) for words, tags in made for first, last, c in spans(tags)}
            for split, made in splits.items()
        }
        assert {len(name) for name, _ in names["train"]} >= ({1, 2, 3, 4} if code == "qka" else {1, 2, 3})
        unseen = len(names["test"] - names["train"]) / len(names["test"])
        assert 0.3 < unseen < 0.95


def test_some_names_belong_to_several_categories(sentences: dict[str, list[Sentence]]) -> None:
    for made in sentences.values():
        categories: dict[str, set[str]] = {}
        for words, tags in made:
            for first, last, category in spans(tags):
                if last - first == 1:
                    categories.setdefault(words[first], set()).add(category)
        assert sum(len(found) > 1 for found in categories.values()) >= 5


def test_no_sentence_is_both_in_train_and_test(sentences: dict[str, list[Sentence]]) -> None:
    for made in sentences.values():
        assert len({words for words, _ in made}) == len(made)


def test_word_order_is_a_trait_of_the_family() -> None:
    """A context word always stands before the entity in one family and after it in the other."""
    settings = dataclasses.replace(DEFAULT, context_share=1, context_noise=0, gap_share=0, context_error=0)
    for code, step in (("qka", -1), ("qse", 1)):
        context = set(lexicons_of(settings)[code].tables["context PER"].items)
        beside = [
            words[first - 1 if step == -1 else last].lower()
            for words, tags in planted_corpora.corpus(settings, code)["train"]
            for first, last, category in spans(tags)
            if category == "PER" and len(words) > 1
        ]
        assert beside and set(beside) <= context


def test_only_the_isolate_writes_its_names_small(sentences: dict[str, list[Sentence]]) -> None:
    for code, made in sentences.items():
        inside = [
            words[first].islower()
            for words, tags in made
            for first, _, category in spans(tags)
            if first and category in ("PER", "LOC")
        ]
        assert sum(inside) / len(inside) > 0.8 if code == "qit" else not any(inside)


# --- settings that are wrong ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("seed", -1), ("train_sentences", 0), ("names", 9), ("function_words", 3), ("text_sentences", 2.5),
        ("dev_sentences", True), ("family_share", 1.5), ("loan_share", -0.1), ("context_share", float("nan")),
        ("family_share", 0.97), ("family_name_share", 0.9), ("isolate_share", 0.05),
        ("isolate_international_share", 0.3), ("date_share", 0.5), ("mean_length", 0.0), ("zipf_exponent", -1.0),
        ("length_sigma", float("inf")), ("longest", 5),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(parameter: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"^{parameter}=.* is not allowed: .+"):
        dataclasses.replace(DEFAULT, **{parameter: value})


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(InputError, match="language='hau' is not allowed: one of qka"):
        planted_corpora.corpus(SMALL, "hau")


# --- files ------------------------------------------------------------------------------------


def test_layout_and_conll_form(tmp_path: Path) -> None:
    folder = planted_corpora.write(tmp_path / "deep" / "a", SMALL)
    files = contents(folder)
    parts = [f"{code}/{name}.txt" for code in CODES for name in ("train", "dev", "test", "text")]
    assert set(files) == {*parts, "relatedness.csv", "planted.json"}
    made = planted_corpora.corpus(SMALL, "qse")["train"]
    blocks = files["qse/train.txt"].decode().split("\n\n")
    assert files["qse/train.txt"].endswith(b"\n") and not files["qse/train.txt"].endswith(b"\n\n")
    assert [tuple(zip(*(line.split(" ") for line in b.splitlines()), strict=True)) for b in blocks] == made
    assert files["qse/text.txt"].decode() == "".join(f"{line}\n" for line in planted_corpora.text(SMALL, "qse"))
    rows = list(csv.DictReader(files["relatedness.csv"].decode().splitlines()))
    assert rows == [{k: str(v) for k, v in row.items()} for row in planted_corpora.relatedness(SMALL)]
    assert json.loads(files["planted.json"])["settings"] == dataclasses.asdict(SMALL)


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(settings: PlantedSettings) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(planted_corpora, "relatedness", interrupted)  # after the corpora, before the end
    with pytest.raises(KeyboardInterrupt):
        planted_corpora.write(tmp_path / "a", SMALL)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    planted_corpora.write(tmp_path / "a", SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_second_write_changes_nothing(tmp_path: Path) -> None:
    folder = planted_corpora.write(tmp_path / "a", SMALL)
    (folder / "qka" / "dev.txt").write_text("mine O\n")
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert planted_corpora.write(folder, SMALL) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_another_process_may_be_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = planted_corpora._files

    def slow(settings: PlantedSettings) -> object:
        monkeypatch.setattr(planted_corpora, "_files", files)
        planted_corpora.write(tmp_path / "a", SMALL)
        return files(settings)

    monkeypatch.setattr(planted_corpora, "_files", slow)
    planted_corpora.write(tmp_path / "a", SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and fingerprint(tmp_path / "a") == GOLDEN_SMALL


@pytest.mark.parametrize("what", ["other settings", "other files", "a file"])
def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "a"
    if what == "other settings":
        planted_corpora.write(folder, dataclasses.replace(SMALL, seed=5))
    elif what == "other files":
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    else:
        folder.write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(InputError, match=f"{folder.name} exists and holds something else"):
        planted_corpora.write(folder, SMALL)
    assert contents(tmp_path) == before


# --- the signal ---------------------------------------------------------------------------------


def features(words: Sequence[str]) -> list[list[str]]:
    """Of every word: the words up to two places away, and endings and spelling of the nearest."""
    found = []
    for i in range(len(words)):
        row = ["bias"]
        for distance in range(-2, 3):
            j = i + distance
            word = words[j] if 0 <= j < len(words) else "<none>"
            row.append(f"{distance}={word}")
            if abs(distance) < 2:
                row.append(f"{distance} {word[:1].isupper()} {j == 0} {word.isupper()} {word.isdigit() and len(word)}")
                row += [f"{distance} {part.lower()}" for n in (2, 3) for part in (word[:n] + "*", "*" + word[-n:])]
        found.append(row)
    return found


def linear_transfer(
    corpora: Mapping[str, Mapping[str, list[Sentence]]], sources: Sequence[str]
) -> dict[tuple[str, str], float]:
    """F1 (0 to 100) on test of a linear tagger by (source, target)."""
    hasher = FeatureHasher(2**17, input_type="string", alternate_sign=False)

    def rows_of(sentences: Sequence[Sentence]) -> csr_matrix:
        return hasher.transform([row for words, _ in sentences for row in features(words)])

    tests = {code: rows_of(splits["test"]) for code, splits in corpora.items()}
    scores = {}
    for source in sources:
        train = corpora[source]["train"]
        tagger = SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=10, tol=None, random_state=0, average=True)
        tagger.fit(rows_of(train), [tag for _, tags in train for tag in tags])
        for target, test in tests.items():
            predicted = iter(tagger.predict(test))
            gold = [list(tags) for _, tags in corpora[target]["test"]]
            scores[source, target] = 100 * f1_score(gold, [[next(predicted) for _ in tags] for tags in gold])
    return scores


def transfer_by_relation(settings: PlantedSettings) -> dict[str, list[float]]:
    scores = linear_transfer({c: planted_corpora.corpus(settings, c) for c in CODES}, ("qka", "qse", "qit"))
    found: dict[str, list[float]] = {}
    for row in planted_corpora.relatedness(settings):
        if (pair := (str(row["source"]), str(row["target"]))) in scores:
            found.setdefault(str(row["relation"]), []).append(scores[pair])
    return found


def test_transfer_of_a_linear_tagger_recovers_the_planted_order() -> None:
    found = transfer_by_relation(DEFAULT)
    means = {relation: sum(values) / len(values) for relation, values in found.items()}
    assert means["same"] > means["family"] + 5
    assert min(found["family"]) > max(found["unrelated"]) + 10
    assert min(found["unrelated"]) > max(found["isolate"]) + 10


def test_without_shared_words_the_tagger_finds_no_families() -> None:
    """The other way round: only what word order and sounds do is left, less than half the distance."""
    found = transfer_by_relation(dataclasses.replace(DEFAULT, family_share=0, family_name_share=0))
    family, unrelated = (sum(found[relation]) / len(found[relation]) for relation in ("family", "unrelated"))
    assert abs(family - unrelated) < 15
