"""Chat with a trained model: the command `hamner chat`, also `python -m hamner.chat`.

Data in: a run or checkpoint folder; a message on a pipe, or lines typed at a terminal. Data out: replies on stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from hamner.config.errors import BadInput
from hamner.config.toml_file import UTF8_MARK, encoding_problem, is_text
from hamner.inference.find_model import model_folder, open_model
from hamner.runs.cli import Parser, add_model_option, add_results_option, number, run_command, whole_number
from hamner.runs.folders import results_folder
from hamner.runs.output import print_error

if TYPE_CHECKING:
    from hamner.inference.conversation import Conversation

DESCRIPTION = """Chat with a trained model.

A message on a pipe is answered once; at a terminal /quit, an empty line or Ctrl-D ends the conversation."""
EXAMPLES = (
    "hamner chat                               # talk to the newest run, fine-tuned or not",
    "hamner chat mine --temperature 0          # talk to the run `mine`, always the likeliest token",
    'echo "Hello" | hamner chat DIR/final      # one reply of a checkpoint folder',
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner chat", DESCRIPTION, EXAMPLES)
    add_model_option(options)
    options.add_argument("--system", metavar="TEXT", help="system message: what the model is told about itself")
    options.add_argument(
        "--temperature", type=number(0), default=0.7, help="0: always the likeliest token (default: 0.7)"
    )
    options.add_argument(
        "--seed", type=whole_number(0, 2**63 - 1), default=0, help="the same seed, the same replies (default: 0)"
    )
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    folder = model_folder(options.run, results_folder(options.results))
    message = None if sys.stdin is not None and sys.stdin.isatty() else _piped_message()

    from hamner.inference.conversation import Conversation  # torch: seconds, after all that needs none

    loaded = open_model(folder)
    conversation = Conversation(loaded, system=options.system, seed=options.seed, temperature=options.temperature)
    if message is not None:
        _print_reply(conversation.stream_reply(message))
        return 0
    print(f"talking to {loaded.folder}; /quit, an empty line or Ctrl-D ends", file=sys.stderr)
    return _talk(conversation)


def _piped_message() -> str:
    """The message on standard input, which is UTF-8 whatever the terminal's encoding is."""
    if sys.stdin is None:
        raise BadInput("standard input is closed: give a message, as in `echo Hello | hamner chat`")
    try:
        data = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
    except OSError as error:
        raise BadInput(
            f"the message cannot be read: {error.strerror}; give one as in `echo Hello | hamner chat`"
        ) from None
    data = data.removeprefix(UTF8_MARK)
    problem = encoding_problem(data)
    if problem:
        raise BadInput(f"the message on the pipe {problem}: give it in UTF-8")
    message = data.decode().strip()
    if not message:
        raise BadInput("the pipe holds no message: give one, as in `echo Hello | hamner chat`")
    return message


def _talk(conversation: Conversation) -> int:
    """Messages from the terminal, until one is empty or /quit. One that cannot be answered is said so, and passed."""
    while True:
        try:
            message = input("you: ").strip()
        except EOFError:
            return 0
        except UnicodeDecodeError:
            message = "\udc80"  # no text either
        if not message or message == "/quit":
            return 0
        try:
            if not is_text(message):
                raise BadInput("the message is not UTF-8 text: type it on a terminal that is set to UTF-8")
            reply = conversation.stream_reply(message)
            first = next(reply, "")  # a message that is too long is refused here, before the name is printed
        except BadInput as error:
            print_error(f"error: {error}")
            continue
        print("hamner: ", end="", flush=True)
        _print_reply(chain([first], reply))


def _print_reply(pieces: Iterator[str]) -> None:
    """Print a reply as it comes, without space before its first word; "..." for one without words."""
    has_begun = False
    for piece in pieces:
        print(piece if has_begun else piece.lstrip(), end="", flush=True)
        has_begun = has_begun or bool(piece.strip())
    print("" if has_begun else "...")


if __name__ == "__main__":
    raise SystemExit(main())
