"""Counts and arithmetic, against the recorded table to the last digit and against the built models."""

import pytest
import torch

from hamner.config.cost import count_parameters, training_flops_per_token
from hamner.config.presets import CONTESTANTS, PRESETS, shrink
from hamner.config.schema import Size
from hamner.model.transformer import Hamner

TABLE = {  # total, active, training GFLOP per token at T = 512
    "v01_dense_small": (75_514_368, 75_514_368, 0.50),
    "v02_dense_medium": (163_609_344, 163_609_344, 1.08),
    "v03_diffattn_small": (81_810_944, 81_810_944, 0.57),
    "v04_diffattn_medium": (179_344_384, 179_344_384, 1.22),
    "v05_moe_small": (185_659_904, 72_413_696, 0.47),
    "v06_moe_medium": (516_023_040, 176_284_416, 1.13),
    "v07_hybrid_small": (190_382_336, 77_136_128, 0.52),
    "v08_hybrid_medium": (528_611_072, 188_872_448, 1.25),
    "v09_deep_narrow": (70_803_840, 70_803_840, 0.50),
    "v10_wide_shallow": (121_652_224, 121_652_224, 0.78),
    "v2": (163_609_344, 163_609_344, None),
    "v3": (47_190_528, 47_190_528, None),
}


@pytest.mark.parametrize("name", TABLE)
def test_counts_and_flops_are_the_recorded_ones(name):
    model = (CONTESTANTS | PRESETS)[name]
    total, active, gflop = TABLE[name]
    parameters = count_parameters(model)
    assert (parameters.total, parameters.active) == (total, active)
    if gflop is not None:
        assert round(training_flops_per_token(model, 512) / 1e9, 2) == gflop


@pytest.mark.parametrize("divide", [1, 4, 8])
@pytest.mark.parametrize("name", TABLE)
def test_the_formula_counts_what_is_built(name, divide):
    model = shrink((CONTESTANTS | PRESETS)[name], Size(divide=divide, vocab_size=2048))
    with torch.device("meta"):
        built = sum(weight.numel() for weight in Hamner(model).parameters())
    assert built == count_parameters(model).total


@pytest.mark.parametrize("divide", [4, 8])
@pytest.mark.parametrize("name", TABLE)
def test_shrinking_keeps_the_kind(name, divide):
    full = (CONTESTANTS | PRESETS)[name]
    small = shrink(full, Size(divide=divide, vocab_size=2048))
    assert list(small.problems()) == []
    assert small.head_size >= 16
    assert small.num_heads // small.num_kv_heads == full.num_heads // full.num_kv_heads
    assert (small.num_experts, small.num_active_experts, small.attention) == (
        full.num_experts,
        full.num_active_experts,
        full.attention,
    )
    if divide == 4:
        assert small.hidden_size == full.hidden_size // 4
        assert small.num_layers == full.num_layers // 4
