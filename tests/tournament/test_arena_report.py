"""The report of an arena: from a vote file to strengths, undecided pairs, sides, and numbers beside the votes."""

import json
import random

import pytest

from hamner.evaluation.bradley_terry import Duel
from hamner.runs.votes import Vote, add_vote, votes_file
from tournament.arena import main
from tournament.arena_agreement import figure_agreement

WEIGHTS = {"kind": "aaaaaaaaaaaa", "cold": "bbbbbbbbbbbb", "odd": "cccccccccccc"}


def cast(results, one, other, wins, losses, ties=0, seed=0):
    """Votes on two friends in random order."""
    rng, choices = random.Random(seed), [one] * wins + [other] * losses + [None] * ties
    rng.shuffle(choices)
    for choice in choices:
        left, right = rng.sample([one, other], 2)
        side = "tie" if choice is None else "left" if choice == left else "right"
        add_vote(votes_file(results), Vote(left, right, WEIGHTS[left], WEIGHTS[right], side))


def card(results, name, **values):
    """A run with a friend card."""
    run = results / "sft" / name
    (run / "final").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"config": {}, "kind": "sft"}))
    (run / "friend_card").mkdir()
    figures = [
        {"section": "replies", "name": figure, "value": value, "better": better}
        for figure, (value, better) in values.items()
    ]
    (run / "friend_card" / "friend_card.json").write_text(json.dumps({"figures": figures}))


def test_a_settled_pair_and_an_undecided_one(tmp_path, capsys):
    cast(tmp_path, "kind", "cold", 50, 14, 6)
    cast(tmp_path, "cold", "odd", 16, 14, 2, seed=1)
    cast(tmp_path, "kind", "odd", 20, 6, seed=2)
    card(tmp_path, "kind", ends=(0.9, "higher"), loss=(2.0, "lower"), length=(9, ""))
    card(tmp_path, "cold", ends=(0.5, "higher"), loss=(1.5, "lower"), length=(3, ""))
    assert main(["--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "arena: 3 friends, 128 votes" in out and "sides: left" in out
    rows = {tuple(line.split("│")[1:3]): line for line in out.splitlines() if line.count("│") == 6 and "%)" in line}
    verdicts = {tuple(name.strip() for name in names): "undecided" in line for names, line in rows.items()}
    assert verdicts == {("kind", "cold"): False, ("kind", "odd"): False, ("cold", "odd"): True}
    assert "78% (67% to 86%) of 64" in out and "22% (14% to 33%) of 64" in out and "length" not in out
    assert "no friend card of odd" in out


def test_two_named_friends_alone(tmp_path, capsys):
    cast(tmp_path, "kind", "cold", 9, 7)
    cast(tmp_path, "kind", "odd", 9, 1)
    assert main(["cold", "kind", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "2 friends, 16 votes" in out and "undecided" in out and "│ odd" not in out


@pytest.mark.parametrize(
    ("words", "problem"),
    [(["kind"], "alone has nobody"), (["kind", "clod"], "did you mean 'cold'?"), ([], "no vote links")],
)
def test_bad_input_is_one_line(tmp_path, capsys, words, problem):
    cast(tmp_path, "kind", "cold", 2, 1)
    WEIGHTS.update(new="d", newer="e")
    cast(tmp_path, "new", "newer", 2, 1)
    assert main([*words, "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert problem in error and error.count("\n") == 1


def test_a_broken_line_and_an_empty_file_are_refused(tmp_path, capsys):
    path = votes_file(tmp_path)
    path.parent.mkdir()
    path.write_text("")
    assert main(["--results", str(tmp_path)]) == 2 and "no votes in" in capsys.readouterr().err
    path.write_text('{"format": 1, "left": "a"}\n')
    assert main(["--results", str(tmp_path)]) == 2
    assert (
        f"{path}:1 is not a vote: right, left_weights, right_weights, choice, time missing" in capsys.readouterr().err
    )


def test_agreement_leaves_out_what_says_nothing():
    duels = [Duel(0, 1, "first")] * 3 + [
        Duel(1, 0, "first"),
        Duel(0, 1, "tie"),
        Duel(0, 2, "first"),
        Duel(1, 3, "second"),
    ]
    for better, agreed in (("higher", 3), ("lower", 1)):
        found = figure_agreement(duels, "s", "f", better, {0: 2.0, 1: 1.0, 2: 2.0})
        assert (found.votes, found.agreed) == (4, agreed)
    assert figure_agreement(duels, "s", "f", "higher", {}).votes == 0
