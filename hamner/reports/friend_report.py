"""Report of a fine-tuning: what it learnt, the friend card, and conversations of a fixed list, not chosen.

In: the files of results/sft/RUN, and the friend card where `hamner evaluate` has written one. Out: a Report, or its
files in the run's folder. Nothing here measures or loads a model.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.config.cost import training_flops_per_token
from hamner.config.errors import BadInput
from hamner.config.load import parse
from hamner.config.schema import ModelConfig
from hamner.reports.charts import scientific
from hamner.reports.finetuning_charts import finetuning_charts
from hamner.reports.finetuning_tables import REPLIES, TEXT, forgotten_text, replies_rows, text_rows
from hamner.reports.friend_sections import card_sections, card_words, read_card
from hamner.reports.parts import Commands, DataTable, Fact, Facts, Items, Paragraph, Part, Report, Section, Summary
from hamner.reports.report_files import write_report
from hamner.reports.settings_table import settings_table
from hamner.runs.durations import duration_text
from hamner.runs.files import read_json_as, reading
from hamner.runs.folders import results_words, resume_command, typed_path
from hamner.runs.read_back import Row, json_lines, json_object, mapping, metric_rows, numbers_of
from hamner.runs.tables import Column

KIND = "sft"  # folder of such runs in the results folder
SECTIONS_OF_CONFIG = ("seed", "lr_scale", "size", "data", "optimizer", "compute", "finetuning")  # that a run reads


@dataclass(frozen=True)
class FriendRun:
    """What the folder of a fine-tuning says."""

    folder: Path
    document: Mapping[str, Any]  # config.json
    result: Mapping[str, Any]  # finetuning.json; empty until it is finished
    rows: Sequence[Row]
    resumes: Sequence[Mapping[str, Any]]
    card: Mapping[str, Any]  # friend_card.json; empty where it was not measured

    @property
    def config(self) -> Mapping[str, Any]:
        return mapping(self.document.get("config"))

    @property
    def base(self) -> str:
        """The name of the run that it began with."""
        place = Path(str(mapping(self.document.get("base")).get("checkpoint") or ""))
        return place.parent.name if place.name == "final" else place.parents[1].name if place.parts[2:] else "a model"

    @property
    def step(self) -> int:
        return int(self.result.get("steps") or (self.rows[-1].step if self.rows else 0))

    @property
    def tokens(self) -> int:
        return int(self.result.get("tokens") or (self.rows[-1]["tokens_total"] if self.rows else 0) or 0)

    @property
    def seconds(self) -> float | None:
        return self.result.get("seconds") or (self.rows[-1]["elapsed_seconds"] if self.rows else None)

    @property
    def flops(self) -> float | None:
        """Floating-point operations of training; None where the model is not on record."""
        own, stages = (numbers_of(self.config.get(name)) for name in ("finetuning", "curriculum"))
        try:
            model = parse(ModelConfig, mapping(self.document.get("model")), "model")
            seq_len = own.get("seq_len") or stages["seq_len"]
            return self.tokens * training_flops_per_token(model, int(seq_len))
        except (BadInput, KeyError):
            return None


def read_friend(folder: Path) -> FriendRun:
    """What the folder of a fine-tuning says. Raises BadInput where config.json is missing or broken."""
    return FriendRun(
        folder=folder.resolve(),
        document=read_json_as(folder / "config.json", dict),
        result=json_object(folder / "finetuning.json"),
        rows=metric_rows(folder),
        resumes=json_lines(folder / "resume.jsonl"),
        card=read_card(folder),
    )


def write_friend_report(folder: Path) -> Path:
    """Write the report of a fine-tuning; returns the path of its page. Raises BadInput where there is no run."""
    with reading(folder):
        run = read_friend(folder)
        return write_report(folder, friend_report(run), summary(run))


def friend_report(run: FriendRun) -> Report:
    """The report of a fine-tuning, finished or not, measured or not."""
    sections = [
        *card_sections(run.card, _command(run, "evaluate")),
        Section("What it learnt", list(_learning(run))),
        Section("What it read", list(_reading(run))),
        Section("Interruptions", [Items(_interruptions(run))] if run.resumes else [Paragraph("None.")]),
        Section("Settings that differ from the default", [settings_table(run.config, SECTIONS_OF_CONFIG)]),
        Section("Commands", [Commands(list(_commands(run)))]),
    ]
    return Report(
        kind=KIND,
        title=f"Friend {run.folder.name}",
        lead=lead(run),
        parts=[Facts(list(_facts(run)))],
        sections=[section for section in sections if section.parts],
        tone="" if run.result else "warn",
        back="../../index.html",
        footer=[f"From the files of the run alone, as they were at step {run.step:,}."],
    )


# -- the first screen


def lead(run: FriendRun) -> str:
    """What was learnt, what was forgotten, what the card says."""
    if not run.result:
        return f"Not finished: {run.base} is learning to reply, and stands at step {run.step:,}."
    losses = [numbers_of(run.result.get(side)).get("word_loss") for side in ("before", "after")]
    parts = [f"{run.base} learnt to reply in {run.step:,} steps"]
    if None not in losses:
        parts.append(f"its held-out replies went from {losses[0]:.3f} to {losses[1]:.3f} nats a token")
    lost = _forgotten(run)
    parts += [f"forgotten: {', '.join(lost) or 'nothing'}"] if lost is not None else []
    return "; ".join([*parts, card_words(run.card)]) + "."


def _forgotten(run: FriendRun) -> list[str] | None:
    """Sources of the base's text that it forgot; None where they were not measured."""
    try:
        return forgotten_text(run.result) if run.result["before"]["measured"] else None
    except (KeyError, TypeError, ValueError):
        return None


def _facts(run: FriendRun) -> Iterator[Fact]:
    yield Fact("base", run.base, "the run that it began with")
    if run.seconds:
        count = len(run.resumes)
        yield Fact("time", duration_text(run.seconds), f"{count} interruption{'s' * (count != 1)}")
    planned = numbers_of(run.result).get("planned_steps")
    yield Fact("tokens", f"{run.tokens:,}", f"in {run.step:,} of {planned:,.0f} steps" if planned else "")
    if run.flops:
        yield Fact("arithmetic", f"{scientific(run.flops)} FLOPs", "forward and backward of training")
    if run.result:
        best = f"final/ has the weights of step {run.result.get('best_step', 0):,}"
        yield Fact("ended", str(run.result.get("ended", "—")), best)


def summary(run: FriendRun) -> Summary:
    """What the index of all runs says of it."""
    facts = {fact.name: fact.value for fact in _facts(run)}
    result, _, verdict = lead(run).removesuffix(".").partition("; ")
    units = {"time": "", "tokens": " tokens", "arithmetic": ""}
    cost = ", ".join(facts[name] + unit for name, unit in units.items() if name in facts)
    return Summary(result, verdict, cost, "" if run.result else "warn")


# -- below


def _learning(run: FriendRun) -> Iterator[Part]:
    """Curves of the loss, and what became of held-out replies and of the base's own text."""
    yield from finetuning_charts(run.rows, mapping(run.result.get("before")))
    tables = (
        (REPLIES, replies_rows, "held-out replies, nats a token"),
        (TEXT, text_rows, "the base's own text, nats a token: what rose beyond its error is forgotten"),
    )
    for headings, rows_of, caption in tables:
        try:
            rows = rows_of(run.result)
        except (KeyError, TypeError, ValueError, ZeroDivisionError):  # not finished, or of an older version
            continue
        columns = [Column(heading, justify="left" if heading == "source" else "right") for heading in headings]
        yield DataTable(columns, rows, caption)


def _reading(run: FriendRun) -> Iterator[Part]:
    """The mix, and where its conversations came from."""
    mix = numbers_of(run.result.get("mix")) or numbers_of(run.document.get("shares"))
    sources = mapping(mapping(run.result.get("conversations")).get("sources"))
    rows = [[name, f"{share:.1%}", *_conversation_cells(mapping(sources.get(name)))] for name, share in mix.items()]
    words = ("source", "origin", "license")
    headings = ("source", "share of the rows", "conversations", "held out", "origin", "license")
    columns = [Column(name, justify="left" if name in words else "right") for name in headings]
    if rows:
        yield DataTable(columns, rows, notes=["without conversations: the base's own text, against forgetting"])


def _conversation_cells(facts: Mapping[str, Any]) -> list[str]:
    counts = numbers_of(facts)
    numbers = (f"{counts[key]:,.0f}" if key in counts else "—" for key in ("conversations", "heldout"))
    return [*numbers, str(facts.get("origin", "—")), str(facts.get("license", "—"))]


def _interruptions(run: FriendRun) -> list[str]:
    return [
        f"resumed at step {line.get('step_found', 0):,}, {line.get('steps_redone', 0):,} steps done again"
        for line in run.resumes
    ]


def _commands(run: FriendRun) -> Iterator[tuple[str, str]]:
    """Each command with what it does."""
    if not run.result:
        yield resume_command("hamner sft", run.folder), "continue it"
    base = str(mapping(run.document.get("base")).get("checkpoint") or run.document.get("who") or run.base)
    config, again = typed_path(run.folder / "config.json"), f"{run.folder.name}-again"
    words = [
        "hamner",
        "sft",
        typed_path(Path(base)),
        "--config",
        config,
        "--name",
        again,
        *results_words(run.folder.parents[1]),
    ]
    yield shlex.join(words), "train the same once more"
    verbs = {"evaluate": "measure it", "chat": "talk to it", "serve": "talk to it on a page"}
    for verb, what in (verbs | {"report": "write this page again"}).items():
        yield _command(run, verb), what


def _command(run: FriendRun, verb: str) -> str:
    return shlex.join(["hamner", verb, run.folder.name, *results_words(run.folder.parents[1])])
