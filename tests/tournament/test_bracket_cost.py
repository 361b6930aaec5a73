"""What the bracket's answers and the scheduler cost, counted in calls and bytecodes and not in seconds."""

import math
import random
import sys
from collections import Counter

import pytest
from fakes import play_fake, random_outcome

from tournament.bracket import Bracket, Outcome, Rules


def _bracket(contestants, *, seeds=2, **rules):
    names = [f"c{i:02}" for i in range(contestants)]
    keep = [contestants >> power for power in range(1, contestants.bit_length())]
    flops = {name: 1.0 + place for place, name in enumerate(names)}
    return Bracket(Rules(keep, **rules), flops, dict.fromkeys(names, dict.fromkeys(range(seeds), 0)))


def _calls(action):
    """How often each function of this project was called meanwhile, a generator once for each item."""
    calls = Counter()

    def count(frame, event, argument):
        if event == "call" and "/tournament/" in frame.f_code.co_filename:
            calls[frame.f_code.co_qualname] += 1

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


def _operations(action):
    """How many bytecodes of this project's code were executed meanwhile; loops within C count as one."""
    operations = 0

    def trace(frame, event, argument):
        nonlocal operations
        if "/tournament/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        operations += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return operations


def _league(contestants, **rules):
    bracket, rng = _bracket(contestants, seeds=1 if "mode" in rules else 2, **rules), random.Random(contestants)
    outcome = random_outcome(bracket, rng, worse=0.01)
    return _calls(lambda: play_fake(bracket, outcome, rng))


@pytest.mark.parametrize("rules", [{}, {"mode": "async"}, {"shadow": 1}])
def test_operations_a_report_grow_no_faster_than_the_logarithm_of_the_contestants(rules):
    """What is done at a round's end included, shared by its reports; the scheduler's calls, in a whole league."""
    a_report = {}
    for contestants in (20, 160):
        bracket, rng = _bracket(contestants, seeds=1, **rules), random.Random(contestants)
        outcome = random_outcome(bracket, rng, worse=0.01)
        operations = _operations(lambda b=bracket, o=outcome, r=rng: play_fake(b, o, r, slots=4))
        a_report[contestants] = operations / len(bracket.reports)
    assert a_report[160] < a_report[20] * math.log(160) / math.log(20)


@pytest.mark.mended("a league of more than 200 runs")
def test_a_league_of_more_runs_than_tune_adds_at_a_time_is_played_by_one_tuner():
    bracket, rng = _bracket(300, seeds=1), random.Random(0)
    assert play_fake(bracket, random_outcome(bracket, rng, worse=0.01), rng) == 1
    assert bracket.winner() is not None and len(bracket.rounds[0].outcomes) == 300


@pytest.mark.parametrize("rules", [{"contested": "cut"}, {"mode": "async"}, {"contested": "keep"}, {"max_factor": 2}])
def test_a_league_of_four_times_the_contestants_costs_less_than_their_square(rules):
    small, large = _league(10, **rules).total(), _league(40, **rules).total()
    assert small < 10_000
    assert large < 16 * small


def test_asking_again_computes_nothing():
    bracket = _bracket(20)
    for run in bracket.waiting_for()[:30]:
        bracket.report(run, 0, Outcome(5.0 + 0.01 * int(run.contestant[1:])))

    def ask():
        return bracket.waiting_for(), bracket.ranking(0), bracket.contestants(1), [bracket.next_round(r) for r in runs]

    runs = bracket.runs(0)
    first = ask()
    calls = _calls(ask)
    assert ask() == first
    assert calls["Standing.of"] == calls["RoundTable.__init__"] == calls["fit"] == 0
    assert calls.total() < 3 * len(runs)


def test_a_report_computes_the_standing_of_its_contestant_alone():
    bracket = _bracket(20)
    bracket.ranking(0)
    first, second = bracket.waiting_for()[:2]
    bracket.report(first, 0, Outcome(5.0))
    calls = _calls(lambda: (bracket.report(second, 0, Outcome(5.1)), bracket.ranking(0)))
    assert calls["Standing.of"] == 1 and calls["fit"] == 0


def test_a_round_is_fitted_once_however_often_its_labels_are_read():
    bracket, rng = _bracket(8), random.Random(0)
    outcome = random_outcome(bracket, rng, count=4)
    for run in bracket.runs(0)[:-1]:
        bracket.report(run, 0, outcome(run, 0))
    last = bracket.runs(0)[-1]
    calls = _calls(lambda: (bracket.report(last, 0, outcome(last, 0)), bracket.labels(0), bracket.labels(0)))
    assert calls["fit"] == 1
