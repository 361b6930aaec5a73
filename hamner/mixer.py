"""Ratios of sources -> batches of tokens (B, T), with batch t a plain function of (seed, stage, t).

Nothing is replayed or buffered: a run that stood at step t reads batch t, whoever asks and however often. All
that a checkpoint keeps of the data is how many rows of each source had been read when the present ratios began.

A row is T consecutive tokens of one source; rows are read in a seeded order, none twice before the source is
exhausted, then in a new order. Over every block of BLOCK batches the ratios hold exactly (to one row), and
within it each source's rows are spread evenly, so one batch is composed almost like the next.

With `max_epochs` a source that has been read so often leaves the mix, and the others share its place in proportion.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from hamner import heldout
from hamner.config import BadInput
from hamner.corpus import Corpus, Tokens, TokenShards
from hamner.synthetic_tasks import generate
from hamner.tokenizer import END_OF_TEXT, Tokenizer

BLOCK = 100    # batches over which the ratios are exact
LEVEL_1 = (1.0,)

Levels = Sequence[float]    # shares of the synthetic items of level 1, 2, ...; they sum to 1


class Exhausted(Exception):
    """Every source of the mix has been read `max_epochs` times."""


class Rows(Protocol):
    """The rows of one source, without end."""

    def row(self, index: int, levels: Levels) -> Tokens: ...


class TextRows:
    """Rows of a tokenised source, shuffled anew in each epoch."""

    def __init__(self, tokens: Tokens | TokenShards, seq_len: int, name: str, seed: int) -> None:
        self.count = len(tokens) // seq_len
        if self.count == 0:
            raise BadInput(f"source '{name}' has {len(tokens)} training tokens, less than one row of {seq_len}")
        self._tokens, self._seq_len = tokens, seq_len
        self._key = [seed, *name.encode()]
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def row(self, index: int, levels: Levels = LEVEL_1) -> Tokens:
        epoch, place = divmod(index, self.count)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng([*self._key, epoch]).permutation(self.count)
        start = int(self._order[place]) * self._seq_len
        return self._tokens[start:start + self._seq_len]


class SyntheticRows:
    """Rows of synthetic items, drawn when asked for: row i of the same levels is always the same."""

    def __init__(
        self, tokenizer: Tokenizer, seq_len: int, seed: int, heldout_fraction: float, *, held_out: bool = False,
    ) -> None:
        self._tokenizer, self._seq_len, self._seed = tokenizer, seq_len, seed
        self._fraction, self._held_out = heldout_fraction, held_out

    def row(self, index: int, levels: Levels) -> Tokens:
        side = "heldout" if self._held_out else "train"
        rng = random.Random(f"synthetic/{side}/{self._seed}/{'/'.join(map(str, levels))}/{index}")
        numbers, only = range(1, len(levels) + 1), len(levels) if max(levels) == levels[-1] == 1 else None
        ids: list[int] = []
        while len(ids) < self._seq_len:
            items: list[str] = []
            while sum(map(len, items)) < 2 * (self._seq_len - len(ids)) + 40:    # about enough characters
                item = generate(rng, only or rng.choices(numbers, levels)[0]).text
                if (heldout.draw(item) < self._fraction) == self._held_out:
                    items.append(item)
            for encoded in self._tokenizer.encode_batch(items):
                ids += [*encoded, END_OF_TEXT]
        return np.asarray(ids[: self._seq_len])


def training_rows(
    corpus: Corpus, tokenizer: Tokenizer, names: list[str], seq_len: int, seed: int | None = None,
) -> dict[str, Rows]:
    """The rows of each named source of a prepared corpus, in the order of `seed` (default: the corpus's)."""
    seed = corpus.seed if seed is None else seed
    rows: dict[str, Rows] = {}
    for name in names:
        if name == "synthetic":
            rows[name] = SyntheticRows(tokenizer, seq_len, seed, corpus.heldout_fraction)
        else:
            rows[name] = TextRows(corpus.train(name), seq_len, name, seed)
    return rows


class Mixer:
    """Draws batches from rows by ratio. `rank` of `world` workers gets its share of each batch."""

    def __init__(
        self, rows: Mapping[str, Rows], batch_size: int, *, rank: int = 0, world: int = 1,
        max_epochs: float = math.inf,
    ) -> None:
        if batch_size % world:
            raise BadInput(f"a batch of {batch_size} rows cannot be shared by {world} workers")
        self._rows, self._batch_size, self._rank, self._world = rows, batch_size, rank, world
        self._before: dict[str, int] = dict.fromkeys(rows, 0)    # rows read before the present ratios began
        self._most = {n: max_epochs * r.count for n, r in rows.items() if isinstance(r, TextRows)}
        self._step = 0
        self._levels: Levels = LEVEL_1
        self.mix: dict[str, float] = {}    # the present ratios

    def start_stage(self, mix: Mapping[str, float], levels: Levels = LEVEL_1) -> None:
        """Change ratios and synthetic levels; every source goes on where it stood. Step counts from 0 again."""
        self._levels = levels
        self._begin(mix)

    def _begin(self, mix: Mapping[str, float]) -> None:
        if self._step:
            self._before = self.rows_read()
        self.mix, self._names, self._step = dict(mix), list(mix), 0
        self._plan = _spread([mix[name] for name in self._names], BLOCK * self._batch_size)
        # _prefix[i, s]: rows of source s among the first i of a block
        taken = self._plan[:, None] == np.arange(len(self._names))
        self._prefix = np.concatenate([np.zeros((1, len(self._names)), int), taken.cumsum(axis=0)])

    def leave_out_exhausted(self) -> list[str]:
        """Take the sources that the next batch would read more than `max_epochs` times out of the mix.

        Returns their names. The others keep their proportions. Raises Exhausted when none is left.
        """
        gone: list[str] = []
        while True:
            after = self.rows_read(1)
            over = [name for name in self._names if after[name] > self._most.get(name, math.inf)]
            if not over:
                return gone
            gone += over
            left = {name: share for name, share in self.mix.items() if name not in over}
            if not left:
                raise Exhausted
            self._begin({name: share / sum(left.values()) for name, share in left.items()})

    def _read_in_stage(self, step: int, extra: int = 0) -> np.ndarray[Any, Any]:
        """Rows of each source before row `extra` of batch `step`."""
        blocks, rest = divmod(step, BLOCK)
        return blocks * self._prefix[-1] + self._prefix[rest * self._batch_size + extra]

    def rows_read(self, more: int = 0) -> dict[str, int]:
        """Rows of each source read so far, over all stages; with `more` batches of the present ratios."""
        here = dict(zip(self._names, self._read_in_stage(self._step + more).tolist(), strict=True))
        return {name: count + here.get(name, 0) for name, count in self._before.items()}

    def epochs(self) -> dict[str, float]:
        """How often each tokenised source has been read through so far."""
        counts = {n: r.count for n, r in self._rows.items() if isinstance(r, TextRows)}
        return {name: self.rows_read()[name] / count for name, count in counts.items()}

    def already_read(self, name: str, count: int) -> torch.Tensor | None:
        """Up to `count` rows (n, T) of a tokenised source among those read so far, evenly spread."""
        read = self.rows_read()[name]
        if not read or not isinstance(self._rows[name], TextRows):
            return None
        chosen = np.unique(np.linspace(0, read - 1, min(count, read)).astype(int))
        return torch.from_numpy(np.stack([self._rows[name].row(int(i), LEVEL_1) for i in chosen]).astype(np.int64))

    def batch(self, step: int) -> torch.Tensor:
        """Batch `step` of the present ratios: this worker's rows, (B / world, T) int64."""
        share = self._batch_size // self._world
        first = (step % BLOCK) * self._batch_size
        rows = []
        for slot in range(self._rank * share, (self._rank + 1) * share):
            source = int(self._plan[first + slot])
            name = self._names[source]
            index = self._before[name] + int(self._read_in_stage(step, slot)[source])
            rows.append(self._rows[name].row(index, self._levels))
        return torch.from_numpy(np.stack(rows).astype(np.int64))

    def next(self) -> torch.Tensor:
        batch = self.batch(self._step)
        self._step += 1
        return batch

    def state(self) -> dict[str, Any]:
        return {"before": dict(self._before), "step": self._step, "mix": dict(self.mix)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go to a saved place; the stage's synthetic levels must have been set by start_stage."""
        self._begin(state["mix"])
        self._before, self._step = dict(state["before"]), int(state["step"])


def _spread(shares: list[float], slots: int) -> np.ndarray[Any, Any]:
    """Assign `slots` to sources in proportion (largest remainder) and evenly: slot -> index of its source."""
    wanted = np.asarray(shares) * slots
    counts = np.floor(wanted + 1e-9).astype(int)
    for index in np.argsort(-(wanted - counts), kind="stable")[: slots - counts.sum()]:
        counts[index] += 1
    places = np.concatenate([(np.arange(n) + 0.5) / n for n in counts if n])
    owners = np.concatenate([np.full(n, i) for i, n in enumerate(counts)])
    return owners[np.argsort(places, kind="stable")]
