"""Published result files in the tracking store: the published numbers come back, and what is odd is told."""

import csv
import hashlib
import io
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folder_store import make_store
from mlflow.entities import Run
from project_scripts import ROOT
from published_folders import target_folder
from tagged_sentences import read_columns

from analysis.reading import files as reading_files
from analysis.reading import read, results
from analysis.transfer import matrices
from nertransfer.core import schema
from nertransfer.core.config import ImportConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions, Recipe
from nertransfer.core.schema import ALL
from nertransfer.corpora import corpus
from nertransfer.scoring.reference import score
from nertransfer.studies.published import files as published_files
from nertransfer.studies.published import importing
from nertransfer.studies.published import scores as published_scores
from nertransfer.studies.published.files import CellName, Unfit
from nertransfer.studies.published.importing import ImportOutcome
from nertransfer.studies.published.scores import Disagreement, Files, Gold, Imported
from nertransfer.tracking.store import Study, all_runs, client
from nertransfer.training.cell import recipe_digest

ENTRY = ROOT / "entrypoints" / "import_results.py"
LANGUAGES = ("hau", "swa", "wol")
CATEGORIES = ("DATE", "LOC", "ORG", "PER")
MEASURES = ("f1", "precision", "recall")
TINY = [CellName("wol", "base", seed, 50) for seed in range(3)]
DEV_REMARK = "supports of the report and of the corpus"

Row = tuple[str, str, str, str, int]
"""Of a printed report: category, precision, recall, F1, support."""


def reported(path: Path) -> tuple[dict[str, float], list[Row]]:
    """The values and the rows of a result file; deliberately not the project's own reader."""
    text = path.read_text(encoding="utf-8")
    values = {name: float(value) for name, value in re.findall(r"^(f1|precision|recall) = (\S+)$", text, re.M)}
    rows = re.findall(r"^ *([A-Z]+) +([\d.]+) +([\d.]+) +([\d.]+) +(\d+)$", text, re.M)
    return values, [(*row[:4], int(row[4])) for row in rows]


# --- stores ------------------------------------------------------------------------------------------

Store = Callable[[str], Study]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Makes studies, all in one database."""
    folder = tmp_path_factory.mktemp("importing")
    opened = client(f"sqlite:///{make_store(folder)}")

    def study(name: str) -> Study:
        return Study(opened, opened.create_experiment(name, artifact_location=(folder / name).as_uri()), name)

    return study


def import_into(study: Study, folder: Path, shared_data: Path) -> ImportOutcome:
    config = ImportConfig(str(folder), DataOptions(str(shared_data / "masakhaner")))
    return importing.import_results(importing.read(config), study)


def snapshot(study: Study) -> dict[str, tuple]:
    """Everything that a change of any run would change."""
    return {
        run.info.run_id: (run.info.run_name, run.info.status, run.info.end_time, run.data.tags, run.data.params,
                          run.data.metrics)
        for run in all_runs(study.client, study.experiment_id)
    }  # fmt: skip


def runs_of(study: Study, kind: str = schema.KIND_CELL) -> dict[str, Run]:
    found = all_runs(study.client, study.experiment_id, f"tags.kind = '{kind}'")
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def artifact(study: Study, run: Run, name: str, folder: Path) -> str:
    return Path(study.client.download_artifacts(run.info.run_id, name, str(folder))).read_text(encoding="utf-8")


# --- the whole sample ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(store: Store, shared_data: Path) -> tuple[Study, ImportOutcome, results.StudyResults]:
    study = store("sample")
    outcome = import_into(study, shared_data / "published_sample", shared_data)
    return study, outcome, read.read(study.client.tracking_uri, study.name)


Sample = tuple[Study, ImportOutcome, results.StudyResults]


@pytest.fixture(scope="module")
def files(shared_data: Path) -> dict[tuple[str, str, int, str, str], Path]:
    """Every result file of the sample by start, source, seed, target and split, found by its name."""
    models = shared_data / "published_sample" / "src" / "runs" / "v10" / "models"
    found = {}
    for folder in [*models.iterdir(), *(models / "v20").iterdir()]:
        name = re.fullmatch(r"(?:(\w+)_zero_shot_)?(\w+)_v10_start_(\w+)__\w+__(\d)_50(?:_\w+_50)?", folder.name)
        if name is None:
            assert folder.name == "v20"
            continue
        target, source, start, seed = name.groups()
        found[start, source, int(seed), target or source, "test"] = folder / "test_results.txt"
        if target is None:
            found[start, source, int(seed), source, "dev"] = folder / "eval_results.txt"
    assert len(found) == 150 + 50
    return found


ResultFiles = dict[tuple[str, str, int, str, str], Path]


def test_every_cell_of_the_sample_is_a_finished_run(sample: Sample, files: ResultFiles) -> None:
    study, outcome, _ = sample
    places = sorted({(start, source, seed) for start, source, seed, *_ in files})
    names = sorted(f"{start}-{source}-s{seed}" for start, source, seed in places)
    assert len(names) == 50 and sorted(outcome.added) == names
    assert (outcome.present, outcome.unfit, outcome.disagreements) == ([], [], [])
    runs = runs_of(study)
    assert sorted(runs) == names
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert len(all_runs(study.client, study.experiment_id)) == 50 + 1  # the import itself


def test_a_run_says_what_it_is_and_where_it_comes_from(sample: Sample, files: ResultFiles, shared_data: Path) -> None:
    study, *_ = sample
    runs = runs_of(study)
    digests = {}
    for language in LANGUAGES:
        of_split = {
            split: hashlib.sha256((shared_data / "masakhaner" / language / f"{split}.txt").read_bytes()).hexdigest()
            for split in ("train", "dev", "test")
        }
        digests[language] = (hashlib.sha256("\n".join(of_split.values()).encode()).hexdigest(), of_split["train"])
    for (start, source, seed, _, split), path in files.items():
        if split != "dev":
            continue
        run = runs[f"{start}-{source}-s{seed}"]
        location = json.loads((path.parent / "config.json").read_text())["_name_or_path"]
        assert location
        wanted = {
            "kind": "cell", "start": start, "source": source, "seed": str(seed), "configuration": f"{start}-{source}",
            "imported": "true", "start_location": location, "start_fingerprint": f"location {location}",
            "train_digest": digests[source][1], "recipe_digest": recipe_digest(Recipe()),
        }  # fmt: skip
        assert wanted.items() <= run.data.tags.items(), run.info.run_name
        families = schema.unpacked(run.data.tags, schema.FAMILIES)
        assert (families["wol"], families["hau"]) == ("Niger-Congo / Senegambia", "Afro-Asiatic / Chadic")
        found = schema.unpacked(run.data.tags, schema.CORPUS_DIGESTS)
        assert found == {language: digest for language, (digest, _) in digests.items()}
        params = {"cfg/start": start, "cfg/source": source, "cfg/seed": str(seed), "cfg/epochs": "50"}
        assert params.items() <= run.data.params.items()
    keys = {run.data.tags["cell_key"] for run in runs.values()}
    assert len(keys) == 50 and all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


def test_scores_counted_anew_equal_the_reported_ones(sample: Sample, files: ResultFiles) -> None:
    study, *_ = sample
    runs = runs_of(study)
    for (start, source, seed, target, split), path in files.items():
        metrics = runs[f"{start}-{source}-s{seed}"].data.metrics
        values, rows = reported(path)
        assert set(values) == set(MEASURES)
        for measure, value in values.items():
            key = f"{split}_{measure}/{target}"
            assert metrics[key] == pytest.approx(value, abs=1e-9), (start, source, seed, key)
            assert metrics[f"reported/{key}"] == value
        assert metrics[f"{split}_support/{target}"] == sum(row[4] for row in rows)
        if split == "test":
            assert [row[0] for row in rows] == list(CATEGORIES)
        for category, *shown, support in rows if split == "test" else []:
            found = [metrics[f"test_{measure}/{target}/{category}"] for measure in ("precision", "recall", "f1")]
            assert [f"{value:.2f}" for value in found] == shown, (start, source, seed, target, category)
            assert metrics[f"test_support/{target}/{category}"] == support
        if target == source:
            assert metrics[f"source_{split}_f1"] == pytest.approx(values["f1"], abs=1e-9)
    assert {run.data.metrics["disagreements"] for run in runs.values()} == {0.0}


def test_means_and_deviations_over_seeds_are_those_of_the_reported_values(sample: Sample, files: ResultFiles) -> None:
    _, _, found = sample
    values: dict[tuple[str, str, str], list[float]] = {}
    for (start, source, _, target, split), path in files.items():
        if split == "test":
            values.setdefault((start, source, target), []).append(reported(path)[0]["f1"])
    assert len(values) == 30 and {len(seeds) for seeds in values.values()} == {5}
    for start in ("base", "swa", "hau", "wol"):
        cube = matrices.cube(found.frame, start)
        mean, sd, n = (cube.statistic(name) for name in ("mean", "sd", "n"))
        sources = {source for name, source, _ in values if name == start}
        assert set(mean.index) == sources and set(mean.columns) == set(LANGUAGES)
        for source in sources:
            for target in LANGUAGES:
                seeds = np.array(values[start, source, target])
                assert mean.loc[source, target] / 100 == pytest.approx(np.mean(seeds), abs=1e-12)
                assert sd.loc[source, target] / 100 == pytest.approx(np.std(seeds, ddof=1), abs=1e-12)
                assert n.loc[source, target] == 5


def test_dev_scores_are_there_for_the_source_alone(sample: Sample, files: ResultFiles) -> None:
    _, _, found = sample
    dev = found.frame[found.frame["split"] == "dev"]
    assert (dev["source"] == dev["target"]).all() and (dev["category"] == ALL).all() and len(dev) == 50
    for row in dev.itertuples():
        values, _ = reported(files[row.start, row.source, row.seed, row.target, "dev"])
        assert {measure: getattr(row, measure) for measure in MEASURES} == values


def test_the_plan_is_the_published_one_and_nothing_of_it_is_missing(sample: Sample) -> None:
    study, _, found = sample
    (run,) = runs_of(study, schema.KIND_STUDY).values()
    axes = {"starts": "base,swa,own", "sources": "wol,hau,swa", "pivots": "swa", "targets": "wol,hau,swa",
            "seeds": "0,1,2,3,4"}  # fmt: skip
    assert {name: run.data.params[f"cfg/{name}"] for name in axes} == axes
    corpora = Path(run.data.params["cfg/data"])  # those it was scored on, for the commands that are about this study
    assert corpora.is_absolute() and corpora.name == "masakhaner"
    assert found.planned and set(found.plan["pairs"]) == {
        ("base", "wol"), ("base", "hau"), ("base", "swa"), ("swa", "wol"), ("swa", "hau"), ("swa", "swa"),
        ("wol", "wol"), ("hau", "hau"), ("wol", "swa"), ("hau", "swa"),
    }  # fmt: skip
    absent = matrices.missing(found.frame, found.cells, found.plan)
    assert not len(absent[(absent["split"] == "test") | (absent["reason"] != "not scored")])
    assert not len(found.duplicates) and found.warnings == []
    tables = reading_files.import_tables(found, study.client.tracking_uri)
    assert {name: (list(table.columns), len(table)) for name, table in tables.items()} == {
        "unfit": (["path", "reason"], 0),
        "disagreements": (list(published_scores.DISAGREEMENT_COLUMNS), 0),
    }


def test_predictions_have_word_gold_and_predicted_tag(
    sample: Sample, files: ResultFiles, shared_data: Path, tmp_path: Path
) -> None:
    study, *_ = sample
    run = runs_of(study)["swa-wol-s3"]
    assert {path.path for path in study.client.list_artifacts(run.info.run_id, "predictions")} == {
        f"predictions/{target}.test.txt" for target in LANGUAGES
    }
    for target in LANGUAGES:
        gold = read_columns(shared_data / "masakhaner" / target / "test.txt")
        predicted = read_columns(files["swa", "wol", 3, target, "test"].with_name("test_predictions.txt"))
        (tmp_path / target).write_text(artifact(study, run, f"predictions/{target}.test.txt", tmp_path))
        assert read_columns(tmp_path / target) == [
            [[word, tag, guess] for (word, tag), (_, guess) in zip(a, b, strict=True)]
            for a, b in zip(gold, predicted, strict=True)
        ]


def test_what_was_reported_is_kept_as_it_was(sample: Sample, files: ResultFiles, tmp_path: Path) -> None:
    study, *_ = sample
    text = artifact(study, runs_of(study)["base-hau-s1"], "import/reported.csv", tmp_path)
    rows = {(row["target"], row["split"], row["category"]): row for row in csv.DictReader(io.StringIO(text))}
    assert len(rows) == (3 + 1) * 5
    for target, split in (("hau", "dev"), *((target, "test") for target in LANGUAGES)):
        values, lines = reported(files["base", "hau", 1, target, split])
        assert {measure: float(rows[target, split, ALL][measure]) for measure in MEASURES} == values
        for category, *shown, support in lines:
            row = rows[target, split, category]
            assert [f"{float(row[m]):.2f}" for m in ("precision", "recall", "f1")] == shown
            assert row["support"] == str(support)
    assert rows["hau", "test", ALL]["loss"] == "0.17303488879758294"


def test_counts_by_sentence_add_up_to_the_scores(sample: Sample) -> None:
    study, _, found = sample
    counts = reading_files.sentence_counts(found, study.client.tracking_uri, "test")
    table = found.frame[found.frame["split"] == "test"].set_index(["start", "source", "seed", "target", "category"])
    assert (
        set(counts) == set(LANGUAGES) and reading_files.sentence_counts(found, study.client.tracking_uri, "dev") == {}
    )
    for target, one in counts.items():
        assert len(one.cells) == 50 and one.categories == list(CATEGORIES)
        for category in (None, *CATEGORIES):
            gold, predicted, correct = (side.sum(axis=-1) for side in one.of(category))
            scores = table.loc[[(*cell, target, category or ALL) for cell in one.cells]]
            assert set(scores["support"]) == {gold}
            np.testing.assert_allclose(correct / np.maximum(predicted, 1), scores["precision"], rtol=0, atol=1e-12)
            np.testing.assert_allclose(correct / gold, scores["recall"], rtol=0, atol=1e-12)
            np.testing.assert_allclose(2 * correct / (predicted + gold), scores["f1"], rtol=0, atol=1e-12)


def test_sources_for_a_language_that_is_held_out_are_ranked(
    sample: Sample, shared_data: Path, tmp_path: Path, python: str
) -> None:
    """In under 30 s, from two other languages: a table without what they cannot tell."""
    study, _, found = sample
    arguments = ["--study", study.name, "--data", str(shared_data / "masakhaner"), "--target", "swa"]
    done = subprocess.run(
        [python, str(ENTRY.with_name("rank.py")), *arguments],
        cwd=tmp_path, env=os.environ | {"MLFLOW_TRACKING_URI": study.client.tracking_uri},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = found.frame.query("start == 'base' and split == 'test' and target == 'swa' and category == @ALL")
    for place, source in enumerate(("hau", "wol"), start=1):
        f1 = 100 * scores.loc[scores["source"] == source, schema.F1].mean()
        assert re.search(rf"^{place}  {source}( +n/a){{4}} +{f1:.1f}  train_size ", done.stdout, re.M)
    assert "2 targets (" in done.stdout and "swa" not in re.findall(r"^\d  (\w+)", done.stdout, re.M)


def test_importing_again_changes_nothing(sample: Sample, shared_data: Path) -> None:
    study, outcome, _ = sample
    before = snapshot(study)
    again = import_into(study, shared_data / "published_sample" / published_files.MODELS, shared_data)
    assert (again.added, again.present) == ([], outcome.added)
    assert (again.unfit, again.disagreements) == ([], [])
    assert snapshot(study) == before


# --- small copies --------------------------------------------------------------------------------------


def copied(shared_data: Path, folder: Path, *cells: CellName, named: dict[CellName, CellName] | None = None) -> Path:
    """A models folder with these cells of the sample and all their targets, some under another name."""
    models = shared_data / "published_sample" / published_files.MODELS
    for cell in cells:
        name = (named or {}).get(cell, cell)
        pairs = {models / cell.folder: folder / name.folder}
        for target in LANGUAGES:
            there, here = (target_folder(one, target) for one in (cell, name))
            pairs[models / "v20" / there] = folder / "v20" / here
        for original, copy in pairs.items():
            copy.mkdir(parents=True)
            for path in original.iterdir():
                (copy / path.name).write_bytes(path.read_bytes())
    return folder


def edit(path: Path, old: str, new: str) -> None:
    """Replace the first occurrence of what must be there."""
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


def set_value(path: Path, name: str, value: str) -> float:
    """Change one of the values at the head of a result file; returns what stood there."""
    text = path.read_text()
    (there,) = re.findall(rf"^{name} = (\S+)$", text, re.M)
    path.write_text(text.replace(f"{name} = {there}", f"{name} = {value}"))
    return float(there)


def target_path(models: Path, cell: CellName, target: str, file: str) -> Path:
    return models / "v20" / target_folder(cell, target) / file


def test_a_cut_import_is_completed_by_importing_again(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study = store("cut")
    checkout = tmp_path / "checkout"
    copied(shared_data, checkout / published_files.MODELS, *TINY)
    names = [f"base-wol-s{seed}" for seed in range(3)]
    assert import_into(study, checkout, shared_data).added == names
    before, runs = snapshot(study), runs_of(study)
    deleted = runs["base-wol-s1"].info.run_id
    killed = runs["base-wol-s2"].info.run_id
    (summary,) = runs_of(study, schema.KIND_STUDY).values()
    for run_id in (deleted, summary.info.run_id):
        study.client.delete_run(run_id)
    study.client.set_terminated(killed, "KILLED")
    outcome = import_into(study, checkout / published_files.MODELS, shared_data)
    assert (outcome.added, outcome.present) == (names[1:], names[:1])
    after = snapshot(study)
    kept = runs["base-wol-s0"].info.run_id
    assert after[kept] == before[kept] and len(after) == 5  # three cells, the killed one, the import
    again = import_into(study, checkout, shared_data)
    assert (again.added, again.present) == ([], names) and snapshot(study) == after
    found = read.read(study.client.tracking_uri, study.name)
    assert sorted(found.artifacts) == [("base", "wol", seed) for seed in range(3)] and found.imported
    absent = matrices.missing(found.frame, found.cells, found.plan)
    never = absent[absent["reason"] == "never run"]
    assert set(absent.loc[absent["split"] == "test", "reason"]) == {"never run"}
    assert set(never[["start", "source", "seed"]].itertuples(index=False, name=None)) == {
        (start, "wol", seed) for start in ("swa", "wol") for seed in range(3)
    }


def test_what_disagrees_and_what_cannot_be_read_is_told_everywhere(
    store: Store, shared_data: Path, tmp_path: Path
) -> None:
    study = store("disagreeing")
    models = copied(shared_data, tmp_path, *TINY)
    (models / "Icon").write_text("")
    there = set_value(target_path(models, TINY[0], "hau", "test_results.txt"), "f1", "0.5")
    edit(target_path(models, TINY[0], "swa", "test_predictions.txt"), "\n\n", "\n\nanother")
    edit(models / TINY[1].folder / "test_results.txt", "\n\n", "\n\n  surprise\n")
    before = import_into(study, models, shared_data)
    assert before.added == ["base-wol-s0", "base-wol-s2"]
    path = models / TINY[1].folder / "test_results.txt"
    assert before.unfit == [
        Unfit("Icon", "not <source>_v10_start_<start>__<source>__<seed>_<epochs>"),
        Unfit(TINY[1].folder, f"{path}:7: 'surprise' does not belong in a result file"),
        *(
            Unfit(f"v20/{target_folder(TINY[1], target)}", f"the fine-tuning {TINY[1].folder} cannot be read")
            for target in LANGUAGES
        ),
    ]
    one, other = before.disagreements
    assert replace(one, rescored=None) == Disagreement("base-wol-s0", "hau", "test", "ALL", "f1", 0.5)
    assert one.rescored == pytest.approx(there, abs=1e-9)
    remark = "not scored anew: sentence 2 of test_predictions.txt is not that of the corpus"
    assert other == Disagreement("base-wol-s0", "swa", "test", remark=remark)
    runs = runs_of(study)
    assert sorted(runs) == before.added
    metrics = runs["base-wol-s0"].data.metrics
    assert metrics["test_f1/hau"] == one.rescored and metrics["reported/test_f1/hau"] == 0.5
    assert "test_f1/swa" not in metrics and "reported/test_f1/swa" in metrics
    assert [runs[name].data.metrics["disagreements"] for name in before.added] == [2, 0]
    rows = [
        ["cell", "target", "split", "category", "measure", "reported", "rescored", "remark"],
        ["base-wol-s0", "hau", "test", "ALL", "f1", "0.5", repr(one.rescored), ""],
        ["base-wol-s0", "swa", "test", "", "", "", "", remark],
    ]
    (summary,) = runs_of(study, schema.KIND_STUDY).values()
    assert (summary.data.metrics["unfit"], summary.data.metrics["disagreements"]) == (5, 2)
    for number, run in enumerate((runs["base-wol-s0"], summary)):
        folder = tmp_path / f"table{number}"
        folder.mkdir()
        text = artifact(study, run, "import/disagreements.csv", folder)
        assert list(csv.reader(io.StringIO(text))) == rows
    found = read.read(study.client.tracking_uri, study.name)
    tables = reading_files.import_tables(found, study.client.tracking_uri)
    shown = tables["disagreements"].astype(object).where(tables["disagreements"].notna(), "")
    assert [[str(value) for value in row] for row in shown.itertuples(index=False)] == rows[1:]
    assert list(tables["unfit"].itertuples(index=False, name=None)) == [(u.path, u.reason) for u in before.unfit]
    absent = matrices.missing(found.frame, found.cells, found.plan)
    absent = absent[(absent["start"] == "base") & (absent["split"] == "test")]
    assert list(absent[["seed", "target", "reason"]].itertuples(index=False, name=None)) == [
        (0, "swa", "not scored"), *((1, target, "never run") for target in ("wol", "hau", "swa")),
    ]  # fmt: skip


def test_the_files_that_were_imported_last_count(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study = store("last")
    models = copied(shared_data, tmp_path, TINY[0])
    path = target_path(models, TINY[0], "hau", "test_results.txt")
    assert import_into(study, models, shared_data).added == ["base-wol-s0"]
    (first,) = runs_of(study).values()
    there = set_value(path, "f1", "0.5")
    (models / "Icon").write_text("")
    changed = import_into(study, models, shared_data)
    assert (len(changed.added), len(changed.unfit), len(changed.disagreements)) == (1, 1, 1)
    found = read.read(study.client.tracking_uri, study.name)
    assert found.artifacts["base", "wol", 0] != first.info.artifact_uri
    assert [len(t) for t in reading_files.import_tables(found, study.client.tracking_uri).values()] == [1, 1]
    set_value(path, "f1", repr(there))
    (models / "Icon").unlink()
    back = import_into(study, models, shared_data)
    assert (back.added, back.present, back.unfit, back.disagreements) == ([], ["base-wol-s0"], [], [])
    found = read.read(study.client.tracking_uri, study.name)
    assert found.artifacts["base", "wol", 0] == first.info.artifact_uri and len(found.duplicates) == 1
    assert [len(t) for t in reading_files.import_tables(found, study.client.tracking_uri).values()] == [0, 0]


def test_an_import_cut_at_its_summary_is_completed_too(
    store: Store, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = store("cut at the end")
    models = copied(shared_data, tmp_path, TINY[0])

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(importing, "log_values", cut)
        with pytest.raises(KeyboardInterrupt):
            import_into(study, models, shared_data)
    assert import_into(study, models, shared_data).present == ["base-wol-s0"]
    found = read.read(study.client.tracking_uri, study.name)
    assert set(reading_files.import_tables(found, study.client.tracking_uri)) == {"unfit", "disagreements"}


def test_starts_and_epochs_beyond_the_published_ones_count_beside_their_plan(
    store: Store, shared_data: Path, tmp_path: Path
) -> None:
    study = store("others")
    other = CellName("wol", "mine", 7, 8)
    outcome = import_into(study, copied(shared_data, tmp_path, *TINY[:2], named={TINY[1]: other}), shared_data)
    assert outcome.added == ["base-wol-s0", "mine-wol-s7"] and outcome.disagreements == []
    run = runs_of(study)["mine-wol-s7"]
    assert run.data.params["cfg/epochs"] == "8" and run.data.tags["recipe_digest"] == recipe_digest(Recipe(epochs=8))
    (summary,) = runs_of(study, schema.KIND_STUDY).values()
    assert "recipe_digest" not in summary.data.tags  # there is not one recipe
    found = read.read(study.client.tracking_uri, study.name)
    assert found.plan["pairs"] == [("base", "wol"), ("swa", "wol"), ("wol", "wol")] and found.plan["seeds"] == [0, 7]
    assert sorted(found.artifacts) == [("base", "wol", 0), ("mine", "wol", 7)]


def test_starts_of_another_design_are_planned_on_every_source(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study = store("other design")
    other = CellName("wol", "mine", 7, 50)
    import_into(study, copied(shared_data, tmp_path, TINY[0], named={TINY[0]: other}), shared_data)
    found = read.read(study.client.tracking_uri, study.name)
    assert found.plan["pairs"] == [("mine", "wol")] and found.plan["seeds"] == [7]


def test_a_category_of_dots_is_refused_before_the_store_refuses_it(
    store: Store, shared_data: Path, tmp_path: Path
) -> None:
    study, folder = store("dots"), copied(shared_data, tmp_path, *TINY[:2])
    edit(folder / TINY[0].folder / "test_predictions.txt", " B-PER\n", " B-..\n")
    assert import_into(study, folder, shared_data).added == ["base-wol-s1"]


def test_a_file_name_with_a_carriage_return_is_one_row(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study, folder = store("carriage return"), copied(shared_data, tmp_path, TINY[0])
    (folder / "Icon\r").write_text("")  # what macOS calls the icon of a folder
    import_into(study, folder, shared_data)
    found = read.read(study.client.tracking_uri, study.name)
    assert reading_files.import_tables(found, study.client.tracking_uri)["unfit"]["path"].tolist() == ["Icon\r"]


def test_a_folder_without_a_complete_result_is_refused(shared_data: Path, tmp_path: Path) -> None:
    folder = copied(shared_data, tmp_path, TINY[0])
    (folder / TINY[0].folder / "eval_results.txt").unlink()
    with pytest.raises(InputError, match=r"has no complete result: 'wol_v10_.*': no eval_results.txt; 'v20/") as caught:
        importing.read(ImportConfig(str(folder), DataOptions(str(shared_data / "masakhaner"))))
    assert caught.value.parameter == "results"


def test_where_nothing_can_be_read_there_is_no_study(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study, path = store("unreadable"), tmp_path / "wol_afroxlmr" / "test_result1.txt"
    path.parent.mkdir()
    path.write_text("no report\n", encoding="utf-8")
    outcome = import_into(study, tmp_path, shared_data)
    assert (outcome.added, [one.path for one in outcome.unfit]) == ([], ["wol_afroxlmr/test_result1.txt"])
    assert all_runs(study.client, study.experiment_id) == []


def test_a_stray_file_beside_a_cell_does_not_make_it_another_cell(
    store: Store, shared_data: Path, tmp_path: Path
) -> None:
    study, folder = store("stray"), copied(shared_data, tmp_path, TINY[0])
    import_into(study, folder, shared_data)
    (folder / TINY[0].folder / ".DS_Store").write_text("")
    outcome = import_into(study, folder, shared_data)
    assert (outcome.added, outcome.present) == ([], ["base-wol-s0"])
    assert outcome.unfit == [Unfit(f"{TINY[0].folder}/.DS_Store", "not a result file")]


def test_parts_imported_one_after_the_other_are_planned_together(
    store: Store, shared_data: Path, tmp_path: Path
) -> None:
    study = store("parts")
    for seed in (0, 1):
        import_into(study, copied(shared_data, tmp_path / str(seed), TINY[seed]), shared_data)
    found = read.read(study.client.tracking_uri, study.name)
    assert found.plan["seeds"] == [0, 1] and len(found.artifacts) == 2


def test_a_target_that_cannot_be_read_costs_no_other(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study, folder = store("one target"), copied(shared_data, tmp_path, TINY[0])
    path = target_path(folder, TINY[0], "hau", "test_predictions.txt")
    edit(path, " O\n", " E-PER\n")
    broken = target_path(folder, TINY[0], "swa", "test_results.txt")
    edit(broken, "f1 = ", "f2 = ")
    outcome = import_into(study, folder, shared_data)
    assert outcome.added == ["base-wol-s0"] and outcome.unfit == []
    (run,) = runs_of(study).values()
    scored = {name for name in run.data.metrics if re.fullmatch(r"(reported/)?test_f1/[a-z]+", name)}
    assert scored == {"test_f1/wol", "reported/test_f1/wol", "reported/test_f1/hau"}
    remarks = {one.target: one.remark for one in outcome.disagreements}
    assert set(remarks) == {"hau", "swa"} and all(text.startswith("not scored anew: ") for text in remarks.values())
    assert f"{path}:" in remarks["hau"] and f"{broken}:" in remarks["swa"]


def test_baselines_and_fine_tunings_count_side_by_side(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study, folder = store("both"), copied(shared_data, tmp_path / "models", TINY[0])
    text = (folder / TINY[0].folder / "test_results.txt").read_text(encoding="utf-8")
    path = tmp_path / "baselines" / "wol_afroxlmr" / "test_result1.txt"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    import_into(study, folder, shared_data)
    import_into(study, tmp_path / "baselines", shared_data)
    for _ in range(2):
        found = read.read(study.client.tracking_uri, study.name)
        assert set(found.frame["start"]) == {"base", "afroxlmr"}
        import_into(study, folder, shared_data)


def test_nothing_is_written_where_a_language_has_no_corpus(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study = store("no corpus")
    models = copied(shared_data, tmp_path / "models", TINY[0])
    for language in ("hau", "wol"):
        (tmp_path / "data" / language).mkdir(parents=True)
        for split in schema.SPLITS:
            text = (shared_data / "masakhaner" / language / f"{split}.txt").read_bytes()
            (tmp_path / "data" / language / f"{split}.txt").write_bytes(text)
    with pytest.raises(InputError) as caught:
        importing.read(ImportConfig(str(models), DataOptions(str(tmp_path / "data"))))
    assert caught.value.parameter == "data"
    assert str(caught.value).endswith("has no corpus of swa, which the results were scored on; it has hau, wol")
    assert all_runs(study.client, study.experiment_id) == []


def test_a_folder_without_results_is_refused(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study = store("no results")
    (tmp_path / "src").mkdir()
    for folder in (tmp_path, tmp_path / "absent", shared_data / "masakhaner"):
        with pytest.raises(InputError) as caught:
            import_into(study, folder, shared_data)
        assert caught.value.parameter == "results"
        for part in (
            repr(str(folder)), "<source>_v10_start_<start>__<source>__<seed>_<epochs>", "src/runs/v10/models",
            "<language>_<model>/test_result<number>.txt", "MasakhaNER2.0/baseline_models_results",
        ):  # fmt: skip
            assert part in str(caught.value)
    assert all_runs(study.client, study.experiment_id) == []


# test_result1.txt of bam_afriberta, https://github.com/masakhane-io/masakhane-ner, MasakhaNER2.0
BAMBARA = """\
f1 = 0.7803203661327232
loss = 0.08923706069813306
precision = 0.782708492731446
recall = 0.7779467680608365
report =               precision    recall  f1-score   support

        DATE       0.77      0.83      0.80       195
         LOC       0.85      0.76      0.80       566
         ORG       0.84      0.69      0.76        95
         PER       0.71      0.80      0.75       459

   micro avg       0.78      0.78      0.78      1315
   macro avg       0.79      0.77      0.78      1315
weighted avg       0.79      0.78      0.78      1315
"""


def test_baselines_are_kept_as_they_were_reported(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study = store("baselines")
    folder = tmp_path / "MasakhaNER2.0" / "baseline_models_results"
    for name in ("bam_afriberta", "bbj_mbert"):
        (folder / name).mkdir(parents=True)
        (folder / name / "test_result1.txt").write_text(BAMBARA)
        (folder / name / "test_predictions1.txt").write_text("")
    (folder / "bam_afriberta" / "test_result2.txt").write_text(BAMBARA.replace("f1 = 0.78", "f1 = 0.77"))
    (folder / "bbj_mbert" / "test_result3.txt").write_text(BAMBARA.replace("LOC", "A/B"))
    (folder / "bbj_mbert" / "test_result4.txt").write_bytes(BAMBARA.encode() + b"\xff")
    outcome = import_into(study, tmp_path, shared_data)
    assert outcome.added == ["afriberta-bam-s1", "afriberta-bam-s2", "mbert-bbj-s1"]
    paths = [folder / "bbj_mbert" / f"test_result{number}.txt" for number in (3, 4)]
    unnamed, undecoded = outcome.unfit
    assert unnamed == Unfit("bbj_mbert/test_result3.txt", f"{paths[0]}:8: 'A/B' cannot name a category")
    assert undecoded.path == "bbj_mbert/test_result4.txt" and undecoded.reason.startswith(f"{paths[1]}:15: not UTF-8")
    found = read.read(study.client.tracking_uri, study.name)
    table = found.frame.set_index(["start", "source", "seed", "target", "split", "category"])
    assert len(table) == 3 * 5
    assert table.loc[("afriberta", "bam", 1, "bam", "test", ALL)].to_dict() == {
        "precision": 0.782708492731446, "recall": 0.7779467680608365, "f1": 0.7803203661327232, "support": 1315,
    }  # fmt: skip
    assert table.loc[("afriberta", "bam", 2, "bam", "test", ALL), "f1"] == 0.7703203661327232
    assert table.loc[("mbert", "bbj", 1, "bbj", "test", "LOC")].to_dict() == {
        "precision": 0.85, "recall": 0.76, "f1": 0.8, "support": 566,
    }  # fmt: skip
    assert runs_of(study)["mbert-bbj-s1"].data.tags["imported"] == "true"
    before = snapshot(study)
    again = import_into(study, folder, shared_data)
    assert (again.added, again.present, again.unfit) == ([], outcome.added, outcome.unfit)
    assert snapshot(study) == before
    (folder / "bam_afriberta" / "test_result5.txt").write_text(BAMBARA)  # equal numbers, another replicate
    assert import_into(study, folder, shared_data).added == ["afriberta-bam-s5"]


def test_the_command_line_names_what_was_left_out(shared_data: Path, tmp_path: Path, python: str) -> None:
    checkout = tmp_path / "NERTransfer"
    models = copied(shared_data, checkout / published_files.MODELS, TINY[0])
    (models / "Icon").write_text("")
    target_path(models, TINY[0], "hau", "test_predictions.txt").unlink()
    set_value(target_path(models, TINY[0], "swa", "test_results.txt"), "recall", "0.25")
    arguments = ["--results", str(checkout), "--data", str(shared_data / "masakhaner"), "--study", "published"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [python, str(ENTRY), *arguments], cwd=tmp_path, capture_output=True, text=True,
        env=environment | {"MLFLOW_DISABLE_TELEMETRY": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "1 cell added to study published, 0 there before", "1 reported value that the predictions do not give",
    ]  # fmt: skip
    assert len(lines) == 3 and lines[2].startswith("  base-wol-s0 swa test ALL: recall reported 0.25, counted 0.")
    told = [line for line in done.stderr.splitlines() if "not imported" in line]
    assert [line.partition("not imported: ")[2] for line in told] == [
        "'Icon': not <source>_v10_start_<start>__<source>__<seed>_<epochs>",
        f"'v20/{target_folder(TINY[0], 'hau')}': no test_predictions.txt",
    ]
    found = read.read(f"sqlite:///{tmp_path / 'mlflow.db'}", "published")
    assert set(found.frame["target"]) == {"swa", "wol"}


# --- a table of scores ---------------------------------------------------------------------------------


def test_a_table_of_scores_is_a_study_of_just_what_it_has(store: Store, shared_data: Path, tmp_path: Path) -> None:
    study = store("table")
    every = pd.read_csv(shared_data / "published_scores.csv")
    pairs = [("base", "hau"), ("base", "swa"), ("hau", "swa"), ("wol", "swa")]
    places = zip(every["start"], every["source"], every["seed"], strict=True)
    table = every[[(start, source) in pairs and seed < 2 for start, source, seed in places]]
    path = tmp_path / "scores.csv"
    table.to_csv(path, index=False)
    outcome = import_into(study, path, shared_data)
    assert (len(outcome.added), outcome.unfit) == (8, [])
    found = read.read(study.client.tracking_uri, study.name)
    keys = ["start", "source", "seed", "target", "split", "category"]
    there, given = (frame.set_index(keys)[["precision", "recall", "f1", "support"]] for frame in (found.frame, table))
    pd.testing.assert_frame_equal(there.sort_index(), given.sort_index())
    assert sorted(found.plan["pairs"]) == pairs and found.plan["starts"] == ["base", "hau", "wol"]
    assert set(found.plan["targets"]) == set(published_files.ORDER[:9]) == set(found.corpora)
    absent = matrices.missing(found.frame, found.cells, found.plan)
    assert not len(absent[absent["split"] == "test"])
    before = snapshot(study)
    assert import_into(study, path, shared_data).added == [] and snapshot(study) == before
    alone = importing.read(ImportConfig(str(path)))  # without corpora
    importing.import_results(alone, other := store("table alone"))
    found = read.read(other.client.tracking_uri, other.name)
    assert len(found.frame) == len(table) and found.corpora == {}


def test_predictions_are_not_imported_without_corpora(shared_data: Path) -> None:
    with pytest.raises(InputError, match="give data=<corpora>"):
        importing.read(ImportConfig(str(shared_data / "published_sample")))


# --- one cell, measured ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gold(shared_data: Path) -> Gold:
    corpora = corpus.load(DataOptions(str(shared_data / "masakhaner"), languages=LANGUAGES))
    return Gold({(name, split): corpora[name].splits[split] for name in LANGUAGES for split in ("dev", "test")})


@pytest.fixture
def models(shared_data: Path, tmp_path: Path) -> Path:
    """A copy of one cell, to be changed."""
    return copied(shared_data, tmp_path / "models", TINY[0])


def files_of(models: Path) -> Files:
    listing = published_files.scan(models)
    assert listing.unfit == [] and list(listing.cells) == [TINY[0]]
    return Files(TINY[0], listing.cells[TINY[0]], {target: path for (_, target), path in listing.targets.items()})


def measured(models: Path, gold: Gold) -> Imported:
    return published_scores.measure(files_of(models), gold, "key")


def metrics_of(found: Imported) -> dict[str, float]:
    names = [point.name for point in found.measured.points]
    assert len(names) == len(set(names))
    return {point.name: point.value for point in found.measured.points}


def odd(target: str, *rest: object, split: str = "test", remark: str = "") -> Disagreement:
    return Disagreement("base-wol-s0", target, split, *rest, remark=remark)  # type: ignore[arg-type]


def test_an_untouched_copy_agrees(models: Path, gold: Gold) -> None:
    found = measured(models, gold)
    assert found.disagreements == [] and found.start_location == "xlm-roberta-base"
    assert found.measured.key == "key"


@pytest.mark.parametrize("measure", MEASURES)
def test_a_changed_value_is_listed_with_the_counted_one(measure: str, models: Path, gold: Gold) -> None:
    path = target_path(models, TINY[0], "hau", "test_results.txt")
    there = set_value(path, measure, "0.5")
    (found,) = measured(models, gold).disagreements
    assert found.rescored == pytest.approx(there, abs=1e-9)
    assert replace(found, rescored=None) == odd("hau", ALL, measure, 0.5)
    set_value(path, measure, repr(there + 5e-10))  # a difference of rounding is none
    assert measured(models, gold).disagreements == []
    set_value(path, measure, repr(there + 2e-9))
    assert len(measured(models, gold).disagreements) == 1


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_not_a_number_disagrees(measure: str, models: Path, gold: Gold) -> None:
    path = target_path(models, TINY[0], "hau", "test_results.txt")
    there = set_value(path, measure, "nan")
    column = 1 + ("precision", "recall", "f1").index(measure)
    (row,) = re.findall(r"^ *LOC .*$", path.read_text(), re.M)
    edit(path, row, " ".join("nan" if i == column else part for i, part in enumerate(row.split())))
    found = measured(models, gold).disagreements
    assert [(one.target, one.category, one.measure) for one in found] == [("hau", c, measure) for c in (ALL, "LOC")]
    assert found[0].rescored == pytest.approx(there, abs=1e-9)
    assert all(one.reported is not None and np.isnan(one.reported) for one in found)


@pytest.mark.parametrize("column", [1, 2, 3])
def test_a_changed_value_of_a_category_is_listed(column: int, models: Path, gold: Gold) -> None:
    path = target_path(models, TINY[0], "swa", "test_results.txt")
    row = next(row for row in reported(path)[1] if row[0] == "LOC")
    changed = [*row]
    changed[column] = f"{float(row[column]) + 0.01:.2f}"
    text, count = re.subn(r"LOC +.*", " ".join(map(str, changed)), path.read_text())
    assert count == 1
    path.write_text(text)
    (found,) = measured(models, gold).disagreements
    assert f"{found.rescored:.2f}" == row[column]
    measure = ("", "precision", "recall", "f1")[column]
    assert replace(found, rescored=None) == odd("swa", "LOC", measure, float(changed[column]))


def test_a_changed_support_is_listed(models: Path, gold: Gold) -> None:
    path = target_path(models, TINY[0], "hau", "test_results.txt")
    support = next(row[4] for row in reported(path)[1] if row[0] == "ORG")
    edit(path, f" {support}\n         PER", f" {support + 1}\n         PER")
    assert measured(models, gold).disagreements == [odd("hau", "ORG", "support", support + 1, support)]


def test_categories_of_one_side_are_listed(models: Path, gold: Gold) -> None:
    edit(target_path(models, TINY[0], "hau", "test_results.txt"), "DATE  ", "MISC  ")
    assert measured(models, gold).disagreements == [
        odd("hau", "DATE", remark="category is not in the report"),
        odd("hau", "MISC", remark="category is not in the corpus and the predictions"),
    ]


def test_supports_of_the_dev_split_are_compared_with_the_corpus(models: Path, gold: Gold) -> None:
    path = models / TINY[0].folder / "eval_results.txt"
    rows = {row[0]: row[4] for row in reported(path)[1]}
    tags = [tag for sentence in gold.splits["wol", "dev"].sentences for tag in sentence.tags]
    assert rows == {category: tags.count(f"B-{category}") for category in CATEGORIES}
    edit(path, "DATE  ", "MISC  ")
    edit(path, f" {rows['LOC']}\n", f" {rows['LOC'] + 2}\n")
    assert measured(models, gold).disagreements == [
        odd("wol", "DATE", "support", 0, rows["DATE"], split="dev", remark=DEV_REMARK),
        odd("wol", "LOC", "support", rows["LOC"] + 2, rows["LOC"], split="dev", remark=DEV_REMARK),
        odd("wol", "MISC", "support", rows["DATE"], 0, split="dev", remark=DEV_REMARK),
    ]


def test_a_changed_tag_changes_the_scores_and_is_listed(models: Path, gold: Gold) -> None:
    path = target_path(models, TINY[0], "hau", "test_predictions.txt")
    values, rows = reported(path.with_name("test_results.txt"))
    edit(path, " B-PER\n", " B-MISC\n")
    predicted = [[row[1] for row in sentence] for sentence in read_columns(path)]
    wanted = score([list(one.tags) for one in gold.splits["hau", "test"].sentences], predicted).default
    found = measured(models, gold)
    overall = {one.measure: one for one in found.disagreements if one.category == ALL}
    assert overall.keys() <= set(MEASURES) and "f1" in overall
    for measure, one in overall.items():
        assert one.reported == values[measure] and one.rescored == pytest.approx(getattr(wanted[ALL], measure))
        assert metrics_of(found)[f"test_{measure}/hau"] == one.rescored
    assert odd("hau", "MISC", remark="category is not in the report") in found.disagreements
    assert {one.category for one in found.disagreements} <= {ALL, "MISC", "PER"}
    assert {one.target for one in found.disagreements} == {"hau"}
    assert metrics_of(found)["test_support/hau/MISC"] == 0 and len(rows) == 4


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")


def test_words_without_a_tag_at_a_sentences_end_are_outside(models: Path, gold: Gold) -> None:
    path = target_path(models, TINY[0], "swa", "test_predictions.txt")
    before = metrics_of(measured(models, gold))
    lines = lines_of(path)
    ends = [i for i, line in enumerate(lines) if line.endswith(" O") and not lines[i + 1] and lines[i - 1]]
    dropped = {ends[0], ends[2], ends[2] - 1}
    tags = [lines[i].rpartition(" ")[2] for i in sorted(dropped)]
    assert tags == ["O"] * 3
    path.write_text("\n".join(line for i, line in enumerate(lines) if i not in dropped))
    found = measured(models, gold)
    assert found.disagreements == [odd("swa", remark="no predicted tag of 3 words; taken as O")]
    assert metrics_of(found) == before
    text = found.measured.files["predictions/swa.test.txt"]
    assert isinstance(text, str)
    columns = [tuple(line.split(" ")[::2]) for line in text.strip("\n").split("\n")]
    assert columns == [tuple(line.split(" ")) for line in "\n".join(lines).strip("\n").split("\n")]


@pytest.mark.parametrize("target", ["swa", "wol"])
@pytest.mark.parametrize(
    ("change", "remark"),
    [
        (lambda lines: ["x" + lines[0], *lines[1:]], "sentence 1 of test_predictions.txt is not that of the corpus"),
        (lambda lines: lines[1:], "sentence 1 of test_predictions.txt is not that of the corpus"),
        (
            lambda lines: [*lines[: lines.index("")], "more O", *lines[lines.index("") :]],
            "sentence 1 of test_predictions.txt is not that of the corpus",
        ),
        (
            lambda lines: lines[lines.index("") + 1 :],
            "test_predictions.txt has {fewer} sentences, the corpus {sentences}",
        ),
        (lambda lines: [""], "test_predictions.txt has 0 sentences, the corpus {sentences}"),
    ],
)
def test_predictions_of_other_sentences_are_not_scored(
    target: str, change: Callable[[list[str]], list[str]], remark: str, models: Path, gold: Gold
) -> None:
    before = metrics_of(measured(models, gold))
    paths = [target_path(models, TINY[0], target, "test_predictions.txt")]
    paths += [models / TINY[0].folder / "test_predictions.txt"] if target == "wol" else []
    for path in paths:
        path.write_text("\n".join(change(lines_of(path))), encoding="utf-8")
    found = measured(models, gold)
    sentences = len(gold.splits[target, "test"].sentences)
    text = remark.format(sentences=sentences, fewer=sentences - 1)
    assert found.disagreements == [odd(target, remark=f"not scored anew: {text}")]
    lost = {name for name in before if re.match(rf"test_.*/{target}\b", name)}
    lost |= {"source_test_f1"} if target == "wol" else set()
    assert metrics_of(found) == {name: value for name, value in before.items() if name not in lost}
    assert f"reported/test_f1/{target}" in before and f"test_f1/{target}" in lost
    assert f"predictions/{target}.test.txt" not in found.measured.files


def test_the_fine_tunings_own_scores_of_its_source_count(models: Path, gold: Gold) -> None:
    own = reported(models / TINY[0].folder / "test_results.txt")[0]["f1"]
    set_value(target_path(models, TINY[0], "wol", "test_results.txt"), "f1", "0.5")
    remark = "{} of the fine-tuning differs from that of v20; the former counts"
    found = measured(models, gold)
    assert found.disagreements == [odd("wol", remark=remark.format("test_results.txt"))]
    edit(target_path(models, TINY[0], "wol", "test_predictions.txt"), " O\n", " B-LOC\n")
    found = measured(models, gold)
    assert found.disagreements == [
        odd("wol", remark=remark.format(name)) for name in ("test_results.txt", "test_predictions.txt")
    ]
    metrics = metrics_of(found)
    assert metrics["reported/test_f1/wol"] == own and metrics["test_f1/wol"] == pytest.approx(own, abs=1e-9)


def test_a_cell_without_further_targets_is_scored_on_its_source(models: Path, gold: Gold) -> None:
    files = replace(files_of(models), targets={})
    found = published_scores.measure(files, gold, "key")
    scored = {name for name in metrics_of(found) if name.startswith("test_f1/") and name.count("/") == 1}
    assert found.disagreements == [] and scored == {"test_f1/wol"}


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("eval_results.txt", "loss = ", "lost = ", r"eval_results\.txt:2: 'lost = "),
        ("test_predictions.txt", " O\n", "\n", r"test_predictions\.txt:\d+: '.*' is not a word, one space and a tag"),
        ("test_predictions.txt", " O\n", " E-PER\n", r"test_predictions\.txt:\d+: tag 'E-PER' is not O, B-<category>"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(
    file: str, old: str, new: str, message: str, models: Path, gold: Gold
) -> None:
    path = models / TINY[0].folder / file
    edit(path, old, new)
    with pytest.raises(InputError, match=message):
        measured(models, gold)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match=rf"{file}:1: not UTF-8"):
        measured(models, gold)


def test_the_key_stands_for_every_byte_and_for_no_place(shared_data: Path, models: Path, gold: Gold) -> None:
    sample = shared_data / "published_sample" / published_files.MODELS
    targets = {target: sample / "v20" / target_folder(TINY[0], target) for target in LANGUAGES}
    key = published_scores.key_of(Files(TINY[0], sample / TINY[0].folder, targets), gold)
    files = files_of(models)
    assert published_scores.key_of(files, gold) == key
    keys = {key}
    for path in (
        files.folder / "config.json",
        files.folder / "eval_results.txt",
        files.targets["hau"] / "test_results.txt",
    ):
        path.write_bytes(path.read_bytes() + b"\n")
        keys.add(published_scores.key_of(files, gold))
    keys.add(published_scores.key_of(replace(files, targets={}), gold))
    for language, split in (("wol", "dev"), ("swa", "test")):
        changed = gold.splits | {(language, split): replace(gold.splits[language, split], digest="another")}
        keys.add(published_scores.key_of(files, Gold(changed)))
    assert len(keys) == 1 + 3 + 1 + 2
    without = Gold({where: one for where, one in gold.splits.items() if where[0] == "wol"})
    alone = replace(files, targets={})
    assert published_scores.key_of(alone, without) == published_scores.key_of(alone, gold)
