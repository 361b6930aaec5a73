"""Copies of the run folders that are kept in tests/old_runs/, each in a results folder of its own."""

import json
import shutil
from pathlib import Path

from hamner.config.formats import CHECKSUM, FORMATS, KEY, checksum
from hamner.runs.travelling import unpacked_content
from hamner.training.checkpoint import STATE, sealed

STORED = Path(__file__).with_name("old_runs")
GENERATIONS = sorted((path.name for path in STORED.glob("generation_*")), key=lambda name: int(name.split("_")[1]))
NAME = "old"


def generations(kind: str) -> list[str]:
    """The generations that have a run of a kind, the newest last."""
    return [name for name in GENERATIONS if (STORED / name / kind).is_dir()]


def stored_run(results: Path, kind: str, generation: str | None = None) -> Path:
    """The stored run of a kind, in the middle of its training, in a results folder; of a fine-tuning its base too.

    generation: None for the newest that has one.
    """
    generation = generation or generations(kind)[-1]
    if kind == "sft":
        stored_run(results, "curriculum", generation)
    source, folder = STORED / generation / kind / NAME, results / kind / NAME
    shutil.copytree(source, folder)
    for path in folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            path.write_bytes(unpacked_content(name, path.read_bytes(), results, (kind, NAME, NAME)))
    return folder


def as_before_formats(folder: Path) -> None:
    """Take the format out of every file of a run, as if it was written before there were any."""
    for path in folder.rglob("*.json"):
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict) and value.pop(KEY, None) is not None:
            value.pop(CHECKSUM, None)
            path.write_text(json.dumps(sealed(value) if path.name == STATE else value), encoding="utf-8")


def raise_format(path: Path, by: int = 1) -> None:
    """Let a file be of a format later than the present one, whole otherwise."""
    value = json.loads(path.read_text(encoding="utf-8"))
    value[KEY] = FORMATS[path.name] + by
    if CHECKSUM in value:
        value[CHECKSUM] = checksum(value)
    path.write_text(json.dumps(sealed(value) if path.name == STATE else value), encoding="utf-8")
