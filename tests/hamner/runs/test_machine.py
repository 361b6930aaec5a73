"""Whether a processor multiplies bf16, by what the kernel says of it."""

import pytest

from hamner.config.schema import Compute
from hamner.runs.machine import emulates_bf16, say_if_emulated

PROCESSORS = {
    "AMD EPYC Milan": ("flags\t\t: fpu sse2 avx avx2 fma bmi2", True),
    "Skylake": ("flags\t\t: fpu avx2 fma avx512f avx512dq avx512cd avx512bw avx512vl", False),
    "Sapphire Rapids": ("flags\t\t: fpu avx2 avx512f avx512dq avx512bw avx512vl avx512_bf16 amx_bf16", False),
    "Graviton 2": ("Features\t: fp asimd evtstrm aes", True),
    "Graviton 3": ("Features\t: fp asimd evtstrm aes sve bf16 i8mm", False),
    "unknown": ("model name\t: x", False),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_without_avx_512_or_arm_s_bf16_emulates_it(name):
    line, emulated = PROCESSORS[name]
    assert emulates_bf16(f"processor\t: 0\n{line}\n") == emulated and not emulates_bf16("")


@pytest.mark.parametrize(
    ("device", "precision", "lines"), [("cpu", "bf16", 1), ("cpu", "fp32", 0), ("cuda", "bf16", 0)]
)
def test_it_is_said_in_one_line_and_for_bf16_on_a_processor_alone(device, precision, lines, capsys):
    say_if_emulated(Compute(device=device, precision=precision), PROCESSORS["AMD EPYC Milan"][0])
    printed = capsys.readouterr()
    assert printed.err.count("\n") == lines and not printed.out
    assert ("use compute.precision=fp32" in printed.err) == bool(lines)
