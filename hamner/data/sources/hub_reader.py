"""Hugging Face Hub streaming, the reading side: rows of a dataset, in a process of its own (hamner/runs/background.py).

The one place that calls `datasets`. It retries for ever what can be retried, from the last rows sent; the receiver
decides how long to wait.
"""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential

from hamner.data.hub_errors import is_permanent, reason
from hamner.data.sources.source import HubDataset
from hamner.runs.background import Failed, Send

ANSWER_SECONDS = 10.0  # for what the commit is; the libraries' own limit for everything else
LONGEST_WAIT = 5.0  # between two tries


@dataclass(frozen=True)
class Rows:
    """Some hundred texts, None for a row without one; empty at the end. state: of the stream after them."""

    texts: list[str | None]
    state: dict[str, Any]
    revision: str


@dataclass(frozen=True)
class Retry:
    """A try failed; the next one comes in `wait` seconds."""

    reason: str
    wait: float


@dataclass(frozen=True)
class Heartbeat:
    """Ready to begin; or a block of the file came that no try since the last rows had reached."""


def read(send: Send, where: HubDataset, revision: str | None, state: dict[str, Any] | None, rows_at_once: int) -> None:
    """Send Rows to the end, with Retry and Heartbeat between. Raises Failed for what no further try would mend."""
    import datasets
    from huggingface_hub.hf_file_system import HfFileSystemFile

    datasets.config.TORCH_AVAILABLE = False  # else it is imported for nothing, in the time that the hub is given
    for name in ("READ_MAX_RETRIES", "OPEN_MAX_RETRIES"):
        setattr(datasets.config, f"STREAMING_{name}", 1)  # the retries below are the only ones
    for name in ("READ", "OPEN", "READ_SERVER_UNAVAILABLE", "READ_RATE_LIMIT"):
        setattr(datasets.config, f"STREAMING_{name}_RETRY_INTERVAL", 0)
    stream = _Stream(send, where, revision, state, rows_at_once)
    fetch = HfFileSystemFile._fetch_range

    def fetch_and_count(file: Any, start: int, end: int) -> bytes:
        block: bytes = fetch(file, start, end)
        stream.count_block()
        return block

    HfFileSystemFile._fetch_range = fetch_and_count  # type: ignore[assignment, method-assign]

    def send_retry(call: RetryCallState) -> None:
        error = call.outcome.exception() if call.outcome else None
        send(Retry(reason(error), call.next_action.sleep if call.next_action else 0.0))

    retrying = Retrying(
        wait=wait_exponential(multiplier=0.25, max=LONGEST_WAIT),
        before_sleep=send_retry,
        reraise=True,
        retry=retry_if_exception(lambda error: not is_permanent(error)),
    )
    send(Heartbeat())
    try:
        while rows := retrying(stream.next):
            send(rows)
            if not rows.texts:
                return
    except Exception as error:  # the libraries raise a dozen kinds, of four other libraries
        raise Failed(reason(error)) from None
    finally:
        stream.close()


class _Stream:
    """The rows from a state on; after an error the next call begins anew where the last rows ended."""

    def __init__(
        self, send: Send, where: HubDataset, revision: str | None, state: dict[str, Any] | None, rows_at_once: int
    ) -> None:
        self._send, self._where, self._revision, self._state = send, where, revision, state
        self._rows_at_once = rows_at_once
        self._stream: Any = None
        self._rows: Any = None
        self._blocks = self._most_blocks = 0  # fetched since the last rows: by this try, by the best one

    def next(self) -> Rows:
        try:
            if self._rows is None:
                self._open()
            texts: list[str | None] = []
            for record in self._rows:
                texts.append(_text(record, self._where))
                if len(texts) == self._rows_at_once:
                    break
            self._state = self._stream.state_dict()
            self._blocks = self._most_blocks = 0
            assert self._state is not None and self._revision is not None
            return Rows(texts, self._state, self._revision)
        except Exception:
            self.close()
            raise

    def count_block(self) -> None:
        """Count a fetched block; it is a sign of life unless an earlier try came as far and failed."""
        self._blocks += 1
        if self._blocks > self._most_blocks:
            self._most_blocks = self._blocks
            self._send(Heartbeat())

    def close(self) -> None:
        """Close the file: of a parquet file left open the next try would inherit the threads."""
        if self._rows is not None:
            self._rows.close()
            self._rows = self._stream = None
            gc.collect()

    def _open(self) -> None:
        import datasets

        self._blocks = 0
        is_folder = Path(self._where.dataset).is_dir()  # a folder of that name is read instead, as the library does
        if self._revision is None:
            self._revision = "folder" if is_folder else _commit(self._where.dataset)
        pinned = {} if is_folder else {"revision": self._revision}
        self._stream = datasets.load_dataset(
            self._where.dataset, self._where.config, split=self._where.split, streaming=True, **pinned
        )
        if self._state is not None:
            self._stream.load_state_dict(self._state)
        self._rows = iter(self._stream)


def _text(record: dict[str, Any], where: HubDataset) -> str | None:
    """A text as it is; a list, such as the messages of a conversation, as JSON; None for anything else.

    Where a second column says who speaks, the object of both.
    """
    value = record[where.field]
    if isinstance(value, list):
        both = {where.field: value, where.speakers: record[where.speakers]} if where.speakers else value
        return json.dumps(both, ensure_ascii=False)
    return value if isinstance(value, str) else None


def _commit(dataset: str) -> str:
    """The newest commit, to which the stream is pinned."""
    from huggingface_hub import HfApi

    return str(HfApi().dataset_info(dataset, timeout=ANSWER_SECONDS).sha)
