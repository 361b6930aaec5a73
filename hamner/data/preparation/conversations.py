"""Preparation for fine-tuning: conversations are read, counted, shortened, split and written as rows.

Data in: sources of conversations, a tokenizer. Data out, in one folder:

    NAME.train.bin, NAME.heldout.bin    rows of labelled tokens, see conversation_rows.py
    conversations.json                  of each source its origin, license and what became of every record; the last

Nothing is dropped in silence: each reason has a count, and is said (conversation_counts.py). Held out is what the
project's hash says (split.py, wholes.py), by the threshold of the base's own conversations: what that never trained on
stays held out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.config.schema import Config
from hamner.data import split
from hamner.data.builtin_text import everyday
from hamner.data.builtin_text.identity import Identity
from hamner.data.conversation_files import FACTS, row_sums, rows_file
from hamner.data.conversation_packing import pack
from hamner.data.conversation_tokens import Labelled, encode_turns, shorten
from hamner.data.preparation.conversation_counts import Counts, Limits, check_enough, source_lines
from hamner.data.preparation.part import batches
from hamner.data.preparation.plan import SPARE, stated_origin
from hamner.data.preparation.survey_blocks import text_hash
from hamner.data.preparation.wholes import narrowed, wholes
from hamner.data.sources.conversations import IDENTITY, ConversationSource
from hamner.data.sources.hub_stream import stage
from hamner.data.sources.local_files import builtin_documents, folder_documents
from hamner.data.sources.sft_conversations import conversation
from hamner.data.sources.source import Document, Source, Tally
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import write_bytes, write_json

MOST_LISTED = 5  # malformed records that are named
IDENTITY_CONVERSATIONS = 3000  # drawn; the templates have far more readings


@dataclass(frozen=True)
class _Read:
    """The conversations of a source that may stay, in the order they were read."""

    labelled: list[Labelled]
    draws: npt.NDArray[np.float64]  # (n, 3): of the conversation, of what it is a piece of, of a narrower such thing
    characters: list[int]


def prepare_conversations(
    sources: Mapping[str, ConversationSource],
    tokenizer: Tokenizer,
    config: Config,
    limits: Limits,
    folder: Path,
    threshold: float | None,
    say: Callable[[str], None],
) -> None:
    """Write the rows of all sources into `folder`, unless they are there. Raises BadInput, as prepare_source does."""
    if (folder / FACTS).is_file():
        return
    facts = {}
    for name, chosen in sources.items():
        facts[name] = prepare_source(chosen, tokenizer, config, limits, folder, threshold, say)
        for line in source_lines(name, facts[name], limits):
            say(line)
    document = {"seq_len": limits.seq_len, "max_reply_tokens": limits.max_reply_tokens, "seed": config.seed}
    write_json(folder / FACTS, document | {"tokenizer_sha256": tokenizer.sha256, "sources": facts})


def prepare_source(
    chosen: ConversationSource,
    tokenizer: Tokenizer,
    config: Config,
    limits: Limits,
    folder: Path,
    threshold: float | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the rows of one source; return its facts. Raises BadInput for one that cannot be read or has too little.

    threshold: the unit hash below which conversations are held out; None: the project's rule for a source.
    """
    tally, counts = Tally(), Counts()
    origin, documents = _documents(chosen, config, limits, folder, tally, say)
    with closing(documents):
        read = _read(documents, tokenizer, limits, counts)
    counts.records, counts.malformed, counts.skipped = tally.records, tally.malformed, tally.skipped[:MOST_LISTED]
    check_enough(chosen.name, origin["origin"], counts, len(read.labelled))
    is_drawn = chosen.kind in ("builtin", "identity")
    is_held_out, threshold = _split(read, config.data.heldout_fraction, limits.heldout_tokens, threshold, is_drawn)
    sides = {
        side: [ids for ids, held_out in zip(read.labelled, is_held_out, strict=True) if held_out == (side == "heldout")]
        for side in ("train", "heldout")
    }
    rows = {side: pack(ids, limits.seq_len, f"{config.seed}/{chosen.name}/{side}") for side, ids in sides.items()}
    for side, packed in rows.items():
        write_bytes(rows_file(folder, chosen.name, side), packed.tobytes())
    counts.conversations, counts.heldout = len(sides["train"]), len(sides["heldout"])
    counts.rows, counts.heldout_rows = len(rows["train"]), len(rows["heldout"])
    counts.tokens = sum(map(len, sides["train"]))
    counts.trained_tokens = int((rows["train"] >= 0).sum())
    return {
        **origin,
        "kind": chosen.kind,
        "threshold": threshold,
        **asdict(counts),
        "sha256": row_sums(folder, chosen.name),
    }


def _documents(
    chosen: ConversationSource, config: Config, limits: Limits, folder: Path, tally: Tally, say: Callable[[str], None]
) -> tuple[dict[str, Any], Any]:
    """Where a source comes from, and a generator of its documents."""
    source, data = chosen.source, config.data
    ours = {"origin": "builtin", "revision": f"seed {config.seed}", "license": "GPL-3.0-only"}
    if chosen.kind == "builtin":
        return ours, _counted(builtin_documents(source, config.seed, data.builtin_characters), tally)
    if chosen.kind == "everyday":
        return ours | {"revision": None}, _counted(map(conversation, everyday.conversations()), tally)
    if chosen.kind == "identity":
        path = config.finetuning.identity_file
        stated = {"origin": path, "revision": None, "license": "not stated"} if path else ours
        return stated, _counted(_identity_documents(path, config.seed), tally)
    if chosen.kind == "files":
        assert chosen.folder is not None
        stated = {"origin": str(chosen.folder), **stated_origin(chosen.folder / "about.json")}
        return stated, folder_documents(source, chosen.files, tally, chosen.folder, data.text_field)
    assert source.hub is not None
    say(f"{source.name}: streaming {source.hub.dataset} of the Hugging Face Hub, license {source.hub.license}")
    characters = int(limits.hub_tokens * split.CHARACTERS_PER_TOKEN * SPARE)
    staged = stage(source, folder / "from_hub", characters, data.hub_deadline, say)
    files = staged.files(source, folder / "from_hub")
    origin = {"origin": f"hub: {source.hub.dataset}", "revision": staged.revision, "license": source.hub.license}
    return origin, folder_documents(source, files, tally)


def _counted(documents: Iterator[Document], tally: Tally) -> Iterator[Document]:
    for document in documents:
        tally.records += 1
        yield document


def _identity_documents(path: str, seed: int) -> Iterator[Document]:
    identity = Identity.load(path)

    def draw(rng: random.Random) -> Document:
        messages = tuple(identity.conversation(rng))
        return Document("\n".join(content for _, content in messages), messages)

    source = Source(IDENTITY, builtin=draw)
    documents = builtin_documents(source, seed, characters=10**9)
    yield from (document for _, document in zip(range(IDENTITY_CONVERSATIONS), documents, strict=False))


def _read(documents: Iterator[Document], tokenizer: Tokenizer, limits: Limits, counts: Counts) -> _Read:
    """Encode and shorten the conversations, without those that are duplicates or have no reply left."""
    read, draws, texts = _Read([], np.empty((0, 3)), []), list[tuple[float, float, float]](), set[int]()
    for batch in batches(documents):
        new = []
        for document in batch:
            key = text_hash("\0".join(f"{role}\0{content}" for role, content in document.messages))
            if key not in texts:
                new.append(document)
            texts.add(key)
        counts.duplicates += len(batch) - len(new)
        for document, turns in zip(new, encode_turns(tokenizer, [d.messages for d in new]), strict=True):
            short = shorten(turns, limits.max_reply_tokens, limits.seq_len)
            counts.replies += short.replies
            counts.too_long += short.too_long
            counts.beyond_row += short.beyond_row
            if not short.exchanges:
                counts.without_reply += 1
                continue
            counts.several += short.exchanges > 1
            read.labelled.append(short.labelled)
            read.characters.append(len(document.text))
            whole, narrow = wholes(document)
            draws.append((split.unit_hash(document.text), split.unit_hash(whole), split.unit_hash(narrow)))
    return _Read(read.labelled, np.array(draws).reshape(-1, 3), read.characters)


def _split(
    read: _Read, fraction: float, tokens: int, threshold: float | None, is_drawn: bool
) -> tuple[npt.NDArray[np.bool_], float]:
    """Which conversations are held out, (n,), and the threshold.

    is_drawn: each is drawn anew, and a piece of nothing.
    """
    own, whole, narrow = read.draws.T
    draws = own if is_drawn else narrowed(whole, narrow, np.ones(len(own), dtype=bool))
    if (draws == draws[0]).all():  # all of it would be held out, or nothing
        draws = own
    if threshold is None or not (draws < threshold).any() or (draws < threshold).all():
        threshold = split.threshold(draws, read.characters, fraction, tokens)
    return draws < threshold, threshold
