"""Resume log: steps redone after a crash, one line of resume.jsonl each.

Every step is written to a tiny file, in place and in one write, which a kill -9 leaves whole. A run that is resumed
compares it with the step of the checkpoint it resumes from; the difference is what the kill cost.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from hamner.runs.files import append_json_line

STEP_FILE = ".step"


class StepFile:
    """The step a run has reached, on disk.

    attempt: how many times the run has been started, this one included.
    """

    def __init__(self, folder: Path, attempt: int) -> None:
        self._path, self._attempt, self._file = folder / STEP_FILE, attempt, -1

    def mark(self, step: int) -> None:
        """Write the step, in place and in one write."""
        if self._file < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        os.pwrite(self._file, f"{self._attempt:6} {step:15}".encode("ascii"), 0)

    def log_resume(self, log: Path, checkpoint_step: int, **facts: object) -> None:
        """Append a line to `log` when steps are lost, or when another start of the run wrote the step last."""
        attempt, reached = _read(self._path) or (self._attempt, checkpoint_step)
        lost = max(0, reached - checkpoint_step)
        if lost or attempt != self._attempt:
            line = {"time": time.time(), **facts, "step_found": checkpoint_step, "steps_redone": lost}
            append_json_line(log, line)
        self.mark(checkpoint_step)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def step_reached(folder: Path) -> int | None:
    """The step that the run in a folder has reached; None where none is written."""
    found = _read(folder / STEP_FILE)
    return found[1] if found else None


def _read(path: Path) -> tuple[int, int] | None:
    """Which start wrote a step last, and the step; None where there is none, or it is damaged."""
    try:
        attempt, step = map(int, path.read_text(encoding="ascii").split())
        return attempt, step
    except (OSError, ValueError):
        return None
