"""Choose a curriculum by trial (ablation): flat, joint and seed at a tenth of the tokens, then the best one in full.

    curriculum run WHO --choose --name RUN

trains nine small runs, RUN-flat0 to RUN-seed2: for each of three random seeds `flat` with stages of a tenth of their
planned length, and its controls `joint` and `seed`, which repeat its tokens. The mean held-out loss of all sources
decides, paired by seed: a curriculum of stages has to beat `joint` by more than the 95 % interval, else it is `joint`.
The chosen one is then trained in full, as RUN. The same command again continues: what is finished is not trained again.

Data in: what the command line asks for, a config. Data out: RESULTS/choice/RUN/choice.json, ten runs, an exit code.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from rich.console import Console

from curriculum.ancestor import ancestor_rows
from curriculum.budget import planned_steps, thin_problems
from curriculum.budget_table import budget_of
from curriculum.comparison import SKILLS, ComparedRun, comparison_table, difference, group_by_curriculum, read_run
from curriculum.controls import config_differences, control_plan, finished_run
from curriculum.launch import Request, check_request, run_curriculum
from curriculum.stages import CURRICULA, Stage, StagePlan
from hamner.config.errors import BadInput
from hamner.config.schema import Config
from hamner.data.corpus import Corpus
from hamner.data.tokenizer import Tokenizer
from hamner.runs import cli
from hamner.runs.files import read_json, read_json_as, write_json, write_text
from hamner.runs.folders import run_folder

SEEDS = 3
PART = 10  # a trial reads one of so many tokens of the full run
FALL_BACK = "joint"
KINDS = ("flat", FALL_BACK, "seed")  # flat first: the others repeat its tokens


@dataclass(frozen=True)
class Choice:
    """The curriculum to train in full. gaps: mean loss of each other kind less that of joint, with its interval."""

    kind: str
    reason: str
    gaps: Mapping[str, tuple[float, float]]


def choose(losses: Mapping[str, Sequence[float]]) -> Choice:
    """The kind to train in full, from the loss of each kind with each seed.

    The best of those that beat joint by more than the interval of the paired difference; joint where there is none.
    """
    gaps = {kind: difference(losses[kind], losses[FALL_BACK]) for kind in losses if kind != FALL_BACK}
    better = [kind for kind, gap in gaps.items() if gap.is_significant and gap.mean < 0]
    numbers = {kind: (gap.mean, gap.interval) for kind, gap in gaps.items()}
    if better:
        best = min(better, key=lambda kind: gaps[kind].mean)
        return Choice(best, f"{best}: better than {FALL_BACK} by more than chance of seeds explains", numbers)
    if all(gap.is_significant for gap in gaps.values()):
        return Choice(FALL_BACK, f"{FALL_BACK}: better than the others by more than chance of seeds explains", numbers)
    return Choice(FALL_BACK, f"cannot tell, so {FALL_BACK}", numbers)


def choose_and_run(request: Request, config: Config, results: Path) -> int:
    """Train the nine small runs, then the chosen curriculum in full; returns the exit code."""
    assert request.name is not None
    console, folder = cli.console(), run_folder(results, "choice", request.name)
    _check_same_config(folder / "choice.json", config)
    check_request(request, config, results)
    full = planned_steps(CURRICULA["flat"].stages, config.curriculum)
    _say_cost(console, config, full)
    write_json(folder / "choice.json", {"config": config.model_dump(mode="json"), "choice": None})
    small, file = small_config(config), folder / "flat.toml"
    write_text(file, curriculum_text(small_plan(full)))
    for seed in range(SEEDS):
        part_config = small.model_copy(update={"seed": config.seed + seed})
        for kind in KINDS:
            code = _run_once(_part(request, kind, seed, file), part_config, results)
            if code:
                return code
            if (seed, kind) == (0, "flat") and not request.allow_thin:
                _check_full_budget(run_folder(results, "curriculum", f"{request.name}-flat0"), config)
    choice = _compare(console, request.name, results)
    gaps = {kind: {"difference": mean, "interval": interval} for kind, (mean, interval) in choice.gaps.items()}
    document = {"kind": choice.kind, "reason": choice.reason, "less_joint": gaps}
    write_json(folder / "choice.json", {"config": config.model_dump(mode="json"), "choice": document})
    curriculum = choice.kind
    if choice.kind == FALL_BACK:
        trial = control_plan(FALL_BACK, finished_run(f"{request.name}-flat0", small, results))
        curriculum = str(folder / "joint.toml")
        write_text(folder / "joint.toml", curriculum_text(longer(trial)))
    return _run_once(replace(request, curriculum=curriculum), config, results)


def _check_full_budget(first: Path, config: Config) -> None:
    """Raise BadInput where the run in full would starve, from the text of the first small run in its folder."""
    corpus, stages = Corpus(first / "data", Tokenizer.load(first / "data").sha256), CURRICULA["flat"].stages
    source, settings = read_json(first / "config.json")["from"], config.curriculum
    rows_read = ancestor_rows(source, corpus, stages, settings.seq_len) if source else {}
    problems = thin_problems(budget_of(corpus, stages, settings, rows_read), settings.max_epochs)
    if problems:
        raise BadInput(problems)


def small_config(config: Config) -> Config:
    """The config of the small runs: warmups are a tenth as long, so that they take the same share of a stage."""
    warmup = -(-config.curriculum.warmup_steps // PART)
    return config.model_copy(update={"curriculum": config.curriculum.model_copy(update={"warmup_steps": warmup})})


def small_plan(full: Sequence[int]) -> StagePlan:
    """`flat` with stages of a tenth of these lengths; its decay stays a share of the whole."""
    flat = CURRICULA["flat"]
    stages = [
        stage if stage.run_share else stage.model_copy(update={"steps": max(1, round(steps / PART)), "exact": True})
        for stage, steps in zip(flat.stages, full, strict=True)
    ]
    return flat.model_copy(update={"stages": tuple(stages)})


def longer(plan: StagePlan) -> StagePlan:
    """A small run's stages at full length."""
    stages = [stage.model_copy(update={"steps": PART * stage.length(0)}) for stage in plan.stages]
    return plan.model_copy(update={"stages": tuple(stages), "like": None})


def curriculum_text(plan: StagePlan) -> str:
    """Stages as a curriculum file."""
    head = f'name = "{plan.name}"\noptimizer_at_stage_start = "{plan.optimizer_at_stage_start}"\n'
    return head + "".join(f"\n[[stages]]\n{_stage_text(stage)}" for stage in plan.stages)


def _stage_text(stage: Stage) -> str:
    """Keys of a stage in TOML; a table of shares in one line."""
    lines = []
    for key, value in stage.model_dump(mode="json", exclude_defaults=True).items():
        if isinstance(value, dict):
            text = "{" + ", ".join(f"{name} = {share}" for name, share in value.items()) + "}"
        else:
            text = json.dumps(value)
        lines.append(f"{key} = {text}\n")
    return "".join(lines)


def _part(request: Request, kind: str, seed: int, flat: Path) -> Request:
    """The request of one small run."""
    name = f"{request.name}-{kind}{seed}"
    if kind == "flat":
        return replace(request, name=name, curriculum=str(flat))
    like = f"{request.name}-flat{seed}"
    return replace(request, who=None, tournament=None, checkpoint=None, name=name, curriculum=kind, like=like)


def _run_once(request: Request, config: Config, results: Path) -> int:
    """Train a run, or continue it; 0 at once where it is finished."""
    assert request.name is not None
    folder = run_folder(results, "curriculum", request.name)
    if (folder / "final").is_dir():
        return 0
    if (folder / "config.json").is_file():
        return run_curriculum(replace(request, is_resumed=True), None, results)
    return run_curriculum(request, config, results)


def _check_same_config(path: Path, config: Config) -> None:
    """Raise BadInput when the choice was begun with another config."""
    if path.is_file():
        begun_with = read_json_as(path, lambda document: dict(document["config"]))
        differing = list(config_differences(begun_with, config.model_dump(mode="json")))
        if differing:
            raise BadInput([f"{path} was begun with another config: use that one, or another --name", *differing])


def _say_cost(console: Console, config: Config, full: Sequence[int]) -> None:
    """Print what the choice will cost, before anything starts."""
    tokens = sum(full) * config.curriculum.batch_size * config.curriculum.seq_len
    runs = len(KINDS) * SEEDS
    console.print(
        f"--choose: {', '.join(KINDS)} with {SEEDS} seeds each, {runs} runs of about {tokens / PART:,.0f} tokens: "
        f"{runs / PART:.0%} of the {tokens:,.0f} that the chosen one reads at least; then that one in full",
        soft_wrap=True,
    )


def _compare(console: Console, name: str, results: Path) -> Choice:
    """Print the small runs side by side, and the choice that follows."""
    runs = [read_run(results, f"{name}-{kind}{seed}") for kind in KINDS for seed in range(SEEDS)]
    groups = group_by_curriculum(runs)
    for one, other in combinations(KINDS, 2):
        console.print(comparison_table(console, one, other, groups))
    choice = choose({kind: [_mean_loss(run) for run in groups[kind].values()] for kind in KINDS})
    for kind, (mean, interval) in choice.gaps.items():
        console.print(f"mean of all sources, {kind} less {FALL_BACK}: {mean:+.4f} ± {interval:.4f} (95 %)")
    console.print(f"chosen: {choice.reason}", soft_wrap=True)
    return choice


def _mean_loss(run: ComparedRun) -> float:
    return statistics.mean(loss for key, loss in run.measurements.items() if key not in SKILLS)
