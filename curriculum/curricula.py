"""Curricula: choose the stages of a run by name, from a TOML file, or as a control (ablation) of another run.

Data in: --curriculum, --like, the config, the results folder. Data out: a StagePlan, or a BadInput with all problems.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curriculum.controls import CONTROLS, RECORDED, control_plan, finished_run
from curriculum.stages import CURRICULA, Stage, StagePlan, stage_problems
from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.config.explain import explain
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.config.toml_file import read_toml

# Stand in for keys that are wrong or missing, so that the rest of their stage is checked all the same.
PLACEHOLDERS: dict[str, Any] = {"name": "unnamed", "learning_rate": 1.0, "steps": 1}


def find_curriculum(name: str, like: str | None, config: Config, results: Path) -> StagePlan:
    """The stages that --curriculum names: a shipped curriculum, a control of the run `like`, or a TOML file.

    Raises BadInput with every problem.
    """
    if name in CONTROLS and not like:
        raise BadInput(f"--curriculum {name} repeats the tokens of another run: name it with --like RUN")
    if like and name not in (*CONTROLS, RECORDED):
        kinds = ", ".join((*CONTROLS, RECORDED))
        raise BadInput(f"--like {like} goes with --curriculum {kinds}, not with {name}: leave it out")
    if like:
        return control_plan(name, finished_run(like, config, results))
    if name in CURRICULA:
        return CURRICULA[name]
    path = Path(name).expanduser()
    if not path.is_file():
        raise BadInput(
            f"--curriculum {name} is neither a file nor a name; {did_you_mean(name, [*CURRICULA, *CONTROLS])}"
        )
    return read_curriculum(path)


def leave_out(plan: StagePlan, names: Sequence[str]) -> StagePlan:
    """The stages without these sources, whose share the others of each stage take. Raises BadInput."""
    if not names:
        return plan
    known = sorted({source for stage in plan.stages for source in stage.mix})
    problems = [
        f"--without {name}: no stage of {plan.name} reads it; {did_you_mean(name, known)}"
        for name in names
        if name not in known
    ]
    problems += [
        f"--without {' --without '.join(names)} leaves stage '{stage.name}' no source: leave one of them in"
        for stage in plan.stages
        if set(stage.mix) <= set(names)
    ]
    if problems:
        raise BadInput(problems)
    stages = []
    for stage in plan.stages:
        mix = {source: share for source, share in stage.mix.items() if source not in names}
        mix = {source: share / sum(mix.values()) for source, share in mix.items()}
        stages.append(stage.model_copy(update={"mix": mix}))
    return plan.model_copy(update={"name": "-without-".join((plan.name, *names)), "stages": tuple(stages)})


def read_curriculum(path: Path) -> StagePlan:
    """The stages of a TOML file with `[[stages]]` and, if it likes, a `name`. Raises BadInput with every problem."""
    document = {"name": path.stem} | read_toml(path)
    tables = document.get("stages")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        return parse(StagePlan, document, str(path))  # says what `stages` lacks
    problems = Problems()
    stages = [_read_stage(table, number, path, problems) for number, table in enumerate(tables, start=1)]
    problems.lines += [f"{path}: {problem}" for problem in stage_problems([stage for stage in stages if stage])]
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
        problems.lines += [explain(Stage, item, f"{path}: {label}") for item in error.errors()]
    if "mix" in bad_keys:
        return None
    good = {key: value for key, value in table.items() if key not in bad_keys}
    stand_ins = {key: value for key, value in PLACEHOLDERS.items() if key in bad_keys}
    if "name" in stand_ins:
        stand_ins["name"] = f"stage_{number}"
    return Stage.model_validate_json(json.dumps(good | stand_ins))
