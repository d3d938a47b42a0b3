"""The repeated layers of an encoder with their small kernels fused by torch.compile, while training needs them so."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class CompiledLayers:
    """Layers that are alike are compiled together, once a process, for every length and every model of that kind."""

    def __init__(self, model: nn.Module) -> None:
        stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len({type(x) for x in m}) == 1]
        self.layers = [layer for stack in stacks if len(stack) > 1 for layer in stack]
        self.compiled = [torch.compile(layer.forward, dynamic=True) for layer in self.layers]

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, the layers run compiled; scoring and saving, outside, see them as they are."""
        for layer, compiled in zip(self.layers, self.compiled, strict=True):
            layer.forward = compiled
        try:
            yield
        finally:
            for layer in self.layers:
                del layer.forward
