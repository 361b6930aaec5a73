"""The feed-forward half of a block: SwiGLU (Shazeer 2020), alone or as a mixture of experts.

N tokens (B·T), C hidden, I intermediate, E experts, k active experts.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hamner.config import ModelConfig
from hamner.fast_path import GRAIN, grouping_pays
from hamner.layers import linear


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
        copies = tokens.unsqueeze(1).expand(-1, self.top_k, -1).flatten(0, 1)    # (N·k, C)
        sorted_tokens = _Permute.apply(copies, order, back)
        done = self._grouped(sorted_tokens, counts) if grouping_pays(tokens) else self.in_turn(sorted_tokens, counts)
        routed = _Permute.apply(done, back, order).unflatten(0, (-1, self.top_k))    # (N, k, C)
        out = (weight.unsqueeze(1).to(routed.dtype) @ routed).squeeze(1)
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
        gate, up, down = (_padded(weight.to(tokens.dtype)) for weight in (self.gate, self.up, self.down))
        hidden = F.grouped_mm(_wide(tokens), torch.cat((gate, up), dim=1).transpose(1, 2), offs=ends)
        first, second = hidden.chunk(2, dim=-1)
        return F.grouped_mm(F.silu(first) * second, down.transpose(1, 2), offs=ends)[:, : tokens.shape[1]]


def _padded(weight: Tensor) -> Tensor:
    """(E, out, in) with both filled up with zeros to whole grains."""
    grain = GRAIN // weight.element_size()
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
        return x[order]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (back,) = ctx.saved_tensors
        return gradients[0][back], None, None


def balance_loss(probability: Tensor, counts: Tensor) -> Tensor:
    """E · Σ f_e P_e (Fedus et al. 2021, eq. 4): 1 when the routing is even, E when one expert gets all.

    probability (N, E) of the router; counts (E,) routed slots per expert.
    """
    share = counts.float() / counts.sum()
    return probability.shape[-1] * (share * probability.mean(dim=0)).sum()
