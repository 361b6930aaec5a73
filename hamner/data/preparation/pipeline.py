"""Data pipeline: survey every part, decide what is kept, write shards, close with a manifest.

Data in: a plan. Data out: the prepared folder. Each step continues from where an earlier process left it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from hamner.data.preparation.decide import decide
from hamner.data.preparation.manifest import write_manifest
from hamner.data.preparation.part import Runner, builtin_text
from hamner.data.preparation.plan import DECIDED, STAGED, Plan, PrintLine
from hamner.data.preparation.store import UNFINISHED, Store
from hamner.data.preparation.survey import survey_part
from hamner.data.preparation.write_shards import write_part
from hamner.data.tokenizer import Tokenizer

SURVEY, WRITE = "reading", "tokenising"  # the steps that work on parts, as the progress bar names them


def run(plan: Plan, tokenizer: Tokenizer | None, runner: Runner, say: PrintLine) -> dict[str, Any]:
    """Prepare what is planned; returns the manifest. Raises BadInput.

    tokenizer: None to train one. runner: does the work on the parts, here or on a cluster.
    """
    plan.store.remove_temporary_files()
    decided = plan.store.read_json(DECIDED)
    if decided is None:
        runner(SURVEY, partial(survey_part, plan), plan.parts)
        decided = {"sources": decide(plan, tokenizer, say)}
        plan.store.write_json(DECIDED, decided)  # after the dispositions and the tokenizer
    runner(WRITE, partial(write_part, plan), plan.written_parts)
    manifest = write_manifest(plan, decided["sources"])
    remove_leftovers(plan.store)
    builtin_text.cache_clear()
    return manifest


def remove_leftovers(store: Store) -> None:
    """Remove what is needed only until the manifest is written."""
    for folder in (UNFINISHED, STAGED):
        store.remove(folder)
