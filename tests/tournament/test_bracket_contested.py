"""Contested cuts, which could be chance: further held-out rows, further seeds, or only a label."""

import math
import random

import pytest

from tournament.bracket import Bracket, Outcome, Rules, Run

# another seed moves "d" by 0.01: with 4 entrants and 2 degrees of freedom q = 9.80, so of two contestants with a
# seed each a difference below 9.80 · 0.01 is contested
TWINS, SPREAD = [Run("d", 1), Run("d", 2)], {("d", 0): 9.0, ("d", 1): 9.01, ("d", 2): 8.99}


def _bracket(names, keep, *, twins=(), **rules):
    return Bracket(Rules(keep, **rules), dict.fromkeys(names, 1.0), twins=twins)


def _report(bracket, losses, *, round=0):
    """Report {(contestant, seed): loss or Outcome}; the answers of report."""
    return [bracket.report(Run(*run), round, o if isinstance(o, Outcome) else Outcome(o)) for run, o in losses.items()]


def _one_round(losses, *, twins=TWINS, **rules):
    """Four contestants and their twins at the end of round 1."""
    bracket = _bracket("abcd", (2, 1), twins=twins, **rules)
    _report(
        bracket,
        {(name, 0): loss for name, loss in losses.items()}
        | {run: SPREAD[run] for run in twins}
        | {("d", 0): SPREAD["d", 0]},
    )
    return bracket


def _texts(gap, documents=16):
    """Losses of documents of 4 tokens that, beside _texts(0), differ by 0 on average, with a standard error."""
    swing = gap * 4 * math.sqrt(documents - 1)
    return {"sft": {"share": 1.0, "tokens": [4] * documents, "nats": [8 + swing, 8 - swing] * (documents // 2)}}


def _names(runs):
    return [f"{run.contestant}{run.seed}" for run in runs]


# -- contested = seeds


def test_a_contested_cut_adds_seeds_on_both_sides_until_max_seeds():
    bracket = _one_round({"a": 1.0, "b": 1.5, "c": 1.52}, contested="seeds", max_seeds=3)
    assert {n: list(seeds) for n, seeds in bracket.seeds.items()} == {"a": [0], "b": [0, 1], "c": [0, 1], "d": [0]}
    assert not bracket.rounds[0].is_decided and bracket.rounds[0].survivors == []
    assert _names(bracket.waiting_for()) == ["b1", "c1"]
    _report(bracket, {("b", 1): 1.51, ("c", 1): 1.53})
    assert _names(bracket.waiting_for()) == ["b2", "c2"]
    assert _report(bracket, {("b", 2): 1.6, ("c", 2): 1.5}) == [False, True]  # no more may be added
    assert bracket.rounds[0].survivors == ["a", "c"]
    assert {name: label.verdict for name, label in bracket.labels(0).items()} == {"b": "contested", "d": "settled"}
    assert bracket.loss(0, "b") == pytest.approx((1.5 + 1.51 + 1.6) / 3)


@pytest.mark.parametrize(("gap", "adds"), [(0.0970, True), (0.0990, False)])
def test_a_settled_cut_adds_no_seed(gap, adds):
    bracket = _one_round({"a": 1.0, "b": 1.5, "c": 1.5 + gap}, contested="seeds", max_seeds=3)
    assert bracket.rounds[0].is_decided != adds
    assert sum(map(len, bracket.seeds.values())) == (6 if adds else 4)


def test_without_twins_seed_noise_is_unknown_so_seeds_are_added():
    bracket = _one_round({"a": 1.0, "b": 1.5, "c": 5.0}, twins=(), contested="seeds", max_seeds=2)
    assert _names(bracket.waiting_for()) == ["a1", "b1", "c1", "d1"]


def test_seeds_added_later_leave_earlier_rounds_as_they_were():
    bracket = _one_round({"a": 1.0, "b": 1.5, "c": 5.0}, contested="seeds", max_seeds=2)
    before = bracket.ranking(0), bracket.loss(0, "a"), bracket.seed_noise(0)
    _report(bracket, {("a", 0): 1.0, ("b", 0): 1.02, ("d", 1): 8.01, ("d", 2): 7.99}, round=1)
    assert {name: bracket.seeds[name] for name in "ab"} == {"a": {0: 0, 1: 1}, "b": {0: 0, 1: 1}}
    assert [bracket.next_round(Run(name, 1)) for name in "ab"] == [1, 1]  # from scratch to the end of round 2
    _report(bracket, {("a", 1): 1.04, ("b", 1): 1.01}, round=1)
    assert (bracket.ranking(0), bracket.loss(0, "a"), bracket.seed_noise(0)) == before
    assert bracket.winner() == "b" and bracket.winner_verdict() == "contested"


@pytest.mark.parametrize("table", range(4))
def test_with_further_seeds_the_outcome_is_the_same_in_any_order(table):
    ends = set()
    for order in range(12):
        rng = random.Random(order)
        bracket = _bracket("abcd", [2, 1], twins=TWINS, contested="seeds", max_seeds=3)
        while not bracket.is_over():
            run = rng.choice(bracket.waiting_for())
            index = bracket.next_round(run)
            bracket.report(run, index, Outcome(random.Random(f"{table} {run} {index}").gauss(5, 0.03)))
        ends.add((tuple(bracket.contestants(1)), bracket.winner(), str(bracket.seeds)))
    assert len(ends) == 1


def test_a_further_seed_that_has_already_run_as_a_twin_is_not_waited_for():
    bracket = Bracket(Rules([1], "seeds", 2), {"a": 1.0, "b": 1.0}, {"a": (0,), "b": (0, 1)}, [Run("a", 1)])
    _report(bracket, {("a", 0): 1.0, ("a", 1): 1.01, ("b", 0): 1.0, ("b", 1): 1.02})
    assert bracket.is_over() and bracket.winner() == "a" and bracket.loss(0, "a") == pytest.approx(1.005)


def test_a_further_seed_that_failed_as_a_twin_rounds_ago_does_not_take_its_contestant_out():
    bracket = _bracket("abcd", [2, 1], twins=[Run("a", 1), Run("a", 2)], contested="seeds", max_seeds=2)
    _report(
        bracket,
        {("a", 0): 1.0, ("a", 1): Outcome(None, "error"), ("a", 2): 1.01, ("b", 0): 1.0, ("c", 0): 9.0, ("d", 0): 9.0},
    )
    _report(bracket, {("a", 0): 1.0, ("a", 2): 1.01, ("b", 0): 1.02}, round=1)
    _report(bracket, {("b", 1): 1.02}, round=1)
    assert bracket.ranking(1) == ["a", "b"] and bracket.winner() == "a"


def test_a_run_is_always_waited_for_until_the_end():
    used = []
    for seed in range(500):
        rng = random.Random(seed)
        bracket = _bracket("abc", [2, 1], twins=[Run("a", 1), Run("a", 2)], contested="seeds", max_seeds=2)
        while not bracket.is_over():
            assert bracket.waiting_for(), f"seed {seed}"
            run = rng.choice(bracket.waiting_for())
            failure = "error" if rng.random() < 0.03 else None
            bracket.report(run, bracket.next_round(run), Outcome(5 + rng.gauss(0, 0.03), failure))
            assert all(round_.is_decided or not round_.survivors for round_ in bracket.rounds)  # none survives early
        used.append(sum(map(len, bracket.seeds.values())))
    assert min(used) == 3 and max(used) == 6 and 4 < sum(used) / 500 < 6


@pytest.mark.parametrize(
    ("gap", "long", "expected"),
    [
        (0.01, 8, [1, 2, 4, 8]),
        (0.01, 2, [1, 2, 4]),
        (0.01, 1, [1, 2]),
        (0.01, 0.5, [1]),
        (0.0034, 8, [1, 2, 4, 8]),
        (0.0033, 8, [1]),
    ],
)
def test_held_out_rows_are_doubled_while_the_documents_weigh_and_the_text_has_them(gap, long, expected):
    def outcome(name, loss):  # on 64 rows times the factor, as far as the text goes
        return Outcome(
            loss,
            factor=here.factor,
            rows=round(64 * min(long, here.factor)),
            documents=_texts(gap if name == "b" else 0.0),
        )

    bracket = _bracket("abcd", [2, 1], twins=TWINS, contested="seeds", max_seeds=1, rows=64, max_factor=8)
    losses = {("a", 0): 1.0, ("b", 0): 1.5, ("c", 0): 1.52} | SPREAD
    factors, here = [], bracket.rounds[0]
    while not here.is_decided:
        factors.append(here.factor)
        assert len(factors) < 6
        assert _names(bracket.waiting_for()) == ["a0", "b0", "c0", "d0", "d1", "d2"]  # twins look again too
        _report(bracket, {run: outcome(run[0], loss) for run, loss in losses.items()})
    assert factors == expected
    assert bracket.compare(0, "c", "b").evaluation_se == pytest.approx(gap)  # more or less than 0.01 / 3
    assert bracket.rounds[0].survivors == ["a", "b"] and bracket.rounds[1].factor == 1
    assert sum(map(len, bracket.seeds.values())) == 4


# -- contested = keep, and the verdict


def test_contested_ones_survive_too_but_not_the_last_round():
    bracket = _one_round({"a": 1.0, "b": 1.5, "c": 1.52}, contested="keep")
    assert bracket.contestants(1) == ["a", "b", "c"] and bracket.ranking(0) == ["a", "b", "c", "d"]
    _report(bracket, {("a", 0): 1.01, ("b", 0): 1.0, ("c", 0): 5.0, ("d", 1): 8.01, ("d", 2): 7.99}, round=1)
    assert bracket.rounds[1].survivors == ["b"] and bracket.is_over()
    assert {name: label.verdict for name, label in bracket.labels(1).items()} == {"a": "contested", "c": "settled"}


@pytest.mark.parametrize(
    ("twins", "second", "verdict"),
    [(TWINS, 5.0, "settled"), (TWINS, 1.01, "contested"), ((), 5.0, "unknown"), (TWINS, math.nan, "settled")],
)
def test_the_verdict_on_the_winner_is_the_least_certain_comparison(twins, second, verdict):
    bracket = _one_round({"a": 1.0, "b": 1.5, "c": 9.0}, twins=twins)
    assert bracket.winner_verdict() is None
    _report(bracket, {("a", 0): 1.0, ("b", 0): second} | {run: SPREAD[run] for run in twins}, round=1)
    assert bracket.winner() == "a" and bracket.winner_verdict() == verdict


def test_one_contested_rival_makes_the_winner_contested():
    bracket = _bracket("abcd", [1], twins=TWINS)
    _report(bracket, {("a", 0): 1.0, ("b", 0): 1.01, ("c", 0): 5.0} | SPREAD)
    assert bracket.winner() == "a" and bracket.winner_verdict() == "contested"


def test_a_loss_on_too_few_rows_does_not_count_and_a_second_evaluation_that_dies_costs_nothing():
    bracket = Bracket(Rules([1], "seeds", 1, rows=10), {"a": 1.0, "b": 1.0}, {"a": (0, 1), "b": (0, 1)})
    texts = {
        (name, seed): {"s": {"share": 1.0, "tokens": [1, 1], "nats": [x + y, x - y]}}
        for name, x, y in (("a", 1.0, 0.9), ("b", 1.001, 0.2))
        for seed in (0, 1)
    }
    for (name, seed), text in texts.items():
        loss = sum(text["s"]["nats"]) / 2 + 0.001 * seed
        bracket.report(Run(name, seed), 0, Outcome(loss, rows=10, documents=text))
    assert bracket.rounds[0].factor == 2 and len(bracket.waiting_for()) == 4
    before = bracket.loss(0, "a")
    bracket.report(Run("a", 0), 0, Outcome(7.0, rows=10))
    assert Run("a", 0) in bracket.waiting_for()
    bracket.report(Run("a", 0), 0, Outcome(None, "error"))
    assert Run("a", 0) not in bracket.waiting_for() and bracket.failure(0, "a") is None
    bracket.report(Run("a", 1), 0, Outcome(1.001, rows=20, factor=2))
    assert bracket.loss(0, "a") == before
