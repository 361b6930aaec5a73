"""Which curriculum a run follows: a shipped one, a file, or the control that repeats another run's tokens.

`joint`      one stage of the same total mix and exactly the same number of tokens as the run of --like: what does
             the order of the data, with its falling learning rates, bring over plain joint training?
`shuffled`   the same stages, lengths and learning rates as that run, each with the total mix: what does the order of
             the data alone bring?
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from curriculum.stages import CURRICULA, Curriculum, Stage, stage_problems
from hamner.config.errors import BadInput, did_you_mean
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.runs.files import read_json_as
from hamner.runs.folders import differences, run_folder, runs

CONTROLS = ("joint", "shuffled")
MAY_DIFFER = (  # keys of the config that change no number of a stage of fixed length
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


def find_curriculum(name: str, like: str | None, config: Config, results: Path) -> Curriculum:
    """By the name of a shipped one or the path of a TOML file. Raises BadInput with every problem."""
    if name in CONTROLS:
        if not like:
            raise BadInput(f"--curriculum {name} repeats the tokens of another run: name it with --like RUN")
        return control(name, *finished_run(like, config, results))
    if like:
        raise BadInput(f"--like {like} goes with --curriculum {' or '.join(CONTROLS)}, not with {name}")
    if name in CURRICULA:
        return Curriculum(name=name, stages=CURRICULA[name])
    path = Path(name).expanduser()
    if not path.is_file():
        raise BadInput(
            f"--curriculum {name} is neither a file nor a name; {did_you_mean(name, [*CURRICULA, *CONTROLS])}"
        )
    return read_curriculum(path)


def read_curriculum(path: Path) -> Curriculum:
    """A TOML file with `name` and `[[stages]]`."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is no valid curriculum: {error}") from None
    found = parse(Curriculum, {"name": path.stem} | values, str(path))
    problems = list(stage_problems(found.stages))
    if problems:
        raise BadInput([f"{path}: {problem}" for problem in problems])
    return found


def finished_folder(results: Path, name: str) -> Path:
    """The folder of a finished curriculum. Raises BadInput when there is none of that name."""
    folder = run_folder(results, "curriculum", name)
    if not (folder / "final").is_dir():
        known = [path.name for path in runs(results, "curriculum") if (path / "final").is_dir()]
        raise BadInput(
            f"no finished curriculum '{name}' in {results}; "
            + (did_you_mean(name, known) if known else "there is none")
        )
    return folder


def finished_run(name: str, config: Config, results: Path) -> tuple[str, list[Stage], list[dict[str, Any]]]:
    """A finished run's name, its stages and their records. Refused when this run would differ in more than order."""
    folder = finished_folder(results, name)
    document = read_json_as(folder / "config.json", dict)
    different = [
        line
        for line in differences(document["config"], config.model_dump(mode="json"))
        if not line.startswith(MAY_DIFFER)
    ]
    if different:
        raise BadInput([f"--like {name}: a control differs from its run in the order of the data alone", *different])
    stages = parse(Curriculum, document["curriculum"], str(folder / "config.json")).stages
    return name, list(stages), read_json_as(folder / "stages.json", lambda told: list(told["stages"]))


def control(kind: str, like: str, stages: list[Stage], records: list[dict[str, Any]]) -> Curriculum:
    """The joint or shuffled curriculum of a finished run."""
    records = [record for record in records if record["steps"]]  # one may have had nothing left to read
    rows: dict[str, int] = {}
    for record in records:
        for name, count in record["rows"].items():
            rows[name] = rows.get(name, 0) + count
    total = sum(rows.values())
    mix = {name: count / total for name, count in rows.items() if count}
    played = [stages[record["number"] - 1] for record in records]
    weights = [record["rows"].get("synthetic", 0) for record in records]
    levels = _mean([stage.levels for stage in played], weights) if sum(weights) else (1.0,)
    if kind == "joint":
        steps = sum(record["steps"] for record in records)
        only = Stage(
            name="joint", mix=mix, levels=levels, learning_rate=played[0].learning_rate, steps=steps, exact=True
        )
        return Curriculum(name=kind, stages=(only,), like=like)
    return Curriculum(
        name=kind,
        like=like,
        stages=tuple(
            stage.model_copy(update={"mix": mix, "levels": levels, "steps": record["steps"], "exact": True})
            for stage, record in zip(played, records, strict=True)
        ),
    )


def _mean(levels: list[tuple[float, ...]], weights: list[int]) -> tuple[float, ...]:
    """Shares of each synthetic level over stages that read `weights` rows of them."""
    longest, total = max(map(len, levels)), sum(weights)
    return tuple(
        sum(w * (shares[n] if n < len(shares) else 0.0) for shares, w in zip(levels, weights, strict=True)) / total
        for n in range(longest)
    )
