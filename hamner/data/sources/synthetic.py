"""Synthetic (procedural) items: the nine tasks of synthetic_tasks at five levels, drawn while training, without end."""

from __future__ import annotations

from hamner.data.sources.source import Source

SYNTHETIC = Source(name="synthetic", is_text=False)
