"""How far a run had come when it was killed, and what a resume did again: one line each in resume.jsonl.

Every step is noted in a tiny file of its own, in place and in one write, which a kill -9 leaves behind whole; a run
that is opened again sets the checkpoint it found against it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from hamner.runs.files import append_json_line

BEACON = ".step"


class StepFile:
    """The step that the run in `folder` stands at. `attempt`: how often it has been started."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self._path, self._attempt, self._file = folder / BEACON, attempt, -1

    def mark(self, step: int) -> None:
        if self._file < 0:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(self._file, f"{self._attempt:6} {step:15}".encode("ascii"), 0)

    def log_resume(self, log: Path, found: int, **facts: object) -> None:
        """Append to `log` when steps were lost, or when this is another start than the one that left the beacon."""
        words = self._path.read_text(encoding="ascii").split() if self._path.is_file() else []
        attempt, reached = map(int, words) if len(words) == 2 else (self._attempt, found)
        if reached > found or attempt != self._attempt:
            append_json_line(
                log, {"time": time.time(), **facts, "step_found": found, "steps_redone": max(0, reached - found)}
            )
        self.mark(found)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
