"""Fine-tuning with the rows of the word embeddings that a corpus uses, and no others: exact, smaller, faster.

A row whose sub-token never occurs has a gradient of 0, and AdamW without weight decay never moves it. Left out, it
costs no time, optimiser state or checkpoint (Abdaoui et al. 2020 trim vocabularies for good; here the rows come back).
"""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional


class TrimmedEmbedding(nn.Module):
    """The rows ``ids`` of an embedding, looked up by the ids of its whole vocabulary.

    So batches, special tokens and positions that a model derives from ids stay as they are. Any other id raises
    IndexError (on a GPU: an assertion of the device).
    """

    def __init__(self, whole: nn.Embedding, ids: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(whole.weight.detach()[ids].clone())
        row = torch.full((whole.num_embeddings,), len(ids), dtype=torch.int64)  # one past the last row
        row[ids] = torch.arange(len(ids))
        self.register_buffer("row", row, persistent=False)
        padding = whole.padding_idx
        self.padding_idx = None if padding is None or row[padding] == len(ids) else int(row[padding])

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Vectors of the ids, (..., dimensions)."""
        return functional.embedding(self.row[input_ids], self.weight, self.padding_idx)


class Trimming:
    """Takes the rows that ``ids`` name out of a model's word embeddings, and puts them back when training is over.

    ``whole`` is the embedding that was there, which stays where it is.
    """

    def __init__(self, model: nn.Module, ids: Iterable[int]) -> None:
        self.whole: nn.Embedding = model.get_input_embeddings()
        self.ids = torch.tensor(sorted(set(ids)))
        model.set_input_embeddings(TrimmedEmbedding(self.whole, self.ids))

    def restore(self, model: nn.Module) -> None:
        """Give the model, on its device, its whole vocabulary with the rows as they are trained."""
        trained = model.get_input_embeddings()
        with torch.no_grad():
            self.whole.weight[self.ids] = trained.weight.detach().to(self.whole.weight)
        model.set_input_embeddings(self.whole.to(trained.weight.device))


def can_trim(model: nn.Module) -> bool:
    """Whether a model's word embeddings are a plain table that nothing else in the model uses."""
    found = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    if type(found) is not nn.Embedding or found.max_norm is not None or found.scale_grad_by_freq or found.sparse:
        return False
    return sum(p is found.weight for _, p in model.named_parameters(remove_duplicate=False)) == 1
