"""Ours beside ours: one training step under each choice of a kernel that dispatch can be told, in turns, eager.

    python tests/benchmarks/choices.py tiny|v3 [--precision fp32] [--rounds 8] [--threads 2]
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python tests/benchmarks/choices.py v3

The second line makes PyTorch take the kernels of a processor with AVX2 alone, on one that has more: a stand-in for such
a machine, not the machine itself (MKL's products keep their own instructions but for MKL_ENABLE_INSTRUCTIONS=AVX2).
"""

import argparse
import statistics

import torch
from peers import SHAPES, Shape, ours
from timing import in_turns, like_a_worker, machine, seconds_of, show

from hamner.config.cost import LOGITS_OF_A_CARD, LOGITS_OF_AVX2
from hamner.model.kernels import dispatch
from hamner.model.kernels.rules import Hardware

PLAIN = {"block_attention": False, "padded_products": False, "logits_at_a_time": 2**24, "transposed_head": False}
CHOICES: dict[str, dict[str, bool | int]] = {
    "plain": {},
    "blocks of attention": {"block_attention": True},
    "parts of 2^26 logits": {"logits_at_a_time": LOGITS_OF_AVX2},
    "parts of 2^27 logits": {"logits_at_a_time": LOGITS_OF_A_CARD},
    "padded products": {"padded_products": True},
    "blocks, 2^26, padded": {"block_attention": True, "logits_at_a_time": LOGITS_OF_AVX2, "padded_products": True},
    "transposed head, 2^27": {"transposed_head": True, "logits_at_a_time": LOGITS_OF_A_CARD},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=("tiny", "v3"))
    parser.add_argument("--precision", choices=dispatch.DTYPES, default="fp32")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=CHOICES, help="these choices, beside the plain way")
    options = parser.parse_args()
    like_a_worker(options.threads)
    size: Shape = SHAPES[options.shape]
    step = ours(size, options.precision, compiled=False)
    names = ["plain", *options.only] if options.only else list(CHOICES)

    def forced(name: str) -> None:
        with dispatch.force(**(PLAIN | CHOICES[name])):
            step()

    turns = {name: seconds_of(lambda name=name: forced(name)) for name in names}
    turns["as the rules have it"] = seconds_of(step)
    found = in_turns(turns, options.rounds)
    plain = found["plain"]
    tokens = size.batch * size.time
    print(machine(options.rounds))
    here: Hardware = dispatch.hardware("cuda" if torch.cuda.is_available() else "cpu")
    show(
        f"{options.shape}, {options.precision}, eager, {here}",
        ["", "tokens/s", "best", "plain takes ×", "best ×"],
        [
            [
                name,
                *(f"{tokens / value:,.0f}" for value in (statistics.median(times), min(times))),
                f"{statistics.median(plain) / statistics.median(times):.2f}",
                f"{min(plain) / min(times):.2f}",
            ]
            for name, times in found.items()
        ],
    )


if __name__ == "__main__":
    main()
