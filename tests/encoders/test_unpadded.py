"""Unpadded rows against the padded batches they stand for."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForTokenClassification, PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from nertransfer.encoders.unpadded import ATTENTION, forward, pack, supports

VOCABULARY, PAD, MAX_LENGTH = 50, 1, 40
_SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 48, "pad_token_id": PAD, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0,
    "sep_token_id": 2, "max_position_embeddings": MAX_LENGTH, "num_labels": 5,
    "initializer_range": 0.3,  # large enough for attention to choose
}  # fmt: skip
_BEHIND_PADDING = {"max_position_embeddings": MAX_LENGTH + PAD + 1}
_OWN = {
    "camembert": _BEHIND_PADDING,
    "distilbert": {"hidden_dim": 48, "dropout": 0.0, "seq_classif_dropout": 0.0},
    "modernbert": {"local_attention": 6, "global_attn_every_n_layers": 2},
    "roberta": _BEHIND_PADDING,
    "xlm-roberta": _BEHIND_PADDING,
}
TYPES = ("bert", "camembert", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta")
BATCHES = {
    "very different lengths": (3, 40, 1, 17, 2, 40, 39, 1),
    "sorted, with neighbours of equal length": (1, 1, 2, 9, 9, 9, 9, 9, 30, 30, 31),
    "one window": (23,),
    "one sub-token": (1,),
}


def _model(kind: str, attention_dropout: float = 0.0, **changes: object) -> PreTrainedModel:
    """In double precision, so that equal means equal."""
    torch.manual_seed(0)
    dropout = {
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": attention_dropout,
        "attention_dropout": attention_dropout,
    }  # fmt: skip
    arguments = {**_SIZES, **dropout, **_OWN.get(kind, {}), **changes}
    return AutoModelForTokenClassification.from_config(AutoConfig.for_model(kind, **arguments)).double()


def _windows(lengths: Sequence[int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randint(3, VOCABULARY, (length,), generator=generator) for length in lengths]


def _padded_logits(model: torch.nn.Module, windows: list[torch.Tensor]) -> torch.Tensor:
    """Logits of all real sub-tokens [total, labels] by the model's usual path."""
    ids = torch.nn.utils.rnn.pad_sequence(windows, batch_first=True, padding_value=PAD)
    mask = torch.arange(ids.shape[1]) < torch.tensor([len(window) for window in windows])[:, None]
    return model(input_ids=ids, attention_mask=mask.long()).logits[mask]


def _unpadded_logits(model: torch.nn.Module, windows: list[torch.Tensor], *given: torch.Tensor) -> torch.Tensor:
    return forward(model, torch.cat(windows), pack([len(window) for window in windows]), *given)


def _gradients(model: torch.nn.Module, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    functional.cross_entropy(logits, torch.arange(len(logits)) % logits.shape[1]).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", TYPES)
def test_same_logits_as_padded(kind: str) -> None:
    model = _model(kind).eval()
    assert supports(model)
    with torch.inference_mode():
        for name, lengths in BATCHES.items():
            windows = _windows(lengths)
            expected = _padded_logits(model, windows)
            torch.testing.assert_close(_unpadded_logits(model, windows), expected, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("some", [False, True], ids=["all", "positions"])
def test_same_gradients_as_padded(kind: str, some: bool) -> None:
    model = _model(kind).train()
    windows = _windows(BATCHES["very different lengths"])
    positions = torch.arange(0, sum(BATCHES["very different lengths"]), 3)
    expected = _padded_logits(model, windows)
    expected_gradients = _gradients(model, expected[positions] if some else expected)
    actual = _unpadded_logits(model, windows, positions) if some else _unpadded_logits(model, windows)
    gradients = _gradients(model, actual)
    assert gradients.keys() == expected_gradients.keys()
    largest = max(float(g.abs().max()) for g in expected_gradients.values())
    for name, gradient in gradients.items():  # a key's bias has no gradient but float noise
        torch.testing.assert_close(gradient, expected_gradients[name], rtol=1e-9, atol=1e-12 * largest, msg=name)


@pytest.mark.parametrize("tokens", [1, 20, 10_000])
def test_any_number_of_windows_in_a_call_gives_the_same(tokens: int) -> None:
    model = _model("modernbert").eval()
    windows = _windows([5] * 7 + [3] * 2 + [12] * 5)
    packing = pack([len(window) for window in windows], tokens)
    torch.testing.assert_close(
        forward(model, torch.cat(windows), packing), _padded_logits(model, windows), rtol=1e-9, atol=1e-12
    )


def test_runs_are_neighbours_of_equal_length() -> None:
    packing = pack([2, 3, 3, 3, 2, 9], tokens=6)
    assert packing.runs == ((1, 2), (2, 3), (1, 3), (1, 2), (1, 9))
    assert packing.position_ids.tolist() == [0, 1, *[0, 1, 2] * 3, 0, 1, *range(9)]


@pytest.mark.parametrize("kind", TYPES)
def test_only_the_rows_asked_for_are_computed_behind_the_last_attention(kind: str) -> None:
    model = _model(kind).eval()
    windows = _windows(BATCHES["very different lengths"])
    positions = torch.tensor([0, 5, 5, 60, 142])
    rows: list[int] = []
    model.classifier.register_forward_pre_hook(lambda _, given: rows.append(given[0].shape[1]))
    with torch.inference_mode():
        everything = _unpadded_logits(model, windows)
        torch.testing.assert_close(
            _unpadded_logits(model, windows, positions), everything[positions], rtol=1e-9, atol=1e-12
        )
    assert rows == [143, 5]


@pytest.mark.parametrize("kind", ["xlm-roberta", "modernbert"])
def test_masked_language_models_run_too(kind: str) -> None:
    model = AutoModelForMaskedLM.from_config(_model(kind).config).double().eval()
    windows = _windows((4, 4, 30, 7))
    positions = torch.tensor([1, 20, 44])
    assert supports(model)
    expected = _padded_logits(model, windows)[positions]
    torch.testing.assert_close(_unpadded_logits(model, windows, positions), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("usual", ["sdpa", "eager"])
def test_the_model_and_its_configuration_stay_as_they_were(usual: str, tmp_path: Path) -> None:
    model = _model("xlm-roberta", attn_implementation=usual).eval()
    windows = _windows((4, 9))
    before = _padded_logits(model, windows)
    _unpadded_logits(model, windows, torch.tensor([2]))
    with pytest.raises((IndexError, RuntimeError)):
        _unpadded_logits(model, windows, torch.tensor([13]))
    assert model.config._attn_implementation == usual
    assert torch.equal(_padded_logits(model, windows), before)
    model.save_pretrained(tmp_path)
    assert ATTENTION not in json.dumps(json.loads((tmp_path / "config.json").read_text()))


@pytest.mark.parametrize("kind", TYPES)
def test_attention_dropout_is_applied_in_training_only(kind: str) -> None:
    model = _model(kind, attention_dropout=0.5)
    windows = _windows((12, 12, 20))
    model.train()
    assert not torch.allclose(_unpadded_logits(model, windows), _unpadded_logits(model, windows), atol=1e-3)
    model.eval()
    assert torch.equal(_unpadded_logits(model, windows), _unpadded_logits(model, windows))


def test_attention_dropout_keeps_the_mean() -> None:
    torch.manual_seed(0)
    packing = pack([6, 6, 11])
    query, key, value = torch.randn(3, 1, 2, 23, 8)
    attend = ALL_ATTENTION_FUNCTIONS[ATTENTION]

    def attended(dropout: float) -> torch.Tensor:
        return attend(torch.nn.Module(), query, key, value, None, packing=packing, dropout=dropout)[0]

    mean = torch.stack([attended(0.2) for _ in range(2000)]).mean(0)
    torch.testing.assert_close(mean, attended(0.0), rtol=0, atol=0.06)


def test_runs_in_lower_precision_and_inside_a_wrapper() -> None:
    model = torch.nn.DataParallel(_model("xlm-roberta").float().eval())
    windows = _windows((4, 9, 9))
    assert supports(model)
    torch.testing.assert_close(_unpadded_logits(model, windows), _padded_logits(model, windows), rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        rough = _unpadded_logits(model, windows)
        assert rough.dtype == torch.bfloat16
        torch.testing.assert_close(rough, _padded_logits(model, windows), rtol=0.05, atol=0.2)


def test_other_models_are_not_supported() -> None:
    assert not supports(_model("deberta-v2"))
    assert not supports(_model("bert", is_decoder=True))
    assert not supports(torch.nn.Linear(2, 2))
    recomputed = _model("bert")
    recomputed.activation_checkpointing_enable()
    assert not supports(recomputed)
