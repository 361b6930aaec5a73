"""Roofline of recorded operations: seconds of each on a card, from its floating-point operations and its bytes.

The card and the shares of its peaks that are reached stand in hamner/training/roofline.py, which prices a step from its
config. Here it is priced from its operations: each reads its inputs and writes its outputs once and takes no less than
2 µs, attention is causal (half of its square), AdamW moves 28 bytes a weight, and a softmax in steps reads its rows
three times. The host launches an operation in 5 µs: an eager step is never faster than that.

Compiled: what stands between two products is one kernel, which reads what it did not make and writes what is used
after it. Rows that stay in no cache are read again once they are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from card_record import PRODUCTS, Record, factors, place, tensors_in
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from hamner.training.roofline import ATTENTION, MEMORY, RTX_3090
from hamner.training.roofline import PRODUCTS as OF_PEAK

PEAK_FP32 = RTX_3090.flops / 2  # operations a second of products in fp32
SHORTEST, LAUNCH = 2e-6, 5e-6  # seconds
ADAMW_BYTES = 28  # a weight: it, its gradient and two moments read, all but the gradient written, in fp32
LONG_ROW = 48 * 1024  # bytes, which a block of threads keeps; a row of 49,152 logits has twice as many
NOTHING = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias", "lift_fresh")
GATHERS = ("embedding", "index", "index_select", "gather")  # read as much as they write, of a larger table
SUMS = ("amax", "sum", "mean", "logsumexp")  # that need a whole row before anything of it can be written


@dataclass(frozen=True)
class Kernel:
    part: str  # "layers", "head", "softmax" (its compiled region), "optimizer"
    kind: str  # "products", "attention", "rest"
    flops: float
    bytes: float
    is_fp32: bool = False  # a product whose factors are

    @property
    def seconds(self) -> float:
        reached = ATTENTION if self.kind == "attention" else OF_PEAK
        peak = PEAK_FP32 if self.is_fp32 else RTX_3090.flops
        return max(self.flops / (peak * reached), self.bytes / (RTX_3090.bytes * MEMORY), SHORTEST)


@dataclass(frozen=True)
class Operation:
    name: str
    kernel: Kernel
    inputs: tuple[Tensor, ...]  # kept, so that no other tensor gets the same storage
    outputs: tuple[Tensor, ...]


class CostRecord(Record):
    """A Record that also keeps every operation that moves bytes."""

    def reset(self) -> None:
        super().reset()
        self.kept: list[Operation] = []

    def _count(self, func: Any, packet: Any, tensors: list[Tensor], args: Any, kwargs: Any, out: Any) -> None:
        super()._count(func, packet, tensors, args, kwargs, out)
        name, outputs = packet.__name__, tuple(tensors_in(out))
        if func.is_view or name in NOTHING or name in ("_unsafe_view", "_reshape_alias"):
            return
        if not outputs and not func._schema.is_mutable:  # asks something of a tensor
            return
        if name.startswith("zeros") and "/training/" in place():  # AdamW makes its moments at the first step
            return
        is_product = packet in PRODUCTS
        kind = "attention" if "attention" in name else "products" if is_product else "rest"
        is_fp32 = is_product and any(x.dtype == torch.float32 for x in factors(packet, args))
        flops, moved = _flops(packet, args, kwargs, outputs), _bytes(name, tensors, outputs, args)
        self.kept.append(Operation(name, Kernel(_part(name), kind, flops, moved, is_fp32), tuple(tensors), outputs))


def _part(name: str) -> str:
    if name.startswith(("_fused_adam", "_foreach", "_amp_", "linalg_vector_norm")):
        return "optimizer"
    where = place()
    if where.endswith(":softmax_gradient"):
        return "softmax"
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
        changed = tensors_in(args[0])  # one, or the list of a _foreach
    return moved + sum(map(stored_bytes, changed))  # in place: read and written


def seconds_by_part(operations: Sequence[Operation], *, fused: Sequence[str] = ()) -> dict[str, float]:
    """Seconds of "layers products", "head rest" and so on; the rest of the parts in `fused` as compiled."""
    seconds = dict[str, float]()
    for kernel in kernels(operations, fused=fused):
        key = f"{kernel.part} {kernel.kind}"
        seconds[key] = seconds.get(key, 0.0) + kernel.seconds
    return seconds


def kernels(operations: Sequence[Operation], *, fused: Sequence[str] = ()) -> list[Kernel]:
    """What a card computes one after the other; the rest of the parts in `fused` is compiled."""
    last_use = {key: index for index, operation in enumerate(operations) for key in map(_storage, operation.inputs)}
    done, group = list[Kernel](), list[Operation]()
    for index, operation in enumerate(operations):
        kernel = operation.kernel
        if group and (kernel.kind != "rest" or kernel.part != group[0].kernel.part):
            done.append(_fused(group, index, last_use))
            group = []
        if kernel.part in fused and kernel.kind == "rest":
            group.append(operation)
        else:
            done.append(kernel)
    return [*done, _fused(group, len(operations), last_use)] if group else done


def _fused(group: Sequence[Operation], end: int, last_use: dict[int, int]) -> Kernel:
    """One kernel for all: what was made before is read, what is used from operation `end` on is written."""
    made, read, written = set[int](), dict[int, int](), dict[int, int]()
    sums_rows = any(operation.name in SUMS and any(map(_has_long_rows, operation.inputs)) for operation in group)
    for operation in group:
        for x in operation.inputs:
            if _storage(x) not in made:
                times = 2 if sums_rows and _has_long_rows(x) else 1
                read[_storage(x)] = max(read.get(_storage(x), 0), times * stored_bytes(x))
        for x in operation.outputs:
            made.add(_storage(x))
            if last_use.get(_storage(x), -1) >= end:
                written[_storage(x)] = max(written.get(_storage(x), 0), stored_bytes(x))
    return Kernel(group[0].kernel.part, "rest", 0.0, sum(read.values()) + sum(written.values()))


def _has_long_rows(x: Tensor) -> bool:
    return x.dim() > 1 and x.shape[-1] * x.element_size() > LONG_ROW


def _storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata
