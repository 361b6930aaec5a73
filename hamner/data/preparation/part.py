"""One part of the text that is prepared: which files it is, and its documents in batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hamner.config.schema import Config
from hamner.data.sources import SOURCES, Document, Tally
from hamner.data.sources.local_files import builtin_documents, folder_documents

BATCH_CHARACTERS, BATCH_DOCUMENTS = 2**21, 2000  # handled at a time
WORK = "unfinished"  # folder of what is needed until the manifest is written
Advance = Callable[[int], None]  # told how many bytes of input were done


@dataclass(frozen=True)
class Part:
    """A task: some files of one source, or the builtin text of it (no files)."""

    source: str
    number: int
    files: tuple[Path, ...] = ()
    size: int = 0  # bytes on disk; of builtin text, characters
    folder: Path | None = None  # DIR/<source>, above the files

    @property
    def name(self) -> str:
        return f"{self.source}.{self.number:05}"


def documents(part: Part, config: Config, tally: Tally) -> Iterator[Document]:
    """The part's documents, the same each time."""
    source = SOURCES[part.source]
    if part.files:
        return folder_documents(source, part.files, tally, part.folder)
    return _counted(builtin_text(part.source, config.seed, config.data.builtin_characters), tally)


def _counted(texts: Iterable[Document], tally: Tally) -> Iterator[Document]:
    for document in texts:
        tally.records += 1
        yield document


@lru_cache(maxsize=8)
def builtin_text(name: str, seed: int, characters: int) -> list[Document]:
    """Drawn once a process: writing it takes longer than reading it."""
    return list(builtin_documents(SOURCES[name], seed, characters))


def batches(stream: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents a few megabytes at a time."""
    batch: list[Document] = []
    size = 0
    for document in stream:
        batch.append(document)
        size += len(document.text)
        if size >= BATCH_CHARACTERS or len(batch) >= BATCH_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def generator(stream: Iterator[Document]) -> Generator[Document, None, None]:
    """An iterator that can be closed: files stay open while it is half read."""
    yield from stream
