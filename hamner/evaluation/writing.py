"""What a model writes in chats: turn ends, length, identical and empty replies, repetition (4-grams), role words.

In: replies to fixed prompts. Out: figures, each beside that of replies people wrote where there are such.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from hamner.config.special_tokens import Message
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.figures import Figure, jackknife_error, median_error, share, share_error
from hamner.evaluation.friendly_pairs import FriendlyPair

SECTION = "what it writes"
MOST_TOKENS = 120  # of a reply: more is a lecture
ROLE_WORDS = re.compile(r"<\||^\s*(?:user|assistant|system)\s*(?::|$)", flags=re.M | re.I)


class Writer(Protocol):
    """Writes what follows ids: up to `most` new ids, fewer where the model ends by itself."""

    def __call__(self, ids: Sequence[int], most: int, *, seed: int, greedy: bool = False) -> list[int]: ...


@dataclass(frozen=True)
class Reply:
    """A reply that a model wrote."""

    asked: tuple[Message, ...]
    ids: tuple[int, ...]
    text: str
    has_ended: bool  # by itself, not at the limit


def reply_to(
    writer: Writer,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    *,
    seed: int,
    longest: int,
    most: int = MOST_TOKENS,
) -> Reply | None:
    """The reply to a chat; None where it leaves no room for one of `most` tokens. longest: the model's context."""
    ids = tokenizer.encode_chat(messages, reply=True)
    if len(ids) + most > longest:
        return None
    new = writer(ids, most, seed=seed)
    return Reply(tuple(messages), tuple(new), tokenizer.decode(new).strip(), len(new) < most)


def spread_contexts(pairs: Sequence[FriendlyPair], count: int) -> list[tuple[Message, ...]]:
    """The chats of up to `count` of the friendly pairs, evenly spread, so that all kinds are among them."""
    count = min(count, len(pairs))
    return [pairs[index * len(pairs) // count].context for index in range(count)]


def identical_share(texts: Sequence[str]) -> float:
    """Share of texts that say what an earlier one says; letters' case and spaces do not count."""
    return 1 - len({" ".join(text.lower().split()) for text in texts}) / len(texts)


def repeated_4grams(text: str) -> float:
    """Share of the runs of four words that the text has said before; 0 for fewer than five words."""
    words = text.lower().split()
    runs = [tuple(words[place : place + 4]) for place in range(len(words) - 3)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def has_role_words(text: str) -> bool:
    """Whether a reply has a line that begins a turn, such as "user:", or part of a template's mark."""
    return ROLE_WORDS.search(text) is not None


def writing_figures(replies: Sequence[Reply], ours: Sequence[str], count: Callable[[str], int]) -> Iterator[Figure]:
    """The figures of replies. ours: replies that people wrote; count: tokens of a text."""
    texts, lengths = [reply.text for reply in replies], [len(reply.ids) for reply in replies]
    n, theirs = len(replies), median(map(count, ours))
    yield share(SECTION, "ends by itself", [float(reply.has_ended) for reply in replies], "replies")
    yield Figure(
        SECTION,
        "length, median",
        median(lengths),
        median_error(lengths),
        None,
        "tokens",
        n,
        "replies",
        note=f"the good replies of the pairs: {theirs:g}",
    )
    yield share(SECTION, "empty", [float(not text) for text in texts], "replies", better="lower")
    identical = identical_share(texts)
    error = jackknife_error(texts, identical_share) if 0 < identical < 1 - 1 / n else share_error(0, n)
    yield Figure(SECTION, "identical to an earlier one", identical, error, None, "share", n, "replies", "lower")
    for name, measure in {
        "repeated 4-grams": repeated_4grams,
        "role words": lambda text: float(has_role_words(text)),
    }.items():
        values, people = [measure(text) for text in texts], [measure(text) for text in ours]
        note = f"the good replies of the pairs: {sum(people) / len(people):.3f}"
        yield share(SECTION, name, values, "replies", better="lower", note=note)
