"""Stores that were moved or copied, may only be read, or lack runs: what is said, what is refused, what cures it."""

import contextlib
import logging
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from analysis_store import log_cell
from click.testing import CliRunner
from folder_store import copied as copied_as_own
from folder_store import opened
from mlflow.cli import gc
from project_scripts import ROOT
from registered_store import FIRST, SETTINGS, make_data, register, train

from analysis.report import report
from nertransfer.commands.relocation import Move, relocate
from nertransfer.core.commandline import build
from nertransfer.core.config import ExportConfig, RelocateConfig, TrainConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions, StoreOptions
from nertransfer.registry import versions
from nertransfer.serving.export import export
from nertransfer.studies import runner
from nertransfer.studies import study as studies
from nertransfer.tracking import model_uris, store_files, study_data
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import Study, client, find_study, open_study
from nertransfer.training import cell

CHAMPION = "models:/ner-aaa@champion"
OLD = "an öld place"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of one cell, registered; its weights are stored, and no longer in the work folder."""
    folder = tmp_path_factory.mktemp("made") / OLD
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_data(folder)
        study = opened(folder, FIRST)
        train(study, 0, epochs="2")
        register(study)
        (run,) = cell_runs(study, "FINISHED")
        shutil.rmtree(cell.weights_folder(Path("work"), run.data.tags["cell_key"]))
    return folder


@pytest.fixture
def moved(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Such a folder elsewhere, of which the old place is no longer there."""
    store_files._told.clear()
    new = tmp_path / "new"
    shutil.copytree(made, new)
    away = made.with_name("away")
    made.rename(away)
    monkeypatch.chdir(new)
    yield new
    assert not made.exists(), "somebody has made the old place anew"
    away.rename(made)


@pytest.fixture
def copied(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of such a folder, whose original is still there."""
    store_files._told.clear()
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def uri(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


def study_in(folder: Path) -> Study:
    found = find_study(client(uri(folder), must_exist=True), FIRST)
    assert found is not None
    return found


def config(**given: str) -> RelocateConfig:
    return build(RelocateConfig, given)


def loads(study: Study) -> bool:
    with model_uris.local_copy(CHAMPION, study.client, Path("work")) as start:
        return (Path(start.location) / "config.json").is_file()


def everything(folder: Path) -> dict[tuple[str, str], list[str]]:
    """Every value of the database, as text, by table and column."""
    found = {}
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        for (table,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
            for column in database.execute(f'pragma table_info("{table}")').fetchall():
                query = f'select cast("{column[1]}" as text) from "{table}" order by 1'
                found[table, column[1]] = [value for (value,) in database.execute(query) if value]
    return found


def naming(folder: Path, place: Path) -> dict[tuple[str, str], int]:
    """How often a folder is named, by table and column."""
    counted = {
        where: sum(str(place) in value or place.as_uri() in value for value in values)
        for where, values in everything(folder).items()
    }
    return {where: n for where, n in counted.items() if n}


# --- a store that was moved ----------------------------------------------------------------------------------------


def test_readers_of_a_moved_store_say_where_they_looked_and_what_cures_it(
    moved: Path, made: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = study_in(moved)
    with pytest.raises(InputError) as failed:
        loads(study)
    text = str(failed.value)
    assert f"there is nothing at {made}/mlruns/" in text and "/models/m-" in text
    assert f"seems to have been moved: its files are tracked in {made}, and lie in {moved}" in text
    assert text.endswith(f"entrypoints/relocate.py --tracking_uri {uri(moved)}")
    with caplog.at_level(logging.WARNING):
        assert [row.version for row in versions.read(study.client)] == [1]
    assert [record.message for record in caplog.records] == [text.partition("artifacts; ")[2]]  # one line
    known = study_data.of_study(study)
    with pytest.raises(InputError, match=f"{made}/data; the store seems to have been moved from {made} to {moved}"):
        study_data.options(DataOptions(""), known, "study first", study.uri)


def test_a_report_of_a_moved_store_is_not_logged_and_one_line_says_so(
    moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, before = study_in(moved), everything(moved)
    written = SimpleNamespace(found=SimpleNamespace(experiment_id=study.experiment_id, study=FIRST))
    report._log(study.client, written, moved / "data")  # which is called once the report is in its folder
    assert capsys.readouterr().err.startswith("the report is not logged with the study: the store seems to have been ")
    assert everything(moved) == before


def refused(study: Study) -> list[str]:
    """What those say that would write to the store."""
    run = build(TrainConfig, SETTINGS | {"seed": "5"})
    work = [
        lambda: train(study, 5),
        lambda: register(study),
        lambda: runner.train(run, study, studies.make_accelerator(run.recipe, run.run)),
    ]
    said = []
    for one in work:
        with pytest.raises(InputError) as failed:
            one()
        said.append(str(failed.value))
    return said


def test_writers_refuse_a_moved_store_before_any_work(moved: Path) -> None:
    before = everything(moved)
    for text in refused(study_in(moved)):
        assert text.startswith("the store seems to have been moved") and "\n" not in text
    assert everything(moved) == before and not (moved / "work" / "cells" / "x").exists()


def test_a_moved_store_works_at_its_new_place_once_it_was_told(moved: Path, made: Path) -> None:
    before = everything(moved)
    planned = relocate(config(plan="true"), uri(moved)).text(plan=True)
    assert f"{made} -> {moved}" in planned and "plan: nothing has been changed" in planned
    assert everything(moved) == before and not list(moved.glob("*.before-relocate"))
    named = naming(moved, made)
    outcome = relocate(config(), uri(moved))
    assert sum(outcome.changed.values()) == sum(named.values()) > 5
    assert naming(moved, made) == {}
    assert outcome.backup == moved / "mlflow.db.before-relocate"
    with closing(sqlite3.connect(outcome.backup)) as backup:
        query = "select artifact_location from experiments where experiment_id > 0"
        assert str(made) in backup.execute(query).fetchone()[0]
    assert "nothing to do" in relocate(config(), uri(moved)).text(plan=False)

    study = study_in(moved)
    assert loads(study) and register(study) == []
    (cell_run,) = cell_runs(study, "FINISHED")
    assert [one.dataset.name for one in cell_run.inputs.dataset_inputs if not mlflow.data.get_source(one).load()] == []
    assert study_data.options(DataOptions(""), study_data.of_study(study), "it", study.uri).data == f"{moved}/data"
    run = build(TrainConfig, SETTINGS | {"seed": "0", "epochs": "2"})
    assert runner.train(run, study, studies.make_accelerator(run.recipe, run.run)).state == "found"
    train(study, 1, epochs="1")
    assert all(str(moved) in run.info.artifact_uri for run in cell_runs(study, "FINISHED"))


def test_everything_that_holds_a_whole_path_is_rewritten(moved: Path, made: Path) -> None:
    """Also what MLflow writes for others, and what only some commands track."""
    store = study_in(moved).client
    (run,) = cell_runs(study_in(moved), "FINISHED")
    store.create_model_version("ner-aaa", (made / "by hand").as_uri(), run.info.run_id)
    store.set_tag(run.info.run_id, "start_location", f"{made}/tiny")
    store.set_tag(run.info.run_id, "output", f"{made}/gone")
    store.log_param(run.info.run_id, "cfg/starts", f"base,mine={made}/tiny,{made}b/tiny")
    store.log_param(run.info.run_id, "mine", f"{made} in words")  # somebody else's
    store.create_experiment("uri", (made / "mlruns" / "uri").as_uri())
    relocate(config(), uri(moved))
    assert naming(moved, made) == {("params", "value"): 2}  # that of somebody else, and the folder with a longer name
    found = store.get_run(run.info.run_id).data
    assert found.params["cfg/starts"] == f"base,mine={moved}/tiny,{made}b/tiny"
    assert found.tags["start_location"] == f"{moved}/tiny"
    assert store.get_experiment_by_name("uri").artifact_location == (moved / "mlruns" / "uri").as_uri()


def test_a_store_without_its_files_is_not_relocated(moved: Path, made: Path) -> None:
    shutil.move(moved / "mlruns", moved.with_name("somewhere"))
    before = everything(moved)
    with pytest.raises(InputError) as failed:
        register(study_in(moved))
    assert f"tracked in {made}/mlruns/1, which is not there" in str(failed.value)
    assert str(failed.value).endswith("--new FOLDER")
    with pytest.raises(InputError, match=r"none of them is in .*new; give old and new"):
        relocate(config(), uri(moved))
    with pytest.raises(InputError, match=r"\d folders with files are not in .*/new: .*bring them there first"):
        relocate(config(old=str(made)), uri(moved))
    with pytest.raises(InputError, match=f"nothing in this store is in old=/nowhere; its files are in {made}/mlruns"):
        relocate(config(old="/nowhere", new=str(moved)), uri(moved))
    assert everything(moved) == before
    with pytest.raises(InputError, match="new='nowhere' is not allowed: a folder that exists"):
        relocate(config(new="nowhere"), uri(moved))
    relocate(config(new=str(moved.with_name("somewhere"))), uri(moved))
    assert loads(study_in(moved))


# --- a copy --------------------------------------------------------------------------------------------------------


def test_a_copy_is_read_with_a_word_and_writes_nothing_into_its_original(
    copied: Path, made: Path, caplog: pytest.LogCaptureFixture
) -> None:
    original = sorted(made.rglob("*"))
    study = study_in(copied)
    with caplog.at_level(logging.WARNING):
        assert loads(study) and loads(study)
    (said,) = [record.message for record in caplog.records]
    assert f"seems to be a copy: its files are tracked in {made}, which is still there, and lie in {copied}" in said
    assert set(refused(study)) == {said}
    relocate(config(), uri(copied))
    assert naming(copied, made) == {}
    train(study_in(copied), 1, epochs="1")
    assert sorted(made.rglob("*")) == original
    assert register(opened(made, FIRST)) == []  # the original is what it was


def test_a_copy_that_is_not_whole_is_not_relocated(copied: Path) -> None:
    (run,) = cell_runs(study_in(copied), "FINISHED")
    shutil.rmtree(copied / "mlruns" / "1" / run.info.run_id)
    before = everything(copied)
    with pytest.raises(InputError, match=f"1 folders with files are not in .*{run.info.run_id}"):
        relocate(config(), uri(copied))
    assert everything(copied) == before


# --- stores that are as people want them ----------------------------------------------------------------------------


def study_with_files(folder: Path, place: Path, address: str = "") -> Study:
    """A study with a finished cell whose artifacts are in ``place``, at an address that is its own unless told."""
    folder.mkdir(exist_ok=True)
    study = opened(folder, "study")
    experiment = study.client.create_experiment("study", artifact_location=address or place.as_uri())
    run_id = log_cell(study.client, experiment, ("base", "aaa", 0), ["aaa"])
    (place / run_id / "artifacts").mkdir(parents=True)
    return open_study(study.client, "study")


def test_artifacts_that_were_put_elsewhere_may_be_written_while_their_place_is_there(tmp_path: Path) -> None:
    study = study_with_files(tmp_path / "store", tmp_path / "large disk")
    store_files.check(study)
    (tmp_path / "large disk").rename(tmp_path / "unplugged")
    with pytest.raises(InputError, match=r"tracked in .*/large disk, which is not there"):
        store_files.check(study)


@pytest.mark.parametrize("address", ["s3://bucket/artifacts", "mlflow-artifacts:/1"])
def test_artifacts_that_are_on_no_disk_are_not_judged(tmp_path: Path, address: str) -> None:
    store_files.check(study_with_files(tmp_path / "store", tmp_path / "store" / "mlruns", address))


def test_what_a_server_says_is_not_judged() -> None:
    assert store_files.displaced("http://localhost:5000", "/nowhere/mlruns/1/0123456789abcdef/artifacts") is None


def test_files_that_somebody_deleted_from_a_store_in_its_place_do_not_make_it_a_moved_one(tmp_path: Path) -> None:
    study = study_with_files(tmp_path / "store", tmp_path / "store" / "mlruns")
    shutil.rmtree(tmp_path / "store" / "mlruns")
    store_files.check(study)


def test_another_stores_files_beside_a_database_are_not_its_own(tmp_path: Path) -> None:
    """Experiments of two stores have the same number."""
    study = study_with_files(tmp_path / "store", tmp_path / "elsewhere" / "mlruns" / "1")
    (tmp_path / "store" / "mlruns" / "1" / "0123456789abcdef" / "artifacts").mkdir(parents=True)
    store_files.check(study)


# --- a store that may only be read ------------------------------------------------------------------------------------


READING = """
import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace

from analysis.reading import read
from analysis.report import report
from nertransfer.commands import mlflow_pages
from nertransfer.registry import register, versions
from nertransfer.studies import runner
from nertransfer.tracking import model_uris, store_files, study_data
from nertransfer.training.accelerator import make_accelerator
from nertransfer.core.commandline import build
from nertransfer.core.config import ExportConfig, RelocateConfig, TrainConfig
from nertransfer.core.errors import InputError
from nertransfer.serving.export import export
from nertransfer.commands.relocation import relocate
from nertransfer.tracking.store import client, find_study

if os.geteuid() == 0:  # modes of files hold for root, too, once it has no CAP_DAC_OVERRIDE (bit 1), ...
    kernel = ctypes.CDLL(None, use_errno=True)
    version = (ctypes.c_uint32 * 2)(0x20080522, 0)
    capabilities = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, and their higher halves
    assert kernel.capget(version, capabilities) == 0
    for i in range(3):
        capabilities[i] &= ~0b1110
    assert kernel.capset(version, capabilities) == 0

for folder in sys.argv[1:]:
    assert not os.access(folder + "/mlflow.db", os.W_OK)
    uri = f"sqlite:///{folder}/mlflow.db"
    store = client(uri, must_exist=True)
    study = find_study(store, "first")
    print("listed", [row.version for row in versions.read(store)])
    print("exported", export(build(ExportConfig, {"language": "aaa", "output": Path(folder).name}), store))
    print("known", study_data.of_study(study).data)
    print("pages", mlflow_pages.overview(store, "http://127.0.0.1:5000").splitlines()[1])
    print("results", len(read.read(uri, "first").cells))
    written = SimpleNamespace(found=SimpleNamespace(experiment_id=study.experiment_id, study="first"))
    report._log(store, written, Path(folder))
    run = build(TrainConfig, {"data": folder + "/data", "source": "aaa", "start": "tiny=" + folder + "/tiny"})
    for writer in (
        lambda: register.register(study, {}, Path("work")),
        lambda: versions.roll_back(store, "aaa"),
        lambda: runner.train(run, study, make_accelerator(run.recipe, run.run)),
        lambda: relocate(RelocateConfig(), uri),
    ):
        try:
            writer()
        except InputError as error:
            print("refused", error)
"""


def test_reading_needs_no_right_to_write(made: Path, tmp_path: Path, python: str) -> None:
    """Neither into the folder nor to the files in it, of which one may be another user's lock."""
    folders = [tmp_path / "folder", tmp_path / "files"]
    for folder in folders:
        copied_as_own(made, folder)
    before = [everything(folder) for folder in folders]
    paths = [folders[0], *folders[0].rglob("*"), *(path for path in folders[1].iterdir() if path.is_file())]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    (tmp_path / "out").mkdir()
    (tmp_path / "reading.py").write_text(READING, encoding="utf-8")
    try:
        ended = subprocess.run(
            [python, str(tmp_path / "reading.py"), *map(str, folders)], cwd=tmp_path / "out",
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        )  # fmt: skip
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)
    assert ended.returncode == 0, ended.stderr[-3000:]
    expected = []
    for folder in folders:
        reason = f"the store is read-only: nothing can be written to {folder}/mlflow.db"
        expected += [
            "listed [1]", f"exported {tmp_path}/out/{folder.name}/ner-aaa-champion", f"known {folder}/data",
            "pages study first", "results 1", *[f"refused tracking_uri={uri(folder)}: {reason}"] * 4,
        ]  # fmt: skip
        assert f"the report is not logged with the study: {reason}" in ended.stderr.splitlines()
    assert ended.stdout.splitlines() == expected and "Traceback" not in ended.stderr
    assert [everything(folder) for folder in folders] == before


# --- runs that were deleted for good ----------------------------------------------------------------------------------


def test_a_version_whose_run_was_deleted_for_good_is_still_of_use(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    copied_as_own(made, folder)
    with contextlib.chdir(folder):
        study = opened(folder, FIRST)
        (run,) = cell_runs(study, "FINISHED")
        study.client.delete_run(run.info.run_id)
        assert versions.read(study.client)[0].stale == (versions.RUN_DELETED,)
        deleted = CliRunner().invoke(gc, ["--backend-store-uri", uri(folder), "--tracking-uri", uri(folder)])
        assert "permanently deleted" in deleted.output, deleted.output

        assert versions.read(study.client)[0].stale == (versions.RUN_DELETED,) and loads(study)
        export(build(ExportConfig, {"language": "aaa"}), study.client)
        card = (folder / "exports" / "ner-aaa-champion" / "README.md").read_text(encoding="utf-8")
        assert "# ner-aaa" in card and "## Known weaknesses" in card
        assert f"## What is not known any more\n\nThe run that made this version, `{run.info.run_id}`, was del" in card
        with pytest.raises(InputError, match=r"the runs of ner-aaa version 1 were deleted: the study entry point"):
            register(study)

        train(study, 0, epochs="2")  # the same cell again
        assert register(study)[0].text == "the run of version 1 was deleted; another version has one"
        now = study.client.get_model_version_by_alias("ner-aaa", "champion")
        assert (int(now.version), now.run_id) == (2, cell_runs(study, "FINISHED")[0].info.run_id)
        assert register(study) == [] and loads(study)


# --- one address -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/a/b/mlruns/1", "/n ü/mlruns/1"),
        ("/a/b", "/n ü"),
        ("/a/bc/mlruns/1", "/a/bc/mlruns/1"),
        ("/x/a/b/c", "/x/a/b/c"),
        ("file:///a/b/m%20n", "file:///n%20%C3%BC/m%20n"),
        ("file:///a/bc", "file:///a/bc"),
        ("models:/m-1", "models:/m-1"),
        ("s3://a/b", "s3://a/b"),
    ],
)
def test_only_what_is_below_the_old_folder_is_another_address(address: str, expected: str) -> None:
    assert Move(Path("/a/b"), Path("/n ü")).address(address) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/a/b/work", "/n/work"),
        ("base,x=/a/b/x,/a/b,/a/bc/d", "base,x=/n/x,/n,/a/bc/d"),
        ("text about /a/b/c", "text about /a/b/c"),
        ("/a/b", "/n"),
    ],
)
def test_paths_in_parameters_are_found(value: str, expected: str) -> None:
    assert Move(Path("/a/b"), Path("/n")).value(value) == expected


def test_a_folder_that_stayed_where_it_was_is_still_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert Move(tmp_path, tmp_path / "new").value(f"{tmp_path}/data") == f"{tmp_path}/data"


def test_a_move_into_a_folder_below_is_made_once() -> None:
    move = Move(Path("/a"), Path("/a/b"))
    assert move.address("/a/mlruns") == "/a/b/mlruns" == move.address("/a/b/mlruns")


def test_the_old_folder_is_a_whole_path() -> None:
    with pytest.raises(InputError, match="old='here' is not allowed"):
        RelocateConfig(old="here", tracking=StoreOptions())
