"""Curricula: choose the stages of a run by name, from a TOML file, or as a control (ablation) of another run.

A control repeats the tokens of a finished run, named by --like, in another order:

`joint`      one stage of the same total mix and exactly the same number of tokens: what does the order of the data,
             with its falling learning rates, bring over plain joint training?
`shuffled`   the same stages, lengths and learning rates as that run, each with the total mix: what does the order of
             the data alone bring?

Data in: --curriculum, --like, the config, the results folder. Data out: a StagePlan, or a BadInput with all problems.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curriculum.stages import CURRICULA, Stage, StagePlan, stage_problems
from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.config.explain import explain
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.config.toml_file import read_toml
from hamner.runs.files import read_json_as
from hamner.runs.folders import differences, run_folder, runs

CONTROLS = ("joint", "shuffled")
# A control's config may differ from its run's in these keys alone: they change no number of a stage of fixed length.
KEYS_THAT_MAY_DIFFER = (
    "tournament.",
    "curriculum.plateau.",
    "curriculum.max_steps",
    "curriculum.after_rising_loss",
    "curriculum.log_every",
    "curriculum.sample_",
    "curriculum.checkpoint_every",
    "curriculum.keep_",
    "curriculum.skill_items",
    "compute.threads",
    "compute.worker",
    "compute.max_failures",
    "compute.gpu_memory_gib",
)
# Stand in for keys that are wrong or missing, so that the rest of their stage is checked all the same.
PLACEHOLDERS: dict[str, Any] = {"name": "unnamed", "learning_rate": 1.0, "steps": 1}


@dataclass(frozen=True)
class FinishedRun:
    """A finished curriculum, as far as a control of it needs to know it."""

    name: str
    stages: tuple[Stage, ...]
    records: tuple[dict[str, Any], ...]  # one for each stage that is over, as in stages.json


def find_curriculum(name: str, like: str | None, config: Config, results: Path) -> StagePlan:
    """The stages that --curriculum names: a shipped curriculum, a control of the run `like`, or a TOML file.

    Raises BadInput with every problem.
    """
    if name in CONTROLS:
        if not like:
            raise BadInput(f"--curriculum {name} repeats the tokens of another run: name it with --like RUN")
        return control_plan(name, finished_run(like, config, results))
    if like:
        raise BadInput(f"--like {like} goes with --curriculum {' or '.join(CONTROLS)}, not with {name}: leave it out")
    if name in CURRICULA:
        return StagePlan(name=name, stages=CURRICULA[name])
    path = Path(name).expanduser()
    if not path.is_file():
        raise BadInput(
            f"--curriculum {name} is neither a file nor a name; {did_you_mean(name, [*CURRICULA, *CONTROLS])}"
        )
    return read_curriculum(path)


def read_curriculum(path: Path) -> StagePlan:
    """The stages of a TOML file with `[[stages]]` and, if it likes, a `name`. Raises BadInput with every problem."""
    document = {"name": path.stem} | read_toml(path)
    tables = document.get("stages")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        return parse(StagePlan, document, str(path))  # says what `stages` lacks
    problems = Problems()
    stages = [_read_stage(table, number, path, problems) for number, table in enumerate(tables, start=1)]
    problems.found += [f"{path}: {problem}" for problem in stage_problems([stage for stage in stages if stage])]
    with problems.collect():
        placeholder = {"mix": {}} | PLACEHOLDERS
        plan = parse(StagePlan, document | {"stages": [placeholder]}, str(path))  # the keys beside `stages`
    problems.raise_all()
    return plan.model_copy(update={"stages": tuple(stages)})


def _read_stage(table: Mapping[str, Any], number: int, path: Path, problems: Problems) -> Stage | None:
    """One [[stages]] of a file. Its wrong keys are noted and replaced; None when its mix is among them."""
    try:
        return Stage.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        bad_keys = {str(item["loc"][0]) for item in error.errors()}
        label = f"stage {number}" + (f" '{table['name']}'" if "name" in table else "")
        problems.found += [explain(Stage, item, f"{path}: {label}") for item in error.errors()]
    if "mix" in bad_keys:
        return None
    good = {key: value for key, value in table.items() if key not in bad_keys}
    stand_ins = {key: value for key, value in PLACEHOLDERS.items() if key in bad_keys}
    if "name" in stand_ins:
        stand_ins["name"] = f"stage_{number}"
    return Stage.model_validate_json(json.dumps(good | stand_ins))


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


def finished_run(name: str, config: Config, results: Path) -> FinishedRun:
    """A finished run to make a control of. Raises BadInput when the two would differ in more than the data's order."""
    folder = finished_folder(results, name)
    path = folder / "config.json"
    config_then, plan = read_json_as(
        path, lambda document: (dict(document["config"]), parse(StagePlan, document["curriculum"], str(path)))
    )
    differing = [
        line
        for line in differences(config_then, config.model_dump(mode="json"))
        if not line.startswith(KEYS_THAT_MAY_DIFFER)
    ]
    if differing:
        raise BadInput(
            [
                f"--like {name}: a control may differ from its run in the order of the data alone; use that run's "
                "config and keys",
                *differing,
            ]
        )
    records = read_json_as(folder / "stages.json", lambda document: tuple(document["stages"]))
    return FinishedRun(name, plan.stages, records)


def control_plan(kind: str, run: FinishedRun) -> StagePlan:
    """The stages of the control `kind`, joint or shuffled, of a finished run."""
    records = [record for record in run.records if record["steps"]]  # a stage may have had nothing left to read
    mix = _total_mix(record["rows"] for record in records)
    stages = [run.stages[record["number"] - 1] for record in records]
    synthetic_rows = [record["rows"].get("synthetic", 0) for record in records]
    levels = _mean_levels([stage.levels for stage in stages], synthetic_rows) if sum(synthetic_rows) else (1.0,)
    if kind == "joint":
        steps = sum(record["steps"] for record in records)
        rate = stages[0].learning_rate
        joint = Stage(name="joint", mix=mix, levels=levels, learning_rate=rate, steps=steps, exact=True)
        return StagePlan(name=kind, stages=(joint,), like=run.name)
    shuffled = tuple(
        stage.model_copy(update={"mix": mix, "levels": levels, "steps": record["steps"], "exact": True})
        for stage, record in zip(stages, records, strict=True)
    )
    return StagePlan(name=kind, stages=shuffled, like=run.name)


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
