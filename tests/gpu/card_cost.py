"""Roofline of recorded operations: seconds of each on a card, from its floating-point operations and its bytes.

Assumptions for an RTX 3090: 71e12 operations a second in 16 bit and 35.6e12 in fp32, of which products reach 75 % and
attention 45 % (causal: half of its square); 936e9 bytes a second, of which 85 % are reached; no kernel is shorter than
2 µs. Every operation reads its inputs and writes its outputs once, AdamW moves 28 bytes a
weight, a softmax over rows that do not fit a cache reads them three times. The host launches an operation in 5 µs: a
step is never faster than that.

Compiled: what stands between two products is one kernel, which reads what it did not make and writes what is used
after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from card_record import PRODUCTS, Record, factors, place, tensors_in
from torch import Tensor
from torch.utils.flop_counter import flop_registry

PEAK, PEAK_FP32, BANDWIDTH = 71e12, 35.6e12, 936e9  # operations and bytes a second of an RTX 3090
OF_PEAK, OF_PEAK_IN_ATTENTION, OF_BANDWIDTH = 0.75, 0.45, 0.85
SHORTEST, LAUNCH = 2e-6, 5e-6  # seconds
ADAMW_BYTES = 28  # a weight: it, its gradient and two moments read, all but the gradient written, in fp32
NOTHING = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias", "lift_fresh")
GATHERS = ("embedding", "index", "index_select", "gather")  # read as much as they write, of a larger table


@dataclass(frozen=True)
class Operation:
    name: str
    part: str  # "layers", "head", "optimizer"
    kind: str  # "products", "attention", "rest"
    flops: float
    bytes: float
    inputs: tuple[Tensor, ...]  # kept, so that no other tensor gets the same storage
    outputs: tuple[Tensor, ...]
    is_fp32: bool = False  # a product whose factors are

    @property
    def seconds(self) -> float:
        return roofline(self.flops, self.bytes, self.kind, is_fp32=self.is_fp32)


def roofline(flops: float, moved: float, kind: str, *, is_fp32: bool = False) -> float:
    """Seconds of one kernel."""
    reached = OF_PEAK_IN_ATTENTION if kind == "attention" else OF_PEAK
    peak = PEAK_FP32 if is_fp32 else PEAK
    return max(flops / (peak * reached), moved / (BANDWIDTH * OF_BANDWIDTH), SHORTEST)


class CostRecord(Record):
    """A Record that also keeps every operation that moves bytes."""

    def reset(self) -> None:
        super().reset()
        self.kept: list[Operation] = []

    def _count(self, func: Any, packet: Any, tensors: list[Tensor], args: Any, kwargs: Any, out: Any) -> None:
        super()._count(func, packet, tensors, args, kwargs, out)
        name = packet.__name__
        if func.is_view or name in NOTHING or name in ("_unsafe_view", "_reshape_alias"):
            return
        if name.startswith("zeros") and "/training/" in place():  # AdamW makes its moments at the first step
            return
        outputs = tuple(tensors_in(out))
        flops = _flops(packet, args, kwargs, outputs)
        is_product = packet in PRODUCTS
        kind = "attention" if "attention" in name else "products" if is_product else "rest"
        moved = _bytes(name, tensors, outputs, args)
        is_fp32 = is_product and any(x.dtype == torch.float32 for x in factors(packet, args))
        self.kept.append(Operation(name, _part(name), kind, flops, moved, tuple(tensors), outputs, is_fp32))


def _part(name: str) -> str:
    if name.startswith(("_fused_adam", "_foreach", "_amp_", "linalg_vector_norm")):
        return "optimizer"
    where = place()
    return "head" if "head_loss.py" in where or "model/loss.py" in where else "layers"


def _flops(packet: Any, args: Any, kwargs: Any, outputs: Sequence[Tensor]) -> float:
    if packet.__name__ == "_grouped_mm":
        return 2.0 * args[0].shape[0] * args[0].shape[1] * args[1].shape[-1]
    if packet not in flop_registry:
        return 0.0
    result = outputs[0] if len(outputs) == 1 else tuple(outputs)
    if "attention" in packet.__name__:
        return float(flop_registry[packet](*args, **kwargs, out_val=result)) / 2  # causal
    # without what else a product takes: out, out_dtype
    multiplied = args[:3] if packet.__name__.startswith(("add", "badd")) else args[:2]
    return float(flop_registry[packet](*multiplied, out_val=result))


def stored_bytes(x: Tensor) -> int:
    """Bytes of the entries of x; sizes that are only repeated (stride 0) are stored once."""
    entries = 1
    for size, stride in zip(x.shape, x.stride(), strict=True):
        entries *= size if stride else 1
    return entries * x.element_size()


def _bytes(name: str, tensors: Sequence[Tensor], outputs: Sequence[Tensor], args: Any) -> float:
    if name.startswith("_fused_adam"):
        return sum(weight.numel() for weight in args[0]) * ADAMW_BYTES
    if name in GATHERS:
        return 2.0 * sum(map(stored_bytes, outputs))
    if "index_put" in name:
        return 3.0 * stored_bytes(tensors[-1])
    moved = float(sum({id(x): stored_bytes(x) for x in (*tensors, *outputs)}.values()))
    if name == "_softmax":
        moved += 2 * stored_bytes(tensors[0])
    changed = [x for x in outputs if any(x is y for y in tensors)]
    if name.endswith("_") and not changed:
        changed = list(tensors[:1])
    return moved + sum(map(stored_bytes, changed))  # in place: read and written


def seconds_by_part(operations: Sequence[Operation], *, fused: Sequence[str] = ()) -> dict[str, float]:
    """Seconds of "layers products", "head rest" and so on; the rest of the parts in `fused` as compiled."""
    seconds = dict[str, float]()
    for part, kind, cost in _costs(operations, fused):
        seconds[f"{part} {kind}"] = seconds.get(f"{part} {kind}", 0.0) + cost
    return seconds


def _costs(operations: Sequence[Operation], fused: Sequence[str]) -> list[tuple[str, str, float]]:
    last_use = {key: index for index, operation in enumerate(operations) for key in map(_storage, operation.inputs)}
    costs, group = list[tuple[str, str, float]](), list[Operation]()
    for index, operation in enumerate(operations):
        if group and (operation.kind != "rest" or operation.part != group[0].part):
            costs.append((group[0].part, "rest", _fused_seconds(group, index, last_use)))
            group = []
        if operation.part in fused and operation.kind == "rest":
            group.append(operation)
        else:
            costs.append((operation.part, operation.kind, operation.seconds))
    if group:
        costs.append((group[0].part, "rest", _fused_seconds(group, len(operations), last_use)))
    return costs


def _fused_seconds(group: Sequence[Operation], end: int, last_use: dict[int, int]) -> float:
    """One kernel for all: what was made before is read, what is used from operation `end` on is written."""
    made, read, written = set[int](), dict[int, int](), dict[int, int]()
    for operation in group:
        for x in operation.inputs:
            if _storage(x) not in made:
                read[_storage(x)] = max(read.get(_storage(x), 0), stored_bytes(x))
        for x in operation.outputs:
            made.add(_storage(x))
            if last_use.get(_storage(x), -1) >= end:
                written[_storage(x)] = max(written.get(_storage(x), 0), stored_bytes(x))
    return roofline(0.0, sum(read.values()) + sum(written.values()), "rest")


def _storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata
