"""Differential attention beside standard attention of equal heads, projections included: forward and backward.

    python tests/benchmarks/attention.py [--rounds 15] [--threads 2]

"standard, PyTorch's kernel" is scaled_dot_product_attention as it comes, in place of our blocks.
"""

import argparse

import torch
from timing import like_a_worker, machine, medians, show

from hamner.config.schema import ModelConfig
from hamner.model.attention import DifferentialAttention, GroupedQueryAttention, rotary_table
from hamner.model.kernels import dispatch

#        name                      hidden, heads, KV heads, batch, time
SIZES = [("tiny 16 × 256", 256, 8, 2, 16, 256), ("V3 2 × 1024", 512, 8, 2, 2, 1024), ("v03 4 × 512", 512, 8, 4, 4, 512)]


def layer(kind: type[torch.nn.Module], model: ModelConfig) -> torch.nn.Module:
    made, generator = kind(model, 3), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "norm" not in name:
                weight.normal_(0.0, weight.shape[-1] ** -0.5, generator=generator)
    made.project = torch.compile(made.project, dynamic=False)
    made.merge = torch.compile(made.merge, dynamic=False)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    like_a_worker(options.threads)
    device, table = "cuda" if torch.cuda.is_available() else "cpu", []
    for dtype in (torch.bfloat16, torch.float32):
        for name, hidden, heads, kv_heads, batch, time in SIZES:
            torch._dynamo.reset()
            model = ModelConfig(
                vocab_size=1000,
                hidden_size=hidden,
                num_layers=1,
                num_heads=heads,
                num_kv_heads=kv_heads,
                intermediate_size=64,
                max_seq_len=time,
            )
            x = torch.randn(batch, time, hidden, generator=torch.Generator().manual_seed(1)).to(device, dtype)
            x.requires_grad_()
            cos, sin = (part.to(device) for part in rotary_table(model))
            standard, differential = (
                layer(kind, model).to(device) for kind in (GroupedQueryAttention, DifferentialAttention)
            )

            def run(made: torch.nn.Module, blocks: bool = True, args: tuple = (x, cos, sin)) -> None:
                made.zero_grad(set_to_none=True)
                with dispatch.force(block_attention=None if blocks else False):
                    made(*args).float().sum().backward()

            found = medians(
                {
                    "standard": lambda m=standard: run(m),
                    "kernel": lambda m=standard: run(m, False),
                    "differential": lambda m=differential: run(m),
                },
                options.rounds,
            )
            best = min(found["standard"], found["kernel"])
            table.append(
                [
                    f"{name} {str(dtype).removeprefix('torch.')}",
                    *(f"{1e3 * found[kind]:.1f}" for kind in ("standard", "kernel", "differential")),
                    f"{found['kernel'] / found['standard']:.2f}",
                    f"{found['differential'] / best:.2f}",
                ]
            )
    print(machine(options.rounds))
    show(
        "ms",
        ["", "standard", "standard, PyTorch's kernel", "differential", "blocks win ×", "differential / standard"],
        table,
    )


if __name__ == "__main__":
    main()
