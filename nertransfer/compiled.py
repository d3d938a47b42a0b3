"""The repeated layers of an encoder with their small kernels fused by torch.compile, while training needs them so."""

from contextlib import AbstractContextManager

import torch
from torch import nn

from nertransfer.replaced import forwards_replaced


class CompiledLayers:
    """Layers that are alike are compiled together, once a process, for every length and every model of that kind."""

    def __init__(self, model: nn.Module) -> None:
        stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len({type(x) for x in m}) == 1]
        layers = [layer for stack in stacks if len(stack) > 1 for layer in stack]
        self.compiled = {layer: torch.compile(layer.forward, dynamic=True) for layer in layers}

    def in_use(self) -> AbstractContextManager[None]:
        """Inside, the layers run compiled; scoring and saving, outside, see them as they are."""
        return forwards_replaced(self.compiled)
