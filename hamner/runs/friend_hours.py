"""Time budget of a friend: hours divided among league, stages, fine-tuning, card and export, on plain numbers.

Data in: the hours in all, those that are over, what is finished, what the league would take. Data out: hours of each
step that is still to come; lengths of the league's rounds and of the fine-tuning that keep within theirs. No torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

LEAGUE, STAGES, FINETUNING, CARD, EXPORT = "league", "stages", "fine-tuning", "friend card", "export"
STEPS = (LEAGUE, STAGES, FINETUNING, CARD, EXPORT)

# Shares of all hours; the stages get the rest. To fine-tune on 0.2 billion tokens takes 2 to 5 % of 48 hours on a card.
SHARES: Mapping[str, float] = {LEAGUE: 0.25, FINETUNING: 0.06, CARD: 0.01, EXPORT: 0.01}
LEAST = 0.05  # of all hours: what the stages get at least, so that their rate falls to 0 however late it is
OVERHEAD = 1.25  # of a league's steps alone: evaluations, checkpoints, starts, text
USED = 0.8  # share of the fine-tuning's hours that its steps may take; the rest is its text and its evaluations
FEWEST_STEPS = 20  # of a fine-tuning


def step_hours(
    total: float, elapsed: float, steps: Sequence[str], finished: Collection[str], league: float | None = None
) -> dict[str, float]:
    """Hours of each of `steps` that is not finished, in their order.

    total: hours in all; elapsed: since the beginning. league: hours that the league would take as it is; None where
    that is not known. The league gets its share at most, the stages what is left, and what they leave over goes to the
    fine-tuning. Nothing gets less than its share because the steps before it ran over: then the end is late.
    """
    open_steps = [step for step in steps if step not in finished]
    hours = {step: SHARES.get(step, LEAST) * total for step in open_steps}
    if LEAGUE in hours and league is not None:
        hours[LEAGUE] = min(hours[LEAGUE], league)
    takes_rest = next((step for step in (STAGES, FINETUNING) if step in hours), None)
    if takes_rest:
        others = sum(count for step, count in hours.items() if step != takes_rest)
        hours[takes_rest] = max(hours[takes_rest], total - elapsed - others)
    return hours


def league_hours(rounds: float, probe: float) -> float:
    """Hours of a league, from those of the steps of its rounds and, at most, of its learning-rate round."""
    return OVERHEAD * (rounds + probe)


def shortened_rounds(lengths: Sequence[float], needed: float, given: float) -> list[float]:
    """Lengths of rounds that take `given` hours where these take `needed`; the same where that is not more."""
    share = min(1.0, given / needed) if needed > 0 else 1.0
    return [length * share for length in lengths]


def finetuning_steps(hours: float, tokens_per_second: float, tokens_per_step: int) -> int:
    """Steps of a fine-tuning that fit its hours at the speed at which the base was trained."""
    return max(FEWEST_STEPS, int(USED * 3600 * hours * tokens_per_second / tokens_per_step))
