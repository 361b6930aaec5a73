"""Hugging Face Hub streaming: retries with back-off, resumes where it stood, gives up at a deadline.

`stage` puts the rows of a dataset into parquet pieces in a folder, each with the stream's state beside it, so that a
killed preparation streams at most one piece again. From there the source is read as the files of any folder are.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.data.sources.hub_reader import Retry, Rows, read
from hamner.data.sources.source import Source
from hamner.runs.background import Child, Failed
from hamner.runs.files import read_json_as, write_bytes, write_json

ROWS_AT_ONCE = 256  # received at a time
PIECE_CHARACTERS = 2**26  # of a staged file


class HubStream:
    """Rows of a hub dataset, from a state on.

    They are read by a process of its own, which is ended after `deadline` seconds without a row (or a block of the file
    on the way to the next row); then BadInput.
    """

    def __init__(
        self,
        source: Source,
        deadline: float,
        *,
        revision: str | None = None,
        state: dict[str, Any] | None = None,
        rows_at_once: int = ROWS_AT_ONCE,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        assert source.hub is not None
        self._name, self._where, self._deadline, self._say = source.name, source.hub, deadline, say
        self._rows_at_once = rows_at_once
        self.revision, self.state = revision, state  # state: of the stream after the rows received so far

    def batches(self) -> Generator[list[str | None], None, None]:
        """Texts, some hundred at a time; `state` is that after the newest batch. To be closed."""
        with closing(Child(read, self._where, self.revision, self.state, self._rows_at_once)) as reader:
            try:
                reader.receive()  # its libraries are imported first, which takes as long as it takes
                while texts := self._next(reader):
                    yield texts
            except Failed as error:
                raise BadInput(f"{self._failure} ({error}); {self._where.way_out}") from None

    def _next(self, reader: Child) -> list[str | None]:
        """The next texts, none at the end. Raises BadInput at the deadline, Failed for what waiting cannot mend."""
        last, until = "no answer", time.monotonic() + self._deadline
        while True:
            try:
                answer = reader.receive(max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise BadInput(
                    f"{self._failure}: it gave nothing for {self._deadline:g} s ({last}); check the network and run "
                    f"the same command again to continue, raise data.hub_deadline, or {self._where.way_out}"
                ) from None
            if isinstance(answer, Rows):
                self.revision, self.state = answer.revision, answer.state
                return answer.texts
            if isinstance(answer, Retry):
                last = answer.reason
                if time.monotonic() + answer.wait < until:
                    self._say(f"{self._name}: the hub failed ({last}); trying again in {answer.wait:.1f} s")
            else:
                until = time.monotonic() + self._deadline

    @property
    def _failure(self) -> str:
        return f"source '{self._name}' cannot be streamed from hub dataset '{self._where.dataset}'"


@dataclass(frozen=True)
class Staged:
    """How far a hub source is on disk; state.json of its folder."""

    revision: str | None = None  # the commit that is streamed
    stream: dict[str, Any] | None = None  # state of the stream after the last piece
    pieces: int = 0
    characters: int = 0
    complete: bool = False  # the dataset has no more rows

    def files(self, source: Source, folder: Path) -> list[Path]:
        """The pieces in order."""
        return [_piece(folder / source.name, number) for number in range(self.pieces)]


def stage(
    source: Source,
    folder: Path,
    characters: int,
    deadline: float,
    say: Callable[[str], None],
    advance: Callable[[int], None] = lambda _: None,
    *,
    rows_at_once: int = ROWS_AT_ONCE,
    piece_characters: int = PIECE_CHARACTERS,
) -> Staged:
    """Stream a source into `folder` until `characters` are on disk, or to its end. Raises BadInput.

    A killed one is continued: a piece counts when state.json, written after it, says so. To continue with another
    number of characters would cut the pieces elsewhere than streaming anew would.
    """
    place, staged = folder / source.name, Staged()
    if (place / "state.json").is_file():
        staged = read_json_as(place / "state.json", lambda state: Staged(**state))
    if not staged.complete and staged.characters < characters:
        stream = HubStream(
            source, deadline, revision=staged.revision, state=staged.stream, rows_at_once=rows_at_once, say=say
        )
        staged = _stream(stream, place, staged, characters, piece_characters, advance)
    if not staged.pieces:
        assert source.hub is not None
        raise BadInput(f"source '{source.name}' has no rows on the hub: {source.hub.way_out}")
    return staged


def _stream(
    stream: HubStream,
    place: Path,
    staged: Staged,
    characters: int,
    piece_characters: int,
    advance: Callable[[int], None],
) -> Staged:
    """Write pieces, and state.json after each, until `characters` or the end."""
    advance(staged.characters)
    texts: list[str | None] = []
    waiting = 0  # characters of the next piece
    with closing(stream.batches()) as batches:
        while not staged.complete and staged.characters < characters:
            batch = next(batches, None)
            texts += batch or []
            size = sum(len(text or "") for text in batch or [])
            waiting += size
            advance(size)
            if batch is None or waiting >= min(piece_characters, characters - staged.characters):
                if texts:
                    _write_piece(_piece(place, staged.pieces), texts)
                staged = replace(
                    staged,
                    revision=stream.revision,
                    stream=stream.state,
                    complete=batch is None,
                    pieces=staged.pieces + bool(texts),
                    characters=staged.characters + waiting,
                )
                write_json(place / "state.json", asdict(staged))
                texts, waiting = [], 0
    return staged


def _piece(place: Path, number: int) -> Path:
    return place / f"{number:05}.parquet"


def _write_piece(path: Path, texts: list[str | None]) -> None:
    import pyarrow
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), buffer, compression="zstd", row_group_size=ROWS_AT_ONCE)
    write_bytes(path, buffer.getvalue())
