"""The race of benchmarks/speed.py: all contenders do the same work, and the file has what it promises. Never times."""

import argparse
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from project_scripts import ROOT
from tiny import save_tiny_corpora, save_tiny_start

sys.path.insert(0, str(ROOT / "benchmarks"))

import bench_data
import embedding
import gpu
import speed
import speed_measures as measures
import speed_workloads as workloads

from nertransfer.core.options import Recipe


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> workloads.Config:
    """Two batches of a tiny model, every word of it in windows of at most 24 sub-tokens."""
    folder = tmp_path_factory.mktemp("race")
    data = save_tiny_corpora(folder / "data")
    recipe = Recipe(epochs=1, batch_size=8, max_length=40, learning_rate=1e-3)
    return workloads.Config(
        data, save_tiny_start(folder / "tiny"), folder / "none", source="aaa", recipe=recipe,
        threads=torch.get_num_threads(), rounds=2, batches=2, bf16=True,
        workloads=("training", "scoring", "tokenising", "quality"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(config: workloads.Config, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the file says."""
    folder = tmp_path_factory.mktemp("result")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "MATRIX", 128)
        speed.run(config, folder, check=True, output=folder / "out" / "speed.json")
    return json.loads((folder / "out" / "speed.json").read_text(encoding="utf-8"))


def test_on_the_same_batches_the_losses_of_all_agree(result: dict) -> None:
    for name in ("training", "training-xlmr-small"):
        found = result["check"][name]
        assert found["steps"] == 2 and set(found["differences"]) == {"published", "example"}
        assert max(found["differences"].values()) < 1e-5
        assert found["losses"]["ours"][0] != found["losses"]["ours"][1]


def test_all_contenders_give_the_same_labels_and_ids(result: dict) -> None:
    assert result["check"]["right"] is True
    scored = result["workloads"]["scoring"]["agreement"]
    assert scored["differing"] == {"published": 0, "example": 0, "pipeline": 0}
    assert scored["compared_words"] == result["workloads"]["scoring"]["facts"]["words"] > 100
    assert not scored["sentences_left_out"] and scored["entity_words"]
    ids = result["workloads"]["tokenising"]["agreement"]
    assert ids == {"compared_sentences": 16, "differing": {"published": 0, "example": 0}}


def test_the_file_has_times_medians_spreads_and_ratios_of_every_contender(result: dict) -> None:
    for name, contenders in (
        ("training", ["published", "example", "ours", "ours in bf16"]),
        ("scoring", ["published", "example", "pipeline", "ours"]),
        ("tokenising", ["published", "example", "ours"]),
    ):
        found = result["workloads"][name]
        assert all(sorted(order) == sorted(contenders) for order in found["orders"]) and len(found["orders"]) == 2
        for contender in contenders:
            assert [set(m) for m in found["measurements"][contender]] == [{"cpu_seconds", "wall_seconds"}] * 2
            assert set(found["summary"][contender]["cpu_seconds"]) == {"median", "lower_quartile", "upper_quartile"}
        ratio = found["ratios"]["published/ours"]["cpu_seconds"]
        published, ours = (found["measurements"][c] for c in ("published", "ours"))
        assert ratio["rounds"] == [a["cpu_seconds"] / b["cpu_seconds"] for a, b in zip(published, ours, strict=True)]
    assert set(result["workloads"]["training"]["utilisation"]) == set(result["workloads"]["training"]["measurements"])
    assert result["hardware"]["cores"] and result["versions"]["torch"] and result["options"]["rounds"] == 2
    assert "check: all agree" in speed.table(result)


def test_every_round_of_quality_is_another_seed(result: dict) -> None:
    made = result["workloads"]["quality"]["measurements"]
    assert [set(m) for m in itertools.chain(*made.values())] == [{"test_f1"}] * 6
    assert made["ours"][0] != made["ours"][1]


def test_bf16_is_raced_in_bf16_and_everything_else_as_before(config: workloads.Config) -> None:
    setting = workloads.Setting(config)
    train = setting.encoded(setting.train(2))
    contenders = workloads.training(setting, setting.start, train, setting.read).contenders
    before, in_bf16, after = (contenders[name]()() for name in ("ours", "ours in bf16", "ours"))
    assert before == after != in_bf16
    assert before == pytest.approx(in_bf16, abs=0.05)


def test_trimming_counts_what_it_saves_and_changes_no_loss(config: workloads.Config, tmp_path: Path) -> None:
    big = workloads.save_xlm_roberta(tmp_path / "big", **workloads.SMALL)
    workload = workloads.trimming(workloads.Setting(replace(config, xlm_roberta=big, steps=2)))
    rows, parameters = workload.facts["rows"], workload.facts["parameters"]
    assert rows["whole"] == workloads.XLM_ROBERTA_BASE.vocab_size > rows["all languages"] >= rows["ours"] > 3
    saved = (rows["whole"] - rows["ours"]) * workloads.SMALL["hidden_size"]
    assert parameters["whole"] - parameters["ours"] == saved
    outputs = {name: prepare()() for name, prepare in workload.contenders.items()}
    assert workloads.compare_outputs(outputs) == {
        "compared_losses": 2, "differing": {"whole": 0, "all languages": 0},
    }  # fmt: skip
    assert workloads.compare_outputs(outputs | {"whole": [0.0, outputs["ours"][1]]})["differing"]["whole"] == 1


def test_ratios_are_of_the_same_round_and_spreads_are_quartiles() -> None:
    made = {"a": [{"s": 2.0}, {"s": 9.0}, {"s": 4.0}], "b": [{"s": 1.0}, {"s": 3.0}, {"s": 4.0}]}
    expected = {"rounds": [2.0, 3.0, 1.0], "median": 2.0, "lower_quartile": 1.5, "upper_quartile": 2.5}
    assert measures.ratios(made) == {"a/b": {"s": expected}}


def test_another_label_another_id_or_another_loss_is_not_right() -> None:
    tags = workloads.compare_tags({"published": [["O", "B-X"], [None]], "ours": [["O", "O"], ["O"]]})
    assert tags["differing"] == {"published": 1} and tags["compared_words"] == 2
    assert tags["sentences_left_out"] == 1 and tags["untagged_words"] == {"published": 1, "ours": 0}
    assert not workloads.is_right({"scoring": tags})
    assert not workloads.is_right({"training": {"differences": {"published": 1e-4}}})
    assert workloads.is_right({"training": {"differences": {"published": 1e-7}}})


def test_full_windows_keep_each_word_and_its_label_together(config: workloads.Config) -> None:
    setting = workloads.Setting(replace(config, batches=0))
    train = setting.encoded(setting.train(0))
    firsts = {word: w.ids[place] for w in train.windows for place, word in zip(w.positions, w.words, strict=True)}
    full = workloads.full_windows(train, 8, 32)
    assert [len(window.ids) for window in full.windows] == [32] * 8
    for window in full.windows:
        assert [window.ids[place] for place in window.positions] == [firsts[word] for word in window.words]


@pytest.mark.parametrize("words", ["entity", "all"])
def test_embedding_words_at_once_gives_the_vectors_of_one_pass_a_word(
    config: workloads.Config, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setattr(embedding, "WINDOW", 32)
    monkeypatch.setattr(embedding, "LAYERS", (1, 2))
    result = embedding.run(config.start, config.data, rounds=1, sample=10, words=words)
    contenders = {"ours", "bare", "bare unpadded", "word by word", "published"}
    assert set(result["measurements"]) == contenders
    assert (result["facts"]["words"] == 80) == (words == "entity") and result["agreement"]["compared"] == 10
    assert result["agreement"]["greatest_difference"] < 1e-5
    assert all(name in embedding.table(result) for name in contenders)


def test_the_program_for_gpus_runs_as_a_whole(tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tiny encoder, and without a GPU where there is none."""
    data, output = save_tiny_corpora(tmp_path / "data", ("hau", "luo")), tmp_path / "gpu.json"
    for name in ("TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    arguments = ["--data", data, "--work", tmp_path / "work", "--processes", "1", "--output", output]
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--small", *map(str, arguments)])
    monkeypatch.setattr(sys, "executable", python)
    gpu.main()
    found = json.loads(output.read_text(encoding="utf-8"))
    assert set(gpu.STAGES) < set(found)
    assert not {name: found[name]["failed"] for name in gpu.STAGES if "failed" in found[name]}
    assert found["cell"]["hau"]["words_scored"] == found["languages"]["luo"]["words_scored"] > 100
    assert found["agreement"]["fp32"]["losses"] == 4 and found["agreement"]["fp32"]["greatest_difference"] < 1e-4
    assert max(found["race"]["differences"].values()) < 1e-5
    assert set(found["scoring"]["agreement"]["differing"].values()) == {0}
    assert len(found["side by side"]["1"]["cells"]) == 1
    mean = found["languages"]["mean"]
    assert 0 < mean["save_s"] < mean["cell_s"] and mean["train_and_score_s"] < mean["cell_s"]


def test_the_program_for_gpus_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for arguments, message in (([], "there is no GPU here"), (["--small", "--stages", "cell,race2"], "race2: one of")):
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--work", str(tmp_path / "work"), *arguments])
        with pytest.raises(SystemExit):
            gpu.main()
        assert message in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_a_benchmark_finds_its_corpora_or_says_in_one_line_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser(prog="bench")
    folder = save_tiny_corpora(tmp_path / "around" / "masakhaner", ("hau",))
    monkeypatch.setenv(bench_data.VARIABLE, str(tmp_path / "around"))
    assert bench_data.folder(parser, None) == bench_data.folder(parser, str(folder)) == folder
    monkeypatch.setenv(bench_data.VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(SystemExit):
        bench_data.folder(parser, None)
    assert "nothing/masakhaner' does not exist" in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.delenv(bench_data.VARIABLE)
    downloaded = []
    monkeypatch.setattr("nertransfer.corpora.download.ensure", lambda name, _: downloaded.append(name) or tmp_path)
    assert bench_data.folder(parser, None) == tmp_path and downloaded == ["masakhaner"]
