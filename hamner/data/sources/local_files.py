"""Local files (jsonl, parquet, txt) and builtin text: the documents of a source, normalized and in one order.

What is streamed from the hub is put into files first (hub_stream.py) and then read here.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.data.sources.normalization import normalize
from hamner.data.sources.source import Document, Source, Tally

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".txt")
ROWS_AT_ONCE = 256  # of a parquet file: web pages of megabytes must not meet in memory

Records = Iterator[tuple[str, Any, int]]  # place in the file, the record, bytes of the file read so far


def builtin_documents(source: Source, seed: int, characters: int) -> Iterator[Document]:
    """The project's own text, until `characters` are reached; document i depends on seed and i alone."""
    assert source.builtin is not None
    index = total = 0
    while total < characters:
        document = source.builtin(random.Random(f"{source.name}/{seed}/{index}"))
        index, total = index + 1, total + len(document.text)
        yield document


def text_files(folder: Path) -> list[Path]:
    """The files of a source's folder and below, sorted; none where there is no such folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name.endswith(SUFFIXES))


def folder_files(source: Source, folder: Path) -> list[Path]:
    """The files of DIR/<source>/ and below, sorted. Raises BadInput when there are none."""
    place = folder / source.name
    files = text_files(place)
    if not files:
        what = "no such folder" if not place.is_dir() else f"no {', '.join('*' + s for s in SUFFIXES)} there"
        raise BadInput(f"source '{source.name}' is missing: looked in {place} ({what})")
    return files


def folder_documents(
    source: Source, files: Sequence[Path], tally: Tally, folder: Path | None = None
) -> Iterator[Document]:
    """One document a row (parquet), a line (jsonl) or a file (txt). Raises BadInput for an unreadable file.

    folder: above the files; a malformed record is listed with its path below it.
    """
    for path in files:
        read: Callable[[Path], Records] = (
            _parquet if path.suffix == ".parquet" else _text if path.suffix == ".txt" else _json_lines
        )
        before, name = tally.bytes_read, path.relative_to(folder).as_posix() if folder else path.name
        try:
            for where, record, position in read(path):
                tally.records += 1
                tally.bytes_read = before + position
                try:
                    document = source.parse(json.loads(record) if isinstance(record, bytes) else record)
                    document = Document(
                        normalize(document.text),
                        tuple((role, normalize(content)) for role, content in document.messages),
                        document.cut_from,
                    )
                    document.text.encode()  # half a surrogate pair is no text
                except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeError are ValueErrors too
                    tally.skip(name + where, "nested too deeply" if isinstance(error, RecursionError) else str(error))
                    continue
                if len(document.text.strip()) >= source.min_characters:
                    yield document
                else:
                    tally.too_short += 1
        except (OSError, EOFError, zlib.error, UnicodeError) as error:
            raise BadInput(f"source '{source.name}': {path} cannot be read: {error}") from None
        tally.bytes_read = before + path.stat().st_size


def _json_lines(path: Path) -> Records:
    with path.open("rb") as file, gzip.open(file, "rb") if path.suffix == ".gz" else file as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f":{number}", line, file.tell()


def _text(path: Path) -> Records:
    yield "", {"text": path.read_text(encoding="utf-8")}, 0


def _parquet(path: Path) -> Records:
    """Raises OSError for a broken file, BadInput for one without a column of text."""
    import pyarrow.parquet  # a quarter of a second, which jsonl and builtin text need not wait for

    row, size = 0, path.stat().st_size
    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            if "text" not in file.schema_arrow.names:
                raise BadInput(f"{path} has no column 'text'; its columns: {', '.join(file.schema_arrow.names)}")
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=["text"]):
                for text in batch.column("text").to_pylist():
                    yield f", row {row}", {"text": text}, row * size // file.metadata.num_rows
                    row += 1
    except pyarrow.ArrowException as error:
        raise OSError(str(error)) from None
