"""Disk space of a curriculum's checkpoints: counted in copies of the weights, refused when it cannot fit."""

import pytest

from curriculum.disk import check_disk, checkpoints_gib
from curriculum.stages import EIGHT_STAGES, Stage
from hamner.config.cost import GIB, count_parameters
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.presets import model_named

SMOKE = load_config("smoke")
MODEL = model_named("v3", SMOKE.size)
WEIGHTS = 4 * count_parameters(MODEL).total / GIB
FULL = 4 * WEIGHTS  # weights, two moments, averaged weights


def _gib(*words, stages=EIGHT_STAGES):
    return checkpoints_gib(MODEL, load_config("smoke", words, "curriculum"), stages)


def test_each_term_by_hand():
    # keep_checkpoints = 2, one being written, the stage's best, the final one; two weights a stage
    assert _gib() == pytest.approx((2 + 3) * FULL + 2 * 8 * WEIGHTS)
    assert _gib("curriculum.keep_checkpoints=4") == pytest.approx((4 + 3) * FULL + 2 * 8 * WEIGHTS)
    assert _gib("keep_stages=full") == pytest.approx((2 + 3) * FULL + 2 * 8 * FULL)
    # eight stages of at most 15 steps: 120 // 7 = 17
    assert _gib("keep_every=7") == pytest.approx((2 + 3 + 17) * FULL + 2 * 8 * WEIGHTS)


def test_an_exact_stage_may_be_longer_than_the_cap():
    stage = Stage(name="a", mix={"sft": 1.0}, learning_rate=1e-3, steps=70, exact=True)
    assert _gib("keep_every=7", stages=[stage]) == pytest.approx((2 + 3 + 10) * FULL + 2 * WEIGHTS)


def test_checkpoints_that_cannot_fit_are_refused_with_the_keys_to_lower(tmp_path):
    check_disk(MODEL, SMOKE, EIGHT_STAGES, tmp_path / "not" / "yet" / "there")
    config = load_config("smoke", ["keep_every=1", "max_steps=1000000000"], "curriculum")
    with pytest.raises(BadInput) as error:
        check_disk(MODEL, config, EIGHT_STAGES, tmp_path)
    (problem,) = error.value.problems
    for key in ("--results", "curriculum.keep_checkpoints", "keep_every", "keep_stages"):
        assert key in problem
