"""Durations (elapsed time) as a person reads them, in seconds, minutes or hours."""

from __future__ import annotations

from datetime import datetime


def seconds_between(begin: str | None, end: str | None) -> float | None:
    """Seconds from one ISO 8601 time to another; None where either is missing or none."""
    try:
        return (datetime.fromisoformat(end or "") - datetime.fromisoformat(begin or "")).total_seconds()
    except (ValueError, TypeError):
        return None


def duration_text(seconds: float) -> str:
    """`4.5 s`, `45 s`, `12.5 min` or `8.3 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
