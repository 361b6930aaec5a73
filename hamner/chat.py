"""Talk to a model.

    python -m hamner.chat [RUN|FOLDER] [--system TEXT] [--temperature 0.7] [--results DIR]

RUN is a curriculum run (default: the newest), FOLDER any checkpoint folder. A message on a pipe is answered
once; at a terminal the conversation goes on until /quit, an empty line or Ctrl-D.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from hamner.config.errors import BadInput
from hamner.inference.conversation import Friend
from hamner.inference.find_model import find_model
from hamner.inference.generate import Sampling
from hamner.runs.cli import run_command
from hamner.runs.folders import results_folder


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


def _print_reply(pieces: Iterator[str]) -> None:
    told = False
    for piece in pieces:
        print(piece if told else piece.lstrip(), end="", flush=True)
        told = told or bool(piece.strip())
    print("" if told else "...")


if __name__ == "__main__":
    raise SystemExit(main())
