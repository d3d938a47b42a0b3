"""What makes fine-tuning fast: the rows of the embeddings that a corpus uses, compiled layers, CUDA graphs.

Trimming: an embedding with the rows that occur, and no others, gives the same numbers and is smaller and faster.

CUDA graphs: a step of a small batch is about two thousand kernels of a few microseconds each; asked for one by one,
most of the time goes into asking. A graph asks once (torch.cuda.CUDAGraph). It needs fixed shapes, so batches are
padded to the next multiple of ``STRIDE`` sub-tokens, and to their full number of rows; and fixed places, so the whole
split lies on the device and a step is told only which rows to take.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.fx.experimental import _config as shapes
from torch.nn import functional

from nertransfer.encoders.dropout import forwards_replaced
from nertransfer.encoders.tokenization import IGNORED, Encoded, collate

STRIDE = 8
"""Lengths of batches are multiples of this: few graphs, and what the kernels of attention like."""

RECORDABLE = ("bert", "camembert", "electra", "roberta", "xlm-roberta")
"""Model types, in one pattern, whose passes ask nothing of the device on the way: what does cannot be recorded."""

Step = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(input ids, attention mask, labels), each int64 [rows, length], -> the batch's loss, after the optimiser's step."""


class Recorder(Protocol):
    """Makes of some work, whose inputs and outputs stay in place, something that does it again."""

    def around(self) -> AbstractContextManager[object]:
        """Where all work is done, recorded or not."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Take down work, which has been done before, without doing it; what is returned does it."""


class CudaGraphs:
    """Records work as CUDA graphs that share their memory: none of it is needed after a replay."""

    def __init__(self, device: torch.device) -> None:
        self.stream = _stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def around(self) -> Iterator[None]:
        usual = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(usual)
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:  # what fails frees memory that the stream may still be working on
            usual.wait_stream(self.stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            work()
        return graph.replay


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all cells of a process: nothing can be recorded on the default one, and cuBLAS keeps its workspace of
    every stream it has worked on, 64 MB of an H100's for the two passes."""
    return torch.cuda.Stream(device)


class CapturedSteps:
    """Steps over batches of one split.

    The first batch of a length is an ordinary step, which also makes what is made on first use; the second is recorded;
    from then on the record is replayed. Each does the same arithmetic on the same numbers, dropout drawn anew. Full
    batches of rows as long as the model takes, without room for padding, are ordinary steps always.
    """

    def __init__(
        self, train: Encoded, batch_size: int, step: Step, rate: torch.Tensor, recorder: Recorder, limit: int
    ) -> None:
        """``rate``: the learning rate that ``step``'s optimiser reads, a float tensor () on the model's device.
        ``limit``: most sub-tokens, padding included, that the model takes in a row."""
        device = rate.device
        whole = collate(train, range(len(train.windows)))
        # Room for padding behind the longest, too. Below the windows a row that fills up batches: it has one sub-token,
        # for attention to nothing is undefined.
        width = min(whole.input_ids.shape[1] // STRIDE * STRIDE + STRIDE, limit)
        self.input_ids = _padded(whole.input_ids, width, train.pad_id).to(device)
        self.labels = _padded(whole.labels, width, IGNORED).to(device)
        self.filler = len(train.windows)
        self.lengths = np.asarray([*(len(w.ids) for w in train.windows), 1])
        self.sizes = torch.from_numpy(self.lengths).to(device)
        self.step, self.rate, self.recorder = step, rate, recorder
        self.rows = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self.loss = torch.zeros((), device=device)
        self.known: dict[int, Callable[[], None] | None] = {}

    def __call__(
        self, batches: Sequence[Sequence[int]], rates: Sequence[float], after_each: Callable[[], object]
    ) -> torch.Tensor:
        """Losses [batches] on the device, one step each at the given learning rates. Waits for nothing."""
        table = np.full((len(batches), len(self.rows)), self.filler)
        for number, batch in enumerate(batches):
            table[number, : len(batch)] = batch
        with self.recorder.around():
            rows = torch.from_numpy(table).to(self.rows.device)
            on_device = torch.tensor(rates, dtype=self.rate.dtype).to(self.rate.device)
            losses = torch.zeros(len(batches), device=self.loss.device)
            lengths = self.lengths[table]
            for number, longest in enumerate(lengths.max(axis=1).tolist()):
                self.rows.copy_(rows[number])
                self.rate.copy_(on_device[number])
                self._run(longest, shortest=int(lengths[number].min()))
                losses[number] = self.loss
                after_each()
        return losses

    def _run(self, longest: int, shortest: int) -> None:
        width = self.input_ids.shape[1]
        length = min(-(-longest // STRIDE) * STRIDE, width)
        # Without padding a model may leave out the mask, which it cannot when it is recorded: that would be other
        # work, and in compiled layers another compilation.
        if length not in self.known and shortest == length:
            length = min(length + STRIDE, width)

        def work() -> None:
            places = torch.arange(length, device=self.rows.device)
            mask = (places < self.sizes[self.rows, None]).long()
            self.loss.copy_(self.step(self.input_ids[self.rows, :length], mask, self.labels[self.rows, :length]))

        if length not in self.known:
            if shortest < length:
                self.known[length] = None
            work()
            return
        replay = self.known[length]
        if replay is None:
            replay = self.known[length] = self.recorder.record(work)
        replay()


def _padded(table: torch.Tensor, width: int, value: int) -> torch.Tensor:
    """A table of so many columns, and one row more."""
    return functional.pad(table, (0, width - table.shape[1], 0, 1), value=value)


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
    if found is None or type(found) is not nn.Embedding:
        return False
    if found.max_norm is not None or found.scale_grad_by_freq or found.sparse:
        return False
    return sum(p is found.weight for _, p in model.named_parameters(remove_duplicate=False)) == 1
