"""Friendly pairs: two replies to one chat, alike in length, of which a friend would give the first (multiple choice).

In: the pairs of friendly_pairs/KIND.jsonl, written for this project and trained on by nothing in it; a model. Out: of
each pair whether the good reply is likelier after the chat, and whether it is likelier without one; of two pairs that
share their replies, whether each reply goes with its own chat.

One line of a file is a pair:

    {"kind": "warm", "context": [{"role": "user", "content": ...}, ...], "good": ..., "bad": ...}

Most pairs come in twos whose replies are exchanged: what is good after one chat is bad after the other, so a model that
looks at the replies alone gets exactly one of the two right. The others are matched in words. Guessing scores one half.

A weak model that finds one reply likelier everywhere by ten nats scores one half too, however much it has understood of
the chats. Taken together, log p(a | chat of a) + log p(b | chat of b) against the sum with the chats exchanged, how
likely a and b are by themselves cancels: what is left is what the chats tell (the interaction; compare "surface form
competition", Holtzman et al. 2021).
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from hamner.config.schema import Compute
from hamner.config.special_tokens import MESSAGE_END, Message
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.figures import Figure, share
from hamner.evaluation.likelihood import Choice, choice_after, longest_option, option_nats
from hamner.model.transformer import Hamner

SECTION = "friendly pairs"
CHANCE = 0.5
OWN_CHAT = "each reply to its own chat"
KINDS = {  # of a pair: what the good reply does
    "warm": "is warm, not cold",
    "asks_back": "asks back, does not lecture",
    "remembers_name": "remembers a name",
    "admits_not_knowing": "admits not knowing",
    "stays_kind": "stays kind",
    "stays_on_subject": "stays on the subject",
}


@dataclass(frozen=True)
class FriendlyPair:
    """A chat that ends with the user, and two replies to it."""

    kind: str
    context: tuple[Message, ...]
    good: str
    bad: str

    @property
    def replies(self) -> Hashable:
        """The two replies, whichever is the good one: what an exchanged pair shares."""
        return frozenset((self.good, self.bad))


@dataclass(frozen=True)
class PairMark:
    """What a model makes of a pair."""

    pair: FriendlyPair
    margin: float  # nats that the good reply is likelier after the chat, log p(good) − log p(bad)
    alone: float  # 1 where the good reply is likelier without the chat, 0.5 for a tie

    @property
    def after_chat(self) -> float:
        """1 where the good reply is likelier after the chat, 0.5 for a tie."""
        return preference(-self.margin, 0.0)


def friendly_pairs() -> list[FriendlyPair]:
    """All pairs, kind after kind."""
    return [pair for kind in KINDS for pair in _read(kind)]


def _read(kind: str) -> Iterator[FriendlyPair]:
    text = (files("hamner.evaluation") / "friendly_pairs" / f"{kind}.jsonl").read_text(encoding="utf-8")
    for line in text.splitlines():
        record: dict[str, Any] = json.loads(line)
        context = tuple((message["role"], message["content"]) for message in record["context"])
        yield FriendlyPair(record["kind"], context, record["good"], record["bad"])


def reply_choice(tokenizer: Tokenizer, context: Sequence[Message], replies: Sequence[str]) -> Choice:
    """Replies to a chat as options, the turn's end included: what a model reads and writes in that chat."""
    options = [[*tokenizer.encode(reply.strip()), MESSAGE_END] for reply in replies]
    return choice_after(tokenizer.encode_chat(context, reply=True), options)


def mark_pairs(hamner: Hamner, tokenizer: Tokenizer, pairs: Sequence[FriendlyPair], compute: Compute) -> list[PairMark]:
    """The marks of the pairs that fit the model's context; one that does not is left out."""
    after_chat = [reply_choice(tokenizer, pair.context, (pair.good, pair.bad)) for pair in pairs]
    alone = [reply_choice(tokenizer, (), (pair.good, pair.bad)) for pair in pairs]
    fit = [i for i, choice in enumerate(after_chat) if longest_option(choice) <= hamner.config.max_seq_len]
    nats = [option_nats(hamner, [choices[i] for i in fit], compute) for choices in (after_chat, alone)]
    return [
        PairMark(pairs[i], bad - good, preference(*without)) for i, (good, bad), without in zip(fit, *nats, strict=True)
    ]


def preference(good: float, bad: float) -> float:
    """1 where the good one costs fewer nats, 0 where more, 0.5 for a tie. NaN, which no comparison holds for, is 0."""
    return 1.0 if good < bad else 0.5 if good == bad else 0.0


def pair_figures(marks: Sequence[PairMark]) -> Iterator[Figure]:
    """All pairs together, with and without the chat, and each reply with its own chat; then kind by kind."""
    yield _figure("all six kinds", marks)
    yield _figure("replies alone, chat not shown", marks, with_chat=False)
    exchanged = _exchanged(marks)
    if exchanged:
        own_chat = [preference(-(one.margin + other.margin), 0.0) for one, other in exchanged]
        note = "exchanged pairs, two at a time: which reply is likelier by itself cancels"
        yield share(SECTION, OWN_CHAT, own_chat, "two pairs", guess=CHANCE, better="higher", note=note)
    for kind, name in KINDS.items():
        of_kind = [mark for mark in marks if mark.pair.kind == kind]
        if of_kind:
            yield _figure(name, of_kind)


def _exchanged(marks: Sequence[PairMark]) -> list[tuple[PairMark, PairMark]]:
    """The two marks of each two pairs that share their replies, where both fit the model."""
    found: dict[Hashable, list[PairMark]] = {}
    for mark in marks:
        found.setdefault(mark.pair.replies, []).append(mark)
    return [(both[0], both[1]) for both in found.values() if len(both) == 2]


def _figure(name: str, marks: Sequence[PairMark], *, with_chat: bool = True) -> Figure:
    return share(
        SECTION,
        name,
        [mark.after_chat if with_chat else mark.alone for mark in marks],
        "pairs",
        guess=CHANCE,
        better="higher" if with_chat else "",
        clusters=[mark.pair.replies for mark in marks],
        note="" if with_chat else "near one half: the choice needs the chat",
    )
