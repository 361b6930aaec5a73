"""Resume a run with changes: keys that may differ, and what a resume does beside continuing, in the driver.

Both are recorded in RUN/config.json before anything is trained: `changes`, a list of {step, time, key, before, now},
and `interventions`, a list of {step, time, stage, keep_weights, skip_batches, learning_rate_scale}; interventions.py
does them. Everything that is wrong with them is found here.

Data in: the stored config and the one asked for, an Intervention, the newest checkpoint. Data out: config.json, lines
for the screen, or a BadInput. PyTorch is loaded only where a checkpoint is read.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curriculum.stages import Stage
from hamner.config.errors import BadInput
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.runs.files import read_json, read_json_as, write_json
from hamner.runs.folders import changed_leaves, now, step_folders
from hamner.runs.lock import only_worker
from hamner.runs.safe_paths import path_below

# Beginnings of keys that change no number of a run, beside the order in which workers and threads add. A cap changes
# none either as long as it rises: no stage that is over was longer.
MAY_DIFFER = (
    "tournament.",
    "finetuning.",
    "compute.workers",
    "compute.min_workers",
    "compute.worker_threads",
    "compute.threads",
    "compute.max_failures",
    "compute.hang_minutes",
    "compute.gpu_memory_gib",
    "compute.runs_per_card",
    "curriculum.max_steps",
    "curriculum.log_every",
    "curriculum.sample_every",
    "curriculum.sample_tokens",
    "curriculum.checkpoint_every",
    "curriculum.keep_checkpoints",
    "curriculum.keep_every",
    "curriculum.keep_stages",
)


@dataclass(frozen=True)
class Intervention:
    """What a resume is asked to do beside continuing."""

    stage: int | None = None  # 0-based index of the stage to begin anew
    keep_weights: bool = False  # begin it with the newest weights, not with those of the end of the stage before
    skip_batches: int = 0
    learning_rate_scale: float = 1.0

    @property
    def is_any(self) -> bool:
        """Whether there is anything to do."""
        return self != Intervention()


def cap_problems(stored: Config, config: Config) -> Iterator[str]:
    """What is wrong with a changed cap."""
    before, cap = stored.curriculum.max_steps, config.curriculum.max_steps
    if cap < before:
        yield (
            f"curriculum.max_steps: the run has {before}, now {cap}: on --resume a cap may be raised, not lowered, "
            "since stages may be longer already"
        )


def stored_config(folder: Path) -> Config:
    """The config that a run has been trained with so far."""
    path = folder / "config.json"
    return read_json_as(path, lambda document: parse(Config, document["config"], str(path)))


def record_changes(
    folder: Path, config: Config, intervention: Intervention, stages: Sequence[Stage], first_stage: int
) -> list[str]:
    """Write into config.json what a resume changes and does; returns a line for each. Raises BadInput.

    Call it with the lock of the run held.
    """
    document, asked = read_json(folder / "config.json"), config.model_dump(mode="json")
    changed = changed_leaves(document["config"], asked)
    changes = [{"key": key, "before": before, "now": after} for key, before, after in changed]
    if not changes and not intervention.is_any:
        return []
    if intervention.is_any:
        step = _checked_step(folder, document, intervention, stages, first_stage)
        entry = {"step": step, "time": now(), **asdict(intervention)}
        # the newest checkpoint has what final/ holds; without it the run is not finished
        shutil.rmtree(folder / "final", ignore_errors=True)
        document["interventions"] = [*document.get("interventions", []), entry]
    else:
        step = newest_step(folder)
    document["changes"] = [
        *document.get("changes", []),
        *({"step": step, "time": now(), **change} for change in changes),
    ]
    write_json(folder / "config.json", document | {"config": asked})
    return [f"{change['key']} was {change['before']} until step {step}, now {change['now']}" for change in changes]


def stage_end_record(records: Sequence[Mapping[str, Any]], index: int, first_stage: int) -> Mapping[str, Any] | None:
    """The newest record of the end of the stage before the one of this 0-based index; None: the run begins with it.

    Raises BadInput where there is none, or where only weights that were given up have been through that stage.
    """
    if index == first_stage:
        return None
    for record in reversed(records):
        if record["number"] == index and record["reason"] != "left" and not record.get("abandoned"):
            return record
    raise BadInput(
        f"stage {index} has not been trained to its end, so stage {index + 1} cannot begin there: add --keep-weights "
        "to begin it with the newest weights"
    )


def records_after_going_back(
    records: Sequence[Mapping[str, Any]], end: Mapping[str, Any] | None
) -> tuple[Mapping[str, Any], ...]:
    """The records with those behind `end` marked as abandoned; all of them where `end` is None."""
    kept = next((place + 1 for place, record in enumerate(records) if record is end), 0)
    return (*records[:kept], *({**record, "abandoned": True} for record in records[kept:]))


def _checked_step(
    folder: Path, document: Mapping[str, Any], intervention: Intervention, stages: Sequence[Stage], first_stage: int
) -> int:
    """The step of the newest checkpoint, from which the intervention goes out. Raises BadInput where it cannot be."""
    from hamner.training import checkpoint

    with only_worker(folder / ".worker0.lock"):  # the worker of a killed driver may still be writing
        checkpoint.put_back(folder / "checkpoints")
        newest = checkpoint.newest(folder / "checkpoints", complete=True)
    if newest is None:
        raise BadInput(f"{folder} has no checkpoint to go on from: use --resume alone")
    place = newest.state["place"]
    if intervention.stage is None:
        if place["stage_index"] >= len(stages):
            raise BadInput(f"all stages of {folder} are over: use --stage N to go back to one")
        return int(newest.state["step"])
    if intervention.keep_weights:
        return int(newest.state["step"])
    records = place["records"]
    for pending in document.get("interventions", [])[place.get("interventions", 0) :]:
        if pending["stage"] is not None and not pending["keep_weights"]:
            records = records_after_going_back(records, stage_end_record(records, pending["stage"], first_stage))
    end = stage_end_record(records, intervention.stage, first_stage)
    source = path_below(folder, end["checkpoint"], newest.path / checkpoint.STATE) if end else document["from"]
    if source:
        checkpoint.load(Path(source))
    return int(newest.state["step"])


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint by its name; 0 without one."""
    return max((int(path.name[5:]) for path in step_folders(folder / "checkpoints")), default=0)
