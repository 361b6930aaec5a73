"""Early stopping: a line's gain with an honest error, strikes that agree, few false stops, short delays."""

import json
import math
import random

import numpy as np
import pytest

from curriculum.evidence import Estimate
from curriculum.plateau import ConfirmedStopper, Look, RecordedStopper, detection_delay_steps, judge, make_stopper
from hamner.config.schema import Plateau

RULE = Plateau(window_steps=100, evaluate_every=5, min_steps=500)  # the default rule, a tenth as long
WINDOW = RULE.window_steps


def _looks(stopper, curve, *, first=0, looks=200, noise=0.0, correlation=0.0, seed=0):
    """Looks at curve(step) + noise until the stage ends; the noise is AR(1) of standard deviation `noise`."""
    rng, error, looks_so_far = random.Random(seed), 0.0, []
    every = stopper.rule.evaluation_steps
    for step in range(first + every, first + looks * WINDOW + 1, every):
        error = correlation * error + math.sqrt(1 - correlation**2) * rng.gauss(0, noise)
        look = stopper.add_heldout_loss(step, curve(step) + error)
        looks_so_far += [look] if look else []
        if stopper.stop_reason(look):
            break
    return looks_so_far


def _steady(gain):
    return lambda step: 4 * (1 - gain) ** (step / WINDOW)


def _end(curve, rule=RULE, **more):
    stopper = ConfirmedStopper(rule)
    last = _looks(stopper, curve, **more)[-1]
    return last.step, stopper.stop_reason(last)


@pytest.mark.parametrize(
    ("gain", "error", "judgement"),
    [  # 1.645 errors to either side; 0.001 and 0.005
        (0.0, 0.0, "done"),
        (0.0009, 0.0, "done"),
        (0.0049, 0.0, "going"),
        (0.0051, 0.0, "going"),
        (0.02, 0.005, "going"),
        (0.0, 0.0030, "done"),
        (0.0, 0.0031, "undecided"),
        (0.02, 0.012, "undecided"),
        (0.02, 0.0115, "going"),
        (-0.0009, 0.0, "done"),
        (-0.0011, 0.0, "worse"),
        (-0.02, 0.012, "done"),
        (-0.02, 0.0115, "worse"),
        (0.002, 0.001, "done"),
        (0.003, 0.001, "going"),
        (0.003, 0.0013, "undecided"),
        (-math.inf, 0.0, "worse"),
    ],
)
def test_the_judgement_of_one_look(gain, error, judgement):
    assert judge(Estimate(gain, error), RULE) == judgement


@pytest.mark.parametrize(("freedom", "judgement"), [(2.9, "undecided"), (3.1, "done"), (math.inf, "done")])
def test_few_degrees_of_freedom_take_a_clearer_look(freedom, judgement):
    assert judge(Estimate(0.0, 0.0021, freedom), RULE) == judgement  # 5 % of Student's t: -2.35 at 3, -1.645 at many


@pytest.mark.parametrize("corner", [540, 699, 700, 701, 1234, 1980])
def test_a_flat_curve_ends_within_the_promised_delay(corner):
    for seed in range(10):
        step, reason = _end(lambda step: 4 - min(step, corner) / 2000, noise=0.002, seed=seed)
        assert reason == "plateau"
        assert corner < step <= corner + detection_delay_steps(RULE)
    assert detection_delay_steps(RULE) == 600


@pytest.mark.parametrize("noise", [0.0005, 0.002, 0.005])
def test_an_exponential_fall_to_a_floor_ends_near_it(noise):
    def curve(step):
        return 2 + 2 * math.exp(-step / 300)

    def first_gain_below(limit):
        return next(s for s in range(5000) if 1 - curve(s + WINDOW) / curve(s) < limit)

    for seed in range(10):
        step, reason = _end(curve, noise=noise, seed=seed)
        assert reason == "plateau"
        assert (
            first_gain_below(RULE.go_on_gain) < step <= first_gain_below(RULE.done_gain) + detection_delay_steps(RULE)
        )


@pytest.mark.parametrize(("noise", "correlation"), [(0.0, 0.0), (0.004, 0.0), (0.02, 0.0), (0.004, 0.5), (0.02, 0.5)])
def test_steady_progress_is_hardly_ever_stopped(noise, correlation):
    stopped = 0
    for seed in range(20):
        stopped += _end(_steady(0.006), noise=noise, correlation=correlation, seed=seed, looks=80)[1] is not None
    assert stopped <= 1  # 5 % of 20 stages of 80 looks


@pytest.mark.parametrize(
    ("times", "most_stopped", "said"), [(1.0, 0, (0.0, 0.3)), (1.5, 3, (0.0, 0.6)), (3.0, 6, (0.8, 1.0))]
)
def test_progress_is_not_stopped_however_noisy_it_is_and_noise_beyond_the_recorded_is_said(times, most_stopped, said):
    """60 stages of 50 looks that gain 0.5 % a window; the recorded noise: 0.311 %, neighbours correlated by 0.88."""
    stopped, noisy = 0, 0
    for seed in range(60):
        looks = _looks(
            ConfirmedStopper(RULE), _steady(0.005), looks=50, noise=4 * 0.00311 * times, correlation=0.88, seed=seed
        )
        stopped += looks[-1].step < 50 * WINDOW
        noisy += any(look.is_too_noisy for look in looks)
        assert sum(look.is_too_noisy for look in looks) <= 1
    assert stopped <= most_stopped and said[0] <= noisy / 60 <= said[1], (stopped, noisy)


def test_a_plateau_takes_longer_the_noisier_the_curve_is():
    ends = {
        times: [
            _end(lambda step: 4.0, noise=4 * 0.00311 * times, correlation=0.88, seed=seed)[0] / WINDOW
            for seed in range(30)
        ]
        for times in (0.5, 1.5, 3.0)
    }
    medians = [float(np.median(ends[times])) for times in (0.5, 1.5, 3.0)]
    assert 7 <= medians[0] <= 8 < medians[1] <= 13 < medians[2], medians  # from look 5 on, that of min_steps


def test_a_rising_loss_ends_as_worse():
    for seed in range(10):
        step, reason = _end(_steady(-0.004), noise=0.002, seed=seed)
        assert reason == "worse" and step <= RULE.min_steps + detection_delay_steps(RULE)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_as_worse(loss):
    assert _end(lambda step: 3.0 if step < 300 else loss) == (300, "worse")  # there is no need of a second look


def _judgements(slopes, **rule):
    """Judgement and strikes of each look, which sees one window, when the loss falls by these shares in them."""
    stopper = ConfirmedStopper(RULE.model_copy(update={"windows": 1, "min_steps": 0, "strikes": 3} | rule))
    loss, looks, look = 4.0, [], None
    for window, slope in enumerate(slopes):
        for n in range(1, 21):
            loss -= 4.0 * slope / 20 if isinstance(slope, float) else 0
            noisy = loss + (0.1 * (-1) ** (n // 4) if slope == "noise" else 0)
            look = stopper.add_heldout_loss(window * WINDOW + 5 * n, noisy) or look
        looks.append((look.judgement, round(look.strikes, 1)))
    return looks


def test_a_clear_look_is_a_strike_and_a_look_that_says_going_ends_the_count():
    assert _judgements([0.0, 0.0, 0.02, 0.0, 0.0]) == [
        ("done", 1.3),
        ("done", 2.6),
        ("going", 0.0),
        ("done", 1.3),
        ("done", 2.6),
    ]
    assert _judgements([0.0, "noise", 0.0]) == [("done", 1.3), ("undecided", 0.7), ("done", 1.8)]


def test_a_clear_rise_needs_no_second_look():
    (first, _), (second, strikes) = _judgements([0.0, -0.02])
    assert (first, second) == ("done", "worse") and strikes > 3


def test_a_plateau_takes_as_many_looks_as_strikes_however_clear_they_are():
    for strikes in (1, 2, 3):
        looks = [count for _, count in _judgements([0.0] * 6, strikes=strikes)]
        assert [count >= strikes for count in looks] == [n >= strikes for n in range(1, 7)], looks


@pytest.mark.parametrize("min_steps", [0, 500, 550, 2000])
def test_no_strike_counts_before_min_steps(min_steps):
    rule = RULE.model_copy(update={"min_steps": min_steps})
    first = max(RULE.windows * WINDOW, math.ceil(min_steps / WINDOW) * WINDOW)
    looks = _looks(ConfirmedStopper(rule), lambda step: 3.0)
    assert looks[0].step == RULE.windows * WINDOW
    assert [look.step for look in looks if look.strikes] == [first, first + WINDOW, first + 2 * WINDOW]
    assert all(look.judgement == "done" for look in looks)


@pytest.mark.parametrize(("warmup", "first"), [(0, 300), (200, 300), (250, 400), (700, 800), (701, 900)])
def test_worse_counts_from_a_window_after_the_warmup_whatever_min_steps_is(warmup, first):
    stopper = ConfirmedStopper(RULE.model_copy(update={"min_steps": 10**6}), warmup)
    looks = _looks(stopper, _steady(-0.005))  # no turn: each window rises by 0.5 %, less than 2.5 times go_on_gain
    assert {look.judgement for look in looks} == {"worse"}
    assert [look.step for look in looks if look.strikes] == [first, first + WINDOW]  # no third


@pytest.mark.parametrize(("warmup", "end"), [(0, 485), (300, 505)])
def test_a_curve_that_turns_round_ends_between_two_looks(warmup, end):
    stopper = ConfirmedStopper(RULE, warmup)
    looks = _looks(stopper, lambda step: 3 + 0.09 * abs(step - 300) / WINDOW)
    assert (looks[-1].step, looks[-1].judgement) == (end, "worse")


def test_window_20_and_8_follow_the_window():
    sizes = {
        window: (Plateau(window_steps=window).evaluation_steps, Plateau(window_steps=window).averaging_steps)
        for window in (1000, 100, 70, 12)
    }
    assert sizes == {1000: (50, 125.0), 100: (5, 12.5), 70: (2, 8.75), 12: (1, 1.5)}
    assert Plateau(window_steps=12, evaluate_every=3, average_steps=2.0).evaluation_steps == 3


@pytest.mark.parametrize("rule", ["confirmed", "recorded"])
@pytest.mark.parametrize("min_steps", [0, 500, 1010])
def test_the_earliest_stop_is_when_a_flat_curve_stops(rule, min_steps):
    stopper = make_stopper(RULE.model_copy(update={"rule": rule, "min_steps": min_steps}))
    predictions, reason, step = [], None, 0
    while not reason:
        predictions.append(stopper.earliest_stop(step))
        step += 1
        look = stopper.add_training_loss(step, 3.0)
        if step % 5 == 0:
            look = stopper.add_heldout_loss(step, 3.0) or look
        reason = stopper.stop_reason(look)
    assert set(predictions) == {step}


def _recorded_end_naively(losses, window=1000, compare=2000, threshold=0.001, min_steps=5000, every=50, strikes=3):
    """The facts of the recorded rule, written down once more: 0-based k, all losses of the stage kept."""
    strikes_in_a_row = 0
    for k in range(len(losses)):
        if k == 0 or k % every:
            continue
        so_far = losses[: k + 1]
        is_strike = False
        if k >= min_steps and len(so_far) >= window + compare:
            recent, older = np.mean(so_far[-window:]), np.mean(so_far[-window - compare : -window])
            is_strike = bool((older - recent) / older < threshold)
        strikes_in_a_row = strikes_in_a_row + 1 if is_strike else 0
        if strikes_in_a_row >= strikes:
            return k + 1
    return None


def _recorded_end(losses, rule=None):
    stopper = RecordedStopper(rule or Plateau(rule="recorded"))
    for step, loss in enumerate(losses, start=1):
        if stopper.stop_reason(stopper.add_training_loss(step, loss)):
            return step
    return None


def test_the_recorded_rule_ends_a_flat_stage_after_5101_steps():
    assert _recorded_end([2.0] * 6000) == _recorded_end_naively([2.0] * 6000) == 5101
    assert _recorded_end([math.nan] * 9000) is None


@pytest.mark.parametrize("seed", range(6))
def test_the_recorded_rule_is_the_recorded_one(seed):
    rng = np.random.default_rng(seed)
    gain = rng.uniform(-0.002, 0.01)  # a 1,500 steps
    losses = (3 * (1 - gain) ** (np.arange(9000) / 1500) * (1 + rng.normal(0, 0.08, 9000))).tolist()
    assert _recorded_end(losses) == _recorded_end_naively(losses)


def test_the_recorded_rule_resumes():
    losses = (3 + np.random.default_rng(0).normal(0, 0.2, 7000)).tolist()
    whole, resumed = RecordedStopper(RULE), RecordedStopper(RULE)
    looks = []
    for step, loss in enumerate(losses, start=1):
        if step == 777:
            resumed.load_state(json.loads(json.dumps(whole.state())))
        look = whole.add_training_loss(step, loss)
        if step >= 777:
            assert resumed.add_training_loss(step, loss) == look
            looks.append(look)
    assert sum(look is not None for look in looks) > 1000 and len(whole.losses) == 300


def test_a_look_comes_once_a_window():
    looks = _looks(ConfirmedStopper(RULE), _steady(0.05), looks=9)
    assert [look.step for look in looks] == list(range(300, 901, 100))
    assert isinstance(looks[0], Look) and looks[0].judgement == "going"
    assert looks[0].gain == pytest.approx(0.051, abs=0.003)  # -ln 0.95, a little less for the curve's bend


@pytest.mark.parametrize("cut", [5, 295, 300, 305, 1000, 1650])
def test_a_stopper_resumes_identically(cut):
    def curve(step):
        return 2 + 2 * math.exp(-step / 300) + 0.004 * math.sin(step * step)

    whole = ConfirmedStopper(RULE)
    expected = _looks(whole, curve)
    first = ConfirmedStopper(RULE)
    looks = [look for step in range(5, cut + 1, 5) if (look := first.add_heldout_loss(step, curve(step)))]
    resumed = ConfirmedStopper(RULE)
    resumed.load_state(json.loads(json.dumps(first.state())))
    looks += _looks(resumed, curve, first=cut)
    assert looks == expected and expected[-1].step == 2000
    assert resumed.state() == whole.state()
    assert len(whole.state()["losses"]) <= 60  # no more than a look needs
