"""Command lines of a curriculum's report: those that reproduce the run, continue it, and talk to it.

In: a RunRecord. Out: pairs of a command and what it does. Nothing is run.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from curriculum.curricula import leave_out
from curriculum.deadline import Deadline
from curriculum.run_record import RunRecord
from curriculum.stages import CURRICULA, DEFAULT, StagePlan
from hamner.config.errors import BadInput
from hamner.config.load import parse
from hamner.runs.folders import results_words, resume_command, typed_path
from hamner.runs.read_back import mapping

AGAIN = "-again"  # of the name of a run that is the same once more


def way_on(run: RunRecord) -> tuple[str, str]:
    """The next command of a run, and what it does."""
    if not run.is_finished:
        return _continue(run), "How to go on, if it does not run any more"
    words = ["hamner", "sft", run.name, *results_words(run.folder.parents[1])]
    return shlex.join(words), "How to go on: fine-tune it into a friend (to talk to it as it is: hamner chat)"


def _continue(run: RunRecord) -> str:
    return resume_command(f"curriculum run {shlex.quote(_who(run))}", run.folder)


def command_lines(run: RunRecord) -> Iterator[tuple[str, str]]:
    """Each command with what it does."""
    name, place = shlex.quote(run.name), results_words(run.folder.parents[1])
    if not run.is_finished:
        yield _continue(run), "continue it"
    again = ["--name", run.name + AGAIN, *place]
    yield shlex.join(["curriculum", "run", *_words(run), *again]), "train the same once more"
    for words, step in _resumes(run):
        command = ["curriculum", "run", _who(run), "--resume", *again, *words]
        yield shlex.join(command), f"as it was resumed at step {step:,}"
    rest = f" {shlex.join(place)}" if place else ""
    if run.is_finished:
        yield f"hamner chat {name}{rest}", "talk to it"
    like = run.curriculum.get("like")
    if like and run.is_finished:
        yield f"curriculum compare {shlex.quote(str(like))} {name}{rest}", "set it beside its run"
    yield f"curriculum report {name}{rest}", "write this page again"


def _who(run: RunRecord) -> str:
    return str(run.document.get("who") or run.model_name)


def _words(run: RunRecord) -> list[str]:
    """What was typed behind `curriculum run`, as far as config.json tells."""
    document, words = run.document, [] if run.curriculum.get("like") else [_who(run)]
    if _who(run) == "winner" and not run.curriculum.get("like"):
        tokenizer = mapping(document.get("tokenizer")).get("path")
        words += ["--tournament", Path(tokenizer).parent.name] if tokenizer else []
    words += ["--config", typed_path(run.folder / "config.json"), *_curriculum_words(run)]
    if document.get("from") and not run.curriculum.get("like"):
        words += ["--from", str(document["from"])]
    if document.get("first_stage"):
        words += ["--stage", str(int(document["first_stage"]) + 1)]
    return [*words, *_hours_words(run)]


def _curriculum_words(run: RunRecord) -> list[str]:
    """The options that name its stages. Of stages of one's own the file is named as they are."""
    name, like = str(run.curriculum.get("name") or DEFAULT), run.curriculum.get("like")
    if like:
        return ["--curriculum", name, "--like", str(like)]
    base, *without = name.split("-without-")
    words = ["--curriculum", base] if base != DEFAULT else []
    words += [word for source in without for word in ("--without", source)]
    try:
        if base in CURRICULA and leave_out(CURRICULA[base], without) == parse(StagePlan, run.curriculum, "stages"):
            return words
    except BadInput:
        pass
    return ["--curriculum", f"{base}.toml", *words[2:]]


def _hours_words(run: RunRecord) -> list[str]:
    try:
        deadline = Deadline.from_facts(mapping(run.document.get("deadline")))
    except (KeyError, TypeError, ValueError):
        return []
    return ["--hours", f"{deadline.seconds / 3600:.4g}"] if deadline else []


def _resumes(run: RunRecord) -> Iterator[tuple[list[str], int]]:
    """Options of the resumes that changed its course, and the step each came at."""
    requests = run.document.get("interventions")
    for request in map(mapping, requests if isinstance(requests, list) else []):
        stage, batches = request.get("stage"), request.get("skip_batches")
        scale = request.get("learning_rate_scale")
        words = ["--stage", str(stage + 1)] if isinstance(stage, int) else []
        words += ["--keep-weights"] if request.get("keep_weights") else []
        words += ["--skip-batches", str(batches)] if batches else []
        words += ["--learning-rate-scale", f"{scale:g}"] if isinstance(scale, int | float) and scale != 1 else []
        yield words, int(request.get("step") or 0)
