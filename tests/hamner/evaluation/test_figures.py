"""Standard errors of the friend card: worked out by hand, and against simulation."""

import math
import random
from itertools import pairwise

import pytest

from hamner.evaluation.figures import (
    Figure,
    clustered_share_error,
    jackknife_error,
    mean_error,
    median_error,
    share,
    share_error,
)

Z = 1.959963984540054


@pytest.mark.parametrize("count", [1, 2, 7, 50, 430])
def test_the_error_of_a_share_is_half_of_wilsons_interval(count):
    for right in range(count + 1):
        p = right / count
        half = Z / (1 + Z**2 / count) * math.sqrt(p * (1 - p) / count + Z**2 / (4 * count**2))  # Wilson 1927
        assert share_error(right, count) == pytest.approx(half / Z, rel=1e-9)
    errors = [share_error(right, count) for right in range(count // 2 + 1)]
    assert errors[0] > 0 and all(low <= high for low, high in pairwise(errors))


def test_many_items_have_the_error_of_the_textbook():
    assert share_error(300, 1000) == pytest.approx(math.sqrt(0.3 * 0.7 / 1000), rel=0.01)


def test_marks_that_hang_together_have_the_error_of_their_clusters():
    marks, clusters = [1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 2, 2]
    # sums 2, 0, 1 of 2 each, mean 0.5: gaps 1, -1, 0; se² = 3/2 · (1 + 1) / 36
    assert clustered_share_error(marks, clusters) == pytest.approx(math.sqrt(3 / 36))
    assert clustered_share_error([1, 0] * 10, [i // 2 for i in range(20)]) == share_error(0, 10) > 0
    assert clustered_share_error([1, 0, 1, 1], range(4)) == pytest.approx(math.sqrt(0.75 * 0.25 / 3))


def test_a_mean_a_median_and_a_leave_one_out_error():
    assert mean_error([1.0, 3.0, 5.0]) == pytest.approx(2 / math.sqrt(3))  # sd 2
    assert mean_error([1.0]) == median_error([1.0]) == jackknife_error([1.0], lambda values: 0.0) == math.inf
    rng = random.Random(0)
    values = [rng.gauss(10, 2) for _ in range(400)]
    assert jackknife_error(values, lambda v: sum(v) / len(v)) == pytest.approx(mean_error(values))
    assert median_error(values) == pytest.approx(1.2533 * mean_error(values), rel=0.25)  # of a normal distribution
    assert median_error([4.0, 4.0, 4.0]) == pytest.approx(0, abs=1e-6)


def test_the_median_error_is_that_of_many_samples():
    rng = random.Random(1)
    samples = [sorted(rng.expovariate(1) for _ in range(101)) for _ in range(300)]
    medians = [sample[50] for sample in samples]
    mean = sum(medians) / 300
    scatter = math.sqrt(sum((m - mean) ** 2 for m in medians) / 299)
    assert sum(map(median_error, samples)) / 300 == pytest.approx(scatter, rel=0.12)


def test_a_share_counts_its_items_and_how_far_it_is_from_guessing():
    figure = share("s", "n", [1, 1, 1, 0], "pairs", guess=0.5)
    assert (figure.value, figure.count, figure.unit) == (0.75, 4, "share")
    assert figure.errors_above == pytest.approx(0.25 / share_error(3, 4))
    assert share("s", "n", [1, 0.5, 0], "pairs").value == 0.5  # a tie is half
    lower = Figure("s", "n", 2.0, 0.5, 5.0, "nats/token", 3, "documents", "lower")
    assert lower.errors_above == 6.0 and lower.row["errors_above"] == 6.0
    with pytest.raises(ValueError, match="no items"):
        share("s", "n", [], "pairs")


@pytest.mark.parametrize(("error", "guess", "better"), [(None, 1.0, "higher"), (0.1, None, "higher"), (0.1, 1.0, "")])
def test_without_an_error_a_guess_or_a_good_way_nothing_is_compared(error, guess, better):
    assert Figure("s", "n", 2.0, error, guess, "tokens", 1, "texts", better).errors_above is None


def test_a_number_that_is_not_finite_is_null():
    row = Figure("s", "n", math.nan, math.inf, None, "tokens", 1, "texts").row
    assert row["value"] is row["error"] is None
