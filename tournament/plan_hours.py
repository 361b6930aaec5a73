"""Hours of a league, `tournament --plan`: from steps that were timed, from the calibration, or computed from a card.

Data in: a config, what was asked. Data out: seconds of a step of each contestant with their source, and lines of hours.
What nobody measured is marked *computed*: roofline.py has the arithmetic. Needs no torch, unless steps are timed.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.config.schema import Config
from hamner.runs.calibration_record import find, settled
from hamner.runs.friend_hours import OVERHEAD
from hamner.runs.friend_hours import league_hours as with_overhead
from hamner.runs.output import print_error
from hamner.runs.waiting import never_silent
from hamner.training.roofline import RTX_3090, calibrated_step_seconds, computed_step_seconds
from tournament.budget import probe_steps, run_steps
from tournament.entrants import Contestant, entrants
from tournament.gpu_memory import first_memory_plan
from tournament.learning_rate_probe import FIRST_POWERS, MAX_MOVES
from tournament.step_timing import hours, measured_step_seconds, recorded_step_seconds, slots

MEASURED, LIKE, CALIBRATION, COMPUTED = "measured", "like", "calibration", "computed"


@dataclass(frozen=True)
class Request:
    """What is asked of a plan."""

    like: Path | None = None  # folder of an earlier league, for its speed and its noise
    should_measure: bool = False  # the seconds of a step, here
    should_simulate: bool = False
    as_json: bool = False
    results: Path | None = None  # where a calibration of this machine lies


@dataclass(frozen=True)
class StepTimes:
    """Seconds of a step of each contestant, as far as they are known."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    source: str = ""  # MEASURED, LIKE, CALIBRATION or COMPUTED

    @property
    def is_computed(self) -> bool:
        return self.source == COMPUTED


def step_times(config: Config, request: Request) -> StepTimes:
    """Seconds of a step as they were asked for; else from this machine's calibration; else computed for a card."""
    if request.results:  # as a run would be started
        config, _ = settled(config, "tournament", request.results, lambda line: None)
    if request.should_measure:
        print_error("timing a few steps of each contestant, for the plan")
        with never_silent("timing steps"):
            return StepTimes(measured_step_seconds(config), MEASURED)
    if request.like:
        return StepTimes(recorded_step_seconds(config, request.like), LIKE)
    speed = _calibrated_speed(config, request.results) if request.results else {}
    for source in (CALIBRATION, COMPUTED):
        seconds = {name: _seconds(contestant, config, source, speed) for name, contestant in entrants(config).items()}
        if all(seconds.values()):
            return StepTimes({name: known for name, known in seconds.items() if known}, source)
    return StepTimes()


def _calibrated_speed(config: Config, results: Path) -> Mapping[str, float]:
    try:
        entry = find(config, "tournament", results).entry
    except BadInput:  # a broken file, of which the doctor tells
        return {}
    return entry.speed if entry else {}


def _seconds(contestant: Contestant, config: Config, source: str, speed: Mapping[str, float]) -> float | None:
    """Seconds of a step of a contestant; None where the source does not know them."""
    league = config.tournament
    tokens = league.batch_size * league.seq_len
    if source == CALIBRATION:
        return calibrated_step_seconds(contestant.model, tokens, league.seq_len, speed)
    again = first_memory_plan(contestant.model, config).activation_checkpointing
    return computed_step_seconds(contestant.model, tokens, league.seq_len, config.compute, checkpointing=again)


def hour_lines(config: Config, request: Request, times: StepTimes) -> list[str]:
    """What the league takes, and from what that is known."""
    is_timed = config.tournament.budget == "seconds"
    if not times.source and not is_timed:
        way = "add --measure, or use `tournament doctor --calibrate` once"
        return [f"hours: not known, since nobody has timed this machine: {way}"]
    count, league = slots(config), league_hours(config, times.seconds)
    if league is None:
        names = ", ".join(name for name in entrants(config) if name not in times.seconds)
        return [f"hours: unknown for {names}, which that league did not train with this batch here. Use --measure"]
    seconds = f"; seconds of a step {_source_words(request, times)}" if times.source and not is_timed else ""
    lines = [f"the rounds: about {league[0]:.2g} hours, {count} run{'s' * (count > 1)} at a time{seconds}"]
    lines += [f"learning-rate round: up to {league[1]:.2g} hours"] if league[1] else []
    more = f"with {100 * (OVERHEAD - 1):.0f} % more for evaluations, checkpoints, starts and text"
    return [*lines, f"the whole league: up to {with_overhead(*league):.2g} hours, {more}"]


def _source_words(request: Request, times: StepTimes) -> str:
    if times.source == LIKE and request.like:
        return f"those of {request.like.name}"
    if times.is_computed:
        card = f"{RTX_3090.name} ({RTX_3090.flops / 1e12:.0f} TFLOP/s, {RTX_3090.bytes / 1e9:.0f} GB/s)"
        return f"computed from the data sheet of an {card}, not measured"
    return "measured here" if times.source == MEASURED else "from the calibration of this machine"


def league_hours(config: Config, step_seconds: Mapping[str, float]) -> tuple[float, float] | None:
    """Hours of the rounds, and at most of the learning-rate round; None while a step's seconds are not known.

    Rounds of equal seconds take what they say, whatever a step takes; of their learning-rate round nothing is known
    without a step's seconds, and it counts as 0.
    """
    league, contestants, count = config.tournament, entrants(config), slots(config)
    entering = entering_rounds(config, len(contestants))
    tries = len(FIRST_POWERS) + MAX_MOVES if league.lr == "probe" else 0
    probe = hours(tries * probe_steps(config) * len(contestants), step_seconds, len(contestants), count)
    if league.budget == "seconds":
        seeds = [mean_seeds(contestants, index) for index in range(len(entering))]
        return sum(run_steps(league.seconds, entering, seeds)) / count / 3600, probe or 0.0
    rounds = hours(sum(round_steps(config, contestants, entering)), step_seconds, len(contestants), count)
    return None if rounds is None or probe is None else (rounds, probe)


def entering_rounds(config: Config, contestants: int) -> list[int]:
    """Contestants that play each round."""
    return [min(count, contestants) for count in (contestants, *config.tournament.keep[:-1])]


def round_steps(config: Config, contestants: Mapping[str, Contestant], entering: Sequence[int]) -> list[int]:
    """Optimizer steps of all runs in each round, of so many average contestants."""
    seeds = [mean_seeds(contestants, index) for index in range(len(entering))]
    return [round(steps) for steps in run_steps(config.tournament.steps, entering, seeds)]


def mean_seeds(contestants: Mapping[str, Contestant], index: int) -> float:
    """Seeds of a contestant in a round, on average."""
    return statistics.mean(sum(joined <= index for joined in c.schedule.values()) for c in contestants.values())
