"""One cell: golden numbers, bit-identical repeats, kill and resume, several processes."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

import pytest
import torch
from absent import absent
from accelerate import Accelerator
from cell_process import RECIPE, as_json, measure
from project_scripts import ROOT
from tiny import save_tiny_corpora, save_tiny_start

from nertransfer.core import processes
from nertransfer.core.errors import InputError
from nertransfer.core.grid import FewShot
from nertransfer.core.options import RECIPES, DataOptions, Recipe, RunOptions
from nertransfer.corpora import corpus
from nertransfer.corpora.labels import label_list
from nertransfer.encoders import starts
from nertransfer.encoders.inference import predict
from nertransfer.scoring.reference import score
from nertransfer.training import cell as cells
from nertransfer.training.accelerator import check_can_compile, make_accelerator
from nertransfer.training.cell import RESULT_VERSION, make_cell, recipe_digest
from nertransfer.training.checkpoint import Checkpoint
from nertransfer.training.finetune import Callbacks, History, Machine, Training, fit
from nertransfer.training.run_cell import Encoder, score_splits

SCRIPT = ROOT / "tests" / "support" / "cell_process.py"
KILLED = 128 + signal.SIGKILL
"""Exit status, as a shell gives it."""


TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
"""What a Python is given to run a script in two processes, with that Python."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("cell")
    return save_tiny_start(folder / "tiny"), save_tiny_corpora(folder / "data")


def checkpoint_in(work_dir: Path) -> Path:
    """Where the only cell of a folder keeps its checkpoint."""
    (folder,) = (path for path in (work_dir / "cells").iterdir() if path.is_dir())
    return folder / "checkpoint"


def in_process(inputs: tuple[Path, Path], folder: Path, *launcher: str, kill_after: int = 0) -> int:
    """Run the cell in processes of its own; returns the exit status. The result is in folder/result.json."""
    arguments = [*map(str, inputs), str(folder), str(folder / "result.json"), str(kill_after)]
    folder.mkdir(exist_ok=True)
    command = [*launcher, str(SCRIPT), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
    print(done.stderr[-3000:])  # shown where a test fails
    return done.returncode


@pytest.fixture(scope="module")
def undisturbed(inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, python: str) -> dict:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert in_process(inputs, folder, python) == 0
    return json.loads((folder / "result.json").read_text())


def test_golden_loss_curve_and_scores(undisturbed: dict) -> None:
    """Values of version 3; a change of the arithmetic that is meant must raise RESULT_VERSION."""
    assert RESULT_VERSION == 3
    first = [1.6444611549377441, 1.4931879043579102, 1.3495991230010986, 1.2007524967193604, 1.0899014472961426]
    assert undisturbed["losses"][:5] == pytest.approx(first, abs=1e-4)  # other processors round differently
    assert undisturbed["kept_epoch"] == 2 and undisturbed["dev_f1"] == [0.0, 1.0, 1.0, 1.0]
    assert len(undisturbed["losses"]) == 4 * 5
    assert undisturbed["words"] == [99, 99, 99, 99]  # dev and test of two languages


def test_a_second_run_is_bit_identical(inputs: tuple[Path, Path], tmp_path: Path, undisturbed: dict) -> None:
    assert as_json(measure(*inputs, tmp_path)) == undisturbed


@pytest.mark.parametrize("epoch", [1, 3])
def test_killed_and_resumed_is_bit_identical(
    inputs: tuple[Path, Path], tmp_path: Path, python: str, undisturbed: dict, epoch: int
) -> None:
    assert in_process(inputs, tmp_path, python, kill_after=epoch) == KILLED
    assert (checkpoint_in(tmp_path) / "state.json").is_file()
    assert not (tmp_path / "result.json").exists()
    assert in_process(inputs, tmp_path, python) == 0
    assert json.loads((tmp_path / "result.json").read_text()) == undisturbed
    assert not (checkpoint_in(tmp_path)).exists()


def test_a_checkpoint_that_was_being_replaced_when_the_power_went_is_found(
    inputs: tuple[Path, Path], tmp_path: Path, python: str, undisturbed: dict
) -> None:
    assert in_process(inputs, tmp_path, python, kill_after=2) == KILLED
    folder = checkpoint_in(tmp_path)
    shutil.move(folder, folder.with_name("checkpoint.old"))
    assert in_process(inputs, tmp_path, python) == 0
    assert json.loads((tmp_path / "result.json").read_text()) == undisturbed


def test_a_checkpoint_that_cannot_be_read_stops_one_attempt_alone(
    inputs: tuple[Path, Path], tmp_path: Path, python: str, undisturbed: dict
) -> None:
    assert in_process(inputs, tmp_path, python, kill_after=2) == KILLED
    os.truncate(checkpoint_in(tmp_path) / "model.safetensors", 100)
    with pytest.raises(RuntimeError, match="cannot be read, and was removed"):
        measure(*inputs, tmp_path)
    assert as_json(measure(*inputs, tmp_path)) == undisturbed


def test_a_state_that_is_json_and_not_ours_costs_what_it_saved_alone(
    inputs: tuple[Path, Path], tmp_path: Path, python: str, undisturbed: dict, caplog: pytest.LogCaptureFixture
) -> None:
    assert in_process(inputs, tmp_path, python, kill_after=2) == KILLED
    state = checkpoint_in(tmp_path) / "state.json"
    ours = json.loads(state.read_text())
    others = [{}, [], {"key": ours["key"]}, ours | {"history": {}}, ours | {"history": ours["history"] | {"new": 1}},
              ours | {"history": ours["history"] | {"losses": 3}}]  # fmt: skip
    for other in others:
        state.write_text(json.dumps(other))
        checkpoint = Checkpoint(state.parent, ours["key"])
        with caplog.at_level("WARNING", logger="nertransfer"):
            assert checkpoint.restore(Accelerator(cpu=True), History.saved) is None
        assert f"the checkpoint {state.parent} is of no use, and the training begins anew" in caplog.messages[-1]
    assert len(caplog.messages) == len(others)
    assert as_json(measure(*inputs, tmp_path)) == undisturbed


@pytest.fixture(scope="module")
def without_dropout(inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A start whose batches can be split without drawing other random numbers."""
    return save_tiny_start(tmp_path_factory.mktemp("dry") / "tiny", dropout=0.0), inputs[1]


@pytest.fixture(scope="module")
def one_process(without_dropout: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict:
    return as_json(measure(*without_dropout, tmp_path_factory.mktemp("one")))


def test_two_processes_share_the_batch_and_score_every_word_once(
    without_dropout: tuple[Path, Path], tmp_path: Path, python: str, one_process: dict
) -> None:
    assert in_process(without_dropout, tmp_path, python, *TWO_PROCESSES) == 0
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["processes"] == 2
    assert found["patience"] > 24 * 3600  # while the main process alone waits for what another study makes
    assert found["words"] == one_process["words"]
    assert found["losses"] == pytest.approx(one_process["losses"], abs=1e-4)
    assert found["predicted"] == one_process["predicted"]


def test_two_processes_go_on_from_their_checkpoint_and_nothing_changes(
    inputs: tuple[Path, Path], tmp_path: Path, python: str
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert in_process(inputs, whole, python, *TWO_PROCESSES) == 0
    assert in_process(inputs, cut, python, *TWO_PROCESSES, kill_after=2) != 0
    assert (checkpoint_in(cut) / "state.json").is_file() and not (cut / "result.json").exists()
    assert in_process(inputs, cut, python, *TWO_PROCESSES) == 0
    assert json.loads((cut / "result.json").read_text()) == json.loads((whole / "result.json").read_text())


def test_without_padding_nothing_changes_but_float_order(
    without_dropout: tuple[Path, Path], tmp_path: Path, one_process: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nertransfer.encoders import unpadded

    monkeypatch.setattr(unpadded, "supports", lambda _model: False)  # the reference: padded batches
    padded = as_json(measure(*without_dropout, tmp_path))
    assert padded["losses"] != one_process["losses"]
    assert padded["losses"] == pytest.approx(one_process["losses"], abs=1e-5)
    assert padded["predicted"] == one_process["predicted"]


def test_batches_too_long_for_a_cpu_run_in_parts_and_nothing_changes_but_float_order(
    without_dropout: tuple[Path, Path], tmp_path: Path, one_process: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nertransfer.training import finetune

    rows: list[int] = []

    def recording(model, input_ids, *arguments):
        rows.append(len(input_ids))
        return logits_at(model, input_ids, *arguments)

    logits_at = finetune.logits_at
    monkeypatch.setattr(finetune, "logits_at", recording)
    whole = as_json(measure(*without_dropout, tmp_path / "whole"))
    passes, most = len(rows), max(rows)
    rows.clear()
    monkeypatch.setattr(finetune, "CPU_TOKENS", 40)
    parts = as_json(measure(*without_dropout, tmp_path / "parts"))
    assert whole["losses"] == one_process["losses"]
    assert parts["losses"] == pytest.approx(whole["losses"], abs=1e-5)
    assert len(rows) > 2 * passes and max(rows) < most


def test_gradient_accumulation_changes_nothing_but_float_order(
    without_dropout: tuple[Path, Path], tmp_path: Path, one_process: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cell_process

    def accumulating(**options: object) -> RunOptions:
        return RunOptions(**options, gradient_accumulation=4)  # type: ignore[arg-type]

    monkeypatch.setattr(cell_process, "RunOptions", accumulating)
    found = as_json(measure(*without_dropout, tmp_path))
    assert found["losses"] == pytest.approx(one_process["losses"], abs=1e-4)


def test_the_key_changes_with_all_that_can_change_the_result(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    start, data = inputs
    corpora = corpus.load(DataOptions(data=str(data)))
    found = starts.resolve(f"tiny={start}")
    identity = starts.identify(found)
    recipe = dataclasses.replace(RECIPE, epoch_choice="last")
    cell = make_cell(found, identity, corpora["aaa"], 1, recipe)
    other_start = starts.identify(starts.resolve(str(save_tiny_start(tmp_path / "other", seed=5))))
    different = [
        make_cell(found, identity, corpora["aaa"], 2, recipe),
        make_cell(found, identity, corpora["bbb"], 1, recipe),
        make_cell(found, other_start, corpora["aaa"], 1, recipe),
        *(make_cell(found, identity, corpora["aaa"], 1, dataclasses.replace(recipe, **{name: value}))
          for name, value in [("epochs", 5), ("batch_size", 4), ("max_length", 48), ("learning_rate", 1e-4),
                              ("warmup_ratio", 0.1), ("weight_decay", 0.01), ("max_grad_norm", 2.0),
                              ("precision", "bf16"), ("epoch_choice", "best"), ("sampling_temperature", 2.0)]),
        make_cell(found, identity, corpus.union(corpora, "aaa+bbb"), 1, recipe),
        *(make_cell(found, identity, corpora["aaa"], 1, recipe, FewShot("bbb", n, mode), corpora["bbb"])
          for n, mode in [(5, "added"), (6, "added"), (5, "after")]),
        make_cell(found, identity, corpora["bbb"], 1, recipe, FewShot("bbb", 5, "alone"), corpora["bbb"]),
    ]  # fmt: skip
    keys = [cell.key, *(c.key for c in different)]
    assert len(set(keys)) == len(keys)
    assert {f.name for f in dataclasses.fields(Recipe)} == {
        "epochs", "batch_size", "max_length", "learning_rate", "warmup_ratio", "weight_decay", "max_grad_norm",
        "precision", "epoch_choice", "sampling_temperature",
    }, "a new field of the recipe must be in this test"  # fmt: skip
    renamed = make_cell(starts.resolve(f"another={start}"), identity, corpora["aaa"], 1, recipe)
    assert renamed.key == cell.key  # a name changes nothing


def test_a_recipe_has_the_digest_it_always_had() -> None:
    """As before there was a temperature: finished cells are found by it."""
    assert recipe_digest(Recipe()) == "5d580b6e09bdab07"
    assert recipe_digest(RECIPES["planted"]) == "792aecea2a0da714"
    assert recipe_digest(Recipe(sampling_temperature=2)) != recipe_digest(Recipe())


def test_equal_weights_have_equal_fingerprints_whatever_head_is_on_them(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    start = starts.resolve(str(inputs[0]))
    tagger = starts.load_for_tagging(start, ("O", "B-X", "I-X"), seed=3)
    starts.save(tagger, starts.load_tokenizer(start), tmp_path / "tagger")
    assert starts.identify(starts.resolve(str(tmp_path / "tagger"))).fingerprint == starts.identify(start).fingerprint
    other = starts.identify(starts.resolve(str(save_tiny_start(tmp_path / "other", seed=5))))
    assert other.fingerprint != starts.identify(start).fingerprint


def test_a_checkpoint_holds_its_own_model_only_also_after_a_failure(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    start, data = inputs
    corpora = corpus.load(DataOptions(data=str(data)))
    found = starts.resolve(f"tiny={start}")
    labels = label_list(corpora["aaa"].categories)
    train = Encoder(starts.load_tokenizer(found), 32).with_labels(corpora["aaa"].train, labels)
    recipe, run = Recipe(epochs=1, batch_size=8, max_length=32), RunOptions(device="cpu", checkpoint_minutes=0)
    training, machine = Training(train, recipe, 0), Machine(run, make_accelerator(recipe, run))

    def fail(_history: History) -> None:
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError):
        fit(starts.load_for_tagging(found, labels, 0), training, machine, callbacks=Callbacks(on_epoch=fail))
    fit(starts.load_for_tagging(found, labels, 0), training, machine, Checkpoint(tmp_path / "kept", "cell"))
    assert [path.name for path in (tmp_path / "kept").glob("*.safetensors")] == ["model.safetensors"]


def test_an_interrupt_that_was_dropped_stops_the_next_epoch(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt):  # as Python does with one that falls into a destructor
        processes.handle_interrupt(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        measure(*inputs, tmp_path)
    measure(*inputs, tmp_path)  # once, not for ever


def test_splits_tagged_together_are_tagged_as_each_alone(inputs: tuple[Path, Path]) -> None:
    start, data = inputs
    there = corpus.load(DataOptions(data=str(data)))["aaa"]
    sentences = there.train.sentences
    some = [sentences[:9], sentences[5:6], sentences[3:17]]
    splits = [dataclasses.replace(there.train, language=f"l{i}", sentences=part) for i, part in enumerate(some)]
    found = starts.resolve(f"tiny={start}")
    labels = label_list(there.categories)
    model, encoder = starts.load_for_tagging(found, labels, 4).eval(), Encoder(starts.load_tokenizer(found), 24)
    accelerator = make_accelerator(Recipe(), RunOptions(device="cpu"))
    together = score_splits(model, encoder, labels, splits, accelerator, 512)
    for split, scored in zip(splits, together, strict=True):
        assert scored.split is split
        assert scored.predicted == predict(model, encoder(split), labels, accelerator)
        assert scored.scores == score([s.tags for s in split.sentences], scored.predicted)
    assert len({tuple(map(tuple, scored.predicted)) for scored in together}) == 3
    assert score_splits(model, encoder, labels, [], accelerator, 512) == []


def test_what_cannot_compile_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="compile=true is not allowed on cpu: it is for a GPU"):
        check_can_compile(torch.device("cpu"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(InputError, match="needs a C compiler"):
        check_can_compile(torch.device("cuda"))
    clang = tmp_path / "clang"
    for status, names in ((1, "needs Python's headers, but .* finds no Python.h"), (0, "")):
        clang.write_text(f"#!/bin/sh\nexit {status}\n")
        clang.chmod(0o755)
        with pytest.raises(InputError, match=names) if names else contextlib.nullcontext():
            check_can_compile(torch.device("cuda"))


def test_where_python_h_is_a_real_compiler_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("gcc"):
        absent("no gcc on this machine; on Debian: apt-get install gcc libc6-dev")
    monkeypatch.setenv("CC", "gcc")
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(tmp_path))
    with pytest.raises(InputError, match="needs Python's headers"):
        check_can_compile(torch.device("cuda"))
    (tmp_path / "Python.h").touch()
    check_can_compile(torch.device("cuda"))


def test_a_loss_that_is_not_finite_stops_with_advice(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    start, data = inputs
    corpora = corpus.load(DataOptions(data=str(data)))
    found = starts.resolve(f"tiny={start}")
    recipe = Recipe(epochs=3, batch_size=8, learning_rate=0.99, max_grad_norm=1e30, max_length=32)
    labels = label_list(corpora["aaa"].categories)
    model = starts.load_for_tagging(found, labels, 0)
    model.classifier.weight.data.fill_(float("inf"))
    run = RunOptions(device="cpu")
    train = Encoder(starts.load_tokenizer(found), 32).with_labels(corpora["aaa"].train, labels)
    with pytest.raises(FloatingPointError, match=r"lower learning_rate=0.99$"):  # fp32 it is already
        fit(model, Training(train, recipe, 0), Machine(run, make_accelerator(recipe, run)))


KEYS = {
    "published": ("5d580b6e09bdab07", "0e9ce7ccc7b879063918077a7dd21c64", "724194912954358d9518ff023fa2a112"),
    "planted": ("792aecea2a0da714", "8bcb5e91aeb2a969c0fe43943e378b93", "5c47197675dab892b6a57f6c4d16a184"),
}
"""By recipe: its digest, and the keys of a cell without and with sentences of a target; as studies have stored them."""


@pytest.mark.parametrize("name", KEYS)
def test_keys_stay_what_stores_have(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another key every finished cell would run again. A new version of a library is another key on purpose."""
    monkeypatch.setattr(cells, "_versions", lambda: {"torch": "1"})
    start, identity, recipe = (
        starts.Start("base", "xlm-roberta-base"),
        starts.Identity(*["ffff"] * 3, 512),
        RECIPES[name],
    )
    plain = cells.Cell(start, identity, "hau", 1, recipe, ("c" * 64,))
    few = dataclasses.replace(plain, few_shot=FewShot("swa", 10, "added"), few_shot_digest="d" * 64)
    assert (cells.recipe_digest(recipe), plain.key, few.key) == KEYS[name]
