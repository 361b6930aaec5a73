"""Held-out replies: the likelihood of what people answered, and whether a reply belongs to its chat (retrieval).

In: held-out conversations, of a corpus or of a fine-tuning, and a model. Out: nats per token of the replies with and
without the chat before them, of the turn's end, and how frequently the true reply is chosen among replies of the same
length.

*Belongs* scores a reply r to a chat c by log p(r | c) − log p(r | no chat) (pointwise mutual information), so that a
reply is not chosen for being common. The candidates of a reply are the others of its group: replies of nearly one
length from other conversations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hamner.config.schema import Compute
from hamner.config.special_tokens import MESSAGE_END, MESSAGE_START
from hamner.data.corpus import Corpus
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.figures import Figure, share
from hamner.evaluation.likelihood import Choice, choice_after, option_nats
from hamner.evaluation.statistics import clustered_error
from hamner.model.transformer import Hamner

SECTION, BELONGS = "held-out replies", "belongs"
GROUP = 20  # the true reply and 19 others
CHANCE = 1 / GROUP
LONGEST = 1.1  # the longest reply of a group, in lengths of the shortest; one token more is allowed for the shortest
MOST_TOKENS = 512  # of a chat with its reply: a group is read 20 times
MOST_GROUPS = 15


@dataclass(frozen=True)
class HeldoutReply:
    """One reply of a held-out conversation, as token ids."""

    conversation: int
    prompt: tuple[int, ...]  # the chat before it, up to where the assistant answers
    words: tuple[int, ...]  # without the turn's end


@dataclass(frozen=True)
class ReplyNats:
    """Cross-entropy of a reply in nats."""

    words: float  # of all its words after the chat
    end: float  # of the turn's end after them
    alone: float  # of its words where no chat is shown


def replies_in(ids: Sequence[int], opening: Sequence[int], conversation: int = 0) -> Iterator[HeldoutReply]:
    """The replies of a conversation's ids; none of a text that is no conversation, or of a torn one.

    opening: ids between MESSAGE_START and a reply, Tokenizer.encode("assistant\\n").
    """
    ids, first = list(ids), [MESSAGE_START, *opening]
    if ids[:1] != [MESSAGE_START]:
        return
    starts = [place for place, token in enumerate(ids) if token == MESSAGE_START]
    for start, stop in pairwise([*starts, len(ids)]):
        begin = start + len(first)
        if ids[start:begin] == first and MESSAGE_END in ids[begin:stop]:
            yield HeldoutReply(conversation, tuple(ids[:begin]), tuple(ids[begin : ids.index(MESSAGE_END, begin)]))


def heldout_replies(corpus: Corpus, tokenizer: Tokenizer, source: str, count: int, longest: int) -> list[HeldoutReply]:
    """The replies of up to `count` held-out conversations of a corpus; see spread_replies."""
    tokens, ends = corpus.heldout(source), corpus.heldout_ends(source)

    def document(index: int) -> Sequence[int]:
        ids: npt.NDArray[Any] = tokens[int(ends[index - 1]) if index else 0 : int(ends[index])]
        return ids.tolist()

    return spread_replies(document, len(ends), tokenizer, count, longest)


def spread_replies(
    document: Callable[[int], Sequence[int]], documents: int, tokenizer: Tokenizer, count: int, longest: int
) -> list[HeldoutReply]:
    """The replies of up to `count` conversations, evenly spread; none of documents that are no conversations.

    document: the ids of the one with that number. longest: tokens of a chat with its reply; longer ones are left out.
    """
    opening = tokenizer.encode("assistant\n")
    chosen = np.unique(np.linspace(0, documents - 1, min(count, documents)).astype(int)) if documents else ()
    replies = [reply for index in map(int, chosen) for reply in replies_in(document(index), opening, index)]
    return [r for r in replies if r.words and len(r.prompt) + len(r.words) < min(longest, MOST_TOKENS)]


def reply_nats(
    hamner: Hamner, tokenizer: Tokenizer, replies: Sequence[HeldoutReply], compute: Compute
) -> list[ReplyNats]:
    """The nats of each reply."""
    nobody = tokenizer.encode_chat((), reply=True)
    whole = option_nats(hamner, [choice_after(r.prompt, [r.words, (*r.words, MESSAGE_END)]) for r in replies], compute)
    alone = option_nats(hamner, [choice_after(nobody, [r.words]) for r in replies], compute)
    return [ReplyNats(words, closed - words, lone) for (words, closed), (lone,) in zip(whole, alone, strict=True)]


def reply_figures(
    source: str, replies: Sequence[HeldoutReply], nats: Sequence[ReplyNats], unigram: float | None
) -> Iterator[Figure]:
    """Loss on the words, with and without the chat, and on the turn's end. unigram: entropy of the source's tokens."""
    lengths = [len(reply.words) for reply in replies]
    clusters = [reply.conversation for reply in replies]
    alone = math.fsum(each.alone for each in nats) / sum(lengths)
    ends = len(replies) / (sum(lengths) + len(replies))  # share of tokens that end a turn
    yield _loss(f"{source}: words", [n.words for n in nats], lengths, clusters, unigram, "guess: frequency of tokens")
    yield _loss(
        f"{source}: words, gained by the chat",
        [n.alone - n.words for n in nats],
        lengths,
        clusters,
        0.0,
        f"without the chat {alone:.3f} nats/token",
        better="higher",
    )
    ending = [each.end for each in nats]
    yield _loss(f"{source}: turn end", ending, [1] * len(nats), clusters, -math.log(ends), "guess: how frequent it is")


def _loss(
    name: str,
    nats: Sequence[float],
    tokens: Sequence[int],
    clusters: Sequence[int],
    guess: float | None,
    note: str,
    *,
    better: Literal["higher", "lower"] = "lower",
) -> Figure:
    """Nats per token, with an error clustered by conversation."""
    sums: dict[int, list[float]] = {}
    for cluster, value, count in zip(clusters, nats, tokens, strict=True):
        of_one = sums.setdefault(cluster, [0.0, 0.0])
        of_one[0] += value
        of_one[1] += count
    total, length = (math.fsum(column) for column in zip(*sums.values(), strict=True))
    error = clustered_error([n for n, _ in sums.values()], [t for _, t in sums.values()])
    return Figure(SECTION, name, total / length, error, guess, "nats/token", len(nats), "replies", better, note)


def length_groups(lengths: Sequence[int], clusters: Sequence[int] | None = None, size: int = GROUP) -> list[list[int]]:
    """Groups of `size` indices of nearly equal lengths: within LONGEST, or one token, of the shortest.

    clusters: of each index; none comes twice in a group. Greedy from the shortest on: where `size` are not to be had,
    the shortest is left out.
    """
    clusters = range(len(lengths)) if clusters is None else clusters
    rest, groups = sorted(range(len(lengths)), key=lambda index: lengths[index]), list[list[int]]()
    while len(rest) >= size:
        shortest, group = lengths[rest[0]], dict[int, int]()
        for index in rest:
            if lengths[index] > max(LONGEST * shortest, shortest + 1) or len(group) == size:
                break
            group.setdefault(clusters[index], index)
        if len(group) == size:
            groups.append(list(group.values()))
        used = set(group.values()) if len(group) == size else {rest[0]}
        rest = [index for index in rest if index not in used]
    return groups


def belonging_groups(replies: Sequence[HeldoutReply], most: int = MOST_GROUPS) -> list[list[HeldoutReply]]:
    """Groups for `belongs`: each of GROUP different replies of as many conversations; at most so many, evenly."""
    different = list({reply.words: reply for reply in replies if len(reply.words) > 1}.values())
    found = length_groups([len(reply.words) for reply in different], [reply.conversation for reply in different])
    places = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).astype(int)) if found else ()
    return [[different[index] for index in found[int(place)]] for place in places]


def belongs(hamner: Hamner, tokenizer: Tokenizer, group: Sequence[HeldoutReply], compute: Compute) -> list[float]:
    """Of each reply of a group 1 where it is chosen for its own chat, else 0; a tie counts as the share it gives."""
    options = [(*reply.words, MESSAGE_END) for reply in group]
    choices = [choice_after(tokenizer.encode_chat((), reply=True), options)]
    choices += [choice_after(reply.prompt, options) for reply in group]
    most = hamner.config.max_seq_len - max(map(len, options))
    prior, *after = option_nats(hamner, [_cut(choice, most) for choice in choices], compute)
    return [
        chosen([before - nats for before, nats in zip(prior, row, strict=True)], place)
        for place, row in enumerate(after)
    ]


def _cut(choice: Choice, most: int) -> Choice:
    """The choice with fewer than `most` shared tokens, the newest: another's reply may be longer than the true one."""
    return choice if len(choice.shared) < most else Choice(choice.shared[1 - most :], choice.rest)


def chosen(scores: Sequence[float], true: int) -> float:
    """1 where the score of the true one is the highest, 1/n where n share the highest, 0 where another is higher."""
    best = max(scores)
    return 1 / sum(score == best for score in scores) if scores[true] == best else 0.0


def belongs_figure(source: str, marks: Sequence[Sequence[float]]) -> Figure:
    """The share of replies chosen for their own chat. marks: group by group, whose replies hang together."""
    return share(
        BELONGS,
        f"{source}: the true reply among {GROUP}",
        [mark for group in marks for mark in group],
        "replies",
        guess=CHANCE,
        clusters=[number for number, group in enumerate(marks) for _ in group],
    )
