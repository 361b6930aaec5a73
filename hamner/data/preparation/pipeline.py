"""Data pipeline: survey every part, decide what is kept, write shards, close with a manifest.

Data in: a plan. Data out: the prepared folder. Each step continues from where an earlier process left it.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.formats import OtherFormat
from hamner.data.preparation.decide import decide
from hamner.data.preparation.dispositions import dispositions_sha256
from hamner.data.preparation.manifest import write_manifest
from hamner.data.preparation.part import Advance, Part, Runner, builtin_text
from hamner.data.preparation.plan import DECIDED, STAGED, Plan, PrintLine
from hamner.data.preparation.store import UNFINISHED, Store
from hamner.data.preparation.survey import survey_part
from hamner.data.preparation.write_shards import write_part
from hamner.data.tokenizer import FILE, Tokenizer
from hamner.runs.waiting import never_silent

PROBLEMS = ".problems.json"  # ending of a file with what is wrong with a part
SURVEY, WRITE = "reading", "tokenising"  # the steps that work on parts, as the progress bar names them


def run(plan: Plan, tokenizer: Tokenizer | None, runner: Runner, say: PrintLine) -> dict[str, Any]:
    """Prepare what is planned; returns the manifest. Raises BadInput.

    tokenizer: None to train one. runner: does the work on the parts, here or on a cluster.
    """
    plan.store.remove_temporary_files()
    decided = _decided(plan, say)
    if decided is None:
        _survey(plan, runner)
        with never_silent("choosing what is kept", say, in_place=False) as say_own:
            sources = decide(plan, tokenizer, say_own)
        decided = {"sources": sources, "sha256": _sums(plan)}
        plan.store.write_json(DECIDED, decided)  # after the dispositions and the tokenizer
    runner(WRITE, partial(write_part, plan), plan.written_parts)
    manifest = write_manifest(plan, decided["sources"])
    remove_leftovers(plan.store)
    builtin_text.cache_clear()
    return manifest


def _decided(plan: Plan, say: PrintLine) -> dict[str, Any] | None:
    """What an earlier process has decided; None where nothing is, or where what is stored of it is damaged."""
    try:
        decided: dict[str, Any] | None = plan.store.read_json(DECIDED)
    except OtherFormat:
        raise
    except BadInput:
        decided = {"sha256": {}}
    if decided is None or decided.get("sha256") in (None, _sums(plan)):  # None: of an older version
        return decided
    say(f"{plan.store.place}/{UNFINISHED}: what is kept was decided, and is damaged; deciding it again")
    return None


def _sums(plan: Plan) -> dict[str, str]:
    """The checksums of what a decision leaves in the store."""
    sums = {part.name: dispositions_sha256(plan.store, part) for part in plan.written_parts}
    return sums | {FILE: hashlib.sha256(plan.store.read(FILE) or b"").hexdigest()}


def _survey(plan: Plan, runner: Runner) -> None:
    """Survey every part. Raises BadInput with all files that cannot be read, once the others are surveyed."""
    _take_problems(plan.store)  # of an earlier process
    runner(SURVEY, partial(_survey_or_note, plan), plan.parts)
    problems = _take_problems(plan.store)
    if problems:
        raise BadInput(problems)


def _survey_or_note(plan: Plan, part: Part, advance: Advance) -> None:
    """Survey a part, wherever it runs; what is wrong with it is left in the store for the end."""
    try:
        survey_part(plan, part, advance)
    except BadInput as error:
        plan.store.write_json(f"{UNFINISHED}/{part.name}{PROBLEMS}", error.problems)


def _take_problems(store: Store) -> list[str]:
    """The problems that are noted in the store, which are removed."""
    problems: list[str] = []
    for name in store.names(UNFINISHED):
        if name.endswith(PROBLEMS):
            problems += store.read_json(f"{UNFINISHED}/{name}")
            store.remove(f"{UNFINISHED}/{name}")
    return problems


def remove_leftovers(store: Store) -> None:
    """Remove what is needed only until the manifest is written."""
    for folder in (UNFINISHED, STAGED):
        store.remove(folder)
