"""Ledger of a league on disk: bracket.json, and the held-out losses of single documents in files of their own.

In: the bracket's state, at each report. Out: RUN/bracket.json, replaced as a whole, and RUN/<run>/documents_*.json,
each written once, before the ledger that names it: the documents are most of the bytes. A kill leaves the old ledger or
the new one, and either finds its documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hamner.runs.files import read_json, read_json_as, write_json
from hamner.runs.safe_paths import path_below
from tournament.bracket import Bracket, Run

LEDGER = "bracket.json"
DOCUMENTS = "documents"  # key of an outcome: in memory the documents, in the ledger the file they lie in


def has_errors_in_last_round(folder: Path) -> bool:
    """Whether a run of a league's last round ended with an error, by its ledger, without which none is played again.

    Raises BadInput for a broken one.
    """
    if not (folder / LEDGER).is_file():
        return False
    return read_json_as(
        folder / LEDGER, lambda ledger: any(row["failure"] == "error" for row in ledger["rounds"][-1]["outcomes"])
    )


class Ledger:
    """Writes the ledger of one league, and reads it."""

    def __init__(self, folder: Path, run_name: Callable[[Run], str]) -> None:
        """run_name: the folder of a run in the league's."""
        self.path, self._run_name = folder / LEDGER, run_name
        self._written: dict[str, Any] = {}  # file, in the league's folder -> documents that it holds

    def write(self, bracket: Bracket, rates: Mapping[str, Any]) -> None:
        """Write all decisions and outcomes; of documents only those that were not written before."""
        state = bracket.state()
        for index, round_ in enumerate(state["rounds"]):
            for row in round_["outcomes"]:
                if row[DOCUMENTS]:
                    row[DOCUMENTS] = self._write_documents(index, row)
        write_json(self.path, state | {"learning_rates": dict(rates)})

    def _write_documents(self, index: int, row: Mapping[str, Any]) -> str:
        """Write the documents of an outcome where that has not been done; return their file, in the league's folder."""
        folder = self._run_name(Run(row["contestant"], row["seed"]))
        name = f"{folder}/documents_round{index + 1}_x{row['factor']}.json"
        if self._written.get(name) is not row[DOCUMENTS]:
            write_json(path_below(self.path.parent, name, self.path), row[DOCUMENTS])
            self._written[name] = row[DOCUMENTS]
        return name

    def complete(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """A ledger as it was read, with the documents of each outcome in place of their file's name.

        Raises BadInput where a file is missing or broken.
        """
        for round_ in document["rounds"]:
            for row in round_["outcomes"]:
                if isinstance(row[DOCUMENTS], str):
                    name = row[DOCUMENTS]
                    row[DOCUMENTS] = self._written[name] = read_json(path_below(self.path.parent, name, self.path))
        return document
