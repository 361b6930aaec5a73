"""Find a trained model by the name of a run or the path of a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from hamner.config.errors import BadInput, did_you_mean
from hamner.runs.folders import runs
from hamner.training import checkpoint
from hamner.training.checkpoint import Checkpoint


def find_model(name: str | None, results: Path) -> Checkpoint:
    """A run's final weights, or its newest checkpoint while it is unfinished. Raises BadInput otherwise."""
    known = [path.name for path in runs(results, "curriculum")]
    if name and (Path(name) / checkpoint.STATE).is_file():
        return checkpoint.load(Path(name))
    if name and Path(name).is_dir():
        folder = Path(name)
    elif name and name in known:
        folder = results / "curriculum" / name
    elif name:
        raise BadInput(
            f"no run or folder '{name}'; "
            + (
                did_you_mean(name, known)
                if known
                else f"no curriculum has run in {results}: `python -m curriculum.run winner` makes one"
            )
        )
    elif known:
        folder = results / "curriculum" / known[0]
    else:
        raise BadInput(f"no curriculum has run in {results} yet: `python -m curriculum.run winner` makes one")
    if (folder / "final").is_dir():
        return checkpoint.load(folder / "final")
    found = checkpoint.newest(folder / "checkpoints", lambda line: print(line, file=sys.stderr))
    if found is None:
        raise BadInput(f"{folder} holds no model yet")
    print(f"{folder.name} is unfinished: talking to its step {found.state['step']}", file=sys.stderr)
    return found
