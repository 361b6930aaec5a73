"""Checkpoint retention: which of a curriculum's checkpoints stay on disk, and of which only the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from curriculum.place import Place
from hamner.config.schema import Curriculum
from hamner.runs.folders import step_folders
from hamner.training import checkpoint


def pruning(place: Place, step: int, settings: Curriculum) -> Callable[[Path], None]:
    """Return what removes all checkpoints but the newest, those of `keep_every`, and each stage's end and best.

    Of the stages that are over only the weights stay, unless keep_stages = full.
    """
    spared = {checkpoint.step_name(step)}
    stages_over = {
        Path(path).name
        for record in place.records
        for path in (record["checkpoint"], (record["best"] or record)["checkpoint"])
    }
    if place.best:
        spared.add(Path(place.best["checkpoint"]).name)
    if settings.keep_stages == "full":
        spared |= stages_over

    def prune(folder: Path) -> None:
        regular = {
            path.name
            for path in step_folders(folder)
            if settings.keep_every and int(path.name.removeprefix("step_")) % settings.keep_every == 0
        }
        checkpoint.prune(
            folder, settings.keep_checkpoints, spare=frozenset(spared | regular), weights_of=frozenset(stages_over)
        )

    return prune
