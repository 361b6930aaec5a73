"""Throughput: tokens per second, MFU (model FLOPs utilization), peak memory and the wait for data."""

from __future__ import annotations

import contextlib
import functools
import resource
import time
from pathlib import Path

import torch
from torch import Tensor

from hamner.config.cost import GIB, useful_flops_per_token
from hamner.config.schema import Compute, ModelConfig
from hamner.model.distributed import world_size
from hamner.model.kernels.dispatch import DTYPES

PEAK_SECONDS = 0.2  # spent on measuring the machine's peak


class ThroughputMeter:
    """Measures training steps since the last reading; time that a run spends on anything else does not count."""

    def __init__(
        self, compute: Compute, model: ModelConfig, seq_len: int, tokens: int = 0, peak_flops: float | None = None
    ) -> None:
        """tokens: trained on so far. peak_flops: per second, of one worker; None: measured here when first needed."""
        self._compute, self._flops, self._peak_flops = compute, useful_flops_per_token(model, seq_len), peak_flops
        self._tokens, self._seconds, self._data_wait = tokens, 0.0, 0.0

    def add(self, seconds: float) -> None:
        """Count the time of one training step."""
        self._seconds += seconds

    def read(self, tokens: int, data_wait_seconds: float) -> dict[str, float]:
        """Return tokens per second, MFU, share of time waiting for data, and peak memory; start anew.

        tokens: trained on so far, over all workers. data_wait_seconds: of this worker so far. mfu: model FLOPs
        utilization, the share of what all workers could do in matrix products of the run's precision.
        """
        seconds = max(self._seconds, 1e-9)
        rate = (tokens - self._tokens) / seconds
        peak = world_size() * (self._peak_flops or matrix_peak(self._compute.device, self._compute.precision))
        row = {
            "tokens_per_second": rate,
            "mfu": rate * self._flops / peak,
            "data_wait": (data_wait_seconds - self._data_wait) / seconds,
            "peak_gib": peak_gib(self._compute.device),
        }
        self._tokens, self._seconds, self._data_wait = tokens, 0.0, data_wait_seconds
        return row


@functools.cache
def matrix_peak(device: str, precision: str) -> float:
    """Measure floating-point operations per second of large matrix products with this process's threads.

    Takes some tenths of a second, once a process. Where other processes use the same cores, it is what they leave.
    """
    size, largest = 256, 4096 if device == "cuda" else 2048  # 100 and 25 MB in bf16
    best, started = 0.0, time.perf_counter()
    a = _random_square(size, precision, device)
    while time.perf_counter() - started < PEAK_SECONDS:
        out = torch.empty_like(a)
        began = time.perf_counter()
        torch.mm(a, a, out=out)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        best = max(best, 2 * size**3 / seconds)
        # small products do not show what the machine can do; large ones take a minute where bf16 is emulated
        if seconds < PEAK_SECONDS / 20 and size < largest:
            size *= 2
            a = _random_square(size, precision, device)
    return best


def _random_square(size: int, precision: str, device: str) -> Tensor:
    """(size, size) of normal numbers: of constant ones a card draws less power, and its clock is higher.

    Their generator is their own: nothing else draws other numbers for it.
    """
    generator = torch.Generator(device).manual_seed(0)
    return torch.randn(size, size, dtype=DTYPES[precision], device=device, generator=generator)


def reset_peak_memory(device: str) -> None:
    """Reset the peak-memory counter."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):  # only Linux has it
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_gib(device: str) -> float:
    """Return the peak memory of the card, or of the process on a machine without one, in GiB."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / GIB
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):  # which clear_refs resets, unlike getrusage's
                return int(line.split()[1]) * 1024 / GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
