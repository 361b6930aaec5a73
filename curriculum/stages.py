"""Curriculum learning: the stages, their data mix and learning rates.

A stage says which sources are read in which ratio, how hard the synthetic items are, and how fast is learnt. Learning
rates are those of full size; a config's `lr_scale` multiplies them. In the shipped curricula every source, once met,
stays in the mix, and so do the easier synthetic levels.

Data in: nothing, or a stage's number or name. Data out: the shipped curricula, and what is wrong with one's own; how to
write one: docs/how_to/change_the_stages.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from pydantic import Field

from hamner.config.checks import mix_problems
from hamner.config.errors import BadInput, did_you_mean, shortened
from hamner.config.schema import Curriculum, Strict
from hamner.data.synthetic_rows import level_problems


class Stage(Strict):
    """One stage. Without `steps` a plateau ends it, or the config's cap."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_-]+$")
    mix: dict[str, float]  # source -> share of the tokens; sums to 1
    levels: tuple[float, ...] = (1.0,)  # shares of the synthetic items of level 1, 2, ...; sum to 1
    learning_rate: float = Field(gt=0)
    # over the stage's length: cosine to a tenth, linear to 0 (an annealing)
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    steps: int | None = Field(None, gt=0)  # a fixed length; no plateau is looked for
    run_share: float | None = Field(None, gt=0, lt=1)  # a length that is this share of the whole run's steps
    exact: bool = False  # `steps` may exceed the config's cap

    def length(self, cap: int) -> int:
        """Most steps it can take, given the config's cap."""
        return self.steps if self.steps and self.exact else min(self.steps or cap, cap)

    @property
    def is_decay(self) -> bool:
        """Whether the rate falls to 0 over the whole stage (an annealing)."""
        return self.schedule == "linear"

    def after(self, steps_before: int) -> Stage:
        """The stage with its length in steps, when so many were trained before it: of a run's share, that many."""
        if self.run_share is None:
            return self
        steps = max(round(steps_before * self.run_share / (1 - self.run_share)), 1)
        return self.model_copy(update={"steps": steps, "run_share": None, "exact": True})


class StagePlan(Strict):
    """The stages of one run in their order. The config's section `Curriculum` holds the numbers common to all."""

    name: str
    stages: tuple[Stage, ...] = Field(min_length=1)
    # AdamW's moments at a border, unless the config says: reset, with a new warmup, or kept, without
    optimizer_at_stage_start: Literal["reset", "keep"] = "reset"
    like: str | None = None  # of a control: the run whose tokens it repeats in another order

    def keeps_optimizer(self, settings: Curriculum) -> bool:
        """Whether AdamW's moments are kept at a border."""
        return (settings.optimizer_at_stage_start or self.optimizer_at_stage_start) == "keep"


# Shares of the synthetic levels: most items are of a stage's own level, and a level once met is never left out, so that
# it is not forgotten.
UP_TO_1 = (1.0,)
UP_TO_3 = (0.15, 0.15, 0.70)
UP_TO_4 = (0.10, 0.10, 0.10, 0.70)
UP_TO_5 = (0.075, 0.075, 0.075, 0.075, 0.70)


def _stage(
    name: str,
    levels: tuple[float, ...],
    learning_rate: float,
    *,
    synthetic: float,
    tinystories: float,
    fineweb_edu: float = 0,
    sft: float = 0,
    personal: float = 0,
) -> Stage:
    mix = {
        "synthetic": synthetic,
        "tinystories": tinystories,
        "fineweb_edu": fineweb_edu,
        "sft": sft,
        "personal": personal,
    }
    return Stage(name=name, levels=levels, learning_rate=learning_rate, mix={k: v for k, v in mix.items() if v})


# The curriculum `seed`, with the rates of the original.
# fmt: off
EIGHT_STAGES: tuple[Stage, ...] = (
    _stage("structure",      UP_TO_1, 3e-4,   synthetic=.30, tinystories=.70),
    _stage("reasoning",      UP_TO_3, 2.5e-4, synthetic=.55, tinystories=.35, fineweb_edu=.10),
    _stage("knowledge",      UP_TO_3, 2e-4,   synthetic=.20, tinystories=.20, fineweb_edu=.60),
    _stage("context",        UP_TO_4, 1.5e-4, synthetic=.35, tinystories=.20, fineweb_edu=.35, sft=.10),
    _stage("deep_knowledge", UP_TO_4, 1.2e-4, synthetic=.25, tinystories=.15, fineweb_edu=.40, sft=.15, personal=.05),
    _stage("dialogue",       UP_TO_4, 8e-5,   synthetic=.15, tinystories=.15, fineweb_edu=.20, sft=.40, personal=.10),
    _stage("synthesis",      UP_TO_5, 5e-5,   synthetic=.20, tinystories=.15, fineweb_edu=.25, sft=.25, personal=.15),
    _stage("voice",          UP_TO_5, 3e-5,   synthetic=.15, tinystories=.10, fineweb_edu=.15, sft=.25, personal=.35),
)
# fmt: on

# The decay of `flat`. Text is learnt best while the rate falls, and what is not read then is lost: the mix of the last
# stages with more stories and tasks. What was tried: results/reference/curriculum.md.
# fmt: off
ANNEAL = _stage(
    "anneal", UP_TO_5, 3e-4, synthetic=.18, tinystories=.21, fineweb_edu=.10, sft=.31, personal=.20
).model_copy(update={"schedule": "linear", "run_share": 0.2})
# fmt: on

# The default: the eight stages at the first one's rate, AdamW kept, then the decay. Under a falling rate the later,
# better text would be learnt least. TOML to copy: docs/examples/own_stages.toml; a test compares the two.
FLAT = (*(stage.model_copy(update={"learning_rate": ANNEAL.learning_rate}) for stage in EIGHT_STAGES), ANNEAL)

DEFAULT = "flat"
CURRICULA: dict[str, StagePlan] = {
    plan.name: plan
    for plan in (
        StagePlan(name="flat", stages=FLAT, optimizer_at_stage_start="keep"),
        StagePlan(name="seed", stages=EIGHT_STAGES),
        # The first recorded run had these four stages; its ratios are not on record, so they are those of the eight.
        StagePlan(
            name="v3",
            stages=tuple(s for s in EIGHT_STAGES if s.name in ("structure", "knowledge", "dialogue", "voice")),
        ),
        # The recorded pretraining of `v2`: 2.6 billion tokens of web text. Its peak rate is not on record.
        StagePlan(
            name="pretrain_v2",
            stages=(
                Stage(name="pretrain", mix={"fineweb_edu": 1.0}, learning_rate=3e-4, schedule="cosine", steps=106_350),
            ),
        ),
    )
}


def stage_problems(stages: Sequence[Stage]) -> Iterator[str]:
    """What is wrong with stages in this order, one line a problem."""
    names = [stage.name for stage in stages]
    for stage in stages:
        where = f"stage '{stage.name}'"
        yield from mix_problems(stage.mix, where)
        if names.count(stage.name) > 1:
            yield f"{where}: {names.count(stage.name)} stages have this name; give each a name of its own"
        yield from (f"{where}: {problem}" for problem in level_problems(stage.levels))
        if stage.schedule != "constant" and not (stage.steps or stage.run_share):
            yield f"{where}: schedule = {stage.schedule} needs the stage's length: give steps, or run_share"
        if stage.steps and stage.run_share:
            yield f"{where}: steps and run_share are both lengths: give one of them"
        if stage.run_share and stage is stages[0]:
            yield f"{where}: run_share is a share of the whole run, and no stage comes before this one: give steps"
        if stage.exact and not stage.steps:
            yield f"{where}: exact = true needs the stage's length: give steps, or leave exact out"


def dropped_sources(stages: Iterable[Stage]) -> Iterator[str]:
    """One line for each stage that leaves out a source of the stage before it."""
    before: set[str] = set()
    for stage in stages:
        dropped, before = before - set(stage.mix), set(stage.mix)
        if dropped:
            yield (
                f"stage '{stage.name}' reads no {' and no '.join(sorted(dropped))} any more, and may forget it: a "
                "small ratio keeps it"
            )


def first_stage_problems(stages: Sequence[Stage], index: int, *, has_deadline: bool) -> Iterator[str]:
    """What is wrong with a run that begins with the stage of this 0-based index, one line a problem."""
    if stages[index].run_share and not has_deadline:  # with a deadline the hours are its length
        yield (
            f"stage '{stages[index].name}' is a share of the whole run, and no stage comes before it: begin with an "
            "earlier one, or give it steps in a curriculum file of your own"
        )


def decay_problems(plan: StagePlan, settings: Curriculum) -> Iterator[str]:
    """What is wrong with the config's decay for these stages, one line a problem."""
    last = plan.stages[-1]
    if last.is_decay and settings.decay == "run":
        yield (
            f"curriculum.decay = run: the last stage of {plan.name}, {last.name}, is a decay already: leave decay out, "
            "or use a curriculum without one, such as seed"
        )


def lengths(stages: Iterable[Stage], length_of: Callable[[Stage], int], steps_before: int = 0) -> list[int]:
    """Steps of each stage: `length_of` says those of a stage, and a share of the whole run is so many.

    steps_before: trained before the first of these stages.
    """
    steps: list[int] = []
    for stage in stages:
        steps.append(length_of(stage.after(steps_before + sum(steps))))
    return steps


def stage_index(word: str, stages: Sequence[Stage] = FLAT) -> int:
    """0-based index of a stage given by its number (from 1) or name. Raises BadInput for an unknown one."""
    names = [stage.name for stage in stages]
    if word in names:
        return names.index(word)
    if word.isdecimal() and len(word) < 5 and 1 <= int(word) <= len(stages):
        return int(word) - 1
    known = ", ".join(f"{number} {name}" for number, name in enumerate(names, start=1))
    hint = did_you_mean(word, names) if not word.lstrip("-").isdigit() else ""
    way_out = hint if hint.startswith("did") else f"the stages are {known}"
    raise BadInput(f"unknown stage '{shortened(word)}'; {way_out}")
