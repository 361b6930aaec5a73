"""Vector instructions (SIMD) of the processor: whether it multiplies bf16, or only emulates it. Loads no torch.

Data in: what the kernel says, /proc/cpuinfo. Data out: yes or no, and the line that a launch prints.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hamner.config.schema import Compute

# PyTorch multiplies bf16 by oneDNN where all of these are there (AVX-512), or the one of ARM
AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}


def emulates_bf16(root: Path = Path("/")) -> bool:
    """Whether products in bf16 are emulated here: of a processor with AVX2 alone; False where it cannot be known.

    root: where proc/ is, for tests.
    """
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    words = next((set(line.split()) for line in lines if line.startswith(("flags", "Features"))), None)
    return words is not None and not words >= AVX512 and "bf16" not in words


def say_if_emulated(compute: Compute, root: Path = Path("/")) -> None:
    """Print one line on stderr when a run computes in a precision that this processor is very slow in."""
    if compute.device == "cpu" and compute.precision == "bf16" and emulates_bf16(root):
        print(
            "compute.precision = bf16, which this processor only emulates: products take 35 to 40 times as long as in "
            "fp32: use compute.precision=fp32",
            file=sys.stderr,
        )
