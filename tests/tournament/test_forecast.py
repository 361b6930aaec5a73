"""Forecasts: exact on exact laws, intervals that hold the truth as often as they say, ties that are coin tosses."""

import math
import random

import numpy as np
import pytest

from tournament.forecast import Curve, Forecasts, Misfit, fit_shape

LOOKS = [0.016, 0.031, 0.062, *(k / 8 for k in range(1, 9))]  # shares of a round
NONE = Misfit(0.0, 0.0)


def _curve(level, offset, exponent, end=1e6, noise=0.0, rng=None, shift=0.0):
    """level · (offset + (1 − offset) · (t / 1e6)^−exponent), its seed's own factor exp(shift), looks with an error."""
    tokens = [share * end for share in LOOKS]
    factor = [math.exp(shift + (rng.gauss(0, noise) if rng else 0.0)) for _ in tokens]
    losses = [level * (offset + (1 - offset) * (t / 1e6) ** -exponent) * f for t, f in zip(tokens, factor, strict=True)]
    return Curve(tuple(tokens), tuple(losses))


def _truth(level, offset, exponent, tokens):
    return level * (offset + (1 - offset) * (tokens / 1e6) ** -exponent)


@pytest.mark.parametrize(("offset", "exponent"), [(0.0, 0.3), (0.4, 0.5), (0.7, 1.0), (0.2, 0.15)])
def test_the_shape_of_exact_curves_is_found(offset, exponent):
    shape = fit_shape([_curve(level, offset, exponent) for level in (2.0, 2.2, 3.0)])
    for tokens in (2e6, 4e6, 16e6):
        assert math.exp(shape.log(tokens)) == pytest.approx(_truth(1.0, offset, exponent, tokens), rel=2e-3)


@pytest.mark.parametrize("horizon", [2e6, 4e6, 10e6])
def test_exact_laws_are_forecast_exactly(horizon):
    levels = {"a": 2.0, "b": 2.5, "c": 3.0}
    forecasts = Forecasts({name: [_curve(level, 0.3, 0.4)] for name, level in levels.items()}, misfit=NONE)
    for name, level in levels.items():
        assert forecasts.at(name, horizon).loss == pytest.approx(_truth(level, 0.3, 0.4, horizon), rel=2e-3)


def test_a_forecast_of_where_a_run_stands_is_its_ranked_loss():
    rng = random.Random(0)
    curves = {name: [_curve(2.0 + place / 10, 0.3, 0.4, noise=0.02, rng=rng)] for place, name in enumerate("abc")}
    forecasts = Forecasts(curves)
    for name, (curve,) in curves.items():
        found = forecasts.at(name, 1e6)
        assert found.loss == pytest.approx(curve.losses[-1], rel=1e-12)
        assert found.low == pytest.approx(found.high, rel=1e-9)


def test_one_look_that_is_far_off_hardly_matters():
    curves = {name: [_curve(2.0 + place / 10, 0.3, 0.4)] for place, name in enumerate("abcde")}
    spoilt = list(curves["a"][0].losses)
    spoilt[-4] *= 1.3
    before = Forecasts(curves, misfit=NONE).at("b", 4e6).loss
    after = Forecasts(curves | {"a": [Curve(curves["a"][0].tokens, tuple(spoilt))]}, misfit=NONE).at("b", 4e6).loss
    assert after == pytest.approx(before, rel=0.02)


def test_equal_contestants_are_a_coin_toss_and_a_far_one_has_no_chance():
    curves = {name: [_curve(level, 0.3, 0.4)] for name, level in (("a", 2.0), ("b", 2.0), ("c", 3.0))}
    forecasts = Forecasts(curves)
    assert forecasts.probability_below("a", 4e6, "b", 4e6) == pytest.approx(0.5, abs=0.04)
    assert forecasts.probability_below("c", 4e6, "a", 4e6) < 0.02
    assert forecasts.probability_below("a", 4e6, "c", 4e6) > 0.98
    assert forecasts.probability_below("c", 40e6, "a", 1e6) > 0.3  # one that will read 40 times as much


def test_what_all_have_in_common_does_not_blur_a_comparison():
    curves = {"a": [_curve(2.0, 0.3, 0.4)], "b": [_curve(2.1, 0.3, 0.4)]}
    shared = Forecasts(curves, misfit=Misfit(common=0.2, own=0.001))
    assert shared.probability_below("b", 4e6, "a", 4e6) < 0.02
    assert shared.at("a", 4e6).high > 1.3 * shared.at("a", 4e6).low


def test_a_slow_starter_catches_up_the_more_likely_the_later():
    """b is 10 % behind and falls faster, as all its looks say."""
    curves = {"a": [_curve(2.0, 0.5, 0.4)], "c": [_curve(2.05, 0.5, 0.4)], "b": [_curve(2.2, 0.0, 0.4)]}
    chances = [Forecasts(curves).probability_below("b", tokens, "a", tokens) for tokens in (1e6, 2e6, 4e6, 16e6)]
    assert chances == sorted(chances) and chances[0] == 0.0 and chances[-1] > 0.5


def test_the_same_curves_give_the_same_numbers_and_another_seed_others():
    curves = {name: [_curve(2.0 + place / 10, 0.3, 0.4)] for place, name in enumerate("abc")}
    first, again, other = Forecasts(curves, seed=1), Forecasts(curves, seed=1), Forecasts(curves, seed=2)
    assert first.at("a", 4e6) == again.at("a", 4e6) != other.at("a", 4e6)


def test_curves_too_short_to_fit_are_left_out_and_the_others_are_not():
    short = Curve((1e5, 1e6), (3.0, 2.5))
    forecasts = Forecasts({"a": [_curve(2.0, 0.3, 0.4)], "b": [short], "c": []})
    assert forecasts.names == ["a"]
    with pytest.raises(KeyError):
        forecasts.at("b", 4e6)
    assert Forecasts({}).names == []


def test_a_contestant_cut_earlier_is_forecast_along_the_course_of_those_that_went_on():
    """Its curve ends at a quarter; all follow one law, so the truth is known."""
    curves = {"a": [_curve(2.0, 0.3, 0.4)], "b": [_curve(2.2, 0.3, 0.4)], "cut": [_curve(2.5, 0.3, 0.4, end=0.25e6)]}
    found = Forecasts(curves, misfit=NONE).at("cut", 1e6)
    assert found.loss == pytest.approx(2.5, rel=5e-3)


BEND, OWN_BEND = 0.04, 0.02  # how far real curves leave the law a doubling: all together, one alone


def _league(rng, horizon, contestants=10, seeds=1):
    """Curves of a league like real ones, and what each contestant truly comes to: laws a bit apart, bent later on."""
    offset, exponent, doublings = rng.uniform(0.0, 0.5), rng.uniform(0.25, 0.5), math.log2(horizon / 1e6)
    bend, curves, truths = rng.gauss(0, BEND), {}, {}
    for name in (f"c{i}" for i in range(contestants)):
        law = rng.uniform(2.0, 2.6), max(0.0, offset + rng.gauss(0, 0.05)), exponent * math.exp(rng.gauss(0, 0.1))
        curves[name] = [_curve(*law, noise=0.01, rng=rng, shift=rng.gauss(0, 0.01)) for _ in range(seeds)]
        truths[name] = _truth(*law, horizon) * math.exp(doublings * (bend + rng.gauss(0, OWN_BEND)))
    return curves, truths


@pytest.mark.parametrize(("horizon", "seeds"), [(2e6, 1), (4e6, 3)])
def test_90_percent_intervals_hold_80_to_96_percent_of_truths(horizon, seeds):
    rng, hits, narrow = random.Random(round(horizon) + seeds), [], []
    for number in range(80):
        curves, truths = _league(rng, horizon, seeds=seeds)
        forecasts, no_misfit = Forecasts(curves, seed=number), Forecasts(curves, seed=number, misfit=NONE)
        for name, truth in truths.items():
            for found, counted in ((forecasts, hits), (no_misfit, narrow)):
                forecast = found.at(name, horizon)
                counted.append(forecast.low <= truth <= forecast.high)
    print(f"horizon {horizon:.0e}, {seeds} seeds: {np.mean(hits):.3f} of {len(hits)}, no misfit {np.mean(narrow):.3f}")
    assert 0.80 <= np.mean(hits) <= 0.96
    assert np.mean(narrow) < 0.6  # noise of looks and seeds alone would be far too sure


def test_chances_to_catch_up_are_what_happens():
    """Of pairs told 20 to 80 %, the mean chance is the share that happened, within 12 points."""
    rng, told, happened = random.Random(7), [], []
    for number in range(50):
        curves, truths = _league(rng, 4e6)
        forecasts = Forecasts(curves, seed=number)
        names = sorted(curves, key=lambda name: curves[name][0].losses[-1])
        for name in names[5:]:
            chance = forecasts.probability_below(name, 4e6, names[4], 4e6)
            if 0.2 <= chance <= 0.8:
                told.append(chance)
                happened.append(truths[name] < truths[names[4]])
    print(f"{len(told)} pairs: told {np.mean(told):.3f}, happened {np.mean(happened):.3f}")
    assert len(told) >= 50 and abs(np.mean(told) - np.mean(happened)) < 0.12
