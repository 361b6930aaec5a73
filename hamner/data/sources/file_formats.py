"""File formats: the records of a parquet, JSON, CSV or text file, compressed or not, in any encoding of Unicode.

Data in: a path. Data out: (place in the file, record, bytes of the file read so far) for each record; a record that
cannot be one is a `Malformed` with the reason. Raises OSError or EOFError for a file that cannot be read to its end.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from hamner.config.errors import BadInput
from hamner.data.sources.find_files import TABLE_SUFFIXES, TEXT_SUFFIXES, file_format, path_text
from hamner.data.sources.json_values import json_records
from hamner.data.sources.open_text import ByteStream, check_is_text, encoding_of, not_text, open_bytes
from hamner.data.sources.records import Malformed, name_keys

ROWS_AT_ONCE = 256  # of a parquet file: web pages of megabytes must not meet in memory


Records = Iterator[tuple[str, Any, int]]  # place in the file, the record, bytes of the file read so far


def file_records(path: Path, keys: Sequence[str]) -> Records:
    """The records of a file of any format. keys: the columns that may be read of a parquet file."""
    suffix, _ = file_format(path)
    if suffix == ".parquet":
        yield from _parquet(path, keys)
        return
    if suffix in TEXT_SUFFIXES:
        yield "", _whole_text(path), 0
        return
    with open_bytes(path) as stream:
        check_is_text(stream.head)
        yield from _csv(stream, suffix, keys) if suffix in TABLE_SUFFIXES else json_records(stream)
        if stream.trailing:
            yield "", Malformed("bytes after the end of the compressed text"), stream.position


def _whole_text(path: Path) -> Any:
    """The record of a file that is one document."""
    try:
        with open_bytes(path) as stream:
            check_is_text(stream.head)
            data = stream.file.read()
    except EOFError as error:
        return Malformed(f"cut short: {error}")
    except OSError as error:
        if error.errno is not None:  # the machine's, not what the file holds
            raise
        return Malformed(str(error))
    try:
        return {"text": data.decode(encoding_of(data[:4]))}
    except UnicodeDecodeError as error:
        return Malformed(not_text(error))


def _csv(stream: ByteStream, suffix: str, wanted: Sequence[str]) -> Records:
    """One record a row, with the keys of the first row. Raises OSError where two of those that are read are the same.

    wanted: the keys that may be read.
    """
    csv.field_size_limit(sys.maxsize)  # the module's own limit is 131,072 characters a cell
    text = io.TextIOWrapper(stream.file, encoding_of(stream.head), errors="surrogateescape", newline="")
    header = text.readline()
    delimiter = "\t" if suffix == ".tsv" else max(",;\t", key=header.count)
    if delimiter not in header:
        delimiter = "\x1f"  # of one column: its commas are part of the text, quoted or not
    try:
        keys = [key.strip() for key in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error as error:
        raise OSError(f"its first line, the headings, cannot be read: {error}") from None
    if twice := next((key for key in keys if key in wanted and keys.count(key) > 1), None):
        raise OSError(f"it has {keys.count(twice)} columns '{twice}': rename all but one of them")
    rows = csv.reader(text, delimiter=delimiter, strict=True)  # else an open quote swallows all that follows
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield f":{rows.line_num + 1}", Malformed(str(error)), stream.position
            continue
        if row:
            yield f":{rows.line_num + 1}", _csv_record(keys, row), stream.position


def _csv_record(keys: Sequence[str], row: Sequence[str]) -> Any:
    if len(row) > len(keys):
        return Malformed(f"{len(row)} cells under {len(keys)} headings")
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        return Malformed("not UTF-8")
    return dict(zip(keys, row, strict=False))


def _parquet(path: Path, keys: Sequence[str]) -> Records:
    """Raises OSError for a broken file, BadInput for one without a column of text, or with two of one name."""
    import pyarrow.parquet  # a quarter of a second, which jsonl and builtin text need not wait for

    row, size = 0, path.stat().st_size
    try:
        with ExitStack() as stack:
            source: Path | IO[bytes] = path
            if not _is_utf8(path):  # such a name is one that pyarrow cannot open
                source = stack.enter_context(path.open("rb"))
            file = stack.enter_context(pyarrow.parquet.ParquetFile(source, pre_buffer=False))
            columns = _columns(path, file.schema_arrow.names, keys)
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
                for record in _rows(batch):
                    yield f", row {row}", record, row * size // max(file.metadata.num_rows, 1)
                    row += 1
    except BadInput:
        raise
    # ValueError and OverflowError: Python's, for values of which it has no kind, such as times beyond the year 9999
    except (pyarrow.ArrowException, MemoryError, ValueError, OverflowError) as error:
        raise OSError(str(error) or "it is broken") from None


def _columns(path: Path, names: list[str], keys: Sequence[str]) -> list[str]:
    """The columns to read of a parquet file: one of them has to hold text. Raises BadInput."""
    columns = [key for key in keys if key in names]
    twice = [key for key in columns if names.count(key) > 1]
    if twice:
        raise BadInput(
            f"{path_text(path)} has {names.count(twice[0])} columns '{twice[0]}': rename all but one of them"
        )
    if not columns:
        wanted = "'text'" if len(keys) <= 2 else f"'{keys[0]}' or '{keys[1]}'"
        raise BadInput(
            f"{path_text(path)} has no column {wanted}; its columns: {name_keys(names, str)}; name the one that "
            "holds text with data.text_field=COLUMN"
        )
    return columns


def _rows(batch: Any) -> list[Any]:
    """The rows of a batch as records; one by one where a cell of it is not UTF-8."""
    try:
        return [_text_of_bytes(record) for record in batch.to_pylist()]
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            return [Malformed(not_text(error))]
        return [record for row in range(batch.num_rows) for record in _rows(batch.slice(row, 1))]


def _text_of_bytes(record: dict[str, Any]) -> dict[str, Any]:
    """A row with its columns of bytes as text: Spark and others write text so."""
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in record.items()}


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
