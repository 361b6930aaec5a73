"""Load a trained model by the name of a run or the path of a folder.

`model_folder` needs no torch: a command refuses an unknown name before it imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hamner.config.errors import BadInput, did_you_mean
from hamner.runs.files import RESTORE, read_json
from hamner.runs.folders import STARTED, newest_first, results_folder, runs, step_folders

if TYPE_CHECKING:
    from hamner.data.tokenizer import Tokenizer
    from hamner.model.transformer import Hamner
    from hamner.training.checkpoint import Checkpoint

# What a folder with a model holds one of: a checkpoint's state (training/checkpoint.py), a run's weights
# ... or an exported one's weights (huggingface.py)
MODEL_PARTS = ("state.json", "final", "checkpoints", "model.safetensors")
KINDS = ("sft", "curriculum")
START_A_RUN = "use `curriculum run winner` to make one"


@dataclass(frozen=True)
class LoadedModel:
    """A trained model, on the CPU, and the tokenizer it was trained with."""

    model: Hamner
    tokenizer: Tokenizer
    folder: Path  # of the checkpoint


def load(run: str | Path | None = None, *, results: str | Path | None = None) -> LoadedModel:
    """A trained model: a fine-tuned or curriculum run by name (None: the newest), or any run's or checkpoint's folder.

    results: the results folder (None: $HAMNER_RESULTS or results/). Raises BadInput where there is no model.
    """
    name, place = (None if path is None else str(path) for path in (run, results))
    return open_model(model_folder(name, results_folder(place)))


def open_model(folder: Path) -> LoadedModel:
    """The model in the folder of a run or checkpoint, or in an exported one. Raises BadInput where there is none."""
    from hamner.inference import huggingface

    if huggingface.is_folder(folder):
        return LoadedModel(*huggingface.read_folder(folder), folder)
    checkpoint = find_checkpoint(folder)
    return LoadedModel(checkpoint.build(), checkpoint.tokenizer(), checkpoint.path)


def model_folder(name: str | None, results: Path, kinds: Sequence[str] = KINDS) -> Path:
    """The folder of a run by name (None: the newest), or a path that is one. Raises BadInput where no model is.

    kinds: of the runs; where two have a name, the first of these counts.
    """
    folders = {path.name: path for kind in reversed(kinds) for path in runs(results, kind)}
    known = [path.parent.name for path in newest_first([p / "config.json" for p in folders.values()], STARTED)]
    leagues = [path.name for path in runs(results, "tournament")]
    if name and Path(name).expanduser().is_dir():
        folder = Path(name).expanduser()
    elif name and name in known:
        folder = folders[name]
    elif name and name.split("/")[0] in leagues and ".." not in Path(name).parts:
        folder = results / "tournament" / name
        _check_contestant(folder, results / "tournament" / name.split("/")[0])
    elif name and (known or leagues):
        names = list(dict.fromkeys([*known, *leagues]))  # a run and its league often share one
        raise BadInput(f"no run or folder '{name}'; {did_you_mean(name, names)}")
    elif name:
        raise BadInput(f"no run or folder '{name}', and no curriculum run in {results}: {START_A_RUN}")
    elif known:
        folder = folders[known[0]]
    elif leagues:
        raise BadInput(
            f"no curriculum run in {results}: {START_A_RUN}, or {_how_to_talk(results / 'tournament' / leagues[0])}"
        )
    else:
        raise BadInput(f"no curriculum run in {results}: {START_A_RUN}")
    if not any((folder / part).exists() for part in MODEL_PARTS):
        raise BadInput(_no_model(folder))
    return folder


def _check_contestant(folder: Path, league: Path) -> None:
    """Raise BadInput for a folder in a league that is not there."""
    if not folder.is_dir():
        raise BadInput(f"the league {league.name} has no contestant '{folder.name}'; {_how_to_talk(league)}")


def _no_model(folder: Path) -> str:
    """What is said of a folder without a model: which of those in it have one."""
    if (folder / "bracket.json").is_file() or (folder / "winner.json").is_file():
        return f"{folder} is a league, whose contestants are the models: {_how_to_talk(folder)}"
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    models = [path for path in inside if any((path / part).exists() for part in MODEL_PARTS)]
    leagues = [path for path in inside if (path / "bracket.json").is_file()]
    hint = f"; {_how_to_talk(leagues[0])}" if leagues else ""
    hint = f"; give a folder in it that holds one, such as {models[0]}" if models else hint
    return f"{folder} holds no model: it has none of {', '.join(MODEL_PARTS)}{hint}"


def _how_to_talk(league: Path) -> str:
    """How to talk to a league's winner, or to its other contestants."""
    names = sorted(path.parent.name for path in league.glob("*/checkpoints") if step_folders(path))
    try:
        winner = str(read_json(league / "winner.json")["contestant"])
    except (BadInput, KeyError, TypeError):
        winner = ""
    if winner in names:
        return f"talk to its winner with `hamner chat {league / winner}`"
    if names:
        return f"talk to a contestant with `hamner chat {league / names[0]}`; there are {', '.join(names)}"
    return "none of its contestants has a checkpoint yet: wait for the first, or use --resume to continue the league"


def _whole_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in a folder. Raises Corrupt where it is damaged, with another one to use, if there is one.

    None is used in its place by itself: it would be another model.
    """
    from hamner.training import checkpoint

    try:
        return checkpoint.load(folder)
    except checkpoint.Corrupt as error:
        place = folder.parent / "checkpoints" if folder.name == "final" else folder.parent
        other = checkpoint.newest(place, lambda line: None)
        way_on = f", or use {other.path}" if other else ""
        raise checkpoint.Corrupt(f"{error}; {RESTORE}{way_on}") from None


def find_checkpoint(folder: Path) -> Checkpoint:
    """A checkpoint, a run's final weights, or its newest checkpoint while it is unfinished. Raises BadInput."""
    from hamner.training import checkpoint

    for place in (folder, folder / "final"):
        is_final = place.name == "final" and (place.parent / "config.json").is_file()  # not a run of that name
        if (place / checkpoint.STATE).is_file() or (is_final and place.is_dir()):
            return _whole_checkpoint(place)
    newest = checkpoint.newest(folder / "checkpoints", lambda line: print(line, file=sys.stderr))
    if newest is None and step_folders(folder / "checkpoints"):
        raise BadInput(f"no checkpoint in {folder / 'checkpoints'} is whole: {RESTORE}")
    if newest is None:
        raise BadInput(f"{folder} holds no model yet: its first checkpoint is still to come")
    is_contestant = (folder.parent / "bracket.json").is_file()
    state = f"a contestant of the league {folder.resolve().parent.name}" if is_contestant else "unfinished"
    print(f"{folder.name} is {state}: using its step {newest.state['step']}", file=sys.stderr)
    return newest
