"""Talk to a model.

    python -m hamner.chat [RUN|FOLDER] [--system TEXT] [--temperature 0.7] [--results DIR]

RUN is a curriculum run (default: the newest), FOLDER any checkpoint folder. A message on a pipe is answered
once; at a terminal the conversation goes on until /quit, an empty line or Ctrl-D.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from hamner.config.errors import BadInput, closest
from hamner.config.special_tokens import Message
from hamner.data.tokenizer import Tokenizer
from hamner.inference.generate import Sampling, stream
from hamner.model.transformer import Hamner
from hamner.runs.cli import run_command
from hamner.runs.folders import results_folder, runs
from hamner.training import checkpoint
from hamner.training.checkpoint import Checkpoint

MAX_REPLY = 256    # tokens


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m hamner.chat", description="Talk to a model.")
    parser.add_argument("run", nargs="?", metavar="RUN|FOLDER", help="a curriculum run or a checkpoint folder")
    parser.add_argument("--system", metavar="TEXT", help="what the model is told about itself")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", metavar="DIR", help="results folder (default: $HAMNER_RESULTS or results/)")
    options = parser.parse_args(arguments)
    if options.temperature < 0:
        raise BadInput(f"--temperature {options.temperature} must be 0 (always the likeliest) or above")
    found = find_model(options.run, results_folder(options.results))
    friend = Friend(found, options.system, Sampling(temperature=options.temperature), options.seed)
    if not sys.stdin.isatty():
        message = sys.stdin.read().strip()
        if not message:
            raise BadInput("nothing on the pipe to answer")
        _print_reply(friend.answer(message))
        return 0
    print(f"talking to {found.path}; /quit, an empty line or Ctrl-D leaves", file=sys.stderr)
    while True:
        try:
            message = input("you: ").strip()
        except EOFError:
            return 0
        if not message or message == "/quit":
            return 0
        print("hamner: ", end="", flush=True)
        _print_reply(friend.answer(message))


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
        raise BadInput(f"no run or folder '{name}'; " + (closest(name, known) if known else
                       f"no curriculum has run in {results}: `python -m curriculum.run winner` makes one"))
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


class Friend:
    """A conversation with a model. The whole of it is read again for each answer."""

    def __init__(self, found: Checkpoint, system: str | None, sampling: Sampling, seed: int) -> None:
        self._tokenizer: Tokenizer = found.tokenizer()
        self._hamner: Hamner = found.build()
        self._sampling, self._generator = sampling, torch.Generator().manual_seed(seed)
        self._head: list[Message] = [("system", system)] if system else []
        self._turns: list[Message] = []

    def answer(self, message: str) -> Iterator[str]:
        """Yield the reply piece by piece."""
        self._turns.append(("user", message))
        ids, pieces = self._context(), []
        pieces_of = self._tokenizer.stream(stream(self._hamner, ids, MAX_REPLY, self._sampling, self._generator))
        for piece in pieces_of:
            pieces.append(piece)
            yield piece
        self._turns.append(("assistant", "".join(pieces)))

    def _context(self) -> list[int]:
        """The conversation, without its oldest exchanges where it would leave no room for a reply."""
        room = self._hamner.config.max_seq_len - MAX_REPLY
        while True:
            ids = self._tokenizer.encode_chat([*self._head, *self._turns], reply=True)
            if len(ids) <= room or len(self._turns) <= 1:
                return ids
            del self._turns[:2]


def _print_reply(pieces: Iterator[str]) -> None:
    told = False
    for piece in pieces:
        print(piece if told else piece.lstrip(), end="", flush=True)
        told = told or bool(piece.strip())
    print("" if told else "...")


if __name__ == "__main__":
    raise SystemExit(main())
