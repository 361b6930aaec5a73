"""Decisions about all of the text: duplicates, the train / held-out split, the tokenizer, where each source stops.

    survey every part  ->  decide  ->  write every part  ->  manifest

Surveying and writing look at one part alone; what concerns all of the text is decided here once, from all surveys in
the parts' order. So one process and a hundred write the same bytes, in whatever order they finish.

Data in: the surveys. Data out: the disposition of every document, the tokenizer, and the facts of each source.
"""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from hamner.config.errors import BadInput, Problems
from hamner.data import split
from hamner.data.preparation import deduplicate
from hamner.data.preparation.dispositions import (
    BEYOND_TOKENS,
    DROPPED,
    EXACT_DUPLICATE,
    HELD_OUT,
    TRAIN,
    Dispositions,
    write_dispositions,
)
from hamner.data.preparation.part import batches, generator
from hamner.data.preparation.plan import Plan, PrintLine
from hamner.data.preparation.store import UNFINISHED
from hamner.data.preparation.survey_blocks import blocks
from hamner.data.preparation.train_tokenizer import documents_of, train_tokenizer
from hamner.data.preparation.wholes import narrowed
from hamner.data.preparation.write_shards import encode
from hamner.data.sources import Tally, find_source
from hamner.data.tokenizer import CONFIG_FILE, FILE, Tokenizer, transformers_config
from hamner.runs.files import json_bytes

MIN_DOCUMENTS = 5
MAX_MALFORMED = 0.01  # share of a source's records that may be skipped
# Tokenized to learn how long a token is, where a source is to stop at some tokens: so many documents, or as many as
# make so many characters (a thousand books must not meet in memory).
SAMPLE_DOCUMENTS, SAMPLE_CHARACTERS = 1000, 2**22
MUCH_HELD_OUT = 0.25  # of a source's documents: the rule takes a fifth at most
MARGIN = 1.02  # rather a little more than requested

Facts = dict[str, Any]


def decide(plan: Plan, tokenizer: Tokenizer | None, say: PrintLine) -> dict[str, Facts]:
    """Store every document's disposition and the tokenizer; returns the facts of each source that is written.

    tokenizer: None to train one. Raises BadInput for sources that are too small, too broken, or too poor for the
    vocabulary.
    """
    duplicates = _find_duplicates(plan)
    facts: dict[str, Facts] = {}
    dispositions: dict[str, Dispositions] = {}
    problems = Problems()
    for name in plan.sources:
        try:
            dispositions[name], facts[name] = _split(plan, name, duplicates[name])
        except BadInput as error:
            if name in plan.names:
                problems.lines += error.problems
            else:  # nobody asked for it
                say(f"the tokenizer is trained without {name}, which is not in the mix: {'; '.join(error.problems)}")
    problems.raise_all()
    for name in facts:
        _report_malformed(name, facts[name], say)
        _report_split(name, facts[name], say)
    tokenizer = tokenizer or train_tokenizer(plan, dispositions)
    plan.store.write(CONFIG_FILE, json_bytes(transformers_config()))
    plan.store.write(FILE, tokenizer.to_json().encode())
    for name in plan.names:
        if plan.tokens is not None:
            _stop_at(plan, name, dispositions[name], tokenizer, plan.tokens)
        _store_dispositions(plan, name, dispositions[name])
        facts[name]["tokenizer_sources"] = list(dispositions)
        facts[name]["dropped"] |= {why: int((dispositions[name] == code).sum()) for code, why in DROPPED.items()}
    return {name: facts[name] for name in plan.names}


def _find_duplicates(plan: Plan) -> dict[str, Dispositions]:
    """KEPT, EXACT or NEAR of each source's documents, in order, compared over all sources.

    What is only read to train the tokenizer gives way to what is written, and so shows it none of the held-out text.
    """
    parts = sorted(plan.parts, key=lambda part: part.source not in plan.names)
    counts, written = dict.fromkeys((part.source for part in parts), 0), 0
    with tempfile.TemporaryDirectory(dir=plan.store.local and plan.store.local / UNFINISHED) as folder:
        index, is_indexed = deduplicate.Index(Path(folder)), dict.fromkeys(counts, False)
        for part in parts:
            is_indexed[part.source] = plan.drops_duplicates(part)
            for block in blocks(plan.store, part):
                counts[part.source] += len(block.texts)
                if is_indexed[part.source]:
                    index.add(block.texts, block.bands)
                    written += len(block.texts) if part.source in plan.names else 0
        kinds = index.kinds(preferred=written)
    duplicates, start = {}, 0
    for name, count in counts.items():
        if is_indexed[name]:
            duplicates[name], start = kinds[start : start + count], start + count
        else:
            duplicates[name] = np.zeros(count, dtype=np.uint8)
    return duplicates


def _split(plan: Plan, name: str, kinds: Dispositions) -> tuple[Dispositions, Facts]:
    """Dispositions of one source, and its facts for the manifest. Raises BadInput for one too broken or too small.

    kinds: KEPT, EXACT or NEAR of each document.
    """
    wholes, narrow = np.empty(len(kinds)), np.empty(len(kinds))
    characters = np.empty(len(kinds), dtype=np.int32)
    tally, text_hash, end = Tally(), hashlib.blake2b(digest_size=16), 0
    for part in plan.parts_of(name):
        for block in blocks(plan.store, part):
            here = slice(end, end + len(block.texts))
            wholes[here], narrow[here] = block.whole_draws, block.narrow_draws
            characters[here] = block.heldout_characters
            end = here.stop
            text_hash.update(block.texts.tobytes())
            tally.add(block.tally)
    is_kept = kinds == deduplicate.KEPT
    _check_size(plan, name, tally, kept=int(is_kept.sum()), duplicates=int((~is_kept).sum()))
    longest = max(plan.config.tournament.seq_len, plan.config.curriculum.seq_len)
    draws = narrowed(wholes, narrow, is_kept)
    one_whole = bool((draws[is_kept] == draws[is_kept][0]).all())  # all of it would be held out, or nothing
    if one_whole:
        draws = np.concatenate([block.draws for part in plan.parts_of(name) for block in blocks(plan.store, part)])
    data = plan.config.data
    threshold = split.threshold(
        draws[is_kept], characters[is_kept], data.heldout_fraction, data.heldout_sequences * longest
    )
    dispositions = np.where(draws < threshold, HELD_OUT, TRAIN).astype(np.uint8)
    dispositions[~is_kept] = kinds[~is_kept] + (EXACT_DUPLICATE - deduplicate.EXACT)
    return dispositions, {
        **plan.origins[name],
        "text_hash": text_hash.hexdigest(),
        "threshold": threshold,
        "records": tally.records,
        "one_whole": one_whole,
        "is_narrowed": bool((draws != wholes).any()) and not one_whole,
        "pieces": "conversations" if (narrow != wholes).any() else "samples",
        "held_out_share": float((dispositions[is_kept] == HELD_OUT).mean()),
        "dropped": {"malformed": tally.malformed, "too_short": tally.too_short},
        "skipped": tally.skipped,
    }


def _check_size(plan: Plan, name: str, tally: Tally, *, kept: int, duplicates: int) -> None:
    """Raises BadInput for a source with too many malformed records or too few documents."""
    examples = "; ".join(tally.skipped[:5])
    if tally.malformed > MAX_MALFORMED * tally.records:
        way_out, field = "mend them or take their files away", plan.config.data.text_field
        if "no 'text' in the record; its keys" in examples:
            way_out = (
                f"data.text_field=KEY reads text under another key, or {way_out}"
                if field == "text"
                else f"data.text_field={field} names no text in them: give one of their keys, spelt as it is here"
            )
        raise BadInput(
            f"source '{name}': {tally.malformed:,} of {tally.records:,} records are malformed, more than the "
            f"{MAX_MALFORMED:.0%} that may be skipped; {way_out}: {examples}"
        )
    if kept < MIN_DOCUMENTS:
        shortest = find_source(name).min_characters
        dropped = {
            "duplicates of others": duplicates,
            f"texts of less than {shortest} characters, which do not count": tally.too_short,
            "malformed": tally.malformed,
        }
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items() if count)
        raise BadInput(
            f"source '{name}' has {kept} documents in {plan.origins[name]['origin']}"
            + (f" (of {tally.records:,} records: {reasons})" if reasons else "")
            + f"; at least {MIN_DOCUMENTS} are needed to hold some out: add text, or leave the source out of the mix, "
            "the report and --sources" + (f"; skipped {examples}" if examples else "")
        )


def _report_malformed(name: str, facts: Facts, say: PrintLine) -> None:
    skipped, count = facts["skipped"], facts["dropped"]["malformed"]
    if count:
        more = f" and {count - 5} more" if count > 5 else ""
        say(f"{name}: {count} malformed records skipped: {'; '.join(skipped[:5])}{more}")


def _report_split(name: str, facts: Facts, say: PrintLine) -> None:
    """Say where whole videos or talks cannot be held out, or where one is much of the text."""
    is_talk = facts["pieces"] == "conversations"
    if facts["one_whole"] and is_talk:
        say(
            f"{name}: all conversations begin with the same exchange, so they are held out one by one; where they are "
            "one talk, turn by turn, what is held out is trained on all the same: add other conversations"
        )
    elif facts["one_whole"]:
        say(
            f"{name}: cut from one video, so its samples are held out one by one; speech that is in several "
            "(process_youtube --uses) may be trained on all the same: add videos"
        )
    elif facts["is_narrowed"]:
        say(
            f"{name}: more than a fifth of the conversations begin with the same message; they are held out by what "
            "follows it"
        )
    if not facts["one_whole"] and facts["held_out_share"] > MUCH_HELD_OUT:
        of, what = ("conversations that begin alike are", "conversations") if is_talk else ("of a video is", "videos")
        say(
            f"{name}: {facts['held_out_share']:.0%} of the documents are held out, for all {of} on one side "
            f"of the split: add {what}"
        )


def _stop_at(plan: Plan, name: str, dispositions: Dispositions, tokenizer: Tokenizer, tokens: int) -> None:
    """Mark what comes after the document with which the training side has about `tokens` tokens.

    Counted in characters, by the length of a token in the source's first documents: so no part waits for another.
    """
    sample_characters = sample_tokens = 0
    with closing(generator(documents_of(plan, name, dispositions, TRAIN))) as stream:
        for batch in batches(itertools.islice(stream, SAMPLE_DOCUMENTS)):
            sample_characters += sum(len(d.text) for d in batch)
            sample_tokens += sum(map(len, encode(tokenizer, batch)))
            if sample_characters >= SAMPLE_CHARACTERS:
                break
    limit = MARGIN * (sample_characters / sample_tokens) * tokens
    characters = np.concatenate([b.characters for part in plan.parts_of(name) for b in blocks(plan.store, part)])
    last = int(np.searchsorted(np.cumsum(np.where(dispositions == TRAIN, characters, 0)), limit))
    after = dispositions[last + 1 :]
    after[after <= HELD_OUT] = BEYOND_TOKENS


def _store_dispositions(plan: Plan, name: str, dispositions: Dispositions) -> None:
    """Store those of a source part by part."""
    begin = 0
    for part in plan.parts_of(name):
        count = sum(len(block.texts) for block in blocks(plan.store, part))
        write_dispositions(plan.store, part, dispositions[begin : begin + count])
        begin += count
