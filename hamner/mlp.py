"""The feed-forward half of a block: SwiGLU (Shazeer 2020), alone or as a mixture of experts.

N tokens (B·T), C hidden, I intermediate, E experts, k active experts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hamner.config import ModelConfig


class SwiGLU(nn.Module):
    """down(silu(gate x) · up x). Returns the output and a balance loss of 0."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(model.hidden_size, model.intermediate_size, bias=False)
        self.up = nn.Linear(model.hidden_size, model.intermediate_size, bias=False)
        self.down = nn.Linear(model.intermediate_size, model.hidden_size, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.down(F.silu(self.gate(x)) * self.up(x)), x.new_zeros((), dtype=torch.float32)


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
        probability = F.softmax(self.router(tokens).float(), dim=-1)    # (N, E)
        weight, expert = probability.topk(self.top_k, dim=-1)           # (N, k) each
        weight = weight / weight.sum(dim=-1, keepdim=True)

        # Tokens are put in the order of their experts, each expert does one product, and everything is put
        # back by the inverse permutation: no scattered additions, so the sums have one order on any device.
        order = expert.flatten().argsort(stable=True)                   # (N·k,)
        counts = torch.bincount(expert.flatten(), minlength=self.num_experts)
        parts = tokens[order // self.top_k].split(counts.tolist())
        done = torch.cat([self._expert(e, part) for e, part in enumerate(parts)])
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        routed = done[back].unflatten(0, (-1, self.top_k))              # (N, k, C)
        out = (routed * weight.unsqueeze(-1).to(routed.dtype)).sum(dim=1)
        if self.training and torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)    # balance over the whole batch, whatever the number of workers
        return out.view_as(x), balance_loss(probability, counts)

    def _expert(self, index: int, x: Tensor) -> Tensor:
        hidden = F.silu(F.linear(x, self.gate[index])) * F.linear(x, self.up[index])
        return F.linear(hidden, self.down[index])


def balance_loss(probability: Tensor, counts: Tensor) -> Tensor:
    """E · Σ f_e P_e (Fedus et al. 2021, eq. 4): 1 when the routing is even, E when one expert gets all.

    probability (N, E) of the router; counts (E,) routed slots per expert.
    """
    share = counts.float() / counts.sum()
    return probability.shape[-1] * (share * probability.mean(dim=0)).sum()
