"""Where a curriculum stands: everything beside weights, optimizer and data position that survives a kill, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    records: tuple[Mapping[str, Any], ...] = ()  # one of each stage that is over, or was left
    # what was done on a resume, see interventions.py
    interventions: int = 0  # of config.json's list, how many are done
    rate_scale: float = 1.0  # factor of the learning rate
    batches_to_pass: int = 0  # to be passed over before the next step
    passed_over: Mapping[str, int] | None = None  # rows of each source that the stage passed over
    has_fresh_optimizer: bool = False  # the next stage begins with a fresh AdamW, kept at borders or not

    @property
    def mean_loss(self) -> float | None:
        """Mean of the recent training losses; None before the first finite one."""
        return sum(self.recent_losses) / len(self.recent_losses) if self.recent_losses else None

    @property
    def lineage(self) -> tuple[Mapping[str, Any], ...]:
        """Records of the stages whose training the present weights have gone through."""
        return tuple(record for record in self.records if not record.get("abandoned"))

    def steps_before(self, index: int) -> int:
        """Steps trained in the stages before the one of this 0-based index, as far as the weights have seen them."""
        return sum(int(record["steps"]) for record in self.lineage if record["number"] <= index)

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
            passed_over=None,
            has_fresh_optimizer=False,
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


def measured(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Records of stages to compare: neither what a resume abandoned, nor what it left without a measurement."""
    return [record for record in records if not record.get("abandoned") and record["heldout_loss"]]
