"""Chat with a trained model: the command `hamner chat`, also `python -m hamner.chat`.

Data in: a run or checkpoint folder; a message on a pipe, or lines typed at a terminal. Data out: replies on stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hamner.config.errors import BadInput
from hamner.inference.find_model import model_folder, open_model
from hamner.runs.cli import Parser, add_results_option, run_command
from hamner.runs.folders import results_folder

if TYPE_CHECKING:
    from hamner.inference.conversation import Conversation

DESCRIPTION = """Chat with a trained model.

A message on a pipe is answered once; at a terminal /quit, an empty line or Ctrl-D ends the conversation."""
EXAMPLES = (
    "hamner chat                               # talk to the newest curriculum run",
    "hamner chat mine --temperature 0          # talk to the run `mine`, always the likeliest token",
    'echo "Hello" | hamner chat DIR/final      # one reply of a checkpoint folder',
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner chat", DESCRIPTION, EXAMPLES)
    options.add_argument(
        "run", nargs="?", metavar="RUN|FOLDER", help="a curriculum run or a checkpoint folder (default: the newest run)"
    )
    options.add_argument("--system", metavar="TEXT", help="system message: what the model is told about itself")
    options.add_argument("--temperature", type=float, default=0.7, help="0: always the likeliest token (default: 0.7)")
    options.add_argument("--seed", type=int, default=0, help="the same seed, the same replies (default: 0)")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    if options.temperature < 0:
        raise BadInput(f"--temperature {options.temperature} is below 0: give 0 (always the likeliest token) or above")
    folder = model_folder(options.run, results_folder(options.results))
    message = None if sys.stdin.isatty() else sys.stdin.read().strip()
    if message == "":
        raise BadInput("the pipe holds no message: give one, as in `echo Hello | hamner chat`")

    from hamner.inference.conversation import Conversation  # torch: seconds, after all that needs none

    loaded = open_model(folder)
    conversation = Conversation(loaded, system=options.system, seed=options.seed, temperature=options.temperature)
    if message is not None:
        _print_reply(conversation.stream_reply(message))
        return 0
    print(f"talking to {loaded.folder}; /quit, an empty line or Ctrl-D ends", file=sys.stderr)
    return _talk(conversation)


def _talk(conversation: Conversation) -> int:
    """Messages from the terminal, until one is empty or /quit."""
    while True:
        try:
            message = input("you: ").strip()
        except EOFError:
            return 0
        if not message or message == "/quit":
            return 0
        print("hamner: ", end="", flush=True)
        _print_reply(conversation.stream_reply(message))


def _print_reply(pieces: Iterator[str]) -> None:
    """Print a reply as it comes, without space before its first word; "..." for one without words."""
    has_begun = False
    for piece in pieces:
        print(piece if has_begun else piece.lstrip(), end="", flush=True)
        has_begun = has_begun or bool(piece.strip())
    print("" if has_begun else "...")


if __name__ == "__main__":
    raise SystemExit(main())
