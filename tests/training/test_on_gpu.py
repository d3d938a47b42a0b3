"""The way of a cell on a GPU, on a pretended one: same numbers as on a CPU, and nothing that a recording forbids."""

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pretended_gpu import DEVICE, OnGpu, Tape, pretended_gpu
from tiny import save_tiny_corpora, save_tiny_start
from transformers import AutoConfig, AutoModelForTokenClassification

from nertransfer.core.options import DataOptions, Recipe, RunOptions
from nertransfer.core.schema import ALL
from nertransfer.corpora import corpus
from nertransfer.corpora.labels import label_list
from nertransfer.encoders import starts
from nertransfer.encoders.inference import predict, word_vectors
from nertransfer.scoring.reference import score
from nertransfer.training import finetune, speedups
from nertransfer.training.accelerator import make_accelerator
from nertransfer.training.checkpoint import Checkpoint
from nertransfer.training.finetune import Callbacks, History, Machine, Training, fit
from nertransfer.training.language_modelling import masked_batches
from nertransfer.training.run_cell import Encoder
from nertransfer.training.speedups import RECORDABLE, CapturedSteps

RECIPE = Recipe(epochs=3, batch_size=7, learning_rate=5e-3, warmup_ratio=0.2, max_length=32, max_grad_norm=0.5)
RUN = RunOptions(device="cpu", checkpoint_minutes=-1)
Weights = dict[str, torch.Tensor]


class Inputs:
    def __init__(self, folder: Path) -> None:
        self.start = starts.Start("tiny", str(save_tiny_start(folder / "tiny", dropout=0.0)))
        self.corpus = corpus.load(DataOptions(str(save_tiny_corpora(folder / "data")), ("aaa",)))["aaa"]
        self.labels = label_list(self.corpus.categories)
        self.encoder = Encoder(starts.load_tokenizer(self.start), 32)
        self.train = self.encoder.with_labels(self.corpus.train, self.labels)

    def model(self) -> torch.nn.Module:
        return starts.load_for_tagging(self.start, self.labels, 3)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("gpu"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Tape:
    """Records what would be recorded; lengths are many."""
    made = Tape()
    monkeypatch.setattr(finetune, "CudaGraphs", lambda _: made)
    monkeypatch.setattr(speedups, "STRIDE", 2)
    return made


def fitted(inputs: Inputs, run: RunOptions = RUN, gpu: bool = True, **options: object) -> tuple[History, Weights]:
    model, training = inputs.model(), Training(inputs.train, RECIPE, 3, read=(inputs.train,))
    machine = Machine(run, make_accelerator(RECIPE, RUN))
    if not gpu:
        found, history = fit(model, training, machine, **options)
        return history, found.state_dict()
    with pretended_gpu():
        found, history = fit(model, training, machine, **options)
        assert all(isinstance(tensor, OnGpu) for tensor in found.state_dict().values())
        return history, {name: tensor.cpu() for name, tensor in found.state_dict().items()}


def check_alike(found: tuple[History, Weights], expected: tuple[History, Weights]) -> None:
    assert found[0].losses == pytest.approx(expected[0].losses, abs=1e-5)
    for name, tensor in expected[1].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=0, atol=2e-4)


def test_steps_that_are_replayed_train_as_on_a_cpu(inputs: Inputs, tape: Tape) -> None:
    found = fitted(inputs)
    check_alike(found, fitted(inputs, gpu=False))
    assert tape.recorded > 1 and tape.replayed > len(found[0].losses) / 2


def test_what_was_recorded_is_freed_with_the_training(
    inputs: Inputs, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, for a GPU's memory cannot wait until Python looks for garbage."""
    made: list[weakref.ref[CapturedSteps]] = []

    def steps(*arguments: object) -> CapturedSteps:
        made.append(weakref.ref(found := CapturedSteps(*arguments)))
        return found

    monkeypatch.setattr(finetune, "CapturedSteps", steps)
    gc.disable()
    try:
        fitted(inputs)
        assert [one() for one in made] == [None]
    finally:
        gc.enable()


def test_steps_that_are_not_recorded_too(inputs: Inputs, tape: Tape) -> None:
    run = replace(RUN, gradient_accumulation=2)
    check_alike(fitted(inputs, run), fitted(inputs, gpu=False))
    assert not tape.recorded


def test_training_that_was_cut_short_goes_on(inputs: Inputs, tape: Tape, tmp_path: Path) -> None:
    """Also where the optimiser's state comes from a file."""

    def stop(history: History) -> None:
        if history.epochs == 2:
            raise KeyboardInterrupt

    run, checkpoint = replace(RUN, checkpoint_minutes=0), Checkpoint(tmp_path / "checkpoint", "cell")
    with pytest.raises(KeyboardInterrupt):
        fitted(inputs, run, checkpoint=checkpoint, callbacks=Callbacks(on_epoch=stop))
    epochs: list[int] = []
    follow = Callbacks(on_epoch=lambda history: epochs.append(history.epochs))
    found = fitted(inputs, run, checkpoint=checkpoint, callbacks=follow)
    assert epochs == [2, 3]
    check_alike(found, fitted(inputs, gpu=False))


def test_the_best_epoch_is_chosen_and_given_back(inputs: Inputs, tape: Tape) -> None:
    """Scoring between epochs moves no weights away from where steps were recorded."""
    accelerator = make_accelerator(RECIPE, RUN)

    gold = [sentence.tags for sentence in inputs.corpus.train.sentences]

    def dev_f1(model: torch.nn.Module) -> float:
        return score(gold, predict(model, inputs.train, inputs.labels, accelerator)).default[ALL].f1

    run = replace(RUN, dev_each_epoch=True)
    found, expected = (fitted(inputs, run, gpu, callbacks=Callbacks(dev_f1)) for gpu in (True, False))
    assert found[0].dev_f1 == expected[0].dev_f1 and len(set(found[0].dev_f1)) > 1
    check_alike(found, expected)


def test_words_are_tagged_and_embedded_as_on_a_cpu(inputs: Inputs) -> None:
    accelerator, model = make_accelerator(RECIPE, RUN), inputs.model()
    encoded = inputs.encoder(inputs.corpus.train)
    words = np.arange(0, encoded.number_of_words, 3)

    def both() -> tuple[list[list[str]], np.ndarray]:
        vectors = word_vectors(model.base_model, encoded, words, (1, 2), accelerator.device)
        return predict(model, encoded, inputs.labels, accelerator), vectors

    tags, vectors = both()
    with pretended_gpu():
        model.to(accelerator.device)
        on_gpu = both()
    assert on_gpu[0] == tags and len({tag for sentence in tags for tag in sentence}) > 1
    np.testing.assert_allclose(on_gpu[1], vectors, atol=1e-6)


def test_language_modelling_is_as_on_a_cpu(inputs: Inputs) -> None:
    found = []
    for gpu in (True, False):
        model, _ = starts.load_for_language_modelling(inputs.start, 3)
        accelerator = make_accelerator(RECIPE, RUN)
        masked = masked_batches(inputs.encoder.tokenizer, 0.3)
        training = Training(inputs.train, RECIPE, 3, make_batch=masked)
        with pretended_gpu() if gpu else torch.enable_grad():
            found.append(fit(model, training, Machine(RUN, accelerator))[1].losses)
    assert found[0] == pytest.approx(found[1], rel=0.01)  # Adam makes steps of gradients that are next to nothing


@pytest.mark.parametrize("kind", RECORDABLE)
def test_encoders_that_are_said_to_be_recordable_are(inputs: Inputs, kind: str) -> None:
    """With dropout, which is drawn anew by every replay."""
    torch.manual_seed(3)
    config = AutoConfig.for_model(
        kind, vocab_size=99, hidden_size=32, embedding_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=66, pad_token_id=1, num_labels=len(inputs.labels),
    )  # fmt: skip
    model, tape = AutoModelForTokenClassification.from_config(config), Tape()
    accelerator = make_accelerator(RECIPE, RUN)
    with pretended_gpu():
        model.to(accelerator.device).train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        training, machine = Training(inputs.train, RECIPE, 3), Machine(RUN, accelerator)
        prepared = finetune.Prepared(model, optimiser, training, machine)
        assert finetune.can_capture(prepared)
        losses = finetune.capture(prepared, tape)([range(7)] * 4, [0.0] * 4, lambda: None).cpu().tolist()
    assert tape.recorded == 1 and len(set(losses)) == 4
    assert losses == pytest.approx([losses[0]] * 4, rel=0.5)


@pytest.mark.parametrize(
    ("forbidden", "message"),
    [
        (lambda x: x * float(x.sum()), "__float__ while a graph is recorded"),
        (lambda x: x if x.any() else -x, "__bool__ while a graph is recorded"),
        (lambda x: x[x > 1], "index while a graph is recorded"),
        (lambda x: x[x.nonzero()[0]], "nonzero while a graph is recorded"),
        (lambda x: x * torch.tensor(2.0).to(x.device), "to while a graph is recorded"),
        (lambda x: x * torch.tensor([2.0], device=x.device), "tensor while a graph is recorded"),
        (lambda x: x.to("cpu").to(x.device), "_to_copy while a graph is recorded"),
        (lambda x: x * torch.tensor(2.0), "mul while a graph is recorded"),
        (lambda x: x * torch.tensor([2.0]), "mul: tensors on cuda:0 and cpu"),
    ],
)
def test_the_pretended_gpu_refuses_to_record_what_a_real_one_does(
    inputs: Inputs, forbidden: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    with pretended_gpu():
        x = torch.arange(1, 4, device=DEVICE).float()
        with pytest.raises(RuntimeError, match=message):
            Tape().record(lambda: forbidden(x))


def test_a_replay_knows_what_was_recorded_and_leaves_only_what_has_a_place(inputs: Inputs) -> None:
    kept: list[torch.Tensor] = []
    factors = iter((2.0, 3.0))
    with pretended_gpu():
        x, place = torch.ones(3, device=DEVICE), torch.zeros(3, device=DEVICE)

        def work() -> None:
            kept.append(x * next(factors))
            place.add_(kept[-1])

        replay = Tape().record(work)
        assert place.cpu().tolist() == [0, 0, 0]
        replay()
        x.fill_(10)
        replay()
        assert place.cpu().tolist() == [22, 22, 22] and next(factors) == 3.0
        assert kept[0].cpu().isnan().all()
