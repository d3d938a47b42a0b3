"""Starts whose tokenizers are written in Python, from training to an exported folder; and those that cannot be used."""

import json
import sys
from pathlib import Path

import mlflow
import pytest
from card_code import python_of
from folder_store import opened
from registered_store import FIRST, make_data, register, train
from tokenizer_kinds import LONGEST, PYTHON, save_start

from nertransfer.core.commandline import build
from nertransfer.core.config import ExportConfig, PredictConfig, StudyConfig
from nertransfer.core.errors import InputError
from nertransfer.encoders import starts
from nertransfer.registry.tagger import Tagger, words
from nertransfer.serving import export, prediction
from nertransfer.studies import costs
from nertransfer.tracking.store import Study, all_versions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in which a model of every kind is registered."""
    made = tmp_path_factory.mktemp("python")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        make_data(made)
        for kind in PYTHON:
            save_start(kind, made / kind)
            train(opened(made, FIRST), 0, start=f"{kind}={kind}", epochs="3", max_length=str(LONGEST))
        changes = register(opened(made, FIRST))
        assert not any(change.failed for change in changes)
    return made


@pytest.fixture
def study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(folder)
    return opened(folder, FIRST)


def test_every_kind_is_registered_with_a_card_that_says_how_to_use_it(study: Study) -> None:
    versions = all_versions(study.client, "ner-aaa")
    assert {version.tags["start"] for version in versions} == set(PYTHON)
    for version in versions:
        card = study.client.get_model_version("ner-aaa", version.version).description
        (snippet,) = python_of(card)
        assert "mlflow.pyfunc.load_model" in snippet and "is written in Python: transformers' pipeline cannot" in card


@pytest.mark.parametrize("kind", PYTHON)
def test_it_is_tagged_alike_by_predict_the_registered_model_and_the_exported_folder(
    study: Study, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "da ye kata rono ba do"
    (tmp_path / "text.txt").write_text(text)
    given = {"language": "aaa", "start": kind, "tracking_uri": study.uri}
    outcome = prediction.predict(build(PredictConfig, given | {"input": str(tmp_path / "text.txt")}))
    (found,) = map(json.loads, outcome.output.read_text().splitlines())
    mlflow.set_tracking_uri(study.uri)
    table = mlflow.pyfunc.load_model(f"models:/ner-aaa@from-{kind}").predict([text])
    assert [entity["text"] for entity in found["entities"]] == table["text"].tolist()
    pipeline = mlflow.transformers.load_model(f"models:/ner-aaa@from-{kind}")
    assert all("entity" in label for label in pipeline(text))  # a label a sub-token
    made = export.export(build(ExportConfig, given | {"data": "data", "output": str(tmp_path)}), study.client)
    card = (made / "README.md").read_text()
    model, tokenizer, _ = starts.load_tagger(starts.Start("made", str(made)))
    monkeypatch.chdir(made)
    (snippet,) = python_of(card)
    example = snippet.partition('words = "')[2].partition('"')[0].split()
    ((expected, _),) = Tagger(model, tokenizer).tag([example])
    printed: list[tuple] = []
    exec(snippet, {"print": lambda *line: printed.append(line)})
    assert printed == list(zip(example, expected, strict=True))


def test_its_graph_is_used_word_by_word(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And T5 can be written as a graph."""
    given = {"language": "aaa", "start": "byt5", "tracking_uri": study.uri, "data": "data", "variant": "onnx-int8"}
    made = export.export(build(ExportConfig, given | {"output": str(tmp_path)}), study.client)
    card = (made / "README.md").read_text()
    assert "points beside PyTorch's" in card
    model, tokenizer, _ = starts.load_tagger(starts.Start("made", str(made)))
    monkeypatch.chdir(made)
    printed: list[tuple] = []
    exec(python_of(card)[-1], {"print": lambda *line: printed.append(line)})
    ((expected, _),) = Tagger(model, tokenizer).tag([["A", "sentence", "to", "tag", "."]])
    same = [label == wanted for (_, label), wanted in zip(printed, expected, strict=True)]
    assert sum(same) >= 4  # weights in 8 bits


def test_a_tokenizer_whose_package_is_missing_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_data(tmp_path)
    settings = Path("bert-japanese/tokenizer_config.json")
    save_start("bert-japanese", tmp_path / "bert-japanese")
    settings.write_text(settings.read_text().replace('"basic"', '"mecab"'))
    monkeypatch.setitem(sys.modules, "fugashi", None)  # as where it is not installed
    with pytest.raises(InputError, match=r"start 'ja' cannot be loaded from .*: You need to install fugashi"):
        starts.identify(starts.resolve("ja=bert-japanese"))
    config = build(StudyConfig, {"data": "data", "starts": "ja=bert-japanese", "plan": "true"})
    with pytest.raises(InputError, match="You need to install fugashi"):
        costs.foresee(config, None)


def test_one_that_would_read_emoji_in_another_way_without_a_word_is_refused(tmp_path: Path) -> None:
    settings = save_start("bertweet", tmp_path / "bertweet") / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"normalization": True}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "emoji", None)
        with pytest.raises(InputError, match="with the package emoji, which is not installed"):
            starts.load_tokenizer(starts.resolve(str(tmp_path / "bertweet")))


def test_tokenizers_of_one_vocabulary_with_other_rules_are_told_apart(tmp_path: Path) -> None:
    """A worker keeps the encoded corpora of the last start for others that encode alike."""
    found = [
        starts.identify(starts.resolve(str(save_start(kind, tmp_path / kind)))) for kind in ("phobert", "bertweet")
    ]
    assert found[0].vocabulary != found[1].vocabulary
    tokenizers = [starts.load_tokenizer(starts.resolve(str(tmp_path / kind))) for kind in ("phobert", "bertweet")]
    assert tokenizers[0].get_vocab() == tokenizers[1].get_vocab()
    assert words.word_pieces(tokenizers[0], ["da"]) != words.word_pieces(tokenizers[1], ["da"])
