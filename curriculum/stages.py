"""The eight stages: what is read in which ratio, how hard the synthetic items are, how fast is learnt.

Full-size learning rates; a config's `lr_scale` multiplies them. Every source, once met, stays in the mix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hamner.config import BadInput, closest, mix_problems
from hamner.synthetic_tasks import LEVELS


@dataclass(frozen=True, kw_only=True)
class Stage:
    name: str
    mix: Mapping[str, float]     # source -> share of the tokens; sums to 1
    level: int                   # of the synthetic items, 1 to 5
    learning_rate: float


def _stage(
    name: str, level: int, learning_rate: float, *, synthetic: float, tinystories: float,
    fineweb_edu: float = 0, sft: float = 0, personal: float = 0,
) -> Stage:
    mix = {"synthetic": synthetic, "tinystories": tinystories, "fineweb_edu": fineweb_edu, "sft": sft,
           "personal": personal}
    return Stage(name=name, level=level, learning_rate=learning_rate, mix={k: v for k, v in mix.items() if v})


SEED: tuple[Stage, ...] = (
    _stage("structure",      1, 3e-4,   synthetic=.30, tinystories=.70),
    _stage("reasoning",      3, 2.5e-4, synthetic=.55, tinystories=.35, fineweb_edu=.10),
    _stage("knowledge",      3, 2e-4,   synthetic=.20, tinystories=.20, fineweb_edu=.60),
    _stage("context",        4, 1.5e-4, synthetic=.35, tinystories=.20, fineweb_edu=.35, sft=.10),
    _stage("deep_knowledge", 4, 1.2e-4, synthetic=.25, tinystories=.15, fineweb_edu=.40, sft=.15, personal=.05),
    _stage("dialogue",       4, 8e-5,   synthetic=.15, tinystories=.15, fineweb_edu=.20, sft=.40, personal=.10),
    _stage("synthesis",      5, 5e-5,   synthetic=.20, tinystories=.15, fineweb_edu=.25, sft=.25, personal=.15),
    _stage("voice",          5, 3e-5,   synthetic=.15, tinystories=.10, fineweb_edu=.15, sft=.25, personal=.35),
)


def stage_problems(stages: Sequence[Stage]) -> Iterator[str]:
    """What is wrong with a curriculum."""
    met: set[str] = set()
    for stage in stages:
        where = f"stage '{stage.name}'"
        yield from mix_problems(stage.mix, where)
        if stage.level not in LEVELS:
            yield f"{where}: synthetic level {stage.level} is not one of {', '.join(map(str, LEVELS))}"
        if stage.learning_rate <= 0:
            yield f"{where}: learning rate {stage.learning_rate} must be above 0"
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
    hint = closest(word, names) if not word.lstrip("-").isdigit() else ""
    raise BadInput(f"unknown stage '{word}'; " + (hint if hint.startswith("did") else f"the stages are {known}"))
