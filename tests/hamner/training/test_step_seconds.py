"""Roofline of a step from its config, beside the dry run's that counts its operations; and a calibration's speeds."""

from pathlib import Path

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
LEAGUE, ROW = 16 * 512, 512
PAGE = Path(__file__).parents[3] / "results" / "reference" / "card.md"
PARTS = {
    "layers: products": "products",
    "layers: rest": "rest",
    "attention": "attention",
    "head: products": "head_products",
    "head: rest": "head_rest",
    "sum": "total",
}


def table(first_words):
    """Column -> row -> milliseconds of the page's table whose first cell begins so."""
    lines = PAGE.read_text(encoding="utf-8").split(f"| {first_words}")[1].split("\n\n")[0].splitlines()
    headings = [cell.strip() for cell in lines[0].split("|")[1:-1]]
    rows = {label.strip(" *"): cells for label, *cells in (line.split("|")[1:-1] for line in lines[2:])}
    return {
        heading: {label: cells[index].strip(" *") for label, cells in rows.items()}
        for index, heading in enumerate(headings)
    }


@pytest.mark.parametrize(("column", "compiled"), [("+ logits 2^27", False), ("+ softmax compiled", True)])
def test_every_part_of_the_dry_runs_table_is_met(column, compiled):
    milliseconds = table("ms of a V3 step")[column]
    seconds = step_seconds(V3, TOKENS, 1024, RTX_3090, checkpointing=False, compiled=compiled)
    assert 1000 * seconds.total == pytest.approx(float(milliseconds["sum"]), rel=0.02)
    for label, name in PARTS.items():
        assert 1000 * getattr(seconds, name) == pytest.approx(float(milliseconds[label]), rel=0.06), name


@pytest.mark.parametrize(("column", "checkpointing"), [("compiled", False), ("+ checkpointing", True)])
@pytest.mark.parametrize("name", CONTESTANTS)
def test_a_contestants_step_is_near_the_dry_runs(name, column, checkpointing):
    milliseconds = float(table("ms of a step")[column][name])
    seconds = step_seconds(CONTESTANTS[name], LEAGUE, ROW, RTX_3090, checkpointing=checkpointing, compiled=True)
    assert 1000 * seconds.total == pytest.approx(milliseconds, rel=0.12)


def test_half_the_tokens_take_half_the_time_but_for_what_is_of_weights():
    whole, half = (
        step_seconds(V3, tokens, 1024, RTX_3090, checkpointing=False, compiled=True) for tokens in (TOKENS, TOKENS // 2)
    )
    assert half.products == whole.products / 2 and half.attention == whole.attention / 2
    assert half.update == whole.update > 0
    assert whole.total / 2 < half.total < 0.55 * whole.total


def test_only_a_card_in_16_bits_is_computed_and_compiling_saves_a_seventh():
    for words in (["device=cpu"], ["precision=fp32"]):
        compute = load_config("rtx3090", words).compute
        assert computed_step_seconds(V3, TOKENS, 1024, compute, checkpointing=False) is None
    computes = (load_config("rtx3090", [f"compile={choice}"]).compute for choice in ("auto", "never"))
    compiled, eager = (computed_step_seconds(V3, TOKENS, 1024, compute, checkpointing=False) for compute in computes)
    assert compiled == pytest.approx(0.178, abs=0.003)
    assert 0.1 < 1 - compiled / eager < 0.2


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
