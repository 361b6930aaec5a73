"""Arena (blind pairwise comparison): two friends reply to one message, in random order, and somebody prefers one.

Data in: contenders, messages, choices. Data out: the two replies, without names; a line of votes.jsonl a choice. Which
two meet is drawn among the pairs with the fewest votes, and who is left by a fair coin.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from hamner.inference.contenders import Contender
from hamner.inference.server_requests import ApiError
from hamner.runs.votes import CHOICES, Vote, add_vote, read_votes

MOST_OPEN = 1000  # rounds without a vote that are remembered


class Round(NamedTuple):
    """What is shown of one message."""

    id: str
    left: str
    right: str


class Arena:
    """Contenders, and the votes on them."""

    def __init__(self, contenders: Sequence[Contender], votes: Path, rng: random.Random | None = None) -> None:
        """votes: the file, whose earlier votes count for who meets whom. Raises BadInput where it is broken."""
        self.contenders, self._path, self._rng = contenders, votes, rng or secrets.SystemRandom()
        self._open: dict[str, tuple[Contender, Contender]] = {}
        own = {(each.name, each.weights) for each in contenders}
        self._met: Counter[frozenset[tuple[str, str]]] = Counter()
        for vote in read_votes(votes):
            sides = frozenset(((vote.left, vote.left_weights), (vote.right, vote.right_weights)))
            if sides <= own:
                self._met[sides] += 1

    @property
    def votes(self) -> int:
        """Votes on these contenders so far."""
        return self._met.total()

    async def play(self, message: str) -> Round:
        """The replies of two contenders to a message. Raises ApiError."""
        left, right = self._draw()
        seed = self._rng.getrandbits(31)
        replies = await asyncio.gather(left.reply(message, seed), right.reply(message, seed))
        name = secrets.token_hex(8)
        self._open[name] = left, right
        while len(self._open) > MOST_OPEN:
            del self._open[next(iter(self._open))]
        return Round(name, *(reply.strip() for reply in replies))

    async def vote(self, name: str, choice: str) -> int:
        """Write down the choice of a round; returns how many votes there are. Raises ApiError."""
        if choice not in CHOICES:
            raise ApiError(400, f"choice '{choice}' is none of {', '.join(CHOICES)}", "invalid_value")
        if name not in self._open:
            raise ApiError(404, "this round has had its vote, or is too long ago: send another message", "no_round")
        left, right = self._open.pop(name)
        vote = Vote(left.name, right.name, left.weights, right.weights, choice)
        try:
            await asyncio.to_thread(add_vote, self._path, vote)
        except OSError as error:
            self._open[name] = left, right
            line = f"{self._path} cannot be written: {error.strerror}; make room there, and vote again"
            raise ApiError(500, line, "server_error") from None
        self._met[_sides(left, right)] += 1
        return self.votes

    def _draw(self) -> tuple[Contender, Contender]:
        pairs = list(combinations(self.contenders, 2))
        fewest = min(self._met[_sides(*pair)] for pair in pairs)
        one, other = self._rng.choice([pair for pair in pairs if self._met[_sides(*pair)] == fewest])
        return (one, other) if self._rng.random() < 0.5 else (other, one)


def _sides(one: Contender, other: Contender) -> frozenset[tuple[str, str]]:
    return frozenset(((one.name, one.weights), (other.name, other.weights)))
