"""One run of a contestant, without Ray: train to the next checkpoint, look, evaluate at the round's end.

Its folder holds metrics.csv, TensorBoard curves and checkpoints. Whoever opens the folder goes on from the newest
checkpoint; batch t depends on (seed, t) alone, so nothing else is needed.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch

from hamner.config.cost import GIB
from hamner.config.schema import Config
from hamner.data.corpus import Corpus
from hamner.data.mixer import Mixer
from hamner.data.text_rows import training_rows
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.heldout import HeldoutText, document_losses, heldout_text
from hamner.evaluation.statistics import mix_loss, row_counts
from hamner.model.transformer import build
from hamner.runs.files import read_json, write_json
from hamner.runs.metrics import Curves, Metrics
from hamner.runs.resume_log import StepFile
from hamner.training import checkpoint
from hamner.training.checkpoint_writer import CheckpointWriter, checkpoint_due, must_be_on_disk
from hamner.training.compilation import compiles
from hamner.training.throughput import Meter, peak_gib, reset_peak_memory
from hamner.training.trainer import Diverged, Trainer
from tournament.budget import Budget
from tournament.entrants import Contestant, flops_per_token
from tournament.gpu_memory import MemoryPlan, first_memory_plan, next_fallback

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
LADDER = "ladder.json"
T = TypeVar("T")


def seed_of(config: Config, index: int) -> int:
    """The seed that a seed index stands for, the same for all contestants; index 0 is the config's own."""
    if index == 0:
        return config.seed
    return int.from_bytes(hashlib.blake2b(f"{config.seed}/{index}".encode(), digest_size=7).digest())


class NeedsMoreOfTheCard(Exception):
    """The run cannot go on in its share of the card; ladder.json says what it needs."""


class Training:
    """A run and everything it has to remember."""

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
        ladder: Path | None = None,
    ) -> None:
        """league: folder of the tournament, for its data. rate: as trained with, lr_scale within.

        attempt: how often the league has been started. ladder: the file that remembers what was tried when memory
        ended, if not one in `folder`. Raises as advance does.
        """
        self.config, self.folder, self.contestant, self.budget = config, folder, contestant, budget
        self.settings, self._rate, self._seed = config.tournament, rate, seed_of(config, seed)
        self.tokenizer = Tokenizer.load(league / "data")
        self._corpus = Corpus(league / "data", self.tokenizer.sha256)
        self._flops = flops_per_token(config, {"": contestant})[""]
        self._texts: dict[tuple[str, int], HeldoutText] = {}
        self._noted = ladder or folder / LADDER
        self.rung = MemoryPlan(**read_json(self._noted)["rung"]) if self._noted.is_file() else self._first_rung()
        self._beacon = StepFile(folder, attempt)
        self._curves: Curves | None = None
        self._writer = CheckpointWriter()
        reset_peak_memory(config.compute.device)
        self._climbing(self._start)
        self._beacon.note_resume(
            league / "resume.jsonl", self.trainer.step_count, contestant=folder.relative_to(league).as_posix()
        )

    def _start(self) -> None:
        """Build the model and put it where the newest checkpoint stood, or at step 0."""
        config, settings, rung = self.config, self.settings, self.rung
        if config.compute.device == "cuda":  # one that needs more than its share must not take its neighbours'
            torch.cuda.empty_cache()
            card = torch.cuda.get_device_properties(0).total_memory / GIB  # may be larger than the config's
            torch.cuda.set_per_process_memory_fraction(min(1.0, rung.share * config.compute.gpu_memory_gib / card))
        rows = training_rows(self._corpus, self.tokenizer, list(settings.mix), settings.seq_len, self._seed)
        mixer = Mixer(rows, settings.batch_size)
        mixer.start_stage(settings.mix)
        hamner = build(self.contestant.model, self._seed, activation_checkpointing=rung.activation_checkpointing)
        steps = self.budget.steps[0] if self.budget.steps else settings.steps[0]  # few go further than round 1
        self.trainer = Trainer(
            hamner,
            mixer,
            config.optimizer,
            config.compute,
            gradient_accumulation_steps=rung.gradient_accumulation_steps,
            groups=self.contestant.groups,
            compiled=compiles(
                config.compute,
                self.contestant.model,
                settings.seq_len,
                steps * settings.batch_size * settings.seq_len,
                config.compute.threads,
            ),
        )
        self.trainer.begin(self._rate, settings.warmup_steps)
        self._writer.wait()
        found = checkpoint.newest(self.folder / "checkpoints")
        if found:
            self.trainer.load(found, found.state)
            self.progress = dict(found.state["progress"])
        else:
            start = self.evaluate(1)
            self.progress = {"round": None, "seconds": 0.0, "busy": 0.0, "latest": start, "cooled": None}
        self.close()
        step = self.trainer.step_count
        self._metrics = Metrics(self.folder, FIELDS, resume_step=step)
        self._curves = Curves(self.folder, resume_step=step)
        self._meter = Meter(config.compute, self.contestant.model, settings.seq_len, self.trainer.tokens_total)

    # -- running out of memory

    def _first_rung(self) -> MemoryPlan:
        return first_memory_plan(self.contestant.model, self.config)

    def _climbing(self, action: Callable[[], T]) -> T:
        """Do something; when memory ends, go a rung further and do it again from the newest checkpoint."""
        while True:
            try:
                return action()
            except (torch.OutOfMemoryError, MemoryError) as error:
                print(f"{self.folder.name}: {error}")
                if not self._climb():
                    raise
            if action != self._start:
                self._climbing(self._start)

    def _climb(self) -> bool:
        """Note what to try next; False when nothing is left. Raises NeedsMoreOfTheCard when only that is."""
        found = next_fallback(self.rung, self.config)
        if found is None:
            return False
        before, (self.rung, told) = self.rung, found
        taken = [*self.ladder, {"peak_gib": self.peak_gib(), "then": told}]
        write_json(self._noted, {"rung": asdict(self.rung), "taken": taken})
        self.trainer = None  # type: ignore[assignment]    # its memory must go before it is built again
        if self.rung.share != before.share:
            raise NeedsMoreOfTheCard(told)
        return True

    @property
    def ladder(self) -> list[dict[str, Any]]:
        """What was tried after running out of memory, in order."""
        return list(read_json(self._noted)["taken"]) if self._noted.is_file() else []

    # -- a round

    def advance(self, round_index: int) -> bool:
        """Train to the next checkpoint or the round's end, where it evaluates; True at the end.

        Raises Diverged, OutOfMemoryError when the ladder ends, NeedsMoreOfTheCard.
        """
        return self._climbing(lambda: self._advance(round_index))

    def _advance(self, round_index: int) -> bool:
        trainer, progress, began = self.trainer, self.progress, time.perf_counter()
        if progress["round"] is not None and round_index < progress["round"]:
            raise ValueError(f"{self.folder.name} is in round {progress['round'] + 1}, not {round_index + 1}")
        if progress["round"] != round_index:
            progress |= {
                "round": round_index,
                "begin": trainer.step_count,
                "seconds_begin": progress["seconds"],
                "losses": [],
                "busy": 0.0,
                "cooled": None,
                "start": progress["latest"]["loss"],
                "grid": [[trainer.step_count, progress["seconds"], self._grid_loss()]],
                "done": False,
            }
        if progress["done"]:
            return True
        fork, every = self._fork(round_index), self.settings.checkpoint_every
        if trainer.step_count == fork and progress["cooled"] is None:
            self._cool(round_index, began)
            return False
        done = self.budget.is_spent(round_index, trainer.step_count, progress["seconds"])
        row: dict[str, Any] = {"step": trainer.step_count, "round": round_index + 1}
        while not done:
            row = self._step(round_index)
            done = self.budget.is_spent(round_index, trainer.step_count, progress["seconds"])
            stop = done or checkpoint_due(trainer.step_count, every) or trainer.step_count == fork
            if stop:
                break
            self._write(row)
        if done:
            progress["latest"], progress["done"] = self.evaluate(1), True
            progress["others"] = self._others()
            row["heldout_loss"] = progress["latest"]["loss"]
        self._write(row, last=done)
        progress["busy"] += time.perf_counter() - began
        self._save(done)
        return done

    def _step(self, round_index: int) -> dict[str, Any]:
        """One optimizer step, and a look at the held-out loss when the grid has one here."""
        trainer, progress = self.trainer, self.progress
        began = time.perf_counter()
        row: dict[str, Any] = dict(trainer.step()) | {"round": round_index + 1}
        self._meter.ran(time.perf_counter() - began)
        if must_be_on_disk(trainer.step_count, self.settings.checkpoint_every):
            self._writer.wait()
        self._beacon.mark(trainer.step_count)
        progress["seconds"] += time.perf_counter() - began
        progress["losses"].append(row["loss"])
        if self._grid_due(round_index):
            loss = row["heldout_loss_of_grid"] = self._grid_loss()
            progress["grid"].append([trainer.step_count, progress["seconds"], loss])
        return row

    def _fraction(self, round_index: int) -> float:
        """How much of the round is behind."""
        if self.budget.seconds:
            begin, end, now = self.progress["seconds_begin"], self.budget.seconds[round_index], self.progress["seconds"]
        else:
            begin, end, now = self.progress["begin"], self.budget.steps[round_index], self.trainer.step_count
        return float((now - begin) / (end - begin)) if end > begin else 1.0

    def _grid_due(self, round_index: int) -> bool:
        points = self.settings.evaluations_per_round
        return math.floor(self._fraction(round_index) * points + 1e-9) >= len(self.progress["grid"])

    def _fork(self, round_index: int) -> int | None:
        """The step from which a copy is annealed; None without a cooldown."""
        if not self.settings.cooldown:
            return None
        end = self.budget.steps[round_index]
        length = end - (self.budget.steps[round_index - 1] if round_index else 0)
        return end - max(1, round(self.settings.cooldown * length))

    def _cool(self, round_index: int, began: float) -> None:
        """Anneal a copy to the round's end and note its loss; the run itself goes on from here as it was."""
        trainer = self.trainer
        self._save(False)
        steps = self.budget.steps[round_index] - trainer.step_count
        for index in range(steps):
            trainer.step(1 - index / steps)
        cooled = self.evaluate(1)
        self._writer.wait()
        found = checkpoint.newest(self.folder / "checkpoints")
        assert found is not None
        trainer.load(found, found.state)
        self.progress["cooled"] = cooled
        self.progress["busy"] += time.perf_counter() - began
        self._save(False)

    # -- looking

    def _text(self, source: str, count: int) -> HeldoutText:
        if (source, count) not in self._texts:
            self._texts[source, count] = heldout_text(
                self._corpus, self.tokenizer, source, self.settings.seq_len, count
            )
        return self._texts[source, count]

    def _losses(self, text: HeldoutText) -> tuple[list[float], list[int]]:
        part = self.settings.batch_size // self.rung.gradient_accumulation_steps
        return document_losses(self.trainer.hamner, text, self.config.compute, batch_size=part)

    def evaluate(self, factor: int) -> dict[str, Any]:
        """Held-out cross-entropy of the league's mix, on `factor` times the config's rows.

        Raises Diverged when it is no number.
        """
        settings = self.settings
        documents, losses, rows, bits = {}, {}, 0, 0.0
        for source, count in row_counts(settings.mix, settings.eval_sequences * factor).items():
            text = self._text(source, count)
            nats, tokens = self._losses(text)
            losses[source], rows = sum(nats) / sum(tokens), rows + len(text.rows)
            documents[source] = {"share": settings.mix[source], "nats": nats, "tokens": tokens}
            bits += settings.mix[source] * losses[source] / text.bytes_per_token / math.log(2)
        loss = mix_loss(losses, settings.mix)
        if not math.isfinite(loss):
            raise Diverged(f"the held-out loss of step {self.trainer.step_count} is {loss}")
        return {"loss": loss, "documents": documents, "rows": rows, "factor": factor, "bits_per_byte": bits}

    def look_again(self, factor: int) -> None:
        """Evaluate the round's end on more held-out rows. Where that fails, what it saw before stands."""
        latest = self.progress["latest"]
        if latest["factor"] < factor:
            try:
                latest = self.evaluate(factor)
            except (Diverged, torch.OutOfMemoryError, MemoryError) as error:
                print(f"{self.folder.name}: no second look: {error}")
            self.progress["latest"] = latest | {"factor": factor}
            self._save(True)

    def _grid_loss(self) -> float:
        """Held-out loss on an eighth of the rows, sixteen at least: enough to see the curve."""
        losses = {}
        for source, count in row_counts(self.settings.mix, self.settings.eval_sequences).items():
            nats, tokens = self._losses(self._text(source, count).part(max(min(count, 16), count // 8)))
            losses[source] = sum(nats) / sum(tokens)
        loss = mix_loss(losses, self.settings.mix)
        if not math.isfinite(loss):
            raise Diverged(f"the held-out loss of step {self.trainer.step_count} is {loss}")
        return loss

    def _others(self) -> dict[str, float | None]:
        """Held-out loss of sources that are reported and not ranked."""
        found: dict[str, float | None] = {}
        for source in self.settings.report:
            if source not in self.settings.mix:
                nats, tokens = self._losses(self._text(source, max(1, self.settings.eval_sequences // 8)))
                found[source] = sum(nats) / sum(tokens) if math.isfinite(sum(nats)) else None
        return found

    def result(self) -> dict[str, Any]:
        """What is reported at the end of a round: the fields of rounds.Outcome."""
        progress, trainer = self.progress, self.trainer
        ranked = progress["cooled"] or progress["latest"]
        steps, seconds = trainer.step_count - progress["begin"], progress["seconds"] - progress["seconds_begin"]
        tail, per_step = progress["losses"][-max(1, steps // 10) :], self.settings.batch_size * self.settings.seq_len
        facts = {
            "heldout_loss_start": progress["start"],
            "train_loss": sum(tail) / len(tail) if tail else None,
            "tokens_per_second": steps * per_step / seconds if seconds else None,
            "seconds": seconds,
            "busy_seconds": progress["busy"],
            "steps": trainer.step_count,
            "tokens": trainer.tokens_total,
            "flops": trainer.tokens_total * self._flops,
            "learning_rate": self._rate,
            "peak_gib": self.peak_gib(),
            "bits_per_byte": ranked["bits_per_byte"],
            "other_sources": progress["others"],
            "grid": [[step, step * per_step * self._flops, spent, loss] for step, spent, loss in progress["grid"]],
            "ladder": [taken["then"] for taken in self.ladder],
        }
        if progress["cooled"]:
            facts["heldout_loss_before_cooldown"] = progress["latest"]["loss"]
        return {
            "heldout_loss": ranked["loss"],
            "documents": ranked["documents"],
            "rows": ranked["rows"],
            "factor": progress["latest"]["factor"],
            "facts": facts,
        }

    # -- writing

    def _write(self, row: dict[str, Any], *, last: bool = False) -> None:
        step = row["step"]
        looked = row.get("heldout_loss_of_grid") is not None
        if not (last or looked or step == 1 or step % self.settings.log_every == 0):
            return
        row |= self._meter.now(self.trainer.tokens_total, self.trainer.waited)
        assert self._curves is not None
        self._metrics.row(row)
        self._curves.scalars({k: v for k, v in row.items() if k not in ("step", "round")}, step)

    def _save(self, done: bool) -> None:
        """In a thread; what a round's end brought is on disk before anybody hears of it."""
        folder, keep = self.folder / "checkpoints", self.settings.keep_checkpoints
        self._writer.write(
            folder / checkpoint.step_name(self.trainer.step_count),
            self.trainer.tensors(),
            self.trainer.state() | {"progress": self.progress, "run": self.folder.name},
            self.contestant.model,
            self.tokenizer,
            first=lambda: checkpoint.prune(folder, keep=max(1, keep - 1)),  # disk_gib counts on this room
            then=lambda: checkpoint.prune(folder, keep=1 if done else keep),
        )
        if done or must_be_on_disk(self.trainer.step_count, self.settings.checkpoint_every):
            self._writer.wait()

    def peak_gib(self) -> float:
        """Peak memory since the run was opened."""
        return peak_gib(self.config.compute.device)

    def close(self) -> None:
        self._writer.wait()
        if self._curves:
            self._curves.close()
