"""Trainer: one optimizer step (global step) with gradient accumulation, mixed precision and DDP.

Data in: batches of tokens (B, T) from a mixer. Data out: one row of numbers a step. The loop belongs to whoever
trains, on a session (session.py):

    while trainer.step_count < budget:
        row = trainer.step()

There is no random state to save: each batch is a function of (seed, stage, step), see data/mixer.py.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hamner.config.schema import Compute, Optimizer, ParameterGroup
from hamner.data.mixer import Mixer
from hamner.model.distributed import sum_over_workers, world_size
from hamner.model.kernels import dispatch
from hamner.model.loss import head_loss
from hamner.model.transformer import Hamner
from hamner.runs import watchdog
from hamner.training.checkpoint import Checkpoint
from hamner.training.determinism import prepare_device
from hamner.training.learning_rate import warmup_constant
from hamner.training.optimizer import adamw, load_optimizer, optimizer_tensors, step_unless

# fp16 halves the loss scale at each skipped step. After this many consecutive overflows the scale is not the cause.
MAX_SKIPPED = 50


class Diverged(FloatingPointError):
    """A loss or gradient is NaN or infinite; the weights are those of the last finite step."""


class Objective(nn.Module):
    """Tokens (B, T) -> cross-entropy and balance loss, both scalars. DistributedDataParallel wraps it.

    An objective that does not train on every token also has `trained_tokens`: tokens (B, T) -> their number (), by
    which the parts of a batch are weighed.
    """

    def __init__(self, hamner: Hamner) -> None:
        super().__init__()
        self.hamner = hamner

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        hidden, balance = self.hamner.hidden_states(tokens)
        return head_loss(hidden, self.hamner.embedding.weight, tokens, region=self.hamner.loss_region), balance


class Trainer:
    """Model, optimizer and batches. Within a torch.distributed group the gradients are averaged over the workers."""

    def __init__(
        self,
        hamner: Hamner,
        mixer: Mixer,
        optimizer: Optimizer,
        compute: Compute,
        *,
        gradient_accumulation_steps: int = 1,
        groups: Sequence[ParameterGroup] = (),
        max_skipped: int = 0,
        compiled: bool = False,
        objective: Callable[[Hamner], nn.Module] = Objective,
    ) -> None:
        """Move the model to compute's device and precision, which evaluation then uses too, as its kernels.

        max_skipped: this many consecutive non-finite steps change nothing; one more raises Diverged.
        compiled: compile the blocks' regions, see compilation.should_compile.
        objective: model -> module with the signature of Objective.forward; it defines the training loss.
        """
        prepare_device(compute)
        self.hamner = hamner.to(compute.device)
        hamner.dtype = dispatch.DTYPES[compute.precision]
        dispatch.use(compute.kernels)
        self.mixer, self.compute, self._gradient_accumulation_steps = mixer, compute, gradient_accumulation_steps
        self._settings, self._groups, self._max_skipped = optimizer, groups, max_skipped
        self._world = world_size()
        # On a card the optimizer itself leaves out a step that is not finite: asking first would be another wait.
        self._decides_on_card = compute.device == "cuda"
        self._pins_batches = compute.device == "cuda" and torch.cuda.is_available()  # copied while the card computes
        if compiled:
            hamner.compile_regions()
        module = objective(hamner)
        self._trained_tokens: Callable[[Tensor], Tensor] | None = getattr(module, "trained_tokens", None)
        self._forward: nn.Module = DistributedDataParallel(module) if self._world > 1 else module
        self.step_count = 0  # global step: of the whole run
        self.tokens_total = 0  # over all workers
        self.skipped = 0  # consecutive steps whose loss or gradient was not finite and which changed nothing
        self.skipped_total = 0
        self.data_wait_seconds = 0.0  # of this process
        self.begin(0.0, 0)

    def begin(self, rate: float, warmup_steps: int, *, keep_optimizer: bool = False) -> None:
        """Start a learning-rate schedule: warm up from the next step on, with a fresh AdamW unless it is kept."""
        self.rate, self.warmup_steps, self.schedule_step = rate, warmup_steps, 0
        if keep_optimizer:
            return
        self.optimizer = adamw(self.hamner, self._settings, self._groups)
        self._scaler = self._new_scaler()

    def _new_scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.compute.device, enabled=self.compute.precision == "fp16")

    def step(self, rate_scale: float = 1.0) -> dict[str, float]:
        """Run forward, backward, gradient clipping and the update; return the step's numbers.

        A step whose loss or gradient is not finite changes no weight. rate_scale: factor of this step's learning
        rate; a cooldown lets it fall to 0. Raises Diverged after more than max_skipped such steps in a row (fp16:
        MAX_SKIPPED, while the loss scale settles).
        """
        rate = rate_scale * warmup_constant(self.schedule_step, self.rate, self.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate_scale"]
        watchdog.feed()
        began = time.perf_counter()
        tokens = self._next_batch()
        self.data_wait_seconds += time.perf_counter() - began
        self._forward.train()
        loss, balance = self._backward(tokens)
        numbers = self._update(loss, balance)
        self.step_count += 1
        self.schedule_step += 1
        self.tokens_total += tokens.numel() * self._world
        return {
            "step": self.step_count,
            **numbers,
            "learning_rate": rate,
            "tokens_total": self.tokens_total,
            "skipped_steps": self.skipped_total,
        }

    def _next_batch(self) -> Tensor:
        """The next batch (B, T) on the device."""
        tokens = self.mixer.next()
        if self._pins_batches:
            tokens = tokens.pin_memory()
        return tokens.to(self.compute.device, non_blocking=True)

    def _backward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Compute gradients of the batch's mean loss; return cross-entropy and balance loss, both means."""
        total = torch.zeros(2, device=tokens.device)
        parts = tokens.chunk(self._gradient_accumulation_steps)
        divisors = self._divisors(parts)
        for index, (part, divisor) in enumerate(zip(parts, divisors, strict=True)):
            last = index == len(parts) - 1
            sync = contextlib.nullcontext() if last or self._world == 1 else self._forward.no_sync()  # type: ignore[operator]
            with sync:
                cross_entropy, balance = self._forward(part)
                self._scaler.scale((cross_entropy + balance) / divisor).backward()
            total += torch.stack((cross_entropy.detach(), balance.detach())) / divisor
        if self._world > 1:
            total = sum_over_workers(total) / self._world
        return total[0], total[1]

    def _divisors(self, parts: Sequence[Tensor]) -> Sequence[float | Tensor]:
        """What the mean of each part is divided by, so that all of them add up to the mean of the whole batch.

        That is over the trained tokens of all parts and workers, of which no two parts need have as many.
        """
        if self._trained_tokens is None:
            return [len(parts)] * len(parts)
        counts = torch.stack([self._trained_tokens(part) for part in parts]).float()
        total = counts.sum()
        if self._world > 1:
            total = sum_over_workers(total) / self._world
        return list(total / counts)

    def _update(self, loss: Tensor, balance: Tensor) -> dict[str, float]:
        """Change the weights if loss and gradient are finite; return the step's numbers, with a norm of 0 when skipped.

        The host reads all of them at once, at the end: it waits for a card once a step.
        """
        self._scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.hamner.parameters(), self._settings.clip, foreach=True)
        if self._decides_on_card:
            step_unless(self.optimizer, ~torch.isfinite(loss + norm))
        scale = self._scaler.scale(torch.ones_like(loss))  # of this step
        values = torch.stack((loss, balance, norm, scale)).tolist()
        numbers = dict(zip(("loss", "balance_loss", "gradient_norm", "loss_scale"), values, strict=True))
        if not self._scaler.is_enabled():
            del numbers["loss_scale"]
        if not math.isfinite(numbers["loss"]):
            self._scaler = self._same_scaler()
            self._skip(f"loss of step {self.step_count + 1} is {numbers['loss']}", self._max_skipped)
            return numbers | {"gradient_norm": 0.0}
        if not math.isfinite(numbers["gradient_norm"]):
            self._scaler.update()  # fp16: the scale was too large; it halves
            norm_words = f"gradient of step {self.step_count + 1} is {numbers['gradient_norm']}"
            self._skip(norm_words, self._max_overflows())
            return numbers | {"gradient_norm": 0.0}
        if not self._decides_on_card:
            self.optimizer.step()
        self._scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.skipped = 0
        return numbers

    def _same_scaler(self) -> torch.amp.GradScaler:
        """A loss scaler like the present one before this step, whose loss says nothing of the scale."""
        scaler = self._new_scaler()
        if state := self._scaler.state_dict():
            scaler.load_state_dict(state)
        return scaler

    def _skip(self, reason: str, limit: int) -> None:
        """Drop the gradients and count the step as skipped. Raises Diverged past `limit`."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.skipped >= limit:
            raise Diverged(f"the {reason}" + (f"; {self.skipped} steps before it were skipped" if self.skipped else ""))
        self.skipped += 1
        self.skipped_total += 1

    def _max_overflows(self) -> int:
        return max(MAX_SKIPPED, self._max_skipped) if self._scaler.is_enabled() else self._max_skipped

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return a checkpoint's tensor groups: the model's weights and the optimizer's moments."""
        return {"model": self.hamner.state_dict(), "optimizer": optimizer_tensors(self.hamner, self.optimizer)}

    def state(self) -> dict[str, Any]:
        """Return a checkpoint's numbers."""
        return {
            "step": self.step_count,
            "tokens_total": self.tokens_total,
            "rate": self.rate,
            "warmup_steps": self.warmup_steps,
            "schedule_step": self.schedule_step,
            "skipped": self.skipped,
            "skipped_total": self.skipped_total,
            "mixer": self.mixer.state(),
            "scaler": self._scaler.state_dict(),
        }

    def load(self, checkpoint: Checkpoint, state: Mapping[str, Any]) -> None:
        """Continue exactly where the checkpoint stood; `state` is what state() gave."""
        self.begin(state["rate"], state["warmup_steps"])
        self.load_weights(checkpoint, optimizer=True)
        self.step_count, self.tokens_total = state["step"], state["tokens_total"]
        self.schedule_step = state["schedule_step"]
        self.skipped, self.skipped_total = state["skipped"], state["skipped_total"]
        self.mixer.load_state(state["mixer"])
        if state["scaler"]:
            self._scaler.load_state_dict(dict(state["scaler"]))

    def load_weights(self, checkpoint: Checkpoint, *, optimizer: bool = False) -> None:
        """Take over a checkpoint's weights and, if asked, its optimizer's moments; nothing else of it."""
        self.hamner.load_state_dict(checkpoint.tensors("model", self.compute.device))
        if optimizer:
            load_optimizer(self.hamner, self.optimizer, checkpoint.tensors("optimizer", self.compute.device))
