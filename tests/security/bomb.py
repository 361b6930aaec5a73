"""A pickle that leaves a file behind when it is loaded: what no file of a run, a league or a stranger may do."""

import pickle
from pathlib import Path


class Bomb:
    """Creates `marker` when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return Path.touch, (Path(self.marker),)


def bomb(marker: Path, size: int = 0) -> bytes:
    """A pickle that creates `marker`, filled up to `size` bytes behind its end."""
    return pickle.dumps(Bomb(marker)).ljust(size, b"\0")
