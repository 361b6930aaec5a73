"""Curriculum learning: the stages, their data mix and learning rates.

A stage says which sources are read in which ratio, how hard the synthetic items are, and how fast is learnt. Learning
rates are those of full size; a config's `lr_scale` multiplies them. Every source, once met, stays in the mix, and so do
the easier synthetic levels.

Data in: nothing, or a stage's number or name. Data out: the shipped curricula, and what is wrong with one's own; how to
write one: docs/how_to/change_the_stages.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from hamner.config.checks import mix_problems
from hamner.config.errors import BadInput, did_you_mean
from hamner.config.schema import Strict
from hamner.data.synthetic_rows import level_problems


class Stage(Strict):
    """One stage. Without `steps` a plateau ends it, or the config's cap."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_-]+$")
    mix: dict[str, float]  # source -> share of the tokens; sums to 1
    levels: tuple[float, ...] = (1.0,)  # shares of the synthetic items of level 1, 2, ...; sum to 1
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine"] = "constant"  # cosine: to a tenth at the end of `steps`
    steps: int | None = Field(None, gt=0)  # a fixed length; no plateau is looked for
    exact: bool = False  # `steps` may exceed the config's cap

    def length(self, cap: int) -> int:
        """Most steps it can take, given the config's cap."""
        return self.steps if self.steps and self.exact else min(self.steps or cap, cap)


class StagePlan(Strict):
    """The stages of one run in their order. The config's section `Curriculum` holds the numbers common to all."""

    name: str
    stages: tuple[Stage, ...] = Field(min_length=1)
    like: str | None = None  # of a control: the run whose tokens it repeats in another order


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


# The curriculum `seed`, the default. As TOML to copy: docs/examples/own_stages.toml, which a test compares with it.
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

CURRICULA: dict[str, tuple[Stage, ...]] = {
    "seed": EIGHT_STAGES,
    # The first recorded run had these four stages; its ratios are not on record, so they are those of the eight.
    "v3": tuple(stage for stage in EIGHT_STAGES if stage.name in ("structure", "knowledge", "dialogue", "voice")),
    # The recorded pretraining of `v2`: 2.6 billion tokens of web text. Its peak rate is not on record.
    "pretrain_v2": (
        Stage(name="pretrain", mix={"fineweb_edu": 1.0}, learning_rate=3e-4, schedule="cosine", steps=106_350),
    ),
}


def stage_problems(stages: Sequence[Stage]) -> Iterator[str]:
    """What is wrong with stages in this order, one line a problem."""
    sources_so_far: set[str] = set()
    names = [stage.name for stage in stages]
    for stage in stages:
        where = f"stage '{stage.name}'"
        yield from mix_problems(stage.mix, where)
        if names.count(stage.name) > 1:
            yield f"{where}: {names.count(stage.name)} stages have this name; give each a name of its own"
        yield from (f"{where}: {problem}" for problem in level_problems(stage.levels))
        if stage.schedule == "cosine" and not stage.steps:
            yield f"{where}: schedule = cosine needs the stage's length: give steps"
        if stage.exact and not stage.steps:
            yield f"{where}: exact = true needs the stage's length: give steps, or leave exact out"
        dropped = sources_so_far - set(stage.mix)
        if dropped:
            yield (
                f"{where} drops {', '.join(sorted(dropped))}; a source once met stays in the mix, so that it is not "
                "forgotten: give it a ratio above 0"
            )
        sources_so_far |= set(stage.mix)


def stage_index(word: str, stages: Sequence[Stage] = EIGHT_STAGES) -> int:
    """0-based index of a stage given by its number (from 1) or name. Raises BadInput for an unknown one."""
    names = [stage.name for stage in stages]
    if word in names:
        return names.index(word)
    if word.isdecimal() and 1 <= int(word) <= len(stages):
        return int(word) - 1
    known = ", ".join(f"{number} {name}" for number, name in enumerate(names, start=1))
    hint = did_you_mean(word, names) if not word.lstrip("-").isdigit() else ""
    raise BadInput(f"unknown stage '{word}'; " + (hint if hint.startswith("did") else f"the stages are {known}"))
