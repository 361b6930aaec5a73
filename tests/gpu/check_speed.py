"""Speed of a card (GPU check): what the machine can do, what helps V3, kernels of a step, waits for the host."""

from __future__ import annotations

import functools
import itertools
import platform
import shutil
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import limits
import torch
from check_setup import KINDS, V3, Row, Setup, peak_tflops, speed, step_seconds, trainer

from hamner.config.cost import GIB
from hamner.model.kernels.dispatch import force


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
    for is_strict in (False, True) if setup.is_card else ():
        words = "strict" if is_strict else "sums in any order"
        yield Row(f"v3 eager, {words}", measure(is_strict=is_strict, steps=4))
    for grouped in (True, False):
        with force(grouped_experts=grouped):
            words = "grouped" if grouped else "in turns"
            row = speed(setup, setup.model("v05_moe_small"), setup.batch(16, 512), precision="bf16", steps=4)
            yield Row(f"v05_moe_small, experts {words}", row)


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
        lines = Counter(f"{Path(w.filename).name}:{w.lineno}" for w in caught if "synchron" in str(w.message))
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
