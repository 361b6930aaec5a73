"""Streaming a source from the hub: retried with back-off, resumed where it stood, given up at a deadline.

`stage` puts what it streams into parquet pieces of a folder, each with the stream's state beside it, so that a
killed preparation streams at most one piece again. From there the source is read as any folder's files are.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from hamner.config.errors import BadInput
from hamner.data.sources.hub_reader import Retry, Rows, read
from hamner.data.sources.source import Source
from hamner.runs.background import Child, Failed
from hamner.runs.files import read_json, write_bytes, write_json

ROWS_AT_ONCE = 256  # received at a time
PIECE_CHARACTERS = 2**26  # of a staged file


class HubStream:
    """Rows of a hub dataset, from a state on, read by a process of its own, which is ended after `deadline` seconds
    without a row (nor a block of the file on the way to where it goes on); then BadInput."""

    def __init__(
        self,
        source: Source,
        deadline: float,
        *,
        revision: str | None = None,
        state: dict[str, Any] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        assert source.hub is not None
        self._name, self._where, self._deadline, self._say = source.name, source.hub, deadline, say
        self.revision, self.state = revision, state  # state: of the stream after the rows had so far

    def batches(self) -> Generator[list[str | None], None, None]:
        """Texts, some hundred at a time; `state` is that after the batch just had. To be closed."""
        with closing(Child(read, self._where, self.revision, self.state, ROWS_AT_ONCE)) as reader:
            try:
                reader.receive()  # its libraries are imported, which takes as long as it takes
                while texts := self._next(reader):
                    yield texts
            except Failed as error:
                raise BadInput(f"{self._cannot} ({error}); use --data DIR or --data builtin") from None

    def _next(self, reader: Child) -> list[str | None]:
        """The next texts, none at the end. Raises BadInput at the deadline, Failed for what waiting cannot mend."""
        last, until = "no answer", time.monotonic() + self._deadline
        while True:
            try:
                answer = reader.receive(max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise BadInput(
                    f"{self._cannot}: it gave nothing for {self._deadline:g} s ({last}); check the network and run the "
                    "same command again, which goes on where it stood, raise data.hub_deadline, or use --data DIR or "
                    "--data builtin"
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
    def _cannot(self) -> str:
        return f"source '{self._name}' cannot be streamed from hub dataset '{self._where.dataset}'"


@dataclass(frozen=True)
class Staged:
    """A hub source on disk: its commit, and its pieces in order."""

    revision: str
    pieces: list[Path]


def stage(
    source: Source,
    folder: Path,
    characters: int,
    deadline: float,
    say: Callable[[str], None],
    advance: Callable[[int], None] = lambda _: None,
) -> Staged:
    """Stream until `characters` are on disk, or to the end. Raises BadInput.

    Goes on where a killed one stood: a piece counts when state.json, written after it, says so. To go on with
    another number of characters would cut the pieces elsewhere than streaming anew would.
    """
    place = folder / source.name
    told: dict[str, Any] = {"revision": None, "stream": None, "pieces": 0, "characters": 0, "complete": False}
    if (place / "state.json").is_file():
        told = read_json(place / "state.json")
    if not told["complete"] and told["characters"] < characters:
        stream = HubStream(source, deadline, revision=told["revision"], state=told["stream"], say=say)
        _stream(stream, place, told, characters, advance)
    if not told["pieces"]:
        raise BadInput(f"source '{source.name}' has no rows on the hub: use --data DIR or --data builtin")
    return Staged(told["revision"], [_piece(place, number) for number in range(told["pieces"])])


def _stream(
    stream: HubStream, place: Path, told: dict[str, Any], characters: int, advance: Callable[[int], None]
) -> None:
    """Write pieces, and `told` of how far they go after each, until `characters` or the end."""
    advance(told["characters"])
    texts: list[str | None] = []
    held = 0
    batches = stream.batches()
    try:
        while not told["complete"] and told["characters"] < characters:
            batch = next(batches, None)
            texts += batch or []
            grown = sum(len(text or "") for text in batch or [])
            held += grown
            advance(grown)
            if batch is None or held >= min(PIECE_CHARACTERS, characters - told["characters"]):
                if texts:
                    _write_piece(_piece(place, told["pieces"]), texts)
                told |= {
                    "revision": stream.revision,
                    "stream": stream.state,
                    "complete": batch is None,
                    "pieces": told["pieces"] + bool(texts),
                    "characters": told["characters"] + held,
                }
                write_json(place / "state.json", told)
                texts, held = [], 0
    finally:
        batches.close()


def _piece(place: Path, number: int) -> Path:
    return place / f"{number:05}.parquet"


def _write_piece(path: Path, texts: list[str | None]) -> None:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), buffer, compression="zstd", row_group_size=ROWS_AT_ONCE)
    write_bytes(path, buffer.getvalue())
