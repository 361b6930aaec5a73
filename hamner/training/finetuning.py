"""Fine-tuning (SFT): a trained model learns to reply, from conversations and some of its own text, step by step.

Told on training/session.py, as every training is: after a kill it continues from the newest checkpoint, bit for bit.
Loss on the replies and their turn ends alone (reply_loss.py); conversations are packed, and the document mask keeps
each to itself. Every `evaluate_every` steps the held-out replies are looked at; the weights of the best look are kept
in final/, and the run ends early when no look has been better for `patience` looks.

Data in: RUN/config.json, RUN/data/ (the base's text) and RUN/conversations/. Data out: RUN/final/, RUN/finetuning.json,
metrics.csv, tensorboard/, checkpoints/.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hamner.config.load import parse
from hamner.config.memory import should_checkpoint
from hamner.config.schema import Config, ModelConfig
from hamner.data.conversation_rows import ConversationRows
from hamner.data.mixer import Exhausted
from hamner.data.preparation.corrections import KIND as FEEDBACK_KIND
from hamner.data.preparation.corrections import SOURCE as FEEDBACK
from hamner.data.sources.conversations import IDENTITY
from hamner.data.tokenizer import Tokenizer
from hamner.model.transformer import Hamner
from hamner.runs.cluster import threads_here
from hamner.runs.compile_check import as_started
from hamner.runs.files import read_json, write_json
from hamner.runs.metrics import Metrics
from hamner.runs.stopping import STOP
from hamner.runs.tensorboard import Curves
from hamner.training import checkpoint
from hamner.training.early_stopping import best_index, is_over
from hamner.training.finetuning_base import base_checkpoint
from hamner.training.finetuning_plan import FinetuningPlan, conversation_mix, feedback_mix, feedback_plan, plan
from hamner.training.reply_loss import ReplyLoss, ReplyObjective, evaluate_replies, mean_loss
from hamner.training.session import Row, Session, Setup
from hamner.training.trainer import Diverged

TEXT, CONVERSATIONS, RESULT = "data", "conversations", "finetuning.json"
KEEP_CHECKPOINTS = 2  # the newest, beside the best; one of them may be torn
MAX_SKIPPED = 20  # steps that are not finite, in a row
LOSSES = ("heldout_loss", "heldout_word_loss", "heldout_end_loss")
COSTS = ("tokens_per_second", "mfu", "peak_gib", "data_wait", "tokens_total")
FIELDS = (
    *("step", "loss", "balance_loss", *LOSSES, "learning_rate", "gradient_norm"),
    *(*COSTS, "skipped_steps", "elapsed_seconds"),
)
LAYOUT = {  # a chart that TensorBoard draws under Custom Scalars: the tags are regular expressions
    "fine-tuning": {
        "held-out replies and their turn ends, nats per token": ["Multiline", [r"^heldout/"]],
        "training loss": ["Multiline", [r"^train/loss$"]],
    }
}
Measure = Callable[[Hamner], Mapping[str, Any]]


class FinetuningRun:
    """One fine-tuning, in the folder that a command has prepared."""

    def __init__(
        self,
        folder: Path,
        *,
        config: Config | None = None,
        measure: Measure = lambda hamner: {},
        stop_requested: Callable[[], bool] | None = None,
        objective: Callable[[Hamner], nn.Module] = ReplyObjective,
        say: Callable[[str], None] = print,
    ) -> None:
        """Open the run at step 0.

        config: where it differs from the stored one in keys that change no number. measure: what else is looked at, of
        the base and of the final weights, such as the loss on other text; JSON.
        stop_requested: whether to save and leave after this step; default: the file .stop exists. objective: the
        training loss. Raises BadInput.
        """
        document = read_json(folder / "config.json")
        self.folder, self._base, self._say, self._measure = folder, document["base"], say, measure
        config = config or parse(Config, document["config"], str(folder / "config.json"))
        self.config = as_started(config, document)
        self.settings = self.config.finetuning
        self.batch_size, self._parts, _ = self.config.finetuning_batch
        torch.set_num_threads(threads_here(self.config.compute.worker_threads, self.config.compute.device))
        self.model = parse(ModelConfig, document["model"], "model")  # the base's; in training the mask is added
        self.conversations = ConversationRows(folder / CONVERSATIONS, Tokenizer.load(folder / TEXT).sha256)
        self.plan = self._plan(document["shares"])
        self.session = self._open(objective)
        self.looks: list[dict[str, Any]] = []  # at the held-out replies, one each `evaluate_every` steps
        self.start: dict[str, Any] = {}  # what the base makes of them, and what `measure` says of it
        self._earlier_seconds, self._began = 0.0, time.perf_counter()
        self._stop_requested = stop_requested or (folder / STOP).exists
        self._heldout = {
            name: self.conversations.heldout(name, self.settings.eval_sequences) for name in self.conversations.sources
        }
        self._register()

    def _plan(self, shares: Mapping[str, float]) -> FinetuningPlan:
        settings, rows = self.settings, self.conversations.counts()
        has_feedback = self.conversations.sources.get(FEEDBACK, {}).get("kind") == FEEDBACK_KIND
        others = {name: count for name, count in rows.items() if not (has_feedback and name == FEEDBACK)}
        mix = conversation_mix(shares, others, IDENTITY, settings.identity)
        trained_shares = {name: self.conversations.trained_share(name) for name in rows}
        if has_feedback:
            return feedback_plan(
                feedback_mix(mix, FEEDBACK, settings.feedback_share),
                trained_shares,
                text=self._base["read"],
                replay=settings.replay,
                steps=settings.feedback_steps,
                warmup=settings.warmup,
                evaluations=settings.evaluations,
            )
        return plan(
            mix,
            rows,
            trained_shares,
            text=self._base["read"],
            replay=settings.replay,
            epochs=settings.epochs,
            batch_size=self.batch_size,
            max_steps=settings.max_steps,
            warmup=settings.warmup,
            evaluations=settings.evaluations,
            unlimited=(IDENTITY,),
        )

    def _open(self, objective: Callable[[Hamner], nn.Module]) -> Session:
        seq_len, compute = self.conversations.seq_len, self.config.compute
        model = self.model.model_copy(update={"document_mask": True})
        setup = Setup(
            model=model,
            seed=self.config.seed,
            optimizer=self.config.optimizer,
            compute=compute,
            threads=compute.worker_threads,
            sources=[name for name in self._base["read"] if name in self.plan.mix],
            data_order_seed=self.config.seed + 1,  # not the order that the base has read
            batch_size=self.batch_size,
            seq_len=seq_len,
            gradient_accumulation_steps=self._parts,
            activation_checkpointing=should_checkpoint(
                model, compute, rows=self.batch_size, seq_len=seq_len, parts=self._parts
            ),
            max_skipped=MAX_SKIPPED,
            expected_tokens=self.plan.steps * self.batch_size * seq_len,
            checkpoint_every=self.settings.checkpoint_every,
            prefetch=True,
            objective=objective,
        )
        return Session(
            setup,
            self.folder / TEXT,
            self.folder,
            attempt=time.time_ns() // 10**6,  # each process counts as a start of its own
            say=self._say,
            more_rows={name: self.conversations.train(name) for name in self.conversations.sources},
        )

    def _register(self) -> None:
        """What survives a kill, and what is periodic."""
        self.session.register("looks", self._state, self._load_state)
        self.session.every(1, self._look_if_due)
        self.session.every(self.settings.log_every, self._log_row)
        self.session.every_checkpoint()

    def _state(self) -> dict[str, Any]:
        return {"looks": self.looks, "start": self.start, "elapsed_seconds": self.seconds}

    def _load_state(self, state: Mapping[str, Any]) -> None:
        self.looks, self.start = list(state["looks"]), dict(state["start"])
        self._earlier_seconds = state["elapsed_seconds"]

    @property
    def seconds(self) -> float:
        """Of this run so far, over all processes."""
        return self._earlier_seconds + time.perf_counter() - self._began

    # -- the story

    def run(self) -> bool:
        """Train to the end or to early stopping, then write final/; False when it diverged or was asked to stop."""
        session = self.session
        if session.resume():
            self._say(f"step {session.global_step} of {self.plan.steps}")
        else:
            self._begin()
        session.log_resume(self.folder / "resume.jsonl")
        self._metrics = Metrics(
            self.folder, FIELDS, resume_step=session.global_step, every=self.settings.log_every, say=self._say
        )
        self._curves = Curves(self.folder / "tensorboard", resume_step=session.global_step, layout=LAYOUT)
        if session.global_step == 0:  # what the base makes of the replies
            self._curves.row(_columns(self.start), 0)
        try:
            while session.global_step < self.plan.steps and not self._is_over():
                if not self._step():
                    return False
            self._finish()
        except Diverged as error:
            self._say(f"diverged: {error}; use a smaller finetuning.learning_rate_factor")
            return False
        finally:
            self._curves.close()
        return True

    def close(self) -> None:
        """Wait for the checkpoint being written. Raises what writing raised."""
        self.session.close()

    def _begin(self) -> None:
        """Take over the base's weights, look at what they make of the held-out replies, and start mix and rate."""
        trainer, base = self.session.trainer, base_checkpoint(self._base)
        trainer.load_weights(base)
        trainer.mixer.start_stage(self.plan.mix, tuple(self._base["levels"]), self.plan.limits)
        rate = self._base["learning_rate"] * self.settings.learning_rate_factor
        trainer.begin(rate, self.plan.warmup_steps)
        self.start = self._losses() | {"measured": self._measured()}
        self._say(
            f"{self.plan.steps} steps of {self.batch_size} rows of {self.conversations.seq_len} tokens: "
            + ", ".join(f"{name} {share:.1%}" for name, share in self.plan.mix.items())
            + f"; learning rate {rate:.3g}; base: {look_words(self.start)}"
        )

    def _step(self) -> bool:
        """Train one step and do what is due; False when the run was asked to stop and stands at a checkpoint."""
        session, step = self.session, self.session.global_step
        try:
            for name in session.trainer.mixer.leave_out_exhausted():
                self._say(f"  {name} has been read {self.settings.epochs:g} times and leaves the mix at step {step}")
        except Exhausted:
            raise RuntimeError("the plan is longer than its conversations") from None
        row = session.step(self.plan.rate_scale(step))
        if not math.isfinite(row["loss"]):
            self._say(f"  step {row['step']}: the loss is {row['loss']}; the step changes nothing")
        session.run_periodic(row)
        should_stop = self._stop_requested()
        if session.take_checkpoint_request() or should_stop:
            self._save(wait=should_stop)
        if should_stop:
            self._say(f"stopped at step {session.global_step}; use --resume to continue")
        return not should_stop

    def _is_over(self) -> bool:
        return is_over([look["loss"] for look in self.looks], self.settings.patience)

    # -- looking at the held-out replies

    def replies(self) -> dict[str, ReplyLoss]:
        """The loss of each source's held-out replies, each conversation read alone."""
        hamner, batch_size = self.session.trainer.hamner, self.batch_size
        return {
            name: evaluate_replies(hamner, rows, self.config.compute, batch_size=batch_size)
            for name, rows in self._heldout.items()
        }

    def _losses(self) -> dict[str, Any]:
        results, shares = self.replies(), self.plan.mix
        total = sum(shares[name] for name in results)
        words, ends = (
            sum(shares[name] / total * getattr(result, key) for name, result in results.items())
            for key in ("word_loss", "end_loss")
        )
        sources = {name: result.numbers() for name, result in results.items()}
        return {"loss": mean_loss(results, shares), "word_loss": words, "end_loss": ends, "sources": sources}

    def _look_if_due(self, row: Row) -> None:
        """Look at the held-out replies; keep a checkpoint of the best look."""
        if self.session.global_step % self.plan.evaluate_every and self.session.global_step < self.plan.steps:
            return
        look = {"step": self.session.global_step} | self._losses()
        self.looks.append(look)
        row |= _columns(look)
        is_best = self.best is look
        self._say(f"  step {look['step']}/{self.plan.steps}: {look_words(look)}{'' if is_best else ', no better'}")
        if self.session.global_step % self.settings.log_every:
            self._log_row(row)
        if is_best:
            self.session.request_checkpoint()

    @property
    def best(self) -> dict[str, Any] | None:
        """The best look so far."""
        index = best_index([look["loss"] for look in self.looks])
        return None if index is None else self.looks[index]

    @contextlib.contextmanager
    def _as_the_base_reads(self) -> Iterator[None]:
        """Read text as the base does, which may look across the documents of a row."""
        hamner, masked = self.session.trainer.hamner, self.session.trainer.hamner.config
        hamner.config = self.model
        try:
            yield
        finally:
            hamner.config = masked

    def _measured(self) -> dict[str, Any]:
        with self._as_the_base_reads():
            return dict(self._measure(self.session.trainer.hamner))

    # -- what is written

    def _log_row(self, row: Row) -> None:
        row |= self.session.cost() | {"elapsed_seconds": self.seconds}
        self._metrics.row(row)
        self._curves.row(row, row["step"])

    def _save(self, *, wait: bool = False) -> None:
        spared = frozenset({checkpoint.step_name(self.best["step"])}) if self.best else frozenset[str]()
        self.session.save(wait=wait, after=lambda folder: checkpoint.prune(folder, KEEP_CHECKPOINTS, spare=spared))

    def _finish(self) -> None:
        """Write the weights of the best look to final/, and finetuning.json."""
        session, best = self.session, self.best
        if best is None:
            raise Diverged("no look at the held-out replies gave a finite loss")
        session.wait()
        self._save(wait=True)
        saved = checkpoint.load(session.checkpoints / checkpoint.step_name(best["step"]))
        session.trainer.load_weights(saved)
        measured = self._measured()
        _, state, _, tokenizer = session.contents()
        state["step"] = best["step"]
        checkpoint.save(self.folder / "final", {"model": saved.tensors("model")}, state, self.model, tokenizer)
        ended = "early: no better look" if session.global_step < self.plan.steps else "with its last step"
        document = {
            "base": self._base,
            "steps": session.global_step,
            "planned_steps": self.plan.steps,
            "mix": dict(self.plan.mix),
            "best_step": best["step"],
            "ended": ended,
            "tokens": session.trainer.tokens_total,
            "seconds": self.seconds,
            "before": self.start,
            "after": best | {"measured": measured},
            "looks": self.looks,
            "conversations": self.conversations.document,
        }
        write_json(self.folder / RESULT, document)
        self._say(f"ended {ended}, after {session.global_step} steps; final/ holds the weights of step {best['step']}")


def _columns(look: Mapping[str, Any]) -> dict[str, float]:
    """The columns of metrics.csv that a look fills."""
    return {name: look[name.removeprefix("heldout_")] for name in LOSSES}


def look_words(look: Mapping[str, Any]) -> str:
    """A look at the held-out replies, in words."""
    return f"held-out replies {look['word_loss']:.3f} nats a token, turn ends {look['end_loss']:.3f}"
