"""Report of an arena (human preference): strengths, pairs, sides, and how far automatic metrics agree with the votes.

Data in: votes, what each friend is called, the results folder with the friend cards. Data out: tables and lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from hamner.config.errors import BadInput
from hamner.evaluation.bradley_terry import LEVEL, Arena, Duel, Outcome, fit, side_preference, unlinked
from hamner.inference.find_model import model_folder
from hamner.inference.run_records import read_records
from hamner.runs.safe_paths import name_problem
from hamner.runs.tables import Column, fitted_table
from hamner.runs.votes import Vote
from tournament.arena_agreement import Agreement, figure_agreement

OUTCOMES: Mapping[str, Outcome] = {"left": "first", "right": "second", "tie": "tie"}
MOST_FIGURES = 20  # of the friend card, those that say most
SETTLED_CAPTION = (
    "share: of votes that the first wins, half of a tie counted for each, with the 95 % interval of all pairs "
    "together; a pair is settled where it leaves out 50 %"
)
MORE_CAPTION = (
    "more votes: to settle the difference as it is now, four times in five. Set the number before you begin: by "
    "looking after each of 200 votes, 29 of 100 pairs of equal friends are told apart"
)


def arena_report(
    console: Console, votes: Sequence[Vote], friends: Mapping[tuple[str, str], str], results: Path
) -> Iterator[RenderableType]:
    """Tables and lines. friends: label of each, by name and weights. Raises BadInput where no votes link them."""
    numbers = {friend: number for number, friend in enumerate(friends)}
    duels = list(_duels(votes, numbers))
    names = list(friends.values())
    separate = unlinked(duels, len(names))
    if separate:
        one, other = (names[number] for number in separate)
        raise BadInput(f"no vote links '{one}' with '{other}': let them meet with `hamner serve {one} --arena {other}`")
    arena = fit(duels, len(names))
    yield _strength_table(console, arena, duels, names)
    yield _pair_table(console, arena, names)
    yield _side_line(duels)
    cards = {number: card for (name, _), number in numbers.items() if (card := _card(name, results))}
    agreements = card_agreements(duels, cards)
    if agreements:
        yield _agreement_table(console, agreements, names)
    missing = [label for number, label in enumerate(names) if number not in cards]
    if missing:
        yield f"no friend card of {', '.join(missing)}: `hamner evaluate RUN` measures one, to set beside the votes"


def card_agreements(duels: Sequence[Duel], cards: Mapping[int, Mapping[str, Any]]) -> list[Agreement]:
    """How often each figure of the friend cards is on the side of the votes, those that are furthest from half first.

    cards: friend_card.json of each friend that has one.
    """
    figures: dict[tuple[str, str, str], dict[int, float]] = {}
    for number, card in cards.items():
        for row in card.get("figures", ()):
            if row.get("better") and row.get("value") is not None:
                figures.setdefault((row["section"], row["name"], row["better"]), {})[number] = float(row["value"])
    found = [figure_agreement(duels, *figure, values) for figure, values in figures.items()]
    compared = [agreement for agreement in found if agreement.votes]
    return sorted(compared, key=lambda agreement: -abs(agreement.share - 0.5))


def _duels(votes: Sequence[Vote], numbers: Mapping[tuple[str, str], int]) -> Iterator[Duel]:
    """The votes between two of these friends."""
    for vote in votes:
        left, right = numbers.get((vote.left, vote.left_weights)), numbers.get((vote.right, vote.right_weights))
        if left is not None and right is not None:
            yield Duel(left, right, OUTCOMES[vote.choice])


def _card(name: str, results: Path) -> Mapping[str, Any]:
    """The friend card of a run; {} where there is none, and where a vote's name leads out of the results folder."""
    if name_problem(name):
        return {}
    try:
        return read_records(model_folder(name, results)).friend_card
    except BadInput:
        return {}


def _strength_table(console: Console, arena: Arena, duels: Sequence[Duel], names: Sequence[str]) -> RenderableType:
    counts: Counter[tuple[int, str]] = Counter()
    for first, second, outcome in duels:
        counts[first, {"first": "won", "second": "lost"}.get(outcome, "tied")] += 1
        counts[second, {"first": "lost", "second": "won"}.get(outcome, "tied")] += 1
    columns = (
        Column("friend", justify="left"),
        Column("strength"),
        Column("95 %"),
        Column("won", 2),
        Column("tied", 2),
        Column("lost", 2),
    )
    rows = []
    for number in sorted(range(len(names)), key=lambda number: -arena.strengths[number]):
        low, high = arena.interval(number)
        tally = [str(counts[number, what]) for what in ("won", "tied", "lost")]
        rows.append([names[number], f"{arena.strengths[number]:+.2f}", f"{low:+.2f} to {high:+.2f}", *tally])
    caption = "strength: log odds of a vote against the mean of these friends (Bradley-Terry, ties by Davidson)"
    title = f"arena: {len(names)} friends, {arena.votes} votes"
    return fitted_table(console, columns, rows, title=title, captions=[("strength", caption)])


def _pair_table(console: Console, arena: Arena, names: Sequence[str]) -> RenderableType:
    columns = (
        Column("first", justify="left"),
        Column("before", justify="left"),
        Column("share"),
        Column("verdict", justify="left"),
        Column("more votes"),
    )
    rows = []
    for pair in arena.pairs:
        share = f"{pair.share:.0%} ({pair.low:.0%} to {pair.high:.0%})"
        more = "" if pair.is_settled else "above 5,000" if pair.more_votes is None else f"{pair.more_votes:,}"
        verdict = "settled" if pair.is_settled else "undecided"
        rows.append([names[pair.better], names[pair.worse], share, verdict, more])
    captions = [("share", SETTLED_CAPTION), ("more votes", MORE_CAPTION)]
    return fitted_table(console, columns, rows, title="who is before whom", captions=captions)


def _side_line(duels: Sequence[Duel]) -> str:
    """Whether the two orders were equally often preferred."""
    left, right, p = side_preference(duels)
    verdict = "no side was preferred beyond chance"
    if p < LEVEL:
        verdict = (
            f"the {'left' if left > right else 'right'} side was preferred; the order is drawn for each vote, so "
            "strengths are not moved by it, only less sharp"
        )
    return (
        f"sides: left {left}, right {right}, equal {len(duels) - left - right} (binomial test: p = {p:.2g}); {verdict}"
    )


def _agreement_table(console: Console, agreements: Sequence[Agreement], names: Sequence[str]) -> RenderableType:
    columns = (
        Column("section", 2, justify="left"),
        Column("figure", justify="left"),
        *(Column(name, 1) for name in names),
        Column("agrees with the votes"),
    )
    rows = []
    for agreement in agreements[:MOST_FIGURES]:
        values = [f"{agreement.values[n]:.3g}" if n in agreement.values else "" for n in range(len(names))]
        share = f"{agreement.share:.0%} ({agreement.low:.0%} to {agreement.high:.0%}) of {agreement.votes}"
        rows.append([agreement.section, agreement.figure, *values, share])
    caption = "of votes that are no tie, on friends whose figures differ: the better figure was the preferred friend's"
    title = f"numbers of the friend card beside the votes ({min(len(agreements), MOST_FIGURES)} of {len(agreements)})"
    return fitted_table(console, columns, rows, title=title, captions=[("agrees with the votes", caption)])
