"""The feed-forward half of a block: SwiGLU (Shazeer 2020), alone or as a mixture of experts.

N tokens (B·T), C hidden, I intermediate, E experts, k active experts.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hamner.config.schema import ModelConfig
from hamner.model.kernels.dispatch import GRAIN, grouping_pays
from hamner.model.layers import linear


class SwiGLU(nn.Module):
    """down(silu(gate x) · up x). Returns the output and a balance loss of 0."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(model.hidden_size, model.intermediate_size, bias=False)
        self.up = nn.Linear(model.hidden_size, model.intermediate_size, bias=False)
        self.down = nn.Linear(model.intermediate_size, model.hidden_size, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = linear(x, self.gate.weight, self.up.weight).chunk(2, dim=-1)
        return linear(F.silu(gate) * up, self.down.weight), x.new_zeros((), dtype=torch.float32)


class MixtureOfExperts(nn.Module):
    """E SwiGLU experts, each token through its top k, as Mixtral: softmax over all, the k weights renormalised.

    No capacity limit, no dropped tokens, no shared expert. Returns the output and the layer's balance loss.
    """

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.num_experts, self.top_k = model.num_experts, model.num_active_experts
        shape = (model.num_experts, model.intermediate_size, model.hidden_size)
        self.router = nn.Linear(model.hidden_size, model.num_experts, bias=False)
        self.gate = nn.Parameter(torch.empty(shape))                    # (E, I, C)
        self.up = nn.Parameter(torch.empty(shape))                      # (E, I, C)
        self.down = nn.Parameter(torch.empty(shape).transpose(1, 2).contiguous())    # (E, C, I)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        tokens = x.flatten(0, -2)                                       # (N, C)
        probability = linear(tokens, self.router.weight).float().softmax(dim=-1)    # (N, E)
        weight, expert = probability.topk(self.top_k, dim=-1)           # (N, k) each
        weight = weight / weight.sum(dim=-1, keepdim=True)

        # Tokens are put in the order of their experts, each expert does one product, and everything is put
        # back by the inverse permutation: no scattered additions, so the sums have one order on any device.
        order = expert.flatten().argsort(stable=True)                   # (N·k,)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        every = torch.arange(self.num_experts, device=order.device)
        counts = (expert.flatten() == every.unsqueeze(1)).sum(dim=1)    # bincount would make the host wait for a card
        sorted_tokens = _Spread.apply(tokens, order, back)              # (N·k, C)
        done = self._grouped(sorted_tokens, counts) if grouping_pays(tokens) else self.in_turn(sorted_tokens, counts)
        routed = _Permute.apply(done, back, order).unflatten(0, (-1, self.top_k))    # (N, k, C)
        out = _Combine.apply(weight.to(routed.dtype), routed)
        if self.training and torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)    # balance over the whole batch, whatever the number of workers
        return out.view_as(x), balance_loss(probability, counts)

    def in_turn(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """One expert after the other. tokens (N·k, C) in the order of experts; counts (E,)"""
        done = []
        for index, part in enumerate(tokens.split(counts.tolist())):
            gate, up = linear(part, self.gate[index], self.up[index]).chunk(2, dim=-1)
            done.append(linear(F.silu(gate) * up, self.down[index]))
        return torch.cat(done)

    def _grouped(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """The same in two products. Widths are padded with zeros, which the product's rows need and nobody sees."""
        ends = counts.cumsum(0).to(torch.int32)
        gate, up, down = (_padded(weight, tokens.element_size()) for weight in (self.gate, self.up, self.down))
        both = _SideBySide.apply(gate, up, tokens.dtype)
        first, second = F.grouped_mm(_wide(tokens), both.transpose(1, 2), offs=ends).chunk(2, dim=-1)
        down = down.to(tokens.dtype).transpose(1, 2)
        return F.grouped_mm(F.silu(first) * second, down, offs=ends)[:, : tokens.shape[1]]


def _padded(weight: Tensor, size: int) -> Tensor:
    """(E, out, in) with both filled up with zeros to whole grains of numbers of `size` bytes."""
    grain = GRAIN // size
    missing = (0, -weight.shape[2] % grain, 0, -weight.shape[1] % grain)
    return F.pad(weight, missing) if any(missing) else weight


def _wide(tokens: Tensor) -> Tensor:
    missing = -tokens.shape[1] % (GRAIN // tokens.element_size())
    return F.pad(tokens, (0, missing)) if missing else tokens


class _Permute(torch.autograd.Function):
    """x[order]; its gradient is gathered by the inverse permutation instead of being scattered."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return x.index_select(0, order)    # three times as fast as x[order]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (back,) = ctx.saved_tensors
        return gradients[0].index_select(0, back), None, None


class _Spread(torch.autograd.Function):
    """k copies of each token of x (N, C), permuted as by _Permute: (N·k, C). They never exist in their old order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        ctx.copies = len(order) // len(x)
        return x.index_select(0, order // ctx.copies)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (back,) = ctx.saved_tensors
        of_copies = gradients[0].index_select(0, back).unflatten(0, (-1, ctx.copies))
        if ctx.copies == 2:    # the same number, five times as fast
            return of_copies[:, 0] + of_copies[:, 1], None, None
        return of_copies.sum(dim=1), None, None


class _Combine(torch.autograd.Function):
    """Σ_k weight (N, k) · x (N, k, C). On the way back batched products of a row and a column would be the slow way."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(weight, x)
        return (weight.unsqueeze(1) @ x).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, x = ctx.saved_tensors
        gradient = gradients[0].unsqueeze(1)
        return (x * gradient).sum(dim=-1), weight.unsqueeze(-1) * gradient


class _SideBySide(torch.autograd.Function):
    """Two stacks of weights (E, I, C) as one (E, 2I, C) in another precision: cast where they end up."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.dtype, size = first.dtype, first.shape[1]
        both = first.new_empty(len(first), 2 * size, first.shape[2], dtype=dtype)
        both[:, :size].copy_(first)
        both[:, size:].copy_(second)
        return both

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        first, second = gradients[0].chunk(2, dim=1)
        return first.to(ctx.dtype), second.to(ctx.dtype), None


def balance_loss(probability: Tensor, counts: Tensor) -> Tensor:
    """E · Σ f_e P_e (Fedus et al. 2021, eq. 4): 1 when the routing is even, E when one expert gets all.

    probability (N, E) of the router; counts (E,) routed slots per expert.
    """
    share = counts.float() / counts.sum()
    return probability.shape[-1] * (share * probability.mean(dim=0)).sum()
