"""Manifest of a prepared folder: written last, and checked before the folder is used or called finished.

Data in: a plan, the facts that decide.py found and the records of the shards. Data out: manifest.json (corpus.py says
what it holds); of a folder prepared before, whether it is whole and what a command would write.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hamner.config.errors import BadInput
from hamner.data.corpus import broken_shards, row_problems, unigram_entropy
from hamner.data.preparation import deduplicate
from hamner.data.preparation.dispositions import HELD_OUT, SIDES, TRAIN
from hamner.data.preparation.inputs import InputFiles
from hamner.data.preparation.plan import Plan
from hamner.data.preparation.store import Store
from hamner.data.preparation.write_shards import shard_records, stored_tokenizer, token_type
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import read_json_as

MANIFEST = "manifest.json"


def is_prepared(path: str) -> bool:
    """Whether a data folder is one that a preparation finished."""
    return path not in ("hub", "builtin") and (Path(path).expanduser() / MANIFEST).is_file()


def prepared_sources(path: str) -> dict[str, Any]:
    """The facts of each source of a prepared folder. Raises BadInput for a broken manifest."""
    return read_json_as(Path(path).expanduser() / MANIFEST, lambda manifest: dict(manifest["sources"]))


def write_manifest(plan: Plan, facts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Write what the shards hold, and return it. Raises BadInput when a source does not fill one row on each side.

    facts: of each source, as decide() returned them.
    """
    tokenizer = stored_tokenizer(plan.store)
    dtype = token_type(tokenizer.vocab_size)
    sources = {name: _source_entry(plan, name, facts[name], tokenizer.vocab_size) for name in plan.names}
    check_rows(sources, plan.seq_len)
    read: list[str] = next((of_source["tokenizer_sources"] for of_source in facts.values()), [])
    manifest = {
        "data": plan.config.data.path,
        "seed": plan.config.seed,
        "tokenizer_sha256": tokenizer.sha256,
        "tokenizer": f"trained on {', '.join(read)} and synthetic items" if plan.trains_tokenizer else "given",
        "dtype": dtype.name,
        "normalization": "NFC; LF line ends; C1 controls as cp1252; control characters removed",
        "duplicates": f"dropped over all sources: {deduplicate.BANDS} bands of {deduplicate.ROWS} MinHashes of "
        f"{deduplicate.SHINGLE_WORDS}-word shingles (rensa {version('rensa')}); held-out "
        "conversations without their system prompt; of other text numbers as 0 and no accents"
        if any(map(plan.drops_duplicates, plan.parts))
        else "kept",
        "split": "blake2b(text, salt='heldout') / 2^64 < threshold; of several videos' samples, blake2b(video); "
        "of conversations, blake2b(first message of the user)",
        "heldout_fraction": plan.config.data.heldout_fraction,
        "settings": plan.settings,
        "inputs": plan.inputs,
        "sources": sources,
    }
    plan.store.write_json(MANIFEST, manifest)
    return manifest


def _source_entry(plan: Plan, name: str, facts: dict[str, Any], vocab_size: int) -> dict[str, Any]:
    """The manifest's entry of one source."""
    records = (record for part in plan.parts_of(name) for record in shard_records(plan.store, part))
    shards = [shard for record in records for shard in record["files"]]
    train, heldout = (
        {
            key: sum(shard[key] for shard in shards if shard["side"] == SIDES[side])
            for key in ("documents", "tokens", "characters", "text_bytes")
        }
        for side in (TRAIN, HELD_OUT)
    )
    return {
        **{key: facts[key] for key in ("origin", "revision", "license", "text_hash")},
        "documents": train["documents"],
        "heldout_documents": heldout["documents"],
        "tokens": train["tokens"],
        "heldout_tokens": heldout["tokens"],
        "characters": train["characters"],
        "heldout_characters": heldout["characters"],
        "bytes": train["text_bytes"],
        "heldout_bytes": heldout["text_bytes"],
        "threshold": facts["threshold"],
        "one_whole": facts["one_whole"],
        "heldout_unigram_nats": _heldout_entropy(plan.store, shards, vocab_size) if heldout["tokens"] else None,
        "records": facts["records"],
        "dropped": facts["dropped"],
        "skipped": facts["skipped"],
        "shards": shards,
    }


def _heldout_entropy(store: Store, shards: list[dict[str, Any]], vocab_size: int) -> float:
    """Nats per held-out token of a model that knows the tokens' frequencies alone."""
    counts = np.zeros(vocab_size, dtype=np.int64)
    for shard in shards:
        if shard["side"] == SIDES[HELD_OUT]:
            ids = np.frombuffer(store.read(shard["file"]) or b"", dtype=token_type(vocab_size))
            counts += np.bincount(ids, minlength=vocab_size)
    return unigram_entropy(counts)


def check_rows(sources: dict[str, dict[str, Any]], seq_len: int, place: Path | None = None) -> None:
    """Raises BadInput for each side of a source that does not fill one row of `seq_len` tokens.

    sources: entries of a manifest; place: of the prepared folder, if the problem should name it.
    """
    problems = [
        problem
        for name, entry in sources.items()
        for problem in row_problems(name, seq_len, train=entry["tokens"], heldout=entry["heldout_tokens"], place=place)
    ]
    if problems:
        raise BadInput(problems)


def check_finished(
    store: Store,
    manifest: dict[str, Any],
    settings: dict[str, Any],
    inputs: dict[str, InputFiles],
    tokenizer: Tokenizer | None,
) -> None:
    """Raises BadInput when a finished folder is not what the same command would write, or is not whole.

    Files are compared by name and size: their text is read only when it is prepared.
    """
    way_out = "choose another --out, or delete it to prepare again"
    listings = {name: files.listing() for name, files in inputs.items()}
    try:
        shards = [shard for facts in manifest["sources"].values() for shard in facts["shards"]]
        broken, sha256 = broken_shards(shards, store.size), manifest["tokenizer_sha256"]
        has_other_settings, difference = manifest["settings"] != settings, _difference(manifest["inputs"], listings)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadInput(
            f"{store.place}/{MANIFEST} is broken, or of an earlier version: {type(error).__name__} {error}; {way_out}"
        ) from None
    if has_other_settings:
        raise BadInput(f"{store.place} is finished, with other settings: {way_out}")
    if difference:
        raise BadInput(f"{store.place} is finished, from other files: {difference}; {way_out}")
    if tokenizer is not None and tokenizer.sha256 != sha256:
        raise BadInput(
            f"{store.place} is finished, with another tokenizer ({sha256[:12]}) than the one to be used "
            f"({tokenizer.sha256[:12]}): {way_out}"
        )
    if hashlib.sha256(store.read("tokenizer.json") or b"").hexdigest() != sha256:
        broken.insert(0, "tokenizer.json")
    if broken:
        raise BadInput(
            f"{store.place} is finished, but {len(broken)} of its files are missing or not what was "
            f"written, first {broken[0]}: {way_out}"
        )


def _difference(before: dict[str, list[list[Any]]], now: dict[str, list[list[Any]]]) -> str:
    """The first file in which two listings of inputs differ, in words; empty when they are equal."""
    earlier, present = (
        {f"{source}/{name}": size for source, files in listing.items() for name, size in files}
        for listing in (before, now)
    )
    changed = sorted(path for path in earlier.keys() | present.keys() if earlier.get(path) != present.get(path))
    if not changed:
        return ""
    first = changed[0]
    what = "is new" if first not in earlier else "is gone" if first not in present else "has another size"
    return f"{first} {what}" + (f", and {len(changed) - 1} more differ" if len(changed) > 1 else "")
