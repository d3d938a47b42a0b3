"""Which study and which corpora a command takes where it is not told: what the store knows, from any folder."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from folder_store import opened
from project_scripts import ROOT, load_script
from registered_store import make_data, register, train
from tiny import save_tiny_corpora

from nertransfer.core import schema
from nertransfer.core.commandline import build
from nertransfer.core.config import (
    AnalyseConfig,
    EmbedConfig,
    EvaluateConfig,
    ExportConfig,
    ModelsConfig,
    RankConfig,
    RegisterConfig,
)
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus
from nertransfer.serving import export as exports
from nertransfer.studies.rescoring import settled as settled_model
from nertransfer.tracking import study_data
from nertransfer.tracking.runs import configuration_params
from nertransfer.tracking.store import MlflowClient, Study, client, kind_runs

OF_STUDIES = (AnalyseConfig, RankConfig, EmbedConfig, RegisterConfig)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """An empty store in an empty folder, which the test works in."""
    monkeypatch.chdir(tmp_path)
    return opened(tmp_path, "none").client


def digests(folder: str) -> dict[str, str]:
    return {name: one.digest for name, one in corpus.load(DataOptions(folder)).items()}


def add_study(
    store: MlflowClient,
    name: str,
    data: str,
    known: dict[str, str] | None = None,
    kind: str = schema.KIND_STUDY,
    **params: str,
) -> str:
    """An experiment with a run that tracked ``data`` as it is written, and a finished cell that met these corpora."""
    found = store.get_experiment_by_name(name)
    experiment = found.experiment_id if found else store.create_experiment(name)
    run = store.create_run(experiment, tags={schema.KIND: kind}).info.run_id
    for key, value in (({"data": data} if data else {}) | params).items():
        store.log_param(run, schema.CONFIG + key, value)
    store.set_terminated(run)
    tags = {schema.KIND: schema.KIND_CELL, schema.START: "tiny", schema.SOURCE: "aaa", schema.SEED: "0",
            schema.CELL_KEY: "key", schema.START_FINGERPRINT: "f", schema.RECIPE_DIGEST: "r"}  # fmt: skip
    tags |= {"corpus_digest/" + language: digest for language, digest in (known or {}).items()}
    cell = store.create_run(experiment, tags=tags).info.run_id
    for language in known or {}:
        store.log_metric(cell, f"test_f1/{language}", 0.5)
    store.set_terminated(cell)
    return cell


def settle(configuration: type, store: MlflowClient, must_be_there: bool = False, **given: str) -> Any:
    needed = {"target": "zul"} if configuration is RankConfig else {}
    return study_data.settled(build(configuration, needed | given), store, must_be_there)[0]


# --- which study -------------------------------------------------------------------------------------


@pytest.mark.parametrize("configuration", OF_STUDIES)
def test_the_only_study_and_its_corpora_are_taken_and_named(
    configuration: type, store: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    store.create_experiment("of somebody else")
    folder = save_tiny_corpora(Path("data")).resolve()
    add_study(store, "mystudy", str(folder), digests("data"))
    with caplog.at_level("INFO", logger="nertransfer"):
        done = settle(configuration, store)
    assert (done.tracking.study, done.data.data) == ("mystudy", str(folder))
    said = [record.message for record in caplog.records]
    assert said == ["study=mystudy, the only one of this store", f"data={folder}, that of study mystudy"]


@pytest.mark.parametrize("configuration", OF_STUDIES)
def test_which_of_several_studies_is_meant_must_be_said(configuration: type, store: MlflowClient) -> None:
    save_tiny_corpora(Path("data"))
    for name in ("second", "first"):
        add_study(store, name, "data", digests("data"))
    with pytest.raises(InputError, match=r"this store has several studies; choose one with study=: first, second$"):
        settle(configuration, store)
    with pytest.raises(InputError, match=r"study 'frist' does not exist in this store; it has first, second; did you"):
        settle(configuration, store, study="frist")
    assert settle(configuration, store, study="first").data.data == str(Path("data").resolve())
    add_study(store, "data", "data", digests("data"))
    assert settle(configuration, store, data="data").tracking.study == "data"


@pytest.mark.parametrize("configuration", OF_STUDIES)
def test_a_store_without_a_study_says_so(configuration: type, store: MlflowClient) -> None:
    with pytest.raises(InputError, match="this store has no study yet: run one first"):
        settle(configuration, store)
    assert store.get_experiment_by_name("planted") is None


# --- which corpora -----------------------------------------------------------------------------------


@pytest.mark.parametrize("configuration", OF_STUDIES)
def test_other_corpora_than_the_studys_are_a_conflict(configuration: type, store: MlflowClient) -> None:
    save_tiny_corpora(Path("data"))
    save_tiny_corpora(Path("other"), ("aaa", "bbb"), 10)
    save_tiny_corpora(Path("foreign"), ("ccc",))
    add_study(store, "mystudy", "data", digests("data"))
    for data, reason in (
        ("other", "its aaa, bbb differ from it"), ("foreign", "it has none of aaa, bbb"),
        ("masakhaner", "it has none of aaa, bbb"), ("planted", "it has none of aaa, bbb"),
    ):  # fmt: skip
        message = f"data='{data}' is not what study mystudy was made on: {reason}"
        with pytest.raises(InputError, match=message) as raised:
            settle(configuration, store, study="mystudy", data=data)
        assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="data='nowhere' does not exist"):
        settle(configuration, store, study="mystudy", data="nowhere")
    assert not Path("work").exists(), "nothing is generated or downloaded to find that out"


@pytest.mark.parametrize("configuration", OF_STUDIES)
def test_a_copy_of_the_corpora_or_of_some_is_no_conflict(configuration: type, store: MlflowClient) -> None:
    save_tiny_corpora(Path("data"))
    shutil.copytree("data", "copy")
    add_study(store, "mystudy", "data", digests("data"))
    assert settle(configuration, store, data="copy", study="mystudy").data.data == "copy"
    shutil.rmtree("copy/bbb")
    assert settle(configuration, store, data="copy").tracking.study == "mystudy"


def test_corpora_that_are_asked_for_and_cannot_be_had_are_an_error(store: MlflowClient) -> None:
    save_tiny_corpora(Path("data"))
    shutil.copytree("data", "copy")
    add_study(store, "mystudy", "data", digests("data"))
    for given in ({}, {"data": "copy"}):
        with pytest.raises(InputError, match=r"languages=aaa,zzz: .* has no zzz; it has aaa, bbb"):
            settle(AnalyseConfig, store, languages="aaa,zzz", **given)
    Path("copy/bbb/dev.txt").unlink()
    Path("copy/bbb/dev.txt").mkdir()
    with pytest.raises(InputError, match=r"copy/bbb/dev\.txt cannot be read: it is a folder"):
        settle(AnalyseConfig, store, data="copy")


def test_published_corpora_are_compared_by_their_checksums(store: MlflowClient) -> None:
    known = corpus.digests(DataOptions("masakhaner", languages=("hau", "swa")))
    add_study(store, "mystudy", "masakhaner", known)
    assert settle(RankConfig, store, data="masakhaner").data.data == "masakhaner"
    with pytest.raises(InputError, match="is not what study mystudy was made on: its hau, swa differ from it"):
        settle(RankConfig, store, data="masakhaner2")


def test_digests_are_those_of_the_corpora_that_are_read(tmp_path: Path) -> None:
    folder = str(save_tiny_corpora(tmp_path / "data"))
    for data in (DataOptions(folder), DataOptions("planted", work_dir=str(tmp_path))):
        read = {name: one.digest for name, one in corpus.load(data).items()}
        assert corpus.digests(data) == read


def test_a_relative_folder_of_an_older_study_is_looked_for_here_and_beside_the_store(
    store: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save_tiny_corpora(Path("data"))
    add_study(store, "mystudy", "data", digests("data"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert settle(RankConfig, store).data.data == str(tmp_path / "data")
    shutil.move(tmp_path / "data", tmp_path / "gone")
    reason = f"the corpora of study mystudy are not there any more: {Path.cwd() / 'data'} and {tmp_path / 'data'}; give"
    assert settle(RankConfig, store).data.data == ""  # it does what it can without, and says so
    assert caplog.records[-1].message.startswith(reason)
    with pytest.raises(InputError, match="are not there any more"):
        settle(EmbedConfig, store, must_be_there=True)


def test_what_a_study_does_not_say_must_be_given(store: MlflowClient, caplog: pytest.LogCaptureFixture) -> None:
    add_study(store, "mystudy", "")
    with pytest.raises(InputError, match="study mystudy does not say which corpora it was made on: give data=<folder>"):
        settle(EmbedConfig, store, must_be_there=True)
    assert settle(AnalyseConfig, store).data.data == ""


def test_the_latest_study_says_and_a_cell_where_there_is_none(store: MlflowClient) -> None:
    for name in ("old", "new"):
        save_tiny_corpora(Path(name))
        add_study(store, "mystudy", name, digests(name))
    assert settle(RankConfig, store).data.data == str(Path("new").resolve())
    add_study(store, "trained", "old", digests("old"), schema.KIND_CELL)
    assert settle(RankConfig, store, study="trained").data.data == str(Path("old").resolve())


def test_what_belongs_to_the_corpora_comes_with_them(store: MlflowClient, tmp_path: Path) -> None:
    save_tiny_corpora(Path("data"))
    (tmp_path / "deep" / "work").mkdir(parents=True)
    params = {"work_dir": str(tmp_path / "deep" / "work"), "languages": "aaa", "allow_empty_words": "true"}
    add_study(store, "mystudy", "data", digests("data"), **params)
    data = settle(EmbedConfig, store, must_be_there=True).data
    assert (data.languages, data.allow_empty_words, data.work_dir) == (("aaa",), True, params["work_dir"])
    Path("work").mkdir()  # that of something else
    assert settle(EmbedConfig, store).data.work_dir == params["work_dir"]
    assert settle(EmbedConfig, store, work_dir="mine").data.work_dir == "mine"  # what is given is taken
    assert settle(RegisterConfig, store, languages="bbb").data.languages == ("bbb",)


def test_folders_are_tracked_by_their_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = configuration_params({"data": "mine", "work_dir": "work", "output": "reports"})
    assert params == {"cfg/data": str(tmp_path / "mine"), "cfg/work_dir": str(tmp_path / "work")}
    assert configuration_params({"data": "masakhaner"}) == {"cfg/data": "masakhaner"}
    assert configuration_params({"data": ""}) == {}


# --- of models ---------------------------------------------------------------------------------------


def test_a_model_is_scored_on_what_its_cell_was_and_belongs_to_its_study(store: MlflowClient) -> None:
    save_tiny_corpora(Path("data"), ("aaa", "bbb", "ccc"))
    cell = add_study(store, "mystudy", "data", {n: d for n, d in digests("data").items() if n != "ccc"})
    config, study = settled_model(build(EvaluateConfig, {"model": f"runs:/{cell}"}), store)
    assert (study.name, config.data.data) == ("mystudy", str(Path("data").resolve()))
    assert config.targets == ("aaa", "bbb")
    save_tiny_corpora(Path("other"), ("ddd",))  # any corpora may be given
    config, study = settled_model(build(EvaluateConfig, {"model": f"runs:/{cell}", "data": "other"}), store)
    assert (study.name, config.data.data, config.targets) == ("mystudy", "other", ())
    config, study = settled_model(build(EvaluateConfig, {"model": f"runs:/{cell}", "study": "another"}), store)
    assert study.name == "another" and config.targets == ("aaa", "bbb")
    assert {one.name for one in store.search_experiments()} == {"Default", "mystudy"}


def test_corpora_that_have_changed_since_are_scored_and_that_is_said(
    store: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    save_tiny_corpora(Path("data"))
    cell = add_study(store, "mystudy", "data", digests("data"))
    save_tiny_corpora(Path("data"), ("aaa",), 10)
    config, _ = settled_model(build(EvaluateConfig, {"model": f"runs:/{cell}"}), store)
    assert config.data.data == str(Path("data").resolve())
    assert caplog.records[-1].message == "changed since the model was made, and scored as it is now: aaa"


def test_a_model_from_elsewhere_needs_data_or_a_study(store: MlflowClient) -> None:
    save_tiny_corpora(Path("data"))
    add_study(store, "mystudy", "data", digests("data"))
    with pytest.raises(InputError, match="data is missing: no study says on which corpora to score model='x'"):
        settled_model(build(EvaluateConfig, {"model": "x"}), store)
    with pytest.raises(InputError, match=r"'models:/ner-aaa@champion' is not there: .*; registered models: none yet"):
        settled_model(build(EvaluateConfig, {"model": "models:/ner-aaa@champion"}), store)
    config, study = settled_model(build(EvaluateConfig, {"model": "x", "study": "mystudy"}), store)
    assert (study.name, config.data.data) == ("mystudy", str(Path("data").resolve()))
    assert settled_model(build(EvaluateConfig, {"model": "x", "data": "data"}), store)[1].name == "data"


def test_models_compares_every_study_with_its_own_corpora(
    store: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two"):
        save_tiny_corpora(Path(name), ("aaa",) if name == "one" else ("aaa", "bbb"))
        add_study(store, f"study {name}", name, digests(name))
    add_study(store, "study three", "moved away")
    found = study_data.at_hand(build(ModelsConfig, {}), store)
    assert found == {"study one": digests("one"), "study two": digests("two")}
    assert "the corpora of study study three are not there any more" in caplog.text
    assert study_data.at_hand(build(ModelsConfig, {"study": "study two", "data": "one"}), store) == {
        "study two": digests("one")
    }


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with a registered model, made with relative folders."""
    folder = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_data(folder)
        study = opened(folder, "first")
        train(study, 0)
        register(study)
    return study


def entry(name: str, configuration: type, study: Study, **given: str) -> None:
    load_script(ROOT / "entrypoints" / f"{name}.py").main(build(configuration, {"tracking_uri": study.uri} | given))


def test_a_champion_is_scored_from_any_folder_without_being_told_on_what(
    registered: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    entry("evaluate", EvaluateConfig, registered, model="models:/ner-aaa@champion", device="cpu")
    (run,) = kind_runs(registered, schema.KIND_EVALUATION)
    assert {"test_f1/aaa", "test_f1/bbb"} <= set(run.data.metrics)
    experiments = {one.name for one in registered.client.search_experiments()}
    assert experiments == {"Default", "first", schema.REGISTRY_EXPERIMENT}
    assert not list(tmp_path.iterdir())
    assert "aaa" in capsys.readouterr().out


def test_register_and_models_find_everything_from_any_folder(
    registered: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    entry("register", RegisterConfig, registered)
    assert "nothing changed: the registry is in line with the study" in capsys.readouterr().out
    entry("models", ModelsConfig, registered)
    assert "stale\nner-aaa" in capsys.readouterr().out.replace(" ", "")


def test_an_export_takes_no_other_study_or_corpora_than_the_models(
    registered: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny_corpora(Path("other"), ("aaa",), 10)
    for given, message in (
        ({"data": "other"}, "data='other' is not what study first was made on: its aaa differ from it"),
        ({"study": "second"}, "study='second' is not the model's: that is of first"),
    ):
        with pytest.raises(InputError, match=message):
            exports.export(build(ExportConfig, {"language": "aaa"} | given), client(registered.uri))
    assert not Path("exports").exists()
