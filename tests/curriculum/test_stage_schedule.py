"""The length of a stage and the decay of its learning rate."""

import itertools
import json

import pytest

from curriculum.stage_schedule import StageSchedule
from curriculum.stages import EIGHT_STAGES, Stage
from hamner.config.schema import Curriculum

MIX = {"fineweb_edu": 1.0}


def _play(stage, plateau_at=None, *, is_last=True, stop_reason="plateau", cut=None, **settings):
    """Factors of the learning rate at all steps, and the reason of the end; with `cut` resumed from its state there."""
    settings = Curriculum(**({"max_steps": 100} | settings))
    schedule, rates, reason = StageSchedule(stage, settings, is_last=is_last), [], None
    while reason is None:
        step = len(rates)
        if step == cut:
            state = json.loads(json.dumps(schedule.state()))
            schedule = StageSchedule(stage, settings, is_last=is_last)
            schedule.load_state(state)
        rates.append(schedule.rate_scale(step))
        reason = schedule.after_step(step + 1, stop_reason if plateau_at and step + 1 >= plateau_at else None)
        assert len(rates) < 1000
    return rates, reason


def test_without_decay_the_first_reason_ends_it():
    assert _play(EIGHT_STAGES[0]) == ([1.0] * 100, "cap")
    assert _play(EIGHT_STAGES[0], 40) == ([1.0] * 40, "plateau")
    assert _play(EIGHT_STAGES[0], 40, stop_reason="worse") == ([1.0] * 40, "worse")


@pytest.mark.parametrize("cut", [None, 39, 40, 45])
def test_a_decay_comes_after_the_plateau_and_within_the_cap(cut):
    falls = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert _play(EIGHT_STAGES[0], 40, decay="run", decay_steps=10, cut=cut)[0] == pytest.approx([1.0] * 40 + falls)
    assert _play(EIGHT_STAGES[0], decay="run", decay_steps=10, cut=cut) == (pytest.approx([1.0] * 90 + falls), "cap")
    late, reason = _play(EIGHT_STAGES[0], 95, decay="run", decay_steps=10, cut=cut)
    assert (len(late), reason) == (100, "cap")  # the decay before the cap had begun
    assert _play(EIGHT_STAGES[0], 40, stop_reason="worse", decay="run", decay_steps=10)[1] == "worse"


def test_decay_says_which_stages_decay():
    lengths = [
        len(_play(EIGHT_STAGES[0], 40, decay=decay, decay_steps=10, is_last=is_last)[0])
        for decay in ("none", "run", "stage")
        for is_last in (False, True)
    ]
    assert lengths == [40, 40, 40, 50, 50, 50]


def test_a_stage_of_fixed_length_ignores_a_plateau():
    stage = Stage(name="a", mix=MIX, learning_rate=1e-3, steps=60)
    assert _play(stage, 20) == ([1.0] * 60, "steps")
    assert _play(stage, 20, max_steps=50) == ([1.0] * 50, "cap")
    assert _play(stage.model_copy(update={"exact": True}), 20, max_steps=50) == ([1.0] * 60, "steps")
    assert _play(stage, decay="stage", decay_steps=4)[0][-5:] == [1.0, 1.0, 0.75, 0.5, 0.25]


def test_cosine_ends_at_a_tenth():
    rates, reason = _play(Stage(name="a", mix=MIX, learning_rate=1e-3, steps=60, schedule="cosine"))
    assert reason == "steps" and rates[0] == 1.0 and rates[30] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3) and all(a > b for a, b in itertools.pairwise(rates))
