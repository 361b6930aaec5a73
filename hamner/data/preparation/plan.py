"""Plan of a preparation: what is read, from where, into which store, with which settings.

Data in: a config, the names of sources, a tokenizer or None to train one. Data out: a frozen `Plan`, which every
process that takes part gets. Text that comes from the hub is on disk by then (OUT/from_hub/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.schema import Config
from hamner.data.preparation.inputs import InputFiles, find_inputs, say_passed_over, sources_to_read, text_names
from hamner.data.preparation.part import PART_BYTES, SHARD_TOKENS, Advance, Part, Runner, file_parts
from hamner.data.preparation.store import SURVEY, UNFINISHED, Store
from hamner.data.preparation.survey_blocks import blocks_of
from hamner.data.sources import Source, find_source
from hamner.data.sources.hub_stream import Staged, stage
from hamner.data.split import CHARACTERS_PER_TOKEN
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import read_json

STAGED = "from_hub"  # folder of what was streamed, until the manifest is written
SPARE = 1.3  # of a hub source, streamed for what is held out or dropped
FORMAT = 4  # of the files in unfinished/: those of another format cannot be continued
DECIDED = f"{UNFINISHED}/decided.json"  # facts of each source; from here on the plan cannot change

PrintLine = Callable[[str], None]
Text = tuple[dict[str, Any], list[Part]]  # of one source: its origin, and its parts


@dataclass(frozen=True)
class Plan:
    """Everything that the steps of a preparation need to know. Travels to other machines."""

    config: Config
    store: Store  # where the shards go
    seq_len: int  # of rows, of which each source must fill one on each side of the split
    names: tuple[str, ...]  # sources that are written; others are read to train the tokenizer
    parts: tuple[Part, ...]  # of all sources that are read, in the sources' order
    origins: dict[str, dict[str, Any]]  # of each source: origin, revision, license
    inputs: dict[str, list[list[Any]]]  # of each source read from a folder: the listing of its files
    trains_tokenizer: bool
    tokens: int | None  # to train on, of each source, about; None: all
    shard_tokens: int
    earlier: dict[str, str]  # key of a file -> the survey that an earlier plan left of it, among those of others

    def parts_of(self, name: str) -> list[Part]:
        return [part for part in self.parts if part.source == name]

    @property
    def sources(self) -> tuple[str, ...]:
        """All that are read, in order."""
        return tuple(dict.fromkeys(part.source for part in self.parts))

    @property
    def written_parts(self) -> list[Part]:
        return [part for part in self.parts if part.source in self.names]

    def drops_duplicates(self, part: Part) -> bool:
        """Whether near-duplicates of a part are dropped; not of builtin text, whose grammar repeats itself."""
        return bool(part.files) and self.config.data.duplicates == "drop"

    @property
    def settings(self) -> dict[str, Any]:
        return plan_settings(self.config, self.names, self.tokens, self.shard_tokens)


def plan_settings(config: Config, names: Sequence[str], tokens: int | None, shard_tokens: int) -> dict[str, Any]:
    """What decides the shards' bytes, beside the text and the tokenizer themselves."""
    is_streamed = config.data.path == "hub" and tokens is None  # as far as hub_tokens says
    unused = {"hub_deadline", "local_path"} | (set() if is_streamed else {"hub_tokens"})
    if config.data.text_field == "text":
        unused.add("text_field")  # folders finished before there was such a key stay finished
    return {
        "data": config.data.model_dump(mode="json", exclude=unused),
        "seed": config.seed,
        "vocab_size": config.size.vocab_size,
        "sources": list(names),
        "seq_len": [config.tournament.seq_len, config.curriculum.seq_len],
        "tokens": tokens,
        "shard_tokens": shard_tokens,
    }


def make_plan(
    config: Config,
    store: Store,
    names: Iterable[str],
    tokenizer: Tokenizer | None,
    *,
    seq_len: int,
    tokens: int | None = None,
    shard_tokens: int = SHARD_TOKENS,
    part_bytes: int = PART_BYTES,
    runner: Runner,
    say: PrintLine,
) -> Plan:
    """Find the text, and stream what comes from the hub (in this process, shown by `runner`).

    Raises BadInput, before anything is streamed when `store` holds what was begun with other settings or files.
    """
    written = text_names(names)
    read = sources_to_read(config, written, trains_tokenizer=tokenizer is None)
    inputs = find_inputs(config, read)
    settings = plan_settings(config, written, tokens, shard_tokens)
    _claim_store(store, _fingerprint(settings, inputs, tokenizer), say)
    say_passed_over(inputs, say)
    _say_what_it_is_trained_on(read, written, say)

    def find_text(name: str) -> Text:
        if name in inputs:
            return _from_folder(name, inputs[name], part_bytes, config)
        if config.data.path == "builtin":
            return _builtin(name, config)
        return _from_hub(find_source(name), config, store, tokens, part_bytes, runner, say)

    texts = {name: find_text(name) for name in read}
    parts = tuple(part for _, of_source in texts.values() for part in of_source)
    return Plan(
        config=config,
        store=store,
        seq_len=seq_len,
        names=written,
        parts=parts,
        origins={name: origin for name, (origin, _) in texts.items()},
        inputs={name: files.listing() for name, files in inputs.items()},
        trains_tokenizer=tokenizer is None,
        tokens=tokens,
        shard_tokens=shard_tokens,
        earlier=_earlier_surveys(store, parts),
    )


def _fingerprint(
    settings: dict[str, Any], inputs: dict[str, InputFiles], tokenizer: Tokenizer | None
) -> dict[str, Any]:
    """What a preparation must have in common with the one that began in a store, to continue it."""
    return {
        "settings": settings,
        "inputs": [state for files in inputs.values() for state in files.state()],
        "tokenizer": tokenizer.sha256 if tokenizer else "train",
        "format": FORMAT,
    }


def _earlier_surveys(store: Store, parts: Sequence[Part]) -> dict[str, str]:
    """Key of a file -> the survey that has it, of those in the store that are not the parts' own."""
    own = {part.survey for part in parts}
    names = dict.fromkeys(
        name.removesuffix(SURVEY).rsplit(".", 1)[0] for name in store.names(UNFINISHED) if name.endswith(SURVEY)
    )
    return {
        file.key: name for name in names if name not in own for block in blocks_of(store, name) for file in block.files
    }


def _say_what_it_is_trained_on(read: Sequence[str], written: Sequence[str], say: PrintLine) -> None:
    """Say which sources the tokenizer is trained on where they are not those that are written."""
    others = [name for name in read if name not in written]  # none where a tokenizer is given
    if others:
        say(f"the tokenizer is trained on {', '.join(read)} and synthetic items; {', '.join(others)} only for that")


def _claim_store(store: Store, fingerprint: dict[str, Any], say: PrintLine) -> None:
    """Leave in the store only what belongs to this plan. Raises BadInput when shards of another may be there."""
    earlier = store.read_json(f"{UNFINISHED}/plan.json")
    if earlier == fingerprint:
        return
    differs = [key for key, value in fingerprint.items() if (earlier or {}).get(key) != value]
    if earlier is not None:
        if store.read(DECIDED) is not None:
            raise BadInput(
                f"{store.place} was begun with other {' and '.join(differs)}: give the same options again, choose "
                f"another --out, or delete {store.place}"
            )
        say(
            f"{store.place} was begun with other {' and '.join(differs)}, and nothing is written yet: "
            + ("beginning anew" if "format" in differs else "what is surveyed of files that are the same is kept")
        )
    if "settings" in differs:  # pieces are cut by how much is streamed: another plan's give other shards
        store.remove(STAGED)
    if "format" in differs:
        store.remove(UNFINISHED)
    for name in store.names(UNFINISHED):
        if not name.endswith((SURVEY, "plan.json")):
            store.remove(f"{UNFINISHED}/{name}")
    store.write_json(f"{UNFINISHED}/plan.json", fingerprint)


def _builtin(name: str, config: Config) -> Text:
    """Origin and part of the project's own text of a source."""
    origin = {"origin": "builtin", "revision": f"seed {config.seed}", "license": "GPL-3.0-only"}
    return origin, [Part(name, 0, size=config.data.builtin_characters, seed=config.seed)]


def _from_folder(name: str, files: InputFiles, part_bytes: int, config: Config) -> Text:
    """Origin and parts of a source in a folder. Raises BadInput for a broken about.json."""
    origin = {"origin": str(files.folder.parent), **stated_origin(files.folder / "about.json")}
    data = config.data
    return origin, file_parts(
        name, files.paths, files.folder, part_bytes, text_field=data.text_field, duplicates=data.duplicates
    )


def stated_origin(path: Path) -> dict[str, Any]:
    """Revision and license of a folder's text as its owner states them."""
    about = read_json(path) if path.is_file() else {}
    if isinstance(about, dict) and "licence" in about:
        raise BadInput(f"{path}: the key 'licence' is now called 'license'; rename it")
    if not isinstance(about, dict) or not about.keys() <= {"revision", "license"}:
        raise BadInput(f'{path} must be {{"revision": ..., "license": ...}}')
    return {"revision": None, "license": "not stated"} | about


def _from_hub(
    source: Source, config: Config, store: Store, tokens: int | None, part_bytes: int, runner: Runner, say: PrintLine
) -> Text:
    """Origin and parts of a hub source, streamed as far as it is not yet. Raises BadInput."""
    assert source.hub is not None
    if store.local is None:
        raise BadInput(
            f"what is streamed from the hub needs a folder of this machine, not {store.place}: download "
            "the data set's files and give them with --data DIR, or choose another --out"
        )
    folder, staged = store.local / STAGED, Staged()
    tokens = config.data.hub_tokens if tokens is None else tokens
    characters = int(tokens * CHARACTERS_PER_TOKEN * SPARE)

    def work(part: Part, advance: Advance) -> None:
        nonlocal staged
        staged = stage(source, folder, part.size, config.data.hub_deadline, say, advance)

    runner(f"{source.name} from the hub", work, [Part(source.name, 0, size=characters)])
    origin = {"origin": f"hub: {source.hub.dataset}", "revision": staged.revision, "license": source.hub.license}
    files = staged.files(source, folder)
    return origin, file_parts(source.name, files, folder / source.name, part_bytes, duplicates=config.data.duplicates)
