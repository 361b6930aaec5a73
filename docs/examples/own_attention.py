"""An attention kind of your own: gated attention. Plan a league with it: python docs/examples/own_attention.py"""

import os
from dataclasses import replace

import torch

from hamner.config.attention_kinds import ATTENTION_KINDS
from hamner.model.attention import GroupedQueryAttention
from hamner.model.layers import linear

GROUPED = ATTENTION_KINDS["grouped"]


class GatedAttention(GroupedQueryAttention):
    """Each head's output passes a sigmoid gate that the input opens and closes (Qiu et al. 2025)."""

    kind = replace(
        GROUPED, parameters=lambda m: GROUPED.parameters(m) + m.hidden_size**2, activations=lambda m: 9 * m.hidden_size
    )

    def __init__(self, model, layer):
        super().__init__(model, layer)
        self.gate = torch.nn.Linear(model.hidden_size, model.hidden_size, bias=False)

    def project(self, x, cos, sin):
        q, k, v = super().project(x, cos, sin)
        gate = linear(x, self.gate.weight).unflatten(-1, (-1, self.head_size)).transpose(1, 2)  # (B, H, T, D)
        return torch.cat((q, gate), dim=-1), k, v  # the gate travels with the queries

    def attend(self, q, k, v, mask=None):
        q, gate = q.chunk(2, dim=-1)
        return super().attend(q.contiguous(), k, v, mask) * gate.sigmoid()


if __name__ == "__main__":
    import tournament.run

    os.environ["HAMNER_MODULES"] = "own_attention"  # its code may run
    tournament.run.main(["--config", "smoke", "--league", "docs/examples/own_attention.toml", "--plan"])
