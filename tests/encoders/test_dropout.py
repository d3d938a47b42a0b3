"""Dropout: the share it promises, expectations that stay, gradients of what was kept, and layers that are as before."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nertransfer.encoders.dropout import drop, quick_dropout


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4), st.floats(0.01, 0.99), st.integers(0, 1000),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]), st.booleans(),
)  # fmt: skip
def test_numbers_are_dropped_or_scaled_and_so_are_their_gradients(
    shape: list[int], probability: float, seed: int, dtype: torch.dtype, turned: bool
) -> None:
    torch.manual_seed(seed)
    states = (torch.rand(shape, dtype=dtype) + 0.5).requires_grad_()
    given_states = states.transpose(0, -1) if turned else states
    dropped = drop(given_states, probability)
    assert dropped.shape == given_states.shape and dropped.dtype == dtype
    scale = dropped.detach() / given_states.detach()
    kept = scale != 0
    tolerance = 2e-2 if dtype is torch.bfloat16 else 1e-6
    expected = 65536 / (65536 - round(probability * 65536))
    torch.testing.assert_close(scale[kept], torch.full_like(scale[kept], expected), rtol=tolerance, atol=0)
    dropped.sum().backward()
    assert states.grad is not None
    torch.testing.assert_close((states.grad.transpose(0, -1) if turned else states.grad) != 0, kept)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.01, 0.93])
def test_as_many_are_dropped_as_the_probability_says_whatever_their_place(probability: float) -> None:
    torch.manual_seed(1)
    number = 1 << 20
    zeros = (drop(torch.ones(number), probability) == 0).view(-1, 8)
    exact = round(probability * 65536) / 65536
    spread = math.sqrt(exact * (1 - exact))
    assert abs(zeros.float().mean().item() - exact) < 5 * spread / math.sqrt(number)
    by_place = zeros.float().mean(0)
    assert torch.all((by_place - exact).abs() < 6 * spread / math.sqrt(number / 8))
    neighbours = torch.corrcoef(zeros.T.float()) - torch.eye(8)
    assert neighbours.abs().max() < 6 / math.sqrt(number / 8)


def test_draws_depend_on_the_seed_and_are_never_the_same_twice() -> None:
    torch.manual_seed(5)
    first, second = drop(torch.ones(1000), 0.5), drop(torch.ones(1000), 0.5)
    torch.manual_seed(5)
    assert torch.equal(drop(torch.ones(1000), 0.5), first) and not torch.equal(first, second)


@pytest.mark.parametrize(("probability", "left"), [(0.0, 1.0), (1e-9, 1.0), (1.0, 0.0)])
def test_none_or_all(probability: float, left: float) -> None:
    states = torch.ones(50, requires_grad=True)
    assert torch.allclose(drop(states, probability), torch.full((50,), left))


def test_layers_drop_while_they_train_and_are_as_before_afterwards() -> None:
    model = nn.Sequential(nn.Linear(8, 512), nn.Dropout(0.25))
    torch.nn.init.ones_(model[0].weight)
    states = torch.ones(4, 8)
    with quick_dropout(model):
        torch.manual_seed(3)
        found = model(states)
        torch.manual_seed(3)
        assert torch.equal(found, drop(model[0](states), 0.25))
        model.eval()
        assert torch.equal(model(states), model[0](states))
    model.train()
    torch.manual_seed(3)
    usual = model(states)
    torch.manual_seed(3)
    assert torch.equal(usual, torch.nn.functional.dropout(model[0](states), 0.25))
    with pytest.raises(KeyError), quick_dropout(model):
        raise KeyError
    assert "forward" not in vars(model[1])
