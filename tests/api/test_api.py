"""What a notebook uses: light to import, the numbers of the entry points, and messages that say what there is."""

import re
import subprocess
import sys
from pathlib import Path

import analysis_store as made
import matplotlib.figure
import pandas as pd
import published_frames
import pytest
from folder_store import make_store
from project_scripts import ROOT
from tiny import save_tiny_corpora, save_tiny_start
from tiny_models import register_tiny_model, save_tiny_mlflow_model

import nertransfer as nt
from analysis.report import study_analysis
from analysis.transfer.views import views
from nertransfer.core.errors import InputError
from nertransfer.tracking.store import client


def test_importing_costs_nothing_and_names_are_there() -> None:
    code = (
        "import sys, nertransfer as nt; assert not {'torch', 'mlflow', 'pandas'} & set(sys.modules);"
        "nt.load_corpora, nt.__version__; assert not {'torch', 'mlflow'} & set(sys.modules); print(nt.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+", done.stdout.strip())
    assert {*nt.__all__, "__version__"} <= set(dir(nt))
    assert all((getattr(nt, name).__doc__ or "").count("Examples") == 1 for name in nt.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        nt.fit  # noqa: B018


def test_an_analysis_of_ones_own_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "analysis.py").write_text("mine = 1\n")
    code = "import analysis, nertransfer as nt; nt.load_study('s')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "another module called analysis is imported" in done.stderr
    code = "import nertransfer as nt\ntry: nt.load_study('s')\nexcept nt.api.InputError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False)
    assert "mlflow.db" in done.stdout + done.stderr


def test_a_study_and_its_matrix_are_those_of_the_report(tmp_path: Path) -> None:
    uri = f"sqlite:///{make_store(tmp_path)}"
    opened = client(uri)
    experiment = opened.create_experiment("study", artifact_location=(tmp_path / "artifacts").as_uri())
    languages = ["nya", "aaa"]
    made.log_plan(opened, experiment, starts=["base"], sources=languages, targets=languages, seeds=[0, 1])
    for source in languages:
        for seed in (0, 1):
            made.log_cell(opened, experiment, ("base", source, seed), languages)
    scores = nt.load_study("study", uri)
    assert scores[["start", "source", "seed", "target", "split", "category"]].iloc[0].tolist() == [
        "base", "nya", 0, "nya", "dev", "ALL",
    ]  # fmt: skip
    matrix = nt.transfer_matrix(scores)
    assert matrix.index.tolist() == matrix.columns.tolist() == languages  # as planned
    expected = 100 * sum(made.f1("base", "nya", seed, "aaa") for seed in (0, 1)) / 2
    assert matrix.loc["nya", "aaa"] == pytest.approx(expected)
    with pytest.raises(InputError, match="'nostudy'"):
        nt.load_study("nostudy", uri)


def test_matrices_of_published_scores(shared_data: Path) -> None:
    scores = published_frames.every_published_score(shared_data)
    matrix = nt.transfer_matrix(scores, start="swa")
    plan = {
        "starts": ["swa"], "pairs": [("swa", name) for name in matrix.index], "pivots": [],
        "sources": list(matrix.index), "targets": list(matrix.columns),
    }  # fmt: skip
    (view,) = (one for one in views(scores, plan, list(matrix.columns)) if one.name == "swa")
    shown = view.cube(study_analysis.SPLIT).statistic("mean")
    pd.testing.assert_frame_equal(matrix, shown.loc[matrix.index, matrix.columns], check_names=False)
    for wrong, message in (
        ({"start": "sw"}, r"start='sw' is not in the scores; there are .*did you mean"),
        ({"category": "MISC"}, r"category='MISC' is not in the scores; there are ALL"),
        ({"measure": "f2"}, "no column 'f2'"),
    ):
        with pytest.raises(InputError, match=message):
            nt.transfer_matrix(scores, **wrong)


def test_scores_are_by_category_and_together() -> None:
    table = nt.score([["B-PER", "I-PER", "O"], ["B-LOC", "O"]], [["B-PER", "I-PER", "O"], ["O", "O"]])
    assert table.loc["ALL"].tolist() == [1.0, 0.5, pytest.approx(2 / 3), 2]
    assert table["support"].to_dict() == {"ALL": 2, "LOC": 1, "PER": 1}
    with pytest.raises(ValueError, match="sentence 1 has 2 gold tags but 1 predicted"):
        nt.score([["O", "O"]], [["O"]])


def test_the_documented_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny_corpora(tmp_path / "mydata")
    save_tiny_start(tmp_path / "base")
    register_tiny_model(f"sqlite:///{make_store(tmp_path)}", "hau", save_tiny_mlflow_model(tmp_path / "model"))
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(
            block.replace('start = "base"', 'start = "base=./base"').replace("epochs=3", "epochs=1, max_length=32"),
            names,
        )
    assert names["matrix"].shape == (2, 2) and names["matrix"].notna().all(axis=None)
    assert isinstance(names["figure"], matplotlib.figure.Figure)
    assert (tmp_path / "matrix.pdf").read_bytes().startswith(b"%PDF")
    again = nt.fine_tune(
        "base=./base", "aaa", "mydata", study="notebook", epochs=1, max_length=32
    )  # it is finished: read
    assert set(again["source"]) == {"aaa"} and set(again["target"]) == {"aaa", "bbb"}
    for wrong, message in (
        ({"epoch": 1}, "unknown parameter epoch"),
        ({"epochs": 0}, "epochs=0 is not allowed"),
        ({"num_processes": 2}, "num_processes is not allowed here"),
    ):
        with pytest.raises(InputError, match=message):
            nt.fine_tune("base=./base", "aaa", "mydata", **wrong)
    with pytest.raises(InputError, match="ner-swa"):
        nt.load_model("ner-swa")
    with pytest.raises(ValueError, match="inputs is a list of at least one string"):
        nt.predict(nt.load_model("ner-hau"), "one text")
