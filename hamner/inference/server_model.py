"""Model of a server: loaded from a run's folder, on a card where there is one, with its name and what it promises."""

from __future__ import annotations

from pathlib import Path

import torch

from hamner.config.cost import count_parameters
from hamner.inference.expectation import expectation
from hamner.inference.find_model import open_model
from hamner.inference.run_records import read_records
from hamner.inference.server_app import Served


def open_served(folder: Path) -> Served:
    """The model in a folder, to be served. Raises BadInput where there is none."""
    loaded = open_model(folder)
    loaded.model.requires_grad_(False).to("cuda" if torch.cuda.is_available() else "cpu")
    records = read_records(folder)
    promise = expectation(count_parameters(loaded.model.config).total, records.is_finetuned)
    return Served(loaded, records.name, promise, int(loaded.folder.stat().st_mtime))
