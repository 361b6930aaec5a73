"""Data mixing (data loader): batches of rows from several sources, by ratios.

In: the rows of each source (text_rows.py, synthetic_rows.py), the ratios of a stage. Out: batches of tokens, with
batch t a plain function of (seed, stage, t): nothing is replayed or buffered, and a run that resumes at step t reads
batch t. A checkpoint keeps how many rows of each source had been read when the present ratios began, these, and t.

The ratios are stratified, not drawn: over every block of BLOCK batches they hold to one row, over any number of blocks
to two, and within a block each source's rows are spread evenly, so one batch is composed almost like the next.

With `max_epochs` a source that has been read so often leaves the mix, and the others share its place in proportion.
A stage may be given less of a source than that, so that later stages find some (`limits` of `start_stage`).

B rows of a batch, T tokens of a row, S sources of the mix.
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
    """Raised when every source of the mix has been read `max_epochs` times."""


@dataclass(frozen=True)
class _Block:
    """The rows of BLOCK consecutive batches of the present ratios."""

    number: int
    source: Counts  # (BLOCK * B,) the source of each row
    nth: Counts  # (BLOCK * B,) which of the source's rows, counted since these ratios began
    rows_before: Counts  # (BLOCK, S) rows of each source read before each batch, counted likewise


class Mixer:
    """Batches of rows by ratio; of each batch, the share of worker `rank` of `world_size`."""

    def __init__(
        self,
        rows: Mapping[str, Rows],
        batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        max_epochs: float = math.inf,
    ) -> None:
        """Raises BadInput for a batch that the workers cannot share, and for epochs that allow no row."""
        problems = []
        if batch_size < 1 or world_size < 1 or batch_size % world_size:
            problems.append(
                f"a batch of {batch_size} rows cannot be shared by {world_size} workers: use a multiple of {world_size}"
            )
        if not 0 <= rank < max(world_size, 1):
            problems.append(f"worker {rank} of {world_size} does not exist: ranks are counted from 0")
        if not max_epochs > 0:
            problems.append(f"max_epochs = {max_epochs} must be above 0")
        if problems:
            raise BadInput(problems)
        self._rows, self._batch_size, self._rank, self._world_size = rows, batch_size, rank, world_size
        self._before: dict[str, int] = dict.fromkeys(rows, 0)  # rows read before the present ratios began
        self._passed_over: dict[str, int] = {}  # rows, over all stages, that were not trained on
        self._max_rows = {n: max_epochs * r.count for n, r in rows.items() if isinstance(r, TextRows)}
        self._limits: dict[str, float] = dict(self._max_rows)  # rows of each source, at the present stage's end
        self._step = 0
        self._levels: Levels = LEVEL_1
        self.mix: dict[str, float] = {}  # the present ratios

    def start_stage(
        self, mix: Mapping[str, float], levels: Levels = LEVEL_1, limits: Mapping[str, float] | None = None
    ) -> None:
        """Change ratios and synthetic levels; every source continues with its next row, and steps count from 0 again.

        limits: rows of a source, counted over all stages, at which it leaves this stage's mix; default: `max_epochs`.
        Raises BadInput with all problems of the ratios and levels.
        """
        problems = [*mix_problems(mix, "mix", list(self._rows)), *level_problems(levels)]
        if problems:
            raise BadInput(problems)
        self._limits = {name: min(rows, (limits or {}).get(name, math.inf)) for name, rows in self._max_rows.items()}
        self._begin(mix, levels)

    def continue_from(self, rows: Mapping[str, int], passed_over: Mapping[str, int]) -> None:
        """Begin each source behind so many rows, before the first stage; so many of them were passed over."""
        known = {name: count for name, count in rows.items() if name in self._before}
        self._before, self._passed_over = self._before | known, {n: c for n, c in passed_over.items() if n in known}

    def pass_over(self, batches: int) -> dict[str, int]:
        """Go on without the next `batches` of the present ratios; returns the rows of each source in them."""
        before = self.rows_read()
        self._step += batches
        rows = {name: count - before[name] for name, count in self.rows_read().items() if count > before[name]}
        self._passed_over |= {name: self._passed_over.get(name, 0) + count for name, count in rows.items()}
        return rows

    def _begin(self, mix: Mapping[str, float], levels: Levels) -> None:
        """Start counting steps from 0 with these ratios."""
        if self._step:
            self._before = self.rows_read()
        self.mix, self._names, self._levels, self._step = dict(mix), list(mix), levels, 0
        exact = np.asarray(list(mix.values())) * (BLOCK * self._batch_size)  # rows of each source in a block
        self._certain = np.floor(exact + 1e-9).astype(np.int64)  # of these, the rows it has in every block
        rest = BLOCK * self._batch_size - int(self._certain.sum())
        line = np.minimum(np.cumsum(np.maximum(exact - self._certain, 0)), rest)
        self._line = np.concatenate([line[:-1], [rest]])  # the fractions of a row that sources lack, end to end
        self._block: _Block | None = None

    def leave_out_exhausted(self) -> list[str]:
        """Take the sources of which the next batch would read more than the stage may have out of the mix.

        Returns their names. The others keep their proportions. Raises Exhausted when none is left.
        """
        exhausted: list[str] = []
        while True:
            after = self.rows_read(1)
            over = [name for name in self._names if after[name] > self._limits.get(name, math.inf)]
            if not over:
                return exhausted
            exhausted += over
            others = {name: share for name, share in self.mix.items() if name not in over}
            if not others:
                raise Exhausted
            self._begin({name: share / sum(others.values()) for name, share in others.items()}, self._levels)

    def _read_in_blocks(self, count: int) -> Counts:
        """(S,) rows of each source in the first `count` blocks.

        A block's rows beyond the certain ones are dealt by systematic sampling (Madow 1949): the line of the sources'
        fractions is cut at whole numbers, and a source that is cut gets a row. From block to block the line moves by
        the golden ratio, whose multiples leave each source within O(log blocks) rows of its share (Niederreiter,
        "Random Number Generation and Quasi-Monte Carlo Methods", 1992, theorem 3.3): one or two rows in a run.
        """
        if self._line[-1] == 0:
            return count * self._certain
        shifts = np.arange(1, count + 1) * GOLDEN % 1
        cuts = np.floor(self._line[:, None] + shifts).sum(axis=1)
        return count * self._certain + np.diff(cuts, prepend=0).astype(np.int64)

    def _block_at(self, number: int) -> _Block:
        """Block `number`; the newest one is kept."""
        block = self._block
        if block is None or block.number != number:
            before = self._read_in_blocks(number)
            source = _spread(self._read_in_blocks(number + 1) - before)
            so_far = np.cumsum(source[:, None] == np.arange(len(before)), axis=0)  # (BLOCK * B, S)
            nth = before[source] + np.take_along_axis(so_far, source[:, None], axis=1)[:, 0] - 1
            after_batch = so_far[self._batch_size - 1 :: self._batch_size]  # (BLOCK, S)
            before_batch = np.concatenate([np.zeros_like(after_batch[:1]), after_batch[:-1]])
            block = _Block(number, source, nth, before + before_batch)
            self._block = block
        return block

    def rows_read(self, more: int = 0) -> dict[str, int]:
        """Rows of each source up to the present place, over all stages, those passed over among them.

        With `more` batches of the present ratios.
        """
        if not self.mix:  # no stage has begun
            return dict(self._before)
        number, batch = divmod(self._step + more, BLOCK)
        counts = self._block_at(number).rows_before[batch] if batch else self._read_in_blocks(number)
        read = dict(zip(self._names, counts.tolist(), strict=True))
        return {name: count + read.get(name, 0) for name, count in self._before.items()}

    def rows_trained(self) -> dict[str, int]:
        """Rows of each source that have been trained on: all up to the present place but those passed over."""
        return {name: count - self._passed_over.get(name, 0) for name, count in self.rows_read().items()}

    def rows_left(self) -> dict[str, float]:
        """Rows of each tokenised source that may still be read within `max_epochs`."""
        read = self.rows_read()
        return {name: max(rows - read[name], 0.0) for name, rows in self._max_rows.items()}

    def epochs(self) -> dict[str, float]:
        """How often each tokenised source has been read so far, 1.0 for once as a whole."""
        counts = {n: r.count for n, r in self._rows.items() if isinstance(r, TextRows)}
        read = self.rows_trained()
        return {name: read[name] / count for name, count in counts.items()}

    def already_read(self, name: str, count: int) -> torch.Tensor | None:
        """Up to `count` rows (n, T) of a tokenised source among those read so far, evenly spread; None without any."""
        read = self.rows_read()[name]
        if not read or not isinstance(self._rows[name], TextRows):
            return None
        chosen = np.unique(np.linspace(0, read - 1, min(count, read)).astype(int))
        return torch.from_numpy(np.stack([self._rows[name].row(int(i), LEVEL_1) for i in chosen]).astype(np.int64))

    def batch(self, step: int) -> torch.Tensor:
        """Batch `step` of the present ratios: this worker's rows, (B / world_size, T) int64."""
        number, batch = divmod(step, BLOCK)
        block, share = self._block_at(number), self._batch_size // self._world_size
        first = batch * self._batch_size + self._rank * share
        places = slice(first, first + share)
        rows = []
        for source, nth in zip(block.source[places].tolist(), block.nth[places].tolist(), strict=True):
            name = self._names[source]
            rows.append(self._rows[name].row(self._before[name] + nth, self._levels))
        tokens = np.empty((share, len(rows[0])), dtype=np.int64)  # np.stack takes twice the time of short rows
        for place, row in enumerate(rows):
            tokens[place] = row
        return torch.from_numpy(tokens)

    def next(self) -> torch.Tensor:
        """The batch of the present step; the next call returns the one after it."""
        batch = self.batch(self._step)
        self._step += 1
        return batch

    def state(self) -> dict[str, Any]:
        """The place, for a checkpoint."""
        return {
            "before": dict(self._before),
            "step": self._step,
            "mix": dict(self.mix),
            "levels": list(self._levels),
            "limits": {name: rows for name, rows in self._limits.items() if math.isfinite(rows)},
            "passed_over": dict(self._passed_over),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go to a saved place. Raises BadInput for a place that counts rows of other sources."""
        problems = list(mix_problems(state["mix"], "saved mix", list(self._rows)))
        if state["before"].keys() != self._before.keys():
            problems.append(
                f"the saved place counts rows of {', '.join(state['before'])}, not of "
                f"{', '.join(self._before)}: use the sources that the run began with"
            )
        if problems:
            raise BadInput(problems)
        self._limits = self._max_rows | state["limits"]
        self._begin(state["mix"], tuple(state["levels"]))
        self._before, self._step = dict(state["before"]), int(state["step"])
        self._passed_over = dict(state.get("passed_over", {}))  # older checkpoints have none


def _spread(counts: Counts) -> Counts:
    """(rows,) the source of each row, `counts` of each in all, every source's spread evenly."""
    places = np.concatenate([(np.arange(n) + 0.5) / n for n in counts if n])
    owners = np.repeat(np.arange(len(counts)), counts)
    return owners[np.argsort(places, kind="stable")]
