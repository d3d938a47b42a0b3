"""Corpora in other formats, read as they are or refused in one sentence."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from nertransfer.core.commandline import build
from nertransfer.core.config import ConvertConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus
from nertransfer.corpora.conversion.converting import convert

OURS = "Juma B-PER\nal-Nazo I-PER\nKano B-LOC\n\nKano B-LOC\nLagos B-LOC\n, O\nyau O\n\n"
"""What all the good inputs below say."""

COLUMNS = {
    "comments and ids (UNER)": (
        "eng-ud-test.iob2",
        "# newdoc id = a\n# sent_id = 1\n# text = Juma ...\n1\tJuma\tB-PER\t-\tx\n2\tal-Nazo\tI-PER\t-\tx\n"
        "3\tKano\tB-LOC\t-\tx\n\n# sent_id = 2\n"
        "1\tKano\tB-LOC\t-\tx\n2\tLagos\tB-LOC\t-\tx\n3\t,\tO\t-\tx\n4\tyau\tO\t-\tx\n",
    ),
    "MultiCoNER": (
        "eng_test.conll",
        "# id 12\tdomain=test\nJuma _ _ B-PER\nal-Nazo _ _ I-PER\nKano _ _ B-LOC\n\n# id 13\tdomain=test\n"
        "Kano _ _ B-LOC\nLagos _ _ B-LOC\n, _ _ O\nyau _ _ O\n",
    ),
    "CoNLL-2003, IOB1": (
        "eng.testb",
        "-DOCSTART- -X- O O\n\nJuma NNP I-NP I-PER\nal-Nazo NNP I-NP I-PER\nKano NNP I-NP I-LOC\n\n"
        "Kano NNP I-NP I-LOC\nLagos NNP I-NP B-LOC\n, , O O\nyau RB O O\n",
    ),
    "CoNLL-U Plus": (
        "eng-test.conllu",
        "# global.columns = ID FORM UPOS UNER:NER\n1\tJuma\tX\tB-PER\n2\tal-Nazo\tX\tI-PER\n3\tKano\tX\tB-LOC\n\n"
        "1-2\tKanoLagos\t_\t_\n1\tKano\tX\tB-LOC\n2\tLagos\tX\tB-LOC\n3\t,\tX\t_\n4\tyau\tX\t_\n",
    ),
    "WikiANN": (
        "eng/test.txt",
        "en:Juma\tB-PER\nen:al-Nazo\tI-PER\nen:Kano\tB-LOC\n\nen:Kano\tB-LOC\nen:Lagos\tB-LOC\nen:,\tO\nen:yau\tO\n",
    ),
    "a header": (
        "eng_test.tsv",
        "token\tpos\tner\nJuma\tx\tB-PER\nal-Nazo\tx\tI-PER\nKano\tx\tB-LOC\n\nKano\tx\tB-LOC\n"
        "Lagos\tx\tB-LOC\n,\tx\tO\nyau\tx\tO\n",
    ),
    "BIOES": (
        "eng.test.txt", "Juma B-PER\nal-Nazo E-PER\nKano S-LOC\n\nKano S-LOC\nLagos S-LOC\n, O\nyau O\n",
    ),
    "BMES": ("eng_test.bio", "Juma B-PER\nal-Nazo E-PER\nKano S-LOC\n\nKano S-LOC\nLagos S-LOC\n, O\nyau O\n"),
    "BILOU": ("eng_test.iob", "Juma B-PER\nal-Nazo L-PER\nKano U-LOC\n\nKano U-LOC\nLagos U-LOC\n, O\nyau O\n"),
    "CRLF and a byte-order mark": (
        "eng_test.txt",
        "\ufeffJuma B-PER\r\nal-Nazo I-PER\r\nKano B-LOC\r\n\r\nKano B-LOC\r\nLagos B-LOC\r\n, O\r\nyau O\r\n",
    ),
}  # fmt: skip
FIRST, SECOND = "Juma al-Nazo Kano", "Kano Lagos, yau"
WORDS = [["Juma", "al-Nazo", "Kano"], ["Kano", "Lagos", ",", "yau"]]
TAGS = [["B-PER", "I-PER", "B-LOC"], ["B-LOC", "B-LOC", "O", "O"]]
NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SPANS = [[[0, 12, "PER"], [13, 17, "LOC"]], [[0, 4, "LOC"], [5, 10, "LOC"]]]
IN_TEXT = OURS.replace("al-Nazo I-PER", "al I-PER\n- I-PER\nNazo I-PER")
"""Raw text is cut at punctuation."""


def lines(*records: object) -> str:
    return "".join(json.dumps(one) + "\n" for one in records)


RECORDS = {
    "tokens and tags": (
        OURS, lines(*({"tokens": words, "ner_tags": tags} for words, tags in zip(WORDS, TAGS, strict=True)))
    ),
    "GLiNER": (
        OURS,
        json.dumps([
            {"tokenized_text": WORDS[0], "ner": [[0, 1, "PER"], [2, 2, "LOC"]]},
            {"tokenized_text": WORDS[1], "ner": [[0, 0, "LOC"], [1, 1, "LOC"]]},
        ]),
    ),
    "doccano": (IN_TEXT, lines({"text": FIRST, "label": SPANS[0]}, {"text": SECOND, "label": SPANS[1], "id": 2})),
    "doccano, entities": (
        IN_TEXT,
        lines(*(
            {"text": text, "entities": [{"id": 7, "start_offset": b, "end_offset": e, "label": c} for b, e, c in spans]}
            for text, spans in zip((FIRST, SECOND), SPANS, strict=True)
        )),
    ),
    "Label Studio": (
        IN_TEXT,
        json.dumps([
            {"id": 1, "data": {"text": f"{FIRST}\n{SECOND}"}, "annotations": [{"result": [
                {"type": "labels", "value": {"start": b + o, "end": e + o, "text": "...", "labels": [c]}}
                for spans, o in zip(SPANS, (0, len(FIRST) + 1), strict=True) for b, e, c in spans
            ]}]}
        ]),
    ),
    "spaCy": (IN_TEXT, lines([FIRST, {"entities": SPANS[0]}], [SECOND, {"entities": SPANS[1]}])),
    "Prodigy": (
        IN_TEXT,
        lines(*(
            {"text": text, "spans": [{"start": b, "end": e, "label": c} for b, e, c in spans], "answer": "accept"}
            for text, spans in zip((FIRST, SECOND), SPANS, strict=True)
        )),
    ),
}  # fmt: skip


def converted(tmp_path: Path, files: dict[str, str], **options: str) -> tuple[str, Path]:
    """What is said of the conversion of ``files``, and the folder that it makes."""
    for name, text in files.items():
        path = tmp_path / "theirs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    given = {"input": str(tmp_path / "theirs"), "output": str(tmp_path / "ours")} | options
    return convert(build(ConvertConfig, given)).text(), tmp_path / "ours"


@pytest.mark.parametrize("form", COLUMNS)
def test_columns_of_every_kind_say_the_same(form: str, tmp_path: Path) -> None:
    name, text = COLUMNS[form]
    _, ours = converted(tmp_path, {name: text})
    assert (ours / "eng" / "test.txt").read_text(encoding="utf-8") == OURS
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("form", RECORDS)
def test_records_of_every_kind_say_the_same(form: str, tmp_path: Path) -> None:
    expected, text = RECORDS[form]
    _, ours = converted(tmp_path, {"eng/validation.jsonl": text})
    assert (ours / "eng" / "dev.txt").read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_rows_of_a_dataset_say_the_same_in_pieces_of_it(kind: str, tmp_path: Path) -> None:
    feature = {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "Sequence"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"tokens": {}, "ner_tags": feature}}})}
    folder = tmp_path / "theirs" / "eng" / "data"
    folder.mkdir(parents=True)
    for i, (words, tags) in enumerate(zip(WORDS, TAGS, strict=True)):
        table = pa.table({"tokens": [words], "ner_tags": [[NAMES.index(tag) for tag in tags]]})
        table = table.replace_schema_metadata(metadata)
        path = folder / f"test-0000{i}-of-00002.{kind}"
        if kind == "parquet":
            parquet.write_table(table, path)
        else:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)
    _, ours = converted(tmp_path, {})
    assert (ours / "eng" / "test.txt").read_text(encoding="utf-8") == OURS


def test_what_was_done_is_told_and_the_result_is_read_by_every_command(tmp_path: Path) -> None:
    other = OURS.replace("PER", "person").replace("LOC", "DATE")
    files = {f"{code}_{split}.txt": text for code, text in (("eng", OURS), ("hau", other))
             for split in ("train", "valid", "test")}  # fmt: skip
    said, ours = converted(tmp_path, files, categories="person=PER,DATE=O", keep="PER", rename="hau=ha")
    assert "eng       train          2      7         1    1" in said
    done = "word in column 1, tag in the last one; entities person made PER: 1; entities DATE made O: 3"
    assert f"ha train: hau_train.txt, {done}" in said
    assert "eng: tags are IOB2 (every entity begins with B-)" in said
    read = corpus.load(DataOptions(str(ours)))
    assert {name: one.categories for name, one in read.items()} == {"eng": ("PER",), "ha": ("PER",)}
    again, theirs = (DataOptions(str(folder)) for folder in (ours, tmp_path / "again"))
    converted(tmp_path, {}, categories="person=PER,DATE=O", keep="PER", rename="hau=ha", output=str(tmp_path / "again"))
    assert corpus.digests(again) == corpus.digests(theirs)


def test_a_word_like_a_token_number_of_conll_u_stays_where_words_come_first(tmp_path: Path) -> None:
    said, ours = converted(tmp_path, {"eng_test.conll": "10.30 CD O\nKano NNP B-LOC\n2-1 CD O\n"})
    assert (ours / "eng" / "test.txt").read_text() == "10.30 O\nKano B-LOC\n2-1 O\n\n" and "left out" not in said


def test_categories_that_languages_do_not_share_are_told(tmp_path: Path) -> None:
    said, _ = converted(tmp_path, {"eng_train.txt": OURS, "hau_train.txt": OURS.replace("LOC", "DATE")})
    assert "eng: no DATE, which 1 other language has; keep=<categories> limits all to what they share" in said
    assert "eng: no dev and no test; every language needs train, dev and test, or test alone" in said


def test_entities_that_begin_with_i_in_iob2_are_counted(tmp_path: Path) -> None:
    said, ours = converted(tmp_path, {"eng_test.txt": "a I-PER\nb O\nc B-PER\n"})
    assert "entities that begin with I-, read as B-: 1" in said
    assert (ours / "eng" / "test.txt").read_text() == "a B-PER\nb O\nc B-PER\n\n"


def test_overlapping_entities_are_reduced_where_that_is_asked_for(tmp_path: Path) -> None:
    text = lines({"text": "Bank of Kano", "label": [[8, 12, "LOC"], [0, 12, "ORG"]]})
    said, ours = converted(tmp_path, {"eng_test.jsonl": text}, overlaps="longest")
    assert (ours / "eng" / "test.txt").read_text() == "Bank B-ORG\nof I-ORG\nKano I-ORG\n\n"
    assert "entities left out, which overlap a longer one: 1" in said


def test_a_corpus_of_ours_stays_as_it_is(tmp_path: Path) -> None:
    """Words that hold a no-break space, as some corpora have them, too."""
    text = OURS.replace("yau", "10\u00a0000")
    _, ours = converted(tmp_path, {"eng/test.txt": text})
    assert (ours / "eng" / "test.txt").read_text(encoding="utf-8") == text


GOOD = {"eng_test.txt": "a B-PER\n"}


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"eng.txt": "a O\n"}, {}, "has no file with train, dev or test in its name, of type .*; it has eng.txt"),
        ({"eng_test.zip": ""}, {}, "it has eng_test.zip; unpack eng_test.zip first"),
        ({"test.txt": "a O\n"}, {}, "test.txt: nothing says which language this is; give language=<code>"),
        ({"a_test.txt": "a O\n", "a/test.txt": "a O\n"}, {}, "are both the test split of a; leave one out"),
        (GOOD, {"rename": "hau=ha"}, "rename='hau': the input has no such language; it has eng"),
        (GOOD, {"rename": "hau"}, "rename=hau is not allowed|rename='hau' is not allowed"),
        (GOOD, {"categories": "LOC=ORG"}, "categories: no entity is 'LOC'; there are PER"),
        (GOOD, {"keep": "ORG"}, "keep: no entity is 'ORG'; there are PER"),
        (GOOD, {"columns": "2"}, "columns='2' is not allowed: such as word:2,tag:3"),
        (GOOD, {"columns": "word:1,tag:3"}, "eng_test.txt:1: 2 columns; wanted: word in column 1, tag in column 3"),
        (GOOD, {"columns": "word:2,tag:2"}, "eng_test.txt:1: 2 columns; wanted: word in column 2, tag in column 2"),
        (GOOD, {"scheme": "bioes"}, "eng_test.txt:1: the sentence ends inside PER"),
        ({"eng_test.txt": "a B-PER\nb E-PER\nc L-PER\n"}, {}, ":2: E- of BIOES, and .*:3: L- of BILOU"),
        ({"eng_test.txt": "a PER\nb B-PER\n"}, {}, ":1: a tag without a prefix, and .*:2: one with B-"),
        ({"eng_test.txt": "a B-PER\nb E-LOC\n"}, {}, ":2: E-LOC follows PER, which has no end before it"),
        ({"eng_test.txt": "a DT\nb NN\n"}, {}, ":1: no tag is O, and none has a prefix; name the column of the tags"),
        ({"eng_test.txt": "a E-PER\n"}, {}, ":1: E-PER continues nothing"),
        ({"eng_test.txt": "a B-PER\nb\tc B-PER\td\n"}, {}, ":2: 3 columns, but line 1 has 2"),
        ({"eng_test.txt": "\n\n"}, {}, ":1: no sentence"),
        ({"eng_test.txt": "\tO\n"}, {}, ":1: the tag O has no word"),
        ({"eng_test.txt": "a B-a/b\n"}, {}, "category 'a/b' cannot be called so: .*; categories=a/b=<new name>"),
        ({"eng_test.jsonl": '{"text": "a"'}, {}, "eng_test.jsonl:1: not JSON"),
        ({"eng_test.json": '[{"text": "a"},\n}'}, {}, "eng_test.json:2: not JSON"),
        ({"eng_test.jsonl": lines({"text": "a"})}, {}, ":1: no entities, spans, label, .* beside text; it has text"),
        ({"eng_test.jsonl": lines({"body": "a"})}, {}, ":1: neither tokens, words, tokenized_text nor text"),
        ({"eng_test.jsonl": lines({"tokens": ["a"], "tags": ["O", "O"]})}, {}, ":1: 1 words and 2 tags"),
        ({"eng_test.jsonl": lines({"tokens": ["a b"], "tags": ["O"]})}, {}, "the word 'a b' cannot stand in a column"),
        ({"eng_test.jsonl": lines({"tokens": ["a"], "tags": [1]})}, {}, ":1: tags are numbers, and nothing says what"),
        ({"eng_test.jsonl": lines({"tokens": ["a"], "tags": [2]})}, {"labels": "O,B-PER"}, "are names for 0 to 1"),
        ({"eng_test.jsonl": lines({"text": "Lagos", "label": [[0, 3, "LOC"]]})}, {}, "'Lag' covers a part of the word"),
        ({"eng_test.jsonl": lines({"text": "a", "label": [[0, 9, "LOC"]]})}, {}, "LOC from 0 to 9 of a text of 1 char"),
        ({"eng_test.jsonl": lines({"text": "a b", "label": [[1, 2, "LOC"]]})}, {}, "covers white space alone"),
        ({"eng_test.jsonl": lines({"text": "a b", "label": [[0, 3, "X"], [0, 1, "Y"]]})}, {}, "overlap; overlaps="),
        ({"eng_test.jsonl": lines({"text": "a\nb", "label": [[0, 3, "X"]]})}, {}, "X 'a' goes on in the next line"),
        ({"eng_test.jsonl": lines({"tokenized_text": ["a"], "ner": [[0, 1, "X"]]})}, {}, "entity 0 to 1 of 1 words"),
        ({"eng_test.parquet": "PAR1"}, {}, "eng_test.parquet: cannot be read as parquet"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_and_nothing_is_written(
    files: dict[str, str], options: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        converted(tmp_path, files, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    converted(tmp_path, GOOD)
    with pytest.raises(InputError, match="is there already; name a new folder"):
        converted(tmp_path, GOOD)
    with pytest.raises(InputError, match=r"input=.*nowhere' does not exist"):
        converted(tmp_path, {}, input=str(tmp_path / "nowhere"), output=str(tmp_path / "other"))


def test_folders_of_other_names_are_sent_to_the_converter(tmp_path: Path) -> None:
    for name in ("other/aaa_train.txt", "eng/valid.txt", "eng/train.txt", "eng/test.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a O\n")
    with pytest.raises(
        InputError, match=r"missing file .*dev.txt: .*; there is valid.txt; the entry point convert reads"
    ):
        corpus.load(DataOptions(str(tmp_path)))
    with pytest.raises(InputError, match="the entry point convert reads other names, formats and tag schemes"):
        corpus.load(DataOptions(str(tmp_path / "other")))
