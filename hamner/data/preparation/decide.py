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
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hamner.config.errors import BadInput, Problems
from hamner.config.schema import Config
from hamner.data import split
from hamner.data.corpus import unigram_entropy
from hamner.data.preparation import deduplicate
from hamner.data.preparation.manifest import Inputs
from hamner.data.preparation.part import WORK, Advance, Part, batches, builtin_text, generator
from hamner.data.preparation.store import Store
from hamner.data.preparation.survey import survey_part, surveyed, unchanged_documents
from hamner.data.preparation.write_shards import (
    BEYOND_TOKENS,
    DROPPED,
    EXACT_DUPLICATE,
    HELD_OUT,
    SHARD_TOKENS,
    SIDES,
    TRAIN,
    Verdicts,
    encode,
    shard_records,
    token_type,
    write_part,
)
from hamner.data.sources import Document, Tally
from hamner.data.synthetic_tasks import LEVELS, generate
from hamner.data.tokenizer import Tokenizer

MIN_DOCUMENTS = 5
MAX_MALFORMED = 0.01          # share of a source's records that may be passed over
PART_BYTES = 2**23            # small files are read together up to this size
SAMPLE_DOCUMENTS = 1000       # tokenised to learn how long a token is, where a source is to stop at some tokens,
SAMPLE_CHARACTERS = 2**22     # or as many as make this: a thousand books must not meet in memory
MUCH_HELD_OUT = 0.25          # of a source's documents: the rule takes a fifth at most
MARGIN = 1.02                 # rather a little more than asked for

Work = Callable[[Part, Advance], None]
Runner = Callable[[str, Work, Sequence[Part]], None]    # does the work on every part; the word says what it is


@dataclass(frozen=True)
class Job:
    """Everything a process needs to work on a part. Travels to other machines."""

    config: Config
    place: str                          # where the shards go
    parts: tuple[Part, ...]             # in SOURCE_NAMES order
    names: tuple[str, ...]              # sources that are written; others are read to train the tokenizer
    origins: dict[str, dict[str, Any]]  # of each source: origin, revision, licence
    trains_tokenizer: bool
    tokens: int | None = None           # of each source, about; None: all
    shard_tokens: int = SHARD_TOKENS
    inputs: Inputs = field(default_factory=dict)

    def survey(self, part: Part, advance: Advance) -> None:
        survey_part(Store(self.place), part, self.config, near=self.drops_duplicates(part), advance=advance)

    def write(self, part: Part, advance: Advance) -> None:
        store = Store(self.place)
        write_part(store, part, self.config, _stored_tokenizer(store), _verdicts(store, part),
                   self.shard_tokens, advance, apart=self.drops_duplicates(part))

    def drops_duplicates(self, part: Part) -> bool:
        """Not in text of our own: what its grammar repeats is part of it."""
        return bool(part.files) and self.config.data.duplicates == "drop"

    def of(self, name: str) -> list[Part]:
        return [part for part in self.parts if part.source == name]

    @property
    def written(self) -> list[Part]:
        return [part for part in self.parts if part.source in self.names]


def settings(config: Config, names: Sequence[str], tokens: int | None, shard_tokens: int) -> dict[str, Any]:
    """What decides the shards' bytes, beside the text and the tokenizer themselves."""
    streamed = config.data.path == "hub" and tokens is None    # as far as hub_tokens says
    return {
        "data": config.data.model_dump(
            mode="json", exclude={"hub_deadline", "own"} | (set() if streamed else {"hub_tokens"})),
        "seed": config.seed, "vocab_size": config.size.vocab_size, "sources": list(names),
        "seq_len": [config.tournament.seq_len, config.curriculum.seq_len], "tokens": tokens,
        "shard_tokens": shard_tokens,
    }


def _stored_tokenizer(store: Store) -> Tokenizer:
    """The tokenizer beside the shards; parsed once a process, unless it is another one by now."""
    return _tokenizer_of((store.read("tokenizer.json") or b"").decode())


@lru_cache(maxsize=1)
def _tokenizer_of(json: str) -> Tokenizer:
    return Tokenizer.from_json(json)


def parts_of(name: str, files: Sequence[Path], folder: Path) -> list[Part]:
    """Files of `folder` in order; each a part of its own, small neighbours together."""
    parts: list[Part] = []
    here: list[Path] = []
    size = 0
    for path in files:
        more = path.stat().st_size
        if here and size + more > PART_BYTES:
            parts.append(Part(name, len(parts), tuple(here), size, folder))
            here, size = [], 0
        here.append(path)
        size += more
    return [*parts, Part(name, len(parts), tuple(here), size, folder)]


def run(job: Job, tokenizer: Tokenizer | None, seq_len: int, runner: Runner, say: Callable[[str], None]) -> None:
    """All steps, each from where an earlier process left it; the manifest last. Raises BadInput.

    tokenizer: None to train one. seq_len: of rows, of which each source must fill one on each side.
    """
    store = Store(job.place)
    store.remove_torn()
    if store.read(f"{WORK}/decided.json") is None:
        runner("reading", job.survey, job.parts)
        decided = _decide(job, store, tokenizer, say)
        store.write_json(f"{WORK}/decided.json", decided)    # after the verdicts and the tokenizer
    runner("tokenising", job.write, job.written)
    store.write_json("manifest.json", _manifest(job, store, seq_len))
    store.remove(WORK)
    builtin_text.cache_clear()


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
            store.write(_verdicts_name(part), verdicts[name][begin:begin + count].tobytes())
            begin += count
        facts[name]["dropped"] |= {why: int((verdicts[name] == verdict).sum()) for verdict, why in DROPPED.items()}
    return {"sources": {name: facts[name] for name in job.names}}


def _verdicts_name(part: Part) -> str:
    return f"{WORK}/{part.name}.verdicts.bin"


def _verdicts(store: Store, part: Part) -> Verdicts:
    return np.frombuffer(store.read(_verdicts_name(part)) or b"", dtype=np.uint8)


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
            sides[name], start = found[start:start + count], start + count
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
            f"{MAX_MALFORMED:.0%} that are passed over; mend them or take their files away: {examples}")
    kept = found == deduplicate.KEPT
    count = int(kept.sum())
    if count < MIN_DOCUMENTS:
        raise BadInput(
            f"source '{name}' has {count} documents in {job.origins[name]['origin']}"
            + (f" without {len(found) - count} duplicates" if len(found) > count else "") + f"; at least "
            f"{MIN_DOCUMENTS} are needed to hold some out" + (f"; skipped {examples}" if examples else ""))
    longest = max(job.config.tournament.seq_len, job.config.curriculum.seq_len)
    one_whole = bool((drawn[kept] == drawn[kept][0]).all())    # then all of it would be held out, or nothing
    if one_whole:
        drawn = np.concatenate([survey.draws for part in job.of(name) for survey in surveyed(store, part)])
    threshold = split.threshold(
        drawn[kept], characters[kept], job.config.data.heldout_fraction, job.config.data.heldout_sequences * longest)
    sides = np.where(drawn < threshold, HELD_OUT, TRAIN).astype(np.uint8)
    sides[~kept] = found[~kept] + (EXACT_DUPLICATE - deduplicate.EXACT)
    return sides, {
        **job.origins[name], "text_hash": identity.hexdigest(), "threshold": threshold, "records": tally.records,
        "one_whole": one_whole, "held_out_share": float((sides[kept] == HELD_OUT).mean()),
        "dropped": {"malformed": tally.malformed, "too_short": tally.too_short}, "skipped": tally.skipped}


def _report_malformed(name: str, facts: dict[str, Any], say: Callable[[str], None]) -> None:
    skipped, count = facts["skipped"], facts["dropped"]["malformed"]
    if count:
        more = f" and {count - 5} more" if count > 5 else ""
        say(f"{name}: {count} malformed records skipped: {'; '.join(skipped[:5])}{more}")


def _report_split(name: str, facts: dict[str, Any], say: Callable[[str], None]) -> None:
    """Where whole videos cannot be held out, or one is much of the text."""
    if facts["one_whole"]:
        say(f"{name}: cut from one video, so its samples are held out one by one; speech that is in several "
            "(process_youtube --uses) may be trained on all the same: add videos")
    elif facts["held_out_share"] > MUCH_HELD_OUT:
        say(f"{name}: {facts['held_out_share']:.0%} of the documents are held out, for all of a video is on one side "
            "of the split: add videos")


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
            f"{wanted}: give more text or lower size.vocab_size")
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
            if split.draw(item) >= config.data.heldout_fraction:
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
    after = verdicts[enough + 1:]
    after[after <= HELD_OUT] = BEYOND_TOKENS


def _manifest(job: Job, store: Store, seq_len: int) -> dict[str, Any]:
    """What the shards hold. Raises BadInput when a source does not fill one row on each side."""
    config, tokenizer = job.config, _stored_tokenizer(store)
    dtype = token_type(tokenizer.vocab_size)
    read, sources = store.read_json(f"{WORK}/decided.json")["sources"], {}
    for name in job.names:
        shards = [shard for part in job.of(name) for record in shard_records(store, part) for shard in record["files"]]
        total = {side: {key: sum(s[key] for s in shards if s["side"] == side)
                        for key in ("documents", "tokens", "characters", "text_bytes")} for side in SIDES.values()}
        counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)
        for shard in shards:
            if shard["side"] == SIDES[HELD_OUT]:
                ids = np.frombuffer(store.read(shard["file"]) or b"", dtype=dtype)
                counts += np.bincount(ids, minlength=len(counts))
        train, held = total[SIDES[TRAIN]], total[SIDES[HELD_OUT]]
        sources[name] = {
            **{key: read[name][key] for key in ("origin", "revision", "licence", "text_hash")},
            "documents": train["documents"], "heldout_documents": held["documents"],
            "tokens": train["tokens"], "heldout_tokens": held["tokens"],
            "characters": train["characters"], "heldout_characters": held["characters"],
            "bytes": train["text_bytes"], "heldout_bytes": held["text_bytes"],
            "threshold": read[name]["threshold"], "one_whole": read[name]["one_whole"],
            "heldout_unigram_nats": unigram_entropy(counts) if held["tokens"] else None,
            "records": read[name]["records"], "dropped": read[name]["dropped"], "skipped": read[name]["skipped"],
            "shards": shards,
        }
    short = [f"source '{name}' has {facts[key]} tokens {use}, less than one row of {seq_len}: give more text"
             for name, facts in sources.items()
             for key, use in (("tokens", "to train on"), ("heldout_tokens", "held out")) if facts[key] < seq_len]
    if short:
        raise BadInput(short)
    return {
        "data": config.data.path, "seed": config.seed, "tokenizer_sha256": tokenizer.sha256,
        "tokenizer": "trained on all five sources" if job.trains_tokenizer else "given",
        "dtype": dtype.name, "normalisation": "NFC; LF line ends; control characters removed",
        "duplicates": f"dropped over all sources: {deduplicate.BANDS} bands of {deduplicate.ROWS} MinHashes of "
                      f"{deduplicate.SHINGLE_WORDS}-word shingles (rensa {version('rensa')}); held-out "
                      "conversations without their system prompt"
                      if any(map(job.drops_duplicates, job.parts)) else "kept",
        "split": "blake2b(text, salt='heldout') / 2^64 < threshold; of several videos' samples, blake2b(video)",
        "heldout_fraction": config.data.heldout_fraction,
        "settings": settings(config, job.names, job.tokens, job.shard_tokens), "inputs": job.inputs, "sources": sources,
    }
