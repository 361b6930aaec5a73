"""Where a curriculum stands: everything beside weights, optimizer and data position that survives a kill, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

MEAN_STEPS = 100  # training losses, of one stage, that a row's mean_loss is taken over


@dataclass(frozen=True)
class Place:
    """The place of a run; a step makes a new one."""

    stage_index: int = 0  # of the stage being trained, or that comes next
    stage_step: int = 0  # steps trained in it; 0: it has not begun
    mix_index: int = 0  # of the stage whose mix is read: at a border still the one before
    rows_before: Mapping[str, int] | None = None  # rows of each source read before the stage
    mix: Mapping[str, float] | None = None  # shares that the stage can have of what it asks for, see budget.py
    start_losses: Mapping[str, float] | None = None  # held-out loss of each source at the stage's beginning
    best: Mapping[str, Any] | None = None  # the stage's best window: stage_step, heldout_loss, checkpoint
    left_out: tuple[Mapping[str, Any], ...] = ()  # sources that left the mix: source, stage_step, mix
    recent_losses: tuple[float, ...] = ()  # training losses of the stage's last MEAN_STEPS finite steps
    records: tuple[Mapping[str, Any], ...] = ()  # one of each stage that is over

    @property
    def mean_loss(self) -> float | None:
        """Mean of the recent training losses; None before the first finite one."""
        return sum(self.recent_losses) / len(self.recent_losses) if self.recent_losses else None

    def steps_before(self, index: int) -> int:
        """Steps trained in the stages before the one of this 0-based index."""
        return sum(int(record["steps"]) for record in self.records if record["number"] <= index)

    def with_step(self, losses: tuple[float, ...]) -> Place:
        """One step further, with the finite training losses it brought."""
        recent = (*self.recent_losses, *losses)[-MEAN_STEPS:]
        return replace(self, stage_step=self.stage_step + 1, recent_losses=recent)

    def with_stage_begun(
        self, mix: Mapping[str, float], rows_before: Mapping[str, int], start_losses: Mapping[str, float]
    ) -> Place:
        """At the beginning of the stage `stage_index`."""
        return replace(
            self,
            mix_index=self.stage_index,
            mix=mix,
            rows_before=rows_before,
            start_losses=start_losses,
            best=None,
            left_out=(),
            recent_losses=(),
        )

    def with_stage_over(self, record: Mapping[str, Any]) -> Place:
        """At the border behind the stage that `record` describes."""
        return replace(self, stage_index=self.stage_index + 1, stage_step=0, records=(*self.records, record))

    def state(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Place:
        """Return the place that state() described."""
        tuples = {name: tuple(state[name]) for name in ("left_out", "recent_losses", "records")}
        return cls(**{**state, **tuples})
