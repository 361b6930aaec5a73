"""Mixture of experts (MoE): router, top-k, load balancing; SwiGLU experts.

N tokens (B·T), C hidden, I intermediate, E experts, k active experts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hamner.config.schema import ModelConfig
from hamner.model.distributed import sum_over_workers
from hamner.model.kernels.dispatch import use_grouped_experts
from hamner.model.kernels.experts import Combine, Concatenate, CopyAndPermute, Permute, pad_experts, pad_tokens
from hamner.model.layers import gated, linear


class MixtureOfExperts(nn.Module):
    """E SwiGLU experts, each token through its top k, as Mixtral: softmax over all, the k weights renormalized.

    No capacity limit, no dropped tokens, no shared expert. Returns the output and the layer's balance loss.
    """

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.num_experts, self.top_k = model.num_experts, model.num_active_experts
        shape = (model.num_experts, model.intermediate_size, model.hidden_size)
        self.router = nn.Linear(model.hidden_size, model.num_experts, bias=False)
        self.gate = nn.Parameter(torch.empty(shape))  # (E, I, C)
        self.up = nn.Parameter(torch.empty(shape))  # (E, I, C)
        self.down = nn.Parameter(torch.empty(shape).transpose(1, 2).contiguous())  # (E, C, I)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        tokens = x.flatten(0, -2)  # (N, C)
        probability = linear(tokens, self.router.weight).float().softmax(dim=-1)  # (N, E)
        weight, expert = probability.topk(self.top_k, dim=-1)  # (N, k) each
        weight = weight / weight.sum(dim=-1, keepdim=True)

        # Tokens are put in the order of their experts, each expert does one product, and everything is put
        # back by the inverse permutation: no scattered additions, so the sums have one order on any device.
        order = expert.flatten().argsort(stable=True)  # (N·k,)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(len(order), device=order.device)
        every = torch.arange(self.num_experts, device=order.device)
        counts = (expert.flatten() == every.unsqueeze(1)).sum(dim=1)  # bincount would make the host wait for a card
        by_expert = CopyAndPermute.apply(tokens, order, inverse)  # (N·k, C)
        product = self._grouped if use_grouped_experts(tokens) else self.sequential
        routed = Permute.apply(product(by_expert, counts), inverse, order).unflatten(0, (-1, self.top_k))  # (N, k, C)
        out = Combine.apply(weight.to(routed.dtype), routed)
        if self.training:
            sum_over_workers(counts)  # balance over the whole batch, whatever the number of workers
        return out.view_as(x), balance_loss(probability, counts)

    def sequential(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """The experts' outputs (N·k, C), one expert after the other. tokens (N·k, C) by expert; counts (E,)"""
        parts = tokens.split(counts.tolist())  # on a card the layer's one wait for the host
        # unbound, since the gradient of weight[index] is as large as the weight of all experts
        weights = zip(self.gate.unbind(), self.up.unbind(), self.down.unbind(), strict=True)
        return torch.cat([gated(part, *expert) for part, expert in zip(parts, weights, strict=True)])

    def _grouped(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """The same in two grouped products, whose rows need widths that are padded with zeros."""
        ends = counts.cumsum(0).to(torch.int32)
        gate, up, down = (pad_experts(weight, tokens.element_size()) for weight in (self.gate, self.up, self.down))
        both = Concatenate.apply(gate, up, tokens.dtype)
        first, second = F.grouped_mm(pad_tokens(tokens), both.transpose(1, 2), offs=ends).chunk(2, dim=-1)
        down = down.to(tokens.dtype).transpose(1, 2)
        return F.grouped_mm(F.silu(first) * second, down, offs=ends)[:, : tokens.shape[1]]


def balance_loss(probability: Tensor, counts: Tensor) -> Tensor:
    """Load-balancing loss E · Σ f_e P_e (Fedus et al. 2021, eq. 4): 1 for even routing, E when one expert gets all.

    probability (N, E) of the router; counts (E,) routed slots per expert.
    """
    share = counts.float() / counts.sum()
    return probability.shape[-1] * (share * probability.mean(dim=0)).sum()
