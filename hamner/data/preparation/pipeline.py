"""The data pipeline: survey every part, decide what is kept, write shards, seal them with a manifest."""

from __future__ import annotations

from collections.abc import Callable

from hamner.data.preparation.decide import _decide
from hamner.data.preparation.job import Job, Runner
from hamner.data.preparation.manifest import _manifest
from hamner.data.preparation.part import WORK, builtin_text
from hamner.data.preparation.store import Store
from hamner.data.tokenizer import Tokenizer


def run(job: Job, tokenizer: Tokenizer | None, seq_len: int, runner: Runner, say: Callable[[str], None]) -> None:
    """All steps, each from where an earlier process left it; the manifest last. Raises BadInput.

    tokenizer: None to train one. seq_len: of rows, of which each source must fill one on each side.
    """
    store = Store(job.place)
    store.remove_torn()
    if store.read(f"{WORK}/decided.json") is None:
        runner("reading", job.survey, job.parts)
        decided = _decide(job, store, tokenizer, say)
        store.write_json(f"{WORK}/decided.json", decided)  # after the verdicts and the tokenizer
    runner("tokenising", job.write, job.written)
    store.write_json("manifest.json", _manifest(job, store, seq_len))
    store.remove(WORK)
    builtin_text.cache_clear()
