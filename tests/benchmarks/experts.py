"""A mixture of experts beside a dense layer of equal active parameters: forward and backward of one layer.

python tests/benchmarks/experts.py [--rounds 15] [--threads 2] [--tokens 2048]
"""

import argparse

import torch
from timing import like_a_worker, machine, medians, show

from hamner.config.schema import ModelConfig
from hamner.model.experts import MixtureOfExperts
from hamner.model.kernels import dispatch
from hamner.model.layers import SwiGLU

#        name            hidden, width of an expert, precision
SIZES = [
    ("tiny bf16", 256, 683, torch.bfloat16),
    ("hidden 512 bf16", 512, 768, torch.bfloat16),
    ("hidden 512 bf16, v05's width", 512, 1024, torch.bfloat16),
    ("hidden 512 fp32", 512, 768, torch.float32),
]
EXPERTS, ACTIVE = 8, 2


def layer(kind: type[torch.nn.Module], hidden: int, width: int, experts: int) -> torch.nn.Module:
    made = kind(
        ModelConfig(
            vocab_size=1000,
            hidden_size=hidden,
            num_layers=1,
            num_heads=8,
            num_kv_heads=2,
            intermediate_size=width,
            num_experts=experts,
            num_active_experts=min(experts, ACTIVE),
        )
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(0.0, weight.shape[-1] ** -0.5, generator=generator)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=2048)
    options = parser.parse_args()
    like_a_worker(options.threads)
    device, table = "cuda" if torch.cuda.is_available() else "cpu", []
    for name, hidden, width, dtype in SIZES:
        x = torch.randn(1, options.tokens, hidden, generator=torch.Generator().manual_seed(1)).to(device, dtype)
        x.requires_grad_()
        dense = layer(SwiGLU, hidden, ACTIVE * width, 1).to(device)
        mixture = layer(MixtureOfExperts, hidden, width, EXPERTS).to(device)

        def run(module: torch.nn.Module, grouped: bool = True, x: torch.Tensor = x) -> None:
            module.zero_grad(set_to_none=True)
            with dispatch.force(grouped_experts=grouped and x.dtype == torch.bfloat16):
                out, balance = module(x)
                (out.float().sum() + balance).backward()

        found = medians(
            {
                "dense": lambda m=dense: run(m),
                "grouped": lambda m=mixture: run(m),
                "in turn": lambda m=mixture: run(m, False),
            },
            options.rounds,
        )
        table.append(
            [
                name,
                *(f"{1e3 * found[kind]:.1f}" for kind in ("dense", "grouped", "in turn")),
                *(f"{found['dense'] / found[kind]:.2f}" for kind in ("grouped", "in turn")),
            ]
        )
    print(machine(options.rounds))
    show(
        f"{options.tokens} tokens, {EXPERTS} experts, {ACTIVE} active; ms, and the mixture's speed in dense layers' "
        "(grouped: in fp32 the same as in turn)",
        ["", "dense", "grouped", "in turn", "grouped / dense", "in turn / dense"],
        table,
    )


if __name__ == "__main__":
    main()
