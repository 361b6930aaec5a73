"""Arms of the concept experiments: what each is trained on, in which order, at which loss and rate, and tested on.

An arm is an entrant of a league: the same base weights, with a schedule of its own. In: the name of a suite. Out: arms.
Steps are those of a full-size run, which `concepts.divide_steps` divides; they are the recorded experiments'.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from hamner.config.errors import BadInput, did_you_mean
from hamner.config.schema import Config, ParameterGroup
from hamner.data.concepts import SEVEN

ALL = "all"
SEEDS = 5  # runs of each arm, where nothing else is said
RATES = (1e-5, 5e-5, 2e-4, 5e-4)  # of the sweep; multiplied by lr_scale as all rates are
SWEPT = ("compare", "opposites", "echo")
REPLAYED = (0, 10, 30, 50)  # percent
FACTS = (10, 20, 30, 50, 100, 200, 500)
SLOW = ParameterGroup(learning_rate_scale=0.2, middle_layers=1)
SLOW_SHARE = 0.3  # of the layers are slow in the arm that has such layers: 6 of 20
Loss = Literal["masked", "packed"]


@dataclass(frozen=True)
class Stage:
    """A stretch of an arm's training."""

    mix: Mapping[str, float]  # share of the rows that each concept gives
    steps: int  # at full size


@dataclass(frozen=True)
class Arm:
    """One way of training the base."""

    name: str
    suite: str
    group: str  # arms of a group are compared with each other; empty: with none
    stages: tuple[Stage, ...]
    cells: tuple[str, ...]  # measured at the end of every stage
    main: str  # the cell by which arms of a group are compared
    loss: Loss = "masked"
    rate: float | None = None  # instead of concepts.rate
    has_slow_layers: bool = False

    def steps(self, config: Config) -> tuple[int, ...]:
        """The steps of each stage in a run of this config, at least two each."""
        return tuple(max(2, round(stage.steps / config.concepts.divide_steps)) for stage in self.stages)

    def learning_rate(self, config: Config) -> float:
        """The rate it trains at, lr_scale left out."""
        return self.rate or config.concepts.rate

    def parameter_groups(self, layers: int) -> tuple[ParameterGroup, ...]:
        """The groups of parameters of a model of so many layers that learn more slowly."""
        slow = max(1, round(SLOW_SHARE * layers))
        return (SLOW.model_copy(update={"middle_layers": slow}),) if self.has_slow_layers else ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The concepts it trains on."""
        return tuple(dict.fromkeys(name for stage in self.stages for name in stage.mix))


def alone(name: str, steps: int) -> Stage:
    """A stage of one concept."""
    return Stage({name: 1.0}, steps)


def tests(*names: str) -> tuple[str, ...]:
    """All three tests of each concept."""
    return tuple(f"{name}/{test}" for name in names for test in ("seen", "heldout", "rephrased"))


def _masking() -> Iterator[Arm]:
    """Loss on the answers alone against loss on everything, for each concept alone; other rates for three of them."""
    losses: tuple[Loss, ...] = ("masked", "packed")
    for name in SEVEN:
        stages, main = (alone(name, 3000 if name == "echo" else 2000),), f"{name}/seen"
        for loss in losses:
            yield Arm(f"{name}-{loss}", "masking", f"loss: {name}", stages, tests(name), main, loss)
        for rate in RATES if name in SWEPT else ():
            yield Arm(f"{name}-rate{rate:.0e}", "masking", f"rate: {name}", stages, tests(name), main, rate=rate)


def _generalise() -> Iterator[Arm]:
    """Train against held-out items and words, after longer training."""
    for name, steps in (("qa", 5000), ("opposites", 5000), ("chat", 5000), ("addition", 3000)):
        more = ("subtraction", "multiplication") if name == "addition" else ()
        cells = (*tests(name), *more)
        yield Arm(f"learn-{name}", "generalise", "generalise", (alone(name, steps),), cells, f"{name}/heldout")


def _compose() -> Iterator[Arm]:
    """Questions about opposites, from a model that knows opposites, and the form of a question by other questions."""
    cells = ("composite/seen", "composite/heldout", "opposites/seen", "qa/seen")
    schedules = {
        "jointly": (Stage({"qa": 0.5, "opposites": 0.5}, 5000),),
        "sequence": (alone("qa", 3000), alone("opposites", 3000)),
        "direct": (alone("composite", 3000),),
    }
    for name, stages in schedules.items():
        yield Arm(f"compose-{name}", "compose", "compose", stages, cells, "composite/seen")


def _retain() -> Iterator[Arm]:
    """What is left of a skill after others were trained, with more and less of it replayed."""
    first = alone("qa", 3000)
    chain = (first, alone("opposites", 3000), alone("addition", 3000))
    cells = ("qa/seen", "opposites/seen", "addition/seen")
    yield Arm("chat-then-qa", "retain", "", (alone("chat", 3000), first), ("chat/seen", "qa/seen"), "chat/seen")
    yield Arm("chain", "retain", "", chain, cells, "qa/seen")
    for percent in REPLAYED:
        share = percent / 100
        mix = {"opposites": 1 - share} | ({"qa": share} if share else {})
        yield Arm(f"replay{percent}", "retain", "replay", (first, Stage(mix, 5000)), cells[:2], "qa/seen")


def _capacity() -> Iterator[Arm]:
    """How many invented facts fit."""
    for count in FACTS:
        name = f"facts{count}"
        stages = (alone(name, max(3000, 100 * count)),)
        yield Arm(name, "capacity", "capacity", stages, (f"{name}/seen", f"{name}/rephrased"), f"{name}/seen")


def _multitask() -> Iterator[Arm]:
    """All seven concepts at once; the same with the middle layers at a fifth of the rate."""
    stages = (Stage({name: 1 / len(SEVEN) for name in SEVEN}, 10_000),)
    for name, is_slow in (("seven", False), ("seven-slow", True)):
        cells = tests(*SEVEN)
        yield Arm(name, "multitask", "multitask", stages, cells, "opposites/seen", has_slow_layers=is_slow)


def _incremental() -> Iterator[Arm]:
    """Five skills one after the other, each with two fifths of replay of the earlier ones, and without."""
    skills = (("qa", 3000), ("opposites", 3000), ("chat", 3000), ("addition", 3000), ("facts30", 5000))
    cells = tuple(f"{name}/seen" for name, _ in skills)
    for label, share in (("replay", 0.4), ("none", 0.0)):
        stages = []
        for place, (name, steps) in enumerate(skills):
            earlier = {other: share / place for other, _ in skills[:place]} if share else {}
            stages.append(Stage({name: 1 - math.fsum(earlier.values())} | earlier, steps))
        yield Arm(f"incremental-{label}", "incremental", "incremental", tuple(stages), cells, "qa/seen")


SUITES = {
    "masking": _masking,
    "generalise": _generalise,
    "compose": _compose,
    "retain": _retain,
    "capacity": _capacity,
    "multitask": _multitask,
    "incremental": _incremental,
}
BASE = "untrained"  # the arm that is the base itself


def arms_of(names: tuple[str, ...]) -> tuple[Arm, ...]:
    """The arms of suites, the base itself first. Raises BadInput with every unknown name."""
    problems = [
        f"--suite {name}: no such suite; {did_you_mean(name, [*SUITES, ALL])}"
        for name in names
        if name not in {*SUITES, ALL}
    ]
    if problems:
        raise BadInput(problems)
    suites = [suite for suite in SUITES if ALL in names or suite in names]
    arms = [arm for suite in suites for arm in SUITES[suite]()]
    cells = tuple(dict.fromkeys(cell for arm in arms for cell in arm.cells))
    return (Arm(BASE, BASE, "", (), cells, cells[0]), *arms)
