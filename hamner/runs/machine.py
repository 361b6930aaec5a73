"""Processor and its instruction set (ISA), by what the kernel says of it.

Data in: /proc/cpuinfo. Data out: its text, a name, the vector instructions that PyTorch's kernels are chosen by.
"""

from __future__ import annotations

import platform
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
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
