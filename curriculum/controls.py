"""Controls (ablations) of a finished curriculum: its tokens again, in another order or at other learning rates.

`joint`      one stage of the run's total mix, at its first rate, with exactly as many tokens and the same decay: what
             do the stages bring over plain joint training?
`shuffled`   the run's stages, lengths and learning rates, each with the total mix: what does the order of the data
             alone bring?
`seed`       the run's stages and their text at the rates of the curriculum `seed`, which fall, with AdamW reset at each
             border: what do flat rates and the decay bring?

A control takes over everything else: the model and its rates, the weights it began with, and the config, but for keys
that change no number. Data in: the run's folder. Data out: a StagePlan, or a BadInput with all problems.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curriculum.resume import MAY_DIFFER
from curriculum.stages import EIGHT_STAGES, Stage, StagePlan
from hamner.config.errors import BadInput, did_you_mean
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.runs.files import read_json_as
from hamner.runs.folders import differences, run_folder, runs

CONTROLS = ("joint", "shuffled")
RECORDED = "seed"  # the third control, which is a curriculum of its own as well
# A control's config may differ from its run's in these keys alone: they change no number of a stage of fixed length.
KEYS_THAT_MAY_DIFFER = (*MAY_DIFFER, "curriculum.plateau.", "curriculum.after_rising_loss", "curriculum.skill_items")
# What a control takes over beside config and stages: keys of config.json
TAKEN_OVER = ("who", "name", "model", "tokenizer", "groups", "learning_rate_factor", "from")


@dataclass(frozen=True)
class FinishedRun:
    """A finished curriculum, as far as a control of it needs to know it."""

    name: str
    plan: StagePlan
    records: tuple[dict[str, Any], ...]  # one for each stage that is over, as in stages.json


def finished_folder(results: Path, name: str) -> Path:
    """The folder of a finished curriculum. Raises BadInput when no finished run has that name."""
    folder = run_folder(results, "curriculum", name)
    if not (folder / "final").is_dir():
        known = [path.name for path in runs(results, "curriculum") if (path / "final").is_dir()]
        raise BadInput(
            f"no finished curriculum '{name}' in {results}; "
            + (did_you_mean(name, known) if known else "there is none yet: finish one with `curriculum run`")
        )
    return folder


def facts_of(folder: Path) -> dict[str, Any]:
    """What a control of the run in this folder takes over: who was trained, its rates, the weights it began with."""
    path = folder / "config.json"
    return read_json_as(path, lambda document: {key: document[key] for key in TAKEN_OVER if key in document})


def rate_scales(document: Mapping[str, Any]) -> list[float]:
    """Factors of the learning rate that resumes of a run brought. document: its config.json."""
    scales = (request["learning_rate_scale"] for request in document.get("interventions", ()))
    return [scale for scale in scales if scale != 1]


def config_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """One line for each key that changes a number and in which two stored configs differ."""
    return differences(dict(one), dict(other), KEYS_THAT_MAY_DIFFER)


def finished_run(name: str, config: Config, results: Path) -> FinishedRun:
    """A finished run to make a control of. Raises BadInput when the two would differ in more than the data's order."""
    folder = finished_folder(results, name)
    path = folder / "config.json"
    config_then, plan = read_json_as(
        path, lambda document: (dict(document["config"]), parse(StagePlan, document["curriculum"], str(path)))
    )
    differing = list(config_differences(config_then, config.model_dump(mode="json")))
    if differing:
        raise BadInput(
            [
                f"--like {name}: a control may differ from its run in the order of the data alone; use that run's "
                "config and keys",
                *differing,
            ]
        )
    if read_json_as(path, rate_scales):
        raise BadInput(f"--like {name}: its learning rate was scaled on a resume, which a control cannot repeat")
    records = read_json_as(folder / "stages.json", lambda document: tuple(document["stages"]))
    return FinishedRun(name, plan, records)


def control_plan(kind: str, run: FinishedRun) -> StagePlan:
    """The stages of the control `kind`, joint, shuffled or seed, of a finished run."""
    records = [record for record in run.records if record["steps"]]  # a stage may have had nothing left to read
    stages = [_as_trained(run.plan.stages[record["number"] - 1], record) for record in records]
    if kind == RECORDED:
        return StagePlan(name=kind, stages=tuple(_at_recorded_rates(stages, records)), like=run.name)
    total = _joined(stages, records)
    if kind == "shuffled":
        shuffled = tuple(stage.model_copy(update={"mix": total.mix, "levels": total.levels}) for stage in stages)
        keeps = run.plan.optimizer_at_stage_start
        return StagePlan(name=kind, stages=shuffled, optimizer_at_stage_start=keeps, like=run.name)
    joint = total.model_copy(update={"name": "joint"})
    if len(stages) == 1 or not stages[-1].is_decay:
        return StagePlan(name=kind, stages=(joint,), like=run.name)
    decay = stages[-1].model_copy(update={"mix": total.mix, "levels": total.levels})
    joint = joint.model_copy(update={"steps": total.length(0) - decay.length(0)})
    return StagePlan(name=kind, stages=(joint, decay), optimizer_at_stage_start="keep", like=run.name)


def _as_trained(stage: Stage, record: Mapping[str, Any]) -> Stage:
    """The stage with the length that it had."""
    return stage.model_copy(update={"steps": record["steps"], "run_share": None, "exact": True})


def _joined(stages: Sequence[Stage], records: Sequence[Mapping[str, Any]]) -> Stage:
    """One stage with the text and the length of all of these, at the first one's rate."""
    synthetic_rows = [record["rows"].get("synthetic", 0) for record in records]
    return stages[0].model_copy(
        update={
            "mix": _total_mix(record["rows"] for record in records),
            "levels": _mean_levels([s.levels for s in stages], synthetic_rows) if sum(synthetic_rows) else (1.0,),
            "steps": sum(record["steps"] for record in records),
            "schedule": "constant",
        }
    )


def _at_recorded_rates(stages: Sequence[Stage], records: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """The stages as `seed` would have trained their text; a decay's text goes to the stage before it.

    Raises BadInput for stages that `seed` does not have.
    """
    rates = {stage.name: stage.learning_rate for stage in EIGHT_STAGES}
    unknown = [stage.name for stage in stages if stage.name not in rates and not stage.is_decay]
    if unknown or stages[0].name not in rates:
        raise BadInput(
            f"--curriculum {RECORDED} --like: {', '.join(unknown or [stages[0].name])} is no stage of {RECORDED}: use "
            "--curriculum joint"
        )
    trained: list[Stage] = []
    for number, stage in enumerate(stages):
        if stage.name in rates:
            first = number
            trained.append(stage)
        else:
            trained[-1] = _joined(stages[first : number + 1], records[first : number + 1])
    return [s.model_copy(update={"learning_rate": rates[s.name], "schedule": "constant"}) for s in trained]


def _total_mix(rows_of_stages: Iterable[Mapping[str, int]]) -> dict[str, float]:
    """Share of each source in all rows that were read; sources that were never read are left out."""
    rows: dict[str, int] = {}
    for rows_of_stage in rows_of_stages:
        for name, count in rows_of_stage.items():
            rows[name] = rows.get(name, 0) + count
    total = sum(rows.values())
    return {name: count / total for name, count in rows.items() if count}


def _mean_levels(levels: Sequence[tuple[float, ...]], weights: Sequence[int]) -> tuple[float, ...]:
    """Shares of each synthetic level over stages that read `weights` synthetic rows."""
    longest, total = max(map(len, levels)), sum(weights)
    return tuple(
        sum(w * (shares[n] if n < len(shares) else 0.0) for shares, w in zip(levels, weights, strict=True)) / total
        for n in range(longest)
    )
