"""The three ways of getting a source's documents: builtin, folder, hub. Each yields `Document`s in one order."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet

from hamner.config import BadInput
from hamner.sources.source import Document, Skipped, Source

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".txt")


def builtin_documents(source: Source, seed: int, characters: int) -> Iterator[Document]:
    """Seeded text of our own, until `characters` are reached; document i depends on seed and i alone."""
    assert source.builtin is not None
    index = total = 0
    while total < characters:
        document = source.builtin(random.Random(f"{source.name}/{seed}/{index}"))
        index, total = index + 1, total + len(document.text)
        yield document


def folder_files(source: Source, folder: Path) -> list[Path]:
    """The files of DIR/<source>/ and below, sorted. Raises BadInput when there are none."""
    place = folder / source.name
    files = sorted(p for p in place.rglob("*") if p.is_file() and p.name.endswith(SUFFIXES))
    if not files:
        what = "no such folder" if not place.is_dir() else f"no {', '.join('*' + s for s in SUFFIXES)} there"
        raise BadInput(
            f"source '{source.name}' is missing: looked in {place} ({what}); put its files there, give "
            f"another folder with --data DIR, or use --data builtin"
        )
    return files


def folder_documents(source: Source, files: list[Path], skipped: Skipped) -> Iterator[Document]:
    """One document a row (parquet), a line (jsonl) or a file (txt). Raises BadInput for an unreadable file."""
    for path in files:
        read = _parquet if path.suffix == ".parquet" else _text if path.suffix == ".txt" else _json_lines
        try:
            for where, record in read(path):
                try:
                    document = source.parse(json.loads(record) if isinstance(record, bytes) else record)
                    document.text.encode()    # half a surrogate pair is no text
                except ValueError as error:    # JSONDecodeError and UnicodeError are ValueErrors too
                    skipped.add(where, str(error))
                    continue
                if len(document.text.strip()) >= source.min_characters:
                    yield document
        except (OSError, EOFError, zlib.error, pyarrow.ArrowException, UnicodeError) as error:
            raise BadInput(f"source '{source.name}': {path} cannot be read: {error}") from None


def _json_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{path.name}:{number}", line


def _text(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    yield path.name, {"text": path.read_text(encoding="utf-8")}


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    row = 0
    with pyarrow.parquet.ParquetFile(path) as file:
        if "text" not in file.schema_arrow.names:
            raise BadInput(f"{path} has no column 'text'; its columns: {', '.join(file.schema_arrow.names)}")
        for batch in file.iter_batches(columns=["text"]):
            for text in batch.column("text").to_pylist():
                yield f"{path.name}, row {row}", {"text": text}
                row += 1


def hub_documents(source: Source) -> Iterator[Document]:
    """Stream a source from the hub. Raises BadInput when it cannot be reached."""
    assert source.hub is not None
    import datasets

    where = source.hub
    try:
        stream = datasets.load_dataset(where.dataset, where.config, split=where.split, streaming=True)
        rows = iter(stream)
        first = next(rows)
    except Exception as error:    # the library raises a dozen kinds, of four other libraries
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadInput(
            f"source '{source.name}' cannot be streamed: hub dataset '{where.dataset}' ({reason}); "
            "check the network, or use --data DIR or --data builtin"
        ) from None
    try:
        record = first
        while record is not None:
            text = record[where.field]
            if len(text.strip()) >= source.min_characters:
                yield Document(text)
            record = next(rows, None)
    finally:    # an open parquet stream can abort the process when it exits
        close = getattr(rows, "close", None)
        if close:
            close()
