"""Plan of a fine-tuning: what its rows are made of, how many steps they last, and the learning rate of each step.

Plain numbers in and out.

B rows of a batch. A share of the tokens trained on is not a share of the rows: of a row of text every token is trained
on, of a row of conversations the replies alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hamner.config.errors import BadInput
from hamner.training.learning_rate import cosine


@dataclass(frozen=True)
class FinetuningPlan:
    """What one fine-tuning reads, and for how long."""

    mix: Mapping[str, float]  # share of the rows that each source gives, text and conversations; sums to 1
    limits: Mapping[str, float]  # rows at which a source of conversations leaves the mix
    steps: int
    warmup_steps: int
    evaluate_every: int  # steps

    def rate_scale(self, step: int) -> float:
        """The factor of the peak rate at 0-based `step`, beside the warmup: then half a cosine to 0."""
        falling = self.steps - self.warmup_steps
        return cosine(step - self.warmup_steps, falling, 0.0) if step >= self.warmup_steps and falling else 1.0


def replay_rows(replay: float, trained_share: float) -> float:
    """The share of the rows that must be text, so that `replay` of the tokens trained on are.

    trained_share: of a row of conversations. From x / (x + (1 − x) · trained_share) = replay.
    """
    return replay * trained_share / (1 - replay + replay * trained_share)


def conversation_mix(
    shares: Mapping[str, float], rows: Mapping[str, int], identity: str, share: float
) -> dict[str, float]:
    """Share of the conversations' rows that each source gives.

    shares: those asked for; none: by the sources' rows. identity: the source that is given `share` of all, if it is
    among `rows`.
    """
    others = {name: count for name, count in rows.items() if name != identity}
    parts = dict(shares) or {name: count / sum(others.values()) for name, count in others.items()}
    if identity not in rows:
        return parts
    return {name: part * (1 - share) for name, part in parts.items()} | {identity: share}


def plan(
    conversations: Mapping[str, float],
    rows: Mapping[str, int],
    trained_shares: Mapping[str, float],
    *,
    text: Mapping[str, float],
    replay: float,
    epochs: float,
    batch_size: int,
    max_steps: int,
    warmup: float,
    evaluations: int,
    unlimited: tuple[str, ...] = (),
) -> FinetuningPlan:
    """The plan of a run over `rows` of each source of conversations.

    conversations: share of the conversations' rows that each gives; trained_shares: of a row of each. text: share of
    the replayed rows that each source of text gives; none: nothing is replayed. unlimited: sources that may be read
    more often than `epochs`, since they are drawn from templates. Raises BadInput for less than one step.
    """
    mix = _with_text(conversations, trained_shares, text, replay)
    limits = {name: max(1.0, epochs * rows[name]) for name in conversations if name not in unlimited}
    share = sum(mix[name] for name in limits)
    length = (sum(limits.values()) - len(limits)) / (share * batch_size)  # a source may be dealt a row more or less
    steps = min(max_steps, math.floor(length))
    if steps < 1:
        raise BadInput(
            f"{sum(rows[name] for name in limits)} rows of conversations, read {epochs:g} times, are less than one "
            f"batch of {batch_size}: add conversations, or use a smaller finetuning.batch_size"
        )
    return FinetuningPlan(
        mix, limits, steps, warmup_steps=round(warmup * steps), evaluate_every=max(1, steps // evaluations)
    )


def feedback_mix(conversations: Mapping[str, float], feedback: str, share: float) -> dict[str, float]:
    """Share of the conversations' rows that each source gives, where the source `feedback` gives `share` of them."""
    return {name: part * (1 - share) for name, part in conversations.items() if share < 1} | {feedback: share}


def feedback_plan(
    conversations: Mapping[str, float],
    trained_shares: Mapping[str, float],
    *,
    text: Mapping[str, float],
    replay: float,
    steps: int,
    warmup: float,
    evaluations: int,
) -> FinetuningPlan:
    """The plan of a run on corrections, which are few: read as often as `steps` say, while a look says it helps."""
    mix = _with_text(conversations, trained_shares, text, replay)
    return FinetuningPlan(mix, {}, steps, round(warmup * steps), max(1, steps // evaluations))


def _with_text(
    conversations: Mapping[str, float], trained_shares: Mapping[str, float], text: Mapping[str, float], replay: float
) -> dict[str, float]:
    """Share of the rows that each source gives, so that `replay` of the tokens trained on are text."""
    trained = sum(share * trained_shares[name] for name, share in conversations.items())
    of_text = replay_rows(replay, trained) if text else 0.0
    mix = {name: share * (1 - of_text) for name, share in conversations.items()}
    return mix | {name: share * of_text for name, share in text.items() if of_text}
