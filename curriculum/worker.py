"""Worker of a curriculum under Ray Train: its lock, its card and its watchdog, around the training loop.

Data in: a run's folder, how many times it has been started. Data out: what train_loop.py writes there. A worker that is
killed or hangs is started again by Ray Train, and continues from the newest checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from curriculum.train_loop import CurriculumRun
from hamner.config.load import parse
from hamner.config.schema import Compute
from hamner.model.distributed import rank
from hamner.runs.files import read_json
from hamner.runs.lock import only_worker
from hamner.runs.watchdog import HANG_FILE, Watchdog, hang_line, take_hang


def train(settings: dict[str, Any]) -> None:
    """Train in one worker of Ray Train. settings: {"run": the run's folder, "attempt": as CurriculumRun takes it}."""
    folder = Path(settings["run"])
    compute = parse(Compute, read_json(folder / "config.json")["config"]["compute"], str(folder / "config.json"))
    if compute.device == "cuda":  # as configured, card or not
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())  # of several cards on a node, the one Ray assigned
    file = folder / f"{HANG_FILE}{rank() or ''}"
    with only_worker(folder / f".worker{rank()}.lock"):  # an orphan of a killed driver may still be writing
        hung = take_hang(file)
        with Watchdog(file, compute.hang_minutes):
            run = CurriculumRun(folder, attempt=settings["attempt"])
            if hung:
                run.log.say(
                    f"a worker {hang_line(hung, compute.hang_minutes)}; started again from its newest checkpoint"
                )
            try:
                run.run()
            finally:
                run.close()  # before the lock is released: a successor must not meet a half-written checkpoint
