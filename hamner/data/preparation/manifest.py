"""Folders that were prepared before: whether one is, what it holds, and whether it is what a command asks for."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hamner.config.errors import BadInput
from hamner.data.corpus import broken_shards, unigram_entropy
from hamner.data.preparation import deduplicate
from hamner.data.preparation.job import Inputs, Job, _stored_tokenizer, settings
from hamner.data.preparation.part import WORK
from hamner.data.preparation.store import Store
from hamner.data.preparation.write_shards import HELD_OUT, SIDES, TRAIN, shard_records, token_type
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import read_json_as


def is_prepared(path: str) -> bool:
    """Whether a data folder is one that prepare_data finished."""
    return path not in ("hub", "builtin") and (Path(path).expanduser() / "manifest.json").is_file()


def held_sources(path: str) -> dict[str, Any]:
    """What the manifest of a prepared folder says of its sources. Raises BadInput for a broken one."""
    return read_json_as(Path(path).expanduser() / "manifest.json", lambda manifest: dict(manifest["sources"]))


def check_finished(
    store: Store, manifest: dict[str, Any], settings: dict[str, Any], inputs: Inputs, tokenizer: Tokenizer | None
) -> None:
    """Raises BadInput when a finished folder is not what the same command would write, or is not whole.

    Files are compared by name and size: their text is read only when it is prepared.
    """
    way_out = "choose another --out, or delete it to prepare again"
    try:
        shards = [shard for facts in manifest["sources"].values() for shard in facts["shards"]]
        broken, made_with = broken_shards(shards, store.size), manifest["tokenizer_sha256"]
        other_settings, differs = manifest["settings"] != settings, _difference(manifest["inputs"], inputs)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadInput(
            f"{store.place}/manifest.json is broken, or of an earlier version: {type(error).__name__} "
            f"{error}; {way_out}"
        ) from None
    if other_settings:
        raise BadInput(f"{store.place} is finished, with other settings: {way_out}")
    if differs:
        raise BadInput(f"{store.place} is finished, from other files: {differs}; {way_out}")
    if tokenizer is not None and tokenizer.sha256 != made_with:
        raise BadInput(
            f"{store.place} is finished, with another tokenizer ({made_with[:12]}) than the one to be used "
            f"({tokenizer.sha256[:12]}): {way_out}"
        )
    if hashlib.sha256(store.read("tokenizer.json") or b"").hexdigest() != made_with:
        broken.insert(0, "tokenizer.json")
    if broken:
        raise BadInput(
            f"{store.place} is finished, but {len(broken)} of its files are missing or not what was "
            f"written, first {broken[0]}: {way_out}"
        )


def _difference(held: Inputs, given: Inputs) -> str:
    """The first file in which two lists of inputs differ, in words; empty when none does."""
    before, now = (
        {f"{source}/{name}": size for source, files in inputs.items() for name, size in files}
        for inputs in (held, given)
    )
    changed = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    if not changed:
        return ""
    first = changed[0]
    what = "is new" if first not in before else "is gone" if first not in now else "has another size"
    return f"{first} {what}" + (f", and {len(changed) - 1} more differ" if len(changed) > 1 else "")


def _manifest(job: Job, store: Store, seq_len: int) -> dict[str, Any]:
    """What the shards hold. Raises BadInput when a source does not fill one row on each side."""
    config, tokenizer = job.config, _stored_tokenizer(store)
    dtype = token_type(tokenizer.vocab_size)
    read, sources = store.read_json(f"{WORK}/decided.json")["sources"], {}
    for name in job.names:
        shards = [shard for part in job.of(name) for record in shard_records(store, part) for shard in record["files"]]
        total = {
            side: {
                key: sum(s[key] for s in shards if s["side"] == side)
                for key in ("documents", "tokens", "characters", "text_bytes")
            }
            for side in SIDES.values()
        }
        counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)
        for shard in shards:
            if shard["side"] == SIDES[HELD_OUT]:
                ids = np.frombuffer(store.read(shard["file"]) or b"", dtype=dtype)
                counts += np.bincount(ids, minlength=len(counts))
        train, held = total[SIDES[TRAIN]], total[SIDES[HELD_OUT]]
        sources[name] = {
            **{key: read[name][key] for key in ("origin", "revision", "licence", "text_hash")},
            "documents": train["documents"],
            "heldout_documents": held["documents"],
            "tokens": train["tokens"],
            "heldout_tokens": held["tokens"],
            "characters": train["characters"],
            "heldout_characters": held["characters"],
            "bytes": train["text_bytes"],
            "heldout_bytes": held["text_bytes"],
            "threshold": read[name]["threshold"],
            "one_whole": read[name]["one_whole"],
            "heldout_unigram_nats": unigram_entropy(counts) if held["tokens"] else None,
            "records": read[name]["records"],
            "dropped": read[name]["dropped"],
            "skipped": read[name]["skipped"],
            "shards": shards,
        }
    short = [
        f"source '{name}' has {facts[key]} tokens {use}, less than one row of {seq_len}: give more text"
        for name, facts in sources.items()
        for key, use in (("tokens", "to train on"), ("heldout_tokens", "held out"))
        if facts[key] < seq_len
    ]
    if short:
        raise BadInput(short)
    return {
        "data": config.data.path,
        "seed": config.seed,
        "tokenizer_sha256": tokenizer.sha256,
        "tokenizer": "trained on all five sources" if job.trains_tokenizer else "given",
        "dtype": dtype.name,
        "normalisation": "NFC; LF line ends; control characters removed",
        "duplicates": f"dropped over all sources: {deduplicate.BANDS} bands of {deduplicate.ROWS} MinHashes of "
        f"{deduplicate.SHINGLE_WORDS}-word shingles (rensa {version('rensa')}); held-out "
        "conversations without their system prompt"
        if any(map(job.drops_duplicates, job.parts))
        else "kept",
        "split": "blake2b(text, salt='heldout') / 2^64 < threshold; of several videos' samples, blake2b(video)",
        "heldout_fraction": config.data.heldout_fraction,
        "settings": settings(config, job.names, job.tokens, job.shard_tokens),
        "inputs": job.inputs,
        "sources": sources,
    }
