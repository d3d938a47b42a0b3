"""Predictions of other systems: read as they are or refused in one sentence, and cells of a study like any other."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from folder_store import opened

from analysis.audit import audit
from analysis.errors import kinds
from analysis.reading import files as reading_files
from analysis.reading import read
from analysis.reading.results import StudyResults
from analysis.transfer import inference, matrices, systems
from nertransfer.core import schema
from nertransfer.core.commandline import build
from nertransfer.core.config import PredictionsConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus
from nertransfer.scoring.measurements import of_scores
from nertransfer.scoring.reference import score
from nertransfer.scoring.scores import compared
from nertransfer.studies.predictions import importing
from nertransfer.tracking.runs import deliver, log, open_run
from nertransfer.tracking.store import Study, all_runs

GOLD = "Juma B-PER\nal-Nazo I-PER\nKano B-LOC\n\n10.30 O\nKano B-LOC\n#BBC B-ORG\nyau O\n\n"
OTHER = "Ali B-PER\nyau O\n\nLagos B-LOC\n, O\nAbuja B-LOC\n\n"
RIGHT = [["B-PER", "I-PER", "B-LOC"], ["O", "B-LOC", "B-ORG", "O"]]
"""What all good inputs below say of GOLD's sentences."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for language, text in (("aaa", GOLD), ("bbb", OTHER)):
        folder = tmp_path / "data" / language
        folder.mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (folder / f"{split}.txt").write_text(text)
    return tmp_path / "data"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def config(given: Path | str, data: Path, **options: str) -> PredictionsConfig:
    texts = {"predictions": str(given), "system": "theirs", "source": "none", "data": str(data)} | options
    return build(PredictionsConfig, texts)


def lines(*records: object) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)


TEXTS = ["Juma al-Nazo Kano", "10.30 Kano #BBC yau"]
TOKENS = [text.split() for text in TEXTS]
FORMATS: dict[str, tuple[str, str, dict[str, str]]] = {
    "CoNLL": ("aaa.txt", GOLD, {}),
    "word, gold and predicted tag, as a cell's artifact": (
        "aaa.test.txt",
        GOLD.replace(" ", " O "),
        {},
    ),
    "predicted before gold": (
        "aaa.conll",
        GOLD.replace("\n", " O\n").replace("\n O", "\n"),
        {"columns": "word:1,tag:2"},
    ),
    "BIOES": (
        "aaa/out.tsv",
        "Juma\tB-PER\nal-Nazo\tE-PER\nKano\tS-LOC\n\n10.30\tO\nKano\tS-LOC\n#BBC\tS-ORG\nyau\tO\n",
        {},
    ),
    "categories alone": ("aaa.txt", "Juma PER\nal-Nazo PER\nKano LOC\n\n10.30 O\nKano LOC\n#BBC ORG\nyau O\n", {}),
    "comments": ("aaa.txt", f"# model: x\n# sent_id = 1\n{GOLD}", {}),
    "doccano": (
        "aaa.jsonl",
        lines(
            {"text": TEXTS[0], "label": [[0, 12, "PER"], [13, 17, "LOC"]]},
            {"text": TEXTS[1], "label": [[6, 10, "LOC"], [11, 15, "ORG"]]},
        ),
        {},
    ),
    "GLiNER's spans, its labels renamed": (
        "aaa_test.jsonl",
        lines(
            {
                "text": TEXTS[0],
                "entities": [
                    {"start": 0, "end": 12, "text": "Juma al-Nazo", "label": "person", "score": 0.9},
                    {"start": 13, "end": 17, "text": "Kano", "label": "place", "score": 0.8},
                ],
            },
            {
                "text": TEXTS[1],
                "entities": [
                    {"start": 6, "end": 10, "text": "Kano", "label": "place", "score": 0.7},
                    {"start": 11, "end": 15, "text": "#BBC", "label": "ORG", "score": 0.7},
                ],
            },
        ),
        {"categories": "person=PER,place=LOC"},
    ),
    "GLiNER's tokens": (
        "aaa.json",
        json.dumps(
            [
                {"tokenized_text": TOKENS[0], "ner": [[0, 1, "PER"], [2, 2, "LOC"]]},
                {"tokenized_text": TOKENS[1], "ner": [[1, 1, "LOC"], [2, 2, "ORG"]]},
            ]
        ),
        {},
    ),
    "tokens and tags, beside the gold ones": (
        "aaa.jsonl",
        lines(
            {"tokens": TOKENS[0], "ner_tags": ["O", "O", "O"], "predictions": RIGHT[0]},
            {"tokens": TOKENS[1], "ner_tags": ["O", "O", "O", "O"], "predictions": RIGHT[1]},
        ),
        {},
    ),
    "what predict prints": (
        "aaa.jsonl",
        lines(
            {
                "line": 1,
                "text": TEXTS[0],
                "entities": [
                    {"category": "PER", "text": "Juma al-Nazo", "start": 0, "end": 12, "score": 0.9},
                    {"category": "LOC", "text": "Kano", "start": 13, "end": 17, "score": 0.9},
                ],
            },
            {
                "line": 2,
                "text": TEXTS[1],
                "entities": [
                    {"category": "LOC", "text": "Kano", "start": 6, "end": 10, "score": 0.9},
                    {"category": "ORG", "text": "#BBC", "start": 11, "end": 15, "score": 0.9},
                ],
            },
        ),
        {},
    ),
    "Label Studio": (
        "aaa.json",
        json.dumps(
            [
                {
                    "data": {"text": text},
                    "annotations": [
                        {"result": [{"value": {"start": a, "end": b, "labels": [c]}} for a, b, c in spans]}
                    ],
                }
                for text, spans in zip(
                    TEXTS, ([(0, 12, "PER"), (13, 17, "LOC")], [(6, 10, "LOC"), (11, 15, "ORG")]), strict=True
                )
            ]
        ),
        {},
    ),
    "an LLM's pairs": (
        "aaa.jsonl",
        lines([["Juma al-Nazo", "PER"], ["Kano", "LOC"]], [["Kano", "LOC"], ["#BBC", "ORG"]]),
        {},
    ),
    "an LLM's objects": (
        "aaa.jsonl",
        lines(
            {
                "text": TEXTS[0],
                "entities": [{"text": "Juma al-Nazo", "label": "PER"}, {"text": "Kano", "label": "LOC"}],
            },
            {"entities": [{"entity": "Kano", "type": "LOC"}, {"entity": "#BBC", "type": "ORG"}]},
        ),
        {},
    ),
    "an LLM's strings in any case": (
        "aaa.jsonl",
        lines([["JUMA AL-NAZO", "PER"], ["kano", "LOC"]], [["kano", "LOC"], ["#bbc", "ORG"]]),
        {"ignore_case": "true"},
    ),
    "half words that are widened": (
        "aaa.jsonl",
        lines(
            {
                "text": TEXTS[0],
                "spans": [{"start": 0, "end": 9, "label": "PER"}, {"start": 13, "end": 17, "label": "LOC"}],
            },
            {
                "text": TEXTS[1],
                "spans": [{"start": 6, "end": 10, "label": "LOC"}, {"start": 12, "end": 15, "label": "ORG"}],
            },
        ),
        {"half_words": "widen"},
    ),
    "overlapping spans": (
        "aaa.jsonl",
        lines(
            {"text": TEXTS[0], "label": [[0, 12, "PER"], [5, 12, "LOC"], [13, 17, "LOC"]]},
            {"text": TEXTS[1], "label": [[6, 10, "LOC"], [11, 15, "ORG"]]},
        ),
        {"overlaps": "longest"},
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_predictions_in_every_format(name: str, data: Path, tmp_path: Path) -> None:
    file, text, options = FORMATS[name]
    found = importing.read(config(write(tmp_path / "theirs", {file: text}), data, **options))
    (one,) = found.predictions.scored
    assert (one.split.language, one.split.name, one.predicted) == ("aaa", "test", RIGHT)
    assert found.unread == [] and any(str(tmp_path / "theirs" / file) in line for line in found.predictions.told)


BAD: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "another word": (
        {"aaa.txt": GOLD.replace("Juma", "Jumah")},
        {},
        r"aaa.txt:1: the word 'Jumah'; word 1 of sentence 1",
    ),
    "a word too few": (
        {"aaa.txt": GOLD.replace("Kano B-LOC\n\n", "\n", 1)},
        {},
        "aaa.txt:2: sentence 1 ends after 'al-N",
    ),
    "a word too many": (
        {"aaa.txt": GOLD.replace("\n\n", "\nyau O\n\n", 1)},
        {},
        "aaa.txt:3: sentence 1 goes on after 'Ka",
    ),
    "a sentence too few": ({"aaa.txt": GOLD.partition("\n\n")[0]}, {}, "1 sentence; aaa test has 2"),
    "a record too few": ({"aaa.jsonl": lines([["Kano", "LOC"]])}, {}, "1 sentence; aaa test has 2"),
    "a record too many": ({"aaa.jsonl": lines([["Kano", "LOC"]], [], [])}, {}, "3 sentences; aaa test has 2"),
    "a tag missing": ({"aaa.txt": GOLD.replace("yau O", "yau")}, {}, "aaa.txt:8: 1 column, but line 1 has 2"),
    "no such tag": ({"aaa.txt": GOLD.replace("B-ORG", "B-O/RG")}, {}, "category 'O/RG' cannot be called so"),
    "two schemes": (
        {"aaa.txt": GOLD.replace("B-ORG", "S-ORG").replace("I-PER", "L-PER")},
        {"scheme": "iob2"},
        "not of sche",
    ),
    "an empty file": ({"aaa.txt": ""}, {}, "aaa.txt:1: the file is empty"),
    "no JSON": ({"aaa.jsonl": lines([["Kano", "LOC"]]) + "Kano is a LOC\n"}, {}, "aaa.jsonl:2: not JSON"),
    "cut JSON": ({"aaa.json": '[{"text": "Juma'}, {}, "aaa.json:1: not JSON"),
    "another text": (
        {"aaa.jsonl": lines({"text": "Juma Kano", "label": [[5, 9, "LOC"]]}, {"text": TEXTS[1], "label": []})},
        {},
        "aaa.jsonl:1: the text goes on with 'Kano', and the corpus has 'al-Nazo' there",
    ),
    "other tokens": (
        {
            "aaa.jsonl": lines(
                {"tokens": ["Juma", "Kano"], "tags": ["O", "O"]}, {"tokens": TOKENS[1], "tags": ["O"] * 4}
            )
        },
        {},
        "aaa.jsonl:1: word 2 is \"Kano\", and the corpus has 'al-Nazo' there",
    ),
    "half a word": (
        {"aaa.jsonl": lines({"text": TEXTS[0], "label": [[0, 9, "PER"]]}, {"text": TEXTS[1], "label": []})},
        {},
        "aaa.jsonl:1: PER 'Juma al-N' covers a part of the word 'al-Nazo'; half_words=widen",
    ),
    "overlapping spans": (
        {"aaa.jsonl": lines({"text": TEXTS[0], "label": [[0, 12, "PER"], [5, 12, "LOC"]]}, {"text": "", "label": []})},
        {},
        "aaa.jsonl:1: PER 'Juma al-Nazo' and LOC 'al-Nazo' overlap; overlaps=longest",
    ),
    "a span beyond the text": (
        {"aaa.jsonl": lines({"text": TEXTS[0], "label": [[0, 99, "PER"]]}, {"text": TEXTS[1], "label": []})},
        {},
        "aaa.jsonl:1: PER from 0 to 99 of a text of 17 characters",
    ),
    "strings and spans": (
        {"aaa.jsonl": lines([["Kano", "LOC"]], {"text": TEXTS[1], "label": [[6, 10, "LOC"]]})},
        {},
        "aaa.jsonl:1: entities as strings, and .*aaa.jsonl:2: as tags or spans",
    ),
    "a pair that is none": (
        {"aaa.jsonl": lines([["Kano", "LOC", 1.0], ["Kano", "LOC"]], [])},
        {},
        r'aaa.jsonl:1: \["Kano", "LOC", 1.0\] is no entity: \["Kano", "LOC"\], or',
    ),
    "a string without a category": ({"aaa.jsonl": lines([{"text": "Kano"}], [])}, {}, "aaa.jsonl:1: .* is no entity"),
    "lists by category": ({"aaa.jsonl": lines({"LOC": ["Kano"]}, {"LOC": []})}, {}, "aaa.jsonl:1: .* it has LOC"),
    "one pair, not in a list": ({"aaa.jsonl": lines(["Kano", "LOC"], [])}, {}, "aaa.jsonl:1: .*"),
    "null": ({"aaa.jsonl": "null\nnull\n"}, {}, "aaa.jsonl:1: null is no record"),
    "numbers for tags": (
        {"aaa.jsonl": lines({"tokens": TOKENS[0], "tags": [1, 2, 0]}, {"tokens": TOKENS[1], "tags": [0] * 4})},
        {},
        "aaa.jsonl:1: tags are numbers, and nothing says what they mean; give labels=",
    ),
    "categories of none": (
        {"aaa.jsonl": lines([["Kano", "location"]], [])},
        {},
        "no predicted entity has a category of the corpora: location, and they have LOC, ORG, PER; categories=location",
    ),
    "a name that no entity has": (
        {"aaa.txt": GOLD},
        {"categories": "person=PER"},
        "no entity is 'person'; there are LOC",
    ),
    "an unknown language": ({"ccc.txt": GOLD}, {}, r"has no file that is read: .*its name is that of no language"),
    "two files of one split": ({"aaa.txt": GOLD, "aaa.jsonl": "[]\n[]\n"}, {}, "are both predictions on aaa test"),
    "train": ({"aaa/train.txt": GOLD}, {}, "no system is scored on train"),
    "another format": ({"aaa.docx": "x"}, {}, "its name ends in none of"),
    "XML": ({"aaa.txt": "<?xml version='1.0'?><corpus/>"}, {}, "aaa.txt:1: XML or HTML; give CoNLL columns"),
    "HTML for JSON": ({"aaa.jsonl": "<html>429 Too Many Requests</html>"}, {}, "aaa.jsonl:1: XML or HTML"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_named_and_nothing_is_begun(name: str, data: Path, tmp_path: Path) -> None:
    files, options, message = BAD[name]
    with pytest.raises(InputError, match=message):
        importing.read(config(write(tmp_path / "theirs", files), data, **options))


def test_bytes_that_are_no_text_are_refused(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "aaa.txt"
    path.write_bytes("Jumá B-PER".encode("latin-1"))
    with pytest.raises(InputError, match=r"aaa.txt:1: not UTF-8"):
        importing.read(config(path, data))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"system": "gpt 4.1"}, "system='gpt 4.1' is not allowed: a letter, then at most 47"),
        ({"system": "own"}, "system='own' is not allowed"),
        ({"source": "hau+hau"}, "hau is named twice"),
        ({"source": "../hau"}, "is not a usable code"),
        ({"seed": "-2"}, "seed=-2 is not allowed"),
        ({"predictions": " "}, "predictions"),
        ({"predictions": "nosuch"}, "predictions='nosuch' does not exist; a folder, or <target>:<file>"),
        ({"predictions": "aaa:nosuch.txt"}, "nosuch.txt does not exist"),
        ({"predictions": "ccc:nosuch.txt"}, "there is no corpus of ccc; there are aaa, bbb"),
    ],
)
def test_parameters_are_refused_in_a_sentence(options: dict[str, str], message: str, data: Path) -> None:
    with pytest.raises(InputError, match=message):
        importing.read(config(options.pop("predictions", "x"), data, **options))


def test_files_may_be_named_one_by_one_and_others_are_told(data: Path, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "theirs", {"x.txt": GOLD, "y.txt": OTHER, "README.md": "x", "zzz/z.txt": "x", "aaa.txt": GOLD}
    )
    named = importing.read(config(f"aaa:{folder}/x.txt,bbb:{folder}/y.txt", data, split="dev"))
    assert [(one.split.language, one.split.name) for one in named.predictions.scored] == [
        ("aaa", "dev"),
        ("bbb", "dev"),
    ]
    found = importing.read(config(folder, data))
    assert {Path(one.path).name for one in found.unread} == {"x.txt", "y.txt", "README.md", "zzz"}


# --- strings that stand nowhere ----------------------------------------------------------------------------------


def test_strings_that_stand_nowhere_lower_precision_alone(data: Path, tmp_path: Path) -> None:
    text = lines([["Juma al-Nazo", "PER"], ["Kano", "LOC"], ["Kano", "LOC"]], [["Kano", "LOC"], ["Lagos", "LOC"]])
    found = importing.read(config(write(tmp_path / "theirs", {"aaa.jsonl": text}), data)).predictions
    (one,) = found.scored
    assert [(x.sentence, x.text, x.category) for x in found.nowhere] == [(1, "Kano", "LOC"), (2, "Lagos", "LOC")]
    for table in (one.scores.default, one.scores.strict):
        assert (table["ALL"].precision, table["ALL"].recall) == (3 / 5, 3 / 4)
        assert (table["LOC"].precision, table["LOC"].recall, table["PER"].f1) == (2 / 4, 2 / 2, 1.0)
    assert one.scores.span_f1 == pytest.approx(2 * 3 / (5 + 4))
    assert one.counts.predicted.sum() == 5 and one.counts.correct.sum() == 3
    assert any(line.endswith("counted as wrong entities: 2") for line in found.told)
    measured = of_scores(found.scored)
    assert [(p.name, p.value) for p in measured.points if p.name.startswith(schema.UNALIGNED)] == [
        ("unaligned/aaa.test", 2)
    ]
    without = of_scores([compared(one.split, one.predicted)])
    assert without.tags[schema.PREDICTIONS_DIGESTS] != measured.tags[schema.PREDICTIONS_DIGESTS]


def test_a_category_that_only_such_strings_have_is_a_wrong_one(data: Path, tmp_path: Path) -> None:
    text = lines([["Kano", "LOC"], ["Aso Rock", "FAC"]], [])
    found = importing.read(config(write(tmp_path / "theirs", {"aaa.jsonl": text}), data)).predictions
    assert (
        found.scored[0].scores.default["FAC"].precision == 0 and found.scored[0].scores.default["ALL"].precision == 0.5
    )
    assert any("categories that a target does not have, all counted as wrong: FAC (1)" in line for line in found.told)


def test_scores_are_those_of_seqeval(data: Path, tmp_path: Path) -> None:
    text = GOLD.replace("I-PER", "O").replace("Juma B-PER", "Juma I-ORG")
    (one,) = importing.read(config(write(tmp_path / "theirs", {"aaa.txt": text}), data)).predictions.scored
    assert one.predicted[0] == ["I-ORG", "O", "B-LOC"]  # as predicted, the stray tag, too
    gold = [sentence.tags for sentence in one.split.sentences]
    assert one.scores == score(gold, one.predicted)


# --- in a study ---------------------------------------------------------------------------------------------------

Imports = Callable[..., bool]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return opened(tmp_path, "s")


@pytest.fixture
def import_from(study: Study, data: Path, tmp_path: Path) -> Imports:
    def imported(files: dict[str, str], **options: str) -> bool:
        folder = write(tmp_path / f"theirs{len(list(tmp_path.iterdir()))}", files)
        return importing.import_predictions(importing.read(config(folder, data, **options)), study)

    return imported


def snapshot(study: Study) -> dict[str, tuple]:
    return {
        run.info.run_id: (run.info.status, run.data.tags, run.data.params, run.data.metrics)
        for run in all_runs(study.client, study.experiment_id)
    }


WRONG = GOLD.replace("#BBC B-ORG", "#BBC O")


def test_a_second_import_adds_nothing_and_another_file_is_refused(study: Study, import_from: Imports) -> None:
    assert import_from({"aaa.txt": GOLD})
    before = snapshot(study)
    assert not import_from({"aaa.txt": GOLD})
    assert not import_from({"aaa.jsonl": FORMATS["an LLM's pairs"][1]})  # the same predictions in another format
    for files, options, message in (
        ({"aaa.txt": WRONG}, {}, "is in this study with other predictions on aaa.test"),
        ({"aaa.txt": WRONG}, {"seed": "1"}, "is in this study without a seed"),
        ({"bbb.txt": OTHER}, {}, "with predictions on aaa.test, too .*give all of them at once"),
    ):
        with pytest.raises(InputError, match=message):
            import_from(files, **options)
    assert snapshot(study) == before
    assert import_from({"aaa.txt": GOLD, "bbb.txt": OTHER})  # more than before
    assert not import_from({"aaa.txt": GOLD})
    found = read.read(study.client.tracking_uri, "s")
    assert set(found.frame["target"]) == {"aaa", "bbb"} and len(found.duplicates) == 1


def test_seeds_are_cells_of_their_own(study: Study, import_from: Imports) -> None:
    assert import_from({"aaa.txt": GOLD}, seed="1", source="bbb")
    with pytest.raises(InputError, match=r"seed 1 is in this study with other predictions .* give another seed"):
        import_from({"aaa.txt": WRONG}, seed="1", source="bbb")
    assert import_from({"aaa.txt": WRONG}, seed="2", source="bbb")
    with pytest.raises(InputError, match="is in this study with seeds"):
        import_from({"aaa.txt": WRONG}, source="bbb")
    found = read.read(study.client.tracking_uri, "s")
    assert (
        found.systems == {("theirs", "bbb")} and not found.without_seed and sorted(set(found.frame["seed"])) == [1, 2]
    )
    assert not len(audit.missing_cells(found)) and not audit.without_seed(found)


def test_other_corpora_than_those_of_the_study_are_refused(import_from: Imports, data: Path) -> None:
    assert import_from({"aaa.txt": GOLD})
    (data / "aaa" / "test.txt").write_text(WRONG)
    with pytest.raises(InputError, match="the corpus of aaa is not the one that this study was scored on"):
        import_from({"aaa.txt": GOLD}, system="other")


@pytest.fixture
def trained(study: Study, data: Path) -> Study:
    """A study with a cell of its own, of a plan: one source, two targets; it predicts the stray tags that models do."""
    corpora = corpus.load(DataOptions(str(data)))
    scored = [
        compared(corpora["aaa"].test, [["B-PER", "O", "I-LOC"], ["O", "B-LOC", "O", "O"]]),
        compared(corpora["bbb"].test, [["O", "O"], ["B-LOC", "O", "I-PER"]]),
    ]
    tags = {
        schema.START: "base",
        schema.SOURCE: "aaa",
        schema.SEED: "0",
        schema.CELL_KEY: "k",
        schema.RECIPE_DIGEST: "r",
    }
    tags |= schema.packed(schema.CORPUS_DIGESTS, {name: one.digest for name, one in corpora.items()})
    with open_run(study, schema.KIND_CELL, "base-aaa-s0", tags) as run_id:
        deliver(study.client, run_id, of_scores(scored, "k"), data=str(data))
    plan = {"starts": "base", "sources": "aaa", "targets": "aaa,bbb", "seeds": "0"}
    with open_run(study, schema.KIND_STUDY, "study", {schema.RECIPE_DIGEST: "r"}) as plan_id:
        log(study.client, plan_id, params={schema.CONFIG + name: value for name, value in plan.items()})
    return study


def scores_of(found: StudyResults, start: str) -> pd.DataFrame:
    parts = [found.frame, found.overall]
    return pd.concat([one[one["start"] == start].drop(columns="start").reset_index(drop=True) for one in parts])


def test_predictions_of_a_cell_come_back_identical(trained: Study, data: Path, tmp_path: Path) -> None:
    """What MLflow downloads of a cell is imported again: scores equal to the bit, and the audit names the two."""
    (cell,) = [run for run in all_runs(trained.client, trained.experiment_id) if run.info.run_name == "base-aaa-s0"]
    folder = mlflow.artifacts.download_artifacts(
        run_id=cell.info.run_id, artifact_path=schema.PREDICTIONS, dst_path=str(tmp_path / "out"),
        tracking_uri=trained.client.tracking_uri,
    )  # fmt: skip
    asked = config(folder, data, system="copy", source="aaa", seed="0")
    assert importing.import_predictions(importing.read(asked), trained)
    found = read.read(trained.client.tracking_uri, "s")
    pd.testing.assert_frame_equal(scores_of(found, "copy"), scores_of(found, "base"), check_exact=True)
    files = reading_files.predicted_entities(found, trained.client.tracking_uri, "test")
    assert files["copy", "aaa", 0] == files["base", "aaa", 0]
    (finding,) = audit.identical_predictions(found)
    assert finding.kind == "identical_predictions" and "base-aaa seed 0 = copy-aaa seed 0" in finding.text


def test_a_system_is_compared_in_a_study_of_fine_tuned_cells(trained: Study, import_from: Imports, data: Path) -> None:
    strings = lines([["Ali", "PER"]], [["Lagos", "LOC"], ["Abuja", "LOC"], ["Atlantis", "LOC"]])
    assert import_from({"aaa.txt": GOLD, "bbb.jsonl": strings}, system="llm")
    found = read.read(trained.client.tracking_uri, "s")
    assert found.plan["pairs"] == [("base", "aaa"), ("llm", "none")] and found.languages == ["aaa", "bbb", "none"]
    assert found.without_seed == {("llm", "none")} and found.unaligned["strings"].tolist() == [1]
    assert not len(matrices.missing(found.frame, found.cells, found.plan, found.systems).query("split == 'test'"))
    assert found.warnings == [] and audit.unplanned_cells(found) == []
    assert [finding.kind for finding in audit.strings_nowhere(found, "test") + audit.without_seed(found)] == [
        "unaligned", "without_seed",
    ]  # fmt: skip
    counts = reading_files.sentence_counts(found, trained.client.tracking_uri, "test")
    samples = inference.samples(found.frame, counts, without_seed=found.without_seed)
    table = systems.compared(samples, found.systems, found.unaligned).set_index("target")
    assert table.loc["bbb", ["rival", "strings", "untested"]].tolist() == ["base-aaa", 1, inference.ONE_SEED]
    assert table.loc["bbb", "f1"] == pytest.approx(100 * 6 / 7)
    assert table.loc["bbb", "low"] <= table.loc["bbb", "f1"] <= table.loc["bbb", "high"]
    assert not any("lacks" in finding.text for finding in audit.names_of_categories(found, {}, "test"))
    corpora = corpus.load(DataOptions(str(data)))
    files = reading_files.predicted_entities(found, trained.client.tracking_uri, "test")
    analysed = kinds.analyse(files, corpora, ["aaa", "bbb"], {}, "base")
    assert analysed is not None and ("llm", "none", 0) in analysed[1]["bbb"].cells


def test_systems_without_seeds_are_tested_over_sentences_alone(study: Study, import_from: Imports) -> None:
    """A paired bootstrap; with a plan of nothing else, nothing is missing."""
    assert import_from({"aaa.txt": GOLD, "bbb.txt": OTHER}, system="one")
    assert import_from({"aaa.txt": WRONG, "bbb.txt": OTHER.replace("Ali B-PER", "Ali O")}, system="two")
    found = read.read(study.client.tracking_uri, "s")
    assert found.plan["pairs"] == [("one", "none"), ("two", "none")]
    assert audit.missing_cells(found) == [] and audit.unequal_seeds(found) == []
    counts = reading_files.sentence_counts(found, study.client.tracking_uri, "test")
    samples = inference.samples(found.frame, counts, without_seed=found.without_seed)
    table = systems.compared(samples, found.systems, found.unaligned)
    assert set(table["untested"]) == {""} and table["p"].between(0, 1).all()
    sample = samples["aaa"]
    apart = sample.resampled[:, 0] - sample.resampled[:, 1]
    row = table[(table["target"] == "aaa") & (table["start"] == "one")].iloc[0]
    assert row["difference_high"] - row["difference"] == pytest.approx(100 * 1.96 * np.std(apart, ddof=1), rel=1e-3)
    untold = inference.samples(found.frame, counts)
    assert set(systems.compared(untold, found.systems, found.unaligned)["untested"]) == {inference.ONE_SEED}


def test_a_start_of_the_study_is_no_system(trained: Study, import_from: Imports) -> None:
    before: Sequence[str] = list(snapshot(trained))
    with pytest.raises(InputError, match="base is a start of this study"):
        import_from({"aaa.txt": GOLD}, system="base")
    assert list(snapshot(trained)) == before
