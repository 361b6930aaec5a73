"""Load a trained model by the name of a run or the path of a folder.

`model_folder` needs no torch: a command refuses an unknown name before it imports it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hamner.config.errors import BadInput, did_you_mean
from hamner.runs.folders import results_folder, runs

if TYPE_CHECKING:
    from hamner.data.tokenizer import Tokenizer
    from hamner.model.transformer import Hamner
    from hamner.training.checkpoint import Checkpoint

# What a folder with a model holds one of: a checkpoint's state (training/checkpoint.py), a run's weights
MODEL_PARTS = ("state.json", "final", "checkpoints")
START_A_RUN = "use `curriculum run winner` to make one"


@dataclass(frozen=True)
class LoadedModel:
    """A trained model, on the CPU, and the tokenizer it was trained with."""

    model: Hamner
    tokenizer: Tokenizer
    folder: Path  # of the checkpoint


def load(run: str | Path | None = None, *, results: str | Path | None = None) -> LoadedModel:
    """A trained model: a curriculum run by name (None: the newest), or any run's or checkpoint's folder.

    results: the results folder (None: $HAMNER_RESULTS or results/). Raises BadInput where there is no model.
    """
    name, place = (None if path is None else str(path) for path in (run, results))
    return open_model(model_folder(name, results_folder(place)))


def open_model(folder: Path) -> LoadedModel:
    """The model in the folder of a run or checkpoint. Raises BadInput where there is none."""
    checkpoint = find_checkpoint(folder)
    return LoadedModel(checkpoint.build(), checkpoint.tokenizer(), checkpoint.path)


def model_folder(name: str | None, results: Path) -> Path:
    """The folder of a run by name (None: the newest), or a path that is one. Raises BadInput where no model is."""
    known = [path.name for path in runs(results, "curriculum")]
    if name and Path(name).is_dir():
        folder = Path(name)
    elif name and name in known:
        folder = results / "curriculum" / name
    elif name and known:
        raise BadInput(f"no run or folder '{name}'; {did_you_mean(name, known)}")
    elif name:
        raise BadInput(f"no run or folder '{name}', and no curriculum run in {results}: {START_A_RUN}")
    elif known:
        folder = results / "curriculum" / known[0]
    else:
        raise BadInput(f"no curriculum run in {results}: {START_A_RUN}")
    if not any((folder / part).exists() for part in MODEL_PARTS):
        raise BadInput(f"{folder} holds no model: it has none of {', '.join(MODEL_PARTS)}")
    return folder


def find_checkpoint(folder: Path) -> Checkpoint:
    """A checkpoint, a run's final weights, or its newest checkpoint while it is unfinished. Raises BadInput."""
    from hamner.training import checkpoint

    if (folder / checkpoint.STATE).is_file():
        return checkpoint.load(folder)
    if (folder / "final").is_dir():
        return checkpoint.load(folder / "final")
    newest = checkpoint.newest(folder / "checkpoints", lambda line: print(line, file=sys.stderr))
    if newest is None:
        raise BadInput(f"{folder} holds no model yet: its first checkpoint is still to come")
    print(f"{folder.name} is unfinished: using its step {newest.state['step']}", file=sys.stderr)
    return newest
