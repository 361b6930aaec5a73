"""Calibrate this machine: times a run's kernels, parts and trials side by side, and prints what won.

Data in: a Workload, the keys that may be chosen. Data out: what an Entry of results/calibration.json holds of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

import torch

from hamner.config.schema import Kernels
from hamner.model.kernels import dispatch
from hamner.runs.calibration_record import Layout, Row
from hamner.runs.cluster import compiler
from hamner.training.calibration import Alternative, Comparison, choose, interleaved, judged
from hamner.training.kernel_timing import (
    Workload,
    advice_comparisons,
    compile_comparison,
    kernel_comparisons,
    part_runs,
)
from hamner.training.trial_timing import layouts, processes, trials_side_by_side

Say = Callable[[str], None]
START_SECONDS, COMPARISON_SECONDS, COMPILE_SECONDS, PART_SECONDS, TRIAL_SECONDS = 8, 4, 30, 2, 20  # to expect


class Measured(NamedTuple):
    """What was found in one process."""

    choices: dict[str, str | int]
    rows: list[Row]
    advice: list[str]  # key=value of keys that are the user's to set
    speed: dict[str, float]


def expected_seconds(work: Workload, keys: Sequence[str]) -> int:
    """About how long a calibration takes."""
    comparisons = COMPARISON_SECONDS * (len(keys) + 2)
    parts = PART_SECONDS * (len(work.models) + 2)
    return START_SECONDS + comparisons + parts + COMPILE_SECONDS * may_compile(work, keys) + TRIAL_SECONDS


def may_compile(work: Workload, keys: Sequence[str]) -> bool:
    """Whether compiling is a choice here."""
    return "compile" in keys and (work.compute.device == "cuda" or compiler() is not None)


def measure(work: Workload, keys: Sequence[str]) -> Measured:
    """Time kernels and parts in a process of their own, which has the environment of a run's."""
    with processes(1, work.threads) as pool:
        return pool.submit(measured_here, work, keys).result()


def measured_here(work: Workload, keys: Sequence[str], say: Say = print, **how: Any) -> Measured:
    """The same in this process, which then computes as it was chosen. how: as `interleaved` takes it."""
    torch.set_num_threads(work.threads)
    dispatch.use(work.compute.kernels)
    found = Measured({}, [], [], {})
    for comparison in kernel_comparisons(work, keys):
        found.choices.update(_decide(comparison, found, say, how))
    if found.choices:
        _check_together(work, found, say, how)
    dispatch.use(_with(work.compute.kernels, found.choices))
    if may_compile(work, keys):
        _decide_compile(work, found, say, how)
    for comparison in advice_comparisons(work):
        values = _decide(comparison, found, say, how)
        found.advice.extend(f"compute.{key}={value}" for key, value in values.items())
    found.speed.update(part_speeds(work))
    return found


def _decide(comparison: Comparison, found: Measured, say: Say, how: dict[str, Any]) -> dict[str, Any]:
    """Time a comparison, say and note how it ended; returns the values of the way that won."""
    times = interleaved([alternative.run for alternative in comparison.alternatives], **how)
    best = choose(times)
    for index, (alternative, row) in enumerate(zip(comparison.alternatives, judged(times), strict=True)):
        found.rows.append(
            Row(
                of=comparison.of,
                way=alternative.way,
                milliseconds=round(1000 * row.seconds, 3),
                ratio=round(row.ratio, 3),
                wins=row.wins,
                rounds=row.rounds,
                is_chosen=index == best and not comparison.is_advice,
            )
        )
    chosen = comparison.alternatives[best]
    say(f"{comparison.of}: {chosen.way}" + (f", {judged(times)[best].ratio:.2f} of the rule's time" if best else ""))
    return chosen.values


def _check_together(work: Workload, found: Measured, say: Say, how: dict[str, Any]) -> None:
    """Drop all choices where blocks and head together are not faster with them: parts may lie to each other's cost."""
    runs = [run for name, (_, run) in part_runs(work).items() if name != "update"]

    def computed(kernels: Kernels) -> Callable[[], None]:
        def run() -> None:
            dispatch.use(kernels)
            for part in runs:
                part()

        return run

    rules, chosen = work.compute.kernels, _with(work.compute.kernels, found.choices)
    ways = [Alternative("by the rules", computed(rules)), Alternative("as chosen", computed(chosen))]
    _decide(Comparison("blocks and head together", ways), found, say, how)
    if found.rows[-1].ratio >= 1:
        say("nothing is chosen: together the choices are not faster")
        found.choices.clear()


def _decide_compile(work: Workload, found: Measured, say: Say, how: dict[str, Any]) -> None:
    """Never compile where steps are faster as they are; else whether it pays depends on a run's length: auto."""
    say("compiling a block, once")
    began = time.perf_counter()
    try:
        comparison = compile_comparison(work)
    except Exception as error:  # whatever a compiler raises
        say(f"compiling failed ({type(error).__name__}): compile=never")
        found.choices["compile"] = "never"
        return
    say(f"compiled in {time.perf_counter() - began:.0f} s")
    found.choices.update(_decide(comparison, found, say, how))


def _with(kernels: Kernels, choices: dict[str, str | int]) -> Kernels:
    named = {key.partition(".")[2]: value for key, value in choices.items() if key.startswith("kernels.")}
    return Kernels.model_validate(kernels.model_dump() | named)


def part_speeds(work: Workload, rounds: int = 5) -> dict[str, float]:
    """FLOP/s of a block of each kind of model and of the head, bytes/s of the update; medians, interleaved."""
    runs = part_runs(work)
    times = interleaved([run for _, run in runs.values()], rounds=rounds, fewest=rounds, hopeless=math.inf)
    return {name: amount / median(own) for (name, (amount, _)), own in zip(runs.items(), times, strict=True)}


def measure_layouts(
    work: Workload, cores: int, own: tuple[int, int], say: Say = print
) -> tuple[list[Layout], Layout | None]:
    """Tokens a second of trials side by side, the config's own layout first; the one that wins beyond the noise."""
    ways = layouts(work.compute.device, cores, own)
    rates = trials_side_by_side(work, ways, say)
    rows = [
        Layout(trials=trials, threads=threads, tokens_per_second=round(median(rate), 1))
        for (trials, threads), rate in zip(ways, rates, strict=True)
    ]
    best = choose(inverted(rates))
    return rows, rows[best] if best else None


def inverted(rates: Iterable[Iterable[float]]) -> list[list[float]]:
    """Seconds a token, of tokens a second."""
    return [[1 / max(rate, 1e-9) for rate in row] for row in rates]
