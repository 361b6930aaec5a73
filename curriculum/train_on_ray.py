"""Ray Train: one TorchTrainer that trains all stages of a run, with its workers, restarts and storage.

Data in: a run's folder and config. Data out: what worker.py lets train_loop.py write there.
"""

from __future__ import annotations

import os
from pathlib import Path

import ray.train
from ray.exceptions import RayActorError, RayError
from ray.train.torch import TorchTrainer

from curriculum.worker import train
from hamner.config.schema import Config
from hamner.runs.folders import next_attempt
from hamner.runs.trouble import machine_trouble

# How long elastic workers wait for their places. Ray counts the nodes every 20 seconds, so after a node was lost it may
# ask for a place there; by default it waits a minute for it.
PLACEMENT_SECONDS = ("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "25")


def train_on_ray(folder: Path, config: Config, cores: int) -> str:
    """Train all stages; returns what Ray says of a failure, "" when the training ended by itself.

    cores: of each worker. Raises what Ray raises of a defect.
    """
    attempt, compute = next_attempt(folder), config.compute
    resources = {"CPU": cores} | ({"GPU": 1} if compute.device == "cuda" else {})
    elastic = (compute.min_workers, compute.workers)  # Ray restarts the workers when their possible number changes
    if compute.min_workers:
        os.environ.setdefault(*PLACEMENT_SECONDS)
    trainer = TorchTrainer(
        train,
        train_loop_config={"run": str(folder), "attempt": attempt},
        scaling_config=ray.train.ScalingConfig(
            num_workers=elastic if compute.min_workers else compute.workers,
            use_gpu=compute.device == "cuda",
            resources_per_worker=resources,
        ),
        run_config=ray.train.RunConfig(
            name=str(attempt),
            storage_path=str(folder / "ray"),
            failure_config=ray.train.FailureConfig(max_failures=compute.max_failures),
        ),
    )
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        return str(error)
    except RayError as error:  # Train's controller, which starts workers again, has been ended itself
        if machine_trouble(error):
            return str(error)
        if isinstance(error, RayActorError):
            return f"the training's controller of Ray on this machine has ended: {' '.join(str(error).split())}"
        raise
    return ""
