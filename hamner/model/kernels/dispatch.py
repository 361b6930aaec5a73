"""How a step is computed where there is a choice: decided here and nowhere else, by what was measured.

No choice changes what is computed, only in which order sums are taken and where they are rounded. docs/speed.md has
the tables and the commands that make them.
"""

from __future__ import annotations

import functools
import os
import shutil

import torch
from torch import Tensor

from hamner.config.cost import LOGITS_AT_A_TIME, training_flops_per_token
from hamner.config.schema import Compute, ModelConfig

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
GRAIN = 16                  # bytes: rows of a grouped product must be whole multiples of it

# What compiling takes, and what it saves of a step, both measured on CPU cores at widths from 128 to 512 (the wider,
# the less); on a card both are guesses. Operations a second tell how long a run is: of a core, of a card.
COMPILE_SECONDS = 20.0
COMPILE_SAVES = {"cpu": 0.05, "cuda": 0.2}
FLOPS = {("cpu", "fp32"): 5e10, ("cpu", "bf16"): 1.3e11, ("cuda", "fp32"): 1e13, ("cuda", "bf16"): 3e13,
         ("cuda", "fp16"): 3e13}


def blocks_pay(q: Tensor, k: Tensor) -> bool:
    """Whether block_attention.py beats PyTorch's kernel: on a CPU in bf16 (twice as fast); in fp32 they are equal."""
    return q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.shape[2] == k.shape[2]


def difference_pays(q: Tensor, k: Tensor) -> bool:
    """The same for differential attention, whose blocks meet the values once on the way back: long ones in fp32 too."""
    long = q.device.type == "cpu" and q.dtype == torch.float32 and q.shape[2] == k.shape[2] >= 512
    return long or blocks_pay(q, k)


def grouping_pays(tokens: Tensor) -> bool:
    """Whether all experts go through one grouped product instead of one after the other.

    In bf16: on a CPU it saves a fifth, on a card the wait for each expert's count of tokens.
    """
    return tokens.dtype == torch.bfloat16


def rows_of_logits(vocab_size: int, most: int = LOGITS_AT_A_TIME) -> int:
    """How many tokens' logits exist at a time, of `most` entries."""
    return max(64, most // vocab_size // 64 * 64)


def turning_pays(hidden: Tensor) -> bool:
    """Whether the head's products take it as (C, V): two of the three need half the time on a CPU with AMX, and the
    same time on one without.
    """
    return hidden.device.type == "cpu" and hidden.dtype == torch.bfloat16


def compiles(compute: Compute, model: ModelConfig, seq_len: int, tokens: float, threads: int) -> bool:
    """Whether a run of so many tokens compiles its steps. A matter of the config alone: a resumed run does the same.

    compute.compile = "auto": when that saves more time than compiling takes.
    """
    if compute.compile != "auto":
        return compute.compile == "always"
    if compute.device == "cpu" and not compiler():
        return False
    speed = FLOPS[compute.device, compute.precision] * (threads if compute.device == "cpu" else 1)
    seconds = tokens * training_flops_per_token(model, seq_len) / speed
    return seconds * COMPILE_SAVES[compute.device] > COMPILE_SECONDS


@functools.cache
def compiler() -> str | None:
    """The C++ compiler that torch.compile needs on a CPU; None where there is none."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
