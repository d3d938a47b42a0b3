"""Adapting a start: a new start whose weights differ, tracked, resumable, never over an old one."""

import dataclasses
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import transformers
from folder_store import opened
from safetensors.torch import load_file
from tiny import save_tiny_corpora, save_tiny_start, tiny_tokenizer

from nertransfer.core import files, schema
from nertransfer.core.commandline import build
from nertransfer.core.config import AdaptConfig
from nertransfer.core.errors import InputError
from nertransfer.encoders import starts
from nertransfer.studies import adaptation
from nertransfer.studies.adaptation import adapt
from nertransfer.tracking.claims import Owner
from nertransfer.tracking.store import Study, all_runs
from nertransfer.training import finetune
from nertransfer.training.checkpoint import Checkpoint
from nertransfer.training.language_modelling import encode_text, masked_batches

SETTINGS = {"language": "aaa", "text": "text.txt", "start": "tiny=tiny", "data": "data", "device": "cpu", "epochs": "8",
            "learning_rate": "1e-2", "batch_size": "8", "output": "adapted"}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    save_tiny_start(tmp_path / "tiny")
    save_tiny_corpora(tmp_path / "data")
    (tmp_path / "text.txt").write_text("abc abd abe\n\nbca bcb abc abd\n" * 20, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return opened(tmp_path, "adapting")


def test_an_adapted_start_has_learned_its_text_and_is_used_like_any_start(study: Study) -> None:
    folder = adapt(build(AdaptConfig, SETTINGS), study)
    before, after = (starts.identify(starts.resolve(f"x={f}")) for f in ("tiny", folder))
    assert before.fingerprint != after.fingerprint
    run = all_runs(study.client, study.experiment_id)[0]
    assert run.info.status == "FINISHED"
    assert (run.data.tags["base_fingerprint"], run.data.tags["start_fingerprint"]) == (
        before.fingerprint,
        after.fingerprint,
    )
    curve = [m.value for m in study.client.get_metric_history(run.info.run_id, "train_loss")]
    assert sum(curve[-5:]) < 0.8 * sum(curve[:5])
    assert not Path("adapted.checkpoint").exists()


def test_adapting_twice_gives_the_same_weights(study: Study) -> None:
    for folder in ("one", "two"):
        adapt(build(AdaptConfig, SETTINGS | {"output": folder}), study)
    one, two = (starts.identify(starts.resolve(f"x={folder}")) for folder in ("one", "two"))
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "missing.txt"}, "text='missing.txt' cannot be read: No such file or directory"),
        ({"text": "empty.txt"}, "empty.txt: the text is empty"),
        ({"text": "latin.txt"}, "latin.txt:2: not UTF-8: byte 0xe9 at byte offset 4"),
        ({"text": ""}, "text is missing"),
        ({"text": "columns.txt"}, "columns.txt:1: every line ends in an IOB2 tag; give the words alone"),
        ({"output": "tiny"}, "output='/.*/tiny' is not allowed: it exists already"),
        ({"output": "text.txt/adapted"}, "output: the folder /.*/text.txt cannot be made"),
        ({"start": "nowhere"}, "start 'nowhere' is unknown"),
        ({"text": "nothing.txt"}, "the text has no line with a word in it"),
        ({"start": "maskless"}, "the start's tokenizer has no mask token"),
        ({"start": "gpt"}, "gpt2 is a decoder: its words cannot see what follows them"),
    ],
)
def test_bad_input_writes_nothing(study: Study, changes: dict[str, str], message: str) -> None:
    Path("columns.txt").write_text("abc B-PER\nde O\n")
    Path("empty.txt").write_text("\n\n")
    Path("latin.txt").write_bytes(b"abc\n\xe9\n")
    Path("nothing.txt").write_text("\u200b\n", encoding="utf-8")
    settings = save_tiny_start(Path("maskless")) / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"mask_token": None}))
    transformers.GPT2Model(
        transformers.GPT2Config(vocab_size=58, n_positions=66, n_embd=32, n_layer=1, n_head=2)
    ).save_pretrained("gpt")
    tiny_tokenizer().save_pretrained("gpt")
    with pytest.raises(InputError, match=message):
        adapt(build(AdaptConfig, SETTINGS | changes), study)
    assert all_runs(study.client, study.experiment_id) == [] and not Path("adapted").exists()


def test_a_start_that_appears_while_another_is_made_is_not_overwritten(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = adaptation.fit

    def meanwhile(*arguments: object, title: str) -> object:
        made = usual(*arguments, title=title)  # type: ignore[arg-type]
        Path("adapted").mkdir()
        return made

    monkeypatch.setattr(adaptation, "fit", meanwhile)
    with pytest.raises(InputError, match=r"output='/.*/adapted' is not allowed: it exists already"):
        adapt(build(AdaptConfig, SETTINGS), study)
    assert list(Path("adapted").iterdir()) == []


def test_one_adaptation_waits_for_another_of_the_same_name_and_makes_nothing(
    study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nertransfer")
    with ThreadPoolExecutor(1) as pool, files.only_maker(Path("adapted")):
        waiting = pool.submit(adapt, build(AdaptConfig, SETTINGS), study)
        while "/adapted: waiting for it" not in caplog.text:
            assert not waiting.done() or waiting.result()
        Path("adapted").mkdir()
    with pytest.raises(InputError, match=r"output='/.*/adapted' is not allowed: it exists already"):
        waiting.result()
    assert all_runs(study.client, study.experiment_id) == []


def test_how_an_adaptation_runs_does_not_make_it_begin_anew(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []

    def stopped(*arguments: Checkpoint, title: str) -> object:
        keys.append(arguments[3].key)
        raise KeyboardInterrupt

    monkeypatch.setattr(adaptation, "fit", stopped)
    for changes in ({}, {"checkpoint_minutes": "0", "work_dir": "elsewhere"}, {"seed": "1"}):
        with pytest.raises(KeyboardInterrupt):
            adapt(build(AdaptConfig, SETTINGS | changes), study)
    assert keys[0] == keys[1] != keys[2]


SHORT = SETTINGS | {"epochs": "4", "checkpoint_minutes": "0"}


def cut_short_in_epoch(number: int, monkeypatch: pytest.MonkeyPatch, study: Study) -> None:
    """Adapt, and be interrupted when that epoch is about to begin; a checkpoint of those before is there."""
    epochs = iter(range(1, number))

    def check() -> None:
        if next(epochs, None) is None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(finetune.processes, "check_interrupt", check)
        adapt(build(AdaptConfig, SHORT), study)


def weights(folder: Path) -> dict[str, list[float]]:
    return {name: tensor.flatten().tolist() for name, tensor in load_file(folder / "model.safetensors").items()}


@pytest.mark.parametrize("killed", [False, True], ids=["interrupted", "killed"])
def test_an_adaptation_that_was_cut_short_goes_on_in_its_own_run(
    killed: bool, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_short_in_epoch(3, monkeypatch, study)
    (run,) = all_runs(study.client, study.experiment_id)
    assert run.info.status == "KILLED"
    if killed:  # its process had no time to mark it
        with subprocess.Popen(["true"]) as ended:
            pass
        study.client.update_run(run.info.run_id, status="RUNNING")
        gone = dataclasses.replace(Owner.this_process(), pid=ended.pid, token="another")
        for name, value in gone.tags.items():
            study.client.set_tag(run.info.run_id, name, value)
    folder = adapt(build(AdaptConfig, SHORT), study)
    (again,) = all_runs(study.client, study.experiment_id)
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")
    assert again.data.tags[schema.ATTEMPTS] == "2"
    epochs = study.client.get_metric_history(again.info.run_id, schema.SPEED)
    assert sorted(metric.step for metric in epochs) == [1, 2, 3, 4]
    assert weights(folder) == weights(adapt(build(AdaptConfig, SHORT | {"output": "undisturbed"}), study))


def test_only_the_same_adaptation_goes_on_in_a_run(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_short_in_epoch(2, monkeypatch, study)
    for changes in ({"output": "elsewhere"}, {"seed": "1"}):
        adapt(build(AdaptConfig, SHORT | changes), study)
    assert sorted(run.info.status for run in all_runs(study.client, study.experiment_id)) == [
        "FINISHED", "FINISHED", "KILLED"
    ]  # fmt: skip


def test_a_new_start_is_at_its_place_only_when_all_is_tracked(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a rerun would find the folder, refuse to write to it, and the run would stay without its curve."""
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(adaptation, "deliver", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        adapt(build(AdaptConfig, SHORT), study)
    assert not Path("adapted").exists()
    adapt(build(AdaptConfig, SHORT), study)
    (run,) = all_runs(study.client, study.experiment_id)
    assert run.info.status == "FINISHED" and "train_loss" in run.data.metrics
    assert sorted(path.name for path in Path().glob("adapted*")) == ["adapted"]


@pytest.mark.parametrize("head", [True, False], ids=["with its head", "without"])
def test_a_head_that_is_drawn_anew_is_told_before_training(
    head: bool, study: Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not head:
        starts.load_encoder(starts.Start("tiny", "tiny")).save_pretrained("headless")
        tiny_tokenizer().save_pretrained("headless")
    seen: list[str] = []
    usual = adaptation.fit

    def training(*arguments: object, title: str) -> object:
        seen.extend(record.getMessage() for record in caplog.records if record.name == "nertransfer")
        return usual(*arguments, title=title)  # type: ignore[arg-type]

    monkeypatch.setattr(adaptation, "fit", training)
    adapt(build(AdaptConfig, {**SETTINGS, "epochs": "1", "start": "tiny=tiny" if head else "headless"}), study)
    (run,) = all_runs(study.client, study.experiment_id)
    assert run.data.tags[schema.LANGUAGE_MODELLING_HEAD] == ("of the start" if head else "drawn anew")
    if head:
        assert not seen and schema.NOTE not in run.data.tags
        return
    assert seen == [run.data.tags[schema.NOTE]]
    assert "start headless has no complete language-modelling head" in seen[0]
    assert "a loss near 4.1 at the beginning, as for guessing among 58 sub-tokens" in seen[0]
    first = study.client.get_metric_history(run.info.run_id, "train_loss")[0].value
    assert first == pytest.approx(4.1, abs=0.3)


def test_long_lines_are_cut_into_windows_without_losing_a_sub_token() -> None:
    tokenizer = tiny_tokenizer()
    lines = ["ab " * 50, "c"]
    encoded = encode_text(lines, tokenizer, 16)
    read = [i for window in encoded.windows for i in window.ids[1:-1]]
    assert read == [i for line in lines for i in tokenizer(line, add_special_tokens=False)["input_ids"]]
    assert max(len(window.ids) for window in encoded.windows) == 16


def test_masking_hides_the_asked_fraction_never_special_tokens_and_depends_on_the_seed_alone() -> None:
    tokenizer = tiny_tokenizer()
    encoded = encode_text(["abcdefghijklmnop " * 3] * 60, tokenizer, 64)
    make = masked_batches(tokenizer, 0.2)
    indices = list(range(len(encoded.windows)))
    batch, again, other = make(encoded, indices, 1), make(encoded, indices, 1), make(encoded, indices, 2)
    chosen = batch.labels != -100
    assert 0.15 < chosen.float().mean() < 0.25
    assert not chosen[:, 0].any() and (batch.labels == again.labels).all() and (batch.labels != other.labels).any()
    hidden = batch.input_ids[chosen] == tokenizer.mask_token_id
    assert 0.7 < hidden.float().mean() < 0.9


def test_a_start_without_a_mask_token_cannot_be_adapted() -> None:
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.mask_token = None
    with pytest.raises(InputError, match="no mask token"):
        masked_batches(tokenizer, 0.15)
