"""Numbers of a card (GPU check): losses and gradients as on a CPU in fp32, twice the same, after a resume too."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from check_setup import KINDS, MODELS, SMALL, Row, Setup, model_on, trainer
from torch import Tensor

from hamner.config.presets import shrink
from hamner.config.schema import Compute, ModelConfig
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.heldout import evaluate_rows
from hamner.model.kernels.dispatch import DTYPES
from hamner.model.kv_cache import KVCache
from hamner.training import checkpoint
from hamner.training.trainer import Objective, Trainer

# most that a gradient may be off by, as a share of its norm, and a loss in nats
GRADIENT_OFF = {"fp32": 2e-3, "bf16": 0.1, "fp16": 0.03}
LOSS_OFF = {"fp32": 1e-4, "bf16": 0.02, "fp16": 0.005}
CACHE_OFF = {"fp32": 1e-3, "bf16": 0.2, "fp16": 0.05}  # of hidden states whose mean square is 1
FP16_SCALE = 1024.0
STEPS = 3


def gradients(made: Trainer) -> tuple[float, Tensor]:
    """Loss of the first batch and its gradient (parameters,), before clipping; fp16 is scaled, as in training."""
    scale = FP16_SCALE if made.compute.precision == "fp16" else 1.0
    loss, balance = Objective(made.hamner.train())(made.mixer.next().to(made.compute.device))
    (scale * (loss + balance)).backward()
    parts = [weight.grad.flatten().float().cpu() / scale for weight in made.hamner.parameters()]
    return loss.item(), torch.cat(parts)


def against_the_cpu(setup: Setup) -> Iterator[Row]:
    """Loss and gradient of twelve miniatures × precision × document mask, beside the CPU's in fp32."""
    names = KINDS if setup.is_small else tuple(MODELS)
    precisions = ("fp32", "bf16", "fp16") if setup.is_card else ("fp32", "bf16")
    for name, mask in itertools.product(names, (False, True)):
        model, batch = shrink(MODELS[name], SMALL).model_copy(update={"document_mask": mask}), (4, 64)
        loss, gradient = gradients(trainer(setup, model, batch, precision="fp32", device="cpu"))
        for precision in precisions:
            other_loss, other = gradients(trainer(setup, model, batch, precision=precision, drawn_on="cpu"))
            off = float((other - gradient).norm() / gradient.norm())
            is_right = off < GRADIENT_OFF[precision] and abs(other_loss - loss) < LOSS_OFF[precision]
            label = f"{name} {precision}" + (" document mask" if mask else "")
            yield Row(label, {"loss off by": other_loss - loss, "gradient off by": off}, is_right)


def weights_after(setup: Setup, model: ModelConfig, *, steps: int = STEPS, **options) -> tuple[dict, Tensor]:
    """Numbers of the last of some steps, and all weights (parameters,) after it, on the CPU."""
    made = trainer(setup, model, setup.batch(8, 512), **options)
    row = [made.step() for _ in range(steps)][-1]
    return row, flat_weights(made)


def flat_weights(made: Trainer) -> Tensor:
    return torch.cat([weight.detach().flatten().cpu() for weight in made.hamner.parameters()])


def determinism(setup: Setup) -> Iterator[Row]:
    """The same steps twice, plain and in PyTorch's deterministic mode, in which they must be equal bit for bit."""
    for name in KINDS:
        model = setup.model(name, document_mask=name == KINDS[0])
        for is_strict in (False, True):
            (_, first), (_, again) = (weights_after(setup, model, is_strict=is_strict) for _ in range(2))
            off = float((first - again).abs().max())
            must = is_strict or not setup.is_card
            label = f"{name} {'strict' if is_strict else 'plain'}" + (" document mask" if model.document_mask else "")
            yield Row(label, {"weights differ by": off}, off == 0 if must else None)


def ways(setup: Setup) -> Iterator[Row]:
    """A step in parts, with checkpointing, compiled and in fp16: what differs from the plain one is rounding."""
    for name in KINDS[:2] if setup.is_small else KINDS:
        model = setup.model(name)
        plain, weights = weights_after(setup, model)
        options: dict[str, dict] = {"in 4 parts": {"parts": 4}, "checkpointing": {"checkpointing": True}}
        if setup.is_card or name == KINDS[0]:  # seconds of compiling
            options["compiled"] = {"compiled": True}
        if setup.is_card:
            options["fp16"] = {"precision": "fp16"}
        for label, option in options.items():
            row, other = weights_after(setup, model, **option)
            off, moved = float((other - weights).abs().max()), float(row["loss"] - plain["loss"])
            # a step of AdamW moves a weight by at most about the rate, whatever the gradient's rounding
            is_right = abs(moved) < 0.02 and off < 2 * STEPS * 3e-4
            yield Row(f"{name} {label}", {"loss off by": moved, "weights differ by": off}, is_right)


def resumed(setup: Setup) -> Iterator[Row]:
    """Two runs that resume from one checkpoint on disk: equal to each other, and to the run that went through."""
    tokenizer = Tokenizer.train(["a checkpoint has one"], 280)
    for name in KINDS:
        model, batch = setup.model(name), setup.batch(8, 512)
        with tempfile.TemporaryDirectory() as folder:
            whole = trainer(setup, model, batch)
            _steps(whole)
            path = checkpoint.save(Path(folder) / "step", whole.tensors(), whole.state(), model, tokenizer)
            saved = checkpoint.load(path)
            _steps(whole)
            ends = []
            for _ in range(2):
                again = trainer(setup, model, batch)
                again.load(saved, saved.state)
                _steps(again)
                ends.append(flat_weights(again))
        off = float((ends[0] - ends[1]).abs().max())
        from_whole = float((ends[0] - flat_weights(whole)).abs().max())
        values = {"two resumed differ by": off, "from the one that went through": from_whole}
        yield Row(name, values, off == from_whole == 0)


def _steps(made: Trainer) -> None:
    for _ in range(STEPS):
        made.step()


def cache(setup: Setup) -> Iterator[Row]:
    """Hidden states token by token through a KV cache, beside those of the whole text; and a held-out loss."""
    for name, precision in itertools.product(KINDS, ("fp32", "bf16") if setup.is_card else ("fp32",)):
        model = setup.model(name)
        hamner = model_on(setup.device, model).eval()
        hamner.dtype = DTYPES[precision]
        ids = torch.randint(17, model.vocab_size, (1, 40), generator=torch.Generator().manual_seed(0)).to(setup.device)
        with torch.inference_mode():
            whole = hamner.hidden_states(ids)[0]
            room = KVCache(model, 64, device=setup.device, dtype=hamner.dtype)
            parts = [hamner.hidden_states(part, room)[0] for part in (ids[:, :16], *ids[:, 16:].split(1, dim=1))]
        off = (whole - torch.cat(parts, dim=1)).abs().float()
        compute = Compute(device=setup.device, precision=precision)  # type: ignore[arg-type]
        loss = evaluate_rows(hamner, ids.cpu(), compute, batch_size=1).loss
        # in 16 bit a token may be routed to another expert: the mean says whether the states are the same
        is_right = float(off.mean()) < CACHE_OFF[precision] and loss > 0
        yield Row(f"{name} {precision}", {"mean off by": float(off.mean()), "most": float(off.max())}, is_right)
