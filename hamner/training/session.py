"""Training session: what opens, resumes, feeds, measures, checkpoints and closes any training run.

A tournament's run, a curriculum's worker and a fine-tuning are each written with a session:

    session = Session(setup, data, folder)
    session.register("progress", progress.state, progress.load_state)    # survives a kill
    session.every(50, log_row)                                           # is periodic
    session.resume()
    while not over:
        row = session.step()
        session.run_periodic(row)
    session.close()

Whoever owns a value that must survive a kill registers it once. Whatever is periodic is a row (every, action).

Data in: a folder of token shards with their tokenizer (data/corpus.py). Data out: FOLDER/checkpoints/step_*, and
FOLDER/.step, which tells a later start how many steps a kill cost.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from hamner.config.errors import BadInput
from hamner.config.schema import Compute, ModelConfig, Optimizer, ParameterGroup
from hamner.data.corpus import Corpus
from hamner.data.mixer import Mixer
from hamner.data.prefetch import PrefetchingMixer
from hamner.data.text_rows import Rows, training_rows
from hamner.data.tokenizer import Tokenizer
from hamner.model.distributed import broadcast_object, rank, world_size
from hamner.model.transformer import Hamner, build
from hamner.runs.folders import step_folders
from hamner.runs.resume_log import StepFile
from hamner.training import checkpoint
from hamner.training.checkpoint import Checkpoint
from hamner.training.checkpoint_writer import CheckpointWriter, checkpoint_interval, must_be_on_disk
from hamner.training.compilation import should_compile
from hamner.training.throughput import ThroughputMeter
from hamner.training.trainer import Objective, Trainer

Row = dict[str, Any]  # one step's numbers, as Trainer.step returns them, and what is added to them
Action = Callable[[Row], None]
JsonState = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a training is made of; equal setups on equal data train to the same bits."""

    model: ModelConfig
    seed: int  # of the weights
    optimizer: Optimizer
    compute: Compute
    threads: int  # of this process
    sources: Sequence[str]
    data_order_seed: int | None = None  # None: the corpus's own
    batch_size: int  # rows, over all workers
    seq_len: int  # tokens of a row
    gradient_accumulation_steps: int = 1
    activation_checkpointing: bool = False
    groups: Sequence[ParameterGroup] = ()
    max_skipped: int = 0  # consecutive non-finite steps that are tolerated
    max_epochs: float = float("inf")  # of each source
    expected_tokens: float = 0.0  # of this worker; decides whether compiling pays
    checkpoint_every: int = 1000  # steps that a kill may cost
    prefetch: bool = False  # draw the next batch in a thread
    objective: Callable[[Hamner], nn.Module] = Objective  # the training loss


class Periodic(NamedTuple):
    """A duty that comes due when the global step is a multiple of `every`."""

    every: int
    action: Action
    at_end: bool  # also at the end of a stage or round, whatever the step


class Owned(NamedTuple):
    """A value that survives a kill: how to read it, and how to put it back."""

    state: Callable[[], JsonState]
    load: Callable[[JsonState], None]


class OwnedTensors(NamedTuple):
    """The same for a group of named tensors."""

    tensors: Callable[[], Mapping[str, Tensor]]
    load: Callable[[Mapping[str, Tensor]], None]


class Session:
    """One training run in one folder. Within a torch.distributed group every worker has one; rank 0's writes."""

    def __init__(
        self,
        setup: Setup,
        data: Path,
        folder: Path,
        *,
        attempt: int = 1,
        say: Callable[[str], None] = print,
        more_rows: Mapping[str, Rows] | None = None,
    ) -> None:
        """Open text and tokenizer from `data` and build model, batches and optimizer, at step 0.

        attempt: how many times the run has been started, this one included. more_rows: those of sources that are not
        in the text, such as conversations. Raises BadInput.
        """
        self.setup, self.folder, self._say = setup, folder, say
        self.rank, self.world_size = rank(), world_size()
        self.tokenizer = Tokenizer.load(data)
        self.corpus = Corpus(data, self.tokenizer.sha256)
        self.trainer = self._new_trainer(more_rows or {})
        self.meter = self._new_meter()
        self._step_file = StepFile(folder, attempt)
        self._writer = CheckpointWriter()
        self._is_checkpoint_requested = False
        self._periodic: list[Periodic] = []
        self._owned: dict[str, Owned] = {}
        self._owned_tensors: dict[str, OwnedTensors] = {}

    def _new_trainer(self, more_rows: Mapping[str, Rows]) -> Trainer:
        setup = self.setup
        rows = training_rows(self.corpus, self.tokenizer, list(setup.sources), setup.seq_len, setup.data_order_seed)
        rows |= more_rows
        kind = PrefetchingMixer if setup.prefetch else Mixer
        mixer = kind(rows, setup.batch_size, rank=self.rank, world_size=self.world_size, max_epochs=setup.max_epochs)
        return Trainer(
            build(setup.model, setup.seed, activation_checkpointing=setup.activation_checkpointing),
            mixer,
            setup.optimizer,
            setup.compute,
            gradient_accumulation_steps=setup.gradient_accumulation_steps,
            groups=setup.groups,
            max_skipped=setup.max_skipped,
            objective=setup.objective,
            compiled=should_compile(setup.compute, setup.model, setup.seq_len, setup.expected_tokens, setup.threads),
        )

    def _new_meter(self) -> ThroughputMeter:
        return ThroughputMeter(self.setup.compute, self.setup.model, self.setup.seq_len, self.trainer.tokens_total)

    # -- what survives a kill, and what is periodic

    def register(self, name: str, state: Callable[[], JsonState], load: Callable[[JsonState], None]) -> None:
        """Keep an owner's JSON state in every checkpoint. On resume states are loaded in the order of registration."""
        self._owned[name] = Owned(state, load)

    def register_tensors(
        self, group: str, tensors: Callable[[], Mapping[str, Tensor]], load: Callable[[Mapping[str, Tensor]], None]
    ) -> None:
        """Keep an owner's tensors in every checkpoint, in a file of their own. They are loaded after all states."""
        self._owned_tensors[group] = OwnedTensors(tensors, load)

    def every(self, steps: int, action: Action, *, at_end: bool = False) -> None:
        """Run `action` with the step's row whenever the global step is a multiple of `steps`."""
        self._periodic.append(Periodic(steps, action, at_end))

    def run_periodic(self, row: Row, *, at_end: bool = False) -> None:
        """Run the duties that are due after this step; at the end of a stage or round, those that belong there."""
        for duty in self._periodic:
            if duty.at_end if at_end else self.global_step % duty.every == 0:
                duty.action(row)

    # -- one step

    @property
    def global_step(self) -> int:
        return self.trainer.step_count

    def step(self, rate_scale: float = 1.0) -> Row:
        """Train one step and return its row. Raises Diverged, and what writing the checkpoint before raised."""
        began = time.perf_counter()
        row: Row = dict(self.trainer.step(rate_scale))
        self.meter.add(time.perf_counter() - began)
        if must_be_on_disk(self.global_step, self.setup.checkpoint_every):
            self._writer.wait()
        if self.rank == 0:
            self._step_file.mark(self.global_step)
        return row

    def cost(self) -> dict[str, float]:
        """Return tokens per second, MFU, share of time waiting for data and peak memory since the last call."""
        return self.meter.read(self.trainer.tokens_total, self.trainer.data_wait_seconds)

    # -- checkpoints

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def resume(self, *, may_restart: bool = False) -> Checkpoint | None:
        """Continue from the newest whole checkpoint; return it, or None for a run that has none.

        Every worker continues from the one rank 0 sees. Raises BadInput when there are checkpoints but none is
        whole, unless the run `may_restart` from step 0 then.
        """
        newest = self._newest(may_restart)
        if newest:
            self.load(newest)
        self.meter = self._new_meter()
        return newest

    def log_resume(self, log: Path, **facts: object) -> None:
        """Append to `log` what a kill cost, if it cost a step or this start is another one."""
        if self.rank == 0:
            self._step_file.log_resume(log, self.global_step, **facts)

    def _newest(self, may_restart: bool) -> Checkpoint | None:
        name, newest = "", None
        if self.rank == 0:
            checkpoint.put_back(self.checkpoints)  # first: below, names are compared
            newest = checkpoint.newest(self.checkpoints, self._say, complete=True)
            paths = step_folders(self.checkpoints)
            name = newest.path.name if newest else "none" if paths and not may_restart else ""
            if paths and not name:
                self._say(f"no checkpoint in {self.checkpoints} is whole: its run begins again at step 0")
            for path in paths if name != "none" else ():
                if path.name > name:
                    _move_aside(path)  # torn: out of the way of those to come
        name = broadcast_object(name)
        if name == "none":
            problem = f"no checkpoint in {self.checkpoints} is whole: begin a new run, with --from a checkpoint that is"
            self._say(problem)
            raise BadInput(problem)
        return newest or (checkpoint.load(self.checkpoints / name) if name else None)

    def load(self, saved: Checkpoint) -> None:
        """Continue exactly where a checkpoint of this run stands. Raises BadInput for one of an older version."""
        missing = [name for name in self._owned if name not in saved.state]
        if missing:
            raise BadInput(
                f"{saved.path} was written by an older version, which kept no {', '.join(missing)}: start a new run, "
                f"with --from {saved.path} to begin with its weights"
            )
        self.trainer.load(saved, saved.state["trainer"])
        for name, owned in self._owned.items():
            owned.load(saved.state[name])
        for group, owned_tensors in self._owned_tensors.items():
            owned_tensors.load(saved.tensors(group, self.setup.compute.device))

    def contents(self) -> tuple[dict[str, Mapping[str, Tensor]], dict[str, Any], ModelConfig, Tokenizer]:
        """Return what a checkpoint of this moment holds, as checkpoint.save takes it."""
        state = {"run": self.folder.name, "step": self.global_step, "trainer": self.trainer.state()}
        state |= {name: dict(owned.state()) for name, owned in self._owned.items()}
        tensors: dict[str, Mapping[str, Tensor]] = dict(self.trainer.tensors())
        tensors |= {group: owned.tensors() for group, owned in self._owned_tensors.items()}
        return tensors, state, self.setup.model, self.tokenizer

    def every_checkpoint(self) -> None:
        """Make checkpoints periodic: often enough that a kill costs at most `checkpoint_every` steps."""
        self.every(checkpoint_interval(self.setup.checkpoint_every), self.request_checkpoint)

    def request_checkpoint(self, row: Row | None = None) -> None:
        """Ask for a checkpoint after this step; however many ask, one is written."""
        self._is_checkpoint_requested = True

    def take_checkpoint_request(self) -> bool:
        """Return whether a checkpoint was requested since the last call."""
        requested, self._is_checkpoint_requested = self._is_checkpoint_requested, False
        return requested

    def save(
        self,
        *,
        wait: bool = False,
        before: Callable[[Path], None] = lambda folder: None,
        after: Callable[[Path], None] = lambda folder: None,
    ) -> None:
        """Write a checkpoint beside training, at once if it must be on disk before the next step.

        before, after: called with the folder of checkpoints in the writing thread, to prune it.
        """
        if self.rank != 0:
            return
        folder = self.checkpoints
        path = folder / checkpoint.step_name(self.global_step)
        self._writer.write(path, *self.contents(), before=lambda: before(folder), after=lambda: after(folder))
        if wait or must_be_on_disk(self.global_step, self.setup.checkpoint_every):
            self._writer.wait()

    def wait(self) -> None:
        """Wait until no checkpoint is being written. Raises what writing raised."""
        self._writer.wait()

    def close(self) -> None:
        """Wait for the checkpoint being written. Raises what writing raised."""
        try:
            self.wait()
        finally:
            self._step_file.close()


def _move_aside(path: Path) -> None:
    aside = path.with_name(f"corrupt_{path.name}")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
