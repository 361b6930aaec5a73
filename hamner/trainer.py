"""One training step, and everything that must survive a kill in one place.

The loop belongs to the driver (tournament/trial.py, curriculum/train_loop.py):

    while trainer.step_count < budget:
        metrics = trainer.step()

There is no random state to save: each batch is a function of (seed, stage, step), see mixer.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hamner.checkpoint import Checkpoint, load_optimizer, optimizer_tensors
from hamner.config import Compute, Optimizer, ParameterGroup
from hamner.loss import next_token_loss
from hamner.mixer import Mixer
from hamner.model import Hamner
from hamner.optim import adamw, warmup_constant

MAX_SKIPPED = 50    # fp16: the scale halves at each skipped step; after so many it is no matter of scale
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Diverged(FloatingPointError):
    """A loss or gradient that is no number; the weights are those of the step before."""


def autocast(compute: Compute) -> torch.autocast:
    """The precision of forward passes, of training and evaluation alike; weights stay fp32."""
    return torch.autocast(compute.device, DTYPES[compute.precision], enabled=compute.precision != "fp32")


class Trainer:
    """Model, optimizer and batches. Within a torch.distributed group the gradients are averaged over it."""

    def __init__(
        self, hamner: Hamner, mixer: Mixer, optimizer: Optimizer, compute: Compute, *, micro_batches: int = 1,
        groups: Sequence[ParameterGroup] = (),
    ) -> None:
        self.hamner = hamner.to(compute.device)
        self.mixer, self.compute, self._micro_batches = mixer, compute, micro_batches
        self._settings, self._groups = optimizer, groups
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._world = torch.distributed.get_world_size() if distributed else 1
        if compute.compile:
            self.hamner.compile()
        self._forward: nn.Module = DistributedDataParallel(self.hamner) if self._world > 1 else self.hamner
        self.step_count = 0        # of the whole run
        self.tokens_total = 0      # over all workers
        self.skipped = 0           # fp16: steps in a row whose gradient was too large and which changed nothing
        self.begin(0.0, 0)

    def begin(self, rate: float, warmup_steps: int) -> None:
        """Start a schedule: fresh AdamW, a new warmup from the next step on."""
        self.rate, self.warmup_steps, self.schedule_step = rate, warmup_steps, 0
        self.optimizer = adamw(self.hamner, self._settings, self._groups)
        self._scaler = torch.amp.GradScaler(self.compute.device, enabled=self.compute.precision == "fp16")

    def step(self, rate_scale: float = 1.0) -> dict[str, float]:
        """Forward, backward, clip, update. Raises Diverged before a non-finite loss reaches the optimizer.

        rate_scale: of this step's learning rate; a cooldown lets it fall to 0.
        """
        rate = rate_scale * warmup_constant(self.schedule_step, self.rate, self.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate_scale"]
        tokens = self.mixer.next().to(self.compute.device, non_blocking=True)
        self._forward.train()
        loss, balance = self._backward(tokens)
        if not torch.isfinite(loss):
            self.optimizer.zero_grad(set_to_none=True)
            raise Diverged(f"the loss of step {self.step_count + 1} is {loss.item()}")
        self._scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.hamner.parameters(), self._settings.clip, foreach=True)
        self.skipped = 0 if torch.isfinite(norm) else self.skipped + 1
        if self.skipped > (MAX_SKIPPED if self._scaler.is_enabled() else 0):    # the fp16 scaler skips some itself
            self.optimizer.zero_grad(set_to_none=True)
            raise Diverged(f"the gradient of step {self.step_count + 1} is {norm.item()}")
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.step_count += 1
        self.schedule_step += 1
        self.tokens_total += tokens.numel() * self._world
        return {
            "step": self.step_count, "loss": loss.item(), "balance_loss": balance.item(),
            "gradient_norm": norm.item() if self.skipped == 0 else 0.0, "learning_rate": rate,
            "tokens_total": self.tokens_total,
        }

    def _backward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the mean loss of the batch; returns cross-entropy and balance loss, both means."""
        total = torch.zeros(2, device=tokens.device)
        parts = tokens.chunk(self._micro_batches)
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            waiting = contextlib.nullcontext() if last or self._world == 1 else self._forward.no_sync()  # type: ignore[operator]
            with waiting:
                with autocast(self.compute):
                    out = self._forward(part)
                cross_entropy = next_token_loss(out.logits, part)
                self._scaler.scale((cross_entropy + out.balance_loss) / len(parts)).backward()
            total += torch.stack((cross_entropy.detach(), out.balance_loss.detach())) / len(parts)
        if self._world > 1:
            torch.distributed.all_reduce(total)
            total /= self._world
        return total[0], total[1]

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Tensor groups of a checkpoint."""
        return {
            "model": self.hamner.state_dict(), "optimizer": optimizer_tensors(self.hamner, self.optimizer),
        }

    def state(self) -> dict[str, Any]:
        """Numbers of a checkpoint."""
        return {
            "step": self.step_count, "tokens_total": self.tokens_total, "rate": self.rate,
            "warmup_steps": self.warmup_steps, "schedule_step": self.schedule_step, "skipped": self.skipped,
            "mixer": self.mixer.state(), "scaler": self._scaler.state_dict(),
        }

    def load(self, checkpoint: Checkpoint, state: Mapping[str, Any]) -> None:
        """Go on exactly where the checkpoint stood; the mixer's stage must have been started."""
        self.hamner.load_state_dict(checkpoint.tensors("model", self.compute.device))
        self.begin(state["rate"], state["warmup_steps"])
        load_optimizer(self.hamner, self.optimizer, checkpoint.tensors("optimizer", self.compute.device))
        self.step_count, self.tokens_total = state["step"], state["tokens_total"]
        self.schedule_step, self.skipped = state["schedule_step"], state["skipped"]
        self.mixer.load_state(state["mixer"])
        if state["scaler"]:
            self._scaler.load_state_dict(dict(state["scaler"]))
