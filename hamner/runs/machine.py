"""Processor and its instruction set (ISA), by what the kernel says of it.

Data in: /proc/cpuinfo. Data out: its text, a name, the vector instructions (SIMD) that PyTorch's kernels are chosen by,
whether it multiplies bf16 or only emulates it.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from hamner.config.schema import Compute

CPU_INFO = Path("/proc/cpuinfo")
# PyTorch multiplies bf16 by oneDNN where all of these are there (AVX-512), or the one of ARM
AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


def cpu_text() -> str:
    """What the kernel says of the processor; "" where it says nothing."""
    return CPU_INFO.read_text(errors="replace") if CPU_INFO.is_file() else ""


def features(cpuinfo: str) -> set[str]:
    """All features of a processor that a text of /proc/cpuinfo names."""
    return {word for line in cpuinfo.splitlines() if line.startswith(("flags", "Features")) for word in line.split()}


def instructions(cpuinfo: str) -> list[str]:
    """Those of INSTRUCTIONS that a text of /proc/cpuinfo names."""
    present = features(cpuinfo)
    return [name for name in INSTRUCTIONS if name in present]


def processor_name(cpuinfo: str) -> str:
    """The processor's name, as far as it is known."""
    names = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def emulates_bf16(cpuinfo: str) -> bool:
    """Whether products in bf16 are emulated: of a processor with AVX2 alone; False where nothing is known of it."""
    present = features(cpuinfo)
    return bool(present) and not present >= AVX512 and "bf16" not in present


def say_if_emulated(compute: Compute, cpuinfo: str) -> None:
    """Print one line on stderr when a run computes in a precision that the processor is very slow in."""
    if compute.device == "cpu" and compute.precision == "bf16" and emulates_bf16(cpuinfo):
        print(
            "compute.precision = bf16, which this processor only emulates: products take 35 to 40 times as long as in "
            "fp32: use compute.precision=fp32",
            file=sys.stderr,
        )
