"""Calibration record: what `doctor --calibrate` measured on this machine, and what a new run takes of it.

Data in: results/calibration.json, a config, the facts of this machine. Data out: a config whose `auto` keys are those
that won here, and a line that says so. One of another machine, other versions or other sizes is ignored. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from hamner.config.errors import BadInput
from hamner.config.load import parse
from hamner.config.machine_keys import auto_keys, keys_words, with_keys
from hamner.config.schema import Config, Strict
from hamner.runs.cluster import ray_address
from hamner.runs.cores import available_cores
from hamner.runs.files import read_json_as, write_json
from hamner.runs.folders import CALIBRATION, now
from hamner.runs.inventory import age_text
from hamner.runs.machine import cpu_text, instructions, processor_name
from hamner.runs.preflight import OK, WARN, Finding

FILE = "calibration.json"
Kind = Literal["tournament", "curriculum"]  # the command of a run
Facts = dict[str, str | int]


class Conditions(Strict):
    """What was timed: a choice that wins at one size may lose at another."""

    device: str
    precision: str
    threads: int  # of one process
    seq_len: int
    divide: int  # config.size.divide: how far models are shrunk
    vocab_size: int


class Row(Strict):
    """One way of computing something, timed against the rule's."""

    of: str  # what is computed
    way: str
    milliseconds: float  # median
    ratio: float  # median of its time over the rule's, round by round; 1: the rule's own
    wins: int  # rounds in which it was the faster
    rounds: int
    is_chosen: bool


class Layout(Strict):
    """So many trials side by side, and what they train together."""

    trials: int
    threads: int
    tokens_per_second: float


class Entry(Strict):
    """One calibration."""

    machine: Facts
    conditions: Conditions
    written: str  # UTC
    seconds: float  # it took
    choices: dict[str, str | int]  # key of the section compute -> value
    rows: tuple[Row, ...]
    layouts: tuple[Layout, ...]
    speed: dict[str, float]  # FLOP/s of the blocks of each kind of model and of the head, bytes/s of the update


class CalibrationFile(Strict):
    """results/calibration.json"""

    entries: tuple[Entry, ...] = ()


def conditions(config: Config, kind: Kind) -> Conditions:
    """What runs of a config are computed with. kind: the command, whose threads and length of rows count."""
    compute, is_league = config.compute, kind == "tournament"
    return Conditions(
        device=compute.device,
        precision=compute.precision,
        threads=compute.threads if is_league else compute.worker_threads,
        seq_len=config.tournament.seq_len if is_league else config.curriculum.seq_len,
        divide=config.size.divide,
        vocab_size=config.size.vocab_size,
    )


def machine_facts(device: str) -> Facts:
    """What a measurement on a device of this machine holds for. It loads PyTorch only where a card's driver is."""
    text = cpu_text()
    return {
        "processor": processor_name(text),
        "instructions": " ".join(instructions(text)),
        "cores": available_cores(),
        "card": _card() if device == "cuda" else "",
        "torch": metadata.version("torch"),
    }


def _card() -> str:
    from hamner.runs.preflight_card import card_facts

    facts = card_facts()
    return f"{facts.name}, {facts.memory_gib:.0f} GiB, driver {facts.driver}" if facts.is_usable else ""


def machine_words(facts: Mapping[str, str | int]) -> str:
    """Facts of a machine in one line."""
    parts = (facts["processor"], facts["instructions"], f"{facts['cores']} cores", facts["card"])
    return ", ".join(str(part) for part in (*parts, f"torch {facts['torch']}") if part)


@dataclass(frozen=True)
class Found:
    """What the results folder has for a config. entry: None where there is none that holds; why: in words."""

    entry: Entry | None
    why: str


def find(config: Config, kind: Kind, results: Path) -> Found:
    """The calibration of this machine for runs of a config. Raises BadInput for a broken file."""
    entries = read(results)
    wanted, facts = conditions(config, kind), machine_facts(config.compute.device)
    here = [entry for entry in entries if entry.machine == facts]
    fitting = [entry for entry in here if entry.conditions == wanted]
    if fitting:
        return Found(fitting[-1], "")
    if here:
        return Found(None, f"this machine was calibrated for other sizes ({_difference(here[-1].conditions, wanted)})")
    if entries:
        return Found(None, f"that in {results / FILE} is of another machine or version: {_foreign(entries, facts)}")
    return Found(None, "this machine was not calibrated")


def read(results: Path) -> tuple[Entry, ...]:
    """All calibrations that a results folder keeps. Raises BadInput for a broken file."""
    path = results / FILE
    if not path.is_file():
        return ()
    return read_json_as(path, lambda document: parse(CalibrationFile, document, str(path))).entries


def write(results: Path, entry: Entry) -> Path:
    """Keep a calibration, in the place of an earlier one of the same machine and sizes; returns the file."""
    try:
        others = [e for e in read(results) if (e.machine, e.conditions) != (entry.machine, entry.conditions)]
    except BadInput:  # a broken file is replaced
        others = []
    write_json(results / FILE, CalibrationFile(entries=(*others, entry)).model_dump(mode="json"))
    return results / FILE


def _difference(before: Conditions, wanted: Conditions) -> str:
    pairs = zip(before.model_dump().items(), wanted.model_dump().values(), strict=True)
    return ", ".join(f"{key} {old}, not {new}" for (key, old), new in pairs if old != new)


def _foreign(entries: Sequence[Entry], facts: Facts) -> str:
    """How the newest of some calibrations differs from this machine."""
    newest = entries[-1].machine
    differing = [(key, newest.get(key), here) for key, here in facts.items() if newest.get(key) != here]
    return ", ".join(f"{key} {theirs or 'none'}, here {here or 'none'}" for key, theirs, here in differing)


# -- what a new run takes of it


def settled(config: Config, kind: Kind, results: Path, say: Callable[[str], None]) -> tuple[Config, dict[str, Any]]:
    """The config of a new run, its `auto` keys as they were chosen on this machine, and facts for its config.json.

    On a cluster, whose machines nobody has timed, and with use_calibration = false the rules decide. say: gets a line
    of what was decided for the run.
    """
    compute = config.compute
    if not compute.use_calibration or not (results / FILE).is_file() or ray_address() != "local":
        return config, {}
    try:
        found = find(config, kind, results)
    except BadInput as error:
        say(f"calibration ignored: {error}")
        return config, {}
    if found.entry is None:
        say(f"calibration ignored: {found.why}; `{kind} doctor --calibrate` measures it")
        return config, {}
    keys = auto_keys(config)
    chosen = {key: value for key, value in found.entry.choices.items() if key in keys}
    if not chosen:
        return config, {}
    say(f"as calibrated here {_age(found.entry)} ago: {keys_words(chosen)}; use_calibration=false keeps the rules")
    return with_keys(config, chosen), {CALIBRATION: {"written": found.entry.written, "choices": chosen}}


def _age(entry: Entry) -> str:
    return age_text(datetime.fromisoformat(entry.written).timestamp())


def finding(config: Config, kind: Kind, results: Path) -> Finding:
    """What the doctor says of the calibration: whether there is one of this machine, its age, what it chose."""
    way_out = f"`{kind} doctor --calibrate` times the kernels here"
    try:
        found = find(config, kind, results)
    except BadInput as error:
        return Finding("calibration", WARN, str(error), way_out)
    if found.entry is None:
        return Finding("calibration", OK, f"{found.why}: rules choose the kernels; {way_out}")
    choices = keys_words(found.entry.choices) or "the rules, at every choice"
    use = "" if config.compute.use_calibration else "; not used: compute.use_calibration = false"
    return Finding("calibration", OK, f"of this machine, {_age(found.entry)} old, chose {choices}{use}")


def new_entry(facts: Facts, where: Conditions, seconds: float, **measured: Any) -> Entry:
    """A calibration made just now."""
    return Entry(machine=facts, conditions=where, written=now(), seconds=round(seconds, 1), **measured)
