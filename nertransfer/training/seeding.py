"""Random numbers that a seed decides."""

import numpy as np
import torch


def mixed(*numbers: int) -> int:
    """One well-spread 32-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def permutation(number: int, *seed: int) -> list[int]:
    """The places 0 to ``number`` - 1 in an order that the numbers of ``seed`` decide."""
    return torch.randperm(number, generator=torch.Generator().manual_seed(mixed(*seed))).tolist()
