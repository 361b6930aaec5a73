"""Evidence of a curve: slopes as numpy's, errors that are right for every autocorrelation, looks combined."""

import math

import numpy as np
import pytest
from scipy import stats

from curriculum.evidence import Estimate, combined, deviate, gain_per_window, rise_of_last_window


def autocorrelated(rng, count, deviation, r):
    """AR(1) noise of this standard deviation."""
    noise = rng.normal(0, deviation, count)
    for i in range(1, count):
        noise[i] = r * noise[i - 1] + math.sqrt(1 - r * r) * noise[i]
    return noise


@pytest.mark.parametrize("seed", range(5))
def test_gain_is_the_slope_of_numpy(seed):
    rng = np.random.default_rng(seed)
    losses = 3 - 0.002 * np.arange(60) + rng.normal(0, 0.01, 60)
    (slope, _), covariance = np.polyfit(np.arange(60), losses, 1, cov=True)
    residuals = losses - np.polyval(np.polyfit(np.arange(60), losses, 1), np.arange(60))
    r = (residuals[1:] * residuals[:-1]).sum() / (residuals**2).sum()
    r = max(0.0, (r + 2 / 60) / (1 - 4 / 60))
    gain = gain_per_window(losses.tolist(), 20)
    assert gain.value == pytest.approx(-slope * 20 / losses.mean(), rel=1e-9)
    error = math.sqrt(covariance[0, 0] * (1 + r) / (1 - r))
    assert gain.error == pytest.approx(error * 20 / losses.mean(), rel=1e-9)
    assert gain.freedom == pytest.approx(60 * (1 - r) / (1 + r) - 2, rel=1e-9)


def test_error_of_an_ar1_case_by_hand():
    # flat at 2 with residuals +1 +1 -1 -1 -1 -1 +1 +1: slope 0, Σe² = 8, lag-1 Σ = 5 - 2 = 3, r = 3/8, and with 8
    # values r* = (3/8 + 2/8) / (1 - 4/8) = 1.25, which counts as 0.99: 8 values are worth 8 / 199
    gain = gain_per_window([3.0, 3, 1, 1, 1, 1, 3, 3], 4)
    assert gain.value == 0.0 and gain.freedom == 1.0
    assert gain.error == pytest.approx(math.sqrt(8 / 6 / 42 * 199) * 4 / 2, rel=1e-12)


def test_residuals_that_alternate_do_not_narrow_the_error():
    gain = gain_per_window([3.0, 1, 1, 3, 3, 1, 1, 3, 3, 1, 1, 3] * 2, 8)
    plain = np.polyfit(np.arange(24), [3.0, 1, 1, 3, 3, 1, 1, 3, 3, 1, 1, 3] * 2, 1, cov=True)[1][0, 0] ** 0.5 * 8 / 2
    assert gain.value == pytest.approx(0.0, abs=1e-12)
    assert plain <= gain.error <= 1.1 * plain  # r is -0.04; r* counts as 0.05 at most


def test_a_straight_line_has_no_error_and_a_loss_that_is_not_finite_no_end():
    gain = gain_per_window([4.0 - 0.25 * n for n in range(9)], 3)
    assert (gain.value, gain.error) == (0.25, 0.0) and gain.doubt_below(0.26) == 0.0
    assert gain_per_window([3.0, math.nan, 3.0, 3.0, 3.0], 2) == Estimate(-math.inf, 0.0)


@pytest.mark.parametrize("n", [12, 60])
@pytest.mark.parametrize("r", [0.0, 0.3, 0.6, 0.9])
def test_a_look_errs_as_seldom_as_it_says_whatever_the_autocorrelation(n, r):
    rng, wrong, plain = np.random.default_rng(1), 0, 0
    for _ in range(600):
        losses = 3 * (1 - 0.005 * np.arange(n) / (n // 3)) * (1 + autocorrelated(rng, n, 0.003, r))
        gain, truth = gain_per_window(losses.tolist(), n // 3), 0.015 / losses.mean()
        wrong += gain.doubt_below(truth) < 0.05
        residuals = losses - np.polyval(np.polyfit(np.arange(n), losses, 1), np.arange(n))
        known = max(0.0, (residuals[1:] * residuals[:-1]).sum() / (residuals**2).sum())
        error = np.polyfit(np.arange(n), losses, 1, cov=True)[1][0, 0] ** 0.5 * math.sqrt((1 + known) / (1 - known))
        plain += (gain.value - truth) / (error * (n // 3) / losses.mean()) < -1.645
    assert wrong / 600 <= (0.075 if n == 60 else 0.105), (wrong, plain)
    if r == 0.9:
        assert plain / 600 > 0.12  # what the estimated r and the normal distribution would say


def test_doubt_is_that_of_students_t():
    estimate = Estimate(0.001, 0.002, 5.0)
    assert estimate.doubt_below(0.005) == pytest.approx(stats.t.cdf(-2.0, 5), rel=1e-9)
    assert estimate.doubt_above(-0.003) == pytest.approx(stats.t.sf(2.0, 5), rel=1e-9)
    assert Estimate(0.1, 0.0).doubt_below(0.2) == 0.0 and Estimate(0.1, 0.0).doubt_below(0.1) == 1.0


def test_looks_are_combined_as_stouffer_does():
    doubts = [0.04, 0.2, 0.01]
    assert stats.norm.cdf(combined([deviate(p) for p in doubts])) == pytest.approx(
        stats.combine_pvalues(doubts, method="stouffer").pvalue, rel=1e-9
    )
    assert combined([]) == 0.0 and deviate(0.0) == -8.0


def test_slopes_of_overlapping_windows_are_as_good_as_uncorrelated():
    rng, gains = np.random.default_rng(0), []
    for _ in range(400):
        losses = (3 * (1 + rng.normal(0, 0.003, 100))).tolist()
        gains.append([gain_per_window(losses[20 * k : 20 * k + 60], 20).value for k in range(3)])
    r = np.corrcoef(np.array(gains).T)
    assert abs(r[0, 1]) < 0.2 and r[0, 2] < -0.2  # 0.07 and -0.41 for independent residuals


def test_a_rise_is_seen_against_the_lowest_window_before():
    rise, windows = rise_of_last_window(
        [3.0, 3.1, 3.0, 3.1, 2.0, 2.1, 2.0, 2.1, 2.5, 2.6, 2.5, 2.6, 3.0, 3.1, 3.0, 3.1], 4
    )
    assert windows == 2 and rise.value == pytest.approx(3.05 / 2.05 - 1)
    assert rise.doubt_above(0.1) < 0.01 < rise.doubt_above(0.45)
