"""Steps with everything on the device: the same training as step by step, whatever records them."""

import functools
import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pretended_gpu import Repeats
from tiny import save_tiny_corpora, save_tiny_start

from nertransfer.core.options import DataOptions, Recipe, RunOptions
from nertransfer.corpora import corpus
from nertransfer.corpora.labels import label_list
from nertransfer.encoders import starts
from nertransfer.encoders.tokenization import Encoded, Window
from nertransfer.training import finetune, speedups
from nertransfer.training.accelerator import make_accelerator
from nertransfer.training.run_cell import Encoder
from nertransfer.training.speedups import STRIDE, CapturedSteps, CompiledLayers, CudaGraphs

RECIPE = Recipe(epochs=3, batch_size=7, learning_rate=5e-3, warmup_ratio=0.2, max_length=32, max_grad_norm=0.5)
RUN = RunOptions(checkpoint_minutes=-1)
Made = tuple[starts.Start, Encoded, tuple[str, ...]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("captured")
    start = starts.Start("tiny", str(save_tiny_start(folder / "tiny", dropout=0.0)))
    there = corpus.load(DataOptions(str(save_tiny_corpora(folder / "data")), ("aaa",)))["aaa"]
    labels = label_list(there.categories)
    return start, Encoder(starts.load_tokenizer(start), 32).with_labels(there.train, labels), labels


def trained(
    made: Made,
    monkeypatch: pytest.MonkeyPatch,
    recorder: Repeats | None,
    run: RunOptions = RUN,
) -> tuple[list[float], dict[str, torch.Tensor]]:
    start, train, labels = made
    accelerator = make_accelerator(RECIPE, RUN)
    with monkeypatch.context() as patch:
        if recorder is not None:
            steps: dict[int, CapturedSteps] = {}

            def epoch(prepared, epoch, bar, captured):  # type: ignore[no-untyped-def]
                if not steps:
                    steps[0] = finetune.capture(prepared, recorder)
                return usual(prepared, epoch, bar, steps[0])

            usual = finetune._train_epoch
            patch.setattr(finetune, "_train_epoch", epoch)
        model = starts.load_for_tagging(start, labels, 3)
        machine = finetune.Machine(run, accelerator)
        found, history = finetune.fit(model, finetune.Training(train, RECIPE, 3, read=(train,)), machine)
    return history.losses, found.state_dict()


def test_batches_without_padding_are_recorded_too(made: Made) -> None:
    """Their mask would be left out: another way through the model, and one that cannot be recorded."""
    rows = [Window(tuple(range(length)), (1,), (2,), (n,)) for n, length in enumerate((STRIDE,) * 4 + (3 * STRIDE,))]
    train = Encoded(tuple(rows), np.zeros(len(rows), dtype=np.int64), np.arange(len(rows) + 1), 0)
    masks: list[torch.Tensor] = []

    def step(input_ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        masks.append(mask)
        return input_ids.sum().float()

    recorder = Repeats()
    steps = CapturedSteps(train, 2, step, torch.tensor(0.1), recorder, limit=5 * STRIDE)
    losses = steps([[0, 1], [2, 3], [0, 2], [1, 4], [3, 4]], [0.1] * 5, lambda: None)
    assert [tuple(mask.shape) for mask in masks] == [(2, 2 * STRIDE)] * 3 + [(2, 3 * STRIDE)] * 2
    assert not any(mask.all() for mask in masks) and len(set(losses.tolist())) == 2
    assert (recorder.recorded, recorder.replayed) == (2, 3)


def test_no_row_is_longer_than_the_model_takes(made: Made) -> None:
    """Positions of XLM-R and its kin begin behind that of padding, where padding stays if it is the same id."""
    start, _, labels = made
    model = starts.load_for_tagging(start, labels, 3)
    places = model.config.max_position_embeddings
    usable = places - model.base_model.embeddings.padding_idx - 1
    words = np.zeros(9, dtype=np.int64)
    rows = tuple(Window((5,) * usable, (1,), (2,), (n,)) for n in range(9))
    accelerator = make_accelerator(RECIPE, RUN)
    for pad_id, width in ((model.base_model.embeddings.padding_idx, places), (5, usable)):
        train = Encoded(rows, words, np.arange(10), pad_id)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        training, machine = finetune.Training(train, RECIPE, 3), finetune.Machine(RUN, accelerator)
        steps = finetune.capture(finetune.Prepared(model, optimiser, training, machine), Repeats())
        assert steps.input_ids.shape[1] == min(width, usable // STRIDE * STRIDE + STRIDE)
        losses = steps([range(7), range(7), (7, 8)], [1e-3] * 3, lambda: None)
        assert torch.isfinite(losses).all() and losses[1] != losses[0]


def test_where_nothing_can_be_recorded_compiling_is_said_to_change_nothing(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    start, train, labels = made
    model = starts.load_for_tagging(start, labels, 3)
    with caplog.at_level(logging.WARNING, "nertransfer"):
        machine = finetune.Machine(replace(RUN, compile=True), make_accelerator(RECIPE, RUN))
        finetune.fit(model, finetune.Training(train, RECIPE, 3), machine, title="a cell")
    assert caplog.messages == ["a cell: compile=true changes nothing here, for these steps cannot be recorded"]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for everything that is compiled from now on."""
    found: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        found.append(len(inputs))
        return graph.forward

    usual = torch.compile
    monkeypatch.setattr(torch, "compile", lambda work, **options: usual(work, backend=backend, **options))
    torch.compiler.reset()
    return found


def test_layers_are_compiled_once_and_only_for_training(
    made: Made, monkeypatch: pytest.MonkeyPatch, compiled: list[int]
) -> None:
    plain = trained(made, monkeypatch, Repeats())
    assert not compiled
    for _ in range(2):  # two models of two layers, several lengths
        found = trained(made, monkeypatch, Repeats(), run=replace(RUN, compile=True))
        assert found[0] == pytest.approx(plain[0], abs=1e-5)
        assert found[1].keys() == plain[1].keys()
    assert len(compiled) == 1


def test_a_first_batch_that_is_square_compiles_for_all(made: Made, compiled: list[int]) -> None:
    """As many rows as sub-tokens, which torch would take for one and the same number."""
    start, _, labels = made
    model = starts.load_for_tagging(start, labels, 3)
    layers = CompiledLayers(model)
    for length in (STRIDE, 2 * STRIDE, 3 * STRIDE):
        ids = torch.full((STRIDE, length), 5)
        with layers.in_use():
            model(input_ids=ids, attention_mask=(torch.arange(length) < length - 1).expand(STRIDE, -1).long())
    assert len(compiled) == 1


def test_cells_share_a_stream_and_what_fails_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stream costs memory for good, and the memory of what has failed is used again."""
    waits: list[object] = []
    usual = SimpleNamespace(wait_stream=waits.append)
    made: list[SimpleNamespace] = []

    def stream(device: torch.device) -> SimpleNamespace:
        made.append(SimpleNamespace(device=device, wait_stream=lambda _: None))
        return made[-1]

    monkeypatch.setattr(speedups, "_stream", functools.cache(speedups._stream.__wrapped__))
    monkeypatch.setattr(torch.cuda, "Stream", stream)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 0))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: usual)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    first, second = (CudaGraphs(torch.device("cuda", 0)) for _ in range(2))
    assert len(made) == 1
    with first.around():
        pass
    with pytest.raises(RuntimeError, match="out of memory"), second.around():
        raise RuntimeError("out of memory")
    assert waits == made * 2
