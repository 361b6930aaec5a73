"""Record of what a card is asked to do: waits for the host, copies, products and their precision, T × T tensors.

A dispatch mode over FakeTensorMode: what lies on the fake card `cuda:0` has shapes and no values, what the host
computes is computed. A value that the host reads of the card is a wait (a host-device synchronisation), and is answered
with zeros, True or 1. Everything is counted by the place in the project that asked for it.

T tokens of a row.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
REPO = Path(__file__).resolve().parents[2]
OURS = tuple(f"{REPO / package}/" for package in ("hamner", "tournament", "curriculum"))

# operations whose result's shape depends on values, which the host has to know
SHAPE_OF_VALUES = {aten.nonzero, aten.masked_select, aten._unique2, aten.unique_consecutive, aten.bincount, aten.equal}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
COPIES = {aten._to_copy, aten.copy_}
PRODUCTS = {aten.mv, aten.addmv, aten.dot, aten._grouped_mm, *flop_registry}
WIDE = (torch.float32, torch.float64)


def place() -> str:
    """Innermost function of the project that is running: "hamner/training/trainer.py:_update"."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(OURS):
            return f"{Path(file).relative_to(REPO)}:{frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "backward"  # a thread of autograd's own


def factors(packet: Any, args: tuple[Any, ...]) -> list[Tensor]:
    """The tensors that a product multiplies; what is added to it is none, nor are the sums of attention's rows."""
    tensors = [arg for arg in args if isinstance(arg, Tensor) and arg.dtype.is_floating_point]
    if "attention" in packet.__name__:
        return [x for x in tensors if x.dim() == 4]
    return tensors[1:] if packet.__name__.startswith(("add", "badd")) else tensors


def tensors_in(*values: Any) -> list[Tensor]:
    """The tensors among the values, and in lists among them: what pytree finds, in a tenth of the time."""
    found = list[Tensor]()
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [x for x in value if isinstance(x, Tensor)]
    return found


def is_on_card(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == "cuda"


class Record(TorchDispatchMode):
    """Counts by place; enter it inside of FakeTensorMode. capability: major number of the card's."""

    def __init__(self, tokens: int, *, capability: int = 8) -> None:
        """tokens: T, a number that is no other size of the model."""
        super().__init__()
        self.tokens, self.capability = tokens, capability
        self.reset()

    def reset(self) -> None:
        self.waits, self.copies = Counter[str](), Counter[str]()
        self.wide_products, self.scores, self.attention = Counter[str](), Counter[str](), Counter[str]()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs, packet = kwargs or {}, func._overloadpacket
        if func.namespace == "prim":  # which device, which layout: questions of the host, no work of the card
            return func(*args, **kwargs)
        tensors = tensors_in(*args, *kwargs.values())
        device = kwargs.get("device")
        goes_to_card = device is not None and torch.device(device).type == "cuda"
        if not goes_to_card and not any(isinstance(t, FakeTensor) for t in tensors):
            with unset_fake_temporarily():  # the host's own
                return func(*args, **kwargs)
        if torch.is_inference_mode_enabled() and func.namespace == "aten":  # where composite operations come whole
            with self:
                if (out := func.decompose(*args, **kwargs)) is not NotImplemented:
                    return out
        if packet is aten._local_scalar_dense:
            return self._item(tensors[0])
        if packet in INDEXING:
            args = self._without_booleans(packet, args)
        if packet in SHAPE_OF_VALUES:
            return self._shape_of_values(packet, tensors[0])
        if packet in COPIES and (host := self._copy(packet, tensors, device)) is not None:
            return host
        out = func(*args, **kwargs)
        self._count(func, packet, tensors, args, kwargs, out)
        return out

    def _item(self, value: Tensor) -> bool | int | float:
        self.waits[f"item in {place()}"] += 1
        if value.dtype == torch.bool:
            return True
        return 0.0 if value.dtype.is_floating_point else 1

    def _without_booleans(self, packet: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments with whole numbers, half as many, for a mask, whose size the host waits for."""
        indices = list[Any]()
        for index in args[1]:
            if index is None or index.dtype != torch.bool:
                indices.append(index)
                continue
            self.waits[f"{packet.__name__} by booleans in {place()}"] += 1
            places = torch.zeros(max(1, index.numel() // 2), dtype=torch.long, device=index.device)
            indices += [places] * index.dim()
        return args[0], indices, *args[2:]

    def _shape_of_values(self, packet: Any, value: Tensor) -> Any:
        self.waits[f"{packet.__name__} in {place()}"] += 1
        count = max(1, value.numel() // 2)
        if packet is aten.nonzero:
            return torch.zeros(count, value.dim(), dtype=torch.long, device=value.device)
        if packet is aten.equal:
            return True
        if packet is aten.bincount or packet is aten.masked_select:
            return torch.zeros(count, dtype=torch.long if packet is aten.bincount else value.dtype, device=value.device)
        raise NotImplementedError(f"{packet.__name__} of values on the card: give it an answer in card_record.py")

    def _copy(self, packet: Any, tensors: list[Tensor], device: Any) -> Tensor | None:
        """Count a copy between host and card; return what arrives at the host, None at the card."""
        source, target = (tensors[1], tensors[0]) if packet is aten.copy_ else (tensors[0], None)
        to_card = is_on_card(target) if target is not None else torch.device(device or source.device).type == "cuda"
        if to_card and not is_on_card(source):
            self.copies[f"{tuple(source.shape)} in {place()}"] += 1
        if to_card or not is_on_card(source):
            return None
        self.waits[f"copy of {tuple(source.shape)} in {place()}"] += 1
        values = getattr(source, "host_values", None)
        with unset_fake_temporarily():
            if target is not None:
                return target.zero_()
            return torch.zeros(source.shape, dtype=source.dtype) if values is None else values

    def _count(self, func: Any, packet: Any, tensors: list[Tensor], args: Any, kwargs: Any, out: Any) -> None:
        name = packet.__name__
        self.operations += not func.is_view
        if packet is aten._grouped_mm and self.capability < 9:
            self.waits[f"grouped product below sm_90 in {place()}"] += 1  # PyTorch's own: offs.cpu()
        if packet in PRODUCTS:
            if any(x.dtype in WIDE for x in factors(packet, args)):
                self.wide_products[f"{name} {[tuple(t.shape) for t in tensors]} in {place()}"] += 1
            if "attention" in name:
                self.attention[name] += 1
        if not func.is_view:
            for made in tensors_in(out):
                if self._is_score(made):
                    self.scores[f"{name} {tuple(made.shape)} in {place()}"] += 1

    def _is_score(self, x: Tensor) -> bool:
        """Whether x holds a number for each pair of tokens; sizes that are only repeated (stride 0) do not count."""
        if x.numel() < self.tokens**2:
            return False
        sizes = [size for size, stride in zip(x.shape, x.stride(), strict=True) if stride]
        return sizes.count(self.tokens) >= 2 or self.tokens**2 in sizes

    def findings(self) -> dict[str, Any]:
        """All counts, for JSON."""
        names = ("waits", "copies", "wide_products", "scores", "attention")
        return {name: dict(getattr(self, name)) for name in names} | {"operations": self.operations}
