"""Hours of a friend: shares, what is left over and what runs over, on plain numbers."""

import pytest

from hamner.runs.friend_hours import (
    CARD,
    EXPORT,
    FINETUNING,
    LEAGUE,
    STAGES,
    STEPS,
    finetuning_steps,
    shortened_rounds,
    step_hours,
)


def test_all_hours_are_given_to_the_steps():
    for steps in (STEPS, STEPS[1:]):
        hours = step_hours(48, 0, steps, ())
        assert list(hours) == list(steps) and sum(hours.values()) == pytest.approx(48)
    assert step_hours(48, 0, STEPS, ())[LEAGUE] == 12
    assert step_hours(48, 0, STEPS, ())[STAGES] == pytest.approx(48 - 12 - 2.88 - 0.96)


def test_a_short_league_leaves_its_hours_to_the_stages():
    hours = step_hours(48, 0, STEPS, (), league=3)
    assert hours[LEAGUE] == 3 and sum(hours.values()) == pytest.approx(48)
    after = step_hours(48, 2, STEPS, [LEAGUE], league=3)  # it took two
    assert after[STAGES] == pytest.approx(48 - 2 - 2.88 - 0.96) and LEAGUE not in after


def test_what_the_stages_leave_over_goes_to_the_fine_tuning_and_what_runs_over_makes_it_late():
    early, late = (step_hours(48, elapsed, STEPS, [LEAGUE, STAGES]) for elapsed in (20, 47))
    assert early[FINETUNING] == pytest.approx(28 - 0.96) and late[FINETUNING] == pytest.approx(2.88)
    assert step_hours(48, 100, STEPS, [LEAGUE])[STAGES] == pytest.approx(2.4)  # enough for the rate to fall to 0
    assert step_hours(48, 100, STEPS, STEPS) == {}
    assert list(step_hours(48, 47.9, STEPS, STEPS[:3])) == [CARD, EXPORT]


def test_lengths_follow_the_hours():
    assert shortened_rounds((500, 1000, 2000), needed=24, given=12) == [250, 500, 1000]
    assert shortened_rounds((500, 1000), needed=3, given=12) == [500, 1000]
    assert finetuning_steps(1.0, tokens_per_second=73_000, tokens_per_step=24 * 1024) == 8554
    assert finetuning_steps(0.0, 73_000, 24 * 1024) == 20
