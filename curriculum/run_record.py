"""Run record (history) of a curriculum: everything that its folder says of it, stage by stage, whole or not.

Data in: RUN/config.json, stages.json, metrics.csv, samples.jsonl, resume.jsonl, skills.json, run.log. Data out: one
RunRecord. A file or a field that is missing, torn or of an older version leaves its part empty; only a config.json that
cannot be read is refused. No torch, no Ray.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from curriculum.endings import ending_words, short_ending
from hamner.config.cost import training_flops_per_token
from hamner.config.errors import BadInput
from hamner.config.load import parse
from hamner.config.schema import ModelConfig, Plateau
from hamner.reports.friend_sections import read_card
from hamner.runs.files import read_json
from hamner.runs.read_back import Row, json_lines, json_object, mapping, metric_rows, numbers_of, text_lines

State = Literal["over", "left", "abandoned", "present", "to come", "no time"]


@dataclass(frozen=True)
class StageRecord:
    """A stage of a run: what is over, present or to come. Steps are global, `first` not included, `last` included."""

    number: int
    name: str
    state: State
    first: int
    last: int
    tokens: int
    ending: str = ""  # in a word or two
    ended: str = ""  # the words that follow "ended"
    reason: str = ""
    hours: float | None = None  # from the end of the stage before; None where they are not known
    plan: Mapping[str, Any] = field(default_factory=dict)  # of config.json: mix, learning_rate, ...
    facts: Mapping[str, Any] = field(default_factory=dict)  # of stages.json
    rows: Sequence[Row] = ()

    @property
    def steps(self) -> int:
        return self.last - self.first

    @property
    def label(self) -> str:
        return f"{self.number} {self.name}"

    @property
    def looks(self) -> list[Row]:
        """The rows in which a look of the plateau rule was taken."""
        return [row for row in self.rows if row.verdict]

    @property
    def losses(self) -> Mapping[str, float]:
        """Held-out loss of each source at its end, nats per token; of a stage that is not over none."""
        return numbers_of(self.facts.get("heldout_loss"))


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder says."""

    folder: Path
    document: Mapping[str, Any]  # config.json
    records: Sequence[Mapping[str, Any]]  # of stages.json
    final: Mapping[str, Any]
    rows: Sequence[Row]
    samples: Sequence[Mapping[str, Any]]
    resumes: Sequence[Mapping[str, Any]]
    skills: Mapping[str, Any]
    log: Sequence[str]
    card: Mapping[str, Any]  # friend_card.json; empty where it was not measured
    is_finished: bool

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def model_name(self) -> str:
        """Who is trained."""
        return str(self.document.get("name") or self.document.get("who") or "a model")

    @property
    def config(self) -> Mapping[str, Any]:
        return mapping(self.document.get("config"))

    @property
    def settings(self) -> Mapping[str, Any]:
        """The config's section `curriculum`."""
        return mapping(self.config.get("curriculum"))

    @property
    def curriculum(self) -> Mapping[str, Any]:
        """Name and stages of its plan."""
        return mapping(self.document.get("curriculum"))

    @cached_property
    def rule(self) -> Plateau:
        """The plateau rule; of a config that is not understood the default one."""
        try:
            return parse(Plateau, mapping(self.settings.get("plateau")), "plateau")
        except BadInput:
            return Plateau()

    @property
    def step(self) -> int:
        """The newest global step on record."""
        ends = [_end_of(record) or 0 for record in self.records]
        return max([row.step for row in self.rows[-1:]] + ends, default=0)

    @property
    def tokens(self) -> int:
        """Tokens trained on, those of stages that were given up included."""
        rows = [int(count) for row in self.rows[-1:] if (count := row["tokens_total"]) is not None]
        return max([*rows, sum(int(record.get("tokens") or 0) for record in self.records)])

    @property
    def hours(self) -> float | None:
        """Hours of training, over all processes."""
        times = (row["elapsed_hours"] for row in reversed(self.rows))
        return next((hours for hours in times if hours is not None), None)

    @property
    def flops(self) -> float | None:
        """Floating-point operations of training; None where the model is not on record."""
        try:
            model = parse(ModelConfig, mapping(self.document.get("model")), "model")
            return self.tokens * training_flops_per_token(model, int(self.settings["seq_len"]))
        except (BadInput, KeyError, TypeError, ValueError):
            return None

    @property
    def final_loss(self) -> tuple[float, str] | None:
        """The newest held-out loss and on what it was measured, nats per token; None before the first."""
        loss = numbers_of(self.final.get("mixed")).get(str(self.final.get("weights")))
        if loss is not None:
            return loss, "on the last stage's mix"
        losses = ((row["heldout_loss"], row.stage) for row in reversed(self.rows))
        return next(((loss, f"on the mix of {stage}") for loss, stage in losses if loss is not None), None)

    @cached_property
    def stages(self) -> list[StageRecord]:
        """All stages: those that are over, the present one, and those to come."""
        stages = list(self._stages_over())
        stages += self._stages_of_rows([row for row in self.rows if row.step > (stages[-1].last if stages else 0)])
        done = {stage.number for stage in stages if stage.state in ("over", "present")}
        for number, plan in self._plans.items():
            if number in done or number <= int(self.document.get("first_stage") or 0):
                continue
            name, place = str(plan.get("name", "")), len(stages)
            is_passed = self.is_finished or number < max(done, default=0)
            if is_passed:
                place = next((at for at, stage in enumerate(stages) if stage.number > number), place)
            at = stages[place - 1].last if place else 0
            stages.insert(place, self._stage(number, name, "no time" if is_passed else "to come", at, at))
        return stages

    @cached_property
    def _plans(self) -> dict[int, Mapping[str, Any]]:
        """The planned stages by their numbers."""
        stages = self.curriculum.get("stages")
        return {n: mapping(stage) for n, stage in enumerate(stages if isinstance(stages, list) else [], start=1)}

    def _stages_over(self) -> Iterator[StageRecord]:
        first = 0
        for record in self.records:
            last = _end_of(record) or first + int(record.get("steps") or 0)
            reason = str(record.get("reason") or "")
            state: State = "abandoned" if record.get("abandoned") else "left" if reason == "left" else "over"
            number, name = int(record.get("number") or 0), str(record.get("stage") or "")
            rows = [row for row in self.rows if first < row.step <= last]
            yield self._stage(number, name, state, first, last, rows, record)
            first = max(first, last)

    def _stages_of_rows(self, rows: Sequence[Row]) -> Iterator[StageRecord]:
        """Stages that no record tells of: the present one, or all of a run that has lost its stages.json."""
        parts = [(name, list(part)) for name, part in groupby(rows, key=lambda row: row.stage)]
        first = rows[0].step - 1 if rows else 0
        for name, part in parts:
            number = next((n for n, plan in self._plans.items() if plan.get("name") == name), 0)
            is_over = self.is_finished or part is not parts[-1][1]
            yield self._stage(number, name, "over" if is_over else "present", first, part[-1].step, part)
            first = part[-1].step

    def _stage(
        self,
        number: int,
        name: str,
        state: State,
        first: int,
        last: int,
        rows: Sequence[Row] = (),
        facts: Mapping[str, Any] = MappingProxyType({}),
    ) -> StageRecord:
        reason, step_tokens = str(facts.get("reason") or ""), self._tokens_of_a_step
        return StageRecord(
            number=number,
            name=name,
            state=state,
            first=first,
            last=max(first, last),
            tokens=int(facts.get("tokens") or max(last - first, 0) * step_tokens),
            ending=short_ending(reason, self.rule) if reason else "",
            ended=str(facts.get("ended") or (ending_words(reason, self.rule) if reason else "")),
            reason=reason,
            hours=self._hours_of(rows),
            plan=self._plans.get(number, {}),
            facts=facts,
            rows=rows,
        )

    def _hours_of(self, rows: Sequence[Row]) -> float | None:
        """Hours up to the last of a stage's rows, from the last row before them on."""
        ends = [hours for row in rows if (hours := row["elapsed_hours"]) is not None]
        before = (row["elapsed_hours"] for row in reversed(self.rows) if row.step < rows[0].step) if ends else iter(())
        return ends[-1] - next((hours for hours in before if hours is not None), 0.0) if ends else None

    @property
    def _tokens_of_a_step(self) -> int:
        return int(self.settings.get("batch_size") or 0) * int(self.settings.get("seq_len") or 0)


def _end_of(record: Mapping[str, Any]) -> int | None:
    """The global step of a stage's end, as its checkpoint is called; None where it is not on record."""
    number = str(record.get("checkpoint") or "").rpartition("step_")[2]
    return int(number) if number.isdecimal() else None


# -- reading


def read_run(folder: Path) -> RunRecord:
    """The record of the run in a folder. Raises BadInput where config.json is missing or broken."""
    document = read_json(folder / "config.json")
    if not isinstance(document, dict):
        raise BadInput(f"{folder / 'config.json'} is broken: it holds no object; restore it, or name another run")
    stages = json_object(folder / "stages.json")
    records = stages.get("stages")
    return RunRecord(
        folder=folder.resolve(),
        document=document,
        records=[record for record in records if isinstance(record, dict)] if isinstance(records, list) else [],
        final=mapping(stages.get("final")),
        rows=metric_rows(folder / "metrics.csv"),
        samples=json_lines(folder / "samples.jsonl"),
        resumes=json_lines(folder / "resume.jsonl"),
        skills=json_object(folder / "skills.json"),
        log=text_lines(folder / "run.log"),
        card=read_card(folder),
        is_finished=(folder / "final").is_dir() or bool(stages.get("final")),
    )
