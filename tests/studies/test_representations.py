"""Embedding the models of a study: tracked once each, what is gone is listed, and the report shows what was found."""

import csv
from pathlib import Path

import pytest
from folder_store import opened
from tiny import save_tiny_corpora, save_tiny_start

from analysis.reading import files, read
from analysis.report import report
from nertransfer.core import schema
from nertransfer.core.commandline import build
from nertransfer.core.config import AnalyseConfig, EmbedConfig, TrainConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import Recipe, RunOptions
from nertransfer.studies.embeddings import embed
from nertransfer.studies.runner import train
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import Run, Study, kind_runs
from nertransfer.training.accelerator import make_accelerator

LANGUAGES = ("aaa", "bbb", "ccc")
CELL = {"start": "tiny=tiny", "data": "data", "device": "cpu", "epochs": "2", "learning_rate": "5e-3",
        "batch_size": "8", "max_length": "32", "checkpoint_minutes": "-1", "work_dir": "work"}  # fmt: skip
EMBED = {"data": "data", "device": "cpu", "work_dir": "work", "layers": "1,2"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three cells: two seeds with weights, and one whose weights are gone."""
    folder = tmp_path_factory.mktemp("embedding")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        save_tiny_start(folder / "tiny")
        save_tiny_corpora(folder / "data", LANGUAGES)
        here = opened(folder, "data")
        accelerator = make_accelerator(Recipe(), RunOptions(device="cpu"))
        for source, seed, keep in (("aaa", "1", "true"), ("aaa", "2", "true"), ("bbb", "1", "true")):
            given = {"source": source, "seed": seed, "keep_weights": keep}
            train(build(TrainConfig, CELL | given), here, accelerator)
        (gone,) = (run for run in cell_runs(here, "FINISHED") if run.data.tags[schema.SOURCE] == "bbb")
        key = gone.data.tags[schema.CELL_KEY]
        (folder / "work" / "cells" / key / "model").rename(folder / "weights-of-bbb")
        yield here  # type: ignore[misc]


def embeddings(study: Study) -> list[Run]:
    return kind_runs(study, schema.KIND_EMBEDDING)


def analyse(study: Study, output: str) -> Path:
    given = {"study": study.name, "tracking_uri": study.uri, "data": "data", "output": output}
    return report.write(build(AnalyseConfig, given)).parent


def test_starts_and_cells_are_embedded_once_and_what_is_gone_is_listed(study: Study) -> None:
    before = analyse(study, "before")
    assert "representations of entity words" not in (before / "index.html").read_text(encoding="utf-8")
    assert not (before / "embeddings").exists()

    for changes, message in (
        ({"layers": "4"}, "layers=4 is not allowed: the model has 2 hidden layers"),
        ({"models": "nowhere"}, "start 'nowhere' is unknown"),
        ({"models": "runs:/0123"}, "model='runs:/0123' is not there"),
        ({"models": "models:/none@champion"}, "cannot be loaded"),
    ):
        with pytest.raises(InputError, match=message):
            embed(build(EmbedConfig, EMBED | changes), study)
    assert embeddings(study) == []

    first = embed(build(EmbedConfig, EMBED), study)
    assert first.embedded == ["tiny", "tiny-aaa-s1", "tiny-aaa-s2"]
    assert set(first.absent) == {"tiny-bbb-s1"} and "keep_weights=true" in first.text()
    tags = {run.data.tags[schema.MODEL]: run.data.tags for run in embeddings(study)}
    assert schema.SOURCE not in tags["tiny"] and tags["tiny-aaa-s2"][schema.SEED] == "2"
    assert len({one[schema.WORDS_DIGEST] for one in tags.values()}) == 1
    params = embeddings(study)[0].data.params
    assert params["cfg/layers"] == "1,2" and len(params["cfg/fingerprint"]) == 64

    again = embed(build(EmbedConfig, EMBED), study)
    assert (again.embedded, again.found) == ([], first.embedded) and len(embeddings(study)) == 3
    assert embed(build(EmbedConfig, EMBED | {"models": "tiny=tiny", "layers": "1"}), study).embedded == ["tiny"]

    folder = analyse(study, "after")
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "representations of entity words" in page and "1 start and 2 cells" in page
    tables = {p.stem: list(csv.DictReader(p.open(encoding="utf-8"))) for p in (folder / "embeddings").glob("*.csv")}
    assert [row["model"] for row in tables["models"]] == ["tiny", "tiny-aaa-s1", "tiny-aaa-s2", "tiny"]
    pairs = {(row["model"], row["source"], row["target"]) for row in tables["alignment"]}
    assert len(pairs) == 9 + 2 * 3  # a start from every language, a cell from its own source
    means = {(row["stage"], row["source"], row["target"]): row for row in tables["alignment_means"]}
    assert len(means) == len(tables["alignment_means"]) == 9 + 3
    cells = [row for row in tables["alignment"] if (row["stage"], row["target"]) == ("fine-tuned", "ccc")]
    mean = means["fine-tuned", "aaa", "ccc"]
    assert len(cells) == 2 and mean["models"] == "2" and means["start", "bbb", "ccc"]["models"] == "1"
    for measure in ("accuracy", "distance"):
        assert float(mean[measure]) == pytest.approx(sum(float(row[measure]) for row in cells) / 2)
    assert ("tiny", "1,2", "tiny", "1") in {
        (row["model"], row["layers"], row["other_model"], row["other_layers"]) for row in tables["cka"]
    }
    figures = {row["figure"] for row in tables["points"]}
    assert {"languages-tiny", "seeds-tiny-aaa-aaa"} <= figures
    for name in figures:
        assert (folder / f"figures/embeddings-{name}.png").read_bytes().startswith(b"\x89PNG")
    assert {row["compared"] for row in tables["seeds"]} == {"seeds", "categories"}


def test_an_embedding_of_other_data_is_not_used_and_says_why(study: Study) -> None:
    text = Path("data/ccc/train.txt").read_text(encoding="utf-8")
    Path("data/ccc/train.txt").write_text(text + "\nq O\n", encoding="utf-8")
    embed(build(EmbedConfig, EMBED | {"models": "other=tiny"}), study)
    Path("data/ccc/train.txt").write_text(text, encoding="utf-8")
    table, used = files.embeddings(read.read(study.uri, study.name), study.uri)
    row = table.set_index("model").loc["other"]
    assert (row["used"], row["reason"]) == (False, "the corpus of ccc is not the one that was scored")
    assert "other" not in {one.name for one in used}
