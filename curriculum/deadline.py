"""Deadline (time budget) of a curriculum: when it ends, and how many steps of the whole each stage gets.

Data in: the words of --hours or --until and the time of now. Data out: a Deadline, absolute, so that a resumed run
keeps its Monday; steps divided in proportion of what the stages were planned with. Pure rules on floats, no torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hamner.config.errors import BadInput

MOST_HOURS = 10_000.0
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WAYS = "use Mon 07:00, 07:00 or 2026-11-30T07:00"


@dataclass(frozen=True)
class Deadline:
    """When the hours begin and when final/ has to be there, in seconds of the Unix clock."""

    began_at: float
    ends_at: float

    @property
    def seconds(self) -> float:
        return self.ends_at - self.began_at

    def missed_by(self, finished_at: float) -> float:
        """Share of the hours by which a run ended too late, or too early (negative)."""
        return (finished_at - self.ends_at) / self.seconds

    def facts(self) -> dict[str, str]:
        """As config.json keeps it: local times with their offset from UTC."""
        return {"began_at": _local(self.began_at).isoformat(), "ends_at": _local(self.ends_at).isoformat()}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any] | None) -> Deadline | None:
        """What facts() described; None for a run without a deadline."""
        if not facts:
            return None
        return cls(*(datetime.fromisoformat(facts[key]).timestamp() for key in ("began_at", "ends_at")))


def find_deadline(hours: str | None, until: str | None, now: datetime) -> Deadline | None:
    """The deadline of a command line; None where it names none. now: an aware time, when the command was started.

    Raises BadInput.
    """
    if hours and until:
        raise BadInput(f"--hours {hours} and --until {until} both say when the run ends: give one of them")
    if until:
        return Deadline(now.timestamp(), read_until(until, now).timestamp())
    return Deadline(now.timestamp(), now.timestamp() + 3600 * read_hours(hours)) if hours else None


def read_hours(word: str) -> float:
    """The number of --hours. Raises BadInput."""
    try:
        hours = float(word)
    except ValueError:
        hours = math.nan
    if not 0 < hours <= MOST_HOURS:  # False for nan
        raise BadInput(f"--hours {word}: give a number of hours above 0, at most {MOST_HOURS:,.0f}")
    return hours


def read_until(word: str, now: datetime) -> datetime:
    """The moment that --until names: of a time of day, with or without a weekday, the next one. Raises BadInput."""
    match = re.fullmatch(r"(?:([A-Za-z]+)\s+)?(\d{1,2}):(\d{2})", word.strip())
    moment = _next_time(match, word, now) if match else _date_time(word, now)
    if moment <= now:
        raise BadInput(f"--until {word} is past ({clock_text(now.timestamp(), 86_400.0)} is now): give a later time")
    if (moment - now).total_seconds() > 3600 * MOST_HOURS:
        raise BadInput(f"--until {word} is more than {MOST_HOURS:,.0f} hours away: give an earlier time")
    return moment


def _next_time(match: re.Match[str], word: str, now: datetime) -> datetime:
    """The next time of day, on a weekday if one is named."""
    name, hour, minute = (match[1] or "").lower(), int(match[2]), int(match[3])
    days = [number for number, day in enumerate(DAYS) if len(name) >= 3 and day.startswith(name)]
    if hour > 23 or minute > 59 or (name and not days):
        raise BadInput(f"--until {word} is not a time: {WAYS}")
    # without an offset, so that a change to summer time in between leaves the clock at what was asked for
    local = now.astimezone().replace(tzinfo=None)
    moment = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if days:
        moment += timedelta(days=(days[0] - moment.weekday()) % 7)
    if moment <= local:
        moment += timedelta(days=7 if days else 1)
    return moment.astimezone()


def _date_time(word: str, now: datetime) -> datetime:
    """The moment of an ISO date-time, local where it names no offset."""
    try:
        if ":" not in word:
            raise ValueError
        return datetime.fromisoformat(word.strip()).astimezone()
    except (ValueError, OverflowError, OSError):
        raise BadInput(f"--until {word} is not a time: {WAYS}") from None


def divided(total: float, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion of the weights, each at least 1; they sum to the total where it is enough."""
    parts, taken, whole = [], 0, sum(weights)
    for number in range(len(weights)):
        end = round(total * sum(weights[: number + 1]) / whole)
        parts.append(max(end - taken, 1))
        taken += parts[-1]
    return parts


def clock_text(moment: float, seconds: float) -> str:
    """A moment as weekday and local time, with seconds where all of a run takes less than an hour."""
    return _local(moment).strftime("%a %H:%M:%S" if seconds < 3600 else "%a %H:%M")


def _local(moment: float) -> datetime:
    return datetime.fromtimestamp(moment).astimezone()
