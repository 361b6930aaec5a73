"""One run of a contestant, without Ray: train to the next checkpoint, evaluate at the round's end.

Told on training/session.py. Data in: the league's text and one contestant. Data out, in the run's folder: metrics.csv,
TensorBoard curves and checkpoints. Opened again after a kill, a run continues from its newest checkpoint; batch t
depends on (seed, t) alone, so nothing else is needed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from hamner.config.memory import allocator_fraction
from hamner.config.schema import Config
from hamner.evaluation.heldout import Stretch
from hamner.runs.metrics import Metrics
from hamner.runs.stopping import STOP
from hamner.runs.tensorboard import Curves
from hamner.training import checkpoint
from hamner.training.checkpoint_writer import checkpoint_due
from hamner.training.out_of_memory import OUT_OF_MEMORY, memory_errors
from hamner.training.session import Row, Session, Setup
from hamner.training.throughput import peak_gib, reset_peak_memory
from hamner.training.trainer import Diverged, Trainer
from tournament.budget import Budget
from tournament.compilation import league_compute
from tournament.entrants import Contestant, flops_per_token
from tournament.evaluation import Evaluator, ranking_stretch
from tournament.gpu_memory import MemoryPlan, first_memory_plan
from tournament.hparams import contestant_of, hparams
from tournament.memory_fallbacks import FILE_NAME, MemoryFallbacks
from tournament.round_progress import Evaluation, RoundProgress

FIELDS = (
    "step",
    "round",
    "loss",
    "balance_loss",
    "gradient_norm",
    "learning_rate",
    "tokens_per_second",
    "mfu",
    "data_wait",
    "peak_gib",
    "tokens_total",
    "heldout_loss",
    "heldout_loss_of_grid",
)
LAYOUT = {  # charts that TensorBoard draws of all contestants, under Custom Scalars: the tags are regular expressions
    "tournament": {
        "learning curves: held-out loss, nats per token": ["Multiline", [r"^heldout/loss_of_grid$"]],
        "held-out loss that ranks, at the ends of rounds": ["Multiline", [r"^heldout/loss$"]],
        "training loss": ["Multiline", [r"^train/loss$"]],
        "tokens per second": ["Multiline", [r"^speed/tokens_per_second$"]],
    }
}
T = TypeVar("T")


class Stopped(Exception):
    """The league was asked to stop; the run stands at a checkpoint."""


def seed_of(config: Config, index: int) -> int:
    """Return the seed that a seed index stands for, the same for all contestants; index 0 is the config's own."""
    if index == 0:
        return config.seed
    return int.from_bytes(hashlib.blake2b(f"{config.seed}/{index}".encode(), digest_size=7).digest())


class Training:
    """A run, its progress in the round and its memory plan."""

    def __init__(
        self,
        config: Config,
        league: Path,
        folder: Path,
        contestant: Contestant,
        seed: int,
        budget: Budget,
        rate: float,
        attempt: int = 1,
        fallbacks: Path | None = None,
        first_plan: MemoryPlan | None = None,
        on_batch: Callable[[], None] = lambda: None,
        stretch: Stretch | None = None,
    ) -> None:
        """Open the run, at step 0 or where its newest checkpoint stands. Raises as advance does.

        league: folder of the tournament, for its data. seed: index. rate: as trained with, lr_scale included.
        attempt: how many times the league has been started, this one included. fallbacks: the file that remembers
        what was tried when memory ran out, if not one in `folder`. first_plan: instead of the one estimated.
        on_batch: called before each training step. stretch: of the held-out text it is evaluated on, if not that of the
        ranking.
        """
        self.config, self.folder, self.contestant, self.budget = config, folder, contestant, budget
        self._league, self._rate, self._seed, self._attempt = league, rate, seed_of(config, seed), attempt
        self._flops = flops_per_token(config, {"": contestant})[""]
        self._on_batch, self._stretch = on_batch, stretch or ranking_stretch(config)
        self._first_round = contestant.schedule.get(seed)  # None: a run that is none of the league's
        self._lines: list[str] = []  # to be said where the league is shown
        plan = first_plan or first_memory_plan(contestant.model, config)
        self.memory = MemoryFallbacks(fallbacks or folder / FILE_NAME, plan, config)
        self._session: Session | None = None
        self._curves: Curves | None = None
        reset_peak_memory(config.compute.device)
        self._within_memory(self._open)
        self.session.log_resume(league / "resume.jsonl", contestant=folder.relative_to(league).as_posix())

    def _open(self) -> None:
        """Build the model by the memory plan and put it where the newest checkpoint stands, or at step 0."""
        settings, plan = self.config.tournament, self.memory.plan
        self._limit_card(plan)
        session = Session(
            self._setup(plan), self._league / "data", self.folder, attempt=self._attempt, say=self._lines.append
        )
        session.trainer.mixer.start_stage(self.contestant.mix or settings.mix)
        session.trainer.begin(self._rate, settings.warmup_steps)
        self.evaluator = Evaluator(
            self.config,
            session.corpus,
            session.tokenizer,
            settings.batch_size // plan.gradient_accumulation_steps,
            self._stretch,
        )
        session.register("progress", lambda: self.progress.state(), lambda state: self.progress.load_state(state))
        self._session = session
        self.progress = RoundProgress(Evaluation(0.0, {}, 0, 1, 0.0))
        if not session.resume(may_restart=True):
            self.progress.latest = self.evaluate()
        if self._curves:
            self._curves.close()
        self._metrics = Metrics(
            self.folder, FIELDS, resume_step=session.global_step, every=settings.log_every, say=self._lines.append
        )
        self._curves = Curves(self.folder, resume_step=session.global_step, layout=LAYOUT)
        if self.folder.parent == self._league:  # a probe is no run of the league
            group = f"{contestant_of(self.folder.name)} ({self._league.name})"  # of this league alone
            self._curves.hparams(hparams(self.config, self.contestant, self._rate), group)
        if session.global_step == 0:  # so that one that fails soon has a metric in HPARAMS, too
            self._curves.row({"heldout_loss": self.progress.latest.loss}, 0)

    def _setup(self, plan: MemoryPlan) -> Setup:
        settings, compute = self.config.tournament, self.config.compute
        steps = self.budget.steps[0] if self.budget.steps else settings.steps[0]  # few train past round 1
        return Setup(
            model=self.contestant.model,
            seed=self._seed,
            data_order_seed=self._seed,
            optimizer=self.config.optimizer,
            compute=league_compute(self.config),
            threads=compute.threads,
            sources=list(self.contestant.mix or settings.mix),
            batch_size=settings.batch_size,
            seq_len=settings.seq_len,
            gradient_accumulation_steps=plan.gradient_accumulation_steps,
            activation_checkpointing=plan.activation_checkpointing,
            groups=self.contestant.groups,
            expected_tokens=steps * settings.batch_size * settings.seq_len,
            checkpoint_every=settings.checkpoint_every,
        )

    # -- running out of memory

    def _limit_card(self, plan: MemoryPlan) -> None:
        """Keep a run that needs more than its share of the card from taking its neighbours'."""
        if self.config.compute.device == "cuda":
            torch.cuda.empty_cache()
            _, card = torch.cuda.mem_get_info()
            fraction = allocator_fraction(plan.share, self.config.compute.gpu_memory_gib, card)
            torch.cuda.set_per_process_memory_fraction(fraction)

    def _within_memory(self, action: Callable[[], T]) -> T:
        """Do something; when memory runs out, take the next fallback and do it again from the newest checkpoint."""
        while True:
            try:
                with memory_errors():
                    return action()
            except OUT_OF_MEMORY as error:
                print(f"{self.folder.name}: {error}")
                if self.memory.next is None:
                    raise
                self._drop_session()
                self.memory.fall_back(self.peak_gib())
            if action != self._open:
                self._within_memory(self._open)

    def _drop_session(self) -> None:
        """Free the model's memory before it is built again."""
        session, self._session = self._session, None
        if session:
            session.close()

    # -- a round

    def advance(self, round_index: int) -> bool:
        """Train to the next checkpoint or the round's end, where the run is evaluated; return True at the end.

        Raises Stopped when the league was asked to stop, Diverged, OutOfMemoryError when no fallback is left,
        NeedsMoreOfTheCard.
        """
        return self._within_memory(lambda: self._advance(round_index))

    def _advance(self, asked_round: int) -> bool:
        progress, began = self.progress, time.perf_counter()
        round_index = self._round_on_the_way(asked_round)
        self._enter(round_index)
        if progress.is_done:
            return True
        fork = self._fork_step(round_index)
        if self.trainer.step_count == fork and progress.annealed is None:
            self._anneal_copy(round_index, began)
            return False
        is_over = self._is_over()
        row: Row = {"step": self.trainer.step_count, "round": round_index + 1}
        while not is_over:
            row = self._step()
            is_over = self._is_over()
            step = self.trainer.step_count
            if is_over or checkpoint_due(step, self.config.tournament.checkpoint_every) or step == fork:
                break
            if self._is_stop_requested():
                self._leave(row, began)
            self._write(row)
        if is_over:
            progress.latest, progress.is_done = self.evaluate(), True
            progress.other_sources = self.evaluator.other_sources(self.trainer.hamner)
            row["heldout_loss"] = progress.latest.loss
        self._write(row, is_last=is_over)
        progress.busy_seconds += time.perf_counter() - began
        self.save(is_round_over=is_over)
        return is_over and round_index == asked_round

    def _round_on_the_way(self, asked_round: int) -> int:
        """The round to play now: an earlier one where the run begins again, since its checkpoints are damaged.

        So its numbers are those that it had: what a round reports begins where the round began.
        """
        reached = self.progress.round
        if reached is None:
            return min(asked_round, asked_round if self._first_round is None else self._first_round)
        if reached >= asked_round:
            return asked_round
        return reached + 1 if self.progress.is_done else reached

    def take_lines(self) -> list[str]:
        """What there is to say of the run's files since the last call: damage, and what was done about it."""
        lines, self._lines[:] = list(self._lines), []
        return lines

    def _is_stop_requested(self) -> bool:
        return (self._league / STOP).exists()

    def _leave(self, row: Row, began: float) -> None:
        """Save and leave in the middle of a round. Raises Stopped."""
        self._write(row)
        self.progress.busy_seconds += time.perf_counter() - began
        self.save()
        self.session.wait()
        raise Stopped

    def _enter(self, round_index: int) -> None:
        """Begin a round, unless the run is in it. Raises ValueError for a round that is behind."""
        progress = self.progress
        if progress.round is not None and round_index < progress.round:
            raise ValueError(f"{self.folder.name} is in round {progress.round + 1}, not {round_index + 1}")
        if progress.round != round_index:
            progress.begin(round_index, self.trainer.step_count, self._quick_loss())

    def _is_over(self) -> bool:
        assert self.progress.round is not None
        return self.budget.is_spent(self.progress.round, self.trainer.step_count, self.progress.seconds)

    def _step(self) -> Row:
        """Train one step, and measure the held-out loss where the learning curve has a point."""
        progress, began = self.progress, time.perf_counter()
        assert progress.round is not None
        self._on_batch()
        row = self.session.step() | {"round": progress.round + 1}
        progress.seconds += time.perf_counter() - began
        progress.losses.append(row["loss"])
        step = self.trainer.step_count
        if progress.is_grid_due(step, self.budget, self.config.tournament.evaluations_per_round):
            loss = row["heldout_loss_of_grid"] = self._quick_loss()
            progress.grid.append((step, progress.seconds, loss))
        return row

    # -- a cooldown: a copy is annealed and ranked

    def _fork_step(self, round_index: int) -> int | None:
        """Return the step from which a copy is annealed; None without a cooldown."""
        if not self.config.tournament.cooldown:
            return None
        end = self.budget.steps[round_index]
        length = end - (self.budget.steps[round_index - 1] if round_index else 0)
        return end - max(1, round(self.config.tournament.cooldown * length))

    def _anneal_copy(self, round_index: int, began: float) -> None:
        """Anneal a copy to the round's end and record its loss; the run itself continues from here unchanged."""
        self.save()
        steps = self.budget.steps[round_index] - self.trainer.step_count
        for index in range(steps):
            self.trainer.step(1 - index / steps)
            if self._is_stop_requested():  # the copy is lost, the run itself is not
                self.session.wait()
                raise Stopped
        annealed = self.evaluate()
        self.session.wait()
        newest = checkpoint.newest(self.session.checkpoints)
        assert newest is not None
        self.trainer.load(newest, newest.state["trainer"])
        self.progress.annealed = annealed
        self.progress.busy_seconds += time.perf_counter() - began
        self.save()

    # -- evaluating

    def evaluate(self, factor: int = 1) -> Evaluation:
        """Return the held-out loss of the league's mix on `factor` times the config's rows. Raises Diverged."""
        return self.evaluator.evaluate(self.trainer.hamner, self.trainer.step_count, factor)

    def _quick_loss(self) -> float:
        return self.evaluator.quick_loss(self.trainer.hamner, self.trainer.step_count)

    def evaluate_on_more_rows(self, factor: int) -> None:
        """Evaluate the round's end on more held-out rows; where that fails, the earlier evaluation stands."""
        latest = self.progress.latest
        if latest.factor < factor:
            try:
                with memory_errors():
                    latest = self.evaluate(factor)
            except (Diverged, *OUT_OF_MEMORY) as error:
                print(f"{self.folder.name}: not evaluated on more rows: {error}")
            self.progress.latest = replace(latest, factor=factor)
            self.save(is_round_over=True)

    def result(self) -> dict[str, Any]:
        """Return what is reported at the end of a round: the fields of bracket.Outcome."""
        settings, trainer = self.config.tournament, self.trainer
        result = self.progress.result(
            trainer.step_count, trainer.tokens_total, settings.batch_size * settings.seq_len, self._flops
        )
        result["facts"] |= {
            "learning_rate": self._rate,
            "peak_gib": self.peak_gib(),
            "memory_fallbacks": [record["fallback"] for record in self.memory.records],
        }
        return result

    # -- writing

    def _write(self, row: Row, *, is_last: bool = False) -> None:
        step, is_measured = row["step"], row.get("heldout_loss_of_grid") is not None
        if not (is_last or is_measured or step == 1 or step % self.config.tournament.log_every == 0):
            return
        assert self._curves is not None
        row |= self.session.cost()
        self._metrics.row(row)
        self._curves.row(row, step)

    def save(self, *, is_round_over: bool = False) -> None:
        """Write a checkpoint in a thread; the one of a round's end is on disk before the round is reported."""
        keep = self.config.tournament.keep_checkpoints
        self.session.save(
            wait=is_round_over,
            before=lambda folder: checkpoint.prune(folder, keep=max(1, keep - 1)),  # disk_gib counts on this room
            after=lambda folder: checkpoint.prune(folder, keep=1 if is_round_over else keep),
        )

    @property
    def is_open(self) -> bool:
        """Whether there is a model: not between an out-of-memory error and the next process."""
        return self._session is not None

    @property
    def session(self) -> Session:
        assert self._session is not None
        return self._session

    @property
    def trainer(self) -> Trainer:
        return self.session.trainer

    def peak_gib(self) -> float:
        """Return the peak memory since the run was opened, in GiB."""
        return peak_gib(self.config.compute.device)

    def close(self) -> None:
        """Wait for the checkpoint being written and close the files. Raises what writing raised."""
        try:
            if self._session:
                self._session.close()
        finally:
            if self._curves:
                self._curves.close()
