"""Data position of an ancestor: a run that begins with the weights of a checkpoint (--from) goes on in its text.

A checkpoint knows of each source how many rows were read, and a fingerprint of its text in its order. A source that is
the same in the new run is read on behind those rows, and they count as epochs; any other begins at row 0.

Data in: the state of a checkpoint, a corpus. Data out: rows of each source, and a line for the screen. PyTorch is
loaded only where a checkpoint is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curriculum.stages import Stage
from hamner.data.corpus import Corpus

if TYPE_CHECKING:
    from hamner.data.mixer import Mixer


@dataclass(frozen=True)
class TextPosition:
    """How far an ancestor has read the sources that it shares with a run."""

    rows: Mapping[str, int]  # source -> rows that were read or passed over
    passed_over: Mapping[str, int]
    other: tuple[str, ...]  # sources that the ancestor read, with other text
    is_known: bool = True  # False: the checkpoint does not say what was read


def fingerprint(corpus: Corpus, source: str, seq_len: int) -> str:
    """Equal for two sources that have the same rows in the same order."""
    facts: list[Any] = [source, corpus.manifest["tokenizer_sha256"], corpus.seed, seq_len]
    if source == "synthetic":
        facts.append(corpus.heldout_fraction)
    else:
        shards = corpus.manifest["sources"][source]["shards"]
        facts.append([shard for shard in shards if shard["side"] == "train"])
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def text_state(corpus: Corpus, sources: Iterable[str], seq_len: int, mixer: Mixer) -> dict[str, Any]:
    """What a checkpoint keeps for runs that begin with it: of each source its rows so far, and its fingerprint."""
    rows, trained = mixer.rows_read(), mixer.rows_trained()
    return {
        name: {
            "rows": rows[name],
            "passed_over": rows[name] - trained[name],
            "fingerprint": fingerprint(corpus, name, seq_len),
        }
        for name in sources
    }


def text_position(state: Mapping[str, Any], corpus: Corpus, sources: Iterable[str], seq_len: int) -> TextPosition:
    """Where a run on this corpus goes on, given the state of the checkpoint that it begins with."""
    text = state.get("text")
    if text is None:
        return TextPosition({}, {}, (), is_known=False)
    read = [name for name in sources if text.get(name, {}).get("rows")]
    same = [name for name in read if text[name]["fingerprint"] == fingerprint(corpus, name, seq_len)]
    return TextPosition(
        {name: text[name]["rows"] for name in same},
        {name: text[name]["passed_over"] for name in same},
        tuple(name for name in read if name not in same),
    )


def ancestor_rows(source: str, corpus: Corpus, stages: Iterable[Stage], seq_len: int) -> dict[str, int]:
    """Rows of each source that the checkpoint `source` has read, of the text that is in this corpus too."""
    from hamner.training import checkpoint  # loads PyTorch

    names = dict.fromkeys(name for stage in stages for name in stage.mix)
    return dict(text_position(checkpoint.load(Path(source)).state, corpus, names, seq_len).rows)


def position_line(position: TextPosition, source: str) -> str:
    """Say from where the text is read. source: what --from names."""
    if not position.is_known:
        return f"{source} does not say what it has read: every source begins at row 0, and may be read again"
    parts = []
    if position.rows:
        rows = ", ".join(f"{name} from row {count:,}" for name, count in position.rows.items())
        parts.append(f"the text goes on where {source} stopped: {rows}")
    if position.other:
        parts.append(f"of {', '.join(position.other)} {source} has read other text: begins at row 0")
    return "; ".join(parts) or f"{source} has read none of these sources: every one begins at row 0"
