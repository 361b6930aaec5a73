"""How a step is computed where there is a choice: decided here and nowhere else, by what was measured.

No choice changes what is computed, only in which order sums are taken and where they are rounded. docs/speed.md has
the tables and the commands that make them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hamner.config.cost import LOGITS_AT_A_TIME

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
GRAIN = 16  # bytes: rows of a grouped product must be whole multiples of it


def use_block_attention(q: Tensor, k: Tensor) -> bool:
    """Whether block_attention.py beats PyTorch's kernel: on a CPU in bf16 (twice as fast); in fp32 they are equal."""
    return q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.shape[2] == k.shape[2]


def use_differential_blocks(q: Tensor, k: Tensor) -> bool:
    """The same for differential attention, whose blocks meet the values once on the way back: long ones in fp32 too."""
    long = q.device.type == "cpu" and q.dtype == torch.float32 and q.shape[2] == k.shape[2] >= 512
    return long or use_block_attention(q, k)


def use_grouped_experts(tokens: Tensor) -> bool:
    """Whether all experts go through one grouped product instead of one after the other.

    In bf16: on a CPU it saves a fifth, on a card the wait for each expert's count of tokens.
    """
    return tokens.dtype == torch.bfloat16


def rows_of_logits(vocab_size: int, most: int = LOGITS_AT_A_TIME) -> int:
    """How many tokens' logits exist at a time, of `most` entries."""
    return max(64, most // vocab_size // 64 * 64)


def use_transposed_head(hidden: Tensor) -> bool:
    """Whether the head's products take it as (C, V): two of the three need half the time on a CPU with AMX, and the
    same time on one without.
    """
    return hidden.device.type == "cpu" and hidden.dtype == torch.bfloat16
