"""Trimmed word embeddings: training is the same bit for bit, and the whole vocabulary comes back."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from tiny import save_tiny_corpora, save_tiny_start
from torch.nn import functional

from nertransfer.core.options import DataOptions, Recipe, RunOptions
from nertransfer.corpora import corpus
from nertransfer.corpora.labels import label_list
from nertransfer.encoders import starts
from nertransfer.encoders.tokenization import Encoded
from nertransfer.training.checkpoint import Checkpoint
from nertransfer.training.finetune import Callbacks, History, Machine, Training, fit
from nertransfer.training.run_cell import Encoder
from nertransfer.training.speedups import TrimmedEmbedding, Trimming, can_trim

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=5e-3, max_length=32)
Made = tuple[starts.Start, Encoded, Encoded, tuple[str, ...]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A start with dropout, an encoded train and dev split, the labels."""
    folder = tmp_path_factory.mktemp("trimming")
    start = starts.Start("tiny", str(save_tiny_start(folder / "tiny")))
    there = corpus.load(DataOptions(str(save_tiny_corpora(folder / "data")), ("aaa",)))["aaa"]
    labels, encoder = label_list(there.categories), Encoder(starts.load_tokenizer(start), 32)
    return start, encoder.with_labels(there.train, labels), encoder(there.dev), labels


def trained(made: Made, recipe: Recipe = RECIPE, read: tuple[Encoded, ...] = (), **options) -> tuple[dict, History]:  # type: ignore[no-untyped-def]
    start, train, _, labels = made
    model = starts.load_for_tagging(start, labels, 3)
    machine = Machine(RunOptions(), Accelerator(cpu=True))
    found, history = fit(model, Training(train, recipe, 3, read=read), machine, **options)
    return found.state_dict(), history


def assert_same(one: tuple[dict, History], other: tuple[dict, History]) -> None:
    assert one[1].losses == other[1].losses
    assert one[0].keys() == other[0].keys()
    for name, tensor in one[0].items():
        assert torch.equal(tensor, other[0][name]), name


def test_training_is_bit_identical_with_dropout_and_clipping(made: Made) -> None:
    _, train, dev, _ = made
    assert_same(trained(made), trained(made, read=(train, dev)))
    clipped = Recipe(epochs=2, batch_size=8, learning_rate=5e-3, max_length=32, max_grad_norm=0.05)
    assert_same(trained(made, clipped), trained(made, clipped, (train, dev)))


def test_only_rows_that_occur_are_trained(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    real = torch.optim.AdamW.__init__

    def watched(self: torch.optim.AdamW, groups: list[dict], **options: object) -> None:
        sizes.append(sum(p.numel() for group in groups for p in group["params"]))
        real(self, groups, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.optim.AdamW, "__init__", watched)
    _, train, dev, _ = made
    trained(made), trained(made, read=(train, dev))
    used = {i for encoded in (train, dev) for w in encoded.windows for i in w.ids} | {train.pad_id}
    whole = starts.load_tokenizer(made[0]).vocab_size
    assert sizes[0] - sizes[1] == 32 * (whole - len(used)) > 0


def test_with_weight_decay_every_row_is_trained(made: Made) -> None:
    _, train, dev, _ = made
    recipe = Recipe(epochs=1, batch_size=8, learning_rate=5e-3, max_length=32, weight_decay=0.1)
    first = starts.load_for_tagging(made[0], made[3], 3).state_dict()
    found = trained(made, recipe, (train, dev))
    assert_same(trained(made, recipe), found)
    name = next(name for name in first if name.endswith("word_embeddings.weight"))
    assert (first[name] != found[0][name]).any(dim=1).sum() == len(first[name]) - 1  # the row of padding is 0


def test_the_best_epoch_comes_back_whole(made: Made) -> None:
    _, train, dev, _ = made
    recipe = Recipe(epochs=3, batch_size=8, learning_rate=5e-3, max_length=32, epoch_choice="best")
    results = []
    for read in ((), (train, dev)):
        scores = [0.2, 0.5, 0.1]
        callbacks = Callbacks(dev_f1=lambda _, scores=scores: scores.pop())
        results.append(trained(made, recipe, read, callbacks=callbacks))
    assert results[0][1].kept_epoch == 2
    assert_same(*results)


def test_a_checkpoint_of_other_rows_is_not_taken_up(made: Made, tmp_path: Path) -> None:
    _, train, dev, _ = made
    whole = trained(made)

    def cut(history: History) -> None:
        if history.epochs == 2:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "checkpoint", "cell")
    start, _, _, labels = made
    for read in ((train,), (train, dev)):
        model = starts.load_for_tagging(start, labels, 3)
        with pytest.raises(KeyboardInterrupt):
            machine = Machine(RunOptions(checkpoint_minutes=0), Accelerator(cpu=True))
            fit(model, Training(train, RECIPE, 3, read=read), machine, checkpoint, Callbacks(on_epoch=cut))
    state = json.loads((tmp_path / "checkpoint" / "state.json").read_text())
    assert len(state["history"]["seconds"]) == 1
    assert_same(whole, trained(made, read=(train,), checkpoint=checkpoint))
    assert_same(whole, trained(made, read=(train, dev), checkpoint=checkpoint))


def test_an_id_that_was_left_out_is_an_error_and_padding_has_no_gradient() -> None:
    whole = torch.nn.Embedding(10, 4, padding_idx=1)
    trimmed = TrimmedEmbedding(whole, torch.tensor([1, 3, 7]))
    ids = torch.tensor([[3, 7, 1], [7, 7, 1]])
    assert torch.equal(trimmed(ids), whole(ids))
    trimmed(ids).sum().backward()
    whole(ids).sum().backward()
    assert trimmed.weight.grad is not None and whole.weight.grad is not None
    assert torch.equal(trimmed.weight.grad, whole.weight.grad[[1, 3, 7]])
    with pytest.raises(IndexError):
        trimmed(torch.tensor([4]))


def test_embeddings_that_something_else_uses_stay_whole(made: Made) -> None:
    start, _, _, labels = made
    assert can_trim(starts.load_for_tagging(start, labels, 0))
    assert not can_trim(starts.load_for_language_modelling(start, 0)[0])  # its output layer is the same matrix
    assert not can_trim(torch.nn.Linear(2, 2))


def test_restoring_leaves_the_other_rows_alone(made: Made) -> None:
    start, _, _, labels = made
    model = starts.load_for_tagging(start, labels, 0)
    before = model.get_input_embeddings().weight.detach().clone()
    trimming = Trimming(model, [9, 2, 2, 5])
    assert model.get_input_embeddings().weight.shape == (3, 32)
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(1)
    trimming.restore(model)
    after = model.get_input_embeddings().weight.detach()
    moved = (after != before).any(dim=1).nonzero().flatten().tolist()
    assert moved == [2, 5, 9] and functional.embedding(torch.tensor([2]), after).shape == (1, 32)
