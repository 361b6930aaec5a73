"""The output head's loss beside PyTorch's own: forward and backward, with the error of both gradients.

    python tests/benchmarks/head.py [--rounds 7] [--threads 2] [--tokens 2048] [--precision fp32 bf16]

whole: logits that exist whole. library: F.linear_cross_entropy as it comes. library, our parts: the same with as many
tokens at a time as ours, summed in fp32 where it can be. ours: hamner/model/loss.py, which also takes a weight a token;
compiled: with softmax, loss and gradient of the logits in one kernel, as a run that compiles has them on a card.
Errors are those of the gradients of hidden states and of the head, relative to fp32's of the same rounded inputs.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from timing import like_a_worker, machine, medians, show
from torch import Tensor

from hamner.model.kernels import dispatch
from hamner.model.kernels.head_loss import softmax_gradient
from hamner.model.loss import head_loss, next_token_loss

HIDDEN, VOCAB = 512, 49_152


def library(hidden: Tensor, head: Tensor, tokens: Tensor, options: torch.nn.LinearCrossEntropyOptions) -> Tensor:
    """Its weight must have the input's precision: the gradient of the head comes in it, too."""
    return F.linear_cross_entropy(
        hidden[:, :-1].flatten(0, 1), head.to(hidden.dtype), tokens[:, 1:].flatten(), options=options
    )


def compiled(hidden: Tensor, head: Tensor, tokens: Tensor, region: Callable) -> Tensor:
    with dispatch.force(fused_softmax=True):
        return head_loss(hidden, head, tokens, region=region)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--precision", nargs="+", choices=dispatch.DTYPES, default=["fp32", "bf16"])
    options = parser.parse_args()
    like_a_worker(options.threads)
    device, table = "cuda" if torch.cuda.is_available() else "cpu", []
    generator = torch.Generator().manual_seed(0)
    head = (4 / HIDDEN * torch.randn(VOCAB, HIDDEN, generator=generator)).to(device).requires_grad_()
    tokens = torch.randint(0, VOCAB, (1, options.tokens), generator=generator).to(device)
    region = torch.compile(softmax_gradient)
    drawn = torch.randn(1, options.tokens, HIDDEN, generator=generator).to(device)
    for name in options.precision:
        hidden = drawn.to(dispatch.DTYPES[name]).requires_grad_()
        rows = dispatch.rows_of_logits(VOCAB, dispatch.logits_at_a_time(hidden, transposed=name == "bf16"))
        ours_parts = torch.nn.LinearCrossEntropyOptions(
            batch_chunk_size=rows, chunking_method=None, acc_policy="balanced", acc_dtype=torch.float32
        )
        ways: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "whole": lambda x, w: next_token_loss(F.linear(x, w.to(x.dtype)), tokens),
            "library": lambda x, w: library(x, w, tokens, torch.nn.LinearCrossEntropyOptions()),
            "library, our parts": lambda x, w, parts=ours_parts: library(x, w, tokens, parts),
            "ours": lambda x, w: head_loss(x, w, tokens),
            "ours, compiled": lambda x, w: compiled(x, w, tokens, region),
        }
        exact = [hidden.detach().float().requires_grad_(), head.detach().to(hidden.dtype).float().requires_grad_()]
        truth = torch.autograd.grad(ways["whole"](*exact), exact)
        errors = {}
        for way, loss in ways.items():
            found = torch.autograd.grad(loss(hidden, head), (hidden, head))
            errors[way] = [((a.float() - b).norm() / b.norm()).item() for a, b in zip(found, truth, strict=True)]
        turns = {
            way: lambda loss=loss, x=hidden: torch.autograd.grad(loss(x, head), (x, head)) for way, loss in ways.items()
        }
        seconds = medians(turns, options.rounds)
        for way in ways:
            x_error, head_error = errors[way]
            table.append(
                [
                    f"{name} {way}",
                    f"{1e3 * seconds[way]:.0f}",
                    f"{seconds['ours'] / seconds[way]:.2f}",
                    f"{x_error:.1e}",
                    f"{head_error:.1e}",
                ]
            )
    print(machine(options.rounds))
    headings = ["", "ms", "speed in ours'", "error, hidden states", "error, head"]
    show(f"{options.tokens} tokens, {VOCAB} entries, {HIDDEN} wide", headings, table)


if __name__ == "__main__":
    main()
