"""Base of a fine-tuning: the trained run it starts from, with its rate, tokenizer, text, and what it has read.

Data in: the folder of a run or of one of its checkpoints. Data out: a BaseRun, whose facts a fine-tuning keeps in its
config.json, so that it is continued from the same weights or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.schema import ModelConfig
from hamner.data.corpus import REQUIRED_KEYS
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import read_json, read_json_as, write_json
from hamner.runs.folders import run_above
from hamner.training import checkpoint
from hamner.training.checkpoint import Checkpoint

LEFT_OUT = "sft"  # of what is replayed: conversations are what the fine-tuning reads itself
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class BaseRun:
    """A trained run."""

    checkpoint: Checkpoint
    run: Path | None  # the folder with config.json and data/; None for a checkpoint that lies somewhere alone
    rate: float  # the learning rate that it was trained with last
    read: Mapping[str, float]  # share of its rows that each source gave, conversations left out; sums to 1
    levels: tuple[float, ...]  # of its synthetic items, the last ones

    @classmethod
    def of(cls, saved: Checkpoint) -> BaseRun:
        """The run of a checkpoint. Raises BadInput for one whose state does not say how it was trained."""
        trainer = saved.state.get("trainer", {})
        if not {"rate", "mixer"} <= trainer.keys():
            raise BadInput(f"{saved.path} does not say how it was trained: name a run, or a checkpoint of one")
        run, mixer = run_above(saved.path), trainer["mixer"]
        rows = _rows_read(run) or mixer["mix"]
        text = {"synthetic", *_text_sources(run)} - {LEFT_OUT}
        kept = {name: count for name, count in rows.items() if name in text and count > 0}
        read = {name: count / sum(kept.values()) for name, count in kept.items()}
        return cls(saved, run, float(trainer["rate"]), read, tuple(mixer["levels"]))

    @property
    def model(self) -> ModelConfig:
        return self.checkpoint.model

    @property
    def data(self) -> Path | None:
        """The folder of its token shards, where there is one."""
        return self.run / "data" if self.run and _text_sources(self.run) else None

    @property
    def threshold(self) -> float | None:
        """The unit hash below which it held conversations out; None where it read none."""
        if self.data is None:
            return None
        facts = read_json(self.data / MANIFEST)["sources"].get(LEFT_OUT)
        return float(facts["threshold"]) if facts else None

    def facts(self) -> dict[str, Any]:
        """What config.json keeps."""
        return {
            "checkpoint": str(self.checkpoint.path.resolve()),
            "state_sha256": self.checkpoint.state.get("state_sha256"),
            "step": self.checkpoint.state.get("step"),
            "data": str(self.data.resolve()) if self.data else None,
            "learning_rate": self.rate,
            "read": dict(self.read),
            "levels": list(self.levels),
        }


def base_checkpoint(facts: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint that config.json names. Raises BadInput where it is gone or was altered."""
    saved = checkpoint.load(Path(facts["checkpoint"]))
    if saved.state.get("state_sha256") != facts["state_sha256"]:
        raise BadInput(f"{saved.path} has changed since the fine-tuning was started: restore it, or start a new run")
    return saved


def point_at_text(base: BaseRun, folder: Path, tokenizer: Tokenizer) -> None:
    """Make `folder` stand for the base's text: its manifest with the place of the shards; of a base without text, none.

    Raises BadInput where the text was made with another tokenizer.
    """
    empty = {"dtype": "uint16", "seed": 0, "heldout_fraction": 0.05, "sources": {}}
    manifest = read_json_as(base.data / MANIFEST, dict) if base.data else empty
    if base.data and manifest.get("tokenizer_sha256") != tokenizer.sha256:
        raise BadInput(
            f"{base.data} was made with another tokenizer than {base.checkpoint.path}: use finetuning.replay=0"
        )
    place = manifest.get("folder", str((base.data or folder).resolve()))
    tokenizer.save(folder)
    document = manifest | {"tokenizer_sha256": tokenizer.sha256, "folder": place}
    assert document.keys() >= set(REQUIRED_KEYS)
    write_json(folder / MANIFEST, document)


def _text_sources(run: Path | None) -> list[str]:
    """The sources of a run's prepared text; none where it has no text."""
    manifest = run / "data" / MANIFEST if run else None
    return list(read_json_as(manifest, lambda document: document["sources"])) if manifest and manifest.is_file() else []


def _rows_read(run: Path | None) -> dict[str, float]:
    """Rows of each source that a curriculum has trained on, over all its stages; none where it does not say."""
    if run is None or not (run / "stages.json").is_file():
        return {}
    rows: dict[str, float] = {}
    for record in read_json_as(run / "stages.json", lambda document: list(document["stages"])):
        if not record.get("abandoned"):
            for name, count in record.get("rows", {}).items():
                rows[name] = rows.get(name, 0) + count
    return rows
