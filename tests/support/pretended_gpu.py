"""A GPU that is none: tensors that say they are on one and are computed here, and a recorder that replays as CUDA
graphs do.

What fails on a real one fails: operations on tensors of two devices and, while something is recorded, all that waits
for the device or copies from or to the host. A replay runs no Python: it does the recorded operations again, in the
memory they were recorded in, and what they leave there cannot be read afterwards. Not pretended: bf16, compiled layers,
several streams. Models are to be loaded outside.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from accelerate.state import AcceleratorState, PartialState
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("cuda", 0)

_READING = {getattr(torch.Tensor, name) for name in ("__bool__", "__float__", "__int__", "cpu", "item")}
_ASKING = {"_local_scalar_dense", "_unique2", "equal", "is_nonzero", "masked_select", "nonzero", "unique_dim"}
"""Operations whose result, or its shape, the host waits for."""
_COPYING = {torch.Tensor.to, torch.as_tensor, torch.tensor}


class OnGpu(torch.Tensor):
    """``inner`` is the tensor that it stands for. To torch, below Python, it is a tensor without memory."""

    inner: torch.Tensor
    is_cuda = property(lambda _: True)
    is_meta = property(lambda _: False)
    device = property(lambda _: DEVICE)

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "OnGpu":
        with _disable_current_modes(), torch.inference_mode(False):
            shape = torch.empty_strided(inner.shape, inner.stride(), dtype=inner.dtype, device="meta")
            made = torch.Tensor._make_subclass(cls, shape)
        made.inner = inner
        return made

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.inner.untyped_storage()

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def __repr__(self, **_: Any) -> str:
        return f"OnGpu({self.inner})"

    def __reduce_ex__(self, _protocol: int) -> tuple[Any, ...]:
        return from_values, (self.inner.tolist(), str(self.inner.dtype).removeprefix("torch."))

    @classmethod
    def __torch_dispatch__(cls, function: Any, _types: Any, arguments: Any = (), named: Any = None) -> Any:
        return _computed(function, arguments, named or {})


def from_values(values: Any, dtype: str) -> OnGpu:
    """What a file says of such a tensor."""
    with _disable_current_modes():
        return OnGpu(torch.tensor(values, dtype=getattr(torch, dtype)))


class Repeats:
    """A recorder of `nertransfer.training.speedups` that records nothing, and counts what it does."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def around(self) -> nullcontext[None]:
        return nullcontext()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        again = self.taken_down(work)

        def replay() -> None:
            self.replayed += 1
            again()

        return replay

    def taken_down(self, work: Callable[[], None]) -> Callable[[], None]:
        return work


class Tape(Repeats):
    """One for such tensors: what is replayed are operations, no Python."""

    def taken_down(self, work: Callable[[], None]) -> Callable[[], None]:
        recording = _Recording()
        with recording:
            work()
        return recording.replay


class _Recording:
    """Operations in order: function, arguments and those results that are no part of an argument."""

    current: "_Recording | None" = None

    def __init__(self) -> None:
        self.operations: list[tuple[Any, Any, Any, list[torch.Tensor]]] = []
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self.own: dict[int, torch.Tensor] = {}

    def __enter__(self) -> None:
        _Recording.current = self

    def __exit__(self, *_: object) -> None:
        _Recording.current = None
        for storage, copy in self.before.values():  # nothing has been done
            storage.copy_(copy)
        self._forget()

    def run(self, function: Any, arguments: Any, named: Any) -> Any:
        for tensor in _written(function, arguments, named):
            if _place(tensor) not in self.own:
                storage = tensor.untyped_storage()
                self.before.setdefault(_place(tensor), (storage, storage.clone()))
        result = function(*arguments, **named)
        fresh = _fresh(result, (arguments, named))
        self.own |= {_place(tensor): tensor for tensor in fresh}
        self.operations.append((function, arguments, named, fresh))
        return result

    def replay(self) -> None:
        with _disable_current_modes():
            for function, arguments, named, fresh in self.operations:
                again = _fresh(function(*arguments, **named), (arguments, named))
                for old, new in zip(fresh, again, strict=True):
                    old.copy_(new)
            self._forget()

    def _forget(self) -> None:
        """Other records use the same memory."""
        for tensor in self.own.values():
            if tensor.is_floating_point():
                tensor.fill_(torch.nan)


def _tensors(nested: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(nested) if isinstance(leaf, torch.Tensor)]


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _fresh(result: Any, given: Any) -> list[torch.Tensor]:
    there = {_place(tensor) for tensor in _tensors(given)}
    return [tensor for tensor in _tensors(result) if _place(tensor) not in there]


def _written(function: Any, arguments: Any, named: Any) -> list[torch.Tensor]:
    schema = function._schema.arguments
    given = [*zip(schema, arguments, strict=False), *((one, named[one.name]) for one in schema if one.name in named)]
    return [
        tensor
        for one, value in given
        if one.alias_info is not None and one.alias_info.is_write
        for tensor in _tensors(value)
    ]


def _computed(function: Any, arguments: Any, named: dict[str, Any]) -> Any:
    """The result of an operation, on the device where a GPU would leave it."""
    name = function._schema.name.removeprefix("aten::")
    given = _tensors((arguments, named))
    here = [tensor for tensor in given if not isinstance(tensor, OnGpu)]
    indexing = name.startswith("index") or name.startswith("_index")
    # a tensor of one number is taken for the number, and whole numbers for places
    mixed = [t for t in here if t.dim() and not (indexing and t is not arguments[0] and t.dtype == torch.int64)]
    if mixed and name not in ("_to_copy", "copy_"):
        raise RuntimeError(f"{name}: tensors on {DEVICE} and cpu")
    asked = named.get("device")
    to_host = not isinstance(arguments[0], OnGpu) if name == "copy_" else asked == torch.device("cpu")
    if _Recording.current is not None:
        masked = indexing and any(tensor.dtype == torch.bool for tensor in given[1:])
        if here or to_host or masked or name in _ASKING:
            raise RuntimeError(f"{name} while a graph is recorded: host and device would meet")
    if asked is not None:
        named = named | {"device": torch.device("cpu")}
    plain, plainly = tree_map(lambda leaf: leaf.inner if isinstance(leaf, OnGpu) else leaf, (arguments, named))
    run = function if _Recording.current is None else lambda *a, **n: _Recording.current.run(function, a, n)
    result = run(*plain, **plainly)
    returned = function._schema.returns
    if len(returned) == 1 and returned[0].alias_info is not None and returned[0].alias_info.is_write:
        return arguments[0]
    return result if to_host else tree_map(lambda leaf: OnGpu(leaf) if isinstance(leaf, torch.Tensor) else leaf, result)


class _Operations(TorchDispatchMode):
    """Sees what torch does below Python, and makes there what is made without memory."""

    def __torch_dispatch__(self, function: Any, _types: Any, arguments: Any = (), named: Any = None) -> Any:
        named = named or {}
        there = any(isinstance(tensor, OnGpu) for tensor in _tensors((arguments, named)))
        if not there and named.get("device") != torch.device("meta"):
            return function(*arguments, **named)
        with self:  # what is made of other operations comes whole where no gradients are wanted
            result = function.decompose(*arguments, **named)
        return _computed(function, arguments, named) if result is NotImplemented else result


class _Calls(TorchFunctionMode):
    """Sees which device Python asks for, of which a torch without CUDA makes no tensor."""

    def __torch_function__(self, function: Any, _types: Any, arguments: Any = (), named: Any = None) -> Any:
        named = named or {}
        there = bool(arguments) and isinstance(arguments[0], OnGpu)
        if there and function in _READING:
            if _Recording.current is not None:
                raise RuntimeError(f"{function.__name__} while a graph is recorded: host and device would meet")
            return function(arguments[0].inner.clone())
        told = arguments[1:] if function is torch.Tensor.to else ()
        asked = [v for v in (named.get("device"), *told) if isinstance(v, torch.device | str)]
        if not asked or torch.device(asked[0]).type != "cuda":
            return function(*arguments, **named)
        instead = torch.device("meta" if there else "cpu")
        arguments = [instead if isinstance(value, torch.device | str) else value for value in arguments]
        made = function(*arguments, **(named | {"device": instead} if "device" in named else named))
        if there:
            return made
        if function in _COPYING:
            if _Recording.current is not None:
                raise RuntimeError(f"{function.__name__} while a graph is recorded: host and device would meet")
            made = made.detach().clone()
        return OnGpu(made)


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Inside, there is a `DEVICE`, and accelerators are on it."""
    state = {"device": DEVICE}

    def recording() -> bool:
        return _Recording.current is not None

    swapping = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with (
            mock.patch.dict(PartialState._shared_state, state),
            mock.patch.dict(AcceleratorState._shared_state, state),
            mock.patch("torch.cuda.is_current_stream_capturing", recording),
            mock.patch("torch.accelerator.current_accelerator", lambda check_available=False: DEVICE),
            mock.patch("torch.accelerator.current_stream", lambda: SimpleNamespace(is_capturing=recording)),
            torch.serialization.safe_globals([from_values]),
            _Calls(),
            _Operations(),
        ):
            yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swapping)
