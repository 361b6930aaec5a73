"""Sections of a curriculum's report: the one sentence, the strip of stages, the cost, and what stands below.

In: a RunRecord. Out: a Report of hamner/reports/parts.py, and its line in the index of all runs. Pure: nothing is read
or drawn here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from curriculum.report_charts import epochs_chart, loss_charts, points, speed_charts
from curriculum.report_commands import command_lines
from curriculum.report_evidence import forgotten_parts, plateau_parts
from curriculum.report_lead import TONES, ending_text, first_screen, lead, minute, rows_read
from curriculum.run_record import RunRecord, StageRecord
from hamner.reports.friend_sections import card_sections
from hamner.reports.parts import Cell, Commands, DataTable, Fact, Facts, Fold, Items, Paragraph, Part, Report, Section
from hamner.reports.settings_table import settings_table
from hamner.reports.skills_table import skills_tables
from hamner.reports.visible_text import visible
from hamner.runs.durations import duration_text
from hamner.runs.read_back import mapping, numbers_of
from hamner.runs.tables import Column

SECTIONS_OF_CONFIG = ("seed", "lr_scale", "size", "data", "optimizer", "compute", "curriculum")  # that a run reads
NOTES = ("forgot: sources whose loss is up beyond its error since their best stage", "skills: above chance, by choice")
MOST_LINES = 200  # of interruptions and the like


def curriculum_report(run: RunRecord) -> Report:
    """The report of a run, finished or not."""
    sections = [
        Section("The stages", [_stages_table(run)]),
        Section("Loss", list(loss_charts(run))),
        Section("Skills", skills_tables(run.skills)),
        Section("Samples as they grew", list(_samples(run))),
        Section("What it read", list(_reading(run))),
        Section("Why the stages ended", list(plateau_parts(run))),
        Section("What was forgotten", list(forgotten_parts(run))),
        Section("Learning rate and speed", list(_speed(run))),
        *(card_sections(run.card, "") if run.card else []),
        Section("Interruptions and changes", list(_interruptions(run))),
        Section("Settings that differ from the default", [settings_table(run.config, SECTIONS_OF_CONFIG)]),
        Section("Commands", [Commands(list(command_lines(run)))]),
    ]
    return Report(
        kind="curriculum",
        title=f"Curriculum {run.name}",
        lead=lead(run),
        parts=first_screen(run),
        sections=[section for section in sections if section.parts],
        tone="" if run.is_finished else "warn",
        back="../../index.html",
        footer=[f"From the files of the run alone, as they were at step {run.step:,}."],
    )


def _stages_table(run: RunRecord) -> DataTable:
    """One row a stage: its length, how it ended, what left its mix, what it forgot, its skills."""
    rows: list[list[str | Cell]] = [
        [
            stage.label,
            f"{stage.steps:,}" if stage.steps else "—",
            f"{stage.tokens:,}" if stage.tokens else "—",
            "—" if stage.hours is None else duration_text(3600 * stage.hours),
            Cell(ending_text(stage), TONES.get(stage.reason, "") if stage.state == "over" else "soft"),
            _mix_text(mapping(stage.plan.get("mix"))),
            ", ".join(f"{left.get('source')} at {left.get('stage_step', 0):,}" for left in _left_out(stage)) or "—",
            ", ".join(mapping(stage.facts.get("forgotten"))) or "—",
            str(stage.facts.get("skills_above_chance", "—")),
        ]
        for stage in run.stages
    ]
    columns = (
        Column("stage", justify="left"),
        Column("steps"),
        Column("tokens"),
        Column("time"),
        Column("ended", justify="left"),
        Column("mix asked for", justify="left"),
        Column("left the mix", justify="left"),
        Column("forgot", justify="left"),
        Column("skills"),
    )
    return DataTable(columns, rows, "", NOTES, look="roomy")


def _mix_text(mix: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in numbers_of(mix).items()) or "—"


def _left_out(stage: StageRecord) -> list[Mapping[str, Any]]:
    left = stage.facts.get("left_out")
    return [mapping(item) for item in left] if isinstance(left, list) else []


def _samples(run: RunRecord) -> Iterator[Part]:
    """What the model makes of each prompt at each stage's end; the first ones open."""
    texts: dict[str, dict[str, tuple[int, str]]] = {}
    for line in run.samples:
        for prompt, text in mapping(line.get("samples")).items():
            texts.setdefault(str(prompt), {})[str(line.get("stage", ""))] = (int(line.get("step") or 0), str(text))
    columns = (Column("stage", justify="left"), Column("step"), Column("what it makes of it", justify="left"))
    for place, (prompt, of_stages) in enumerate(texts.items()):
        rows = [[stage, f"{step:,}", visible(text)] for stage, (step, text) in of_stages.items()]
        table = DataTable(columns, rows, f"“{visible(prompt)}”", look="texts")
        yield table if place < 2 else Fold(f"“{visible(prompt)}”", [table])


def _reading(run: RunRecord) -> Iterator[Part]:
    """Epochs and tokens of each source."""
    yield from epochs_chart(run)
    of_sources, length = rows_read(run), int(run.settings.get("seq_len") or 0)
    stages = [stage for stage in run.stages if stage.facts]
    if not of_sources:
        return
    epochs = [numbers_of(stage.facts.get("epochs")) for stage in stages]
    rows = [
        [name, f"{count * length:,}", *(f"{of_stage[name]:.2f}" if name in of_stage else "—" for of_stage in epochs)]
        for name, count in of_sources.items()
    ]
    columns = (Column("source", justify="left"), Column("tokens"), *(Column(stage.label) for stage in stages))
    yield DataTable(columns, rows, "epochs of each source after each stage; synthetic text is never read twice")
    lines = [
        f"{left.get('source')} left the mix of {stage.label} at its step {left.get('stage_step', 0):,}"
        for stage in stages
        for left in _left_out(stage)
    ]
    if lines:
        yield Items(lines)


def _speed(run: RunRecord) -> Iterator[Part]:
    """Rate and speed over the run; memory, waiting and skipped steps."""
    yield from speed_charts(run)
    facts = []
    for column, name, form in (("mfu", "of the machine's peak", "{:.1%}"), ("data_wait", "waiting for text", "{:.1%}")):
        values = sorted(value for _, value in points(run.rows, column))
        if values:
            facts.append(Fact(name, form.format(values[len(values) // 2]), "median of the rows"))
    peaks = [value for _, value in points(run.rows, "peak_gib")]
    if peaks:
        facts.append(Fact("memory", f"{max(peaks):.2f} GiB", "peak of the process, or of the card"))
    skipped = run.rows[-1]["skipped_steps"] if run.rows else None
    if skipped:
        facts.append(Fact("skipped steps", f"{skipped:,.0f}", "not finite: they changed nothing", "warn"))
    if facts:
        yield Facts(facts)


def _interruptions(run: RunRecord) -> Iterator[Part]:
    """Stops and kills, what resumes did and changed, what run.log said last."""
    lines = [
        f"resumed at step {line.get('step_found', 0):,}, {line.get('steps_redone', 0):,} steps done again"
        + (f" ({_clock(line.get('time'))})" if line.get("time") else "")
        for line in run.resumes
    ]
    lines += [_intervention_words(request) for request in _entries(run, "interventions")]
    lines += [
        f"{change.get('key')} was {_plain(change.get('before'))} until step {change.get('step', 0):,}, then "
        f"{_plain(change.get('now'))}"
        for change in _entries(run, "changes")
    ]
    if lines:
        yield Items(lines[:MOST_LINES])
    else:
        yield Paragraph("None.")
    last = next((line for line in reversed(run.log) if line.strip()), "")
    if last and not run.is_finished:
        yield Paragraph(f"run.log ends: {visible(last)}", "warn")


def _entries(run: RunRecord, key: str) -> Sequence[Mapping[str, Any]]:
    entries = run.document.get(key)
    return [mapping(entry) for entry in entries] if isinstance(entries, list) else []


def _intervention_words(request: Mapping[str, Any]) -> str:
    """What a resume did beside continuing."""
    parts = []
    stage, batches, scale = (request.get(key) for key in ("stage", "skip_batches", "learning_rate_scale"))
    if isinstance(stage, int):
        kept = "the newest weights" if request.get("keep_weights") else "the weights of the end of the stage before"
        parts.append(f"back to stage {stage + 1} with {kept}")
    parts += [f"{batches:,} batches passed over"] if batches else []
    parts += [f"the learning rate times {scale:g}"] if isinstance(scale, int | float) and scale != 1 else []
    return f"at step {request.get('step', 0):,}: {', '.join(parts) or 'nothing'}"


def _plain(value: Any) -> str:
    """A value of the config as it is read; of a deadline when it ends."""
    return minute(value.get("ends_at")) if isinstance(value, dict) else str(value)


def _clock(seconds: Any) -> str:
    try:
        return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (TypeError, ValueError, OverflowError, OSError):
        return "—"
