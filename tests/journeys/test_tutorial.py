"""A new user's path, by the commands of docs/tutorial.md: from CoNLL files of a language that no catalogue knows to a
recommendation, a registered model and highlighted entities."""

import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from documented import TUTORIAL, blocks
from folder_store import make_store
from project_scripts import ROOT
from tiny import save_tiny_corpora, save_tiny_start, texts_of

LANGUAGES = ("aaa", "bbb", "ccc", "ddd", "xyz")
TEXT = TUTORIAL.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's folder: corpora, a text, two starts, the study file with what is not on the hub."""
    folder = tmp_path_factory.mktemp("user")
    save_tiny_corpora(folder / "mydata", LANGUAGES)
    sentences = texts_of(folder / "mydata" / "xyz" / "test.txt")
    (folder / "xyz.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    for number, name in enumerate(("one", "two")):
        save_tiny_start(folder / name, number)
    (shown,) = blocks(TEXT, "yaml")
    study = yaml.safe_load(shown)
    assert set(study) == {"data", "study", "starts", "seeds"}
    study |= {"starts": ["base=one", "swa=two"], "seeds": [1], "epochs": 8, "learning_rate": 5e-3, "batch_size": 8,
              "max_length": 32, "device": "cpu"}  # fmt: skip
    (folder / "mystudy.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    (folder / "entrypoints").symlink_to(ROOT / "entrypoints")
    make_store(folder)
    return folder


def test_every_command_of_the_tutorial_does_what_it_says(place: Path, python: str) -> None:
    environment = os.environ | {"PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"}
    script = "set -e\n" + "\n".join(blocks(TEXT, "bash"))
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = place / "reports" / "mystudy"
    results = pd.read_csv(report / "results.csv")
    zero_shot = results[(results.target == "xyz") & (results.source != "xyz") & (results.split == "test")]
    assert set(zero_shot.start) == {"base", "swa"} and set(zero_shot.source) == set(LANGUAGES) - {"xyz"}
    assert (report / "errors" / "xyz.html").is_file() and len(pd.read_csv(report / "missing.csv")) == 0
    recommended = pd.read_csv(report / "recommended" / "xyz-base.csv")
    assert recommended["source"].iloc[0] in ("aaa", "ccc")  # those that do not spell everything backwards
    page = (place / "xyz.entities.html").read_text(encoding="utf-8")
    assert page.count("<mark") >= 15 and "PER" in page and "LOC" in page
    assert "ner-xyz: alias champion points to version" in done.stdout
    assert "viewStateShareKey=configurations" in done.stdout
