"""Folders that were prepared before: whether one is, what it holds, and whether it is what a command asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.data.corpus import broken_shards
from hamner.data.preparation.store import Store
from hamner.data.tokenizer import Tokenizer
from hamner.runs.folders import checked

Inputs = dict[str, list[list[Any]]]    # of each source read from a folder: path below DIR/<source>/, size


def is_prepared(path: str) -> bool:
    """Whether a data folder is one that prepare_data finished."""
    return path not in ("hub", "builtin") and (Path(path).expanduser() / "manifest.json").is_file()


def held_sources(path: str) -> dict[str, Any]:
    """What the manifest of a prepared folder says of its sources. Raises BadInput for a broken one."""
    return checked(Path(path).expanduser() / "manifest.json", lambda manifest: dict(manifest["sources"]))


def inputs_of(files: Sequence[Path], folder: Path) -> list[list[Any]]:
    """What the manifest keeps of a source's files: a copy of them elsewhere, of another time, is the same."""
    return [[path.relative_to(folder).as_posix(), path.stat().st_size] for path in files]


def check_finished(
    store: Store, manifest: dict[str, Any], settings: dict[str, Any], inputs: Inputs, tokenizer: Tokenizer | None,
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
        raise BadInput(f"{store.place}/manifest.json is broken, or of an earlier version: {type(error).__name__} "
                       f"{error}; {way_out}") from None
    if other_settings:
        raise BadInput(f"{store.place} is finished, with other settings: {way_out}")
    if differs:
        raise BadInput(f"{store.place} is finished, from other files: {differs}; {way_out}")
    if tokenizer is not None and tokenizer.sha256 != made_with:
        raise BadInput(f"{store.place} is finished, with another tokenizer ({made_with[:12]}) than the one to be used "
                       f"({tokenizer.sha256[:12]}): {way_out}")
    if hashlib.sha256(store.read("tokenizer.json") or b"").hexdigest() != made_with:
        broken.insert(0, "tokenizer.json")
    if broken:
        raise BadInput(f"{store.place} is finished, but {len(broken)} of its files are missing or not what was "
                       f"written, first {broken[0]}: {way_out}")


def _difference(held: Inputs, given: Inputs) -> str:
    """The first file in which two lists of inputs differ, in words; empty when none does."""
    before, now = ({f"{source}/{name}": size for source, files in inputs.items() for name, size in files}
                   for inputs in (held, given))
    changed = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    if not changed:
        return ""
    first = changed[0]
    what = "is new" if first not in before else "is gone" if first not in now else "has another size"
    return f"{first} {what}" + (f", and {len(changed) - 1} more differ" if len(changed) > 1 else "")
