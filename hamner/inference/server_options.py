"""Options of the server: who may ask, and what is refused before a model is loaded. Needs neither torch nor FastAPI."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from hamner.config.errors import BadInput, Problems
from hamner.inference.find_model import model_folder
from hamner.runs.folders import absolute
from hamner.runs.votes import read_votes, votes_file

PACKAGES = ("fastapi", "uvicorn")
LLAMA_CPP = "xllamacpp"  # the package that reads GGUF files
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")  # names of it
SHORTEST_TOKEN = 16  # letters
TOKEN = "the token (--token or HAMNER_TOKEN)"


def missing_packages() -> list[str]:
    """The packages of the server that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def check_arena(names: Sequence[str], results: Path) -> tuple[list[Path], Path | None]:
    """The folders and GGUF files of an arena's rivals, and the file of its votes; none without a rival.

    Raises BadInput for a rival that is not there or cannot be read here, and for broken votes.
    """
    problems, rivals = Problems(), []
    for name in names:
        with problems.collect():
            path = absolute(name, "--arena")
            rivals.append(path if path.suffix == ".gguf" and path.is_file() else model_folder(name, results))
            if rivals[-1].is_file() and importlib.util.find_spec(LLAMA_CPP) is None:
                raise BadInput(
                    f"{path} needs llama.cpp: use `pip install {LLAMA_CPP}`, or give the folder it was exported to"
                )
    votes = votes_file(results) if names else None
    if votes:
        with problems.collect():
            read_votes(votes)
    problems.raise_all()
    return rivals, votes


def check_options(host: str, token: str | None) -> None:
    """Raise BadInput where packages are missing, or others could ask without a token."""
    missing, problems = missing_packages(), []
    if missing:
        problems.append(f"`hamner serve` needs {' and '.join(missing)}: use `pip install {' '.join(missing)}`")
    if host not in THIS_MACHINE and token is None:
        problems.append(f"--host {host} lets other machines ask: give a --token, or set HAMNER_TOKEN")
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        problems.append(f"{TOKEN} has a space or a letter that is not ASCII: use letters, digits, - and _")
    elif token is not None and len(token) < SHORTEST_TOKEN:
        problems.append(f"{TOKEN} has {len(token)} letters: use {SHORTEST_TOKEN} or more, or it can be guessed")
    if problems:
        raise BadInput(problems)
