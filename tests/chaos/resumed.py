"""A stored run resumed for some steps in this process, without Ray: what it trains, and what it says.

Data in: the folder of a run in the middle of its training. Data out: the losses of all its steps, the checksum of its
weights, lines.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from curriculum.train_loop import CurriculumRun
from hamner.runs.files import file_sha256
from hamner.runs.folders import step_folders
from hamner.runs.metrics import read_metrics
from hamner.training.finetuning import FinetuningRun

Rows = dict[int, tuple[str, str]]  # step: training loss, held-out loss


def trained(
    folder: Path, steps: int, on_step: Callable[[int], None] = lambda step: None
) -> tuple[Rows, str, list[str]]:
    """Losses by step and the weights after so many more steps, and what was said. on_step: is called after each."""
    lines: list[str] = []
    done = 0

    def should_stop() -> bool:
        nonlocal done
        done += 1
        on_step(done)
        return done == steps

    is_curriculum = folder.parent.name == "curriculum"
    if is_curriculum:
        run: CurriculumRun | FinetuningRun = CurriculumRun(folder, stop_requested=should_stop)
    else:
        run = FinetuningRun(folder, stop_requested=should_stop, say=lines.append)
    try:
        run.run()
    finally:
        run.close()
    if is_curriculum:
        lines = (folder / "run.log").read_text(encoding="utf-8").splitlines()
    rows = {int(row["step"]): (row["loss"], row["heldout_loss"]) for row in read_metrics(folder)}
    return rows, file_sha256(step_folders(folder / "checkpoints")[-1] / "model.safetensors"), lines
