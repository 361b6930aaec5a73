"""Contested cuts, which could be chance: further held-out rows, a place in the next round, or only a label."""

import math
import random

import pytest

from tournament.bracket import Bracket, Outcome, Rules, Run

# two seeds of four contestants: what is left of the spread when contestant and seed are taken out is 0.01, with 3
# degrees of freedom
NOISE = {"a": 0.01, "b": -0.01, "c": 0.005, "d": -0.005}
SD = math.sqrt(2 * sum(part**2 for part in NOISE.values()) / 3)


def _bracket(names, keep, *, seeds=2, **rules):
    return Bracket(
        Rules(keep, **rules), dict.fromkeys(names, 1.0), dict.fromkeys(names, dict.fromkeys(range(seeds), 0))
    )


def _report(bracket, losses, *, round=0):
    """Report {(contestant, seed): loss or Outcome}; the answers of report."""
    return [bracket.report(Run(*run), round, o if isinstance(o, Outcome) else Outcome(o)) for run, o in losses.items()]


def _losses(means, *, shift=0.3):
    """Two seeds of each contestant; the second is worse for all by a shift."""
    return {
        (name, seed): loss + seed * shift + (NOISE[name] if seed else -NOISE[name])
        for name, loss in means.items()
        for seed in (0, 1)
    }


def _one_round(means, **rules):
    """Four contestants with two seeds each at the end of round 1."""
    bracket = _bracket("abcd", (2, 1), **rules)
    _report(bracket, _losses(means))
    return bracket


def _texts(gap, documents=16):
    """Losses of documents of 4 tokens that, beside _texts(0), differ by 0 on average, with a standard error."""
    swing = gap * 4 * math.sqrt(documents - 1)
    return {"sft": {"share": 1.0, "tokens": [4] * documents, "nats": [8 + swing, 8 - swing] * (documents // 2)}}


def _names(runs):
    return [f"{run.contestant}{run.seed}" for run in runs]


# -- labels


def test_what_all_seeds_share_does_not_make_a_cut_contested():
    bracket = _one_round({"a": 1.0, "b": 1.5, "c": 1.65, "d": 9.0})
    assert bracket.seed_noise(0).sd == pytest.approx(SD) and bracket.seed_noise(0).df == 3
    assert bracket.seed_noise(0).shared_sd == pytest.approx(0.3 / math.sqrt(2), rel=0.01)
    assert {name: label.verdict for name, label in bracket.labels(0).items()} == {"c": "settled", "d": "settled"}


def test_a_close_cut_is_contested_and_made_all_the_same():
    bracket = _one_round({"a": 1.0, "b": 1.5, "c": 1.52, "d": 9.0})
    assert bracket.rounds[0].survivors == ["a", "b"]
    assert {name: label.verdict for name, label in bracket.labels(0).items()} == {"c": "contested", "d": "settled"}


def test_the_last_round_asks_for_more_than_the_first():
    """It compares all with the best."""
    gap = 0.08  # between the confidences of 0.97 and 0.975
    first = _one_round({"a": 1.0, "b": 1.5, "c": 1.5 + gap, "d": 9.0}).labels(0)["c"]
    only = _bracket("abcd", (1,))
    _report(only, _losses({"a": 1.0, "b": 1.0 + gap, "c": 5.0, "d": 9.0}))
    last = only.labels(0)["b"]
    assert 0.025 < min(first.p_value, last.p_value) <= max(first.p_value, last.p_value) < 0.03
    assert (first.verdict, last.verdict, only.winner_verdict()) == ("settled", "contested", "contested")


# -- contested = keep


def test_contested_ones_survive_too_but_not_the_last_round():
    bracket = _one_round({"a": 1.0, "b": 1.5, "c": 1.52, "d": 9.0}, contested="keep")
    assert bracket.contestants(1) == ["a", "b", "c"] and bracket.ranking(0) == ["a", "b", "c", "d"]
    _report(bracket, _losses({"a": 1.01, "b": 1.0, "c": 5.0}), round=1)
    assert bracket.rounds[1].survivors == ["b"] and bracket.is_over()
    assert {name: label.verdict for name, label in bracket.labels(1).items()} == {"a": "contested", "c": "settled"}


@pytest.mark.parametrize("table", range(4))
@pytest.mark.parametrize("rules", [{"contested": "keep"}, {"contested": "keep", "seeds": {0: 0, 1: 0, 2: 1}}])
def test_the_outcome_is_the_same_in_any_order(table, rules):
    ends = set()
    for order in range(12):
        rng, seeds = random.Random(order), rules.get("seeds", {0: 0, 1: 0})
        bracket = Bracket(Rules([2, 1], "keep"), dict.fromkeys("abcd", 1.0), dict.fromkeys("abcd", seeds))
        while not bracket.is_over():
            run = rng.choice(bracket.waiting_for())
            index = bracket.next_round(run)
            bracket.report(run, index, Outcome(random.Random(f"{table} {run} {index}").gauss(5, 0.03)))
        ends.add((tuple(bracket.contestants(1)), bracket.winner(), bracket.winner_verdict()))
    assert len(ends) == 1


# -- more rows


@pytest.mark.parametrize(
    ("gap", "long", "expected"),
    [
        (0.01, 8, [1, 2, 4, 8]),
        (0.01, 2, [1, 2, 4]),
        (0.01, 1, [1, 2]),
        (0.01, 0.5, [1]),
        (0.0044, 8, [1, 2, 4, 8]),
        (0.0042, 8, [1]),  # a third of the seed noise
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

    bracket = _bracket("abcd", [2, 1], rows=64, max_factor=8)
    losses = _losses({"a": 1.0, "b": 1.5, "c": 1.52, "d": 9.0})
    factors, here = [], bracket.rounds[0]
    while not here.is_decided:
        factors.append(here.factor)
        assert len(factors) < 6 and not here.survivors  # none plays on before it is known what all need
        assert _names(bracket.waiting_for()) == [f"{name}{seed}" for name in "abcd" for seed in (0, 1)]
        _report(bracket, {run: outcome(run[0], loss) for run, loss in losses.items()})
    assert factors == expected
    assert bracket.compare(0, "c", "b").evaluation_se == pytest.approx(gap)
    assert bracket.rounds[0].survivors == ["a", "b"] and bracket.rounds[1].factor == 1


def test_a_settled_cut_needs_no_more_rows():
    bracket = _bracket("abcd", [2, 1], rows=64, max_factor=8)
    texts = {name: _texts(0.01 if name == "b" else 0.0) for name in "abcd"}
    losses = _losses({"a": 1.0, "b": 1.5, "c": 5.0, "d": 9.0})
    _report(bracket, {run: Outcome(loss, rows=64, documents=texts[run[0]]) for run, loss in losses.items()})
    assert bracket.rounds[0].is_decided and bracket.rounds[0].factor == 1


def test_a_round_that_is_decided_again_asks_for_no_more_rows():
    """Those whose checkpoints are weights by then would train again from step 0."""

    def outcome(loss, gap):
        return Outcome(loss, rows=64, documents=_texts(gap))

    bracket = _bracket("abc", [1], rows=64, max_factor=8)
    for name, loss in (("a", 1.0), ("b", 5.0)):
        for seed in (0, 1):
            bracket.report(Run(name, seed), 0, outcome(loss, 0.01 * (name == "b")))
    for seed in (0, 1):
        bracket.report(Run("c", seed), 0, Outcome(None, "error", "crash"))
    assert bracket.is_over() and len(bracket.reopen(retry_errors=True)) == 2
    again = _bracket("abc", [1], rows=64, max_factor=8)
    again.load_state(bracket.state())
    for seed in (0, 1):
        again.report(Run("c", seed), 0, outcome(1.001, 0.9))  # as good as a, as far as its documents can tell
    assert again.is_over() and again.winner() == "a" and again.rounds[0].factor == 1
    assert again.winner_verdict() == "contested"


def test_a_loss_on_too_few_rows_does_not_count_and_a_second_evaluation_that_dies_costs_nothing():
    bracket = _bracket("ab", [1], rows=10, max_factor=4)
    texts = {
        (name, seed): {"s": {"share": 1.0, "tokens": [1] * 6, "nats": [x + y, x - y] * 3}}
        for name, x, y in (("a", 1.0, 0.9), ("b", 1.001, 0.2))
        for seed in (0, 1)
    }
    for (name, seed), text in texts.items():
        loss = sum(text["s"]["nats"]) / 6 + 0.001 * seed * (name == "b")
        bracket.report(Run(name, seed), 0, Outcome(loss, rows=10, documents=text))
    assert bracket.rounds[0].factor == 2 and len(bracket.waiting_for()) == 4
    before = bracket.loss(0, "a")
    bracket.report(Run("a", 0), 0, Outcome(7.0, rows=10))
    assert Run("a", 0) in bracket.waiting_for()
    bracket.report(Run("a", 0), 0, Outcome(None, "error"))
    assert Run("a", 0) not in bracket.waiting_for() and bracket.failure(0, "a") is None
    bracket.report(Run("a", 1), 0, Outcome(1.001, rows=20, factor=2))
    assert bracket.loss(0, "a") == pytest.approx(before, abs=0.001)


# -- the winner


@pytest.mark.parametrize(("second", "verdict"), [(5.0, "settled"), (1.01, "contested"), (math.nan, "settled")])
def test_the_verdict_on_the_winner_is_the_least_certain_comparison(second, verdict):
    """With all others, d included, which was cut in round 1: the only rival left where the other two fail."""
    bracket = _bracket("abcd", [3, 1])
    _report(bracket, _losses({"a": 1.0, "b": 1.5, "c": 1.6, "d": 9.0}))
    assert bracket.winner_verdict() is None
    _report(bracket, _losses({"a": 1.0, "b": second, "c": math.nan if second != second else 9.0}), round=1)
    assert bracket.winner() == "a" and bracket.winner_verdict() == verdict


def test_without_a_second_seed_the_winner_is_unknown():
    bracket = _bracket("abc", [1], seeds=1)
    _report(bracket, {("a", 0): 1.0, ("b", 0): 1.01, ("c", 0): 5.0})
    assert bracket.winner() == "a" and bracket.winner_verdict() == "unknown" and bracket.fit(0).covariance is None


def test_one_contested_rival_makes_the_winner_contested():
    bracket = _bracket("abcd", [1])
    _report(bracket, _losses({"a": 1.0, "b": 1.01, "c": 5.0, "d": 9.0}))
    assert bracket.winner() == "a" and bracket.winner_verdict() == "contested"


def test_a_lone_document_settles_nothing_and_is_said():
    bracket = _bracket("abcd", [1])
    text = {"sft": {"share": 1.0, "tokens": [4], "nats": [8.0]}}
    losses = _losses({"a": 1.0, "b": 5.0, "c": 6.0, "d": 9.0})
    _report(bracket, {run: Outcome(loss, documents=text) for run, loss in losses.items()})
    assert {label.verdict for label in bracket.labels(0).values()} == {"contested"}
    (problem,) = bracket.text_problems(0)
    assert "sft: 1 held-out document, so nothing can be settled" in problem
