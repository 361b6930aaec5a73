"""Streaming a source from the hub: retried with back-off, resumed where it stood, closed properly.

`stage` puts what it streams into parquet pieces of a folder, each with the stream's state beside it, so that a
killed preparation streams at most one piece again. From there the source is read as any folder's files are.
"""

from __future__ import annotations

import gc
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from tenacity import RetryCallState, Retrying, stop_after_delay, wait_exponential

from hamner.config import BadInput
from hamner.results import read_json, write_bytes, write_json
from hamner.sources.source import HubDataset, Source

ROWS_AT_ONCE = 256          # fetched between two looks at the clock
PIECE_CHARACTERS = 2**26    # of a staged file
PERMANENT = ("DatasetNotFoundError", "RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError",
             "OfflineModeIsEnabled", "DataFilesNotFoundError")    # kinds of the libraries, and theirs


class HubStream:
    """Rows of a hub dataset, from a state on. An error is retried from the last rows had, with exponential back-off,
    until `deadline` seconds have brought no row; then BadInput."""

    def __init__(
        self, source: Source, deadline: float, *, revision: str | None = None, state: dict[str, Any] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        assert source.hub is not None
        self._name, self._where, self._deadline, self._say = source.name, source.hub, deadline, say
        self.revision, self.state = revision, state    # state: of the stream after the rows had so far
        self._rows: Any = None

    def batches(self) -> Iterator[list[str]]:
        """Texts, some hundred at a time; `state` is that after the batch just had."""
        retrying = Retrying(
            wait=wait_exponential(multiplier=0.25, max=30), stop=stop_after_delay(self._deadline),
            retry=lambda call: call.outcome is not None and call.outcome.failed and not _permanent(call),
            before_sleep=self._tell, reraise=True)
        try:
            while True:
                try:
                    batch = retrying(self._next)
                except BadInput:
                    raise
                except Exception as error:    # the libraries raise a dozen kinds, of four other libraries
                    raise self._unreachable(error) from None
                if not batch:
                    return
                yield batch
        finally:
            self._close()

    def _next(self) -> list[str]:
        try:
            if self._rows is None:
                self._open()
            texts: list[str] = []
            for record in self._rows:
                texts.append(record[self._where.field])
                if len(texts) == ROWS_AT_ONCE:
                    break
            self.state = self._stream.state_dict()
            return texts
        except Exception:
            self._close()    # the next try begins anew, where the last batch ended
            raise

    def _open(self) -> None:
        import datasets

        if self.revision is None:
            self.revision = _revision(self._where, self._deadline)
        pinned = {} if Path(self._where.dataset).is_dir() else {"revision": self.revision}
        self._stream = datasets.load_dataset(
            self._where.dataset, self._where.config, split=self._where.split, streaming=True, **pinned)
        if self.state is not None:
            self._stream.load_state_dict(self.state)
        self._rows = iter(self._stream)

    def _close(self) -> None:
        """A parquet stream that is left open can abort the process when it exits."""
        if self._rows is not None:
            self._rows.close()
            self._rows = self._stream = None
            gc.collect()

    def _tell(self, call: RetryCallState) -> None:
        wait = call.next_action.sleep if call.next_action else 0.0
        self._say(f"{self._name}: the hub failed ({_reason(call)}); trying again in {wait:.1f} s")

    def _unreachable(self, error: Exception) -> BadInput:
        """error: what the last try of all failed with."""
        reason = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
        return BadInput(
            f"source '{self._name}' cannot be streamed: hub dataset '{self._where.dataset}' gave nothing for "
            f"{self._deadline:g} s ({reason}); check the network and run the same command again, which goes on where "
            "it stood, or use --data DIR or --data builtin")


def _revision(where: HubDataset, deadline: float) -> str:
    """The commit the stream is pinned to. A folder of that name is read instead, as the library does."""
    if Path(where.dataset).is_dir():
        return "folder"
    from huggingface_hub import HfApi

    return str(HfApi().dataset_info(where.dataset, timeout=min(10.0, deadline)).sha)


def _permanent(call: RetryCallState) -> bool:
    """Whether trying again cannot help: what is asked for does not exist, or the network is switched off."""
    error = call.outcome.exception() if call.outcome else None
    if type(error) in (ValueError, KeyError):    # no such part, split or column; ArrowInvalid is a torn download
        return True
    return any(kind.__name__ in PERMANENT for kind in type(error).__mro__)


def _reason(call: RetryCallState) -> str:
    error = call.outcome.exception() if call.outcome else None
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__


def stage(
    source: Source, folder: Path, characters: int, deadline: float, say: Callable[[str], None],
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Stream until `characters` are on disk, or to the end; returns {"revision", "characters", "complete"}.

    Goes on where a killed one stood: a piece counts when state.json, written after it, says so.
    """
    place = folder / source.name
    told: dict[str, Any] = {"revision": None, "stream": None, "pieces": 0, "characters": 0, "complete": False}
    if (place / "state.json").is_file():
        told = read_json(place / "state.json")
    if told["complete"] or told["characters"] >= characters:
        return told
    advance(told["characters"])
    stream = HubStream(source, deadline, revision=told["revision"], state=told["stream"], say=say)
    texts: list[str] = []
    held = 0
    batches = stream.batches()
    try:
        while not told["complete"] and told["characters"] < characters:
            batch = next(batches, None)
            texts += batch or []
            grown = sum(map(len, batch or []))
            held += grown
            advance(grown)
            if batch is None or held >= min(PIECE_CHARACTERS, characters - told["characters"]):
                if texts:
                    _write_piece(place / f"{told['pieces']:05}.parquet", texts)
                told |= {"revision": stream.revision, "stream": stream.state, "complete": batch is None,
                         "pieces": told["pieces"] + bool(texts), "characters": told["characters"] + held}
                write_json(place / "state.json", told)
                texts, held = [], 0
    finally:
        batches.close()    # type: ignore[attr-defined]
    return told


def _write_piece(path: Path, texts: list[str]) -> None:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(
        pyarrow.table({"text": texts}), buffer, compression="zstd", row_group_size=ROWS_AT_ONCE)
    write_bytes(path, buffer.getvalue())
