"""Compilation (torch.compile): whether a run compiles its steps, which it does when that saves more time than it takes.

A decision from the config alone, so that a resumed run computes the same sums; where a card's compiler does not work,
runs/compile_check.py has found it out before, and the config says so.
"""

from __future__ import annotations

from hamner.config.cost import training_flops_per_token
from hamner.config.schema import Compute, ModelConfig
from hamner.runs.cluster import compiler

# Time that compiling takes, and the share of a step that it saves, both measured on CPU cores at widths from 128 to 512
# (the wider, the less); on a card both are guesses. Operations per second, of a core or a card, give a run's length.
COMPILE_SECONDS = 20.0
COMPILE_SAVES = {"cpu": 0.05, "cuda": 0.2}
FLOPS = {
    ("cpu", "fp32"): 5e10,
    ("cpu", "bf16"): 1.3e11,
    ("cuda", "fp32"): 1e13,
    ("cuda", "bf16"): 3e13,
    ("cuda", "fp16"): 3e13,
}


def should_compile(compute: Compute, model: ModelConfig, seq_len: int, tokens: float, threads: int) -> bool:
    """Return whether a run of about `tokens` tokens compiles its steps.

    compute.compile = "auto": when that saves more time than compiling takes.
    """
    if compute.compile != "auto":
        return compute.compile == "always"
    if compute.device == "cpu" and not compiler():
        return False
    return seconds_saved(compute, model, seq_len, tokens, threads) > 0


def seconds_saved(compute: Compute, model: ModelConfig, seq_len: int, tokens: float, threads: int) -> float:
    """What compiling saves a run of about `tokens` tokens, less the time that it takes."""
    speed = FLOPS[compute.device, compute.precision] * (threads if compute.device == "cpu" else 1)
    seconds = tokens * training_flops_per_token(model, seq_len) / speed
    return seconds * COMPILE_SAVES[compute.device] - COMPILE_SECONDS
