"""First screen of a curriculum's report: one sentence, the stages, what it cost, how to go on; its line in the index.

In: a RunRecord. Out: strings and parts of hamner/reports/parts.py. Pure: nothing is read or drawn here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from curriculum.endings import FINE_LIMIT, limit, percent
from curriculum.report_charts import measured
from curriculum.report_commands import way_on
from curriculum.run_record import RunRecord, StageRecord
from hamner.reports.charts import scientific
from hamner.reports.parts import Commands, Fact, Facts, Part, Summary, Tone
from hamner.runs.durations import duration_text
from hamner.runs.read_back import mapping, numbers_of

ENDINGS = {  # of several stages together: what follows "ended"
    "cap": "at the cap of steps",
    "steps": "at a fixed length",
    "data": "with their text",
    "time": "with their part of the hours",
    "worse": "because the loss rose",
}
STATES = {"left": "left unfinished", "abandoned": "given up on a resume", "no time": "left out for lack of time"}
HELP = {"cap": "more steps (max_steps) would help", "data": "more text would help"}
TONES: dict[str, Tone] = {"plateau": "good", "worse": "bad", "cap": "warn", "data": "warn"}


def first_screen(run: RunRecord) -> list[Part]:
    """The strip of stages, the cost, the next command."""
    strip = Facts([_strip_box(stage) for stage in run.stages], look="strip")
    return [strip, Facts(list(_answers(run))), Commands([way_on(run)])]


def summary(run: RunRecord) -> Summary:
    """What the index of all runs says of it."""
    loss = run.final_loss
    costs = [duration_text(3600 * run.hours)] if run.hours is not None else []
    costs += [f"{run.tokens:,} tokens", *([f"{scientific(run.flops)} FLOPs"] if run.flops else [])]
    return Summary(
        result=_progress(run) + (f"; held-out loss {loss[0]:.3f}" if loss else ""),
        verdict=_forgotten_words(run),
        cost=", ".join(costs),
        tone="" if run.is_finished else "warn",
    )


def lead(run: RunRecord) -> str:
    """The sentence of the first screen: what was trained, why its stages ended, the loss, what was forgotten."""
    if not run.rows and not run.records:
        return f"{run.model_name}: no step is trained yet."
    endings = _endings(run)
    loss, forgotten = run.final_loss, _forgotten_words(run)
    parts = [_progress(run) + (f": {endings}" if endings else "")]
    parts += [f"held-out loss {loss[0]:.3f}"] if loss else []
    return "; ".join([*parts, *([forgotten] if forgotten else [])]) + "."


def _progress(run: RunRecord) -> str:
    """Who was trained, through how many stages of what."""
    like = run.curriculum.get("like")
    name = str(run.curriculum.get("name") or "its curriculum") + (f", the tokens of {like}" if like else "")
    over = [stage for stage in run.stages if stage.state == "over"]
    count = f"{len(over)} stage{'s' * (len(over) != 1)}"
    if run.is_finished:
        return f"{run.model_name} was trained through {count} ({name})"
    present = next((stage for stage in run.stages if stage.state == "present"), None)
    total = len({stage.number for stage in run.stages})
    where = f", and stands at step {present.steps:,} of {present.label}" if present else ""
    return f"Not finished: {run.model_name} has {len(over)} of {total} stages ({name}) behind it{where}"


def _endings(run: RunRecord) -> str:
    """How many stages ended why: `4 ended at the limit of 3 % a window, 4 at the cap of steps`."""
    bound = limit(run.rule)
    plateau = "on a plateau" if bound <= FINE_LIMIT else f"at the limit of {percent(bound)} a window"
    words = ENDINGS | {"plateau": plateau}
    ended = [stage for stage in run.stages if stage.state == "over" and stage.reason]
    over = Counter(words.get(stage.reason, stage.ended) for stage in ended)
    other = Counter(STATES[stage.state] for stage in run.stages if stage.state in STATES)
    counted = [f"{count}{' ended' * (place == 0)} {ending}" for place, (ending, count) in enumerate(over.most_common())]
    return ", ".join([*counted, *(f"{count} {state}" for state, count in other.items())])


def _forgotten_words(run: RunRecord) -> str:
    """What the newest weights do worse than the best earlier ones."""
    if len(measured(run)) < 2:
        return ""
    sources = list(mapping(measured(run)[-1].facts.get("forgotten")))
    skills = [str(drop["skill"]) for drop in newest_drops(run) if drop.get("kind") == "exact match"]
    named = sources + [f"the skill {name}" for name in skills[:3]] + ([f"{len(skills) - 3} more"] if skills[3:] else [])
    return f"forgotten: {', '.join(named) or 'nothing'}"


def _strip_box(stage: StageRecord) -> Fact:
    """A stage in the strip: its name, why it ended, how long it was."""
    value = stage.ending or "over"
    if stage.state in ("present", "to come", "no time", "abandoned"):
        value = {"present": "in training", "abandoned": "given up"}.get(stage.state, stage.state)
    note = f"{stage.steps:,} steps" if stage.state not in ("to come", "no time") else ""
    tone: Tone = TONES.get(stage.reason, "") if stage.state == "over" else "soft"
    return Fact(stage.label, value, note, tone)


def _answers(run: RunRecord) -> Iterator[Fact]:
    """How it came out, how sure that is, what it cost, what went wrong; how well a deadline was kept."""
    loss = run.final_loss
    if loss:
        yield Fact("How it came out", f"{loss[0]:.3f}", f"nats per token held out, {loss[1]}; lower is better")
        yield Fact("How sure", "one run", "of one seed; a control tells what the order brought: --curriculum joint")
    yield _cost(run)
    yield _trouble(run)
    deadline, ended = mapping(run.document.get("deadline")), mapping(run.final.get("deadline"))
    if deadline:
        missed = ended.get("missed_by")
        note = f"finished {abs(missed):.1%} of the hours {'late' if missed > 0 else 'early'}" if missed else ""
        yield Fact("Deadline", minute(deadline.get("ends_at")), note)


def _cost(run: RunRecord) -> Fact:
    read = sum(count for name, count in rows_read(run).items()) * int(run.settings.get("seq_len") or 0)
    notes = [
        f"{run.tokens:,} tokens" + ("" if read in (0, run.tokens) else f", {read:,} of them in stages that are over")
    ]
    notes += [f"{scientific(run.flops)} FLOPs of training"] if run.flops else []
    time = "not known yet" if run.hours is None else duration_text(3600 * run.hours)
    return Fact("What it cost", time, "; ".join(notes))


def _trouble(run: RunRecord) -> Fact:
    """Stages that ended before a plateau, though they should not, and interruptions."""
    over = [stage for stage in run.stages if stage.state == "over"]
    counts = Counter(stage.reason for stage in over if TONES.get(stage.reason) in ("bad", "warn"))
    starts = len(run.resumes)
    notes = [HELP[reason] for reason in HELP if counts[reason]]
    notes += [f"{starts} interruption{'s' * (starts != 1)}"]
    value = f"{counts.total()} of {len(over)} stages ended before a plateau" if counts else "nothing"
    return Fact("What went wrong", value, "; ".join(notes), "warn" if counts else "")


def rows_read(run: RunRecord) -> dict[str, int]:
    """Rows that all stages read of each source."""
    rows: Counter[str] = Counter()
    for record in run.records:
        rows.update({name: int(count) for name, count in numbers_of(record.get("rows")).items()})
    return dict(rows)


def ending_text(stage: StageRecord) -> str:
    """How a stage ended, or how it stands: the words of a column `ended`."""
    if stage.state in ("present", "to come"):
        return "in training" if stage.state == "present" else "to come"
    if stage.state == "abandoned":
        return f"{STATES['abandoned']}; before {stage.ended}" if stage.ended else STATES["abandoned"]
    return stage.ended or STATES.get(stage.state, "over")


def newest_drops(run: RunRecord) -> list[Mapping[str, Any]]:
    """What the newest stage does worse, of skills.json."""
    drops = run.skills.get("drops")
    return [mapping(drop) for drop in drops[-1]] if isinstance(drops, list) and drops else []


def minute(time: Any) -> str:
    """A time of config.json to the minute."""
    return str(time or "—")[:16].replace("T", " ")
