"""Plan a preparation: what is read, from where, into which folder; hub data is staged first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.schema import SOURCE_NAMES, Config
from hamner.data.preparation.job import Inputs, Job, Runner, inputs_of, parts_of, settings
from hamner.data.preparation.part import WORK, Part
from hamner.data.preparation.store import Store
from hamner.data.preparation.write_shards import SHARD_TOKENS
from hamner.data.sources import SOURCES, Source
from hamner.data.sources.hub_stream import Staged, stage
from hamner.data.sources.local_files import folder_files
from hamner.data.split import CHARACTERS_PER_TOKEN
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import read_json
from hamner.runs.folders import home_folder

STAGED = "from_hub"  # what was streamed, until the manifest is written
COPY_FIRST = "copy it to a disk of the machine first, and give that folder to a run with --data"
SPARE = 1.3  # of a hub source, streamed for what is held out or dropped
Say = Callable[[str], None]


def open_job(
    config: Config,
    place: str,
    names: Iterable[str],
    tokenizer: Tokenizer | None,
    *,
    tokens: int | None,
    shard_tokens: int = SHARD_TOKENS,
    runner: Runner,
    say: Say,
) -> Job:
    """Find the text, streaming what comes from the hub (in this process, shown by `runner`). Raises BadInput, before
    anything is streamed when `place` was begun with other settings or other files."""
    trains, store = tokenizer is None, Store(place)
    written = tuple(name for name in SOURCE_NAMES if name in names and SOURCES[name].builtin)
    read = [SOURCES[name] for name in (SOURCE_NAMES if trains else written) if SOURCES[name].builtin]
    folders = {source.name: folder for source in read if (folder := _folder_of(source, config)) is not None}
    files = {name: folder_files(SOURCES[name], folder) for name, folder in folders.items()}
    _begin(
        store,
        {
            "settings": settings(config, written, tokens, shard_tokens),
            "inputs": [
                [str(path), path.stat().st_size, path.stat().st_mtime_ns] for name in files for path in files[name]
            ],
            "tokenizer": tokenizer.sha256 if tokenizer else "train",
        },
        say,
    )
    parts: list[Part] = []
    origins: dict[str, dict[str, Any]] = {}
    held: Inputs = {}  # what the manifest tells of them
    for source in read:
        name = source.name
        if name in files:
            origins[name] = {"origin": str(folders[name]), **_about(folders[name] / name / "about.json")}
            held[name] = inputs_of(files[name], folders[name] / name)
            parts += parts_of(name, files[name], folders[name] / name)
        elif config.data.path == "builtin":
            origins[name] = {"origin": "builtin", "revision": f"seed {config.seed}", "licence": "GPL-3.0-only"}
            parts.append(Part(name, 0, size=config.data.builtin_characters))
        else:
            staged = _stage(source, config, store, tokens, runner, say)
            assert source.hub is not None
            origins[name] = {
                "origin": f"hub: {source.hub.dataset}",
                "revision": staged.revision,
                "licence": source.hub.licence,
            }
            assert store.local is not None
            parts += parts_of(name, staged.pieces, store.local / STAGED / name)
    return Job(config, place, tuple(parts), written, origins, trains, tokens, shard_tokens, held)


def _begin(store: Store, plan: dict[str, Any], say: Say) -> None:
    """Leave on disk only what belongs to `plan`. Raises BadInput when shards of another one may be there already."""
    begun = store.read_json(f"{WORK}/plan.json")
    if begun == plan:
        return
    if begun is not None:
        differs = " and ".join(key for key in plan if begun.get(key) != plan[key])
        if store.read(f"{WORK}/decided.json") is not None:
            raise BadInput(
                f"{store.place} was begun with other {differs}: give the same options again, choose another "
                f"--out, or delete {store.place}"
            )
        say(f"{store.place} was begun with other {differs}, and nothing is written yet: beginning anew")
    for left in (STAGED, WORK):  # pieces are cut by how much is streamed: another plan's would give other shards
        store.remove(left)
    store.write_json(f"{WORK}/plan.json", plan)


def _inputs(config: Config, names: Sequence[str]) -> Inputs:
    """The files that would be read for the sources `names`; all five's to train a tokenizer."""
    folders = {
        name: _folder_of(SOURCES[name], config)
        for name in (SOURCE_NAMES if config.data.tokenizer == "train" else names)
    }
    return {
        name: inputs_of(folder_files(SOURCES[name], folder), folder / name)
        for name, folder in folders.items()
        if folder is not None
    }


def _about(path: Path) -> dict[str, Any]:
    """What a folder's owner says of its text; where nobody does, the manifest says so."""
    told = read_json(path) if path.is_file() else {}
    if not isinstance(told, dict) or not told.keys() <= {"revision", "licence"}:
        raise BadInput(f'{path} must be {{"revision": ..., "licence": ...}}')
    return {"revision": None, "licence": "not stated"} | told


def _stage(source: Source, config: Config, store: Store, tokens: int | None, runner: Runner, say: Say) -> Staged:
    """The pieces of a hub source, streamed if they are not there yet. Raises BadInput."""
    if store.local is None:
        raise BadInput(
            f"what is streamed from the hub needs a folder of this machine, not {store.place}: download "
            "the data set's files and give them with --data DIR, or choose another --out"
        )
    folder, told = store.local / STAGED, list[Staged]()
    wanted = int((config.data.hub_tokens if tokens is None else tokens) * CHARACTERS_PER_TOKEN * SPARE)

    def work(part: Part, advance: Callable[[int], None]) -> None:
        told.append(stage(source, folder, wanted, config.data.hub_deadline, say, advance))

    runner(f"{source.name} from the hub", work, [Part(source.name, 0, size=wanted)])
    return told[0]


def _folder_of(source: Source, config: Config) -> Path | None:
    """The folder a source is read from; None when it needs none."""
    if config.data.path == "builtin" or source.builtin is None:
        return None
    if config.data.path == "hub":
        return None if source.hub else (home_folder() / Path(config.data.local_path).expanduser()).resolve()
    return Path(config.data.path).expanduser()
