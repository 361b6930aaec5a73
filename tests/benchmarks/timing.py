"""What the benchmarks share: turns instead of blocks, medians, and a line about the machine."""

import os
import statistics
import sys
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from hamner.runs.cluster import worker_environment


def like_a_worker(threads: int) -> None:
    """From here on with that many threads and with the allocator setting that the project's workers get.

    Both must be known before the process starts, so it starts once more.
    """
    wanted = worker_environment(threads)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)
    torch.set_num_threads(threads)


def in_turns(turns: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each returns, `rounds` times, all in turns; a first round is not counted."""
    found: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name, turn in turns.items():
            value = turn()
            if number:
                found[name].append(value)
    return found


def seconds_of(action: Callable[[], object]) -> Callable[[], float]:
    """The action as a turn: how long it takes."""

    def turn() -> float:
        began = time.perf_counter()
        action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - began

    return turn


def medians(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each action, measured in turns."""
    found = in_turns({name: seconds_of(action) for name, action in actions.items()}, rounds)
    return {name: statistics.median(times) for name, times in found.items()}


def machine(rounds: int) -> str:
    return (
        f"torch {torch.__version__}, n = {rounds} turns, {torch.get_num_threads()} torch threads, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )


def show(title: str, headings: list[str], rows: list[list[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
