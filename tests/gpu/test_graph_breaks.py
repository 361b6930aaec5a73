"""Compiled regions (torch.compile): no graph break but where it is named, no recompile, in 16 bit as a card trains.

Dynamo traces the blocks' regions in miniature, which have the graphs of the full size; nothing is compiled to kernels.
"""

from __future__ import annotations

from unittest import mock

import limits
import pytest
import torch
from torch._dynamo.utils import counters

from hamner.config.presets import CONTESTANTS, shrink
from hamner.config.schema import Compute, ModelConfig, Optimizer, Size
from hamner.model.kernels.dispatch import force
from hamner.model.transformer import Block, build
from hamner.training.trainer import Trainer

SMALL = Size(divide=8, vocab_size=512)
compile_with = torch.compile


class Rows:
    def next(self) -> torch.Tensor:
        return torch.arange(8 * 64).remainder(500).view(8, 64)


def breaks(model: ModelConfig, plant=lambda block: None) -> int:
    """Graph breaks of the first block's two regions."""
    hamner = build(model, 0).train()
    hamner.compile_regions()
    block = hamner.blocks[0]
    plant(block)
    x = torch.randn(2, 64, model.hidden_size).bfloat16()
    torch._dynamo.reset()
    enter = torch._dynamo.explain(Block.enter)(block, x, hamner.cos[:64], hamner.sin[:64])
    q, _, _ = block.enter(x, hamner.cos[:64], hamner.sin[:64])
    attended = q[:, : model.num_heads].contiguous()
    return enter.graph_break_count + torch._dynamo.explain(Block.leave)(block, x, attended).graph_break_count


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("v01_dense_small", "dense"),
        ("v03_diffattn_small", "dense"),
        ("v05_moe_small", "grouped"),
        ("v07_hybrid_small", "grouped"),
        ("v05_moe_small", "sequential"),
    ],
)
def test_a_block_has_no_graph_break_but_for_experts_in_turns(name, kind):
    with force(grouped_experts=kind == "grouped"):
        assert breaks(shrink(CONTESTANTS[name], SMALL)) <= limits.GRAPH_BREAKS[kind]


def test_a_planted_item_is_a_graph_break():
    def plant(block):
        merge = block.attention.merge
        block.attention.merge = lambda x: merge(x) * x.abs().max().item()

    assert breaks(shrink(CONTESTANTS["v01_dense_small"], SMALL), plant) > 0


@pytest.mark.parametrize(
    ("name", "is_card"), [("v03_diffattn_small", False), ("v03_diffattn_small", True), ("v07_hybrid_small", False)]
)
def test_regions_are_compiled_once_for_all_blocks_and_steps(name, is_card):
    """With checkpointing, in parts, and with an evaluation of other rows in between."""
    model = shrink(CONTESTANTS[name], SMALL)
    eager = mock.patch.object(
        torch, "compile", lambda region, **_: compile_with(region, backend="eager", dynamic=False)
    )
    torch._dynamo.reset()
    counters.clear()
    with eager, force(grouped_experts=True, fused_softmax=is_card):
        hamner = build(model, 0, activation_checkpointing=True)
        compute = Compute(device="cpu", precision="bf16")
        trainer = Trainer(
            hamner,
            Rows(),
            Optimizer(),
            compute,
            gradient_accumulation_steps=2,
            compiled=True,  # type: ignore[arg-type]
        )
        trainer.begin(1e-3, 1)
        for rows in (2, 3, 5):
            trainer.step()
            with torch.no_grad():
                hamner.eval().hidden_states(torch.zeros(rows, 8 * rows, dtype=torch.long))
        most = limits.GRAPHS_ON_A_CARD if is_card else limits.GRAPHS_OF_A_MODEL
        assert counters["stats"]["unique_graphs"] == most
        assert not counters["graph_break"]
