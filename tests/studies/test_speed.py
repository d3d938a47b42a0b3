"""What this machine computes with: its speed by a few steps, and a GPU that is there but cannot be used."""

import functools
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from transformers import XLMRobertaConfig

from nertransfer.core import console
from nertransfer.core.errors import InputError
from nertransfer.core.options import ModelOptions, Recipe, RunOptions, StoreOptions
from nertransfer.encoders import device
from nertransfer.serving import prediction
from nertransfer.studies import speed
from nertransfer.training import accelerator

CPU = RunOptions(device="cpu", checkpoint_minutes=-1.0)


def config(**changes: int) -> XLMRobertaConfig:
    sizes = {"vocab_size": 250_002, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return XLMRobertaConfig(**sizes | {"intermediate_size": 128, "max_position_embeddings": 130} | changes)


def asked(**changes: int) -> speed.Asked:
    return speed.Asked(config(**changes), [20, 30, 40], 1.8, Recipe(batch_size=16), CPU, 1)


def test_a_larger_model_is_slower_and_training_slower_than_scoring() -> None:
    small, large = (speed.measure(asked(hidden_size=size, intermediate_size=4 * size), 0.2) for size in (64, 512))
    assert large.trained * 480 + large.step > 2 * (small.trained * 480 + small.step)
    assert large.trained > large.scored > small.scored


def test_it_is_measured_in_a_process_of_its_own() -> None:
    found = speed.measured(asked(), 0.1)
    assert found.trained > 0 and found.scored > 0


def test_what_cannot_be_measured_is_a_reason_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("the hidden size (63) is not a multiple\nof the heads")

    class Process:
        """One that has ended when it is started."""

        exitcode = 0

        def __init__(self, target: Callable[..., None], args: tuple, daemon: bool) -> None:
            self.start = functools.partial(target, *args)

        def join(self, _: float = 0) -> None: ...

        def is_alive(self) -> bool:
            return False

    Made = Process

    class Context:
        Pipe, Process = staticmethod(multiprocessing.Pipe), Made

    monkeypatch.setattr(speed, "measure", fail)
    monkeypatch.setattr(speed.multiprocessing, "get_context", lambda _: Context)
    threads = torch.get_num_threads()
    try:
        with pytest.raises(RuntimeError, match=r"^the hidden size \(63\) is not a multiple$"):
            speed.measured(asked())
    finally:
        torch.set_num_threads(threads)
        console.tell(None)


def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "GIVEN_UP_SECONDS", 0.0)
    with pytest.raises(RuntimeError, match="takes longer than 0 s"):
        speed.measured(asked())


def test_few_word_embeddings_stand_for_many_where_only_those_that_occur_are_trained() -> None:
    assert speed._model(config(), trims=True).get_input_embeddings().num_embeddings == speed.VOCABULARY
    assert speed._model(config(), trims=False).get_input_embeddings().num_embeddings == 250_002


# --- the device -----------------------------------------------------------------------------------------------


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A driver that knows two GPUs, none of which PyTorch can use."""
    command = tmp_path / device.NVIDIA_SMI
    command.write_text("#!/bin/sh\necho 'NVIDIA L4, 470.256.02'\necho 'NVIDIA L4, 470.256.02'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(device, "gpus", lambda _: 0)
    device._nvidia_gpus.cache_clear()
    yield command
    device._nvidia_gpus.cache_clear()


def test_a_build_without_cuda_is_named_with_the_cure(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    said = device.trouble("auto")
    assert said.startswith("NVIDIA L4 is not used: PyTorch ") and "was built without CUDA; install a build" in said
    assert "\n" not in said and device.trouble("cpu") == ""


def test_a_driver_that_is_too_old_is_named_with_the_cure(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "its driver 470.256.02 does not serve CUDA 13.0" in device.trouble("auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES='' hides it" in device.trouble("auto")


@pytest.mark.parametrize("entry", ["study", "predict"])
def test_a_gpu_that_is_not_used_is_told_once(
    entry: str, smi: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(prediction.starts, "load_tagger", lambda _: (None, None, ()))
    monkeypatch.setattr(prediction.starts, "resolve", lambda _: None)
    monkeypatch.setattr(prediction, "Tagger", lambda *_: None)
    device.tell_of_trouble.cache_clear()
    for _ in range(2):
        if entry == "study":
            accelerator.make_training_accelerator(Recipe(), RunOptions(device="auto"))
        else:
            prediction.load_tagger(ModelOptions(model=str(smi.parent)), StoreOptions(), "auto")
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == device.trouble("auto")


BUILT = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]
"""What the build for CUDA 13 has code for."""


@pytest.mark.parametrize(
    ("capability", "runs"),
    [((6, 1), False), ((7, 0), False), ((7, 5), True), ((9, 0), True), ((12, 1), True), ((13, 0), True)],
)
def test_a_gpu_that_pytorch_has_no_code_for_is_refused_with_the_cure(
    capability: tuple[int, int], runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: BUILT)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100")
    device.check(torch.device("cpu"))
    if runs:
        device.check(torch.device("cuda"))
        return
    with pytest.raises(
        InputError, match=r"^Tesla V100 cannot be used: its compute capability is [67].*for sm_75, .*cpu$"
    ):
        device.check(torch.device("cuda"))


def test_code_of_one_variant_of_a_generation_or_another_kind_of_gpu() -> None:
    assert device._runs("sm_90a", (9, 0)) and not device._runs("sm_90a", (10, 0)) and device._runs("gfx90a", (9, 0))


def test_gpus_that_are_used_are_named(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpus", lambda _: 2)
    assert device.name("auto") == "2 x NVIDIA L4" and device.trouble("auto") == ""


def test_a_machine_without_a_driver_has_a_processor(smi: Path) -> None:
    smi.write_text("#!/bin/sh\necho 'no devices were found' >&2\nexit 6\n")
    assert device.trouble("auto") == ""
    assert device.name("auto").startswith(f"{torch.get_num_threads()} threads of ")
    assert device.name("auto").endswith("without a GPU")
