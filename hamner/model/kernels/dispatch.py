"""Kernel dispatch: which way a step is computed where there is a choice, by device, precision and length.

Data in: the tensors at hand, and what a run's config says (`use`). Data out: yes or no, or a number of rows. The rules
are in rules.py; here they are asked for the hardware of this process, and can be overruled. No choice changes what is
computed, only in which order sums are taken and where they are rounded. docs/speed.md has the tables and the commands
that make them, docs/calibration.md how a machine's own choices are measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from hamner.config.cost import LOGITS_AT_A_TIME
from hamner.config.schema import Kernels
from hamner.model.kernels import rules

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ROWS = 64  # tokens whose logits are computed at a time are a multiple of this
FEW_ROWS = 64  # vectors up to which what a product costs is not worth preparing its weights for

_forced: dict[str, Any] = {}
_chosen: dict[str, Any] = {}  # by the config of the run that this process trains
_answers: dict[str, Any] | None = None  # what was answered, while somebody listens
_hardware = {"cpu": rules.read_hardware("cpu")}


def hardware(device: str) -> rules.Hardware:
    """What the rules know of this process's processor or card, read once."""
    if device not in _hardware:
        _hardware[device] = rules.read_hardware(device)
    return _hardware[device]


def use(kernels: Kernels) -> None:
    """Compute from now on, in this process, as a run's config says; its `auto` is the rule below."""
    _chosen.clear()
    _chosen.update(choices_of(kernels))


def choices_of(kernels: Kernels) -> dict[str, Any]:
    """What a config leaves to no rule, by the names that `force` takes: yes or no, or logits at a time."""
    values = kernels.model_dump()
    logits = {"logits_at_a_time": most} if (most := values.pop("logits_at_a_time")) else {}
    return {name: value == "always" for name, value in values.items() if value != "auto"} | logits


def _choice(name: str, rule: Any) -> Any:
    """What is forced, else what the run's config says, else what the rule does."""
    answer = _forced.get(name, _chosen.get(name, rule))
    if _answers is not None:
        _answers[name] = answer
    return answer


@contextmanager
def answers() -> Iterator[dict[str, Any]]:
    """Yield a table that fills with every choice that is asked for in the `with` block, and its answer."""
    global _answers
    _answers, before = {}, _answers
    try:
        yield _answers
    finally:
        _answers = before


@contextmanager
def force(
    *,
    block_attention: bool | None = None,
    differential_blocks: bool | None = None,
    grouped_experts: bool | None = None,
    transposed_head: bool | None = None,
    rows_of_logits: int | None = None,
    logits_at_a_time: int | None = None,
    fused_softmax: bool | None = None,
    padded_products: bool | None = None,
    fp16_accumulation: bool | None = None,
) -> Iterator[None]:
    """Force choices within a `with` block, for tests and benchmarks; None leaves a choice to the measured rule."""
    before = dict(_forced)
    choices = {
        "block_attention": block_attention,
        "differential_blocks": differential_blocks,
        "grouped_experts": grouped_experts,
        "transposed_head": transposed_head,
        "rows_of_logits": rows_of_logits,
        "logits_at_a_time": logits_at_a_time,
        "fused_softmax": fused_softmax,
        "padded_products": padded_products,
        "fp16_accumulation": fp16_accumulation,
    }
    _forced.update({name: choice for name, choice in choices.items() if choice is not None})
    try:
        yield
    finally:
        _forced.clear()
        _forced.update(before)


@contextmanager
def pretend(machine: rules.Hardware) -> Iterator[None]:
    """Choose within a `with` block as on another machine, for tests and dry runs; what is computed stays the same."""
    before = hardware(machine.device)
    _hardware[machine.device] = machine
    try:
        yield
    finally:
        _hardware[machine.device] = before


def use_block_attention(q: Tensor, k: Tensor) -> bool:
    """Whether attention by blocks beats PyTorch's kernel; never with a KV cache, for which blocks have no room."""
    queries, keys = q.shape[2], k.shape[2]
    rule = rules.block_attention(hardware(q.device.type), q.dtype, queries, keys)
    return queries == keys and bool(_choice("block_attention", rule))


def use_differential_blocks(q: Tensor, k: Tensor) -> bool:
    """The same for differential attention."""
    queries, keys = q.shape[2], k.shape[2]
    rule = rules.differential_blocks(hardware(q.device.type), q.dtype, queries, keys)
    return queries == keys and bool(_choice("differential_blocks", rule))


def use_grouped_experts(tokens: Tensor) -> bool:
    """Whether all experts go through one grouped product instead of one after the other."""
    return bool(_choice("grouped_experts", rules.grouped_experts(hardware(tokens.device.type), tokens.dtype)))


def logits_at_a_time(hidden: Tensor, *, transposed: bool) -> int:
    """How many entries the logits have at most that exist at a time while training, by the rule: for rows_of_logits."""
    return rules.logits_at_a_time(hardware(hidden.device.type), hidden.dtype, transposed=transposed)


def rows_of_logits(vocab_size: int, most: int = LOGITS_AT_A_TIME) -> int:
    """How many tokens' logits exist at a time, of `most` entries."""
    most = _choice("logits_at_a_time", most)
    return int(_choice("rows_of_logits", max(ROWS, most // vocab_size // ROWS * ROWS)))


def use_transposed_head(hidden: Tensor) -> bool:
    """Whether the head's products take it as (C, V)."""
    return bool(_choice("transposed_head", rules.transposed_head(hardware(hidden.device.type), hidden.dtype)))


def use_fused_softmax(hidden: Tensor, *, is_compiled: bool) -> bool:
    """Whether softmax, loss and gradient of a chunk of logits are one region. is_compiled: whether there is one."""
    rule = is_compiled and rules.fused_softmax(hardware(hidden.device.type))
    return bool(_choice("fused_softmax", rule))


def padding(width: int, x: Tensor) -> int:
    """How many columns or rows of zeros a weight of `width` gets inside its product with x (..., C)."""
    rule = rules.padded_products(hardware(x.device.type), x.dtype)
    if x.numel() < FEW_ROWS * x.shape[-1] or not _choice("padded_products", rule):
        return 0
    return -width % rules.PADDING.get(x.device.type, 1)


def use_fp16_accumulation(x: Tensor) -> bool:
    """Whether products of x are summed in fp16: of no hardware by rule, since it is less exact. See fp16_product.py."""
    return x.dtype == torch.float16 and bool(_choice("fp16_accumulation", False))
