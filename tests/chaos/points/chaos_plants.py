"""Planted defects (negative controls): what the chaos suite must find, or it proves nothing.

Data in: the name of a defect, in an environment variable of the process. Data out: a module of the product that has it
from its import on.
"""

import importlib.abc
import importlib.util
import sys


class Anything(str):
    """A checksum that every other one equals."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


def no_checksums(checkpoint) -> None:
    """Files of a checkpoint are read whatever is in them."""
    real = checkpoint.file_sha256
    checkpoint.file_sha256 = lambda path: Anything(real(path))


def late_ledger(league) -> None:
    """The ledger is written once a round is decided and all that follows from the decision is done."""
    real = league.League.record

    def record(self, run, outcome, is_decided):
        self._write = lambda: None
        try:
            real(self, run, outcome, is_decided)
        finally:
            del self._write
        if is_decided:
            self._write()

    league.League.record = record


DEFECTS = {
    "no_checksums": ("hamner.training.checkpoint", no_checksums),
    "late_ledger": ("tournament.league", late_ledger),
}


class Planted(importlib.abc.MetaPathFinder):
    """Finds one module, and lets it be changed once it is loaded."""

    def __init__(self, name: str, change) -> None:
        self._name, self._change = name, change

    def find_spec(self, fullname, path, target=None):
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        load, change = spec.loader.exec_module, self._change

        def exec_module(module) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec


def plant(name: str) -> None:
    """Plant a defect of this process."""
    sys.meta_path.insert(0, Planted(*DEFECTS[name]))
