"""Kernel dispatch: which way a step is computed where there is a choice, by device, precision and length.

Data in: the tensors at hand, and what a run's config says (`use`). Data out: yes or no, or a number of rows. No choice
changes what is computed, only in which order sums are taken and where they are rounded. docs/speed.md has the tables
and the commands that make them, docs/calibration.md how a machine's own choices are measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from hamner.config.cost import LOGITS_AT_A_TIME
from hamner.config.schema import Kernels

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LONG = 512  # tokens from which differential blocks win in fp32 too
ROWS = 64  # tokens whose logits are computed at a time are a multiple of this

_forced: dict[str, Any] = {}
_chosen: dict[str, Any] = {}  # by the config of the run that this process trains
_answers: dict[str, Any] | None = None  # what was answered, while somebody listens


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
        "padded_products": padded_products,
        "fp16_accumulation": fp16_accumulation,
    }
    _forced.update({name: choice for name, choice in choices.items() if choice is not None})
    try:
        yield
    finally:
        _forced.clear()
        _forced.update(before)


def use_block_attention(q: Tensor, k: Tensor) -> bool:
    """Whether attention by blocks beats PyTorch's kernel: on a CPU in bf16 (twice as fast); in fp32 they are equal."""
    is_square = q.shape[2] == k.shape[2]  # not so of a cache: the blocks have no room for it
    return is_square and bool(_choice("block_attention", q.device.type == "cpu" and q.dtype == torch.bfloat16))


def use_differential_blocks(q: Tensor, k: Tensor) -> bool:
    """The same for differential attention, whose blocks meet the values once on the way back: long ones in fp32 too."""
    is_square = q.shape[2] == k.shape[2]
    is_long = q.device.type == "cpu" and q.dtype == torch.float32 and q.shape[2] >= LONG
    return is_square and bool(_choice("differential_blocks", is_long or use_block_attention(q, k)))


def use_grouped_experts(tokens: Tensor) -> bool:
    """Whether all experts go through one grouped product instead of one after the other.

    In bf16: on a CPU it saves a fifth, on a card the wait for each expert's count of tokens.
    """
    return bool(_choice("grouped_experts", tokens.dtype == torch.bfloat16))


def rows_of_logits(vocab_size: int, most: int = LOGITS_AT_A_TIME) -> int:
    """How many tokens' logits exist at a time, of `most` entries; a run's config may have another bound."""
    most = _choice("logits_at_a_time", most)
    return int(_choice("rows_of_logits", max(ROWS, most // vocab_size // ROWS * ROWS)))


def use_transposed_head(hidden: Tensor) -> bool:
    """Whether the head's products take it as (C, V).

    Two of the three need half the time so on a CPU with AMX, and the same time on one without.
    """
    return bool(_choice("transposed_head", hidden.device.type == "cpu" and hidden.dtype == torch.bfloat16))
