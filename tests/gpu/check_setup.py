"""Setup of the GPU check: device, sizes, real trainers on random text, and how a step is timed.

B rows of a batch, T tokens of a row.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hamner.config.cost import GIB, useful_flops_per_token
from hamner.config.presets import CONTESTANTS, PRESETS, shrink
from hamner.config.schema import Compute, ModelConfig, Optimizer, Size
from hamner.config.special_tokens import END_OF_TEXT, RESERVED
from hamner.data.mixer import Mixer, TextRows
from hamner.model.attention import rotary_table
from hamner.model.kernels.dispatch import DTYPES
from hamner.model.transformer import Hamner, initialize
from hamner.training.trainer import Trainer

MODELS = CONTESTANTS | PRESETS
SMALL = Size(divide=8, vocab_size=2048)
KINDS = ("v01_dense_small", "v03_diffattn_small", "v05_moe_small", "v07_hybrid_small")  # one of each kind of block
V3 = (24, 1024)  # rows and tokens of the curriculum's batch
RATE, WARMUP = 3e-4, 10
PRODUCTS = 30  # of a measurement of the peak
DOCUMENT = 37  # tokens of a document of the random text


@dataclass(frozen=True)
class Row:
    """One line of a section: what was measured, and whether that is as it has to be (None: no matter)."""

    name: str
    values: dict[str, Any]
    is_right: bool | None = None


@dataclass(frozen=True)
class Setup:
    device: str  # "cuda" or "cpu"
    is_small: bool  # miniatures and few steps, to test the check itself

    @property
    def is_card(self) -> bool:
        return self.device == "cuda"

    @property
    def precision(self) -> str:
        return "bf16" if self.is_card else "fp32"

    def model(self, name: str, **changes: Any) -> ModelConfig:
        model = shrink(MODELS[name], SMALL) if self.is_small else MODELS[name]
        return model.model_copy(update=changes)

    def batch(self, rows: int, tokens: int) -> tuple[int, int]:
        """Rows and tokens of a batch; a small check has less of both."""
        return (min(rows, 4), min(tokens, 64)) if self.is_small else (rows, tokens)

    def synchronize(self) -> None:
        if self.is_card:
            torch.cuda.synchronize()

    def reset_peak(self) -> None:
        if self.is_card:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_gib(self) -> float | None:
        """Most memory of tensors since the last reset, without the CUDA context; None on a CPU."""
        return torch.cuda.max_memory_allocated() / GIB if self.is_card else None


def mixer(model: ModelConfig, batch: int, tokens: int, seed: int = 0) -> Mixer:
    """Batches (B, T) of random text."""
    text = np.random.default_rng(seed).integers(len(RESERVED), model.vocab_size, 200 * tokens, dtype=np.uint16)
    text[::DOCUMENT] = END_OF_TEXT
    mixed = Mixer({"sft": TextRows(text, tokens, "sft", seed)}, batch)
    mixed.start_stage({"sft": 1.0})
    return mixed


def model_on(device: str, model: ModelConfig, *, checkpointing: bool = False, drawn_on: str = "") -> Hamner:
    """A model as transformer.build makes it, its weights drawn where they are needed: a CPU takes seconds for them.

    drawn_on: another device, whose weights are to be the same.
    """
    with torch.device("meta"):
        hamner = Hamner(model, activation_checkpointing=checkpointing)
    place = drawn_on or device
    hamner.to_empty(device=place)
    hamner.cos, hamner.sin = rotary_table(model)
    for block in hamner.blocks:
        block.attention.fill_buffers()  # type: ignore[operator, union-attr]
    initialize(hamner, torch.Generator(place).manual_seed(0))
    return hamner.to(device)


def trainer(
    setup: Setup,
    model: ModelConfig,
    batch: tuple[int, int],
    *,
    precision: str = "",
    device: str = "",
    drawn_on: str = "",
    checkpointing: bool = False,
    parts: int = 1,
    compiled: bool = False,
    is_strict: bool | None = None,
) -> Trainer:
    """The project's own trainer, at its first step. batch: B, T. precision, device: the setup's own if not given.

    is_strict: PyTorch's deterministic mode, on or off; None: as the project has it.
    """
    device = device or setup.device
    strict = {} if is_strict is None or "deterministic" not in Compute.model_fields else {"deterministic": is_strict}
    made = Trainer(
        model_on(device, model, checkpointing=checkpointing, drawn_on=drawn_on),
        mixer(model, *batch),
        Optimizer(),
        Compute(device=device, precision=precision or setup.precision, **strict),  # type: ignore[arg-type]
        gradient_accumulation_steps=parts,
        compiled=compiled,
    )
    if is_strict is not None:
        torch.use_deterministic_algorithms(is_strict)
    made.begin(RATE, WARMUP)
    return made


def step_seconds(setup: Setup, step: Callable[[], object], steps: int = 8, warmup: int = 3) -> list[float]:
    """Seconds of each of so many steps, after some that are not counted."""
    for _ in range(warmup):
        step()
    setup.synchronize()
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        setup.synchronize()
        seconds.append(time.perf_counter() - began)
    return seconds


def peak_tflops(setup: Setup, precision: str, size: int, fill: Callable[..., torch.Tensor] = torch.randn) -> float:
    """10^12 operations a second of products of size × size; of random data, since ones draw less power."""
    a = fill(size, size, device=setup.device).to(DTYPES[precision])
    out = torch.empty_like(a)

    def products() -> None:
        for _ in range(2 if setup.is_small else PRODUCTS):
            torch.mm(a, a, out=out)

    count = 2 if setup.is_small else PRODUCTS
    return count * 2 * size**3 / min(step_seconds(setup, products, 3, 1)) / 1e12


def speed(
    setup: Setup, model: ModelConfig, batch: tuple[int, int], *, steps: int = 8, **options: Any
) -> dict[str, Any]:
    """Speed and peak memory of a training step with options of trainer()."""
    setup.reset_peak()
    began = time.perf_counter()
    made = trainer(setup, model, batch, **options)
    made.step()
    setup.synchronize()
    first = time.perf_counter() - began
    seconds = statistics.median(step_seconds(setup, made.step, *((2, 1) if setup.is_small else (steps, 2))))
    tokens = batch[0] * batch[1]
    return {
        "tokens a second": round(tokens / seconds),
        "ms a step": round(1e3 * seconds, 2),
        "TFLOP/s": round(useful_flops_per_token(model, batch[1]) * tokens / seconds / 1e12, 3),
        "peak GiB": setup.peak_gib(),
        "first step s": round(first, 1),
    }
