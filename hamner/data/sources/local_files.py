"""Local files and builtin text: the documents of a source, normalized and in one order.

Which files of a folder are read says find_files.py, how their records are found file_formats.py. What is streamed from
the hub is put into files first (hub_stream.py) and then read here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.data.sources.file_formats import file_records
from hamner.data.sources.find_files import READABLE, FoundFiles, find_files, list_names, path_text
from hamner.data.sources.normalization import normalize
from hamner.data.sources.records import Malformed, checked
from hamner.data.sources.source import Document, Source, Tally

TAKE_AWAY = "mend it or take it away, and run the same command again: what is read of the other files is kept"


def builtin_documents(source: Source, seed: int, characters: int) -> Iterator[Document]:
    """The project's own text, until `characters` are reached; document i depends on seed and i alone."""
    assert source.builtin is not None
    index = total = 0
    while total < characters:
        document = source.builtin(random.Random(f"{source.name}/{seed}/{index}"))
        index, total = index + 1, total + len(document.text)
        yield document


def source_files(source: Source, folder: Path) -> FoundFiles:
    """The files of DIR/<source>/ and below. Raises BadInput when none of them is read."""
    place = folder / source.name
    found = find_files(place)
    if not found.paths:
        what = f"no {READABLE} there" if place.is_dir() else "no such folder"
        if place.is_dir() and not any(place.iterdir()):
            what = f"an empty folder, no {READABLE}"
        if found.passed_over:
            what += f"; it holds {list_names(found.passed_over, place)}"
        if place.is_dir() and any(path.name.startswith(".") for path in place.iterdir()):
            what += "; names that begin with a dot are not data"
        raise BadInput(f"source '{source.name}' is missing: looked in {path_text(place)} ({what})")
    return found


def folder_files(source: Source, folder: Path) -> list[Path]:
    """The files of DIR/<source>/ and below that are read, sorted. Raises BadInput when there are none."""
    return list(source_files(source, folder).paths)


def folder_documents(
    source: Source,
    files: Sequence[Path],
    tally: Tally,
    folder: Path | None = None,
    text_field: str = "text",
    at_end: Callable[[Path], None] = lambda _: None,
) -> Iterator[Document]:
    """The documents of files, one a record. Raises BadInput for an unreadable file.

    folder: above the files; a malformed record is listed with its path below it. text_field: key of the text, where a
    record has it. at_end: called when all of a file is read.
    """
    keys = tuple(dict.fromkeys((text_field, *source.keys)))
    for path in files:
        before, name = tally.bytes_read, path_text(path.relative_to(folder) if folder else path.name)
        try:
            for where, record, position in file_records(path, keys):
                tally.records += 1
                tally.bytes_read = before + position
                document = _document(source, record, text_field)
                if isinstance(document, Malformed):
                    tally.skip(name + where, document.reason)
                elif len(document.text.strip()) >= source.min_characters:
                    yield document
                else:
                    tally.too_short += 1
        except (OSError, EOFError, UnicodeError) as error:
            raise BadInput(f"source '{source.name}': {path_text(path)} cannot be read: {error}; {TAKE_AWAY}") from None
        tally.bytes_read = before + path.stat().st_size
        at_end(path)


def _document(source: Source, record: Any, text_field: str) -> Document | Malformed:
    """The normalized document of a record."""
    if isinstance(record, Malformed):
        return record
    if text_field != "text" and isinstance(record, dict) and record.get(text_field) is not None:
        record = record | {"text": record[text_field]}
    try:
        document = source.parse(record)
        document = Document(
            normalize(document.text),
            tuple((role, normalize(content)) for role, content in document.messages),
            document.cut_from,
        )
        document.text.encode()
        document.cut_from.encode()
        if document.messages:
            checked(list(document.messages))  # again: control characters are no words
    except UnicodeEncodeError as error:
        sign = ord(error.object[error.start])
        return Malformed(f"not UTF-8 (byte 0x{sign & 0xFF:02x})" if 0xDC80 <= sign <= 0xDCFF else
                         f"half of a surrogate pair (\\u{sign:04x}), which is not a character")  # fmt: skip
    except RecursionError:
        return Malformed("nested too deeply")
    except ValueError as error:
        return Malformed(str(error))
    return document
