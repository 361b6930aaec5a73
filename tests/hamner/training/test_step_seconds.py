"""Roofline: the table of a dry run of V3 at 24 × 1,024 recomputed, and what a calibration's speeds come to."""

import pytest

from hamner.config.cost import count_parameters
from hamner.config.load import load_config
from hamner.config.presets import CONTESTANTS, PRESETS
from hamner.training.roofline import (
    RTX_3090,
    UPDATE_BYTES,
    attention_flops,
    calibrated_step_seconds,
    computed_step_seconds,
    kind_of,
    product_flops,
    step_seconds,
)

V3, TOKENS = PRESETS["v3"], 24 * 1024
# (settings, milliseconds of products, rest, attention, head's products, head's rest, all) as counted dry
COLUMNS = [
    ({"checkpointing": True, "compiled": False}, 76, 105, 29, 70, 70, 352),
    ({"checkpointing": False, "compiled": False}, 61, 83, 23, 70, 70, 309),
    ({"checkpointing": False, "compiled": False, "logits": 2**27}, 61, 83, 23, 70, 47, 286),
    ({"checkpointing": False, "compiled": True, "logits": 2**27}, 61, 18, 23, 70, 47, 221),
    ({"checkpointing": False, "compiled": True, "fused": True}, 61, 18, 23, 70, 11, 185),
]


@pytest.mark.parametrize("column", COLUMNS, ids=["as it was", "kept", "2^27 logits", "compiled", "fused loss"])
def test_every_column_of_the_dry_runs_table_is_met_within_two_percent(column):
    settings, *parts, total = column
    seconds = step_seconds(V3, TOKENS, 1024, RTX_3090, **settings)
    assert 1000 * seconds.total == pytest.approx(total, rel=0.02)
    names = ("products", "rest", "attention", "head_products", "head_rest")
    for name, milliseconds in zip(names, parts, strict=True):
        assert 1000 * getattr(seconds, name) == pytest.approx(milliseconds, rel=0.06), name


def test_half_the_tokens_take_half_the_time_but_for_the_update_and_the_casts_of_weights():
    whole, half = (
        step_seconds(V3, tokens, 1024, RTX_3090, checkpointing=False, compiled=True) for tokens in (TOKENS, TOKENS // 2)
    )
    assert half.products == whole.products / 2 and half.head_rest == whole.head_rest / 2
    assert half.update == whole.update > 0
    assert whole.total / 2 < half.total < 0.55 * whole.total


def test_only_a_card_in_16_bits_is_computed():
    for words in (["device=cpu"], ["precision=fp32"]):
        compute = load_config("rtx3090", words).compute
        assert computed_step_seconds(V3, TOKENS, 1024, compute, checkpointing=False) is None
    kept = computed_step_seconds(V3, TOKENS, 1024, load_config("rtx3090").compute, checkpointing=False)
    assert kept == pytest.approx(0.218, abs=0.004)  # 2^27 logits, as a card has them


def test_a_calibrated_step_is_blocks_head_and_update_at_their_speeds_and_of_no_other_kind():
    speed = {"dense": 1e12, "head": 2e12, "update": 1e10}
    layers, head = product_flops(V3, TOKENS)
    expected = (layers + attention_flops(V3, 1024, TOKENS)) / 1e12 + head / 2e12
    expected += UPDATE_BYTES * count_parameters(V3).total / 1e10
    assert calibrated_step_seconds(V3, TOKENS, 1024, speed) == pytest.approx(expected)
    assert calibrated_step_seconds(CONTESTANTS["v05_moe_small"], TOKENS, 1024, speed) is None


def test_the_ten_contestants_are_of_four_kinds():
    kinds = [kind_of(model) for model in CONTESTANTS.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "dense": 4,
        "differential": 2,
        "experts": 2,
        "differential, experts": 2,
    }
