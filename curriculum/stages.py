"""Curricula as data: what is read in which ratio, how hard the synthetic items are, how fast is learnt.

Full-size learning rates; a config's `lr_scale` multiplies them. Every source, once met, stays in the mix, and so do
the easier synthetic levels. Your own: a TOML file of the same fields, see docs/curriculum.md.
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


class Curriculum(Strict):
    name: str
    stages: tuple[Stage, ...] = Field(min_length=1)
    like: str | None = None  # the run whose tokens it repeats in another order


# Most of a stage's items are of its own level; a level once met is never left out, so that it is not forgotten.
ONE = (1.0,)
THREE = (0.15, 0.15, 0.70)
FOUR = (0.10, 0.10, 0.10, 0.70)
FIVE = (0.075, 0.075, 0.075, 0.075, 0.70)


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


# fmt: off
SEED: tuple[Stage, ...] = (
    _stage("structure",      ONE,   3e-4,   synthetic=.30, tinystories=.70),
    _stage("reasoning",      THREE, 2.5e-4, synthetic=.55, tinystories=.35, fineweb_edu=.10),
    _stage("knowledge",      THREE, 2e-4,   synthetic=.20, tinystories=.20, fineweb_edu=.60),
    _stage("context",        FOUR,  1.5e-4, synthetic=.35, tinystories=.20, fineweb_edu=.35, sft=.10),
    _stage("deep_knowledge", FOUR,  1.2e-4, synthetic=.25, tinystories=.15, fineweb_edu=.40, sft=.15, personal=.05),
    _stage("dialogue",       FOUR,  8e-5,   synthetic=.15, tinystories=.15, fineweb_edu=.20, sft=.40, personal=.10),
    _stage("synthesis",      FIVE,  5e-5,   synthetic=.20, tinystories=.15, fineweb_edu=.25, sft=.25, personal=.15),
    _stage("voice",          FIVE,  3e-5,   synthetic=.15, tinystories=.10, fineweb_edu=.15, sft=.25, personal=.35),
)
# fmt: on

CURRICULA: dict[str, tuple[Stage, ...]] = {
    "seed": SEED,
    # The first recorded run had these four stages; its ratios are not on record, so they are those of the eight.
    "v3": tuple(stage for stage in SEED if stage.name in ("structure", "knowledge", "dialogue", "voice")),
    # The recorded pretraining of `v2`: 2.6 billion tokens of web text. Its peak rate is not on record.
    "pretrain_v2": (
        Stage(name="pretrain", mix={"fineweb_edu": 1.0}, learning_rate=3e-4, schedule="cosine", steps=106_350),
    ),
}


def stage_problems(stages: Sequence[Stage]) -> Iterator[str]:
    """What is wrong with a curriculum."""
    met: set[str] = set()
    names = [stage.name for stage in stages]
    for stage in stages:
        where = f"stage '{stage.name}'"
        yield from mix_problems(stage.mix, where)
        if names.count(stage.name) > 1:
            yield f"{where}: the name stands {names.count(stage.name)} times; each stage needs one of its own"
        yield from (f"{where}: {problem}" for problem in level_problems(stage.levels))
        if stage.schedule == "cosine" and not stage.steps:
            yield f"{where}: schedule = cosine needs to know its length: give steps"
        if stage.exact and not stage.steps:
            yield f"{where}: exact goes with steps"
        dropped = met - set(stage.mix)
        if dropped:
            yield f"{where} drops {', '.join(sorted(dropped))}; a source once met stays active"
        met |= set(stage.mix)


def stage_index(word: str, stages: Sequence[Stage] = SEED) -> int:
    """0-based index of a stage given by its number (from 1) or name. Raises BadInput for an unknown one."""
    names = [stage.name for stage in stages]
    if word in names:
        return names.index(word)
    if word.isdigit() and 1 <= int(word) <= len(stages):
        return int(word) - 1
    known = ", ".join(f"{number} {name}" for number, name in enumerate(names, start=1))
    hint = did_you_mean(word, names) if not word.lstrip("-").isdigit() else ""
    raise BadInput(f"unknown stage '{word}'; " + (hint if hint.startswith("did") else f"the stages are {known}"))
