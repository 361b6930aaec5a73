"""Trials side by side: how many processes of how many threads train most tokens a second together on this machine.

Data in: a Workload. Data out: tokens a second of each layout (trials × threads), all trials together, round by round.
Processes are started once and wait; a layout uses as many of them as it has trials.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from hamner.runs.cluster import worker_environment
from hamner.training.kernel_timing import Bench, Workload

MOST_TRIALS = {"cpu": 8, "cuda": 4}
BURST_SECONDS = 0.8
ROUNDS = 6  # 6 wins of 6 have a probability of 0.016
LAYERS = 2  # of the model that is trained: speed side by side depends on its width
_train: Callable[[], int] | None = None  # one step in this process; returns its tokens


def layouts(device: str, cores: int, own: tuple[int, int]) -> list[tuple[int, int]]:
    """(trials, threads of each) that share all cores, or a card; first `own`, those of the config."""
    most = MOST_TRIALS[device] if device == "cuda" else min(MOST_TRIALS[device], cores)
    trials = [count for count in (8, 4, 2, 1) if count <= most]
    ways = [(count, own[1] if device == "cuda" else cores // count) for count in trials]
    return list(dict.fromkeys([(min(own[0], most), own[1]), *ways]))


@contextmanager
def processes(
    count: int, threads: int, start: Callable[..., None] | None = None, *words: Any
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of `count` processes with the environment that runs have; start(*words) is called in each first."""
    environment = worker_environment(threads)
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(count, context, initializer=start, initargs=words) as pool:
            yield pool
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def trials_side_by_side(work: Workload, ways: list[tuple[int, int]], say: Callable[[str], None]) -> list[list[float]]:
    """Tokens a second of each layout in each of ROUNDS, all its trials together."""
    count = max(trials for trials, _ in ways)
    say(f"starting {count} process{'es' * (count > 1)} for trials side by side")
    rates: list[list[float]] = [[] for _ in ways]
    with processes(count, work.threads, _start, work) as pool:
        list(pool.map(_burst, [(1, 2 * BURST_SECONDS)] * count))  # each process is up, its caches are full
        for number in range(ROUNDS):
            turn = number % len(ways)
            for index in (*range(turn, len(ways)), *range(turn)):
                trials, threads = ways[index]
                rates[index].append(sum(pool.map(_burst, [(threads, BURST_SECONDS)] * trials)))
    return rates


def _start(work: Workload) -> None:
    """Build in this process what it trains."""
    global _train
    model = next(iter(work.models.values()))
    bench = Bench(model, work)
    block, head, update = bench.of_block(), bench.of_head(bench.tokens), bench.of_update(work.optimizer)

    def train() -> int:
        for _ in range(LAYERS):
            block()
        head()
        update()
        return bench.tokens

    _train = train


def _burst(job: tuple[int, float]) -> float:
    """Train for so many seconds with so many threads; tokens a second."""
    threads, seconds = job
    assert _train is not None
    torch.set_num_threads(threads)
    began, tokens = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        tokens += _train()
    return tokens / spent
