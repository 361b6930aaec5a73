"""What a run costs: tokens a second, its share of the machine's arithmetic, memory, and the wait for data."""

from __future__ import annotations

import contextlib
import functools
import resource
import time
from pathlib import Path

import torch

from hamner.config.cost import GIB, useful_flops_per_token
from hamner.config.schema import Compute, ModelConfig
from hamner.model.kernels.dispatch import DTYPES

SECONDS_OF_PRODUCTS = 0.2


class Meter:
    """The training steps since the last question; nothing else a run spends time on counts.

    tokens: of the run so far.
    """

    def __init__(self, compute: Compute, model: ModelConfig, seq_len: int, tokens: int = 0) -> None:
        self._compute, self._flops = compute, useful_flops_per_token(model, seq_len)
        self._tokens, self._trained, self._waited = tokens, 0.0, 0.0

    def ran(self, seconds: float) -> None:
        """A training step took so long."""
        self._trained += seconds

    def now(self, tokens: int, waited: float) -> dict[str, float]:
        """tokens: trained on so far, over all workers; waited: seconds for data so far, of this one.

        mfu: of what all workers could do in matrix products of the run's precision. data_wait: share of the
        time. peak_gib: as peak_gib().
        """
        seconds = max(self._trained, 1e-9)
        rate = (tokens - self._tokens) / seconds
        grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
        workers = torch.distributed.get_world_size() if grouped else 1
        peak = workers * matrix_peak(self._compute.device, self._compute.precision)
        told = {
            "tokens_per_second": rate,
            "mfu": rate * self._flops / peak,
            "data_wait": (waited - self._waited) / seconds,
            "peak_gib": peak_gib(self._compute.device),
        }
        self._tokens, self._trained, self._waited = tokens, 0.0, waited
        return told


@functools.cache
def matrix_peak(device: str, precision: str) -> float:
    """Floating-point operations a second of large matrix products, as measured here with this process's threads.

    Some tenths of a second, once a process; where others use the same cores it is what they leave.
    """
    size, largest = 256, 4096 if device == "cuda" else 2048  # which hold 100 and 25 MB in bf16
    best, started = 0.0, time.perf_counter()
    while time.perf_counter() - started < SECONDS_OF_PRODUCTS:
        a = torch.ones(size, size, dtype=DTYPES[precision], device=device)
        out = torch.empty_like(a)
        began = time.perf_counter()
        torch.mm(a, a, out=out)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        best = max(best, 2 * size**3 / seconds)
        # small products do not show what the machine can do; large ones take a minute where bf16 is emulated
        if seconds < SECONDS_OF_PRODUCTS / 20 and size < largest:
            size *= 2
    return best


def reset_peak_memory(device: str) -> None:
    """What peak_gib says from now on begins with the present."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):  # Linux: forget the peak
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_gib(device: str) -> float:
    """Most memory held: of the card, or of the process on a machine without one."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / GIB
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):  # which clear_refs resets, unlike getrusage's
                return int(line.split()[1]) * 1024 / GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
