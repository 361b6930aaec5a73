"""Memory of a card (GPU check): measured peaks beside the plan, running out of it, processes that share a card."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from check_runner import FORK
from check_setup import Row, Setup, speed, trainer

from hamner.config.cost import GIB
from hamner.config.load import load_config
from hamner.config.presets import CONTESTANTS
from tournament.gpu_memory import MemoryPlan, memory_estimate

LEAGUE = (16, 512)  # rows and tokens of a league's batch
PLAN_OFF = 0.15  # share by which a measured peak may differ from the plan
LITTLE = 0.03  # share of the card that is too little for v06 on any card below 270 GiB
SHARING = ("v01_dense_small", "v09_deep_narrow")
STEPS_SECONDS = 4.0  # that processes side by side train for


def all_ten(setup: Setup) -> Iterator[Row]:
    """Each contestant at full size with and without checkpointing: speed, measured peak, the plan's."""
    config = load_config("rtx3090", ["compute.compile=never"])
    for name in CONTESTANTS:
        model = setup.model(name)
        for checkpointing in (True, False):
            batch = setup.batch(*LEAGUE)
            values = speed(setup, model, batch, steps=4, checkpointing=checkpointing)
            estimate = memory_estimate(CONTESTANTS[name], config, MemoryPlan(1, checkpointing, 0.0))
            values["planned GiB"] = planned = (estimate.peak - estimate.context) / GIB
            is_right = None
            if values["peak GiB"] is not None and not setup.is_small:
                values["plan off by"] = off = planned / values["peak GiB"] - 1
                is_right = abs(off) <= PLAN_OFF
            yield Row(f"{name}{' checkpointing' if checkpointing else ''}", values, is_right)


def out_of_memory(setup: Setup) -> Iterator[Row]:
    """A model that does not fit its share of the card raises what the fallbacks of a league catch."""
    torch.cuda.set_per_process_memory_fraction(LITTLE)
    try:
        trainer(setup, CONTESTANTS["v06_moe_medium"], LEAGUE).step()
        found = "nothing: it fitted"
    except Exception as error:
        found = type(error).__name__
    yield Row(f"v06_moe_medium in {LITTLE:.0%} of the card", {"raises": found}, found == "OutOfMemoryError")


def sharing(setup: Setup) -> Iterator[Row]:
    """1, 2 and 4 processes on one card at the same time: whether several trials at a time pay."""
    for name in SHARING[:1] if setup.is_small else SHARING:
        alone = 0.0
        for count in (1, 2) if setup.is_small else (1, 2, 4):
            rates = _side_by_side(setup, name, count)
            alone = alone or sum(rates)
            values: dict[str, Any] = {"steps a second together": sum(rates), "times as many": sum(rates) / alone}
            yield Row(f"{name}, {count} at a time", values)


def _side_by_side(setup: Setup, name: str, count: int) -> list[float]:
    """Steps a second of each of so many processes that begin at once."""
    barrier, rates = FORK.Barrier(count), FORK.SimpleQueue()
    children = [FORK.Process(target=_steps, args=(setup, name, barrier, rates)) for _ in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    if any(child.exitcode for child in children):
        raise RuntimeError(f"of {count} processes some ended with {[child.exitcode for child in children]}")
    return [rates.get() for _ in children]


def _steps(setup: Setup, name: str, barrier: Any, rates: Any) -> None:
    made = trainer(setup, setup.model(name), setup.batch(*LEAGUE))
    for _ in range(2):
        made.step()
    setup.synchronize()
    barrier.wait(60)
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < (0.5 if setup.is_small else STEPS_SECONDS):
        made.step()
        steps += 1
    setup.synchronize()
    rates.put(steps / (time.perf_counter() - began))
