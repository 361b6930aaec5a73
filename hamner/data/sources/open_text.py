"""Opening text files: decompression (gzip, zstd, bzip2, lz4, brotli, xz) and detection of the encoding.

Data in: a path. Data out: a stream of bytes that knows its first bytes, how much of the file is read, and whether the
file goes on after the end of what was compressed.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hamner.data.sources.find_files import COMPRESSED_SUFFIXES, file_format

CHUNK = 2**17  # bytes decompressed at a time
BEGINNINGS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PAR1": "parquet",
    b"\xfd7zX": "xz",
    b"BZh": "bzip2",
    b"%PDF-": "PDF",
}
LFS_POINTER = b"version https://git-lfs"
HEAD = 32  # bytes that tell what a file is
STREAMS: dict[str, tuple[Callable[[], Any], bytes]] = {  # a decompressor for one stream, and how each begins
    ".bz2": (bz2.BZ2Decompressor, b"BZh"),
    ".xz": (lzma.LZMADecompressor, b"\xfd7zXZ\0"),
}


@dataclass
class ByteStream:
    """The bytes of a file, decompressed."""

    file: io.BufferedReader
    head: bytes  # the first ones, which are still to be read
    on_disk: IO[bytes]
    decompressed: _Decompressed | None

    @property
    def position(self) -> int:
        """Bytes of the file read so far, as it lies on disk."""
        return self.on_disk.tell()

    @property
    def trailing(self) -> bool:
        """Whether something else follows what was compressed; known at the end."""
        return self.decompressed is not None and self.decompressed.trailing


class _Decompressed(io.RawIOBase):
    """What a decompressor gives; what follows the end of its data ends the stream instead of failing."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._has_data, self.trailing = inner, False, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read1(len(buffer)) if hasattr(self._inner, "read1") else self._inner.read(len(buffer))
        except gzip.BadGzipFile as error:
            if not self._has_data or "Not a gzipped file" not in str(error):
                raise
            self.trailing, data = True, b""
        except (zlib.error, lzma.LZMAError, ValueError, MemoryError) as error:  # pyarrow's are kinds of the last two
            raise OSError(str(error) or "it is broken") from None
        self.trailing = self.trailing or getattr(self._inner, "trailing", False)
        self._has_data = self._has_data or bool(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()


@contextmanager
def open_bytes(path: Path) -> Iterator[ByteStream]:
    """Open a file, decompressed as its name says. Raises OSError or EOFError, here or while it is read."""
    with ExitStack() as stack:
        on_disk = stack.enter_context(path.open("rb"))
        _, compressed = file_format(path)
        inner = _Decompressed(_decompressor(on_disk, compressed)) if compressed else None
        file = io.BufferedReader(stack.enter_context(inner), CHUNK) if inner else on_disk
        yield ByteStream(file, file.peek(HEAD)[:HEAD], on_disk, inner)  # type: ignore[arg-type]


def _decompressor(file: IO[bytes], suffix: str) -> Any:
    if not os.fstat(file.fileno()).st_size:
        return io.BytesIO()  # no more than an empty file without compression is
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=file)
    if suffix in STREAMS:
        return _Streams(file, *STREAMS[suffix])
    import pyarrow  # a quarter of a second, which other files need not wait for

    return pyarrow.CompressedInputStream(pyarrow.PythonFile(file, "r"), COMPRESSED_SUFFIXES[suffix])


class _Streams:
    """Compressed streams one after the other, as bzip2 and xz write them; zeros between and after them are padding."""

    def __init__(self, file: IO[bytes], new: Callable[[], Any], beginning: bytes) -> None:
        self._file, self._new, self._beginning = file, new, beginning
        self._stream, self._rest = new(), b""
        self.trailing = False

    def read(self, size: int) -> bytes:
        """At most `size` bytes, b"" at the end. Raises EOFError for a stream that is cut short."""
        while not self.trailing:
            if self._stream.eof and not self._next_stream():
                return b""
            piece = (self._rest or self._file.read(CHUNK)) if self._stream.needs_input else b""
            if self._stream.needs_input and not piece:
                raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            self._rest = b""
            if data := self._stream.decompress(piece, size):
                return bytes(data)
        return b""

    def close(self) -> None:
        """The file is closed by who opened it."""

    def _next_stream(self) -> bool:
        """Begin the stream after the one that has ended; False where there is none."""
        rest = self._stream.unused_data.lstrip(b"\0")
        while len(rest) < len(self._beginning) and (piece := self._file.read(CHUNK)):
            rest = (rest + piece).lstrip(b"\0")
        self.trailing = bool(rest) and not rest.startswith(self._beginning)
        self._stream, self._rest = (self._new(), rest) if rest and not self.trailing else (self._stream, b"")
        return bool(self._rest)


def check_is_text(head: bytes) -> None:
    """Raises OSError for a file whose first bytes are those of a format that its name does not tell."""
    if head.startswith(LFS_POINTER):
        raise OSError("it is a pointer of git-lfs, not the file itself: get that with `git lfs pull`")
    for beginning, name in BEGINNINGS.items():
        if head.startswith(beginning):
            raise OSError(f"it is a {name} file: let its name end so, or unpack it")


def encoding_of(head: bytes) -> str:
    """The encoding of a text that begins with these bytes: by its byte order mark, or by where its zeros are."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        return json.detect_encoding(head)
    zeros = [byte == 0 for byte in head[:4]]
    patterns: dict[tuple[bool, ...], str] = {
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
    }
    return patterns.get(tuple(zeros), "utf-8-sig")


def not_text(error: UnicodeDecodeError) -> str:
    """What is wrong with bytes that are not text, and the way out."""
    name = "UTF-8" if error.encoding.startswith("utf-8") or error.encoding == "utf8" else error.encoding
    return f"not {name} (byte 0x{error.object[error.start]:02x} at {error.start}): save it as UTF-8"
