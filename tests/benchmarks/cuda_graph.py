"""Whole-step CUDA graphs: forward and backward of ours captured once and replayed, beside the same launched each time.

    python tests/benchmarks/cuda_graph.py [--rounds 20] [--batch 24] [--tokens 1024]

Needs a card. What a graph can save is the time in which the card waits for the host to launch: nothing where a step is
longer on the card than its launches on the host. docs/speed.md says why the trainer has none. Optimizer left out.
"""

import argparse

import torch
from timing import machine, medians, show

from hamner.config.presets import CONTESTANTS, PRESETS
from hamner.model.loss import head_loss
from hamner.model.transformer import Hamner, build

NAMES = ("v01_dense_small", "v09_deep_narrow", "v3")


def backward(hamner: Hamner, tokens: torch.Tensor) -> None:
    hidden, balance = hamner.hidden_states(tokens)
    (head_loss(hidden, hamner.embedding.weight, tokens) + balance).backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=1024)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no card: a CUDA graph is measured on one")
    table = []
    for name in NAMES:
        hamner = build((CONTESTANTS | PRESETS)[name], 0).to("cuda").train()
        hamner.dtype = torch.bfloat16
        tokens = torch.randint(0, hamner.config.vocab_size, (options.batch, options.tokens), device="cuda")
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # as PyTorch's notes on graphs say: a few steps on another stream first
            for _ in range(3):
                hamner.zero_grad(set_to_none=True)
                backward(hamner, tokens)
        torch.cuda.current_stream().wait_stream(side)
        hamner.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            backward(hamner, tokens)  # gradients lie in the graph's memory, and each replay writes them anew

        def launched(hamner: Hamner = hamner, tokens: torch.Tensor = tokens) -> None:
            hamner.zero_grad(set_to_none=True)
            backward(hamner, tokens)

        found = medians({"replayed": graph.replay, "launched": launched}, options.rounds)
        table.append(
            [
                name,
                *(f"{1e3 * found[kind]:.1f}" for kind in ("launched", "replayed")),
                f"{found['launched'] / found['replayed']:.2f}",
            ]
        )
        del graph, hamner
    print(machine(options.rounds))
    show(f"ms, bf16, eager, {options.batch} × {options.tokens}", ["", "launched", "replayed", "a graph wins ×"], table)


if __name__ == "__main__":
    main()
