"""Counts of a preparation for fine-tuning: what became of every conversation and reply, and the lines that say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from hamner.config.errors import BadInput
from hamner.data.preparation.decide import MAX_MALFORMED

FEWEST = 10  # conversations of a source, of which at least one is held out


@dataclass
class Counts:
    """What became of the conversations of a source."""

    records: int = 0
    malformed: int = 0
    skipped: list[str] = field(default_factory=list)  # the first malformed ones, "file:line: why"
    duplicates: int = 0  # of an earlier conversation, to the letter
    replies: int = 0  # of the assistant, in what is no duplicate
    too_long: int = 0  # replies left out: above max_reply_tokens, or after one that is
    beyond_row: int = 0  # replies left out: the conversation would be longer than a row
    without_reply: int = 0  # conversations left out: none of their replies may stay
    conversations: int = 0  # to train on
    heldout: int = 0  # conversations held out
    several: int = 0  # conversations of both kinds with several exchanges
    rows: int = 0
    heldout_rows: int = 0
    tokens: int = 0  # of the conversations to train on, without what fills up rows
    trained_tokens: int = 0  # of these, those that are trained on


@dataclass(frozen=True)
class Limits:
    """What a conversation may be, and how much is wanted."""

    seq_len: int
    max_reply_tokens: int
    heldout_tokens: int  # at least, of a source that has them
    hub_tokens: int  # streamed of each hub source


def check_enough(name: str, origin: str, counts: Counts, kept: int) -> None:
    """Raises BadInput for a source with too many malformed records or too few conversations."""
    examples = "; ".join(counts.skipped)
    if counts.malformed > MAX_MALFORMED * counts.records:
        raise BadInput(
            f"source '{name}': {counts.malformed:,} of {counts.records:,} records are malformed, more than the "
            f"{MAX_MALFORMED:.0%} that may be skipped; mend them or take their files away: {examples}"
        )
    if kept < FEWEST:
        reasons = "; ".join(left_out(counts, None))
        raise BadInput(
            f"source '{name}' has {kept} conversations in {origin}{f' ({reasons})' if reasons else ''}; at least "
            f"{FEWEST} are needed to hold some out: add some, raise finetuning.max_reply_tokens or finetuning.seq_len, "
            "or leave the source out of finetuning.sources" + (f"; skipped {examples}" if examples else "")
        )


def left_out(counts: Counts, limits: Limits | None) -> list[str]:
    """What was left out of a source, a phrase each."""
    above = f" above {limits.max_reply_tokens} tokens (max_reply_tokens)" if limits else " that are too long"
    beyond = f" beyond a row of {limits.seq_len} tokens (seq_len)" if limits else " beyond a row"
    phrases = (
        (counts.malformed, "malformed records"),
        (counts.duplicates, "duplicates"),
        (counts.too_long, f"replies{above} or after one, of {counts.replies:,}"),
        (counts.beyond_row, f"replies{beyond}"),
        (counts.without_reply, "conversations, of which no reply is left"),
    )
    return [f"{count:,} {what}" for count, what in phrases if count]


def source_lines(name: str, facts: dict[str, Any], limits: Limits) -> Iterator[str]:
    """What is said of a prepared source: what it is, and what was left out of it."""
    counts = Counts(**{key.name: facts[key.name] for key in fields(Counts)})
    all_kept = counts.conversations + counts.heldout
    filled = counts.tokens / max(1, counts.rows * limits.seq_len)
    yield (
        f"{name}: {counts.conversations:,} conversations to train on, {counts.heldout:,} held out, from "
        f"{facts['origin']} (license: {facts['license']}); {counts.several / all_kept:.0%} have several exchanges, "
        f"rows are {filled:.0%} full, {counts.trained_tokens / max(1, counts.tokens):.0%} of the tokens are trained on"
    )
    phrases = left_out(counts, limits)
    if phrases:
        yield f"  left out of {name}: {'; '.join(phrases)}"
    if counts.skipped:
        more = f" and {counts.malformed - len(counts.skipped)} more" if counts.malformed > len(counts.skipped) else ""
        yield f"  malformed records of {name}: {'; '.join(counts.skipped)}{more}"
