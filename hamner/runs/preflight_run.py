"""Preflight checks of a run (doctor): all of them in their order, printed as they come, with an exit code.

Data in: a config, the results folder, what the run needs. Data out: lines on stdout; 1 where something is in the way.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hamner.config.schema import Config
from hamner.runs import calibration_record, output, preflight, preflight_card, preflight_network
from hamner.runs.calibration_record import Kind
from hamner.runs.cores import available_cores
from hamner.runs.folders import start_times
from hamner.runs.machine import cpu_text
from hamner.runs.preflight import FAIL, Finding

SHARED_MEMORY = Path("/dev/shm")
PROCESS_GIB = 0.9  # of a process with PyTorch and Ray, beside what it trains: measured, 0.65 to 0.9
CARD_PROCESS_GIB = 3.0  # of one that feeds a card, where CUDA has its libraries in memory too; a guess
RAY_GIB = 1.5  # the driver, Ray's own processes, the preparation of text


@dataclass(frozen=True)
class Needs:
    """What a run needs of the machine."""

    cores: int  # of one process that trains
    processes: int  # that train side by side
    process_gib: float  # main memory of each
    disk: Mapping[str, float]  # GiB of each thing that it writes
    reads_hub: bool  # text
    reads_hub_tokenizer: bool


def examine(
    config: Config, kind: Kind, results: Path, needs: Needs, data: Callable[[], Iterable[Finding]]
) -> Iterator[Finding]:
    """Every check of a run with this config, the quick ones first. kind: its command. data: the checks of its text."""
    compute, screen = config.compute, sys.stdout
    yield preflight.versions()
    yield preflight.processor(cpu_text(), available_cores(), needs.cores, compute.device, compute.precision)
    is_cpu, least = compute.device == "cpu", RAY_GIB + needs.process_gib
    fewer = "raise compute.threads: fewer run at a time" if is_cpu else "lower compute.gpu_memory_gib: fewer share it"
    together = least + (needs.processes - 1) * needs.process_gib
    yield preflight.memory(*preflight.memory_gib(), together, least, fewer)
    yield preflight.shared_memory(SHARED_MEMORY)
    yield preflight.results_place(results)
    yield preflight.disk(results, needs.disk)
    yield from data()
    yield preflight_card.c_compiler(compute)
    yield preflight_card.card(preflight_card.card_facts(), compute)
    yield calibration_record.finding(config, kind, results)
    yield preflight_network.ray_place()
    yield preflight_network.connections(preflight_network.own_address())
    yield preflight_network.ports()
    hub, hub_clock = preflight_network.hub(text=needs.reads_hub, tokenizer=needs.reads_hub_tokenizer)
    yield hub
    newest = max(start_times(results), default=0.0)
    yield preflight.clock(time.time(), preflight.storage_clock(results) | hub_clock, newest)
    from hamner.runs.tables import console

    width, is_unicode = console().width, output.is_unicode(screen.encoding)
    yield preflight.terminal(width, is_terminal=screen.isatty(), is_unicode=is_unicode)


def print_findings(findings: Iterable[Finding], again: str, way_on: str) -> int:
    """Print findings as they come, then the command to type next; returns 1 where one of them fails, else 0."""
    seen = []
    for finding in findings:
        seen.append(finding)
        for line in preflight.lines(finding):
            print(line, flush=True)
    print(preflight.closing_line(seen, again, way_on))
    return int(any(finding.state == FAIL for finding in seen))
