"""Memorisation: the longest verbatim run that written text shares with training text, by a rolling hash of n-grams.

In: token ids that a model wrote, the training tokens of a source. Out: of each text the length of its longest run of
tokens that stands word for word in the source, of at least SEED tokens.

One pass over the training tokens: a 64-bit polynomial hash of each SEED tokens (Karp & Rabin 1987) is looked up among
those of the texts; hits of one text on one diagonal (place in the source − place in the text), one after the other, are
one run. It takes 16 ms a million tokens on one core, and 120 ms of text of which the half is in the texts too.

What overlap means is seen beside held-out text cut to the same lengths, which the model cannot have learnt by heart:
common phrases are in both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.corpus import Corpus, TokenShards
from hamner.evaluation.figures import Figure, mean_error
from hamner.evaluation.writing import Writer

SECTION = "memorisation"
SEED = 6  # tokens of the shortest run that is found; shorter ones count as SEED - 1
CHUNK = 1 << 20  # training tokens hashed together
MOST_TRAINING_TOKENS = 2_000_000_000  # of a source that are searched: half a minute or more
OPENING, CONTINUATION, OPENINGS = 16, 48, 40  # tokens that are given; tokens that are written; how many of each
TABLE_BITS = 20  # of the first, approximate lookup

Ids = npt.NDArray[Any]
Hashes = npt.NDArray[np.uint64]
_BASE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Run:
    """A stretch of a text that stands in the training text."""

    length: int  # tokens
    start: int  # in the text


def longest_runs(texts: Sequence[Sequence[int]], training: TokenShards | Ids, limit: int | None = None) -> list[Run]:
    """The longest run of each text; length SEED - 1 where none is longer. limit: training tokens that are searched."""
    best = [Run(SEED - 1, 0) for _ in texts]
    index = _Index(texts)
    overlap = max(map(len, texts), default=0)  # so that a run that begins in a chunk ends in it
    total = len(training) if limit is None else min(limit, len(training))
    if not index.hashes.size:
        return best
    for start in range(0, total, CHUNK):
        chunk = np.asarray(training[start : min(start + CHUNK + overlap, total)])
        for text, run in index.runs(chunk):
            if run.length > best[text].length:
                best[text] = run
    return best


class _Index:
    """The n-grams of some texts, by their hashes."""

    def __init__(self, texts: Sequence[Sequence[int]]) -> None:
        largest = max((max(text) for text in texts if len(text)), default=0)
        self._values = np.random.default_rng(0).integers(0, 1 << 64, size=largest + 1, dtype=np.uint64)
        parts = [hashes(np.asarray(text, dtype=np.int64), self._values) for text in texts]
        of_text = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        place = np.concatenate([np.arange(len(part)) for part in parts]) if parts else np.empty(0, dtype=np.int64)
        unsorted = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)
        order = np.argsort(unsorted, kind="stable")
        self.hashes, self._text, self._place = unsorted[order], of_text[order], place[order]
        self._table = np.zeros(1 << TABLE_BITS, dtype=bool)
        self._table[self._slots(self.hashes)] = True

    def runs(self, chunk: Ids) -> Iterator[tuple[int, Run]]:
        """The longest run of each text in a chunk of training tokens, where there is one."""
        found = hashes(chunk, self._values)
        at = np.flatnonzero(self._table[self._slots(found)])
        first, last = (np.searchsorted(self.hashes, found[at], side=side) for side in ("left", "right"))
        counts = last - first
        at, first, counts = at[counts > 0], first[counts > 0], counts[counts > 0]
        if not len(at):
            return
        # all pairs of a place in the chunk and a place of the same n-gram in a text
        within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        entry, at = np.repeat(first, counts) + within, np.repeat(at, counts)
        text, place = self._text[entry], self._place[entry]
        order = np.lexsort((at, at - place, text))
        text, place, at = text[order], place[order], at[order]
        goes_on = (np.diff(text) == 0) & (np.diff(at) == 1) & (np.diff(place) == 1)
        starts = np.flatnonzero(np.concatenate(([True], ~goes_on)))
        lengths = np.diff(np.concatenate((starts, [len(text)]))) + SEED - 1
        longest = np.lexsort((-lengths, text[starts]))
        for index in longest[np.concatenate(([True], np.diff(text[starts][longest]) != 0))]:
            yield int(text[starts[index]]), Run(int(lengths[index]), int(place[starts[index]]))

    def _slots(self, values: Hashes) -> npt.NDArray[np.int64]:
        return (values >> np.uint64(64 - TABLE_BITS)).astype(np.int64)


def hashes(ids: Ids, values: Hashes) -> Hashes:
    """Hashes of the SEED tokens from each place on. values: of each id; larger ids are in no text and share one."""
    drawn = np.append(values, ~values[0])[np.minimum(ids.astype(np.int64), len(values))]
    count = max(0, len(ids) - SEED + 1)
    total = np.zeros(count, dtype=np.uint64)
    for offset in range(SEED):
        total = total * _BASE + drawn[offset : offset + count]
    return total


def pieces(tokens: TokenShards | Ids, lengths: Sequence[int]) -> list[list[int]]:
    """Held-out text cut to the given lengths, evenly spread; a piece ends early where its document does."""
    most = len(tokens) - max(lengths, default=0)
    if most <= 0:
        return []
    starts = np.linspace(0, most, len(lengths)).astype(int)
    cut = [np.asarray(tokens[start : start + length]) for start, length in zip(starts, lengths, strict=True)]
    return [_to_end(piece.tolist()) for piece in cut]


def _to_end(ids: list[int]) -> list[int]:
    return ids[: ids.index(END_OF_TEXT)] if END_OF_TEXT in ids else ids


def openings(tokens: TokenShards | Ids, count: int = OPENINGS) -> list[list[int]]:
    """The first OPENING tokens of up to `count` documents, spread evenly over the first 2^24 tokens."""
    head = np.asarray(tokens[: 1 << 24])
    starts = np.concatenate(([0], np.flatnonzero(head == END_OF_TEXT) + 1))
    begun = [head[s : s + OPENING].tolist() for s in starts[:: max(1, len(starts) // count)]]
    return [ids for ids in begun if len(ids) == OPENING and END_OF_TEXT not in ids][:count]


def memorisation_figures(
    corpus: Corpus, source: str, replies: Sequence[Sequence[int]], writer: Writer, longest: int
) -> Iterator[Figure]:
    """Runs of replies, and of what a model writes after the openings of training documents, in a source.

    Beside them the same of held-out text. longest: the model's context.
    """
    training, heldout = corpus.train(source), corpus.heldout(source)
    limit = min(len(training), MOST_TRAINING_TOKENS)
    searched = "" if limit == len(training) else f"; of the first {limit / len(training):.0%} of the source"
    yield from _figures(
        f"{source}: replies", replies, pieces(heldout, [len(ids) for ids in replies]), training, limit, searched
    )
    if longest >= OPENING + CONTINUATION:
        begun = [openings(tokens) for tokens in (training, heldout)]
        ours, theirs = ([writer(ids, CONTINUATION, seed=0, greedy=True) for ids in each] for each in begun)
        name = f"{source}: after openings of training text"
        yield from _figures(name, ours, theirs, training, limit, f", after held-out openings{searched}")


def _figures(
    name: str,
    texts: Sequence[Sequence[int]],
    reference: Sequence[Sequence[int]],
    training: TokenShards,
    limit: int,
    searched: str,
) -> Iterator[Figure]:
    """The mean and the maximum of the longest runs; as the guess, those of the reference."""
    if not texts or not reference:
        return
    every = [run.length for run in longest_runs([*texts, *reference], training, limit)]
    ours, theirs = every[: len(texts)], every[len(texts) :]
    note = f"guess: held-out text{searched}" if not searched.startswith(",") else f"guess: the same{searched}"
    for what, value, error, guess in (
        ("mean", math.fsum(ours) / len(ours), mean_error(ours), math.fsum(theirs) / len(theirs)),
        ("longest", max(ours), None, max(theirs)),
    ):
        yield Figure(SECTION, f"{name}, {what}", value, error, guess, "tokens", len(ours), "texts", "", note)
