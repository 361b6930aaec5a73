"""P(best of all): against exact integrals, what a cut and drifting ranks do to it, and what may not change it."""

import dataclasses

import numpy as np
import pytest

from tournament.chance_of_best import RoundEvidence, _in_both, _residuals, best_of_all

MANY = 10_000.0  # degrees of freedom: the seed noise is known


def _round(means, sd, names="abcdefghij", seeds=1, df=MANY):
    """Evidence of one round: the first of the names, or those given as a mapping, with one seed noise."""
    if not isinstance(means, dict):
        means = dict(zip(names, means, strict=False))
    variance = sd**2 / seeds * np.eye(len(means))
    spreads = np.full(len(means), sd)
    return RoundEvidence([*means], np.array([*means.values()]), variance, df, spreads, [seeds] * len(means))


def chance_of_best(rounds):
    return best_of_all(rounds).chances


def test_equals_are_as_likely_each_and_a_wide_gap_leaves_no_doubt():
    equals = chance_of_best([_round([5.0] * 4, 0.03)])
    assert [equals[name].best for name in "abcd"] == pytest.approx([0.25] * 4, abs=0.03)
    apart = chance_of_best([_round([5.0, 5.3, 5.35, 5.5], 0.01)])
    assert apart["a"].best > 0.995 and apart["a"].regret < 1e-3
    assert apart["d"].regret == pytest.approx(0.5, abs=0.02)


def test_two_contestants_have_the_chance_of_the_integral_over_the_prior():
    """One round of two, with τ² uniform, τ up to three times the field's width: by quadrature."""
    gap, sd = 0.05, 0.03
    width = gap / 2**0.5  # standard deviation of the two
    quantiles = (np.arange(20_000) + 0.5) / 20_000
    signal = 2 * (3 * width) ** 2 * quantiles  # variance of the true difference
    total = signal + 2 * sd**2
    weights = np.exp(-0.5 * gap**2 / total) / np.sqrt(total)
    from scipy.stats import norm

    mean, spread = signal / total * gap, np.sqrt(signal * 2 * sd**2 / total)
    exact = float((weights * norm.cdf(mean / spread)).sum() / weights.sum())
    found = chance_of_best([_round([5.0, 5.0 + gap], sd)])
    assert found["a"].best == pytest.approx(exact, abs=0.015) and found["b"].best == pytest.approx(1 - exact, abs=0.015)


def test_chances_sum_to_one_and_regret_is_least_where_the_chance_is_greatest():
    found = chance_of_best([_round([5.0, 5.02, 5.01, 5.1, 5.05], 0.02), _round({"a": 4.0, "c": 4.02}, 0.02)])
    assert sum(chance.best for chance in found.values()) == pytest.approx(1.0)
    assert max(found, key=lambda name: found[name].best) == min(found, key=lambda name: found[name].regret) == "a"


def test_one_that_was_cut_within_the_noise_may_be_the_best_and_one_far_behind_is_not():
    finals = _round({"a": 4.0, "b": 4.1}, 0.02)
    close = chance_of_best([_round({"a": 5.0, "b": 5.1, "c": 5.12, "d": 5.3}, 0.1), finals])
    far = chance_of_best([_round({"a": 5.0, "b": 5.1, "c": 5.9, "d": 6.0}, 0.1), finals])
    assert close["c"].best > 0.05 > 0.02 > far["c"].best
    assert close["a"].best < far["a"].best


def test_runs_that_keep_their_luck_make_an_early_round_that_says_otherwise_count_for_less():
    """b was ahead early, a is at the end. In rounds of the same seeds luck lasts as far as residuals of runs agree."""
    signs = np.array([[1, -1, 1, -1], [-1, 1, -1, 1], [1, 1, -1, -1], [-1, -1, 1, 1]]) * 0.02
    others = np.array([[1, 1, -1, -1], [-1, -1, 1, 1], [-1, 1, -1, 1], [1, -1, 1, -1]]) * 0.02
    assert (signs * others).sum() == 0
    early, late = (
        _round(dict(zip("abcd", means, strict=True)), 0.03, seeds=4, df=9)
        for means in ((5.03, 5.0, 5.1, 5.1), (4.0, 4.03, 4.1, 4.1))
    )

    def chance(residuals):
        rounds = [
            dataclasses.replace(
                row,
                losses={
                    name: dict(enumerate(mean + rest))
                    for name, mean, rest in zip(row.names, row.means, of_round, strict=True)
                },
            )
            for row, of_round in ((early, signs), (late, residuals))
        ]
        return chance_of_best(rounds)["a"].best

    unknown = chance_of_best([early, late])["a"].best  # nothing is known of runs
    assert chance(signs) > 0.63 > 0.55 > unknown > chance(others)


def test_one_that_spreads_far_does_not_make_the_luck_of_others_look_as_if_it_lasted():
    """Only v0's runs, four times as far apart, keep their luck; residuals of the others would follow, were they not
    weighed by 1 / spread²."""
    rng = np.random.default_rng(0)
    spreads, found = np.array([4.0, 1.0, 1.0]) * 0.01, []
    for _ in range(400):
        luck = spreads[:, None] * rng.standard_normal((2, 3, 4))
        rest = (
            _residuals(_runs(luck[0], spreads), "abc", range(4)),
            _residuals(_runs(luck[1], spreads), "abc", range(4)),
        )
        found.append([(one**2).sum() for one in rest])
    assert np.mean(found) == pytest.approx((3 - 1) * (4 - 1), rel=0.07)


def test_one_that_lost_a_run_leaves_or_its_seed_does_whichever_says_more():
    spreads, losses = np.ones(3), np.zeros((3, 3))
    whole = _runs(losses, spreads)
    assert _in_both(whole, whole) == (["a", "b", "c"], [0, 1, 2])
    lost = dataclasses.replace(whole, losses=whole.losses | {"c": {0: 0.0, 1: 0.0}})
    assert _in_both(lost, whole) == (["a", "b", "c"], [0, 1])  # 2 × 1; without c 1 × 2 would be no more
    two = _runs(losses[:, :2], spreads)
    lost = dataclasses.replace(two, losses=two.losses | {"c": {0: 0.0}})
    assert _in_both(lost, two) == (["a", "b"], [0, 1])
    assert _in_both(whole, _round([5.0, 5.1, 5.2], 0.1)) == ([], [])


def _runs(losses, spreads):
    """Evidence of contestants a, b, c with these losses of runs."""
    row = _round([5.0, 5.0, 5.0], 0.01)
    by_run = {name: dict(enumerate(of_one)) for name, of_one in zip("abc", losses, strict=True)}
    return dataclasses.replace(row, spreads=spreads, losses=by_run)


def test_where_ranks_changed_among_those_that_stayed_the_cut_keep_more_of_a_chance():
    first = {"a": 5.0, "b": 5.1, "c": 5.2, "d": 5.3, "e": 5.5, "f": 5.6, "g": 5.7}
    steady = {name: loss - 1 for name, loss in first.items() if name in "abcd"}
    turned = {"a": 4.3, "b": 4.2, "c": 4.1, "d": 4.0}
    winners = {
        kind: chance_of_best([_round(first, 0.01), _round(second, 0.01)])
        for kind, second in (("steady", steady), ("turned", turned))
    }
    assert winners["steady"]["a"].best > 0.97
    of_cut = {kind: sum(found[name].best for name in "efg") for kind, found in winners.items()}
    assert of_cut["turned"] > 0.03 > 0.01 > of_cut["steady"]


def test_in_parts_as_a_large_league_is_computed_it_says_the_same(monkeypatch):
    rounds = [_round([5.0, 5.02, 5.01, 5.1, 5.05], 0.02), _round({"a": 4.0, "c": 4.02}, 0.02)]
    whole = best_of_all(rounds)
    monkeypatch.setattr("tournament.chance_of_best.CHUNK_BYTES", 100 * 8 * 5**2)  # 100 draws of the 4,096
    parts = best_of_all(rounds)
    assert parts.chances.keys() == whole.chances.keys() and parts.spread == pytest.approx(whole.spread)
    for name, chance in whole.chances.items():
        assert dataclasses.astuple(parts.chances[name]) == pytest.approx(dataclasses.astuple(chance), abs=1e-3)


def test_a_constant_or_the_order_of_entering_changes_nothing():
    losses = {"a": 5.0, "b": 5.03, "c": 5.05}
    plain = chance_of_best([_round(losses, 0.02)])
    shifted = chance_of_best([_round({name: loss + 7 for name, loss in losses.items()}, 0.02)])
    assert {name: chance.best for name, chance in shifted.items()} == pytest.approx(
        {name: chance.best for name, chance in plain.items()}, abs=1e-9
    )
    common = RoundEvidence(
        [*losses], np.array([*losses.values()]), 4e-4 * np.eye(3) + 0.5, MANY, np.full(3, 0.02), [1] * 3
    )
    assert chance_of_best([common])["a"].best == pytest.approx(plain["a"].best, abs=0.01)
    turned = chance_of_best([_round(dict(reversed(losses.items())), 0.02)])
    assert turned["a"].best == pytest.approx(plain["a"].best, abs=0.02)
    assert chance_of_best([_round(losses, 0.02)]) == plain  # seeded


def test_few_degrees_of_freedom_make_it_less_sure():
    losses = [5.0, 5.04, 5.06, 5.08, 5.12]
    sure, unsure = (chance_of_best([_round(losses, 0.01, df=df)])["a"].best for df in (MANY, 1))
    assert unsure < sure - 0.02


def test_without_a_known_seed_noise_nothing_is_said_and_an_early_round_without_it_says_less():
    assert best_of_all([_round([5.0, 5.1], 0.0, df=0)]) is None
    assert best_of_all([]) is None
    finals = _round({"a": 4.0, "b": 4.05}, 0.02)
    early = {"a": 5.0, "b": 5.1, "c": 5.1}
    known, unknown = (chance_of_best([_round(early, sd, df=df), finals]) for sd, df in ((0.02, MANY), (0.0, 0)))
    assert unknown["c"].best > known["c"].best + 0.02


def test_a_single_contestant_is_the_best_and_a_stranger_is_refused():
    assert chance_of_best([_round([5.0], 0.02)])["a"].best == 1.0
    with pytest.raises(ValueError, match="z played a round but not the one before"):
        chance_of_best([_round([5.0, 5.1], 0.02), _round({"z": 4.0}, 0.02)])


@pytest.mark.parametrize("noise", [0.0, 1e-12])
def test_seeds_that_came_out_equal_are_no_trouble(noise):
    found = chance_of_best([_round([5.0, 5.1, 5.2], noise, df=3), _round({"a": 4.0, "b": 4.1}, noise, df=1)])
    assert sum(chance.best for chance in found.values()) == pytest.approx(1.0)
    equal = chance_of_best([_round([5.0, 5.0, 5.0], noise, df=3)])
    assert sum(chance.best for chance in equal.values()) == pytest.approx(1.0)


def test_the_widths_of_the_field_are_found():
    rng = np.random.default_rng(0)
    names = [f"v{i}" for i in range(40)]
    end = rng.normal(4, 0.1, 40)
    first = dict(zip(names, end + rng.normal(1, 0.2, 40), strict=True))
    stayed = sorted(first, key=first.get)[:20]
    last = {name: end[names.index(name)] for name in stayed}
    found = best_of_all([_round(first, 0.01), _round(last, 0.01)])
    assert found.spread == pytest.approx(0.1, rel=0.3) and found.drift == pytest.approx((0.2, 0.0), rel=0.3)


def test_other_held_out_text_makes_it_less_sure_and_what_it_does_to_all_does_not():
    losses = {"a": 5.0, "b": 5.03, "c": 5.05, "d": 5.1}

    def winner(text):
        rounds = (_round(losses, 0.005), _round({"a": 4.0, "b": 4.03, "c": 4.05}, 0.005))
        evidence = [
            dataclasses.replace(row, text_covariance=text[: len(row.names), : len(row.names)]) for row in rounds
        ]
        return chance_of_best(evidence)["a"].best

    none, own, shared = winner(np.zeros((4, 4))), winner(4e-4 * np.eye(4)), winner(np.full((4, 4), 0.25))
    assert own < none - 0.03 and shared == pytest.approx(none, abs=0.01)


def test_contestants_that_spread_differently_and_share_their_text_are_weighed_soundly():
    """As in a real league: text moves all by far more than one alone, and the noise falls from round to round."""
    rng = np.random.default_rng(3)
    names, rounds = [f"v{i}" for i in range(10)], []
    truth = np.linspace(0, 0.4, 10)
    for size, sd, seeds in ((10, 0.05, 2), (5, 0.02, 3), (3, 0.01, 4)):
        spreads = sd * rng.uniform(0.5, 2, size)
        shape = rng.normal(size=(60, 1)) + 0.1 * rng.normal(size=(60, size))
        means = 5 + truth[:size] + spreads / seeds**0.5 * rng.standard_normal(size)
        covariance, text = np.diag(spreads**2 / seeds), 0.01 * shape.T @ shape / 60
        rounds.append(RoundEvidence(names[:size], means, covariance, 6.0, spreads, [seeds] * size, text))
    found = best_of_all(rounds)
    assert found.chances["v0"].best > 0.8 and found.chances["v0"].regret < 0.01
    assert 0.05 < found.spread < 0.4 and all(chance.regret < 1 for chance in found.chances.values())
