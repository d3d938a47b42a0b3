"""What a study would do and cost, told before anything runs; telling it changes nothing."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from folder_store import opened
from project_scripts import ROOT
from tiny import save_tiny_corpora, save_tiny_start

from nertransfer.commands import study_file
from nertransfer.core import schema
from nertransfer.core.commandline import build, parameters
from nertransfer.core.config import StudyConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus
from nertransfer.encoders import device, starts
from nertransfer.encoders.tokenization import encode
from nertransfer.studies import speed
from nertransfer.studies.costs import BASE_BYTES, foresee, text
from nertransfer.tracking.runs import cell_tags
from nertransfer.tracking.store import Study
from nertransfer.training.cell import make_cell, recipe_digest

SETTINGS = {"data": "data", "starts": "tiny=tiny,twin=tiny", "seeds": "0,1,2", "device": "cpu", "max_length": "32"}
LANGUAGES = ("aaa", "bbb", "ccc")
SPEED = speed.Speed(step=2.0, trained=0.01, scored=0.002)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny start and tiny corpora of three languages."""
    folder = tmp_path_factory.mktemp("forecast")
    save_tiny_start(folder / "tiny")
    save_tiny_corpora(folder / "data", LANGUAGES)
    return folder


@pytest.fixture(autouse=True)
def asked(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[speed.Asked]:
    """Nothing is in the caches, no GPU is looked for, and the device's speed is `SPEED`; what was asked of it."""
    found: list[speed.Asked] = []

    def measured(asked: speed.Asked, _: float = 1.0) -> speed.Speed:
        found.append(asked)
        return SPEED

    monkeypatch.chdir(folder)
    monkeypatch.setenv("NERTRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(speed, "measured", measured)
    return found


def configuration(**changes: str) -> StudyConfig:
    return build(StudyConfig, SETTINGS | changes)


def tree(*folders: Path) -> Mapping[str, tuple[int, int]]:
    """Every file and folder below with its size and the time it was changed."""
    found = {}
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            found[str(path)] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found


def line(shown: str, start: str) -> str:
    """The rest of the one line that begins with a word."""
    (found,) = [rest for rest in shown.splitlines() if rest.startswith(start)]
    return found.removeprefix(start).strip()


# --- without a store ---------------------------------------------------------------------------------


def test_everything_is_missing_where_there_is_no_study() -> None:
    found = foresee(configuration(), None)
    assert (found.cells, found.finished, found.scores) == (2 * 3 * 3, 0, 2 * 3 * 3 * 3)
    assert found.done == {} and [note for note in found.notes if "no GPU here" not in note] == []
    assert found.device.endswith("without a GPU")


def test_sources_targets_and_pivots_are_counted() -> None:
    found = foresee(configuration(sources="aaa,bbb", targets="ccc", seeds="7"), None)
    assert (found.cells, found.scores) == (4, 4)
    found = foresee(
        configuration(starts="own", adapted="aaa=tiny,bbb=tiny", sources="aaa,bbb", pivots="aaa", seeds="1,2"), None
    )
    assert found.grid.pairs == [("aaa", "aaa"), ("bbb", "aaa"), ("bbb", "bbb")]
    assert (found.cells, found.scores) == (6, 18)


def test_foreseeing_makes_no_file_and_no_folder(folder: Path, tmp_path: Path) -> None:
    before = tree(folder, tmp_path)
    planted = build(StudyConfig, {"device": "cpu", "starts": "base,qka"})
    published = build(StudyConfig, {"device": "cpu", "data": "masakhaner", "starts": "base,own"})
    for config in (configuration(), planted, published):
        assert text(foresee(config, None), "s", "sqlite:///none.db")
    assert tree(folder, tmp_path) == before


def test_the_text_tells_axes_configurations_and_counts() -> None:
    adapted = "aaa=tiny,bbb=tiny"
    config = configuration(sources="aaa,bbb", seeds="0,5", starts="tiny=tiny,own", adapted=adapted, pivots="ccc")
    shown = text(foresee(config, None), "mine", "http://me:secret@host:5000")
    assert shown.splitlines()[0] == f"study mine on http://host:5000; cells run on {device.name('cpu')}"
    assert "  starts   tiny, own; on ccc every own start" in shown
    assert "  sources  aaa, bbb\n  targets  aaa, bbb, ccc\n  seeds    0, 5\n" in shown
    rows = [tuple(row.split()) for row in shown.splitlines() if row.split()[-2:] == ["0", "2"]]
    assert rows == [
        (start, source, "0", "2")
        for start, source in [
            ("tiny", "aaa"), ("tiny", "bbb"), ("aaa", "aaa"), ("aaa", "ccc"), ("bbb", "bbb"), ("bbb", "ccc"),
        ]
    ]  # fmt: skip
    assert line(shown, "configurations") == "6"
    assert line(shown, "cells ") == "12: 0 done, 12 missing"
    assert line(shown, "scores") == "36 (cell, target), each on dev and test"
    assert line(shown, "time").startswith("about ")


def test_disk_is_the_best_seeds_weights_and_what_cells_at_work_need() -> None:
    size = Path("tiny/model.safetensors").stat().st_size
    found = foresee(configuration(), None)
    assert (found.at_once, found.stored_bytes, found.working_bytes) == (1, 6 * size, 4 * size)
    found = foresee(configuration(workers="3", keep_weights="true"), None)
    assert (found.at_once, found.working_bytes) == (3, 3 * 4 * size + 2 * 6 * size)


def test_a_study_that_cannot_be_laid_out_has_no_forecast() -> None:
    with pytest.raises(InputError, match="sources=xyz is not in the data: one of aaa, bbb, ccc"):
        foresee(configuration(sources="xyz"), None)


def shipped(name: str, **changes: str) -> StudyConfig:
    texts = study_file.read(ROOT / "studies" / name, [p.name for p in parameters(StudyConfig)]).texts
    return build(StudyConfig, texts | changes)


def test_the_published_study_is_told_without_its_data_and_starts(asked: list[speed.Asked]) -> None:
    shown = text(foresee(shipped("masakhaner.yaml", device="cpu"), None), "masakhaner", "sqlite:///none.db")
    assert line(shown, "configurations") == "38"
    assert "190: 0 done, 190 missing" in line(shown, "cells ")
    assert line(shown, "scores").startswith("1,900 ")
    (only,) = asked  # eleven starts of one size
    assert (only.config.hidden_size, only.config.num_hidden_layers, only.recipe.batch_size) == (768, 12, 32)
    # a cell: 50 epochs of 58 steps and 80 thousand sub-tokens, and ten languages to score
    each = 50 * (58 * 2.0 + (42500 * 1.8 + 2 * 1840) * 0.01) + 10 * (18700 * 1.8 + 2 * 790) * 0.002
    hours = 190 * (each + 1 + 4e-9 * BASE_BYTES) / 3600
    assert line(shown, "time").startswith(f"about {hours:.0f} h with 1 at a time (")
    basis = line(shown, "time")
    assert "of xlm-roberta-base's size" in basis and "the mean size of the corpora of masakhaner" in basis
    assert "RTX 3090" not in shown
    assert line(shown, "disk").startswith(f"{38 * BASE_BYTES / 1e9:.1f} GB in the artifact store")
    notes = [row.removeprefix("note").strip() for row in shown.splitlines() if row.startswith("note")]
    assert notes[0].startswith("the corpora of data=masakhaner are not on this machine yet: finished cells")
    assert notes[1].startswith("there is no GPU here, and a processor takes hours for a cell")


def test_what_cannot_be_measured_is_not_told_by_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(speed, "measured", fail)
    shown = text(foresee(shipped("masakhaner.yaml", device="cpu"), None), "masakhaner", "sqlite:///none.db")
    assert line(shown, "time") == (
        "unknown until the first cell of this recipe finishes, as nothing could be measured here: out of memory"
    )
    assert "there is no GPU here" in shown
    monkeypatch.setattr("nertransfer.encoders.device.gpus", lambda _: 1)
    shown = text(foresee(shipped("masakhaner.yaml"), None), "masakhaner", "sqlite:///none.db")
    assert line(shown, "time").endswith(
        "(10 to 30 min a cell on an RTX 3090 as published, as nothing could be measured here: out of memory)"
    )
    found = foresee(configuration(), None)
    assert found.seconds is None and "unknown until the first cell of this recipe finishes" in found.basis


def test_a_cluster_is_not_measured_on_the_machine_that_submits(asked: list[speed.Asked]) -> None:
    found = foresee(shipped("masakhaner.yaml", device="cpu", executor="slurm"), None)
    assert len(asked) == 0 and found.device == "the nodes of Slurm, not this machine"
    assert found.at_once == 32 and found.seconds == (6 * 600.0, 6 * 1800.0)  # 190 cells in 6 rounds
    assert found.basis.endswith("on an RTX 3090 as published, as the nodes are not this machine")
    assert not [note for note in found.notes if "GPU" in note]


def test_cells_that_run_at_the_same_time_take_less_of_it(asked: list[speed.Asked]) -> None:
    alone, both = (foresee(configuration(workers=workers), None) for workers in ("1", "2"))
    assert alone.seconds is not None and both.seconds is not None
    assert both.seconds[0] == pytest.approx(alone.seconds[0] / 2)  # as if each were as quick with half the threads
    threads = torch.get_num_threads()
    assert [one.threads for one in asked] == [threads, max(1, threads // 2)]


def test_a_start_that_is_at_hand_is_measured_with_its_size_and_its_sub_tokens(asked: list[speed.Asked]) -> None:
    found = foresee(configuration(starts="tiny=tiny", sources="aaa,bbb", targets="ccc", seeds="1"), None)
    (only,) = asked
    assert only.config.hidden_size == 32 and "with random weights of the starts' sizes" in found.basis
    corpora = corpus.load(DataOptions(data="data"))
    tokenizer = starts.load_tokenizer(starts.Start("tiny", "tiny"))
    per_word = only.per_word
    words = [sentence.words for name in ("aaa", "bbb") for sentence in corpora[name].train.sentences]
    assert only.lengths == [len(window.ids) for window in encode(words, tokenizer, 32).windows]
    sizes = {(name, split): corpora[name].splits[split] for name in LANGUAGES for split in schema.SPLITS}
    tokens = {k: split.number_of_words * per_word + 2 * len(split.sentences) for k, split in sizes.items()}
    seconds = sum(
        50 * (2 * 2.0 + 0.01 * tokens[source, "train"])  # forty sentences in two batches of 32
        + 0.002 * sum(tokens[name, split] for name in ("ccc", source) for split in ("dev", "test"))
        for source in ("aaa", "bbb")
    )
    beside = 2 * (1 + 4e-9 * Path("tiny/model.safetensors").stat().st_size)
    assert found.seconds == pytest.approx((seconds + beside, seconds + beside))


def test_starts_of_two_sizes_are_measured_apart(folder: Path, asked: list[speed.Asked]) -> None:
    if not (folder / "deep").is_dir():
        save_tiny_start(folder / "deep", layers=3)
    foresee(configuration(starts="tiny=tiny,twin=tiny,deep=deep"), None)
    assert [one.config.num_hidden_layers for one in asked] == [2, 3]


def test_spans_of_time_are_told_in_hours_or_minutes() -> None:
    found = foresee(configuration(), None)
    for seconds, said in (((92.4 * 3600, 275.0 * 3600), "92 to 275 h"), ((600.0, 1800.0), "10 to 30 min"),
                          ((90.0, 90.0), "1.5 min")):  # fmt: skip
        shown = text(dataclasses.replace(found, seconds=seconds), "s", "sqlite:///none.db")
        assert line(shown, "time").startswith(f"about {said} with 1 at a time")


# --- with a store ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study in which tiny is finished on aaa with seeds 0 and 2, 20 s each, and on bbb with seed 1, 40 s."""
    study = opened(tmp_path_factory.mktemp("store"), "forecast")
    corpora = corpus.load(DataOptions(data=str(folder / "data")))
    start, config = starts.Start("tiny", str(folder / "tiny")), configuration()
    identity = starts.identify(start)
    for source, seed, seconds in (("aaa", 0, 15.0), ("aaa", 2, 15.0), ("bbb", 1, 35.0)):
        cell = make_cell(start, identity, corpora[source], seed, config.recipe)
        tags = {schema.KIND: schema.KIND_CELL} | cell_tags(cell, corpora)
        run_id = study.client.create_run(study.experiment_id, run_name=cell.name, tags=tags).info.run_id
        for name, value in {"train_seconds": seconds, "score_seconds": 5.0}.items():
            study.client.log_metric(run_id, name, value)
        for target in corpora:
            study.client.log_metric(run_id, schema.ScoreName("test", schema.F1, target).key, 0.5)
        study.client.set_terminated(run_id, "FINISHED")
    return study


def test_finished_cells_are_counted_by_configuration(study: Study, folder: Path, tmp_path: Path) -> None:
    before = tree(folder, tmp_path)
    found = foresee(configuration(), study)
    assert found.done == {("tiny", "aaa", None): [0, 2], ("tiny", "bbb", None): [1]}
    assert (found.cells, found.finished, list(found.notes)) == (18, 3, [])
    assert line(text(found, "s", study.uri), "cells ") == "18: 3 done, 15 missing"
    assert tree(folder, tmp_path) == before


def test_seeds_that_are_not_asked_for_are_not_counted(study: Study) -> None:
    found = foresee(configuration(starts="tiny=tiny", seeds="2,3", sources="aaa,ccc"), study)
    assert found.done == {("tiny", "aaa", None): [2]} and found.finished == 1


def test_another_recipe_or_a_changed_corpus_is_not_done(study: Study, folder: Path, tmp_path: Path) -> None:
    assert foresee(configuration(epochs="1"), study).finished == 0
    for name in LANGUAGES:
        (tmp_path / "data" / name).mkdir(parents=True)
        for split in schema.SPLITS:
            data = (folder / "data" / name / f"{split}.txt").read_text()
            changed = data.replace("ba O", "bo O", 1) if (name, split) == ("aaa", "test") else data
            (tmp_path / "data" / name / f"{split}.txt").write_text(changed)
    assert foresee(configuration(data=str(tmp_path / "data")), study).finished == 0
    assert foresee(configuration(data=str(tmp_path / "data"), targets="bbb,ccc"), study).finished == 3


def test_the_time_rests_on_the_finished_cells_and_the_words_that_are_left(study: Study) -> None:
    corpora = corpus.load(DataOptions(data="data"))
    words = {name: corpora[name].train.number_of_words for name in LANGUAGES}
    found = foresee(configuration(starts="tiny=tiny"), study)
    rate = (20.0 + 20.0 + 40.0) / (2 * words["aaa"] + words["bbb"])
    left = rate * (words["aaa"] + 2 * words["bbb"] + 3 * words["ccc"])
    assert found.seconds == pytest.approx((left, left))
    assert "as the 3 finished ones of this recipe" in found.basis


def test_nothing_is_left_of_a_finished_study(study: Study) -> None:
    found = foresee(configuration(starts="tiny=tiny", sources="aaa", seeds="0,2"), study)
    assert found.seconds == (0.0, 0.0)
    shown = text(found, "s", study.uri)
    assert line(shown, "cells ") == "2: 2 done, 0 missing" and line(shown, "time") == "nothing is missing"


def test_a_start_that_is_on_no_machine_is_a_note(study: Study) -> None:
    found = foresee(configuration(starts="tiny=tiny,far=owner/no-such-model"), study)
    assert found.done == {("tiny", "aaa", None): [0, 2], ("tiny", "bbb", None): [1]}
    (note,) = found.notes
    assert note.startswith("start far is not on this machine")
    assert line(text(found, "s", study.uri), "note") == note


def test_a_forecast_counts_what_it_holds() -> None:
    found = foresee(configuration(starts="tiny=tiny", seeds="0,1"), None)
    done = {("tiny", "aaa", None): [0, 1], ("tiny", "ccc", None): [1]}
    some = dataclasses.replace(found, done=done, seconds=(1800.0, 1800.0), basis="a guess")
    shown = text(some, "s", "sqlite:///none.db")
    rows = [tuple(row.split()[1:]) for row in shown.splitlines() if row.startswith("tiny ")]
    assert rows == [("aaa", "2", "0"), ("bbb", "0", "2"), ("ccc", "1", "1")]
    assert line(shown, "cells ") == "6: 3 done, 3 missing"
    assert line(shown, "time") == "about 30 min with 1 at a time (a guess)"


def test_imported_cells_tell_nothing_about_time(study: Study) -> None:
    tags = {
        schema.KIND: schema.KIND_CELL, schema.RECIPE_DIGEST: recipe_digest(configuration().recipe),
        schema.START: "base", schema.SOURCE: "aaa", schema.SEED: "0", schema.CELL_KEY: "imported",
    }  # fmt: skip
    before = foresee(configuration(), study)
    run_id = study.client.create_run(study.experiment_id, tags=tags | {schema.IMPORTED: "true"}).info.run_id
    study.client.set_terminated(run_id, "FINISHED")
    assert foresee(configuration(), study) == before
    study.client.delete_run(run_id)
