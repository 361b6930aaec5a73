"""From text to tokens, before any training: documents -> held-out split -> tokenizer -> files.

Data in: the config's `data` section and the sources a run needs. Data out: a folder (see corpus.py) and the
tokenizer beside it. Everything missing or broken is found here, in the command's own process, before Ray
starts. The same inputs give the same bytes.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hamner import heldout
from hamner.config import SOURCE_NAMES, BadInput, Config, Data, Problems
from hamner.corpus import Corpus, unigram_entropy
from hamner.results import home_folder, write_json
from hamner.sources import SOURCES, Document, Skipped, Source
from hamner.sources.readers import builtin_documents, folder_documents, folder_files, hub_documents
from hamner.synthetic_tasks import LEVELS, generate
from hamner.tokenizer import END_OF_TEXT, Tokenizer

SAMPLE = 2000    # documents tokenised at a time
MIN_DOCUMENTS = 5


@dataclass
class Text:
    """One source before tokenising: how to read its documents again and again, and where the split lies."""

    source: Source
    documents: Callable[[], Iterator[Document]]
    threshold: float
    skipped: Skipped = field(default_factory=Skipped)

    def side(self, *, held_out: bool) -> Iterator[Document]:
        for document in self.documents():
            if (heldout.draw(document.text) < self.threshold) == held_out:
                yield document


def check_sources(config: Config, names: Iterable[str]) -> None:
    """Everything about the sources that can be found wrong without reading them. Raises BadInput."""
    problems = Problems()
    path = config.data.path
    if path not in ("hub", "builtin") and not Path(path).expanduser().is_dir():
        raise BadInput(
            f"no data folder '{path}': --data takes hub, builtin, or a folder with DIR/<source>/ in it"
        )
    for name in sorted({*names, *(SOURCE_NAMES if config.data.tokenizer == "train" else ())}):
        folder = _folder_of(SOURCES[name], config)
        if folder is not None:
            with problems.collect():
                folder_files(SOURCES[name], folder)
    problems.raise_all()


def choose_tokenizer(config: Config) -> Tokenizer | None:
    """The config's ready-made tokenizer, None when one is to be trained. Raises BadInput for a wrong one."""
    if config.data.tokenizer == "train":
        return None
    name: str | Path = config.data.tokenizer
    beside_data = Path(config.data.path).expanduser() / "tokenizer"    # a data folder may bring cosmo2's copy
    if name == Data().tokenizer and config.data.path != "hub" and (beside_data / "tokenizer.json").is_file():
        name = beside_data
    tokenizer = Tokenizer.load(name)
    if tokenizer.vocab_size != config.size.vocab_size:
        raise BadInput(
            f"tokenizer '{name}' has {tokenizer.vocab_size} entries, the config's size.vocab_size is "
            f"{config.size.vocab_size}: use the tokenizer the config means, or change size.vocab_size"
        )
    return tokenizer


def prepare(
    config: Config, folder: Path, names: Sequence[str], *, tokenizer: Tokenizer | None, seq_len: int,
    hub_tokens: int, say: Callable[[str], None] = print,
) -> tuple[Corpus, Tokenizer]:
    """Write the tokens of the sources `names` to `folder`; train a tokenizer first when None is given.

    seq_len: of the run's rows, of which each source must fill at least one to train on and one held out.
    hub_tokens: how far each hub source is streamed. Raises BadInput when a source is missing, too small or
    unreadable. A finished folder is taken as it is: preparing twice costs nothing.
    """
    if (folder / "manifest.json").is_file():
        tokenizer = Tokenizer.load(folder)
        return Corpus(folder, tokenizer.sha256), tokenizer
    trained = tokenizer is None
    texts = {name: _open(SOURCES[name], config)
             for name in SOURCE_NAMES if (name in names or trained) and SOURCES[name].builtin}
    for text in texts.values():
        _report_skipped(text, say)
    if tokenizer is None:
        tokenizer = Tokenizer.train(_tokenizer_text(texts, config), config.size.vocab_size)
        if tokenizer.vocab_size != config.size.vocab_size:
            raise BadInput(
                f"the text has only enough variety for {tokenizer.vocab_size} tokenizer entries, not "
                f"{config.size.vocab_size}: give more text or lower size.vocab_size"
            )
    tokenizer.save(folder)
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 65_536 else np.uint32)
    limit = hub_tokens if config.data.path == "hub" else None    # what lies on this disk is read whole
    facts = {name: _write(texts[name], tokenizer, folder, dtype, limit, say) for name in names if name in texts}
    short = [f"source '{name}' has {told[key]} tokens {use}, less than one row of {seq_len}: give more text"
             for name, told in facts.items() for key, use in (("tokens", "to train on"), ("heldout_tokens", "held out"))
             if told[key] < seq_len]
    if short:
        raise BadInput(short)
    write_json(folder / "manifest.json", {
        "data": config.data.path, "seed": config.seed, "tokenizer_sha256": tokenizer.sha256,
        "tokenizer": "trained on all five sources" if trained else "given",
        "dtype": dtype.name, "split": "blake2b(text, salt='heldout') / 2^64 < threshold",
        "heldout_fraction": config.data.heldout_fraction, "sources": facts,
    })
    return Corpus(folder, tokenizer.sha256), tokenizer


def _folder_of(source: Source, config: Config) -> Path | None:
    """The folder a source is read from; None when it needs none."""
    if config.data.path == "builtin" or source.builtin is None:
        return None
    if config.data.path == "hub":
        return None if source.hub else (home_folder() / Path(config.data.own).expanduser()).resolve()
    return Path(config.data.path).expanduser()


def _open(source: Source, config: Config) -> Text:
    """Find a source's documents and its split. Folder and builtin text is kept in memory."""
    folder = _folder_of(source, config)
    if folder is None and config.data.path == "hub":
        # a stream has no end to rank against: the plain fraction, which is plenty at this size
        return Text(source, lambda: hub_documents(source), config.data.heldout_fraction)
    skipped = Skipped()
    if folder is None:
        documents = list(builtin_documents(source, config.seed, config.data.builtin_characters))
    else:
        documents = list(folder_documents(source, folder_files(source, folder), skipped))
    if len(documents) < MIN_DOCUMENTS:
        raise BadInput(
            f"source '{source.name}' has {len(documents)} documents in {folder or 'builtin'}; at least "
            f"{MIN_DOCUMENTS} are needed to hold some out" + "".join(f"; skipped {s}" for s in skipped.records[:3])
        )
    longest = max(config.tournament.seq_len, config.curriculum.seq_len)
    threshold = heldout.threshold(
        [heldout.draw(d.text) for d in documents], [len(d.text) for d in documents],
        config.data.heldout_fraction, config.data.heldout_sequences * longest,
    )
    return Text(source, lambda: iter(documents), threshold, skipped)


def _report_skipped(text: Text, say: Callable[[str], None]) -> None:
    records = text.skipped.records
    if records:
        more = f" and {len(records) - 5} more" if len(records) > 5 else ""
        say(f"{text.source.name}: {len(records)} malformed records skipped: {'; '.join(records[:5])}{more}")


def _tokenizer_text(texts: dict[str, Text], config: Config) -> Iterator[str]:
    """Training-side text of all five sources, about equally much of each."""
    for text in texts.values():
        left = config.data.bpe_characters
        for document in text.side(held_out=False):
            yield document.text
            left -= len(document.text)
            if left <= 0:
                break
    for level in LEVELS:
        rng, left = random.Random(f"tokenizer/{config.seed}/{level}"), config.data.bpe_characters // len(LEVELS)
        while left > 0:
            item = generate(rng, level).text
            if heldout.draw(item) >= config.data.heldout_fraction:
                yield item
                left -= len(item)


def encode(tokenizer: Tokenizer, documents: Sequence[Document]) -> list[list[int]]:
    """Token ids of each document, conversations in the chat template, each closed by <|endoftext|>."""
    plain = iter(tokenizer.encode_batch([d.text for d in documents if not d.messages]))
    return [
        tokenizer.encode_chat(d.messages) if d.messages else [*next(plain), END_OF_TEXT] for d in documents
    ]


def _write(
    text: Text, tokenizer: Tokenizer, folder: Path, dtype: np.dtype[Any], limit: int | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Tokenise one source into its files, up to `limit` tokens; returns what the manifest says of it."""
    name = text.source.name
    paths = {side: folder / f"{name}.{side}.bin" for side in ("train", "heldout")}
    documents, tokens, characters = ({"train": 0, "heldout": 0} for _ in range(3))
    utf8_bytes, ends, told = 0, list[int](), time.monotonic()
    # closing: a half-read stream from the hub can abort the process when it exits
    with (closing(_generator(text.documents())) as documents_read, paths["train"].open("wb") as train,
          paths["heldout"].open("wb") as held):
        files: dict[str, BinaryIO] = {"train": train, "heldout": held}
        for batch in _batches(documents_read, SAMPLE):
            for document, ids in zip(batch, encode(tokenizer, batch), strict=True):
                side = "heldout" if heldout.draw(document.text) < text.threshold else "train"
                files[side].write(np.asarray(ids, dtype=dtype).tobytes())
                documents[side] += 1
                tokens[side] += len(ids)
                characters[side] += len(document.text)
                if side == "heldout":
                    ends.append(tokens[side])
                    utf8_bytes += len(document.text.encode())
            if limit is not None and tokens["train"] >= limit:
                break
            if time.monotonic() > told + 20:
                told = time.monotonic()
                say(f"{name}: {tokens['train']:,} tokens" + (f" of {limit:,}" if limit else "") + " so far")
    (folder / f"{name}.heldout.ends.bin").write_bytes(np.asarray(ends, dtype=np.int64).tobytes())
    if not tokens["heldout"]:
        raise BadInput(f"source '{name}' has too few different documents to hold any out")
    return {
        "documents": documents["train"], "heldout_documents": documents["heldout"],
        "tokens": tokens["train"], "heldout_tokens": tokens["heldout"],
        "characters": characters["train"], "heldout_characters": characters["heldout"],
        "heldout_bytes": utf8_bytes, "threshold": text.threshold,
        "heldout_unigram_nats": unigram_entropy(np.fromfile(paths["heldout"], dtype=dtype)),
        "skipped": text.skipped.records,
    }


def _generator(documents: Iterator[Document]) -> Generator[Document, None, None]:
    yield from documents


def _batches(documents: Iterator[Document], size: int) -> Iterator[list[Document]]:
    while batch := list(itertools.islice(documents, size)):
        yield batch
