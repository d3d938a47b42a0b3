"""The repeated layers of an encoder with their small kernels fused by torch.compile, while training needs them so."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.fx.experimental import _config as shapes

from nertransfer.replaced import forwards_replaced


class CompiledLayers:
    """Layers that are alike are compiled together, once a process, for every length and every model of that kind."""

    def __init__(self, model: nn.Module) -> None:
        stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len({type(x) for x in m}) == 1]
        layers = [layer for stack in stacks if len(stack) > 1 for layer in stack]
        self.compiled = {layer: torch.compile(layer.forward, dynamic=True) for layer in layers}

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, the layers run compiled; scoring and saving, outside, see them as they are."""
        # else a first batch of as many rows as columns compiles for squares alone, and the next one once more
        with shapes.patch(use_duck_shape=False), forwards_replaced(self.compiled):
            yield
