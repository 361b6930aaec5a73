"""Compute multiplier: the reference against itself, at half its speed, and where its curve tells nothing."""

import math
import random

import pytest

from tournament.compute_multiplier import ComputeMultiplier, compute_multiplier

COSTS = [2.0**k for k in range(3, 11)]
REFERENCE = [(cost, 1 + 8 * cost**-0.4) for cost in COSTS]


def _loss(cost):
    return 1 + 8 * cost**-0.4


@pytest.mark.parametrize("cost", COSTS)
def test_the_reference_at_any_of_its_own_looks_has_1(cost):
    assert compute_multiplier(REFERENCE, cost, _loss(cost)).value == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0, 3.0])
def test_a_contestant_that_needs_a_factor_less_has_that_factor(factor):
    # every second batch wasted: at a cost of 200 it is where the reference is at 100
    found = compute_multiplier(REFERENCE, 200.0, _loss(200.0 * factor)).value
    assert found == pytest.approx(factor, rel=0.03)  # straight lines between looks an octave apart


@pytest.mark.parametrize(("factor", "is_told"), [(1.0, True), (1.9, True), (2.6, False), (10.0, False)])
def test_beyond_twice_the_references_range_nothing_is_said(factor, is_told):
    last = COSTS[-1]
    found = compute_multiplier(REFERENCE, 100.0, _loss(last * factor)).value
    assert (found is not None) == is_told
    if is_told:
        assert found == pytest.approx(last * factor / 100.0, rel=0.1)


@pytest.mark.parametrize("loss", [_loss(COSTS[0]) + 0.01, 0.0, -1.0])
def test_before_the_first_look_nothing_is_said(loss):
    assert compute_multiplier(REFERENCE, 100.0, loss).value is None


def test_the_interval_holds_the_costs_at_both_ends_of_the_loss():
    found = compute_multiplier(REFERENCE, 100.0, _loss(100.0), standard_error=0.05, df=10)
    half = 2.2281 * 0.05  # Student's t at 97.5 %, 10 degrees of freedom
    assert found.low == pytest.approx(compute_multiplier(REFERENCE, 100.0, _loss(100.0) + half).value, rel=1e-3)
    assert found.high == pytest.approx(compute_multiplier(REFERENCE, 100.0, _loss(100.0) - half).value, rel=1e-3)
    assert found.low < found.value < found.high


def test_an_end_of_the_interval_beyond_the_curve_is_open():
    found = compute_multiplier(REFERENCE, 100.0, _loss(COSTS[-1] * 1.5), standard_error=0.1, df=10)
    assert found.high is None and found.low is not None


@pytest.mark.parametrize(("error", "df"), [(None, 5), (0.1, 0)])
def test_without_a_measured_error_there_is_no_interval(error, df):
    found = compute_multiplier(REFERENCE, 128.0, _loss(128.0), standard_error=error, df=df)
    assert found == ComputeMultiplier(pytest.approx(1.0), None, None)


def test_a_look_that_rises_is_averaged_away_and_a_stretch_without_progress_is_its_middle():
    curve = [(1.0, 5.0), (10.0, 3.0), (100.0, 3.2), (1000.0, 2.0)]
    assert compute_multiplier(curve, 1.0, 3.1).value == pytest.approx(math.sqrt(10.0 * 100.0))
    assert compute_multiplier(curve, 1.0, 4.0).value == pytest.approx(10 ** (1.5 * (5 - 4) / (5 - 3.1)))


@pytest.mark.parametrize("curve", [[], [(1.0, 5.0)], [(2.0, 5.0), (1.0, 4.0)], [(0.0, 5.0), (1.0, 4.0)]])
def test_a_curve_that_is_none_is_refused(curve):
    with pytest.raises(ValueError, match="two at rising costs"):
        compute_multiplier(curve, 1.0, 4.5)


@pytest.mark.parametrize(("speed", "seeds"), [(1.0, 1), (1.0, 3), (0.5, 2)])
def test_the_interval_holds_the_truth_in_95_percent(speed, seeds):
    rng, sd, df, hits, trials = random.Random(seeds), 0.03, 9, 0, 1500
    for _ in range(trials):

        def mean_shift():
            return sum(rng.gauss(0, sd) for _ in range(seeds)) / seeds

        shift = mean_shift()
        curve = [(cost, loss + shift) for cost, loss in REFERENCE]
        own = _loss(400.0 * speed) + mean_shift()
        measured_sd = sd * math.sqrt(rng.gammavariate(df / 2, 2) / df)  # from df further seeds
        found = compute_multiplier(curve, 400.0, own, standard_error=measured_sd * math.sqrt(2 / seeds), df=df)
        hits += (found.low or 0.0) <= speed <= (found.high or math.inf)
    assert 0.93 <= hits / trials <= 0.97
