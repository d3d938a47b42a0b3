"""The life of registered versions: what they say they are, aliases that move for a reason, rollback, stale ones."""

import dataclasses
import itertools
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from folder_store import opened
from hypothesis import given
from hypothesis import strategies as st
from project_scripts import ROOT, load_script
from registered_store import FIRST, make_data, register, train

from nertransfer.commands import run as command
from nertransfer.core import commandline, schema
from nertransfer.core.config import ModelsConfig, RegisterConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora.corpus import load
from nertransfer.registry import aliases, model_card, selection, versions
from nertransfer.registry.aliases import Change
from nertransfer.tracking import claims, model_uris, runs
from nertransfer.tracking.claims import Claims, Owner
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import Study, all_logged_models, all_runs, all_versions, open_study
from nertransfer.training import cell


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has one registered model of one seed."""
    folder = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_data(folder)
        train(opened(folder, FIRST), 0, epochs="2")
        set_dev_f1(opened(folder, FIRST), 0, 0.25)
        register(opened(folder, FIRST))
    return folder


@pytest.fixture
def study(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """That study in a store of the test's own; artifacts of its run stay where they are."""
    folder = tmp_path / "copy"
    shutil.copytree(registered, folder, ignore=shutil.ignore_patterns("mlruns"))
    monkeypatch.chdir(folder)
    return opened(folder, FIRST)


def champion(study: Study) -> int:
    return int(study.client.get_registered_model("ner-aaa").aliases[schema.CHAMPION])


def of_champion(changes: list[Change]) -> Change:
    (found,) = [change for change in changes if change.text.startswith("alias champion ")]
    return found


def set_dev_f1(study: Study, seed: int, value: float) -> None:
    """Make a seed as good as the test needs it, whatever chance said."""
    for run in cell_runs(study, "FINISHED", f" and tags.seed = '{seed}'"):
        study.client.log_metric(run.info.run_id, "dev_f1/aaa", value, step=1)


def test_a_version_carries_its_lineage_and_its_card(study: Study) -> None:
    (version,) = all_versions(study.client, "ner-aaa")
    (run,) = cell_runs(study, "FINISHED")
    for name in ("cell_key", "start_fingerprint", "recipe_digest", "train_digest", "start"):
        assert version.tags[name] == run.data.tags[name]
    assert version.tags["corpus_digest/aaa"] == schema.unpacked(run.data.tags, schema.CORPUS_DIGESTS)["aaa"]
    assert (version.tags["study"], version.tags["targets"]) == ("first", "aaa,bbb")
    assert len(version.description.encode()) <= model_card.DESCRIPTION_BYTES
    assert "## Known weaknesses" in version.description and "it is the only seed" in version.description.lower()
    whole = Path(study.client.download_artifacts(run.info.run_id, "model_card/README.md", str(Path.cwd()))).read_text()
    assert whole.startswith("---\n") and "## Resources" in whole
    assert register(study) == []


def test_what_one_call_has_made_twice_is_there_once_after_the_next_registering(study: Study) -> None:
    """As a server does that acts only when it has been asked again."""
    client = study.client
    (version,) = all_versions(client, "ner-aaa")
    (run,) = cell_runs(study, "FINISHED")
    twin = client.create_run(study.experiment_id, run.info.start_time, run.data.tags).info.run_id
    client.set_tag(twin, schema.REQUEST, run.data.tags[schema.REQUEST])
    copied = client.create_run(study.experiment_id, 1, run.data.tags).info.run_id  # by somebody's tool
    client.set_tag(copied, schema.REQUEST, run.data.tags[schema.REQUEST])
    client.create_logged_model(study.experiment_id, name=run.info.run_name, source_run_id=run.info.run_id)
    for _ in range(2):
        client.create_model_version("ner-aaa", version.source, run.info.run_id, tags=version.tags)
    assert register(study) == []
    assert [one.version for one in all_versions(client, "ner-aaa")] == [1] and champion(study) == 1
    third = client.create_model_version("ner-aaa", version.source, run.info.run_id, tags=version.tags).version
    client.set_registered_model_alias("ner-aaa", "mine", str(third))
    register(study)
    assert {one.version for one in all_versions(client, "ner-aaa")} == {1, third}  # nobody's alias is lost
    assert [one.model_id for one in all_logged_models(study)] == [run.data.tags[schema.MODEL_URI]]
    with runs.open_run(study, schema.KIND_COMMAND, "any"):
        pass
    assert {one.info.run_id for one in cell_runs(study, "RUNNING")} == {copied}
    (one,) = cell_runs(study, "FINISHED")
    assert one.info.run_id == run.info.run_id


def test_a_card_that_was_cut_short_is_written_again(study: Study) -> None:
    study.client.update_model_version("ner-aaa", "1", "half")
    study.client.delete_model_version_tag("ner-aaa", "1", schema.CARD_FORMAT)
    (change,) = register(study)
    assert change.text.startswith("version 1 now says") and not change.held
    assert study.client.get_model_version("ner-aaa", "1").description.startswith("# ner-aaa")


def test_a_better_seed_moves_the_champion_and_rollback_holds_it_until_told(study: Study) -> None:
    train(study, 1, epochs="2")
    set_dev_f1(study, 1, 0.75)
    moved = of_champion(register(study))
    assert moved.text.startswith("alias champion moved from version 1 to version 2") and "a higher score" in moved.text
    rows = versions.read(study.client)
    assert [(row.version, row.aliases, row.stale) for row in rows] == [
        (1, (), (versions.NO_ALIAS,)), (2, ("champion", "from-tiny"), ())
    ]  # fmt: skip
    assert versions.stale_lines(study) == [f"stale: ner-aaa version 1 ({versions.NO_ALIAS})"]

    assert "moved from version 2 to version 1" in versions.roll_back(study.client, "aaa").text
    kept = of_champion(register(study))
    assert kept.held and "pinned (at version 1, rolled back from version 2)" in kept.text and champion(study) == 1
    with pytest.raises(InputError, match=r"no champion before version 1; name one with version=: 1, 2"):
        versions.roll_back(study.client, "aaa")
    assert register(study, selection.PIN)[-1].text.startswith("alias champion moved from version 1 to version 2")
    assert register(study) == [] and champion(study) == 2
    assert study.client.get_registered_model("ner-aaa").tags[schema.CHAMPION_HISTORY] == "1, 2, back to 1, 2"


def test_a_champion_that_was_chosen_by_hand_is_among_those_to_go_back_to(study: Study) -> None:
    for seed in (1, 2):
        train(study, seed, epochs="2")
        set_dev_f1(study, seed, 0.25 + seed / 8)
        register(study)
    study.client.set_registered_model_alias("ner-aaa", schema.CHAMPION, "1")  # as in MLflow's pages
    assert "moved from version 1 to version 3" in of_champion(register(study)).text
    assert "moved from version 3 to version 1" in versions.roll_back(study.client, "aaa").text


def test_a_pin_goes_with_the_version_that_it_holds(study: Study) -> None:
    train(study, 1, epochs="2")
    set_dev_f1(study, 1, 0.75)
    register(study)
    versions.roll_back(study.client, "aaa")
    study.client.delete_model_version("ner-aaa", "1")
    said = [change.text for change in register(study)]
    assert any("champion is no longer pinned (at version 1" in text for text in said), said
    assert champion(study) == 2
    assert schema.CHAMPION_PINNED not in study.client.get_registered_model("ner-aaa").tags


@pytest.mark.parametrize("name", [schema.MODEL_URI, ""])
def test_a_model_that_was_deleted_by_hand_is_made_anew(study: Study, name: str) -> None:
    """Its tag alone, or itself."""
    train(study, 1, epochs="2")
    set_dev_f1(study, 1, 0.75)
    (run,) = cell_runs(study, "FINISHED", " and tags.seed = '1'")
    if name:
        study.client.delete_tag(run.info.run_id, name)
    else:
        study.client.delete_logged_model(run.data.tags[schema.MODEL_URI])
    assert "moved from version 1 to version 2" in of_champion(register(study)).text
    (run,) = cell_runs(study, "FINISHED", " and tags.seed = '1'")
    assert study.client.get_model_version("ner-aaa", "2").source == f"models:/{run.data.tags[schema.MODEL_URI]}"
    with model_uris.local_copy("models:/ner-aaa@champion", study.client, Path("work")) as start:
        assert (Path(start.location) / "config.json").is_file()


def test_a_model_whose_files_are_gone_is_not_registered_again_without_them(study: Study) -> None:
    (run,) = cell_runs(study, "FINISHED")
    study.client.delete_model_version("ner-aaa", "1")
    files = Path(study.client.get_logged_model(run.data.tags[schema.MODEL_URI]).artifact_location)
    files.rename(files.with_name("away"))
    try:
        shutil.rmtree(cell.weights_folder(Path("work"), run.data.tags[schema.CELL_KEY]))
        with pytest.raises(InputError, match="neither registered nor in work_dir: tiny-aaa-s0"):
            register(study)
    finally:
        files.with_name("away").rename(files)  # other tests have this store's files, too
    assert register(study)[0].text.startswith("version 2 is tiny-aaa-s0")


@pytest.fixture
def files(study: Study) -> Iterator[Path]:
    """The files of the registered version, which are other tests', too: put back in the end."""
    (run,) = cell_runs(study, "FINISHED")
    folder = Path(study.client.get_logged_model(run.data.tags[schema.MODEL_URI]).artifact_location)
    shutil.copytree(folder, folder.with_name("kept"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name("kept").rename(folder)


def discard_weights(study: Study) -> None:
    for run in cell_runs(study, "FINISHED"):
        shutil.rmtree(cell.weights_folder(Path("work"), run.data.tags[schema.CELL_KEY]))


def test_a_version_whose_files_are_gone_has_them_again_while_its_weights_are_at_hand(study: Study, files: Path) -> None:
    shutil.rmtree(files)
    (change,) = register(study)
    assert change.text == "the files of version 1 were gone, and are stored again" and not change.held
    with model_uris.local_copy("models:/ner-aaa@champion", study.client, Path("work")) as start:
        assert (Path(start.location) / "config.json").is_file()
    assert register(study) == []


def test_a_version_whose_files_and_weights_are_gone_is_named_with_what_to_do(study: Study, files: Path) -> None:
    shutil.rmtree(files)
    discard_weights(study)
    (change,) = register(study)
    assert change.held and "the files of version 1 are gone, and so are the weights in work/cells/" in change.text
    assert "delete the version, and the study entry point with the same parameters trains its cell again" in change.text
    assert champion(study) == 1


def test_a_version_whose_model_was_deleted_is_followed_by_one_that_has_its_files(study: Study) -> None:
    (run,) = cell_runs(study, "FINISHED")
    study.client.delete_logged_model(run.data.tags[schema.MODEL_URI])
    said = register(study)
    assert said[0].text == "the files of version 1 are gone; another version has them"
    assert of_champion(said).text.endswith("; a later version of the same cell")
    with model_uris.local_copy("models:/ner-aaa@champion", study.client, Path("work")) as start:
        assert (Path(start.location) / "config.json").is_file()
    assert champion(study) == 2 and register(study) == []


def test_a_version_that_was_copied_by_hand_is_one_of_its_cell(study: Study) -> None:
    study.client.copy_model_version("models:/ner-aaa/1", "ner-aaa")  # "promote" in MLflow's pages
    assert of_champion(register(study)).text.endswith("; a later version of the same cell")
    assert champion(study) == 2 and register(study) == []


def test_a_version_that_mlflows_page_of_models_does_not_show_is_shown_from_the_next_registering_on(
    study: Study,
) -> None:
    (run,) = cell_runs(study, "FINISHED")
    model_id = run.data.tags[schema.MODEL_URI]
    study.client.delete_logged_model_tag(model_id, "mlflow.modelVersions")  # as versions of long ago have none
    assert register(study) == []
    shown = study.client.get_logged_model(model_id).tags["mlflow.modelVersions"]
    assert json.loads(shown) == [{"name": "ner-aaa", "version": "1"}]


def test_a_version_made_by_hand_is_no_cells_and_is_not_pinned_unasked(study: Study) -> None:
    study.client.create_model_version("ner-aaa", str(Path.cwd() / "elsewhere"))
    study.client.set_registered_model_alias("ner-aaa", schema.CHAMPION, "2")
    study.client.delete_registered_model_tag("ner-aaa", schema.CHAMPION_HISTORY)
    kept = of_champion(register(study))
    assert kept.held and "stays at version 2: it is not known to be made by a cell. Best of study" in kept.text
    with pytest.raises(InputError, match="model='models:/ner-aaa@champion' is not allowed: it was not made by a cell"):
        model_uris.origin("models:/ner-aaa@champion", study.client)
    assert model_uris.run_of("models:/ner-aaa@champion", study.client) is None
    assert aliases.champions(study.client, ["aaa"]) == {"ner-aaa": ""}
    assert "moved from version 2 to version 1" in of_champion(register(study, *selection.REPLACE_ALL)).text
    with pytest.raises(InputError, match="no champion before version 1; name one with version=: 1, 2"):
        versions.roll_back(study.client, "aaa")
    assert "moved from version 1 to version 2" in versions.roll_back(study.client, "aaa", 2).text


def test_versions_of_several_languages_go_stale_and_are_pinned_and_released_like_others(study: Study) -> None:
    train(study, 0, epochs="1", source="aaa+bbb")
    register(study)
    digests = {name: corpus.digest for name, corpus in load(DataOptions("data")).items()}
    (row,) = versions.read(study.client, ("aaa+bbb",), {"first": digests})
    assert row.stale == ()
    (row,) = versions.read(study.client, ("aaa+bbb",), {"first": digests | {"bbb": "another digest"}})
    assert row.stale == ("the corpus of aaa+bbb at hand is another one",)
    (row,) = versions.read(study.client, ("aaa+bbb",), {"first": {"aaa": "another digest"}})  # the other not at hand
    assert row.stale == ()
    told = versions.roll_back(study.client, "aaa+bbb", 1).text
    assert schema.CHAMPION_PINNED in study.client.get_registered_model("ner-aaa+bbb").tags
    advice = [*told.rpartition("until register ")[2].split(), "--data", "data", "--study", "first"]
    advice += ["--tracking_uri", study.uri]  # MLflow keeps engines by address, be that relative to another folder
    command.run(RegisterConfig, load_script(ROOT / "entrypoints" / "register.py").main, "", advice)
    assert schema.CHAMPION_PINNED not in study.client.get_registered_model("ner-aaa+bbb").tags


def test_who_registers_while_another_process_does_waits_and_finds_its_version(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(study, 1, epochs="2")
    set_dev_f1(study, 1, 0.75)
    other = dataclasses.replace(Owner.this_process(), token="another")
    claim = Claims(open_study(study.client, schema.REGISTRY_EXPERIMENT), other).take("ner-aaa")
    assert claim is not None
    waited: list[float] = []

    def the_other_goes_first(seconds: float) -> None:
        waited.append(seconds)
        claim.end("done")
        with monkeypatch.context() as patch:
            patch.setattr(Owner, "this_process", staticmethod(lambda: other))
            assert "moved from version 1 to version 2" in of_champion(register(study)).text

    monkeypatch.setattr(claims, "time", SimpleNamespace(time=time.time, sleep=the_other_goes_first))
    assert register(study) == [] and len(waited) == 1
    assert len(all_versions(study.client, "ner-aaa")) == 2
    assert study.client.get_registered_model("ner-aaa").tags[schema.CHAMPION_HISTORY] == "1, 2"


def test_a_rollback_waits_for_who_registers(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(Owner.this_process(), token="another")
    claim = Claims(open_study(study.client, schema.REGISTRY_EXPERIMENT), other).take("ner-aaa")
    assert claim is not None
    ended: list[bool] = []
    monkeypatch.setattr(
        claims, "time", SimpleNamespace(time=time.time, sleep=lambda _: ended.append(claim.end("done")))
    )
    versions.roll_back(study.client, "aaa", 1)
    assert ended == [True]


@pytest.mark.parametrize(
    ("language", "version", "message"), [("zzz", 0, "registered are: ner-aaa"), ("aaa", 7, "has versions 1")]
)
def test_a_rollback_that_cannot_be_changes_nothing(study: Study, language: str, version: int, message: str) -> None:
    registry = open_study(study.client, schema.REGISTRY_EXPERIMENT)
    before = [run.data.params for run in all_runs(study.client, registry.experiment_id)]
    with pytest.raises(InputError, match=message):
        versions.roll_back(study.client, language, version)
    assert before and [run.data.params for run in all_runs(study.client, registry.experiment_id)] == before
    model = study.client.get_registered_model("ner-aaa")
    assert schema.CHAMPION_PINNED not in model.tags and champion(study) == 1


def test_changed_data_never_moves_an_alias_unless_told(study: Study) -> None:
    path = Path("data/aaa/train.txt")
    path.write_text(path.read_text().replace("da O", "du O", 1))
    (row,) = versions.read(study.client, ("aaa",), {"first": {"aaa": "another digest"}})
    assert row.stale == ("the corpus of aaa at hand is another one",)
    train(study, 0, epochs="2")
    kept = [change for change in register(study, *selection.STUDY_REPLACES) if change.held]
    assert len(kept) == 2 and champion(study) == 1
    assert all("the train split of aaa has changed (SHA-256 " in change.text for change in kept)
    (old, new) = versions.read(study.client)
    assert old.stale and "the train split of aaa has changed" in old.stale[0] and new.stale == (versions.NO_ALIAS,)
    assert "the train split of aaa has changed" in of_champion(register(study, selection.CORPUS)).text
    assert champion(study) == 2


def change_names(path: str) -> None:
    """A corpus in which every name is of another category: what was learnt from the old one does not fit."""
    for split in ("train", "dev"):
        file = Path(path) / f"{split}.txt"
        file.write_text(file.read_text().replace("-PER", "-ORG"))


def test_seeds_of_another_corpus_are_not_compared_and_are_named(study: Study) -> None:
    train(study, 1, epochs="2")
    change_names("data/aaa")
    train(study, 0, epochs="2")
    set_dev_f1(study, 0, 0.25)
    set_dev_f1(study, 1, 1.0)
    changes = register(study, *selection.REPLACE_ALL)
    assert "seed 1 of start tiny not compared: the train split of aaa has changed (SHA-256 " in changes[0].text
    assert changes[0].held and [change.held for change in changes[1:]] == [False] * 3
    assert champion(study) == 2
    version = study.client.get_model_version("ner-aaa", "2")
    assert (version.tags["seed"], version.tags["seeds_compared"]) == ("0", "0")
    assert [one.held for one in register(study)] == [True]  # said again, nothing moves
    assert [row.stale for row in versions.read(study.client)][1] == ()
    train(study, 1, epochs="2")
    set_dev_f1(study, 1, 0.75)
    assert "dev F1 75.00 %, best of 2 seeds" in of_champion(register(study)).text and champion(study) == 3


def test_the_champion_is_the_best_of_the_starts_on_the_newest_corpus(study: Study) -> None:
    train(study, 0, epochs="2", start="other=tiny")
    set_dev_f1(study, 0, 1.0)
    change_names("data/aaa")
    train(study, 1, epochs="2", start="other=tiny")
    set_dev_f1(study, 1, 0.5)
    changes = register(study, *selection.REPLACE_ALL)
    assert "start tiny not compared for the champion: the train split of aaa has changed" in " ".join(
        change.text for change in changes if change.held
    )
    aliases = study.client.get_registered_model("ner-aaa").aliases
    assert aliases["champion"] == aliases["from-other"] != aliases["from-tiny"]


def test_another_recipe_follows_the_command_of_its_study_alone(study: Study) -> None:
    train(study, 0, epochs="1")
    set_dev_f1(study, 0, 0.5)
    kept = of_champion(register(study))
    assert kept.held and "another recipe (epochs 2 -> 1)" in kept.text and champion(study) == 1
    moved = of_champion(register(study, *selection.STUDY_REPLACES))
    assert not moved.held and "another recipe (epochs 2 -> 1)" in moved.text and champion(study) == 2


def test_an_alias_belongs_to_the_study_that_set_it(study: Study) -> None:
    other = opened(Path.cwd(), "second")
    train(other, 5, epochs="2")
    kept = of_champion(register(other, *selection.STUDY_REPLACES))
    assert kept.held and "it belongs to study first, not to second" in kept.text and champion(study) == 1
    assert not of_champion(register(other, *selection.REPLACE_ALL)).held and champion(study) == 2


def test_only_the_named_languages_are_registered() -> None:
    cells = {("base", "aaa", 0): "x", ("base", "bbb", 0): "y"}
    assert versions.only(cells, ("bbb",)) == {("base", "bbb", 0): "y"}  # type: ignore[arg-type]
    assert versions.only(cells, ()) == cells  # type: ignore[arg-type]
    with pytest.raises(InputError, match="source ccc is not allowed: the study has finished cells of aaa, bbb"):
        versions.only(cells, ("ccc",))  # type: ignore[arg-type]


# --- what differs ----------------------------------------------------------------------------------------------------

OLD = selection.Lineage("s", "base", "hau", "c1", "t1", "w1", "r1", {"epochs": "3"})


@pytest.mark.parametrize(
    ("new", "weights", "expected"),
    [
        (OLD, {"base": "w1"}, {}),
        (selection.Lineage("s", "swa", "hau", "c1", "t1", "w2", "r1", {}), {"base": "w1", "swa": "w2"}, {}),
        (
            selection.Lineage("s", "swa", "hau", "c1", "t1", "w2", "r1", {}),
            {"base": "w9"},
            {selection.WEIGHTS: "base has"},
        ),
        (
            selection.Lineage("s", "base", "hau", "c2", "t1", "w1", "r1", {}),
            {},
            {selection.CORPUS: "dev or test split"},
        ),
        (selection.Lineage("s", "base", "hau", "c1", "t1", "w1", "", {}), {}, {selection.RECIPE: "epochs 3 -> ?"}),
    ],
)
def test_differences_are_those_that_make_scores_incomparable(
    new: selection.Lineage, weights: dict[str, str], expected: dict[str, str]
) -> None:
    found = selection.differences(OLD, new, weights)
    assert found.keys() == expected.keys() and all(expected[reason] in found[reason] for reason in found)


# --- the champion's history ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 9), max_size=30))
def test_rollbacks_walk_back_through_the_champions_and_never_in_circles(moves: list[int]) -> None:
    history = ""
    for version in moves:
        history = aliases.appended(history, version)
    stack = aliases.champions_in(history)
    assert all(a != b for a, b in itertools.pairwise(stack))
    existing, current, visited = list(range(1, 10)), moves[-1] if moves else 0, 0
    while (before := aliases.previous(history, current, existing)) is not None:
        assert before != current
        history, current, visited = aliases.appended(history, before, back=True), before, visited + 1
        assert aliases.champions_in(history)[-1] == current
    assert visited < max(len(stack), 1)


def test_the_history_stays_within_what_mlflow_keeps_of_a_tag() -> None:
    history = ""
    for version in range(1, 3000):
        history = aliases.appended(history, version)
    assert len(history) <= aliases.LONGEST and aliases.champions_in(history)[-1] == 2999


def test_the_versions_of_a_deleted_study_are_stale_and_hide_no_others(study: Study) -> None:
    study.client.delete_experiment(study.experiment_id)
    (row,) = versions.read(study.client)
    assert row.stale == ("its study was deleted",)
    assert "its study was deleted" in versions.table([row])


def test_models_of_others_in_the_same_store_are_left_alone_whatever_they_are_called(study: Study) -> None:
    for name in ("Anna's model", "ner-anna's"):
        study.client.create_registered_model(name)
    assert [row.model for row in versions.read(study.client)] == ["ner-aaa"]
    assert all_versions(study.client, "ner-anna's") == []


def test_an_imported_cell_is_never_chosen_for_there_are_no_weights_of_it(study: Study) -> None:
    (run,) = cell_runs(study, "FINISHED")
    tags = run.data.tags | {schema.SEED: "9", schema.IMPORTED: "true", schema.CELL_KEY: "imported"}
    run_id = study.client.create_run(study.experiment_id, tags=tags).info.run_id
    study.client.log_metric(run_id, "dev_f1/aaa", 1.0)
    study.client.set_terminated(run_id, "FINISHED")
    assert register(study) == []
    train(study, 1, keep_weights="false")
    assert [seed for _, _, seed in runs.finished_places(study)] == [0, 1]
    assert register(study)  # of the two, whichever is better: its weights are there


def test_a_source_without_a_model_is_told_apart_from_an_empty_store(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    main = load_script(ROOT / "entrypoints" / "models.py").main
    main(commandline.build(ModelsConfig, {"sources": "zzz", "data": "data"}))
    assert "no model of zzz is registered in this store" in capsys.readouterr().out
