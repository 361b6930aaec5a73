"""The three ways of getting a source's documents: builtin, folder, hub. Each yields `Document`s in one order."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

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
    """One document a row (parquet), a line (jsonl) or a file (txt)."""
    for path in files:
        if path.suffix == ".parquet":
            found = _parquet(source, path, skipped)
        elif path.suffix == ".txt":
            found = iter([Document(path.read_text(encoding="utf-8"))])
        else:
            found = _json_lines(source, path, skipped)
        for document in found:
            if len(document.text.strip()) >= source.min_characters:
                yield document


def _json_lines(source: Source, path: Path, skipped: Skipped) -> Iterator[Document]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield source.parse(json.loads(line))
            except ValueError as error:    # JSONDecodeError is one too
                skipped.add(f"{path.name}:{number}", str(error))


def _parquet(source: Source, path: Path, skipped: Skipped) -> Iterator[Document]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        if "text" not in file.schema_arrow.names:
            raise BadInput(f"{path} has no column 'text'; its columns: {', '.join(file.schema_arrow.names)}")
        for batch in file.iter_batches(columns=["text"]):
            for row, text in enumerate(batch.column("text").to_pylist()):
                try:
                    yield source.parse({"text": text})
                except ValueError as error:
                    skipped.add(f"{path.name}, row {row} of a batch", str(error))


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
