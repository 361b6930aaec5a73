"""Elimination rounds: exhaustively on small cases, and on the recorded losses in many orders of arrival."""

import copy
import json
import math
import random

import pytest
from fakes import play_fake, random_outcome

from tournament.bracket import Bracket, Outcome, Rules, Run

# the recorded first round: mean of the last 100 training losses; two contestants never reported
RECORDED = {
    "v04_diffattn_medium": 7.0951,
    "v02_dense_medium": 7.1108,
    "v03_diffattn_small": 7.1537,
    "v01_dense_small": 7.1641,
    "v07_hybrid_small": 7.2405,
    "v09_deep_narrow": 7.2687,
    "v05_moe_small": 7.2867,
    "v06_moe_medium": 7.2870,
}
FAILED = ("v08_hybrid_medium", "v10_wide_shallow")
TEN = [f"v{i}" for i in range(10)]
NAN, INF = math.nan, math.inf
FLOPS = {"a": 2.0, "b": 1.0, "c": 2.0, "d": 3.0, "e": 1.0}
TABLES = {  # losses of each round
    "all equal": ((2, 1), {"a": (1.0, 1.0), "b": (1.0, 1.0), "c": (1.0, 1.0), "d": (1.0, 1.0)}),
    "equal at the cut": ((2, 1), {"a": (2.0, 1.0), "b": (1.0, 2.0), "c": (2.0, 0.0), "d": (3.0, 0.0)}),
    "two fail, one later": ((2, 1), {"a": (NAN, 0.0), "b": (2.0, NAN), "c": (9.0, 3.0), "d": (INF, 0.0)}),
    "none left": ((2, 1), {"a": (1.0, NAN), "b": (NAN, 0.0), "c": (2.0, INF), "d": (3.0, 0.0)}),
    "five": ((3, 1), {"a": (3.0, 1.0), "b": (1.0, 3.0), "c": (2.0, 1.0), "d": (3.0, 0.0), "e": (NAN, 0.0)}),
    "five, three rounds": (
        (3, 2, 1),
        {"a": (1.0, 2.0, 5.0), "b": (1.0, 2.0, 4.0), "c": (1.0, 2.0, 3.0), "d": (1.0, 1.0, 3.0), "e": (2.0, 0.0, 0.0)},
    ),
}


def _bracket(flops, keep, *, seeds=1, **rules):
    """seeds: how many all have from the first round on, or seed index -> round in which it joins."""
    flops = flops if isinstance(flops, dict) else dict.fromkeys(flops, 1.0)
    joins = dict.fromkeys(range(seeds), 0) if isinstance(seeds, int) else seeds
    return Bracket(Rules(keep, **rules), flops, dict.fromkeys(flops, joins))


def _report(bracket, *rows, round=0):
    """Report several runs of a round, each (contestant, seed, loss or Outcome); the answers of report."""
    return [
        bracket.report(Run(name, seed), round, o if isinstance(o, Outcome) else Outcome(o)) for name, seed, o in rows
    ]


def _play(bracket, loss, choose):
    while not bracket.is_over():
        run = choose(bracket.waiting_for())
        index = bracket.next_round(run)
        bracket.report(run, index, Outcome(loss(run, index)))
    return bracket


def _plain(keep, losses):
    """The rule once more, plainly: of each round the best finite losses survive, in whatever order they arrive."""
    alive, survivors = list(losses), []
    for index, places in enumerate(keep):
        finite = [name for name in alive if math.isfinite(losses[name][index])]
        alive = sorted(finite, key=lambda n: (losses[n][index], FLOPS[n], n))[:places]
        survivors.append(set(alive))
    return survivors


def test_the_recorded_round_has_one_outcome_in_any_order():
    outcomes = {n: Outcome(x) for n, x in RECORDED.items()} | {n: Outcome(None, failure="oom") for n in FAILED}
    rng, order, results = random.Random(0), list(outcomes), set()
    for _ in range(2000):
        rng.shuffle(order)
        bracket = _bracket(sorted(outcomes), [5, 3, 1])
        assert _report(bracket, *((name, 0, outcomes[name]) for name in order)) == [False] * 9 + [True]
        results.add(tuple(bracket.contestants(1)))
    assert results == {
        ("v01_dense_small", "v02_dense_medium", "v03_diffattn_small", "v04_diffattn_medium", "v07_hybrid_small")
    }


@pytest.mark.parametrize("rules", [{}, {"max_factor": 2}, {"seeds": {0: 0, 1: 1}}], ids=["cut", "rows", "seeds"])
@pytest.mark.parametrize("case", TABLES)
def test_every_order_of_arrival_ends_as_the_plain_rule_says(case, rules):
    keep, losses = TABLES[case]
    flops, plain, ends, early, seen = {n: FLOPS[n] for n in losses}, _plain(keep, losses), 0, 0, set()
    todo = [_bracket(flops, keep, **rules)]
    while todo:  # every state that some order of arrival reaches, once
        here = todo.pop()
        waiting = here.waiting_for()
        assert here.is_over() == (not waiting)
        if here.is_over():
            assert [set(round_.survivors) for round_ in here.rounds] == plain
            assert {here.winner()} == (plain[-1] or {None})
            ends += 1
        for run in waiting:
            after, index = copy.deepcopy(here), here.next_round(run)
            after.report(run, index, Outcome(losses[run.contestant][index]))
            for before, round_, true in zip(here.rounds, after.rounds, plain, strict=True):
                assert set(before.survivors) <= set(round_.survivors) <= true  # never revoked, never wrong
                early += bool(round_.survivors) and not round_.is_decided
            key = str([(round_.survivors, sorted(round_.outcomes)) for round_ in after.rounds])
            todo += [] if key in seen else [after]
            seen.add(key)
    assert ends > 0
    # one was certain before all had come, and played on where nothing else was to be waited for
    assert (early > 0) == (not rules or ("seeds" in rules and len(keep) > 2))


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_loss_that_is_not_finite_loses_and_counts_as_diverged(bad):
    bracket = _bracket("abc", [2, 1])
    _report(bracket, ("a", 0, bad), ("b", 0, 99.0), ("c", 0, 100.0))
    assert bracket.failure(0, "a").failure == "diverged"
    assert bracket.rounds[0].outcomes[Run("a", 0)].heldout_loss is None
    assert bracket.ranking(0) == ["b", "c", "a"]
    assert bracket.contestants(1) == ["b", "c"]


def test_failed_contestants_never_survive_even_when_places_are_free():
    bracket = _bracket("abc", [2, 1])
    _report(bracket, ("a", 0, 1.0), ("b", 0, Outcome(None, failure="error")), ("c", 0, Outcome(None, failure="oom")))
    assert bracket.contestants(1) == ["a"] and not bracket.is_over()
    assert _report(bracket, ("a", 0, 0.5), round=1) == [True]
    assert bracket.winner() == "a"


def test_when_all_fail_there_is_no_winner():
    bracket = _bracket("ab", [1])
    _report(bracket, *((n, 0, Outcome(None, failure="oom")) for n in "ab"))
    assert bracket.is_over() and bracket.winner() is None and bracket.waiting_for() == []


@pytest.mark.parametrize("names", ["a", "ab"])
def test_fewer_contestants_than_a_round_keeps_play_all_rounds(names):
    bracket, rng = Bracket(Rules([5, 3, 1]), dict.fromkeys(names, 1.0)), random.Random(0)
    play_fake(bracket, random_outcome(bracket, rng, worse=1.0), rng)
    assert bracket.winner() == "a" and [len(round_.outcomes) for round_ in bracket.rounds] == [len(names)] * 3


def test_ten_to_one_in_three_rounds():
    bracket = _play(_bracket(TEN, [5, 3, 1]), lambda run, _: float(run.contestant[1:]), lambda waiting: waiting[0])
    assert [len(round_.outcomes) for round_ in bracket.rounds] == [10, 5, 3]
    assert [len(round_.survivors) for round_ in bracket.rounds] == [5, 3, 1]
    assert bracket.winner() == "v0"


def test_the_first_report_counts_and_those_of_strangers_do_not():
    bracket = _bracket("abc", [2, 1])
    assert _report(bracket, ("a", 0, 1.0), ("a", 0, 9.0), ("z", 0, 0.0), ("a", 1, 0.0)) == [False] * 4
    assert _report(bracket, ("b", 0, 2.0), ("c", 0, 3.0)) == [False, True]
    assert bracket.loss(0, "a") == 1.0 and bracket.contestants(1) == ["a", "b"]
    assert _report(bracket, ("c", 0, 0.0)) == _report(bracket, ("c", 0, 0.0), round=1) == [False]  # a cut is final
    assert len(bracket.rounds[0].outcomes) == 3 and not bracket.rounds[1].outcomes


@pytest.mark.parametrize(
    "rules", [{}, {"contested": "keep", "seeds": 2}, {"seeds": {0: 0, 1: 0, 2: 1}}, {"mode": "async"}, {"seeds": 2}]
)
def test_the_ledger_restores_the_bracket_at_every_point(rules):
    def new():
        return _bracket([f"v{i}" for i in range(6)], [3, 1], **rules)

    def facts(bracket):
        rounds = [(bracket.ranking(i), bracket.seed_noise(i)) for i in range(2)]
        return bracket.state(), bracket.waiting_for(), bracket.round, bracket.is_over(), bracket.winner(), rounds

    points = 0
    for seed in range(2):
        rng, bracket = random.Random(seed), new()
        while waiting := bracket.waiting_for():
            run = rng.choice(waiting)
            loss = NAN if rng.random() < 0.1 else 5 + rng.random()
            texts = {"sft": {"share": 1.0, "nats": [rng.random() for _ in range(9)], "tokens": [4] * 9}}
            bracket.report(run, bracket.next_round(run), Outcome(loss, documents=texts))
            restored, points = new(), points + 1
            restored.load_state(json.loads(json.dumps(bracket.state(), allow_nan=False)))
            assert facts(restored) == facts(bracket)
    assert points >= 2 * 8


@pytest.mark.parametrize(("names", "keep"), [("ab", [1]), ("abc", [2, 1]), ("abd", [1])])
def test_a_ledger_of_another_tournament_is_refused(names, keep):
    with pytest.raises(ValueError, match=r"2 rounds, of 1|1 rounds, of 2|other contestants"):
        _bracket("abc", [1] if keep == [2, 1] else keep).load_state(_bracket(names, keep).state())


@pytest.mark.mended("all contestants ended with an error")
def test_a_round_that_ended_with_errors_alone_is_played_again_and_other_decisions_stay():
    bracket = Bracket(Rules([2, 1]), dict.fromkeys("abc", 1.0))
    crash = Outcome(None, "error", "crash: lost")
    for name, outcome in (("a", Outcome(1.0)), ("b", Outcome(2.0)), ("c", crash)):
        bracket.report(Run(name, 0), 0, outcome)
    assert bracket.reopen() == []
    bracket.report(Run("a", 0), 1, crash)
    bracket.report(Run("b", 0), 1, Outcome(None, "oom", "full"))
    assert bracket.is_over() and bracket.winner() is None
    again = Bracket(bracket.rules, bracket.flops)
    again.load_state(bracket.state())
    assert again.reopen() == [Run("a", 0)]  # c is out by round 1, b by its own need of memory
    assert again.waiting_for() == [Run("a", 0)] and again.round == 1 and not again.is_over()
    again.report(Run("a", 0), 1, Outcome(0.5))
    assert again.winner() == "a"


@pytest.mark.mended("errors of the machine in a ledger of before")
def test_errors_of_the_machine_in_the_round_that_is_played_are_taken_back():
    bracket = Bracket(Rules([1]), dict.fromkeys("abc", 1.0))
    bracket.report(Run("a", 0), 0, Outcome(None, "error", "crash: OSError: [Errno 28] No space left on device"))
    bracket.report(Run("b", 0), 0, Outcome(None, "error", "crash: KeyError: 'x'"))
    assert bracket.reopen(lambda outcome: "Errno 28" in outcome.reason) == [Run("a", 0)]
    assert set(bracket.waiting_for()) == {Run("a", 0), Run("c", 0)}
