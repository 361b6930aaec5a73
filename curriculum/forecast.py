"""Forecast of a curriculum's speed: a few real steps of the real model on this machine, before the run begins.

Data in: the folder of a run with config.json and its prepared text. Data out: seconds of each part of training, as
timekeeper.py counts them: a step, an evaluation, samples, a stage's end and beginning. The folder is left as it is.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from hamner.runs.files import read_json, write_json

if TYPE_CHECKING:
    from curriculum.train_loop import CurriculumRun

SECONDS = 3.0  # of training steps, FEWEST_STEPS at least
FEWEST_STEPS = 4
MOST_STEPS = 200
ENDLESS = 1e9  # epochs


def forecast(folder: Path) -> dict[str, float]:
    """Seconds of each part, measured in a process of its own: a card's memory is free again when it ends."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, folder).result()


def measure(folder: Path) -> dict[str, float]:
    """Seconds of each part; of several workers, as one of them would take for its share of the rows."""
    from curriculum.train_loop import CurriculumRun

    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / folder.name
        copy.mkdir()
        document = {**read_json(folder / "config.json"), "deadline": None, "forecast": None, "from": None}
        document["config"]["curriculum"]["max_epochs"] = ENDLESS  # scarce text takes as long to read as any
        write_json(copy / "config.json", document)
        (copy / "data").symlink_to(folder.resolve() / "data")
        run = CurriculumRun(copy)
        try:
            seconds = _measure(run)
        finally:
            run.close()
        workers = run.config.compute.workers
    return {part: count / workers for part, count in seconds.items()}


def _measure(run: CurriculumRun) -> dict[str, float]:
    keeper, first = run.pacer.keeper, run.place.stage_index
    run.begin_stage(run.stages[first].after(1000))  # a share of the run is not known yet, and changes no speed
    began, steps = time.perf_counter(), 0
    while steps < FEWEST_STEPS or (time.perf_counter() < began + SECONDS and steps < MOST_STEPS):
        run.step()
        keeper.commit()
        steps += 1
    run.judge.measure()
    keeper.lap("evaluation")
    run.sample_texts()
    keeper.lap("sample")
    hamner = run.session.trainer.hamner
    run.measurements.heldout_losses(run.judge.averaged)
    keeper.lap("finish")
    run.measurements.training_losses(hamner, run.session.trainer.mixer)
    run.measurements.stage_end_results(hamner)
    keeper.lap("ending")
    keeper.commit()
    return dict(keeper.seconds)
