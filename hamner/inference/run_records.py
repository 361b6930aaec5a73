"""Records of a model: what its run wrote down about text, losses, verdict and friend card, for its model card.

Data in: the folder of a model. Data out: Records; what was not written down is empty, and nothing is computed anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.formats import OtherFormat
from hamner.runs.files import read_json, reading, write_json
from hamner.runs.folders import run_above
from hamner.runs.safe_paths import name_problem, path_within

FRIEND_CARD = Path("friend_card", "friend_card.json")
GENERATIONS = 8  # fine-tunings of fine-tunings
EXPORT_RECORD = "hamner.json"  # of an exported folder: what other programs do not need to know


@dataclass(frozen=True)
class SourceRecord:
    """What a model read of one source, and how well it predicts the rest of it."""

    name: str
    tokens: int | None  # trained on
    loss: float | None  # held-out, nats per token
    bits_per_byte: float | None  # the same; of synthetic items nobody counts the bytes
    origin: str
    license: str


@dataclass(frozen=True)
class Records:
    """What is on record of a model."""

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)  # of the run's config.json
    stages: tuple[Mapping[str, Any], ...] = ()  # of a curriculum
    final: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)  # of the run's text
    winner: Mapping[str, Any] = field(default_factory=dict)  # of the league that chose the architecture
    finetuning: Mapping[str, Any] = field(default_factory=dict)
    friend_card: Mapping[str, Any] = field(default_factory=dict)
    base: Records | None = None  # of the run that fine-tuning began with

    @property
    def is_finetuned(self) -> bool | None:
        """Whether the model has been fine-tuned; None where that is not on record."""
        if self.finetuning or not self.facts:
            return bool(self.finetuning) or None
        return self.facts.get("kind") == "sft"

    @property
    def tokens(self) -> int:
        """Tokens trained on, those of the base included; 0 where no run says."""
        own = sum(int(stage["tokens"]) for stage in self.stages) + int(self.finetuning.get("tokens", 0))
        return own + (self.base.tokens if self.base else 0)

    @property
    def sources(self) -> list[SourceRecord]:
        """Every source of a curriculum's stages, in the order of their tokens."""
        row = self.facts.get("config", {}).get("curriculum", {}).get("seq_len", 0)
        rows: dict[str, int] = {}
        for stage in self.stages:
            for name, count in stage.get("rows", {}).items():
                rows[name] = rows.get(name, 0) + count
        last = self.stages[-1].get("heldout_loss", {}) if self.stages else {}
        losses = self.final.get("heldout_loss") or last
        records = [self._source(name, count * row, losses.get(name)) for name, count in rows.items()]
        return sorted(records, key=lambda record: -(record.tokens or 0))

    def _source(self, name: str, tokens: int, loss: float | None) -> SourceRecord:
        facts = self.manifest.get("sources", {}).get(name, {})
        ratio = facts.get("heldout_tokens", 0) / (facts.get("heldout_bytes", 0) or math.inf)
        bits = loss * ratio / math.log(2) if loss is not None and ratio else None
        made = ("drawn while training", "GPL-3.0-only") if name == "synthetic" else ("not recorded", "not recorded")
        return SourceRecord(
            name, tokens, loss, bits, str(facts.get("origin", made[0])), str(facts.get("license", made[1]))
        )


def read_records(folder: Path, generations: int = GENERATIONS) -> Records:
    """The records of the model in a folder: of a run, of one of its checkpoints, or of no run at all.

    generations: bases that are followed, since files could name each other in a circle. Raises BadInput where a file
    holds values of another kind.
    """
    with reading(folder):
        return _records(folder, generations)


def _records(folder: Path, generations: int) -> Records:
    run = run_above(folder)
    facts = _json(run / "config.json") if run else {}
    if run is None or "config" not in facts:  # a folder of its own, such as an exported one
        exported = _json(folder / EXPORT_RECORD)
        kind = exported.get("kind")
        name = exported.get("name")  # becomes part of names of files: of GGUF files, in archives
        is_usable = isinstance(name, str) and not name_problem(name) and "/" not in name
        return Records(
            str(name) if is_usable else folder.resolve().name,
            facts={"kind": kind} if kind else {},
            friend_card=_json(folder / FRIEND_CARD),
        )
    stages = _json(run / "stages.json")
    finetuning = _json(run / "finetuning.json")
    base = facts.get("base", {}).get("checkpoint") if facts.get("kind") == "sft" else None
    contestant = folder.resolve().relative_to(run).parts[:1] if (run / "bracket.json").is_file() else ()
    return Records(
        name="-".join((run.name, *contestant)),
        facts=facts,
        stages=tuple(stage for stage in stages.get("stages", ()) if not stage.get("abandoned")),
        final=stages.get("final") or {},
        manifest=_json(run / "data" / "manifest.json"),
        winner=_winner(run, facts, contestant),
        finetuning=finetuning,
        friend_card=next(filter(None, (_json(place / FRIEND_CARD) for place in (folder, run, run / "final"))), {}),
        base=read_records(Path(base), generations - 1) if base and generations else None,
    )


def write_export_record(folder: Path, records: Records) -> None:
    """Write into an exported folder what its model was, as far as that is on record: its name, whether fine-tuned."""
    tuned = records.is_finetuned
    kind = {} if tuned is None else {"kind": "sft" if tuned else "curriculum"}
    write_json(folder / EXPORT_RECORD, {"name": records.name} | kind)


def _winner(run: Path, facts: Mapping[str, Any], contestant: tuple[str, ...]) -> dict[str, Any]:
    """winner.json of the league that the model comes from, where the model won it."""
    name = contestant[0] if contestant else facts.get("name")
    tokenizer = (facts.get("tokenizer") or {}).get("path") if facts.get("who") == "winner" else None
    league = run if contestant else None
    if tokenizer and not contestant:
        with suppress(BadInput):  # nothing of another place ends up on the card
            league = path_within(run.parents[1], tokenizer, run / "config.json").parent
    winner = _json(league / "winner.json") if league else {}
    return winner if winner.get("contestant") == name else {}


def _json(path: Path) -> dict[str, Any]:
    """The object a JSON file holds; {} where it is missing or broken: a card is written without it."""
    try:
        document = read_json(path)
    except OtherFormat:
        raise
    except BadInput:
        return {}
    return document if isinstance(document, dict) else {}
