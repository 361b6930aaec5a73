"""One part of the text, the unit of work: its files, its documents in batches, and the skeleton of both its readings.

A part is an input file, several small ones, or the builtin text of a source; it is one task on a cluster. It is read
twice (survey.py, write_shards.py), each time into numbered pieces that are stored whole: a killed reading continues
after the last piece.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from hamner.data.sources import Document, Tally, find_source
from hamner.data.sources.local_files import builtin_documents, folder_documents

BATCH_CHARACTERS, BATCH_DOCUMENTS = 2**21, 2000  # handled at a time
PART_BYTES = 2**23  # small files are read together up to this size
SHARD_TOKENS = 2**26  # of a shard, unless a command says otherwise


@dataclass(frozen=True)
class Part:
    """Some files of one source, or its builtin text (no files)."""

    source: str
    number: int
    files: tuple[Path, ...] = ()
    size: int = 0  # bytes on disk; of builtin text, characters
    folder: Path | None = None  # DIR/<source>, above the files
    seed: int = 0  # of builtin text
    text_field: str = "text"  # key of the text in a record
    file_keys: tuple[str, ...] = ()  # of each file: names it as it is now, with all that its survey depends on

    @property
    def name(self) -> str:
        """Of its shards and dispositions."""
        return f"{self.source}.{self.number:05}"

    @property
    def survey(self) -> str:
        """The name of its survey, which does not depend on what else is read."""
        return f"{self.source}.{_digest(*(self.file_keys or (self.name, self.seed, self.size)))}"

    def of_file(self, path: Path) -> Part:
        """The part that is this file of it alone."""
        return replace(self, files=(path,), file_keys=())


Advance = Callable[[int], None]  # called with the bytes of input read since the last call
Work = Callable[[Part, Advance], None]
Runner = Callable[[str, Work, Sequence[Part]], None]  # does the work on every part; the word names the step


class PieceWriter(Protocol):
    """What one reading makes of a part's documents: numbered pieces, each stored whole."""

    documents_read: int  # by the stored pieces
    is_complete: bool  # the last piece is stored

    def add(self, batch: list[Document]) -> None:
        """Take a batch, and store each piece that is full."""

    def close(self) -> None:
        """Store the last piece, at the end of the part."""


def read_part(part: Part, documents: Iterator[Document], tally: Tally, writer: PieceWriter, advance: Advance) -> None:
    """Read a part into `writer` from where its stored pieces end.

    documents: of the whole part, counted by `tally`.
    """
    if writer.is_complete:
        advance(part.size)
        return
    with closing(generator(documents)) as stream:
        for _ in itertools.islice(stream, writer.documents_read):
            pass
        reported = 0
        for batch in batches(stream):
            writer.add(batch)
            advance(tally.bytes_read - reported if part.files else sum(len(document.text) for document in batch))
            reported = tally.bytes_read
    writer.close()


def file_parts(
    source: str,
    files: Sequence[Path],
    folder: Path,
    part_bytes: int = PART_BYTES,
    *,
    text_field: str = "text",
    duplicates: str = "drop",
) -> list[Part]:
    """Files of `folder` in order; each a part of its own, small neighbours together."""
    groups: list[list[Path]] = [[]]
    sizes = [0]
    keys: list[list[str]] = [[]]
    for path in files:
        status = path.stat()
        if groups[-1] and sizes[-1] + status.st_size > part_bytes:
            groups.append([])
            sizes.append(0)
            keys.append([])
        groups[-1].append(path)
        sizes[-1] += status.st_size
        keys[-1].append(_digest(source, path, status.st_size, status.st_mtime_ns, text_field, duplicates))
    return [
        Part(source, number, tuple(group), size, folder, text_field=text_field, file_keys=tuple(of_files))
        for number, (group, size, of_files) in enumerate(zip(groups, sizes, keys, strict=True))
    ]


def _digest(*words: object) -> str:
    text = "\0".join(map(str, words))
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()


def part_documents(part: Part, tally: Tally) -> Iterator[Document]:
    """The part's documents, the same each time."""
    if part.files:
        return folder_documents(find_source(part.source), part.files, tally, part.folder, part.text_field)
    return _counted(builtin_text(part.source, part.seed, part.size), tally)


def _counted(documents: Iterable[Document], tally: Tally) -> Iterator[Document]:
    for document in documents:
        tally.records += 1
        yield document


@lru_cache(maxsize=8)
def builtin_text(name: str, seed: int, characters: int) -> list[Document]:
    """Builtin documents, drawn once a process: drawing takes longer than reading."""
    return list(builtin_documents(find_source(name), seed, characters))


def batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents a few megabytes at a time."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= BATCH_CHARACTERS or len(batch) >= BATCH_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def generator(documents: Iterator[Document]) -> Generator[Document, None, None]:
    """An iterator that can be closed: files stay open while it is half read."""
    yield from documents
