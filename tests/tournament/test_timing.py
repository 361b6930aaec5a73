"""Wall-clock breakdown: the shortest time (makespan) of runs on slots, against trying every assignment."""

import itertools
import random

import pytest

from tournament.timing import makespan, wall_clock_breakdown


def _shortest(seconds, slots):
    """By brute force."""
    return min(
        max(sum(s for s, at in zip(seconds, places, strict=True) if at == slot) for slot in range(slots))
        for places in itertools.product(range(slots), repeat=len(seconds))
    )


@pytest.mark.parametrize("seed", range(20))
def test_two_slots_are_packed_as_well_as_can_be(seed):
    rng = random.Random(seed)
    seconds = [float(rng.randint(1, 30)) for _ in range(rng.randint(0, 9))]
    assert makespan(seconds, 2) == _shortest(seconds, 2)


def test_longest_first_would_be_worse_on_two_slots():
    assert makespan([3.0, 3.0, 2.0, 2.0, 2.0], 2) == 6.0  # longest first needs 7


@pytest.mark.parametrize("seed", range(20))
def test_three_slots_are_packed_within_a_third_of_the_best(seed):
    rng = random.Random(seed)
    seconds = [rng.uniform(1, 30) for _ in range(rng.randint(1, 7))]
    packed, best = makespan(seconds, 3), _shortest(seconds, 3)
    assert packed >= max(seconds) and packed >= sum(seconds) / 3 - 1e-9
    assert best - 1e-9 <= packed <= (4 / 3 - 1 / 9) * best + 1e-9  # Graham's bound for three slots


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_easy_cases(slots):
    assert makespan([], slots) == 0
    assert makespan([5.0], slots) == 5.0
    assert makespan([2.0] * 4 * slots, slots) == 8.0
    assert makespan([4.0, 1.0, 2.0], 1) == 7.0


def test_many_runs_on_two_slots_take_no_time_to_pack():
    rng = random.Random(0)
    seconds = [float(rng.randint(1, 300)) for _ in range(60)]  # 2^59 divisions
    assert sum(seconds) / 2 <= makespan(seconds, 2) <= 1.02 * sum(seconds) / 2


def test_the_breakdown_of_a_league_by_hand():
    breakdown = wall_clock_breakdown(20.0, [[4.0, 3.0, 3.0], [5.0]], 2)  # best: 6 beside 4, then 5 beside nothing
    assert breakdown == {
        "wall": 20.0,
        "slots": 2,
        "busy": 15.0,
        "best_packing": 11.0,
        "idle_at_round_ends": 7.0,
        "orchestration": 9.0,
        "orchestration_share": 0.45,
    }
    assert 2 * breakdown["best_packing"] == breakdown["busy"] + breakdown["idle_at_round_ends"]


def test_the_breakdown_of_nothing():
    assert wall_clock_breakdown(0.0, [[], []], 2)["orchestration_share"] == 0.0
