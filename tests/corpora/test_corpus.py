"""Reading corpora: real numbers, what is odd, what is wrong, and nothing lost on the way."""

import hashlib
import os
import re
import subprocess
import sys
import types
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from project_scripts import ROOT

from nertransfer.core.commandline import build
from nertransfer.core.config import StudyConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora import conll, labels
from nertransfer.corpora import corpus as corpora
from nertransfer.corpora.conll import Sentence, parse
from nertransfer.corpora.corpus import Corpus, Split, load
from nertransfer.corpora.description import duplicates, summary_rows
from nertransfer.corpora.planted import corpora as planted_corpora
from nertransfer.corpora.planted import settings as planted_settings
from nertransfer.studies.planning import lay_out, pick_sources

GOOD = "Aisha B-PER\nyana O\nLagos B-LOC\n\nNdiyo O\n"


def make(folder: Path, language: str = "swa", **texts: str | bytes | None) -> Path:
    """A data folder with one language; ``texts`` replaces or (None) leaves out splits."""
    (folder / language).mkdir(parents=True, exist_ok=True)
    for split, text in ({"train": GOOD, "dev": GOOD, "test": GOOD} | texts).items():
        if text is not None:
            data = text if isinstance(text, bytes) else text.encode()
            (folder / language / f"{split}.txt").write_bytes(data)
    return folder


def read(text: str | bytes, **rules: bool) -> tuple[list[tuple[str, str]], conll.Findings]:
    """(word, tag) pairs of all sentences, and the findings."""
    sentences, findings = parse(text if isinstance(text, bytes) else text.encode(), "f.txt", **rules)
    return [pair for s in sentences for pair in zip(s.words, s.tags, strict=True)], findings


def message(text: str | bytes, **rules: bool) -> str:
    with pytest.raises(InputError) as caught:
        read(text, **rules)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\tSani\tB-PER\n2\tya\tO\n\n1\tya\tO\n", "f:1: the first column holds numbers (1, 2, 1) and no words"),
        ("1 a O\n2-3 b O\n2 c O\n3 d O\n", "f:1: the first column holds numbers"),  # words of several tokens
        ("7 a O\n8 b O\n\n9 c O\n10 d O\n", "f:1: the first column holds numbers"),  # counted through a document
        ("0 a O\n1 b O\n\n0 c O\n1 d O\n", "f:1: the first column holds numbers"),
        ("1-1 a O\n1-2 b O\n\n2-1 c O\n2-2 d O\n", "f:1: the first column holds numbers"),
        ("1 a O\n\n1 b O\n\n1 c O\n\n1 d O\n", "f:1: the first column holds numbers"),  # sentences of one word
        ("s1 a O\ns1 b O\n\ns2 c O\ns2 d O\ns2 e O\n", "f:1: the first column is the same in all of a sentence ('s1')"),
        ("\nha:Sani B-PER\nha:ya O\n\nha:ya O\n", "f:2: every word of the file begins with 'ha:'"),
    ],
)
def test_a_first_column_that_holds_no_words_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        parse(text.encode(), "f")


@pytest.mark.parametrize("text", ["1 O\n\n1 O\n", "1 O\n2 O\n\n3 O\n", ": O\n: O\n", "ha:1 O\nye:2 O\n"])
def test_numbers_and_colons_are_words(text: str) -> None:
    parse(text.encode(), "f")


def test_a_missing_empty_line_is_told() -> None:
    _, findings = read("a O\n" * 501 + "\n" + "a O\n" * 500)
    assert findings.long_sentences == conll.Seen(1, (1,))


def test_a_test_split_alone_makes_a_target(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for path in ("aaa/train.txt", "aaa/dev.txt", "aaa/test.txt", "bbb/test.txt"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("Kano B-LOC\n")
    options = DataOptions(str(folder))
    read_corpora = load(options)
    assert [len(read_corpora["bbb"].splits[name].sentences) for name in ("train", "dev", "test")] == [0, 0, 1]
    assert {name: one.digest for name, one in read_corpora.items()} == corpora.digests(options)
    assert pick_sources("sources", (), options) == ["aaa"] and corpora.targets_alone(options) == ("bbb",)
    with pytest.raises(InputError, match=r"sources=bbb cannot be used: bbb has a test split alone: one of aaa"):
        pick_sources("sources", ("bbb",), options)
    (folder / "aaa" / "dev.txt").unlink()
    with pytest.raises(InputError, match=r"missing file .*aaa/dev.txt: every language needs .* or test.txt alone"):
        load(options)


# --- real corpora -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared_data: Path) -> dict[str, Corpus]:
    return load(DataOptions(data=str(shared_data / "masakhaner")))


# sentences, words, DATE, LOC, ORG, PER of train, dev and test; an awk script of ten lines counts the same
GOLDEN = {
    "hau": [(1912, 55010, 660, 1973, 560, 951), (276, 8301, 99, 294, 75, 199), (552, 16841, 164, 512, 132, 340)],
    "luo": [(644, 18577, 237, 468, 197, 348), (92, 2567, 37, 70, 23, 67), (186, 5159, 69, 128, 66, 142)],
    "swa": [(2109, 56599, 698, 2076, 653, 1164), (300, 7263, 80, 303, 86, 205), (604, 15409, 162, 463, 221, 333)],
    "yor": [(2171, 56274, 580, 1034, 556, 693), (305, 7115, 86, 123, 55, 96), (645, 19896, 188, 471, 224, 250)],
}


def test_numbers_of_real_corpora(real: dict[str, Corpus]) -> None:
    assert list(real) == ["amh", "hau", "ibo", "kin", "lug", "luo", "pcm", "swa", "wol", "yor"]
    keys = ("sentences", "words", "entities_DATE", "entities_LOC", "entities_ORG", "entities_PER")
    found: dict[str, list[tuple[int, ...]]] = {}
    for row in summary_rows(real):
        found.setdefault(row["language"], []).append(tuple(row[key] for key in keys))
        assert row["entities"] == sum(row[key] for key in keys[2:])
    assert {language: found[language] for language in GOLDEN} == GOLDEN


def test_real_corpora_against_a_count_of_lines(real: dict[str, Corpus], shared_data: Path) -> None:
    """Words, tags, sentences and entities of every file, counted another way."""
    categories = ("DATE", "LOC", "ORG", "PER")
    entities = {(r["language"], r["split"]): {c: r[f"entities_{c}"] for c in categories} for r in summary_rows(real)}
    for language, corpus in real.items():
        for name, split in corpus.splits.items():
            data = (shared_data / "masakhaner" / language / f"{name}.txt").read_bytes()
            blocks = [b for b in data.removeprefix(b"\xef\xbb\xbf").split(b"\n\n") if b.strip(b"\n")]
            lines = [line for block in blocks for line in block.split(b"\n") if line]
            assert len(split.sentences) == len(blocks)
            assert [w for s in split.sentences for w in s.words] == [x.split(b" ")[0].decode() for x in lines]
            assert list(split.tags) == [line.split(b" ")[1].decode() for line in lines]
            assert split.digest == hashlib.sha256(data).hexdigest()
            assert split.number_of_words == len(lines)
            # one entity: a B- or I- tag and all I- tags of its category right after it
            tags = " | ".join(" ".join(x.split(b" ")[1].decode() for x in b.split(b"\n") if x) for b in blocks)
            found = re.findall(r"(?<!\S)[BI]-(\w+)(?: I-\1(?!\S))*", tags)
            assert entities[language, name] == Counter(found)


def test_findings_of_real_corpora(real: dict[str, Corpus]) -> None:
    found = {
        (row["language"], row["split"], kind): row[kind]
        for row in summary_rows(real)
        for kind in conll.FINDINGS
        if row[kind]
    }
    assert found == {
        ("hau", "train", "stray_tags"): 1,
        ("hau", "test", "stray_tags"): 1,
        ("lug", "train", "stray_tags"): 3,
        ("pcm", "train", "stray_tags"): 5,
        ("yor", "train", "stray_tags"): 1,
        ("yor", "test", "stray_tags"): 1,
        ("luo", "train", "byte_order_marks"): 1,
        ("swa", "train", "invisible"): 2,
        ("yor", "train", "invisible"): 2,
    }
    assert real["pcm"].train.findings.stray_tags.lines == (11043, 39578, 44393, 44495, 52207)
    first = real["luo"].train.sentences[0].words[0]
    assert first == first.strip("\ufeff") != ""
    assert all(c.categories == ("DATE", "LOC", "ORG", "PER") for c in real.values())
    assert not any(unseen for c in real.values() for unseen in c.unseen_categories.values())


def test_repeated_sentences_of_real_corpora(real: dict[str, Corpus]) -> None:
    assert duplicates(real["swa"]) == {"dev": 6, "test": 11}
    assert duplicates(real["hau"]) == {"dev": 0, "test": 0}


# --- layout of a file -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace(" ", "\t"),
        GOOD.replace(" ", " \t  "),
        GOOD.replace(" ", " NN x "),
        GOOD.replace("\n", " \t\n"),
        GOOD.replace("\n\n", "\n\n \t \n\r\n"),
        "\n\n" + GOOD.rstrip("\n"),
        "-DOCSTART- -X- O O\n\n" + GOOD,
        GOOD.replace("\n\n", "\n-DOCSTART-\n"),
        "\ufeff" + GOOD,
    ],
)
def test_layouts_that_mean_the_same(text: str) -> None:
    sentences, _ = parse(text.encode(), "f.txt")
    assert sentences == (
        Sentence(("Aisha", "yana", "Lagos"), ("B-PER", "O", "B-LOC")),
        Sentence(("Ndiyo",), ("O",)),
    )


@pytest.mark.parametrize("character", ["\u00a0", "\u2028", "\u2029", "\u0085", "\u000b", "\u000c", "\u001c", "\u3000"])
def test_python_white_space_inside_a_word_is_kept(character: str) -> None:
    pairs, findings = read(f"a{character}b B-PER\nc I-PER\n")
    assert pairs == [(f"a{character}b", "B-PER"), ("c", "I-PER")]
    assert findings.invisible == conll.Seen(1, (1,))


@pytest.mark.parametrize("word", ["\u200b", "\ufeff", "\u00a0", "\u0000", "\u200d", "\u00ad"])
def test_a_word_of_nothing_visible_is_kept_and_counted(word: str) -> None:
    pairs, findings = read(f"x O\n{word} O\n\n{word} O\n")
    assert [w for w, _ in pairs] == ["x", word, word]
    assert findings.invisible == conll.Seen(2, (2, 4))


def test_byte_order_mark_is_removed_only_at_the_start() -> None:
    pairs, findings = read("\ufeffa O\n\ufeffb O\n")
    assert [w for w, _ in pairs] == ["a", "\ufeffb"]
    assert findings.byte_order_marks == conll.Seen(2, (1, 2))


def test_every_kind_of_finding_is_counted_with_its_lines() -> None:
    text = "-DOCSTART- -X- O\nA\u0301 I-PER\n\ufffd I-PER\nz I-LOC\n\n O\nb x O\n"
    pairs, findings = read(text, allow_empty_words=True, allow_uneven_columns=True)
    assert pairs == [("A\u0301", "I-PER"), ("\ufffd", "I-PER"), ("z", "I-LOC"), ("", "O"), ("b", "O")]
    assert findings == conll.Findings(
        "f.txt",
        stray_tags=conll.Seen(2, (2, 4)),
        not_nfc=conll.Seen(1, (2,)),
        replacements=conll.Seen(1, (3,)),
        empty_words=conll.Seen(1, (6,)),
        uneven_columns=conll.Seen(1, (7,)),
        document_starts=conll.Seen(1, (1,)),
    )


def test_only_the_first_lines_of_a_finding_are_kept() -> None:
    _, findings = read("a I-PER\n\n" * 9)
    assert findings.stray_tags == conll.Seen(9, (1, 3, 5, 7, 9))


# --- property: what is written is read --------------------------------------------------------

odd = st.sampled_from(["\u200b", "\ufeff", "\u00a0", "\u2028", "\u0085", "\u000b", "\u0000", "e\u0301", "\u1200", "😀"])
words = (
    st.lists(odd | st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r"), min_size=1, max_size=6)
    .map("".join)
    .filter(lambda word: word != conll.DOCUMENT_START)
)


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    """Any words, valid IOB2 tags."""
    tags: list[str] = []
    for _ in range(draw(st.integers(1, 8))):
        follow = [f"I-{tags[-1][2:]}"] if tags and tags[-1] != "O" else []
        tags.append(draw(st.sampled_from(["O", "B-PER", "B-x.1", *follow])))
    return Sentence(tuple(draw(words) for _ in tags), tuple(tags))


@settings(deadline=None, max_examples=150)
@given(st.lists(sentences(), min_size=1, max_size=5), st.data())
def test_what_is_written_is_read(written: list[Sentence], data: st.DataObject) -> None:
    separator = st.text(" \t", min_size=1, max_size=3)
    ending = st.sampled_from(["\n", "\r\n", " \n", "\t\r\n"])
    middle = data.draw(st.lists(st.sampled_from(["NN", "_", "x\u00a0y", "O"]), max_size=2))
    between = st.sampled_from(["\n", "\r\n", " \t\n", "\n\n", "-DOCSTART-\n", "\n-DOCSTART- -X- O O\r\n\n"])
    text = data.draw(st.sampled_from(["", "\n", "-DOCSTART- O\n"]))
    for sentence in written:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            text += word + "".join(data.draw(separator) + column for column in [*middle, tag]) + data.draw(ending)
        text += data.draw(between)
    if data.draw(st.booleans()):
        text = text.rstrip("\n\r \t")
    if text.startswith("\ufeff") or data.draw(st.booleans()):
        text = "\ufeff" + text  # the first one is an encoding mark, so a word that begins so needs one before it
    read_back, findings = parse(text.encode(), "f.txt")
    assert list(read_back) == written
    every = [word for sentence in written for word in sentence.words]
    assert findings.not_nfc.count == sum(not unicodedata.is_normalized("NFC", word) for word in every)
    assert findings.byte_order_marks.count == sum("\ufeff" in w for w in every) + text.startswith("\ufeff")
    assert findings.stray_tags.count == 0


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60) | st.text(" \t\r\nBIO-PEab\u00a0\u2028", max_size=60).map(str.encode))
@example(b"")
@example(b"a O\rb O")
@example(b"\xef\xbb\xbf")
def test_any_bytes_are_read_in_full_or_refused(data: bytes) -> None:
    """Every line that is not blank is a word or the whole file is refused; never anything else."""
    try:
        found, _ = parse(data, "f.txt", allow_empty_words=True)
    except InputError as error:
        assert str(error).startswith("f.txt:")
        return
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip(b" \t\r")]
    assert sum(len(sentence.words) for sentence in found) == len(lines)
    for sentence in found:
        assert sentence.words and len(sentence.words) == len(sentence.tags)
        labels.categories_of(sentence.tags)


# --- what is wrong in a file ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a O\nb\n", 2, "no tag column in 'b'"),
        ("a O\nb\u00a0O\n", 2, "another kind of space"),
        ("a O\n\u200b\n", 2, "no tag column in '\\u200b'"),
        ("a O\n\nb PER\n", 3, "tag 'PER' is not O, B-<category> or I-<category>"),
        ("a S-PER\n", 1, "of BIOES and BILOU, write S- and U- as B-, E- and L- as I-"),
        ("a O\nb B-\n", 2, "tag 'B-'"),
        ("a b-PER\n", 1, "tag 'b-PER'"),
        ("a S-PER\n", 1, "tag 'S-PER'"),
        ("a B-ALL\n", 1, "not 'ALL'"),
        ("a o\n", 1, "tag 'o'"),
        ("a O\u00a0\n", 1, "tag 'O\\xa0'"),
        ("a O\n O\n", 2, "the tag O has no word; write one, or pass allow_empty_words=true"),
        ("a O\n\tB-PER\n", 2, "the tag B-PER has no word"),
        ("a O\n b O\n", 2, "begins with a separator"),
        ("a O\nNew York B-LOC\n", 2, "3 columns in 'New York B-LOC', but line 1 has 2"),
        ("a O\rb O\rc O", 1, "carriage return inside the line"),
        ("-DOCSTART- O\rb O\n\na O\n", 1, "carriage return inside the line"),
        ("", 1, "the file has no sentence"),
        ("a O\n\n\n" + "b B-PER\n" * 32_768, 4, "a sentence of 32,768 words; a line without words ends a sentence"),
        ("\n \n-DOCSTART- -X- O\n", 1, "the file has no sentence"),
        (b"a O\nb\xff O\n", 2, "not UTF-8: byte 0xff at byte offset 5 of the file"),
        ("a O\n".encode("utf-16"), 1, "not UTF-8: byte 0xff at byte offset 0"),
        ("caf\u00e9 O\n".encode("latin-1"), 1, "not UTF-8: byte 0xe9 at byte offset 3"),
    ],
)
def test_bad_lines_are_named(text: str | bytes, line: int, says: str) -> None:
    told = message(text)
    assert told.startswith(f"f.txt:{line}: ")
    assert says in told


def test_empty_words_only_where_allowed() -> None:
    pairs, findings = read("a O\n\tB-PER\n", allow_empty_words=True)
    assert pairs == [("a", "O"), ("", "B-PER")]
    assert findings.empty_words == conll.Seen(1, (2,))


def test_all_problems_of_a_file_are_told_at_once() -> None:
    told = message("a O\n" + "b\n" * 7).split("\n")
    assert [line.split(" ")[0] for line in told] == [*(f"f.txt:{n}:" for n in range(2, 7)), "f.txt:"]
    assert told[-1] == "f.txt: and 2 more lines like these"


# --- what is wrong with a folder --------------------------------------------------------------


def test_a_folder_that_is_not_there_is_answered_with_what_is_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("corpora", "mine").mkdir(parents=True)
    for typed, meant in (("masakaner", "masakhaner"), ("corpra", "corpora"), ("corpora/mina", "corpora/mine")):
        assert refused(data=typed).endswith(f"did you mean {meant}?")
    assert "did you mean" not in refused(data="zzz")


def refused(**options: object) -> str:
    with pytest.raises(InputError) as caught:
        load(DataOptions(**options))  # type: ignore[arg-type]
    return str(caught.value)


def test_bad_folders_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    told = refused(data=str(missing))
    assert str(missing) in told and "does not exist" in told and "masakhaner2" in told
    file = tmp_path / "file.txt"
    file.write_text(GOOD)
    assert "is a file" in refused(data=str(file))
    empty = tmp_path / "empty"
    (empty / "notes").mkdir(parents=True)
    assert "no sub-folder with corpora" in refused(data=str(empty))
    assert "<language>/{train,dev,test}.txt" in refused(data=str(empty), languages=("swa",))


def test_the_folder_of_one_language_is_recognised(tmp_path: Path) -> None:
    make(tmp_path)
    assert f"pass data={tmp_path.resolve()} and languages=swa" in refused(data=str(tmp_path / "swa"))


def test_a_missing_split_is_an_error_also_when_no_language_is_named(tmp_path: Path) -> None:
    make(tmp_path, "hau")
    make(tmp_path, dev=None)
    assert str(Path("swa") / "dev.txt") in refused(data=str(tmp_path))
    assert list(load(DataOptions(data=str(tmp_path), languages=("hau",)))) == ["hau"]


def test_a_link_that_leads_nowhere_is_a_missing_file(tmp_path: Path) -> None:
    make(tmp_path, "hau")
    (tmp_path / "swa").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "swa" / f"{split}.txt").symlink_to(tmp_path / "gone")
    assert str(Path("swa") / "train.txt") in refused(data=str(tmp_path))


def test_unknown_language_lists_those_that_exist(tmp_path: Path) -> None:
    make(tmp_path, "hau")
    make(tmp_path, "swa")
    told = refused(data=str(tmp_path), languages=("swa", "xyz"))
    assert "xyz" in told and "it has hau, swa" in told


def test_unknown_language_of_a_published_corpus_is_told_before_any_download() -> None:
    assert "masakhaner has no zul; it has amh, hau" in refused(data="masakhaner", languages=("zul",))


def test_a_folder_that_cannot_be_a_language_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, ".swa")
    assert "language '.swa' is not a usable code" in refused(data=str(tmp_path))


def test_no_language_is_called_as_what_means_no_source(tmp_path: Path) -> None:
    make(tmp_path, "aaa")
    make(tmp_path, "none")
    assert "language 'none' is not a usable code: the word means no source" in refused(data=str(tmp_path))
    for asked in ({}, {"sources": "none", "targets": "aaa"}, {"sources": "aaa+none", "targets": "aaa"}):
        with pytest.raises(InputError, match="language 'none' is not a usable code"):  # before a corpus is read
            lay_out(build(StudyConfig, {"data": str(tmp_path)} | asked))


def test_bad_lines_name_the_file(tmp_path: Path) -> None:
    make(tmp_path, test=GOOD + "oops\n")
    assert f"{tmp_path / 'swa' / 'test.txt'}:6: no tag column" in refused(data=str(tmp_path))


def test_empty_words_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    make(tmp_path, train=GOOD + " O\n")
    assert "train.txt:6: the tag O has no word" in refused(data=str(tmp_path))
    corpus = load(DataOptions(data=str(tmp_path), allow_empty_words=True))["swa"]
    assert corpus.train.sentences[-1] == Sentence(("Ndiyo", ""), ("O", "O"))
    assert corpus.train.number_of_words == 5


# --- corpora ----------------------------------------------------------------------------------


def test_languages_come_in_the_asked_order_or_sorted(tmp_path: Path) -> None:
    for code in ("swa", "amh", "hau"):
        make(tmp_path, code)
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("about")
    assert list(load(DataOptions(data=str(tmp_path)))) == ["amh", "hau", "swa"]
    assert list(load(DataOptions(data=str(tmp_path), languages=("swa", "amh")))) == ["swa", "amh"]


def test_digests_follow_the_bytes(tmp_path: Path) -> None:
    before = load(DataOptions(data=str(make(tmp_path / "a"))))["swa"]
    again = load(DataOptions(data=str(make(tmp_path / "b"))))["swa"]
    # another layout of the same sentences is another file
    after = load(DataOptions(data=str(make(tmp_path / "c", dev=GOOD.replace(" ", "\t")))))["swa"]
    assert before.digest == again.digest != after.digest
    assert before.train.digest == after.train.digest == hashlib.sha256(GOOD.encode()).hexdigest()
    assert before.dev.sentences == after.dev.sentences


def test_categories_come_from_train_and_others_are_listed(tmp_path: Path) -> None:
    corpus = load(DataOptions(data=str(make(tmp_path, dev="a B-DATE\nb B-PER\n"))))["swa"]
    assert corpus.categories == ("LOC", "PER")
    assert corpus.unseen_categories == {"dev": ("DATE",), "test": ()}
    rows = summary_rows({"swa": corpus})
    assert [row["unseen_categories"] for row in rows] == ["", "DATE", ""]
    assert [row["entities_DATE"] for row in rows] == [0, 1, 0]


def test_planted_corpora_are_written_into_the_work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted_settings, "LANGUAGES", (types.SimpleNamespace(code="pla"),))
    monkeypatch.setattr(planted_settings, "digest", lambda settings: f"digest-of-{type(settings).__name__}")
    monkeypatch.setattr(planted_corpora, "write", lambda folder: make(folder, "pla"))
    options = DataOptions("planted", work_dir=str(tmp_path))
    assert corpora.folder_of(options) == tmp_path / "planted" / "digest-of-PlantedSettings"
    assert list(load(options)) == ["pla"]


def test_duplicates_count_words_whatever_their_tags(tmp_path: Path) -> None:
    corpus = load(DataOptions(data=str(make(tmp_path, dev="Ndiyo B-PER\n\nNdiyo O\n\nHapana O\n"))))["swa"]
    assert duplicates(corpus) == {"dev": 2, "test": 2}
    assert [row["in_train"] for row in summary_rows({"swa": corpus})] == [None, 2, 2]


def test_unequal_words_and_tags_and_missing_splits_are_refused() -> None:
    for words_, tags in (((), ()), (("a",), ("O", "O"))):
        with pytest.raises(InputError, match="equally many"):
            Sentence(words_, tags)
    split = Split("swa", "train", (Sentence(("a",), ("O",)),), "0")
    with pytest.raises(InputError, match="needs train, dev, test"):
        Corpus("swa", {"train": split})


def test_reading_corpora_needs_neither_torch_nor_pandas() -> None:
    heavy = {"torch", "pandas", "transformers", "mlflow"}
    code = f"import sys, nertransfer.corpora.corpus; print(sorted({heavy} & {{*sys.modules}}))"
    root = ROOT
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_planted_corpora_that_are_there_are_read_by_who_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = DataOptions("planted", work_dir=str(tmp_path / "work"))
    there = corpora.planted_folder(options)
    there.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for a folder of others
    monkeypatch.setattr(planted_corpora, "write", lambda *_: None)
    assert corpora.folder_of(options) == there
    with pytest.raises(InputError, match="work_dir: nothing can be written into"):
        corpora.folder_of(DataOptions("planted", work_dir=str(tmp_path / "other")))
