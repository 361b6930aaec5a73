"""Out-of-memory handling of one run: its memory plan, and what was tried when memory ran out.

The same batches in less memory, then in more of the card (gpu_memory.py has the order). What was tried is written to
memory_fallbacks.json before it is tried, so that a later process begins with it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from hamner.config.schema import Config
from hamner.runs.files import read_json, write_json
from tournament.gpu_memory import MemoryPlan, next_fallback

FILE_NAME = "memory_fallbacks.json"


class NeedsMoreOfTheCard(Exception):
    """The run cannot continue in its share of the card; memory_fallbacks.json says which share it needs."""


class MemoryFallbacks:
    """The memory plan of a run, and the fallbacks that led to it."""

    def __init__(self, path: Path, first_plan: MemoryPlan, config: Config) -> None:
        """path: the file that remembers. first_plan: what the run starts with when nothing is remembered."""
        self._path, self._config = path, config
        self.plan = MemoryPlan(**read_json(path)["plan"]) if path.is_file() else first_plan

    @property
    def records(self) -> list[dict[str, Any]]:
        """What was tried, in order: {"peak_gib", "fallback"}."""
        return list(read_json(self._path)["fallbacks"]) if self._path.is_file() else []

    @property
    def next(self) -> tuple[MemoryPlan, str] | None:
        """The next fallback and its description; None when none is left."""
        return next_fallback(self.plan, self._config)

    def fall_back(self, peak_gib: float) -> None:
        """Take the next fallback, which there must be, and write it down.

        Raises NeedsMoreOfTheCard when it is a larger share of the card, which takes a new process.
        """
        assert self.next is not None
        before, (self.plan, description) = self.plan, self.next
        records = [*self.records, {"peak_gib": peak_gib, "fallback": description}]
        write_json(self._path, {"plan": asdict(self.plan), "fallbacks": records})
        if self.plan.share != before.share:
            raise NeedsMoreOfTheCard(description)


def fallback_names(path: Path) -> list[str]:
    """Return what was tried by the run whose memory_fallbacks.json this is, in order."""
    return [record["fallback"] for record in read_json(path)["fallbacks"]] if path.is_file() else []


def needed_share(path: Path) -> float:
    """Return the share of the card that the run whose memory_fallbacks.json this is needs."""
    return float(read_json(path)["plan"]["share"])
