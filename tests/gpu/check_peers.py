"""Peers of V3 (GPU check): its share of the measured peak, and Hugging Face's Llama and litgpt in the same run."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from check_setup import V3, Row, Setup, peak_tflops, step_seconds, trainer

from hamner.config.cost import GIB, useful_flops_per_token
from hamner.config.presets import PRESETS

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SHARE_OF_PEAK, FASTER_THAN_PEERS = 0.40, 1.15
FULL_CARD = 40 * GIB  # a card with more memory takes twice V3's rows
PEERS = ("hf llama:compile-ac", "litgpt:compile-ac")


def share_of_peak(setup: Setup) -> Iterator[Row]:
    """V3 compiled at a batch that fills the card: its share of the measured peak; peers in the same run, in turns."""
    batch = setup.batch(*V3)
    if setup.is_card and torch.cuda.get_device_properties(0).total_memory > FULL_CARD:
        batch = (2 * batch[0], batch[1])
    model = setup.model("v3")
    peak = peak_tflops(setup, setup.precision, 512 if setup.is_small else 8192)
    made = trainer(setup, model, batch, compiled=setup.is_card)
    steps: dict[str, Callable[[], object]] = {"ours": made.step}
    for name in PEERS:
        step, problem = _peer(setup, name, batch)
        if step is None:
            yield Row(name, {"left out": problem})
        else:
            steps[name] = step
    seconds = _in_turns(setup, steps, 2 if setup.is_small else 8)
    tokens = batch[0] * batch[1]
    share = useful_flops_per_token(model, batch[1]) * tokens / seconds["ours"] / 1e12 / peak
    right = None if not setup.is_card or torch.cuda.get_device_capability()[0] < 9 else share >= SHARE_OF_PEAK
    yield Row(
        "V3, share of the measured peak", {"share": share, "tokens a second": round(tokens / seconds["ours"])}, right
    )
    for name in steps.keys() - {"ours"}:
        faster = seconds[name] / seconds["ours"]
        judged = faster >= FASTER_THAN_PEERS if setup.is_card else None
        yield Row(
            f"against {name}", {"ours is faster by": faster, "tokens a second": round(tokens / seconds[name])}, judged
        )


def _peer(setup: Setup, name: str, batch: tuple[int, int]) -> tuple[Callable[[], None] | None, str]:
    """A peer's training step at V3's shape, compiled; or why there is none."""
    if setup.is_small:
        return None, "not in a small check"
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from peers import Shape, contender

        v3 = PRESETS["v3"]
        shape = Shape(
            v3.vocab_size, v3.hidden_size, v3.num_layers, v3.num_heads, v3.num_kv_heads, v3.intermediate_size, *batch
        )
        step = contender(name, shape)
        for _ in range(3):
            step()
    except ImportError as error:
        return None, f"not installed: {error.name}"
    except Exception as error:  # out of memory, another version's arguments: theirs, not ours
        return None, f"{type(error).__name__}: {str(error)[:100]}"
    return step, ""


def _in_turns(setup: Setup, steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of a step of each, a step each in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, step in steps.items():
            (took,) = step_seconds(setup, step, 1, 0)
            if number >= 2:  # compiled by then
                seconds[name].append(took)
    return {name: statistics.median(times) for name, times in seconds.items()}
