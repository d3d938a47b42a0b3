"""A study on a tiny start and tiny corpora: tracked, repeated, interrupted, registered, rescored."""

import dataclasses
import errno
import itertools
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import transformers
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from folder_store import copied, opened
from lossy import Lossy
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from project_scripts import ROOT, load_script
from tiny import save_tiny_corpora, save_tiny_start

from nertransfer.core import schema
from nertransfer.core.commandline import build
from nertransfer.core.config import EvaluateConfig, RegisterConfig, StudyConfig, TrainConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import Recipe
from nertransfer.core.schema import ALL
from nertransfer.corpora.words import spans
from nertransfer.encoders import device, starts
from nertransfer.registry import register as registration
from nertransfer.registry import weights
from nertransfer.registry.selection import Choice, choose
from nertransfer.studies import runner, timing
from nertransfer.studies import study as studies
from nertransfer.studies.executors import launch, local, workers
from nertransfer.studies.rescoring import evaluate
from nertransfer.tracking import patience
from nertransfer.tracking import runs as tracked_runs
from nertransfer.tracking.claims import Claims, Owner
from nertransfer.tracking.model_uris import local_copy
from nertransfer.tracking.patience import PatientClient
from nertransfer.tracking.runs import (
    LiveCurves,
    cell_runs,
    configuration_params,
    finished_cells,
    finished_places,
    mark_dead_runs_killed,
    open_run,
    place_in_store,
    provenance_file,
)
from nertransfer.tracking.store import Run, Study, all_runs, all_versions, kind_runs, open_study
from nertransfer.training import checkpoint, finetune, planted_starts, run_cell
from nertransfer.training.cell import weights_folder
from nertransfer.training.checkpoint import Checkpoint
from nertransfer.training.energy import Meter
from nertransfer.training.finetune import History

SETTINGS = {"epochs": "6", "learning_rate": "5e-3", "batch_size": "8", "max_length": "32", "device": "cpu",
            "starts": "tiny=tiny", "seeds": "0,1", "data": "data", "study": "tiny-study"}  # fmt: skip
STUDY = SETTINGS["study"]
REGISTERED = {"study": STUDY, "data": "data"}


def configuration(**changes: str) -> StudyConfig:
    return build(StudyConfig, SETTINGS | changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study of two languages and two seeds: mlflow.db, mlruns, work, data, tiny."""
    folder = tmp_path_factory.mktemp("study")
    save_tiny_start(folder / "tiny")
    save_tiny_corpora(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        outcome = studies.run_study(configuration(), opened(folder, STUDY))
    assert len(outcome.ran) == 4 and not outcome.failed
    return folder


def test_the_report_of_a_study_shows_the_seeds_that_its_registry_chose(fresh: Study) -> None:
    given = {"selection_split": "test", "epochs": "1", "sources": "aaa", "tracking_uri": fresh.uri}
    load_script(ROOT / "entrypoints" / "study.py").main(configuration(**given))
    (card,) = pd.read_csv("reports/tiny-study/model_cards.csv").itertuples()
    version = fresh.client.get_model_version_by_alias("ner-aaa", schema.CHAMPION)
    assert card.selection_split == version.tags[schema.SELECTION_SPLIT] == "test"
    assert str(card.seed) == version.tags[schema.SEED]


@pytest.mark.parametrize("when", ["_execute", "_register"])
def test_a_study_that_is_renamed_in_mlflow_while_it_runs_is_registered_and_reported_under_its_new_name(
    fresh: Study, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Before its workers begin, and when its models are registered."""
    usual: Callable = getattr(studies, when)

    def renamed(*arguments: Any, **options: Any) -> None:
        fresh.client.rename_experiment(fresh.experiment_id, "renamed")
        usual(*arguments, **options)

    monkeypatch.setattr(studies, when, renamed)
    given = {"epochs": "1", "sources": "aaa", "seeds": "0", "tracking_uri": fresh.uri}
    load_script(ROOT / "entrypoints" / "study.py").main(configuration(**given))
    assert [run.info.run_name for run in cell_runs(fresh, "FINISHED")] == ["tiny-aaa-s0"]
    assert {one.name for one in fresh.client.search_experiments()} == {
        "renamed",
        "Default",
        schema.REGISTRY_EXPERIMENT,
    }
    assert [path.name for path in Path("reports").iterdir()] == ["renamed"]
    if when == "_execute":
        (version,) = all_versions(fresh.client, "ner-aaa")
        assert version.tags[schema.STUDY] == "renamed"


def test_a_language_that_has_a_test_set_alone_is_a_target(fresh: Study) -> None:
    for split in ("train", "dev"):
        Path(f"data/bbb/{split}.txt").write_text("x O\n")
    outcome = studies.run_study(configuration(sources="aaa", seeds="0", epochs="1"), fresh)
    assert len(outcome.ran) == 1 and not outcome.failed
    (run,) = cell_runs(fresh, "FINISHED")
    assert run.data.metrics["test_f1/bbb"] >= 0
    assert [model.name for model in fresh.client.search_registered_models()] == ["ner-aaa"]


def test_a_cell_is_one_run_with_clean_tags_and_every_score_as_a_metric(here: Study) -> None:
    runs = cell_runs(here, "FINISHED")
    assert sorted(run.info.run_name for run in runs) == [f"tiny-{s}-s{n}" for s in ("aaa", "bbb") for n in (0, 1)]
    run = runs[0]
    tags, metrics, params = run.data.tags, run.data.metrics, run.data.params
    assert (tags["start"], tags["source"], tags["seed"]) == ("tiny", "aaa", "0")
    assert params["cfg/epochs"] == "6" and params["cfg/source"] == "aaa" and params["cfg/seed"] == "0"
    for target in ("aaa", "bbb"):
        assert len(schema.unpacked(tags, schema.CORPUS_DIGESTS)[target]) == 64
        for split in ("dev", "test"):
            for measure in schema.OVERALL_MEASURES:
                assert schema.ScoreName(split, measure, target).key in metrics
            for category in ("PER", "LOC"):
                assert schema.ScoreName(split, "f1", target, category).key in metrics
    assert metrics["source_test_f1"] == metrics["test_f1/aaa"] > 0.5
    for name in (
        "train_loss",
        "learning_rate",
        "tokens_per_second",
        "train_seconds",
        "score_seconds",
        "peak_memory_bytes",
    ):
        assert metrics[name] > 0
    curve = here.client.get_metric_history(run.info.run_id, "train_loss")
    assert len(curve) == 6 * 5 and curve[0].value > curve[-1].value
    assert "| aaa (source) | test |" in tags["mlflow.note.content"]
    assert {(d.dataset.name, d.tags[0].value) for d in run.inputs.dataset_inputs} == {
        ("aaa.train", "training"), ("aaa.dev", "validation"), ("bbb.dev", "validation"), ("aaa.test", "test"),
        ("bbb.test", "test"),
    }  # fmt: skip


def test_params_are_the_recipe_and_the_place_and_the_rest_stands_in_one_file(here: Study) -> None:
    recipe = {field.name for field in dataclasses.fields(Recipe)}
    run = cell_runs(here, "FINISHED")[0]
    assert set(run.data.params) == {
        f"cfg/{name}" for name in recipe | {"start", "source", "seed", "data", "work_dir", "allow_empty_words"}
    }
    (study,) = kind_runs(here, schema.KIND_STUDY)
    wanted = {"starts", "sources", "seeds", "targets", "data", "few_shot_mode"} | recipe
    assert {f"cfg/{name}" for name in wanted} <= set(study.data.params)
    for one in (run, study):
        assert "" not in one.data.params.values()
        assert not [name for name in one.data.params if "slurm" in name or name in ("cfg/workers", "cfg/plan")]
        address = f"{one.info.artifact_uri}/provenance.json"
        told = json.loads(mlflow.artifacts.load_text(address))
        assert told["configuration"]["workers"] == "0" and told["configuration"]["epochs"] == "6"
        assert told["process"]["pid"] > 1 and "mlflow" in told["packages"]


def test_metrics_come_in_the_order_in_which_people_read_them(here: Study) -> None:
    """MLflow's pages keep the order in which they were logged."""
    names = list(cell_runs(here, "FINISHED")[0].data.metrics)
    of_interest = [name for name in names if name not in ("train_loss", "learning_rate", "tokens_per_second")]
    assert of_interest[:4] == ["source_dev_f1", "source_test_f1", "test_f1/aaa", "test_f1/bbb"]
    assert names.index("dev_f1/bbb") < names.index("test_f1/aaa/PER") < names.index("test_precision/aaa")


def test_mlflow_samples_the_machine_where_it_is_told_to(fresh: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    studies.run_study(configuration(sources="aaa", seeds="0"), fresh)
    (cell,) = cell_runs(fresh, "FINISHED")
    sampled = {name for name in cell.data.metrics if name.startswith("system/")}
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= sampled


def test_tags_of_a_cell_do_not_grow_with_the_languages(here: Study) -> None:
    run = cell_runs(here, "FINISHED")[0]
    own = [name for name in run.data.tags if not name.startswith("mlflow.")]
    assert len(own) < 25 and not [name for name in own if "aaa" in name or "bbb" in name]


def test_cells_stand_below_the_study_that_asked_for_them_last(fresh: Study) -> None:
    given = {"sources": "aaa", "seeds": "0", "epochs": "1"}
    studies.run_study(configuration(**given), fresh)
    (first,) = kind_runs(fresh, schema.KIND_STUDY)
    (cell,) = cell_runs(fresh, "FINISHED")
    assert cell.data.tags["mlflow.parentRunId"] == first.info.run_id
    assert "mlflow.parentRunId" not in first.data.tags
    studies.run_study(configuration(**given | {"seeds": "0,1"}), fresh)
    second = kind_runs(fresh, schema.KIND_STUDY)[-1].info.run_id
    cells = cell_runs(fresh, "FINISHED")
    assert len(cells) == 2 and {one.data.tags["mlflow.parentRunId"] for one in cells} == {second} != {first}


def test_a_cell_of_several_processes_stands_below_its_study(fresh: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def launched(*_: Any) -> Any:
        told.append((os.environ["MLFLOW_TRACKING_URI"], os.environ[schema.PARENT_VARIABLE]))
        return local.Results([], {}, [])

    monkeypatch.setattr(local, "run", launched)
    studies.run_study(configuration(num_processes="2", sources="aaa", seeds="0"), fresh)
    (study,) = kind_runs(fresh, schema.KIND_STUDY)
    assert told == [(fresh.uri, study.info.run_id)] and schema.PARENT_VARIABLE not in os.environ
    monkeypatch.setenv(schema.PARENT_VARIABLE, study.info.run_id)  # as the process that is launched has it
    given = {**SETTINGS, "start": "tiny=tiny", "source": "aaa", "seed": "0", "epochs": "1"}
    del given["starts"], given["seeds"]
    runner.train(build(TrainConfig, given), fresh, Accelerator(cpu=True))
    (cell,) = cell_runs(fresh, "FINISHED")
    assert cell.data.tags["mlflow.parentRunId"] == study.info.run_id


def test_energy_is_that_of_a_whole_cell_or_is_not_tracked(fresh: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted(Meter):
        def joules(self) -> float:
            return 5.0

    monkeypatch.setattr(run_cell, "_meter", lambda _: Counted(rapl=Path("none")))
    given = {**SETTINGS, "start": "tiny=tiny", "source": "aaa", "epochs": "1"}
    del given["starts"], given["seeds"]

    def energy(**changes: str) -> float | None:
        runner.train(build(TrainConfig, given | changes), fresh, Accelerator(cpu=True))
        newest = max(cell_runs(fresh, "FINISHED"), key=lambda run: run.info.end_time)
        return newest.data.metrics.get(schema.ENERGY)

    assert energy(seed="0") == 5
    few = {"few_shot_language": "bbb", "few_shot_sentences": "6", "few_shot_mode": "after"}
    assert energy(seed="2", **few) is None  # two trainings, of which one was measured
    monkeypatch.setattr(Checkpoint, "is_begun", True)
    assert energy(seed="1") is None  # an earlier process has done a part


def test_predictions_are_kept_word_by_word(here: Study, finished: Path) -> None:
    run = cell_runs(here, "FINISHED")[0]
    kept = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="predictions/bbb.test.txt",
                                               tracking_uri=here.uri)  # fmt: skip
    gold = (finished / "data" / "bbb" / "test.txt").read_text().split("\n")
    rows = Path(kept).read_text().split("\n")
    assert [row.split(" ")[:2] if row else [] for row in rows[: len(gold)]] == [
        row.split(" ") if row else [] for row in gold
    ]
    assert all(row.count(" ") == 2 for row in rows if row)


def test_the_logged_model_carries_the_metrics_with_their_datasets(here: Study) -> None:
    run = cell_runs(here, "FINISHED")[0]
    model = here.client.get_logged_model(run.data.tags[schema.MODEL_URI])
    assert model.source_run_id == run.info.run_id
    by_name = {(m.key, m.dataset_name) for m in model.metrics}
    assert ("test_f1/bbb", "bbb.test") in by_name and ("dev_f1/aaa", "aaa.dev") in by_name


def test_a_second_study_runs_nothing_and_changes_nothing(here: Study) -> None:
    before = {run.info.run_id for run in cell_runs(here, "FINISHED")}
    outcome = studies.run_study(configuration(), here)
    assert (len(outcome.ran), len(outcome.found), outcome.changes) == (0, 4, [])
    assert {run.info.run_id for run in cell_runs(here, "FINISHED")} == before


def test_only_the_best_seeds_have_weights_and_none_are_left_in_the_work_folder(here: Study, finished: Path) -> None:
    stored = sorted(path.parent.parent.parent.name for path in (finished / "mlruns").rglob("model.safetensors"))
    chosen = {c.run.data.tags[schema.MODEL_URI] for c in choose(finished_places(here))}
    assert len(stored) == 2 and set(stored) == chosen
    assert not list((finished / "work").rglob("*.safetensors"))


def test_registered_models_give_entity_spans_through_mlflow_and_transformers(here: Study, finished: Path) -> None:
    mlflow.set_tracking_uri(here.uri)
    pipeline = mlflow.transformers.load_model("models:/ner-aaa@champion", aggregation_strategy="first")
    sentence = (finished / "data" / "aaa" / "test.txt").read_text().split("\n\n")[0].split("\n")
    text = " ".join(line.split(" ")[0] for line in sentence)
    found = pipeline(text)
    assert found and set(found[0]) >= {"entity_group", "score", "word", "start", "end"}
    assert found[0]["entity_group"] in ("PER", "LOC")
    with local_copy("models:/ner-aaa@champion", here.client, Path("work")) as start:
        plain = transformers.pipeline("token-classification", start.location, aggregation_strategy="first")
    assert plain(text) == found
    (row, *_) = mlflow.pyfunc.load_model("models:/ner-aaa@champion").predict([text]).to_dict("records")
    assert (row["category"], row["end"]) == (found[0]["entity_group"], found[0]["end"])
    assert row["text"] == text[row["start"] : row["end"]]


def test_a_registered_model_finds_the_entities_that_its_cell_was_scored_on(here: Study) -> None:
    version = here.client.get_model_version_by_alias("ner-aaa", "champion")
    kept = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path="predictions/bbb.test.txt",
                                               tracking_uri=here.uri)  # fmt: skip
    blocks = [block.split("\n") for block in Path(kept).read_text().strip().split("\n\n")]
    words = [[row.split(" ")[0] for row in block] for block in blocks]
    scored = [(i, *span) for i, block in enumerate(blocks) for span in spans([row.split(" ")[2] for row in block])]
    mlflow.set_tracking_uri(here.uri)
    model = mlflow.pyfunc.load_model("models:/ner-aaa@champion")
    found = model.predict([" ".join(sentence) for sentence in words], params={"words": True})
    expected = [(i, category, " ".join(words[i][first:end])) for i, first, end, category in scored]
    assert len(expected) > 5
    assert list(found[["input", "category", "text"]].itertuples(index=False, name=None)) == expected


def test_versions_say_what_they_are_and_aliases_point_to_the_best(here: Study) -> None:
    runs = {
        run.data.tags["seed"]: run.data.metrics
        for run in cell_runs(here, "FINISHED")
        if run.data.tags["source"] == "aaa"
    }
    version = here.client.get_model_version_by_alias("ner-aaa", "champion")
    assert here.client.get_model_version_by_alias("ner-aaa", "from-tiny").version == version.version
    best = max(sorted(runs), key=lambda seed: runs[seed]["dev_f1/aaa"])
    assert version.tags["seed"] == best and version.tags["seeds_compared"] == "0,1"
    assert version.tags["selection_split"] == "dev"
    assert float(version.tags["dev_f1"]) == runs[best]["dev_f1/aaa"]
    assert float(version.tags["test_f1"]) == runs[best]["test_f1/aaa"]
    assert "best of 2 seeds" in version.description
    model = here.client.get_logged_model(version.source.removeprefix("models:/"))
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "ner-aaa", "version": "1"}]  # shown by its page


def test_a_better_seed_moves_the_alias_and_says_so(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    study = opened(tmp_path / "copy", STUDY)
    shared = {name: value for name, value in SETTINGS.items() if name not in ("starts", "seeds")}
    config = build(TrainConfig, shared | {"start": "tiny=tiny", "source": "aaa", "seed": "7", "keep_weights": "true"})
    runner.train(config, study, studies.make_accelerator(config.recipe, config.run))
    newest = cell_runs(study, "FINISHED")[-1]
    assert newest.data.tags["seed"] == "7"
    for run in cell_runs(study, "FINISHED"):  # make the new one the best, whatever chance said
        value = 0.99 if run.info.run_id == newest.info.run_id else 0.5
        study.client.log_metric(run.info.run_id, "dev_f1/aaa", value, step=1)
    changes = [change.text for change in registration.register(study, finished_places(study), Path("work"))]
    assert any(text.startswith("version 2 is tiny-aaa-s7") for text in changes)
    assert any(text.startswith("alias champion moved from version 1 to version 2") for text in changes)
    assert registration.register(study, finished_places(study), Path("work")) == []


def test_selection_never_looks_at_test_unless_told_to(here: Study) -> None:
    cells = finished_places(here)
    for run in cells.values():
        seed = int(run.data.tags["seed"])
        for target in ("aaa", "bbb"):
            run.data.metrics[f"dev_f1/{target}"], run.data.metrics[f"test_f1/{target}"] = (
                (0.9, 0.1) if seed else (0.8, 0.7)
            )
    assert {c.run.data.tags["seed"] for c in choose(cells)} == {"1"}
    assert {c.run.data.tags["seed"] for c in choose(cells, "test")} == {"0"}


@pytest.mark.parametrize("which", ["registered", "run", "folder"])
def test_a_model_that_exists_scores_as_it_did_when_it_was_trained(here: Study, tmp_path: Path, which: str) -> None:
    chosen = next(c for c in choose(finished_places(here)) if c.source == "aaa")
    model = {"registered": "models:/ner-aaa@champion", "run": f"runs:/{chosen.run.info.run_id}", "folder": ""}[which]
    if which == "folder":
        with local_copy("models:/ner-aaa@champion", here.client, Path("work")) as start:
            shutil.copytree(start.location, tmp_path / "weights")
        model = str(tmp_path / "weights")
    config = build(EvaluateConfig, {"model": model, "data": "data", "max_length": "32", "device": "cpu"})
    for one in evaluate(config, here):
        key = schema.ScoreName(one.split.name, "f1", one.split.language).key
        assert one.scores.default[ALL].f1 == chosen.run.data.metrics[key]


def test_a_model_is_rescored_with_the_window_it_was_trained_with(here: Study) -> None:
    model = {"model": "models:/ner-aaa@champion", "data": "data", "device": "cpu", "targets": "bbb", "splits": "test"}
    chosen = next(c for c in choose(finished_places(here)) if c.source == "aaa")
    (one,) = evaluate(build(EvaluateConfig, model), here)
    assert one.scores.default[ALL].f1 == chosen.run.data.metrics["test_f1/bbb"]
    before = len(all_runs(here.client, here.experiment_id))
    with pytest.raises(InputError, match="max_length=500 is not allowed"):
        evaluate(build(EvaluateConfig, model | {"max_length": "500"}), here)
    assert len(all_runs(here.client, here.experiment_id)) == before


def test_the_study_asked_for_last_counts_and_recipes_never_mix(fresh: Study) -> None:
    long, short = configuration(sources="aaa"), configuration(sources="aaa", epochs="1")
    studies.run_study(long, fresh)
    first = {place: run.info.run_id for place, run in finished_places(fresh).items()}
    studies.run_study(short, fresh)
    second = {place: run.info.run_id for place, run in finished_places(fresh).items()}
    assert first.keys() == second.keys() and not set(first.values()) & set(second.values())
    outcome = studies.run_study(long, fresh)
    assert outcome.ran == [] and {p: r.info.run_id for p, r in finished_places(fresh).items()} == first
    champion = fresh.client.get_model_version_by_alias("ner-aaa", "champion")
    assert champion.run_id in first.values()


def test_a_source_outside_the_targets_is_scored_too_for_the_best_seed_is_chosen_on_it(fresh: Study) -> None:
    outcome = studies.run_study(configuration(sources="aaa", targets="bbb", epochs="1", seeds="0"), fresh)
    assert outcome.ran == ["tiny-aaa-s0"] and not outcome.failed
    assert {"dev_f1/aaa", "test_f1/bbb"} <= cell_runs(fresh, "FINISHED")[0].data.metrics.keys()


def test_weights_that_are_gone_are_trained_again_when_another_selection_needs_them(fresh: Study) -> None:
    config = configuration(sources="aaa", epochs="1")
    studies.run_study(config, fresh)
    for run in cell_runs(fresh, "FINISHED"):  # on test, the other seed is the best
        chosen = fresh.client.get_model_version_by_alias("ner-aaa", "champion").run_id == run.info.run_id
        fresh.client.log_metric(run.info.run_id, "test_f1/aaa", 0.1 if chosen else 0.9, step=1)
    outcome = studies.run_study(dataclasses.replace(config, selection_split="test"), fresh)
    assert len(outcome.ran) == 1 and not outcome.failed


def test_a_version_whose_files_were_deleted_is_named_and_made_again_once_it_is_deleted_too(fresh: Study) -> None:
    config = configuration(sources="aaa", epochs="1", seeds="0")
    studies.run_study(config, fresh)
    (run,) = cell_runs(fresh, "FINISHED")
    shutil.rmtree(fresh.client.get_logged_model(run.data.tags[schema.MODEL_URI]).artifact_location)
    outcome = studies.run_study(config, fresh)
    (change,) = outcome.changes
    assert change.held and "delete the version, and the study entry point" in change.text and outcome.ran == []
    fresh.client.delete_model_version("ner-aaa", "1")
    outcome = studies.run_study(config, fresh)
    assert outcome.ran == ["tiny-aaa-s0"] and not outcome.failed
    with local_copy("models:/ner-aaa@champion", fresh.client, Path("work")) as start:
        assert (Path(start.location) / "config.json").is_file()


def test_a_version_says_how_it_was_chosen_also_when_it_is_chosen_again(fresh: Study) -> None:
    studies.run_study(configuration(sources="aaa", epochs="1", seeds="0"), fresh)
    assert fresh.client.get_model_version("ner-aaa", "1").tags["seeds_compared"] == "0"
    changes = registration.register(fresh, finished_places(fresh), Path("work"), "test")
    assert [change.text.split(":")[0] for change in changes] == ["version 1 now says"]
    version = fresh.client.get_model_version("ner-aaa", "1")
    assert version.tags["selection_split"] == "test" and "test F1" in version.description


def test_a_start_under_another_name_is_another_place_in_the_grid(fresh: Study) -> None:
    studies.run_study(configuration(sources="aaa", epochs="1", seeds="0"), fresh)
    outcome = studies.run_study(configuration(sources="aaa", epochs="1", seeds="0", starts="mine=tiny"), fresh)
    assert outcome.ran == ["mine-aaa-s0"]
    versions = {v.tags[schema.START]: v for v in all_versions(fresh.client, "ner-aaa")}
    assert versions.keys() == {"tiny", "mine"} and "mine-aaa-s0" in versions["mine"].description
    assert registration.register(fresh, finished_places(fresh), Path("work")) == []


def test_studies_with_a_cell_in_common_do_not_rewrite_each_others_cards(fresh: Study) -> None:
    given = {"sources": "aaa", "epochs": "1"}
    studies.run_study(configuration(seeds="0", **given), fresh)
    other = open_study(fresh.client, "another")
    studies.run_study(configuration(seeds="0,1", study="another", **given), other)
    (mine,) = (v for v in all_versions(fresh.client, "ner-aaa") if v.tags["study"] == fresh.name)
    assert mine.tags["seeds_compared"] == "0"
    for study in (fresh, other):
        held = registration.register(study, finished_places(study), Path("work"))
        assert not any("now says" in change.text for change in held)


def test_passwords_of_the_store_are_not_logged() -> None:
    given = {"tracking_uri": "http://user:secret@host:5000", "slurm_setup": "export KEY=secret", "epochs": "3"}
    assert configuration_params(given) == {"cfg/epochs": "3"}
    told = json.loads(provenance_file(given)[schema.PROVENANCE])
    assert told["configuration"] == {"tracking_uri": "http://host:5000", "epochs": "3"}


def test_a_run_that_fails_is_marked_and_its_error_kept(fresh: Study) -> None:
    with pytest.raises(RuntimeError), open_run(fresh, schema.KIND_CELL, "broken"):
        raise RuntimeError("out of luck")
    run = cell_runs(fresh, "FAILED")[0]
    assert run.data.tags["error"] == "RuntimeError: out of luck"


def test_a_run_that_fails_with_the_artifact_store_is_marked_too(fresh: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(MlflowClient, "log_text", full)
    with pytest.raises(OSError, match="no space"), open_run(fresh, schema.KIND_CELL, "broken"):
        raise OSError("no space left on device")
    assert cell_runs(fresh, "FAILED")[0].data.tags["error"] == "OSError: no space left on device"


def test_an_interrupted_run_is_marked_as_killed(fresh: Study) -> None:
    with pytest.raises(KeyboardInterrupt), open_run(fresh, schema.KIND_CELL, "stopped"):
        raise KeyboardInterrupt
    assert [run.info.run_name for run in cell_runs(fresh, "KILLED")] == ["stopped"]


def test_a_failing_cell_is_tried_twice_and_does_not_stop_the_others(fresh: Study) -> None:
    studies.run_study(configuration(epochs="1", seeds="1", sources="aaa"), fresh)
    key = cell_runs(fresh, "FINISHED")[0].data.tags["cell_key"]
    fresh.client.delete_run(cell_runs(fresh, "FINISHED")[0].info.run_id)
    assert not (Path("work/cells") / key).exists()  # a finished study leaves nothing there
    (Path("work/cells") / key).write_text("a file where the cell's folder should be")
    outcome = studies.run_study(configuration(epochs="1"), fresh)
    assert list(outcome.failed) == ["tiny-aaa-s1"] and len(outcome.ran) == 3
    assert key in outcome.failed["tiny-aaa-s1"]
    registered = {model.name: model for model in fresh.client.search_registered_models()}
    assert list(registered) == ["ner-aaa", "ner-bbb"]  # the former by the study of seed 1 alone, before
    assert [v.tags["seed"] for v in all_versions(fresh.client, "ner-aaa")] == ["1"]
    assert len(list(Path("work/cells").rglob("model.safetensors"))) == 1  # of seed 0, for when seed 1 has finished
    failed = cell_runs(fresh, "FAILED")
    assert len(failed) == 2 and key in failed[0].data.tags["error"]
    log = Path("work/logs/tiny-study/tiny-aaa-s1.log")
    assert str(log) in outcome.failed["tiny-aaa-s1"] and log.read_text().count("Traceback (most recent call last)") >= 2
    (Path("work/cells") / key).unlink()
    again = studies.run_study(configuration(epochs="1"), fresh)
    assert again.ran == ["tiny-aaa-s1"] and len(again.found) == 3
    assert fresh.client.get_model_version_by_alias("ner-aaa", "champion").tags["seeds_compared"] == "0,1"
    assert not list(Path("work/cells").rglob("model.safetensors"))


TRAINING = {name: value for name, value in SETTINGS.items() if name not in ("starts", "seeds")} | {
    "start": "tiny=tiny", "source": "aaa", "seed": "0", "epochs": "2",
}  # fmt: skip


def train(study: Study, **changes: str) -> runner.Outcome:
    config = build(TrainConfig, TRAINING | changes)
    return runner.train(config, study, studies.make_accelerator(config.recipe, config.run))


def test_what_a_cell_measured_is_delivered_later_when_it_cannot_be_now(
    fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def gone(*_: object) -> None:
            raise MlflowException("API request to somewhere failed with exception nobody answers")

        patch.setattr(runner, "deliver", gone)
        with pytest.raises(MlflowException):
            train(fresh)
    assert cell_runs(fresh, "FINISHED") == [] and list(Path("work/cells").glob("*/measured-tiny-aaa-s0.json"))
    # the same cell under another name is not what was measured
    assert train(fresh, start="other=tiny").state == runner.RAN
    monkeypatch.setattr(runner, "run_cell", lambda *_: pytest.fail("trained again"))
    assert train(fresh).state == runner.DELIVERED
    for run in cell_runs(fresh, "FINISHED"):
        assert {"test_f1/aaa", "test_f1/bbb", "train_loss", "train_seconds"} <= run.data.metrics.keys()
        assert f"**{run.data.tags[schema.START]}** fine-tuned on" in run.data.tags["mlflow.note.content"]
    assert not list(Path("work/cells").glob("*/measured-*.json"))


def test_a_run_that_was_cut_short_goes_on_without_repeating_a_point_of_its_curves(
    fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = runner.cell_run.curve

    def stop_after_two(history: History, recipe: Recipe) -> list:
        points = real(history, recipe)
        if history.epochs == 2:
            (cut,) = cell_runs(fresh, "RUNNING")
            live = LiveCurves(fresh.client, cut.info.run_id, 0)
            live.latest = points
            live.flush()  # as a heartbeat does
            raise KeyboardInterrupt
        return points

    with monkeypatch.context() as patch:
        patch.setattr(runner.cell_run, "curve", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            train(fresh, epochs="4", checkpoint_minutes="0")
    (cut,) = cell_runs(fresh, "KILLED")
    assert train(fresh, epochs="4", checkpoint_minutes="0").state == runner.RAN
    (run,) = cell_runs(fresh, "FINISHED")
    assert run.info.run_id == cut.info.run_id and run.data.tags[schema.ATTEMPTS] == "2"
    assert [m.step for m in fresh.client.get_metric_history(run.info.run_id, schema.SPEED)] == [1, 2, 3, 4]
    steps = [m.step for m in fresh.client.get_metric_history(run.info.run_id, "train_loss")]
    assert steps == list(range(1, 21))


def test_a_disk_that_is_full_costs_no_checkpoint_that_was_there(fresh: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    written, trained = itertools.count(1), itertools.count()

    def fill(_folder: Path) -> None:
        if next(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "flush", fill)
        with pytest.raises(OSError, match="No space left"):
            train(fresh, epochs="4", checkpoint_minutes="0")
    (kept,) = Path("work/cells").glob("*/*")
    assert kept.name == "checkpoint"  # and no half one beside it
    real = finetune._train_epoch
    monkeypatch.setattr(finetune, "_train_epoch", lambda *given: (next(trained), real(*given))[1])
    assert train(fresh, epochs="4", checkpoint_minutes="0").state == runner.RAN
    assert next(trained) == 2  # of four epochs


def test_training_before_a_cell_was_cut_short_is_no_time_of_the_attempt_that_ends_it(
    fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(history: History, _recipe: Recipe) -> list:
        history.seconds[:] = [1000.0] * history.epochs
        if history.epochs == 2:
            raise KeyboardInterrupt
        return []

    with monkeypatch.context() as patch:
        patch.setattr(runner.cell_run, "curve", cut)
        with pytest.raises(KeyboardInterrupt):
            train(fresh, checkpoint_minutes="0")
    outcome = train(fresh, checkpoint_minutes="0")
    assert cell_runs(fresh, "FINISHED")[0].data.metrics["train_seconds"] >= 1000
    assert outcome.train_seconds + outcome.score_seconds <= outcome.seconds


class NotHere(Exception):
    """This machine cannot do it."""


def test_only_a_study_that_runs_cells_here_asks_what_this_machine_can(
    finished: Path, fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotHere

    monkeypatch.setattr(studies, "make_training_accelerator", refuse)
    with pytest.raises(NotHere):
        studies.run_study(configuration(), fresh)
    assert fresh.existing_id is None  # nothing was begun
    studies.write_study_scripts(configuration(executor="script"), fresh)
    monkeypatch.chdir(finished)
    outcome = studies.run_study(configuration(), opened(finished, STUDY))  # all is done
    assert len(outcome.found) == 4 and not outcome.ran


@pytest.mark.parametrize("executor", ["local", "slurm", "script"])
def test_planted_starts_are_the_same_wherever_cells_run(
    tmp_path: Path, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(_texts: object, _data: object, accelerator: Accelerator) -> None:
        assert str(accelerator.mixed_precision) == "bf16"
        raise NotHere

    AcceleratorState._reset_state()
    monkeypatch.setattr(planted_starts, "resolve_all", made)
    monkeypatch.chdir(tmp_path)
    changes = {"data": "planted", "starts": "base", "precision": "bf16", "executor": executor}
    with pytest.raises(NotHere):
        studies.write_study_scripts(configuration(**changes), opened(tmp_path, STUDY))
    AcceleratorState._reset_state()


def claim_name(run: Run) -> str:
    return sha256("/".join(place_in_store(run)).encode()).hexdigest()[:24]


def test_a_cell_that_another_process_has_is_left_to_it(fresh: Study) -> None:
    train(fresh)
    other = other_process()
    name = claim_name(cell_runs(fresh, "FINISHED")[0])
    claim = Claims(fresh, other).take(name)
    assert claim is not None and Claims(fresh, Owner.this_process()).is_taken(name)
    assert train(fresh, again="true").state == runner.TAKEN
    assert claim.end("finished") and not Claims(fresh, Owner.this_process()).is_taken(name)
    assert train(fresh).state == runner.FOUND
    assert len(cell_runs(fresh, "FINISHED")) == 1


def test_a_cell_that_several_processes_found_finished_was_not_run_by_them(
    fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def relaunch(*_: object) -> int:
        train(fresh)
        return 0

    monkeypatch.setattr(launch, "relaunch", relaunch)
    config = build(TrainConfig, TRAINING)
    (cell,) = runner.train_plan(config, studies.make_accelerator(config.recipe, config.run)).cells
    where = fresh.client.tracking_uri, fresh.experiment_id, fresh.name
    run = workers.make_launcher(2, "cpu", {cell.name: ["python", "train.py"]}, *where)
    assert [run(cell).state for _ in range(2)] == [runner.RAN, runner.FOUND]


def other_process() -> Owner:
    """A process of another machine that has just begun."""
    return dataclasses.replace(Owner.this_process(), token="other", host="elsewhere", since=time.time())


def test_a_process_that_was_taken_for_dead_leaves_the_run_to_who_has_it_now(
    fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = runner.deliver

    def late(client: MlflowClient, run_id: str, *rest: Any) -> None:
        real(client, run_id, *rest)
        other = other_process()  # had taken the cell over, and is faster
        claim = Claims(fresh, other, expiry=0).take(claim_name(client.get_run(run_id)))
        tracked_runs.log(client, run_id, tags=other.tags)
        assert claim is not None and claim.end("finished")
        client.set_terminated(run_id, "FINISHED")

    monkeypatch.setattr(runner, "deliver", late)
    with pytest.raises(RuntimeError, match="taken for dead"):
        train(fresh)
    (run,) = cell_runs(fresh, "FINISHED")
    assert run.data.tags[schema.OWNER] == "other" and "error" not in run.data.tags


def left_running(study: Study, how: str) -> str:
    """Has a living process of another machine end its claim on the finished cell in this way, its run unmarked."""
    (run,) = cell_runs(study, "FINISHED")
    other = other_process()
    claim = Claims(study, other).take(claim_name(run))
    assert claim is not None
    tracked_runs.log(study.client, run.info.run_id, tags=other.tags)
    study.client.update_run(run.info.run_id, status="RUNNING")
    claim.end(how)
    return run.info.run_id


def test_a_cell_whose_process_ended_before_it_could_mark_its_run_as_finished_is_found(fresh: Study) -> None:
    train(fresh)
    run_id = left_running(fresh, "finished")
    assert train(fresh).state == runner.FOUND
    assert [run.info.run_id for run in cell_runs(fresh, "FINISHED")] == [run_id]
    assert cell_runs(fresh, "RUNNING") == []


def test_a_run_that_its_process_gave_up_but_could_not_mark_goes_on(fresh: Study) -> None:
    train(fresh)
    run_id = left_running(fresh, "cut short")
    assert train(fresh).state == runner.RAN
    (run,) = cell_runs(fresh, "FINISHED")
    assert run.info.run_id == run_id and run.data.tags[schema.ATTEMPTS] == "2"


def test_weights_of_beaten_seeds_go_as_soon_as_they_are_beaten_unless_all_are_kept(fresh: Study) -> None:
    for seed in ("0", "1", "2"):
        train(fresh, seed=seed)
    best = choose(finished_places(fresh))[0]
    assert [path.parent.parent.name for path in Path("work").rglob("model.safetensors")] == [best.key]
    train(fresh, seed="3", keep_weights="true")
    assert len(list(Path("work").rglob("model.safetensors"))) == 2


def test_where_weights_are_gone_for_good_the_other_sources_are_registered_and_lose_nothing(
    fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in ("aaa", "bbb"):
        train(fresh, source=source)
    (lost,) = cell_runs(fresh, "FINISHED", " and tags.source = 'bbb'")
    shutil.rmtree(weights_folder(Path("work"), lost.data.tags["cell_key"]))
    with monkeypatch.context() as patch:
        patch.setattr(studies, "_execute", lambda *_, **__: None)  # training again fails, say
        outcome = studies.run_study(configuration(seeds="0", epochs="2"), fresh)
    assert "tiny-bbb-s0" in outcome.failed["registry"] and list(outcome.failed) == ["registry"]
    assert [model.name for model in fresh.client.search_registered_models()] == ["ner-aaa"]
    outcome = studies.run_study(configuration(seeds="0", epochs="2"), fresh)
    assert not outcome.failed and outcome.ran == ["tiny-bbb-s0"]
    assert [model.name for model in fresh.client.search_registered_models()] == ["ner-aaa", "ner-bbb"]


def test_cells_of_no_plan_whose_weights_are_elsewhere_hold_up_no_model_of_a_study(
    fresh: Study, caplog: pytest.LogCaptureFixture
) -> None:
    save_tiny_start(Path("two"), seed=5)
    for others in ({"start": "two=two"}, {"source": "bbb"}, {"seed": "7"}):
        train(fresh, **others)
    (seed,) = cell_runs(fresh, "FINISHED", " and tags.seed = '7'")
    fresh.client.log_metric(seed.info.run_id, "dev_f1/aaa", 1.5, step=1)  # the best
    shutil.rmtree("work")  # they were made on another machine
    outcome = studies.run_study(configuration(seeds="0", sources="aaa", epochs="2"), fresh)
    assert outcome.ran == ["tiny-aaa-s0"] and not outcome.failed
    assert [model.name for model in fresh.client.search_registered_models()] == ["ner-aaa"]
    version = fresh.client.get_model_version_by_alias("ner-aaa", schema.CHAMPION)
    assert version.tags[schema.SEEDS_COMPARED] == "0"
    said = next(m for m in caplog.messages if "not of this study's plan" in m)
    assert all(name in said for name in ("two-aaa-s0", "tiny-bbb-s0", "tiny-aaa-s7"))


def test_a_store_that_is_away_when_weights_are_stored_does_not_keep_a_study_from_registering(
    fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    usual = MlflowClient.log_param

    def away_once(self: MlflowClient, run_id: str, key: str, value: str) -> object:
        if key == f"{timing.REGISTRY}/1/end" and not asked:
            asked.append(key)
            raise MlflowException("API request to somewhere failed with exception nobody answers")
        return usual(self, run_id, key, value)

    config = configuration(sources="aaa", seeds="0")
    plan, _ = studies._prepare(config, timing.Timing())
    made = MlflowClient(tracking_uri=fresh.uri, registry_uri=fresh.uri)
    patient: Any = PatientClient(lambda: made, fresh.uri, patience=60, pause=0.02)
    monkeypatch.setattr(MlflowClient, "log_param", away_once)
    monkeypatch.setattr(patience, "HURRY_SECONDS", 0.0)
    study = dataclasses.replace(fresh, client=patient)
    studies._Complete(config, study, plan.cells)(plan.cells[0])
    assert asked and not Claims(study, Owner.this_process()).is_taken(timing.REGISTRY)


def test_a_store_that_loses_its_answers_has_everything_once(fresh: Study) -> None:
    made = MlflowClient(tracking_uri=fresh.uri, registry_uri=fresh.uri)
    lossy: Any = Lossy(made)
    patient: Any = PatientClient(lambda: lossy, fresh.uri, patience=60, pause=0)
    study = dataclasses.replace(fresh, client=patient)
    assert train(study).state == runner.RAN
    registration.register(study, finished_places(study), Path("work"))
    (run,) = cell_runs(fresh, "FINISHED")
    assert len(all_runs(made, fresh.experiment_id, f"tags.kind = '{schema.KIND_CELL}'")) == 1
    assert {one.info.status for one in all_runs(made, fresh.experiment_id)} == {"FINISHED"}
    (model,) = made.search_logged_models([fresh.experiment_id])
    assert [one.model_id for one in run.outputs.model_outputs] == [model.model_id]
    assert len(run.inputs.dataset_inputs) == 5
    (version,) = all_versions(made, "ner-aaa")
    assert made.get_registered_model("ner-aaa").aliases == dict.fromkeys(
        (schema.CHAMPION, schema.start_alias("tiny")), version.version
    )
    creates = ("create_run", "create_logged_model", "create_registered_model", "create_model_version", "log_inputs")
    assert all(lossy.done[name] for name in creates)


def test_mlflow_itself_finds_models_by_their_params_and_reads_the_data_of_their_runs(
    here: Study, tmp_path: Path
) -> None:
    models = here.client.search_logged_models([here.experiment_id], "params.start = 'tiny' AND params.source = 'aaa'")
    assert sorted(model.params["seed"] for model in models) == ["0", "1"]
    assert {(model.status, model.params["epochs"]) for model in models} == {(LoggedModelStatus.READY, "6")}
    stored = [model for model in models if "mlflow.model.isExternal" not in model.tags]
    (version,) = all_versions(here.client, "ner-aaa")
    assert [f"models:/{model.model_id}" for model in stored] == [version.source]  # the others' weights are nowhere
    run = here.client.get_run(models[0].source_run_id)
    for one in run.inputs.dataset_inputs:
        split = mlflow.data.get_source(one).load()
        assert split.digest.startswith(one.dataset.digest)
        assert json.loads(one.dataset.profile)["sentences"] == len(split.sentences)
        columns = json.loads(one.dataset.schema)["mlflow_colspec"]
        assert [column["name"] for column in columns] == ["words", "tags"]
    other = save_tiny_corpora(tmp_path, sentences=3)
    with pytest.raises(InputError, match=rf"/.*\.txt of {other} has another SHA-256"):
        mlflow.data.get_source(run.inputs.dataset_inputs[0]).load(str(other))


@pytest.mark.parametrize(
    "tag",
    [schema.CELL_KEY, schema.START, schema.SOURCE, schema.SEED, schema.START_FINGERPRINT, schema.RECIPE_DIGEST],
)
def test_a_run_without_the_tags_that_say_what_it_is_counts_nowhere_and_its_cell_runs_again(
    fresh: Study, tag: str
) -> None:
    train(fresh)
    (edited,) = cell_runs(fresh, "FINISHED")
    fresh.client.delete_tag(edited.info.run_id, tag)
    assert finished_places(fresh) == {}
    assert train(fresh).state == runner.RAN
    (run,) = finished_places(fresh).values()
    assert run.info.run_id != edited.info.run_id
    assert registration.register(fresh, finished_places(fresh), Path("work"))
    plan, _ = studies._prepare(configuration(seeds="0", sources="aaa", epochs="2"), timing.Timing())
    assert [one.info.run_id for one in finished_cells(fresh, plan.targets).values()] == [run.info.run_id]


def test_a_registry_that_cannot_be_written_to_costs_neither_weights_nor_the_cells(fresh: Study) -> None:
    common = open_study(fresh.client, schema.REGISTRY_EXPERIMENT)
    common.client.delete_experiment(common.experiment_id)
    outcome = studies.run_study(configuration(seeds="0", sources="aaa", epochs="2"), fresh)
    assert outcome.ran == ["tiny-aaa-s0"] and "was deleted" in outcome.failed["registry, ner-aaa"]
    fresh.client.restore_experiment(common.experiment_id)
    assert not studies.run_study(configuration(seeds="0", sources="aaa", epochs="2"), fresh).failed
    assert [model.name for model in fresh.client.search_registered_models()] == ["ner-aaa"]


def test_a_store_that_falls_silent_when_a_cell_has_finished_makes_it_no_failure(
    fresh: Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def silent(*_: object) -> list[Run]:
        raise MlflowException("the store is silent")

    monkeypatch.setattr(tracked_runs, "rivals", silent)
    assert train(fresh).state == runner.RAN
    assert caplog.text.count("the store is silent") == 2  # is it beaten, and whom does it beat
    assert len(list(Path("work").rglob("model.safetensors"))) == 1


def test_a_study_on_a_cluster_asks_nothing_of_the_gpus_of_this_machine(
    fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    class Submitted:
        def __init__(self, *arguments: object) -> None:
            asked.append(arguments)

        def run(self, *_: object) -> local.Results:
            return local.Results([], {"tiny-aaa-s0": "no cluster here"}, [])

    monkeypatch.setattr(device, "gpus", lambda _: 1)
    monkeypatch.setattr(studies, "Cluster", Submitted)
    config = configuration(seeds="0", sources="aaa", executor="slurm", num_processes="4", slurm_gpus="4", device="auto")
    outcome = studies.run_study(config, fresh)
    assert len(asked) == 1 and outcome.failed["tiny-aaa-s0"] == "no cluster here"


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the cells whose weights are written from now on, in order."""
    keys: list[str] = []
    usual = starts.save

    def save(model: object, tokenizer: object, folder: Path) -> None:
        keys.append(folder.parent.name)
        usual(model, tokenizer, folder)  # type: ignore[arg-type]

    monkeypatch.setattr(starts, "save", save)
    return keys


def test_weights_of_a_seed_that_is_beaten_when_it_ends_are_not_written(fresh: Study, saved: list[str]) -> None:
    expected: list[str] = []
    for seed in ("3", "2", "1", "0"):
        train(fresh, seed=seed)
        best = choose(finished_places(fresh))[0]
        expected += [best.key] if best.seed == int(seed) else []
    assert saved == expected and len(saved) < 4
    loser = next(s for s in "3210" if int(s) != best.seed)
    train(fresh, seed=loser, again="true")  # for its weights
    assert len(saved) == len(expected) + 1


def test_a_seed_on_other_sentences_is_beaten_by_none_of_those_before(fresh: Study, saved: list[str]) -> None:
    for seed in ("0", "1"):
        train(fresh, seed=seed)
    best = choose(finished_places(fresh))[0]
    registration.register(fresh, finished_places(fresh), Path("work"))
    with Path("data/aaa/dev.txt").open("a", encoding="utf-8") as dev:
        dev.write("word O\n\n")
    loser = 1 - best.seed
    assert train(fresh, seed=str(loser)).state == runner.RAN
    registration.register(fresh, finished_places(fresh), Path("work"))
    assert {v.tags["seed"] for v in all_versions(fresh.client, "ner-aaa")} == {"0", "1"}


def test_weights_are_written_when_it_cannot_be_known_whether_they_are_beaten(
    fresh: Study, saved: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def silent(*_: object) -> bool:
        raise MlflowException("the store is silent")

    train(fresh, seed="0")
    (run,) = cell_runs(fresh, "FINISHED")
    fresh.client.log_metric(run.info.run_id, "dev_f1/aaa", 1.0, step=1)  # not to be beaten
    monkeypatch.setattr(weights, "has_weights", silent)
    assert train(fresh, seed="1").state == runner.RAN
    assert len(saved) == 2 and "the store is silent" in caplog.text


def tags_of_process(pid: int) -> dict[str, str]:
    """Of a cell's run that a process of this machine has opened."""
    return dataclasses.replace(Owner.this_process(), token=f"of {pid}", pid=pid).tags | {"kind": "cell"}


def test_runs_of_dead_processes_are_buried_and_those_of_the_living_left_alone(fresh: Study) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name, pid in (("dead", dead.pid), ("living", os.getpid())):
        fresh.client.create_run(fresh.experiment_id, run_name=name, tags=tags_of_process(pid))
    assert mark_dead_runs_killed(fresh) == ["dead"]
    assert [run.info.run_name for run in cell_runs(fresh, "RUNNING")] == ["living"]


def test_a_run_that_its_process_finished_just_before_it_ended_is_not_buried(
    fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    run = fresh.client.create_run(fresh.experiment_id, run_name="quick", tags=tags_of_process(dead.pid))
    seen = all_runs(fresh.client, fresh.experiment_id)
    fresh.client.set_terminated(run.info.run_id, "FINISHED")
    monkeypatch.setattr(tracked_runs, "study_runs", lambda *_: seen)
    assert mark_dead_runs_killed(fresh) == []
    assert fresh.client.get_run(run.info.run_id).info.status == "FINISHED"


def test_a_changed_byte_of_the_source_is_another_cell(fresh: Study) -> None:
    config = configuration(epochs="1", sources="aaa", seeds="0")
    assert studies.run_study(config, fresh).ran == ["tiny-aaa-s0"]
    path = Path("data/aaa/train.txt")
    path.write_text(path.read_text().replace("da O", "du O", 1))
    assert studies.run_study(config, fresh).ran == ["tiny-aaa-s0"]
    assert len({run.data.tags["cell_key"] for run in cell_runs(fresh, "FINISHED")}) == 2


def test_two_names_for_the_same_weights_are_noticed(fresh: Study, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree("tiny", "twin")
    with caplog.at_level(logging.WARNING, "nertransfer"):
        studies.run_study(configuration(starts="tiny=tiny,twin=twin", epochs="1", sources="aaa", seeds="0"), fresh)
    assert "tiny and twin have the same weights" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": "xyz"}, "sources=xyz is not in the data: one of aaa, bbb"),
        ({"targets": "aaa,xyz"}, "targets=xyz is not in the data"),
        ({"languages": "xyz"}, "xyz"),
        ({"starts": "nowhere"}, "start 'nowhere' is unknown: one of base, "),
        ({"starts": "tiny=tiny,tiny=data"}, "config.json"),
        ({"starts": "a=tiny,a=tiny"}, "twice|two starts are called 'a'"),
        ({"starts": "sp ace=tiny"}, "cannot be its name"),
        ({"starts": "tiny=broken"}, "start 'tiny' cannot be loaded from 'broken'"),
        ({"starts": "tiny=pickled"}, "pytorch_model.bin is damaged, or is not a checkpoint of PyTorch"),
        ({"max_length": "512"}, "max_length=512 is not allowed: the start tiny takes at most 64"),
        ({"data": "nothing"}, "data='nothing' does not exist"),
        ({"output": "data/aaa/dev.txt"}, "output: the folder data/aaa/dev.txt cannot be made: File exists"),
        ({"work_dir": "data/aaa/dev.txt"}, "work_dir: the folder data/aaa/dev.txt cannot be made: File exists"),
    ],
)
def test_bad_input_stops_a_study_before_any_run(fresh: Study, changes: dict[str, str], message: str) -> None:
    shutil.copytree("tiny", "broken")
    Path("broken/model.safetensors").write_bytes(b"not weights")
    shutil.copytree("tiny", "pickled")
    Path("pickled/model.safetensors").rename("pickled/pytorch_model.bin")
    with pytest.raises(InputError, match=message):
        studies.run_study(configuration(**changes), fresh)
    assert fresh.client.search_runs([fresh.experiment_id]) == [] and not Path("work").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("models:/ner-aaa@nobody", "models:/ner-aaa@champion"),
        ("models:/ner-zzz@champion", "registered models: "),
        ("runs:/0123456789abcdef0123456789abcdef", "is not there"),
        ("tiny", "not a token classifier but XLMRobertaForMaskedLM$"),
        ("nosuchmodel", "unknown"),
    ],
)
def test_a_model_that_cannot_be_scored_says_why_and_what_there_is(here: Study, model: str, message: str) -> None:
    config = build(EvaluateConfig, {"model": model, "data": "data", "max_length": "32", "device": "cpu"})
    with pytest.raises(InputError, match=message):
        evaluate(config, here)


def test_registering_without_weights_changes_nothing_and_names_them(fresh: Study) -> None:
    config = configuration(epochs="1", sources="aaa")
    register: Callable = registration.register
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registration, "register", lambda *_: [])
        patch.setattr(studies, "store_best", lambda *_: None)
        studies.run_study(config, fresh)  # discards the weights, as after a registration elsewhere
    with pytest.raises(InputError, match=r"neither registered nor in work_dir: tiny-aaa-s\d"):
        register(fresh, finished_places(fresh), Path("work"))
    assert list(fresh.client.search_registered_models()) == []


def test_a_start_that_cannot_be_registered_costs_the_others_nothing(
    fresh: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny_start(Path("other"), seed=3)
    given = {"epochs": "1", "seeds": "0", "starts": "other=other,tiny=tiny", "tracking_uri": fresh.uri}
    usual: Callable = weights.store

    def fails(study: Study, choice: Choice, work_dir: Path) -> None:
        if (choice.start, choice.source) == ("other", "aaa"):
            raise ValueError("no such pipeline\nand more")
        usual(study, choice, work_dir)

    monkeypatch.setattr(weights, "store", fails)
    with pytest.raises(SystemExit) as ended:
        load_script(ROOT / "entrypoints" / "study.py").main(configuration(**given))
    said = capsys.readouterr()
    assert ended.value.code == 1 and Path("reports/tiny-study/index.html").is_file()
    assert "start other is not registered" not in said.out
    line = "failed: registry, ner-aaa: start other is not registered: ValueError: no such pipeline\n"
    assert line in said.err and "ner-bbb" not in said.err
    there = {name: all_versions(fresh.client, name) for name in ("ner-aaa", "ner-bbb")}
    assert {name: {v.tags["start"] for v in found} for name, found in there.items()} == {
        "ner-aaa": {"tiny"}, "ner-bbb": {"other", "tiny"},
    }  # fmt: skip
    assert fresh.client.get_model_version_by_alias("ner-aaa", "champion").tags["start"] == "tiny"
    (run,) = (
        r for r in cell_runs(fresh, "FINISHED") if (r.data.tags["start"], r.data.tags["source"]) == ("other", "aaa")
    )
    fresh.client.log_metric(run.info.run_id, "dev_f1/aaa", 0.99, step=1)
    with pytest.raises(SystemExit):
        load_script(ROOT / "entrypoints" / "register.py").main(
            build(RegisterConfig, REGISTERED | {"tracking_uri": fresh.uri})
        )
    assert "alias champion not moved: start other scored better but could not be registered" in capsys.readouterr().out
    monkeypatch.setattr(weights, "store", usual)
    again = studies.run_study(configuration(**given), fresh)
    assert (again.ran, len(again.found), again.failed) == ([], 4, {})  # its weights were kept
    assert fresh.client.get_model_version_by_alias("ner-aaa", "champion").tags["start"] == "other"
    assert not weights_folder(Path("work"), run.data.tags[schema.CELL_KEY]).exists()


def test_a_study_without_a_finished_cell_cannot_be_registered(fresh: Study) -> None:
    with pytest.raises(InputError, match="no finished cell"):
        registration.register(fresh, finished_places(fresh), Path("work"))


def test_a_deleted_study_is_not_written_to(fresh: Study) -> None:
    fresh.client.delete_experiment(fresh.experiment_id)
    with pytest.raises(InputError, match="was deleted"):
        open_study(fresh.client, "tiny-study")
