"""Mixing laws on made leagues: known coefficients, known best mix, and an interval that covers."""

import numpy as np
import pytest

from tournament.mix_fit import fewest_mixes, fit_law, left_out_losses, propose, rank_correlation
from tournament.mixes import draw_mixes

NAMES = ("tinystories", "fineweb_edu", "synthetic", "sft", "personal")
TARGET = {"sft": 0.4, "personal": 0.4, "synthetic": 0.2}
MIXES = draw_mixes(dict.fromkeys(NAMES, 1.0), 16, 0)


def _truth(seed):
    """(5, 6) coefficients of each source's log loss: of the shares, then of its own share's root, which lowers it."""
    rng = np.random.default_rng(seed)
    return np.column_stack([1.8 + rng.normal(0, 0.1, (5, 5)), rng.uniform(-1.2, -0.3, 5)])


def _losses(truth, mix, noise=None):
    shares = np.array([mix[name] for name in NAMES])
    logs = truth[:, :5] @ shares + truth[:, 5] * shares**0.5
    return dict(zip(NAMES, np.exp(logs if noise is None else logs + noise).tolist(), strict=True))


def _target(losses):
    return sum(share * losses[name] for name, share in TARGET.items())


def _noise(rng, size=0.01):
    """What one run adds to the logarithms: half of it common to all sources."""
    return size * (rng.normal() + rng.normal(size=5)) / 2**0.5


def test_exact_losses_give_the_law_back():
    truth = _truth(0)
    law = fit_law(MIXES, [_losses(truth, mix) for mix in MIXES])
    assert law.sources == NAMES and law.df == 10
    assert law.coefficients == pytest.approx(truth, abs=1e-9)
    other = dict(zip(NAMES, (0.2, 0.1, 0.3, 0.25, 0.15), strict=True))
    assert law.predict(other) == pytest.approx(_losses(truth, other))
    prediction = law.target_loss(other, TARGET)
    assert prediction.loss == pytest.approx(_target(_losses(truth, other))) and prediction.interval < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_the_proposed_mix_is_the_best_of_those_between_the_mixes_tried(seed):
    truth = _truth(seed)
    law = fit_law(MIXES, [_losses(truth, mix) for mix in MIXES])
    proposed = propose(law, MIXES, TARGET)
    assert sum(proposed.values()) == pytest.approx(1)
    rng, corners = np.random.default_rng(seed), np.array([[mix[name] for name in NAMES] for mix in MIXES])
    inside = rng.dirichlet(np.full(len(MIXES), 0.1), size=3000) @ corners
    best = min(_target(_losses(truth, dict(zip(NAMES, shares, strict=True)))) for shares in inside)
    assert _target(_losses(truth, proposed)) <= min(best, *(_target(_losses(truth, mix)) for mix in MIXES)) + 1e-6


def test_the_interval_covers_a_run_of_the_proposed_mix_in_95_of_100_leagues():
    inside = 0
    for league in range(200):
        truth, rng = _truth(league), np.random.default_rng([league, 1])
        law = fit_law(MIXES, [_losses(truth, mix, _noise(rng)) for mix in MIXES])
        proposed = propose(law, MIXES, TARGET)
        prediction = law.target_loss(proposed, TARGET)
        inside += abs(_target(_losses(truth, proposed, _noise(rng))) - prediction.loss) <= prediction.interval
    assert 182 <= inside <= 197  # 190 expected; 2.6 standard deviations


def test_a_mix_is_predicted_by_the_others_alone():
    truth, rng = _truth(1), np.random.default_rng(5)
    losses = [_losses(truth, mix, _noise(rng)) for mix in MIXES]
    predicted = left_out_losses(MIXES, losses, TARGET)
    changed = [*losses[:3], {name: 9.0 for name in NAMES}, *losses[4:]]
    assert left_out_losses(MIXES, changed, TARGET)[3] == predicted[3] != left_out_losses(MIXES, changed, TARGET)[4]
    assert rank_correlation(predicted, [_target(row) for row in losses]) > 0.9


def test_too_few_or_too_similar_mixes_have_no_law():
    assert fewest_mixes(5) == 9
    few = MIXES[:9]
    losses = [_losses(_truth(0), mix) for mix in MIXES]
    assert fit_law(few, losses[: len(few)]) is not None
    assert fit_law(few[:-1], losses[: len(few) - 1]) is None
    assert left_out_losses(few, losses[: len(few)], TARGET) is None
    assert fit_law([MIXES[0]] * 16, [losses[0]] * 16) is None
