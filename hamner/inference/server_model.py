"""Model of a server: loaded from a run's folder, on a card where there is one, with its name and what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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

    One whose name is taken, such as an export of the same run, is called as its folder or file. Raises BadInput where
    there is no model, and where two have one name all the same: votes could not tell them apart.
    """
    rivals: list[Served | Contender] = []
    names = [served.name]
    for path in paths:
        if path.is_file():
            name = path.name if path.stem in names else path.stem
            rivals.append(GgufContender(path, name))
        else:
            rival = open_served(path, is_weighed=True)
            name = path.name if rival.name in names else rival.name
            rivals.append(replace(rival, name=name))
        if name in names:
            raise BadInput(f"--arena {path}: another friend in it is called '{name}'; rename that folder or file")
        names.append(name)
    return rivals
