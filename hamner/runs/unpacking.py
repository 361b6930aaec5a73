"""Unpack a run (import): from an archive into the results folder, and what it still lacks there.

Data in: an archive of `hamner pack`. Data out: the folder of a run, which is there whole or not at all; lines that say
what to type next. An existing run is never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput, did_you_mean
from hamner.runs.archive import Packed, extract, opened
from hamner.runs.files import new_folder, read_json
from hamner.runs.folders import PACKING_LIST, RUN_FILES, place_words, run_folder
from hamner.runs.inventory import size_text
from hamner.runs.read_back import json_object, mapping
from hamner.runs.travelling import CORRECTIONS, is_rewritten, unpacked_content
from hamner.runs.waiting import never_silent

RESUME = {  # kind: what continues it
    "tournament": "tournament",
    "curriculum": "curriculum run",
    "sft": "hamner sft",
    "concepts": "tournament concepts",
}


def list_files(path: Path) -> Iterator[str]:
    """A line on an archive, and one each on its files. Raises BadInput for a damaged one."""
    with opened(path) as (packed, _):
        kind, run = _kind_and_run(packed)
        yield f"{kind}/{run}, {len(packed.files)} files, {size_text(packed.size)} unpacked"
        for name, facts in packed.files.items():
            yield f"{facts['bytes']:>13,}  {name}"


def unpack(path: Path, results: Path, name: str | None) -> Path:
    """Unpack a run; returns its folder. name: None for the name that it was packed under.

    Raises BadInput for an archive that is damaged or not a run's, and for a folder that exists.
    """
    with opened(path) as (packed, archive):
        kind, run = _kind_and_run(packed)
        folder = run_folder(results, kind, name or run)
        if folder.exists() or folder.is_symlink():
            raise BadInput(f"{folder} exists already: use --name for another name, or remove that run first")

        def changed(file: str, content: bytes) -> bytes:
            return unpacked_content(file, content, results, (kind, run, folder.name))

        with never_silent(f"unpacking {path.name}"), new_folder(folder) as place:
            extract(packed, archive, place, changed, is_rewritten)
    return folder


def _kind_and_run(packed: Packed) -> tuple[str, str]:
    kind, run = packed.facts.get("kind"), packed.facts.get("run")
    if not isinstance(kind, str) or kind not in RUN_FILES:
        raise BadInput(f"{packed.path} holds a run of the kind {kind!r}; {did_you_mean(str(kind), list(RUN_FILES))}")
    if not isinstance(run, str) or RUN_FILES[kind] not in packed.files:
        raise BadInput(f"{packed.path} holds no run: {RUN_FILES[kind]} is missing; have it packed again")
    run_folder(Path(), kind, run)  # refuses what is no name
    return kind, run


def next_lines(folder: Path) -> Iterator[str]:
    """What an unpacked run is, what it lacks, and the commands that go on."""
    kind, results = folder.parent.name, folder.parents[1]
    facts, place = read_json(folder / PACKING_LIST), place_words(results)
    versions = ", ".join(f"{name} {number}" for name, number in mapping(facts.get("versions")).items())
    yield _printable(f"unpacked: {folder} ({facts.get('state')}; packed with {versions})")
    if kind in RESUME:
        yield f"its report: `hamner report {folder.name}{place}`"
    if kind not in RESUME or facts.get("is_for_report"):
        return
    if not facts.get("has_weights"):
        yield "it has no weights: to resume it or to talk to it, have it packed with --weights"
        return
    yield from map(_printable, _resume_lines(folder, kind, place, str(facts.get("state"))))


def _printable(line: str) -> str:
    """A line with what an archive says, in which nothing steers a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)


def _resume_lines(folder: Path, kind: str, place: str, state: str) -> Iterator[str]:
    if state == "finished":
        if kind in ("curriculum", "sft"):
            yield f"talk to it: `hamner chat {folder.name}{place}`"
    else:
        who = f" {json_object(folder / 'config.json').get('who')}" if kind == "curriculum" else ""
        yield f"continue it: `{RESUME[kind]}{who} --resume --name {folder.name}{place}`"
    yield from missing_lines(folder)


def missing_lines(folder: Path) -> Iterator[str]:
    """What a resume of an unpacked run needs that did not travel, and how to get it."""
    document = json_object(folder / "config.json")
    manifest = json_object(folder / "data" / "manifest.json")
    for base in (mapping(document.get("base")).get("checkpoint"), document.get("from")):
        if isinstance(base, str) and not Path(base).is_dir():
            yield f"it begins with {base}, which is not here: unpack that run too, with its weights"
    if "feedback" in document and not (folder / CORRECTIONS).is_file():
        yield (
            f"the corrections that it learns from did not travel, for they are somebody's chats: to resume it, copy "
            f"{CORRECTIONS} of the run that was packed into {folder}"
        )
    prepared = manifest.get("folder")
    if isinstance(prepared, str):
        if not Path(prepared).is_dir():
            yield f"its text lay in {prepared}, which is not here: copy it there, or give its place with --data DIR"
        return
    data = mapping(mapping(document.get("config")).get("data")).get("path")
    if data in ("builtin", "hub"):
        source = "made again from its seed" if data == "builtin" else "streamed again from the Hugging Face Hub"
        yield f"its text did not travel: it is {source} by the first --resume, and compared with the one it read"
    elif isinstance(data, str):
        yield (
            f"its text did not travel: it was read from {data} ({_sources(manifest)}); copy that folder here, and give "
            "its place with --data DIR on the first --resume: it is prepared again, and compared"
        )


def _sources(manifest: Mapping[str, Any]) -> str:
    sources = mapping(manifest.get("sources"))
    return ", ".join(f"{name} {mapping(facts).get('documents', 0):,} documents" for name, facts in sources.items())
