"""Documents of a source from this machine, normalised and in one order: builtin, or the files of a folder.

The third way, the hub, first puts what it streams into a folder (hub.py).
"""

from __future__ import annotations

import gzip
import json
import random
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from hamner.config.errors import BadInput
from hamner.data.sources.source import Document, Source, Tally

LINE_ENDS = re.compile(r"\r\n?")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".txt")
ROWS_AT_ONCE = 256  # of a parquet file: web pages of megabytes must not meet in memory

Records = Iterator[tuple[str, Any, int]]  # where it stands in the file, the record, bytes of the file read so far


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


def folder_documents(
    source: Source, files: Sequence[Path], tally: Tally, folder: Path | None = None
) -> Iterator[Document]:
    """One document a row (parquet), a line (jsonl) or a file (txt). Raises BadInput for an unreadable file.

    folder: above the files; a malformed record is told by the path from there on.
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
                        normalise(document.text),
                        tuple((role, normalise(content)) for role, content in document.messages),
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
        except (OSError, EOFError, zlib.error, pyarrow.ArrowException, UnicodeError) as error:
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
    row, size = 0, path.stat().st_size
    with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
        if "text" not in file.schema_arrow.names:
            raise BadInput(f"{path} has no column 'text'; its columns: {', '.join(file.schema_arrow.names)}")
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=["text"]):
            for text in batch.column("text").to_pylist():
                yield f", row {row}", {"text": text}, row * size // file.metadata.num_rows
                row += 1


def normalise(text: str) -> str:
    """Text by the rule above; applying it twice changes nothing."""
    if CONTROL.search(text):  # also finds CR
        text = CONTROL.sub("", LINE_ENDS.sub("\n", text))
    return text if text.isascii() else unicodedata.normalize("NFC", text)
