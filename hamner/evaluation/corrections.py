"""What a model has learnt from corrections (preference margins): log-likelihood of the better reply over the other.

In: pairs of replies, a model before and after. Out: of each pair the margin, log p(better) − log p(other) in nats, with
the chat before them and the turn's end behind them; the mean change with its standard error, clustered by what hangs
together: corrections of one message, friendly pairs that share their replies.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hamner.config.schema import Compute
from hamner.config.special_tokens import Message
from hamner.data.feedback import Feedback
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.friendly_pairs import KINDS, friendly_pairs, reply_choice
from hamner.evaluation.likelihood import longest_option, option_nats
from hamner.evaluation.statistics import clustered_error
from hamner.model.transformer import Hamner

HELD_OUT, TRAINED_ON, ALL_KINDS = "corrections held out", "corrections trained on", "friendly pairs, all six kinds"


@dataclass(frozen=True)
class ReplyPair:
    """A chat that ends with the user, and two replies to it."""

    group: str  # the row of the table that it belongs to
    context: tuple[Message, ...]
    better: str
    other: str
    cluster: Hashable


@dataclass(frozen=True)
class Change:
    """What became of the margins of a group."""

    group: str
    count: int
    clusters: int
    right_before: float  # share of pairs whose better reply is the likelier one
    right_now: float
    before: float  # mean margin, nats
    now: float
    error: float | None  # standard error of the change; None of one cluster, which has none

    @property
    def errors(self) -> float | None:
        """The change in standard errors."""
        return (self.now - self.before) / self.error if self.error else None

    @property
    def row(self) -> dict[str, Any]:
        """The change as JSON holds it."""
        return {**asdict(self), "errors": self.errors}


def reply_pairs(corrections: Sequence[Feedback]) -> list[ReplyPair]:
    """The pairs that a run with these corrections is measured on: the corrections, then the friendly pairs by kind."""
    own = [
        ReplyPair(HELD_OUT if each.is_held_out else TRAINED_ON, each.context, each.better, each.reply, each.group)
        for each in corrections
    ]
    own.sort(key=lambda pair: pair.group)
    others = [ReplyPair(KINDS[p.kind], p.context, p.good, p.bad, p.replies) for p in friendly_pairs()]
    return [*own, *others]


def margins(hamner: Hamner, tokenizer: Tokenizer, pairs: Sequence[ReplyPair], compute: Compute) -> list[float | None]:
    """The margin of each pair in nats; None of one that does not fit the model's context."""
    choices = [reply_choice(tokenizer, pair.context, (pair.better, pair.other)) for pair in pairs]
    fit = [index for index, choice in enumerate(choices) if longest_option(choice) <= hamner.config.max_seq_len]
    found: list[float | None] = [None] * len(pairs)
    for index, (better, other) in zip(fit, option_nats(hamner, [choices[i] for i in fit], compute), strict=True):
        found[index] = other - better
    return found


def changes(pairs: Sequence[ReplyPair], before: Sequence[float | None], now: Sequence[float | None]) -> list[Change]:
    """The change of each group, in the order of the pairs; then of all friendly pairs. before, now: margins."""
    groups: dict[str, list[tuple[Hashable, float, float]]] = {}
    for pair, then, after in zip(pairs, before, now, strict=True):
        if then is not None and after is not None:
            groups.setdefault(pair.group, []).append((pair.cluster, then, after))
    elsewhere = [row for group, rows in groups.items() if group in KINDS.values() for row in rows]
    if elsewhere:
        groups[ALL_KINDS] = elsewhere
    return [_change(group, rows) for group, rows in groups.items()]


def _change(group: str, rows: Sequence[tuple[Hashable, float, float]]) -> Change:
    gaps, counts = defaultdict[Hashable, float](float), defaultdict[Hashable, int](int)
    for cluster, then, after in rows:
        gaps[cluster] += after - then
        counts[cluster] += 1
    error = clustered_error(list(gaps.values()), list(counts.values()))
    margins_before, margins_now = [then for _, then, _ in rows], [after for _, _, after in rows]
    return Change(
        group,
        len(rows),
        len(counts),
        _share_above_0(margins_before),
        _share_above_0(margins_now),
        math.fsum(margins_before) / len(rows),
        math.fsum(margins_now) / len(rows),
        error if math.isfinite(error) else None,
    )


def _share_above_0(values: Sequence[float]) -> float:
    return sum(value > 0 for value in values) / len(values)
