"""Faults of the kind `damaged`: files cut short, emptied or with a flipped bit, and all that a resume reads of a run.

    change = DAMAGES["a bit flipped"]; change(path, random.Random(7))
    numbers = READERS["curriculum"](folder, lines.append)     # what opens and resumes a run does, without Ray

A damaged file may cost a refusal with the way on, or be mended aloud; it may not change a number, and nothing may begin
anew without a word.

Data in: a run in the middle of its training, a seeded generator. Data out: numbers as JSON; the table DAMAGED of
Faults, in which the real commands meet the damage.
"""

from __future__ import annotations

import hashlib
import io
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from faults import Fault, Hit, cut_short
from outcomes import Reference
from pipelines import NAME, Scene, stored_run
from rich.console import Console

from curriculum.stages import StagePlan
from hamner.config.formats import FORMATS, is_checked
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.data.conversation_files import SIDES, row_sums, rows_file
from hamner.data.conversation_rows import ConversationRows
from hamner.data.corpus import Corpus
from hamner.data.preparation.for_run import choose_tokenizer
from hamner.data.preparation.for_run import prepare as prepare_text
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import read_json, resealed, write_json
from hamner.runs.folders import open_run, step_folders
from hamner.training.finetuning import CONVERSATIONS, TEXT
from hamner.training.finetuning_base import base_checkpoint
from hamner.training.finetuning_launch import prepare as prepare_finetuning
from hamner.training.finetuning_launch import resumed_run
from tournament.entrants import all_sources
from tournament.league import League

Say = Callable[[str], None]
Change = Callable[[Path, random.Random], None]


# -- damage


def flip_a_bit(path: Path, rng: random.Random) -> None:
    """Flip any bit of any byte of a file."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def flip_a_digit(path: Path, rng: random.Random) -> None:
    """Flip the lowest bit of a digit, where a text has one: it is another number then, and the text whole."""
    content = bytearray(path.read_bytes())
    digits = [place for place, byte in enumerate(content) if chr(byte).isdecimal()]
    content[rng.choice(digits or range(len(content)))] ^= 1
    path.write_bytes(content)


DAMAGES: Mapping[str, Change] = {
    "emptied": lambda path, rng: cut_short(path, 0.0),
    "cut in half": lambda path, rng: cut_short(path),
    "cut short": lambda path, rng: cut_short(path, rng.random()),
    "a bit flipped": flip_a_bit,
    "a digit changed": flip_a_digit,
}


# -- what a resume reads, in this process


def present_run(results: Path, kind: str) -> Path:
    """The stored run of a kind, as the present version would have written it: with all its checksums."""
    folder = stored_run(results, kind)
    for path in (path for path in results.rglob("*.json") if is_checked(path.name) or path.name in FORMATS):
        if path.name != "state.json":  # sealed as it is
            document = read_json(path)
            if path.name == "conversations.json":
                for name, facts in document["sources"].items():
                    facts["sha256"] = row_sums(path.parent, name)
            write_json(path, document)
    return folder


def read_league(folder: Path, say: Say) -> Any:
    """Config, text, ledger and learning rates of a league."""
    _, config, _ = open_run(folder.parents[1], "tournament", folder.name, resume=True, config=None, facts={})
    text = _text(config, folder, all_sources(config), config.tournament.seq_len, say)
    league = League(folder, config, Console(file=io.StringIO()))
    league.read_ledger()
    return [config.model_dump(mode="json"), league.bracket.state(), league.rates, text]


def read_curriculum(folder: Path, say: Say) -> Any:
    """Config, stages and text of a curriculum."""
    _, config, facts = open_run(folder.parents[1], "curriculum", folder.name, resume=True, config=None, facts={})
    stages = parse(StagePlan, facts["curriculum"], "stages").stages
    names = sorted({name for stage in stages for name in stage.mix})
    return [config.model_dump(mode="json"), facts, _text(config, folder, names, config.curriculum.seq_len, say)]


def read_finetuning(folder: Path, say: Say) -> Any:
    """Config, base, conversations and the base's text of a fine-tuning."""
    run = resumed_run(folder.parents[1], folder.name, None, None)
    prepare_finetuning(run, say)
    tokenizer = Tokenizer.load(folder / TEXT)
    rows = ConversationRows(folder / CONVERSATIONS, tokenizer.sha256)
    files = [rows_file(folder / CONVERSATIONS, name, side) for name in rows.sources for side in SIDES]
    state = base_checkpoint(run.facts["base"]).state["state_sha256"]
    of_corpus = _of_corpus(Corpus(folder / TEXT, tokenizer.sha256))
    read = _sums(map(Path.read_bytes, files))
    return [run.config.model_dump(mode="json"), run.facts, rows.document, read, of_corpus, state]


def _text(config: Config, folder: Path, names: Sequence[str], seq_len: int, say: Say) -> Any:
    corpus, tokenizer = prepare_text(
        config, folder / "data", names, tokenizer=choose_tokenizer(config), seq_len=seq_len, hub_tokens=0, say=say
    )
    return [tokenizer.sha256, _of_corpus(corpus)]


def _of_corpus(corpus: Corpus) -> list[str]:
    """Checksums of all that is read of a text."""
    reads = (corpus.train, corpus.heldout, corpus.heldout_ends)
    return _sums(np.asarray(read(name)).tobytes() for name in corpus.manifest["sources"] for read in reads)


def _sums(contents: Any) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in contents]


READERS: Mapping[str, Callable[[Path, Say], Any]] = {
    "tournament": read_league,
    "curriculum": read_curriculum,
    "sft": read_finetuning,
}


# -- the real commands


def damage_in_the_middle(
    scene: Scene, reference: Reference, rng: random.Random, *, pattern: str, change: str, checkpoints: int = 1
) -> Hit:
    """Kill a run that has so many checkpoints, and damage a file of the pattern before it goes on."""
    started = scene.start()
    started.wait_until(
        lambda: len(list(step_folders_of(scene.folder))) >= checkpoints and bool(_places(scene, pattern))
    )
    started.process.kill()
    ended = started.wait()
    scene.kill_all()
    what = _damage(scene, rng, pattern, change)
    return Hit(ended, what if what.startswith("nothing") else f"kill -9, then {what}")


def damage_when_finished(scene: Scene, reference: Reference, rng: random.Random, *, pattern: str, change: str) -> Hit:
    """Damage a file of a finished run that its resume shows, or writes again."""
    scene.start().wait()
    what = _damage(scene, rng, pattern, change)
    return Hit(scene.start().wait(), what if what.startswith("nothing") else f"of a finished run {what}")


def _damage(scene: Scene, rng: random.Random, pattern: str, change: str) -> str:
    places = _places(scene, pattern)
    if not places:
        return f"nothing: there is no {pattern} yet"
    path = rng.choice(places)
    DAMAGES[change](path, rng)
    return f"{path.relative_to(scene.folder)} {change}"


def _places(scene: Scene, pattern: str) -> list[Path]:
    """Files of a run; of checkpoints those of the newest in each folder."""
    paths = [path for path in scene.folder.glob(pattern) if path.is_file() and path.stat().st_size]
    newest = {folder.parent: folder.name for folder in step_folders_of(scene.folder)}
    return sorted(path for path in paths if newest.get(path.parent.parent, path.parent.name) == path.parent.name)


def step_folders_of(run: Path) -> Iterator[Path]:
    """All checkpoints of a run, in their order."""
    for folder in sorted(run.glob("**/checkpoints")):
        yield from step_folders(folder)


IN_THE_MIDDLE: Mapping[str, tuple[str, ...]] = {  # pipeline: patterns of files that a resume reads
    "tournament": (
        *("config.json", "bracket.json", "*/documents_*.json", "standings.json"),
        *("data/manifest.json", "data/*.bin", "data/tokenizer.json"),
    ),
    "curriculum": ("config.json", "data/manifest.json", "data/*.bin", "data/tokenizer.json", "stages.json"),
    "sft": ("config.json", "conversations/*", "data/manifest.json", "data/tokenizer.json"),
    "prepare_data": ("unfinished/plan.json", "unfinished/*.npz", "unfinished/*", "*.bin", "tokenizer.json"),
}
OF_A_CHECKPOINT = "**/checkpoints/step_*/*"
INTERVALS = {"tournament": 4, "curriculum": 2, "sft": 2}  # that a damaged newest checkpoint may cost: of a league all
FALL_BACK = "using the one before|begins again at step 0"
WHEN_FINISHED = {
    "tournament": ("standings.json", "winner.json"),
    "curriculum": ("stages.json",),
    "sft": ("finetuning.json",),
}


def damaged() -> Iterator[Fault]:
    """All faults of the kind."""
    for pipeline, patterns in IN_THE_MIDDLE.items():
        for pattern in patterns:
            for change in DAMAGES:
                inject = partial(
                    damage_in_the_middle, pattern=pattern, change=change, checkpoints=int(pipeline != "prepare_data")
                )
                yield _fault(f"{pattern} {change}", pipeline, inject, may_stop=True)
    for change in DAMAGES:  # a run that was let into the next round may begin again
        inject = partial(damage_in_the_middle, pattern="bracket.jsonl", change=change)
        yield _fault(f"bracket.jsonl {change}", "tournament", inject, may_stop=True, intervals=INTERVALS["tournament"])
    for pipeline, intervals in INTERVALS.items():
        for change in DAMAGES:
            inject = partial(damage_in_the_middle, pattern=OF_A_CHECKPOINT, change=change, checkpoints=2)
            name = f"a file of the newest checkpoint {change}"
            yield _fault(name, pipeline, inject, intervals=intervals, aloud=FALL_BACK)
    for change in DAMAGES:  # nothing need be said of it: rows beyond the checkpoint are dropped anyway
        inject = partial(damage_in_the_middle, pattern="*/metrics.csv", change=change, checkpoints=2)
        yield _fault(f"metrics.csv {change}", "tournament", inject)
    for pipeline, patterns in WHEN_FINISHED.items():
        for pattern in patterns:
            for change in DAMAGES:
                inject = partial(damage_when_finished, pattern=pattern, change=change)
                yield _fault(f"{pattern} of a finished run {change}", pipeline, inject, may_stop=True)


def _fault(name: str, pipeline: str, inject: Callable[..., Hit], **more: Any) -> Fault:
    return Fault(name=name, kind="damaged", pipelines=(pipeline,), inject=inject, **more)


DAMAGED: tuple[Fault, ...] = tuple(damaged())


def copy_of(folder: Path, place: Path) -> Path:
    """A copy of a results folder, in which paths lead into the copy; the run of the same name in it."""
    results = folder.parents[1]
    shutil.copytree(results, place)
    for path in place.rglob("*.json"):
        content = path.read_bytes()
        moved = content.replace(str(results).encode(), str(place).encode())
        if moved != content:
            path.write_bytes(resealed(path.name, content, moved))
    return place / folder.relative_to(results)


__all__ = ["DAMAGED", "DAMAGES", "NAME", "READERS", "copy_of", "present_run"]
