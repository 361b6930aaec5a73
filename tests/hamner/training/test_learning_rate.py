"""Learning-rate schedules as factors of the peak rate."""

import itertools
import math

import pytest

from hamner.training.learning_rate import cosine, linear_decay, warmup_constant


def test_warmup_rises_in_a_straight_line_and_stays():
    rates = [warmup_constant(step, 2.0, 4) for step in range(6)]
    assert rates == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0] and warmup_constant(0, 2.0, 0) == 2.0


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_cosine_falls_from_1_to_its_floor(floor):
    factors = [cosine(step, 60, floor) for step in range(61)]
    assert factors[0] == 1.0 and factors[60] == pytest.approx(floor) and factors[30] == pytest.approx((1 + floor) / 2)
    assert all(a > b for a, b in itertools.pairwise(factors))
    assert factors[20] == pytest.approx(floor + (1 - floor) * (1 + math.cos(math.pi / 3)) / 2)


def test_linear_decay_falls_from_1_to_0():
    assert [linear_decay(step, 10, 14) for step in range(10, 15)] == [1.0, 0.75, 0.5, 0.25, 0.0]
