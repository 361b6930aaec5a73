"""Write tests/constraints.txt: the versions with which the tests last passed, of this environment.

Use: `python tests/write_constraints.py`, after the whole suite; `pip install -c tests/constraints.txt -e '.[test]'`.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distributions
from pathlib import Path

FILE = Path(__file__).with_name("constraints.txt")
OWN = {"hamner", "pip", "setuptools", "wheel"}
HEAD = """\
# Versions with which the tests passed, on Python 3.11 and Linux, without a card (PyTorch's wheels for one bring further
# packages). Written by `python tests/write_constraints.py`; use: pip install -c tests/constraints.txt -e '.[test]'
"""


def normal(name: str) -> str:
    """The name of a package as the index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _line(package: Distribution) -> str:
    version = package.version.partition("+")[0]  # +cpu: which of several builds
    return f"{normal(package.metadata['Name'])}=={version}"


def constraints() -> str:
    """The file's text."""
    lines = {_line(package) for package in distributions() if normal(package.metadata["Name"]) not in OWN}
    return HEAD + "".join(f"{line}\n" for line in sorted(lines))


if __name__ == "__main__":
    FILE.write_text(constraints(), encoding="utf-8")
    print(f"{FILE}: written")
