"""Ratios of sources -> batches of tokens (B, T), with batch t a plain function of (seed, stage, t).

Nothing is replayed or buffered: a run that stood at step t reads batch t, whoever asks and however often. All
that a checkpoint keeps of the data is how many rows of each source had been read when the present ratios began.

A row is T consecutive tokens of one source (rows.py); rows are read in a seeded order, none twice before the source
is exhausted, then in a new order. The ratios are stratified, not drawn: over every block of BLOCK batches they hold
to one row, over any number of blocks to two, and within a block each source's rows are spread evenly, so one batch is
composed almost like the next.

With `max_epochs` a source that has been read so often leaves the mix, and the others share its place in proportion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hamner.config.checks import mix_problems
from hamner.config.errors import BadInput
from hamner.data.synthetic_rows import LEVEL_1, Levels, level_problems
from hamner.data.text_rows import Rows, TextRows

BLOCK = 100  # batches over which the ratios hold to one row
GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples fill [0, 1) as evenly as can be

Counts = npt.NDArray[np.int64]


class Exhausted(Exception):
    """Every source of the mix has been read `max_epochs` times."""


@dataclass(frozen=True)
class _Block:
    """What BLOCK batches of the present ratios are made of. B rows a batch, S sources."""

    number: int
    source: Counts  # (BLOCK * B,) the source of each row
    nth: Counts  # (BLOCK * B,) which of the source's rows, counted from the beginning of these ratios
    read: Counts  # (BLOCK, S) rows of each source before each batch, counted likewise


class Mixer:
    """Draws batches from rows by ratio. `rank` of `world` workers gets its share of each batch."""

    def __init__(
        self, rows: Mapping[str, Rows], batch_size: int, *, rank: int = 0, world: int = 1, max_epochs: float = math.inf
    ) -> None:
        """Raises BadInput for a batch that the workers cannot share, and for epochs that allow no row."""
        problems = []
        if batch_size < 1 or world < 1 or batch_size % world:
            problems.append(f"a batch of {batch_size} rows cannot be shared by {world} workers")
        if not 0 <= rank < max(world, 1):
            problems.append(f"worker {rank} of {world} does not exist; workers are counted from 0")
        if not max_epochs > 0:
            problems.append(f"max_epochs = {max_epochs} must be above 0")
        if problems:
            raise BadInput(problems)
        self._rows, self._batch_size, self._rank, self._world = rows, batch_size, rank, world
        self._before: dict[str, int] = dict.fromkeys(rows, 0)  # rows read before the present ratios began
        self._most = {n: max_epochs * r.count for n, r in rows.items() if isinstance(r, TextRows)}
        self._step = 0
        self._levels: Levels = LEVEL_1
        self.mix: dict[str, float] = {}  # the present ratios

    def start_stage(self, mix: Mapping[str, float], levels: Levels = LEVEL_1) -> None:
        """Change ratios and synthetic levels; every source goes on where it stood. Step counts from 0 again.

        Raises BadInput, with all problems, for ratios or levels that are none, and for a source there are no rows of.
        """
        problems = [*mix_problems(mix, "mix", list(self._rows)), *level_problems(levels)]
        if problems:
            raise BadInput(problems)
        self._begin(mix, levels)

    def _begin(self, mix: Mapping[str, float], levels: Levels) -> None:
        if self._step:
            self._before = self.rows_read()
        self.mix, self._names, self._levels, self._step = dict(mix), list(mix), levels, 0
        wanted = np.asarray(list(mix.values())) * (BLOCK * self._batch_size)
        self._sure = np.floor(wanted + 1e-9).astype(np.int64)  # rows of each source in every block
        left = BLOCK * self._batch_size - int(self._sure.sum())
        lacking = np.minimum(np.cumsum(np.maximum(wanted - self._sure, 0)), left)
        self._line = np.concatenate([lacking[:-1], [left]])  # what each source lacks in a block, end to end
        self._block: _Block | None = None

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
            self._begin({name: share / sum(left.values()) for name, share in left.items()}, self._levels)

    def _read_in_blocks(self, count: int) -> Counts:
        """(S,) rows of each source in the first `count` blocks.

        A block's rows beyond the sure ones are dealt by systematic sampling (Madow 1949): the line of what each
        source lacks is cut at whole numbers, and who is cut gets a row. From block to block the line moves on by the
        golden ratio, whose multiples leave each source within O(log blocks) rows of its share (Niederreiter, "Random
        Number Generation and Quasi-Monte Carlo Methods", 1992, theorem 3.3): one or two in any run there will be.
        """
        if self._line[-1] == 0:
            return count * self._sure
        moved = np.arange(1, count + 1) * GOLDEN % 1
        cuts = np.floor(self._line[:, None] + moved).sum(axis=1)
        return count * self._sure + np.diff(cuts, prepend=0).astype(np.int64)

    def _of_block(self, number: int) -> _Block:
        block = self._block
        if block is None or block.number != number:
            before = self._read_in_blocks(number)
            source = _spread(self._read_in_blocks(number + 1) - before)
            taken = np.cumsum(source[:, None] == np.arange(len(before)), axis=0)
            nth = before[source] + np.take_along_axis(taken, source[:, None], axis=1)[:, 0] - 1
            ends = taken[self._batch_size - 1 :: self._batch_size]
            block = _Block(number, source, nth, before + np.concatenate([np.zeros_like(ends[:1]), ends[:-1]]))
            self._block = block
        return block

    def rows_read(self, more: int = 0) -> dict[str, int]:
        """Rows of each source read so far, over all stages; with `more` batches of the present ratios."""
        number, batch = divmod(self._step + more, BLOCK)
        read = self._of_block(number).read[batch] if batch else self._read_in_blocks(number)
        here = dict(zip(self._names, read.tolist(), strict=True))
        return {name: count + here.get(name, 0) for name, count in self._before.items()}

    def epochs(self) -> dict[str, float]:
        """How often each tokenised source has been read through so far."""
        counts = {n: r.count for n, r in self._rows.items() if isinstance(r, TextRows)}
        read = self.rows_read()
        return {name: read[name] / count for name, count in counts.items()}

    def already_read(self, name: str, count: int) -> torch.Tensor | None:
        """Up to `count` rows (n, T) of a tokenised source among those read so far, evenly spread."""
        read = self.rows_read()[name]
        if not read or not isinstance(self._rows[name], TextRows):
            return None
        chosen = np.unique(np.linspace(0, read - 1, min(count, read)).astype(int))
        return torch.from_numpy(np.stack([self._rows[name].row(int(i), LEVEL_1) for i in chosen]).astype(np.int64))

    def batch(self, step: int) -> torch.Tensor:
        """Batch `step` of the present ratios: this worker's rows, (B / world, T) int64."""
        number, batch = divmod(step, BLOCK)
        block, share = self._of_block(number), self._batch_size // self._world
        first = batch * self._batch_size + self._rank * share
        mine = slice(first, first + share)
        rows = []
        for source, nth in zip(block.source[mine].tolist(), block.nth[mine].tolist(), strict=True):
            name = self._names[source]
            rows.append(self._rows[name].row(self._before[name] + nth, self._levels))
        tokens = np.empty((share, len(rows[0])), dtype=np.int64)  # np.stack takes twice the time of short rows
        for place, row in enumerate(rows):
            tokens[place] = row
        return torch.from_numpy(tokens)

    def next(self) -> torch.Tensor:
        batch = self.batch(self._step)
        self._step += 1
        return batch

    def state(self) -> dict[str, Any]:
        return {"before": dict(self._before), "step": self._step, "mix": dict(self.mix), "levels": list(self._levels)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue at a saved place. Raises BadInput when it was saved with other sources."""
        problems = list(mix_problems(state["mix"], "saved mix", list(self._rows)))
        if state["before"].keys() != self._before.keys():
            problems.append(
                f"the saved place counts rows of {', '.join(state['before'])}, these are of "
                f"{', '.join(self._before)}: go on with the sources the run began with"
            )
        if problems:
            raise BadInput(problems)
        self._begin(state["mix"], tuple(state["levels"]))
        self._before, self._step = dict(state["before"]), int(state["step"])


def _spread(counts: Counts) -> Counts:
    """(rows,) the source of each row, `counts` of each in all, every source's spread evenly."""
    places = np.concatenate([(np.arange(n) + 0.5) / n for n in counts if n])
    owners = np.repeat(np.arange(len(counts)), counts)
    return owners[np.argsort(places, kind="stable")]
