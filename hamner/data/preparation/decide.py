"""The steps of preparing text, and what is decided between them. Who runs the steps, and where, is not known here.

    survey every part  ->  decide: duplicates, split, tokenizer, where to stop  ->  write every part  ->  manifest

Surveying and writing look at one part alone; what concerns all of the text is decided once, from all surveys in
the parts' order. So one process and a hundred write the same bytes, in whatever order they finish.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from hamner.config.errors import BadInput, Problems
from hamner.data import split
from hamner.data.preparation import deduplicate
from hamner.data.preparation.job import Job, _verdicts_name
from hamner.data.preparation.part import WORK, batches, generator
from hamner.data.preparation.store import Store
from hamner.data.preparation.survey import surveyed, unchanged_documents
from hamner.data.preparation.write_shards import (
    BEYOND_TOKENS,
    DROPPED,
    EXACT_DUPLICATE,
    HELD_OUT,
    TRAIN,
    Verdicts,
    encode,
)
from hamner.data.sources import Document, Tally
from hamner.data.synthetic_tasks import LEVELS, generate
from hamner.data.tokenizer import Tokenizer

MIN_DOCUMENTS = 5
MAX_MALFORMED = 0.01  # share of a source's records that may be passed over
SAMPLE_DOCUMENTS = 1000  # tokenised to learn how long a token is, where a source is to stop at some tokens,
SAMPLE_CHARACTERS = 2**22  # or as many as make this: a thousand books must not meet in memory
MUCH_HELD_OUT = 0.25  # of a source's documents: the rule takes a fifth at most
MARGIN = 1.02  # rather a little more than asked for


def _decide(job: Job, store: Store, tokenizer: Tokenizer | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Verdicts on every document, written part by part, and the tokenizer; returns what is to be said of each source.

    Raises BadInput for sources that are too small, too broken, or too poor for the vocabulary.
    """
    found = _duplicates(job, store)
    facts, verdicts, problems = {}, {}, Problems()
    for name in dict.fromkeys(part.source for part in job.parts):
        with problems.collect():
            verdicts[name], facts[name] = _split(job, store, name, found[name])
    problems.raise_all()
    for name, told in facts.items():
        _report_malformed(name, told, say)
        _report_split(name, told, say)
    tokenizer = tokenizer or _train_tokenizer(job, store, verdicts)
    store.write("tokenizer.json", tokenizer.to_json().encode())
    for name in job.names:
        if job.tokens is not None:
            _stop_at(job, store, name, verdicts[name], tokenizer)
        begin = 0
        for part in job.of(name):
            count = sum(len(survey.texts) for survey in surveyed(store, part))
            store.write(_verdicts_name(part), verdicts[name][begin : begin + count].tobytes())
            begin += count
        facts[name]["dropped"] |= {why: int((verdicts[name] == verdict).sum()) for verdict, why in DROPPED.items()}
    return {"sources": {name: facts[name] for name in job.names}}


def _duplicates(job: Job, store: Store) -> dict[str, Verdicts]:
    """Of each source's documents, in order, what deduplicate.py finds among all sources. What is only read to train
    the tokenizer gives way to what is written, and so shows it none of the held-out text."""
    parts = sorted(job.parts, key=lambda part: part.source not in job.names)
    counts, written = dict.fromkeys((part.source for part in parts), 0), 0
    with tempfile.TemporaryDirectory(dir=store.local and store.local / WORK) as folder:
        index, sought = deduplicate.Index(Path(folder)), dict.fromkeys(counts, False)
        for part in parts:
            sought[part.source] = job.drops_duplicates(part)
            for survey in surveyed(store, part):
                counts[part.source] += len(survey.texts)
                if sought[part.source]:
                    index.add(survey.texts, survey.bands)
                    written += len(survey.texts) if part.source in job.names else 0
        found = index.verdicts(written)
    sides, start = {}, 0
    for name, count in counts.items():
        if sought[name]:
            sides[name], start = found[start : start + count], start + count
        else:
            sides[name] = np.zeros(count, dtype=np.uint8)
    return sides


def _split(job: Job, store: Store, name: str, found: Verdicts) -> tuple[Verdicts, dict[str, Any]]:
    """Verdicts of one source, and what the manifest says of its reading. Raises BadInput for a source that is too
    broken or too small."""
    drawn, characters = np.empty(len(found)), np.empty(len(found), dtype=np.int32)
    tally, identity, done = Tally(), hashlib.blake2b(digest_size=16), 0
    for part in job.of(name):
        for survey in surveyed(store, part):
            here = slice(done, done + len(survey.texts))
            drawn[here], characters[here], done = survey.whole_draws, survey.characters, here.stop
            identity.update(survey.texts.tobytes())
            tally.add(survey.tally)
    examples = "; ".join(tally.skipped[:5])
    if tally.malformed > MAX_MALFORMED * tally.records:
        raise BadInput(
            f"source '{name}': {tally.malformed:,} of {tally.records:,} records are malformed, more than the "
            f"{MAX_MALFORMED:.0%} that are passed over; mend them or take their files away: {examples}"
        )
    kept = found == deduplicate.KEPT
    count = int(kept.sum())
    if count < MIN_DOCUMENTS:
        raise BadInput(
            f"source '{name}' has {count} documents in {job.origins[name]['origin']}"
            + (f" without {len(found) - count} duplicates" if len(found) > count else "")
            + f"; at least "
            f"{MIN_DOCUMENTS} are needed to hold some out" + (f"; skipped {examples}" if examples else "")
        )
    longest = max(job.config.tournament.seq_len, job.config.curriculum.seq_len)
    one_whole = bool((drawn[kept] == drawn[kept][0]).all())  # then all of it would be held out, or nothing
    if one_whole:
        drawn = np.concatenate([survey.draws for part in job.of(name) for survey in surveyed(store, part)])
    threshold = split.threshold(
        drawn[kept], characters[kept], job.config.data.heldout_fraction, job.config.data.heldout_sequences * longest
    )
    sides = np.where(drawn < threshold, HELD_OUT, TRAIN).astype(np.uint8)
    sides[~kept] = found[~kept] + (EXACT_DUPLICATE - deduplicate.EXACT)
    return sides, {
        **job.origins[name],
        "text_hash": identity.hexdigest(),
        "threshold": threshold,
        "records": tally.records,
        "one_whole": one_whole,
        "held_out_share": float((sides[kept] == HELD_OUT).mean()),
        "dropped": {"malformed": tally.malformed, "too_short": tally.too_short},
        "skipped": tally.skipped,
    }


def _report_malformed(name: str, facts: dict[str, Any], say: Callable[[str], None]) -> None:
    skipped, count = facts["skipped"], facts["dropped"]["malformed"]
    if count:
        more = f" and {count - 5} more" if count > 5 else ""
        say(f"{name}: {count} malformed records skipped: {'; '.join(skipped[:5])}{more}")


def _report_split(name: str, facts: dict[str, Any], say: Callable[[str], None]) -> None:
    """Where whole videos cannot be held out, or one is much of the text."""
    if facts["one_whole"]:
        say(
            f"{name}: cut from one video, so its samples are held out one by one; speech that is in several "
            "(process_youtube --uses) may be trained on all the same: add videos"
        )
    elif facts["held_out_share"] > MUCH_HELD_OUT:
        say(
            f"{name}: {facts['held_out_share']:.0%} of the documents are held out, for all of a video is on one side "
            "of the split: add videos"
        )


def _side(job: Job, store: Store, name: str, verdicts: Verdicts, side: int) -> Iterator[Document]:
    """A source's documents of one verdict, read anew."""
    done = 0
    for part in job.of(name):
        with closing(generator(unchanged_documents(store, part, job.config, Tally()))) as stream:
            for document in stream:
                if verdicts[done] == side:
                    yield document
                done += 1


def _train_tokenizer(job: Job, store: Store, verdicts: dict[str, Verdicts]) -> Tokenizer:
    """Raises BadInput when the text is too poor for the vocabulary."""
    wanted = job.config.size.vocab_size
    tokenizer = Tokenizer.train(_tokenizer_text(job, store, verdicts), wanted)
    if tokenizer.vocab_size != wanted:
        raise BadInput(
            f"the text has only enough variety for {tokenizer.vocab_size} tokenizer entries, not "
            f"{wanted}: give more text or lower size.vocab_size"
        )
    return tokenizer


def _tokenizer_text(job: Job, store: Store, verdicts: dict[str, Verdicts]) -> Iterator[str]:
    """Training-side text of all five sources, about equally much of each."""
    config = job.config
    for name, sides in verdicts.items():
        left = config.data.bpe_characters
        with closing(generator(_side(job, store, name, sides, TRAIN))) as stream:
            for document in stream:
                yield document.text
                left -= len(document.text)
                if left <= 0:
                    break
    for level in LEVELS:
        rng, left = random.Random(f"tokenizer/{config.seed}/{level}"), config.data.bpe_characters // len(LEVELS)
        while left > 0:
            item = generate(rng, level).text
            if split.unit_hash(item) >= config.data.heldout_fraction:
                yield item
                left -= len(item)


def _stop_at(job: Job, store: Store, name: str, verdicts: Verdicts, tokenizer: Tokenizer) -> None:
    """Leave out what comes after the document with which the training side has about `job.tokens` tokens.

    Counted in characters, by what a token of the source's first documents is long: so no part waits for another.
    """
    assert job.tokens is not None
    read = tokens = 0
    with closing(generator(_side(job, store, name, verdicts, TRAIN))) as stream:
        for batch in batches(itertools.islice(stream, SAMPLE_DOCUMENTS)):
            read += sum(len(d.text) for d in batch)
            tokens += sum(map(len, encode(tokenizer, batch)))
            if read >= SAMPLE_CHARACTERS:
                break
    length = read / tokens
    characters = np.concatenate([survey.characters for part in job.of(name) for survey in surveyed(store, part)])
    enough = int(np.searchsorted(np.cumsum(np.where(verdicts == TRAIN, characters, 0)), MARGIN * length * job.tokens))
    after = verdicts[enough + 1 :]
    after[after <= HELD_OUT] = BEYOND_TOKENS
