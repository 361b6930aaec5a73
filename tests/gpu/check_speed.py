"""Speed of a card (GPU check): its peak, V3's share of it, what helps V3, peers beside it, kernels, waits for the host."""

from __future__ import annotations

import functools
import itertools
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import limits
import torch
from check_setup import KINDS, Row, Setup, speed, step_seconds, trainer

from hamner.config.cost import GIB, useful_flops_per_token
from hamner.config.presets import PRESETS
from hamner.model.kernels.dispatch import DTYPES, force

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
V3 = (24, 1024)  # rows and tokens of the curriculum's batch
SHARE_OF_PEAK, FASTER_THAN_PEERS = 0.40, 1.15
FULL_CARD = 40 * GIB  # a card with more memory takes twice V3's rows
PEERS = ("hf llama:compile-ac", "litgpt:compile-ac")
PRODUCTS = 30  # of a measurement of the peak


def machine(setup: Setup) -> Iterator[Row]:
    """What this machine is, and what it can do: matrix products, copies."""
    yield Row("software", {"torch": torch.__version__, "python": platform.python_version()})
    compilers = list(filter(None, map(shutil.which, ("cc", "gcc", "g++"))))
    header = next(Path(sys.base_prefix).glob("include/python3*/Python.h"), None)
    yield Row("to compile with", {"compilers": " ".join(compilers) or "none", "Python.h": str(header)})
    if setup.is_card:
        card = torch.cuda.get_device_properties(0)
        yield Row(
            "card",
            {
                "name": card.name,
                "capability": f"{card.major}.{card.minor}",
                "GiB": card.total_memory / GIB,
                "processors": card.multi_processor_count,
                "driver": _driver(),
            },
        )
    size = 512 if setup.is_small else 8192
    for precision in ("bf16", "fp16", "fp32") if setup.is_card else ("fp32", "bf16"):
        rates = {fill.__name__: peak_tflops(setup, precision, size, fill) for fill in (torch.randn, torch.ones)}
        yield Row(f"TFLOP/s in {precision}", {"random": rates["randn"], "ones": rates["ones"]})
    yield Row("copies", {"GB/s": _copy_rate(setup, 2**20 if setup.is_small else 2**28)})


def _driver() -> str:
    path = Path("/proc/driver/nvidia/version")
    return path.read_text(encoding="ascii").split("Kernel Module")[-1].split()[0] if path.exists() else "?"


def peak_tflops(setup: Setup, precision: str, size: int, fill: Callable[..., torch.Tensor] = torch.randn) -> float:
    """10^12 operations a second of products of size × size; random data, since ones draw less power and clock higher."""
    a = fill(size, size, device=setup.device).to(DTYPES[precision])
    out = torch.empty_like(a)

    def products() -> None:
        for _ in range(2 if setup.is_small else PRODUCTS):
            torch.mm(a, a, out=out)

    count = 2 if setup.is_small else PRODUCTS
    return count * 2 * size**3 / min(step_seconds(setup, products, 3, 1)) / 1e12


def _copy_rate(setup: Setup, entries: int) -> float:
    """10^9 bytes a second, read and written."""
    source = torch.ones(entries, device=setup.device)
    target = torch.empty_like(source)
    return 8 * entries / min(step_seconds(setup, lambda: target.copy_(source), 5, 2)) / 1e9


def what_helps_v3(setup: Setup) -> Iterator[Row]:
    """V3 under checkpointing × entries of the logits × compiled; in fp16 and fp32; experts grouped and in turns."""
    model, batch = setup.model("v3"), setup.batch(*V3)
    measure = functools.partial(speed, setup, model, batch)
    for compiled, checkpointing in itertools.product((False, True) if setup.is_card else (False,), (True, False)):
        for power in (None, 24, 27) if not checkpointing else (None,):
            rows = None if power is None else max(64, 2**power // model.vocab_size // 64 * 64)
            label = "compiled" if compiled else "eager"
            label += ", checkpointing" if checkpointing else ""
            label += f", logits 2^{power}" if power else ""
            with force(rows_of_logits=rows):
                yield Row(f"v3 {label}", measure(checkpointing=checkpointing, compiled=compiled))
    for precision in ("fp16", "fp32") if setup.is_card else ("bf16",):
        yield Row(f"v3 eager {precision}", measure(precision=precision, steps=4))
    for grouped in (True, False):
        with force(grouped_experts=grouped):
            words = "grouped" if grouped else "in turns"
            row = speed(setup, setup.model("v05_moe_small"), setup.batch(16, 512), precision="bf16", steps=4)
            yield Row(f"v05_moe_small, experts {words}", row)


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
    yield Row("V3, share of the measured peak", {"share": share, "tokens a second": round(tokens / seconds["ours"])}, right)
    for name in steps.keys() - {"ours"}:
        faster = seconds[name] / seconds["ours"]
        judged = faster >= FASTER_THAN_PEERS if setup.is_card else None
        yield Row(f"against {name}", {"ours is faster by": faster, "tokens a second": round(tokens / seconds[name])}, judged)


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


def waits(setup: Setup) -> Iterator[Row]:
    """Waits for the host of one training step, as PyTorch warns of them, beside the limits of the dry run."""
    for name in ("v3", *KINDS[1:3]):
        model = setup.model(name)
        made = trainer(setup, model, setup.batch(4, 512))
        made.step()
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made.step()
        torch.cuda.set_sync_debug_mode("default")
        lines = Counter(f"{os.path.basename(w.filename)}:{w.lineno}" for w in caught if "synchron" in str(w.message))
        most = limits.waits_of_training(model, setup.precision, checkpointing=False, parts=1)
        where = ", ".join(f"{count} × {line}" for line, count in lines.most_common(4))
        yield Row(name, {"waits": lines.total(), "at most": most, "where": where}, lines.total() <= most)


def kernels(setup: Setup) -> Iterator[Row]:
    """Where a step's time goes: the kernels that take most of it."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if setup.is_card else [])]
    for name in ("v3", "v05_moe_small"):
        made = trainer(setup, setup.model(name), setup.batch(16, 1024))
        for _ in range(2):
            made.step()
        setup.synchronize()
        began = time.perf_counter()
        with profile(activities=activities) as profiled:
            made.step()
            setup.synchronize()
        took = 1e3 * (time.perf_counter() - began)
        key = "self_device_time_total" if setup.is_card else "self_cpu_time_total"
        events = sorted(profiled.key_averages(), key=lambda event: -getattr(event, key))
        total = sum(getattr(event, key) for event in events) / 1e3
        values: dict[str, Any] = {event.key[:48]: f"{getattr(event, key) / 1e3:.1f} ms" for event in events[:12]}
        yield Row(f"{name}, {took:.0f} ms with the profiler, {total:.0f} ms in kernels", values)
