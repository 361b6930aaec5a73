"""Model of a server: loaded from a run's folder, on a card where there is one, with its name and what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from hamner.config.cost import count_parameters
from hamner.config.errors import BadInput
from hamner.inference.contenders import Contender, GgufContender, weights_id
from hamner.inference.expectation import expectation
from hamner.inference.find_model import open_model
from hamner.inference.huggingface import WEIGHTS
from hamner.inference.run_records import read_records
from hamner.inference.server_app import Served


def open_served(folder: Path, *, is_weighed: bool = False) -> Served:
    """The model in a folder, to be served. is_weighed: its weights get an id. Raises BadInput where there is none."""
    loaded = open_model(folder)
    loaded.model.requires_grad_(False).to("cuda" if torch.cuda.is_available() else "cpu")
    records = read_records(folder)
    promise = expectation(count_parameters(loaded.model.config).total, records.is_finetuned)
    weights = weights_id(loaded.folder / WEIGHTS) if is_weighed else ""
    return Served(loaded, records.name, promise, int(loaded.folder.stat().st_mtime), weights)


def open_rivals(served: Served, paths: Sequence[Path]) -> list[Served | Contender]:
    """The models of an arena beside the one that is served: of folders and of GGUF files.

    Raises BadInput where there is none, and where two have one name: votes could not tell them apart.
    """
    rivals: list[Served | Contender] = []
    for path in paths:
        rivals.append(GgufContender(path) if path.is_file() else open_served(path, is_weighed=True))
    names = [served.name, *(rival.name for rival in rivals)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(
            [f"two friends in the arena are called '{name}': give one of them another name" for name in twice]
        )
    return rivals
